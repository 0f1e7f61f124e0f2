//! Everything a developer types: `cargo xtask WORD`. A command is one file.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the developer is all that this program is for"
)]

mod bench;
mod ci;
mod contain;
mod demo;
mod dist;
mod fill;
mod nix_eval;
mod nix_format;
mod nix_test;
mod sandbox;
mod steps;
mod test;
mod vm;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo                        a real backup, end to end, on a Btrfs of its own: watch one happen
  test [CARGO…] [-- FILTER…]  all tests of the workspace
  ci                          format, lints, documentation, all tests, the virtual machine
  vm-test [--kvm]             the units under a real systemd, in a virtual machine
  nix-test [--bless]          the NixOS module, evaluated: golden units, defaults, options, their documentation
  nix-format [--check]        the Nix files formatted by nixfmt, and without unused names
  sandbox                     the unit tests as Nix runs them: package.nix's sources, no /usr, no network
  dist [--check]              the binary, its units, completions and manual pages, in one folder
  bench [--quick]             our run against the shell script, restic and rclone by hand, over long links
  bench overhead [--quick]    our run against the same commands by hand, and our memory
  bench restore [--quick]     our restore and verify against the same commands by hand
  bench scale [--quick]       10 GiB, 200,000 files, 10,000 backups, 5,000 snapshots; 40 GiB of disk

demo, test, ci, bench and vm-test install what they lack (saying so) and need root. All
but vm-test run in mount and PID namespaces of their own, and leave nothing behind.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        ["demo"] => demo::run(),
        ["test", rest @ ..] => test::run(rest),
        ["ci"] => ci::run(),
        ["nix-test", rest @ ..] => nix_test::run(rest),
        ["nix-format", rest @ ..] => nix_format::run(rest),
        ["sandbox", rest @ ..] => sandbox::run(rest),
        ["dist", rest @ ..] => dist::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["vm-test", rest @ ..] => vm::run(rest),
        [contain::INIT, command @ ..] => contain::init(command),
        other => {
            eprintln!("there is no `cargo xtask {}`\n\n{HELP}", other.join(" "));
            Ok(ExitCode::from(2))
        }
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
