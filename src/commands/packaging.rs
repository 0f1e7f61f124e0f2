//! `completions` and `man`: what a package installs beside the binary, made from the clap definition.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::builder::Resettable;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::print_bytes;
use crate::cli::{self, Cli};
use crate::config::{DEFAULT_PATH, PATH_VARIABLE};
use crate::exit::{Exit, Failure};
use crate::secrets::{APP_KEY, KEY_ID};

/// In a page's foot, as `--version` says it.
const SOURCE: &str = concat!("opencode-backup ", env!("CARGO_PKG_VERSION"));

/// Prints a shell's completions.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "opencode-backup", &mut text);
    print_bytes(Exit::Done, &text)
}

pub(super) fn man(args: &cli::Man) -> Result<Exit, Failure> {
    let failed = |what: String| Failure::new(Exit::Unexpected, what);
    let pages = pages()
        .map_err(|problem| failed(format!("the manual pages could not be made: {problem}")))?;
    let Some(directory) = &args.to else {
        return print_bytes(Exit::Done, &pages[0].text);
    };
    write(&pages, directory).map_err(|problem| {
        failed(format!(
            "the manual pages could not be written into {}: {problem}; give a directory that is there, and in which this user may write",
            directory.display()
        ))
    })?;
    Ok(Exit::Done)
}

fn write(pages: &[Page], directory: &Path) -> io::Result<()> {
    pages
        .iter()
        .try_for_each(|page| fs::write(directory.join(&page.file), &page.text))
}

struct Page {
    file: String,
    text: Vec<u8>,
}

/// The program's page, then one for each command.
fn pages() -> io::Result<Vec<Page>> {
    // `help` has no page: it prints what the others say.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    // Under a heading of its own.
    let codes = program.get_after_help().map(ToString::to_string);
    let codes = codes.unwrap_or_default().replacen("Exit codes: ", "", 1);
    let alone = program.clone().after_help(Resettable::Reset);

    let mut pages = vec![page(alone, |text| {
        writeln!(text, ".SH \"EXIT STATUS\"\n{codes}")?;
        writeln!(
            text,
            ".SH ENVIRONMENT\n.TP\n{KEY_ID}, {APP_KEY}\nThe keys to the bucket.\n.TP\n{PATH_VARIABLE}\nThe \
             configuration file, where \\-\\-config names none."
        )?;
        writeln!(
            text,
            ".SH FILES\n.TP\n{DEFAULT_PATH}\nThe configuration. opencode\\-backup\\-config(1) prints the values in force."
        )
    })?];
    for command in program.get_subcommands() {
        pages.push(page(command.clone(), |text| {
            writeln!(text, ".SH \"SEE ALSO\"\nopencode\\-backup(1)")
        })?);
    }
    Ok(pages)
}

fn page(command: Command, end: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<Page> {
    let man = Man::new(command).source(SOURCE);
    let (file, mut text) = (man.get_filename(), Vec::new());
    man.render(&mut text)?;
    end(&mut text)?;
    Ok(Page { file, text })
}
