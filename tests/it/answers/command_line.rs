//! Words that are right and wrong, and how much is said.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use testbed::process::tethered;
use testbed::{Ran, Running};

use crate::restore::names_in;
use crate::support::{BIN, bed, expect};

/// Without a host: no PATH, no configuration, nothing.
fn bare(args: &[&str]) -> Ran {
    let mut command = tethered(BIN);
    command.args(args).env_clear().current_dir("/");
    let running = Running::start(&mut command).expect("started");
    running
        .wait_timeout(std::time::Duration::from_secs(30))
        .expect("an end")
}

#[test]
fn help_is_an_answer_and_lists_commands_and_exit_codes() {
    let ran = bare(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    for word in [
        "\n  run ",
        "\n  check ",
        "\n  list ",
        "\n  config ",
        "--config <FILE>",
        "--env-file <FILE>",
    ] {
        assert!(ran.stdout.contains(word), "{word:?} is not in {ran}");
    }
    let codes = ran.stdout.split_once("Exit codes: ").expect("exit codes").1;
    let codes = codes.replace('\n', " ");
    for code in [
        "0 done",
        "2 usage",
        "3 a prerequisite",
        "4 snapshot",
        "5 a dataset",
        "6 the export",
        "7 retention",
        "75 another",
        "130 or 143",
    ] {
        assert!(codes.contains(code), "{code:?} is not in {ran}");
    }
    for command in ["run", "check", "list", "config"] {
        let ran = bare(&[command, "--help"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
        assert!(ran.stdout.contains("--json"), "{ran}");
    }
}

#[test]
fn the_version_is_an_answer() {
    let ran = bare(&["--version"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let expected = format!("opencode-backup {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((ran.stdout, ran.stderr.as_str()), (expected, ""));
}

#[test]
fn what_packagers_ask_for_needs_no_host() {
    for (args, word) in [
        (&["completions", "bash"][..], "-o default opencode-backup\n"),
        (&["completions", "zsh"], "#compdef opencode-backup"),
        (&["completions", "fish"], "complete -c opencode-backup"),
        (&["man"], ".TH opencode-backup"),
    ] {
        let ran = bare(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
        assert!(ran.stdout.contains(word), "{word:?} is not in {ran}");
    }
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = bare(&["--help"]).stdout;
    let (_, list) = help.split_once("\nCommands:\n").expect("commands");
    let rows = list.lines().take_while(|line| !line.is_empty());
    let names = rows.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_manual_page_and_every_page_is_referred_to() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let to = dir.path().to_str().context("a path")?;
    let ran = bare(&["man", "--to", to]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", ""),
        "{ran}"
    );
    let page = |name: &str| fs::read_to_string(dir.path().join(name));
    let main = page("opencode-backup.1")?;
    assert_eq!(
        main,
        bare(&["man"]).stdout,
        "what is printed is what is written"
    );
    let (commands, mut expected) = (commands(), vec!["opencode-backup.1".to_owned()]);
    assert!(commands.len() > 8, "{commands:?}");
    for command in &commands {
        let file = format!("opencode-backup-{command}.1");
        let page = page(&file)?;
        assert!(
            page.contains(&format!(".TH opencode-backup-{command} 1 ")),
            "{page}"
        );
        assert!(
            page.contains(&format!("\\fBopencode\\-backup {command}\\fR")),
            "{page}"
        );
        assert!(page.contains("opencode\\-backup(1)"), "{page}");
        assert!(
            main.contains(&format!("opencode\\-backup\\-{command}(1)")),
            "{main}"
        );
        expected.push(file);
    }
    assert_eq!(
        main.matches("(1)").count(),
        commands.len() + 1, // FILES names one again
        "and to no other: {main}"
    );
    expected.sort();
    assert_eq!(names_in(dir.path()), expected);
    for (name, word) in [
        ("run", "dry\\-run"),
        ("restore", "\\-\\-to"),
        ("drill", "\\-\\-scratch"),
        ("man", "DIR"),
    ] {
        let page = page(&format!("opencode-backup-{name}.1"))?;
        assert!(page.contains(word), "{word} is not in {page}");
    }
    for section in ["EXIT STATUS\"\n0 done, ", "ENVIRONMENT", "FILES"] {
        assert!(main.contains(section), "{section}: {main}");
    }
    let ran = bare(&["man", "--to", "/no/such/place"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran}");
    assert!(
        ran.stderr.contains("/no/such/place") && ran.stderr.contains("give a directory"),
        "{ran}"
    );
    Ok(())
}

#[test]
fn wrong_words_exit_with_2_and_name_the_word() {
    for (args, word) in [
        (&["backup"][..], "'backup'"),
        (&["run", "--now"], "'--now'"),
        (&["run", "extra"], "'extra'"),
        (&["--log", "syslog", "list"], "'syslog'"),
        (&["-v", "-q", "list"], "'--quiet'"),
        (&["config", "--config"], "'--config <FILE>'"),
    ] {
        let ran = bare(args);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ran}"
        );
        assert!(ran.stderr.contains(word), "{args:?}: {ran}");
    }
    let ran = bare(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
    assert!(ran.stderr.contains("Usage: opencode-backup"), "{ran}");
}

#[test]
fn quiet_says_nothing_of_what_went_well_and_everything_of_what_did_not() {
    let bed = bed();
    let ran = expect(&bed, &["run", "-q"], 0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_eq!(bed.committed().expect("keys").len(), 1);
    bed.export_mode("exit1").expect("set");
    let ran = expect(&bed, &["-q", "run"], 6);
    assert!(ran.stderr.contains("error: backup "), "{ran}");
    assert!(!ran.stderr.contains("is stored"), "{ran}");
}

#[test]
fn verbose_shows_the_commands_and_twice_what_the_tools_say() {
    let bed = bed();
    // A second run would have nothing to send.
    bed.set("remote.incremental", false).expect("set");
    let plain = expect(&bed, &["run"], 0);
    assert!(!plain.stderr.contains("debug: "), "{plain}");
    let once = expect(&bed, &["run", "-v"], 0);
    for command in [
        "btrfs subvolume snapshot -r ",
        "rclone sync ",
        "memory_manager.py export",
    ] {
        let shown = once
            .stderr
            .lines()
            .any(|line| line.starts_with("debug: ") && line.contains(command));
        assert!(shown, "{command:?}: {once}");
        assert!(!plain.stderr.contains(command), "{command:?}: {plain}");
    }
    assert!(!once.stderr.contains("HTTP/1.1 200 OK"), "{once}");
    let twice = expect(&bed, &["run", "-vv"], 0);
    assert!(twice.stderr.contains("HTTP/1.1 200 OK"), "{twice}");
}

#[test]
fn a_journal_that_is_asked_for_and_not_there_is_an_error_with_a_remedy() {
    let bed = bed();
    // Where there is a journal, it is hidden from this one process.
    let hide =
        "[ ! -d /run/systemd/journal ] || mount -t tmpfs none /run/systemd/journal; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--mount", "sh", "-c", hide, "sh", BIN, "--log", "journal", "run",
    ]);
    command.env("OPENCODE_BACKUP_CONFIG", bed.config_path());
    let ran = bed.run_cmd(&mut command).expect("started");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
    assert!(ran.stderr.contains("journal"), "{ran}");
    assert!(ran.stderr.contains("--log stderr"), "{ran}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran}");
    assert_eq!(bed.snapshots().expect("names"), [""; 0]);
}

#[test]
fn the_log_goes_to_stderr_where_it_is_told_to() {
    let bed = bed();
    let ran = expect(&bed, &["--log", "stderr", "run"], 0);
    assert_eq!(ran.stdout, "", "{ran}");
    assert!(ran.stderr.contains(" is complete: "), "{ran}");
}
