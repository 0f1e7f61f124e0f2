//! `completions` and `man`: what a package installs beside the binary, made from the clap definition.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use log::error;

use super::print_bytes;
use crate::backup::outcome::Exit;
use crate::cli::Cli;

/// Prints a shell's completions.
pub fn completions(shell: clap_complete::Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "opencode-backup", &mut text);
    print_bytes(&text)
}

/// Prints the manual page, a section for each command.
pub fn man() -> Exit {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let mut result = clap_mangen::Man::new(command.clone()).render(&mut text);
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        result = result.and_then(|()| section(sub, &mut text));
    }
    match result {
        Ok(()) => print_bytes(&text),
        Err(problem) => {
            error!("the manual page could not be made: {problem}");
            Exit::Unexpected
        }
    }
}

fn section(sub: &clap::Command, text: &mut Vec<u8>) -> io::Result<()> {
    let man = clap_mangen::Man::new(sub.clone());
    writeln!(
        text,
        ".SH \"{}\"",
        sub.get_display_name()
            .unwrap_or(sub.get_name())
            .to_uppercase()
    )?;
    man.render_description_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_options_section(text)
}
