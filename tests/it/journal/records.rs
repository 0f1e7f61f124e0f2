//! The records of a run and their fields, and when the journal is chosen.

use std::fs;
use std::process::Command;

use testbed::Running;

use super::fake::{Fields, Journal, LIMIT, verdicts};
use crate::secrets::fixture::{is_clean, with_openai};
use crate::support::{bed, expect};

fn field<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.get(name).map_or("", String::as_str)
}

#[test]
fn every_record_has_its_fields() {
    let bed = bed();
    let journal = Journal::new(&bed);
    let (ran, records) = journal.run(&bed, &["--log", "journal", "run"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(ran.stderr, "", "nothing is said twice");
    let timestamp = bed.committed().expect("names").remove(0);
    for record in &records {
        assert!(!field(record, "MESSAGE").is_empty(), "{record:#?}");
        assert!(
            ("0"..="7").contains(&field(record, "PRIORITY")),
            "{record:#?}"
        );
        assert_eq!(
            field(record, "OPENCODE_BACKUP_TIMESTAMP"),
            timestamp,
            "{record:#?}"
        );
        assert_eq!(
            field(record, "SYSLOG_IDENTIFIER"),
            "opencode-backup",
            "{record:#?}"
        );
        assert!(!field(record, "STEP").is_empty(), "{record:#?}");
    }
    for step in ["snapshot", "verify", "export", "commit"] {
        let found = records.iter().any(|record| field(record, "STEP") == step);
        assert!(found, "no record of {step}: {records:#?}");
    }
    for name in ["falkordb", "valkey"] {
        let dump = bed.dataset(name).join("dump.rdb");
        let size = dump.metadata().expect("a dump").len().to_string();
        let stored = records
            .iter()
            .find(|record| field(record, "DATASET") == name && field(record, "STEP") == "verify");
        let stored = stored.unwrap_or_else(|| panic!("nothing of {name}: {records:#?}"));
        assert_eq!(field(stored, "BYTES"), size, "{stored:#?}");
    }
}

#[test]
fn the_identifier_is_the_programs_name_under_nixs_wrapper() {
    let bed = bed();
    let journal = Journal::new(&bed);
    let plain = bed.cmd(&["--log", "journal", "run"]);
    // wrapProgram renames the program like this.
    let wrapped = bed.scratch().join(".opencode-backup-wrapped");
    fs::copy(env!("CARGO_BIN_EXE_opencode-backup"), &wrapped).expect("copied");
    let mut renamed = Command::new(plain.get_program());
    for word in plain.get_args() {
        let is_program = word == env!("CARGO_BIN_EXE_opencode-backup");
        renamed.arg(if is_program {
            wrapped.as_os_str()
        } else {
            word
        });
    }
    assert!(renamed.get_args().any(|word| word == wrapped));
    for (name, value) in plain.get_envs() {
        renamed.env(name, value.unwrap_or_default());
    }
    let run = Running::start(&mut journal.wrap(&renamed)).expect("it starts");
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    let records = journal.take();
    assert!(!records.is_empty(), "{ran}");
    for record in &records {
        assert_eq!(field(record, "SYSLOG_IDENTIFIER"), "opencode-backup");
    }
}

#[test]
fn what_a_child_says_bears_its_stage_and_a_priority() {
    let bed = bed();
    bed.export_mode("exit1").expect("a mode");
    let journal = Journal::new(&bed);
    let (ran, records) = journal.run(&bed, &["--log", "journal", "run"]);
    assert_eq!(ran.code, Some(6), "{ran}");
    let said = |fields: &&Fields| field(fields, "MESSAGE").contains("the graph is locked");
    let said: Vec<_> = records.iter().filter(said).collect();
    assert!(
        said.iter().any(|record| field(record, "STEP") == "export"),
        "{said:#?}"
    );
    let verdict = verdicts(&records);
    assert!(
        field(verdict[0], "MESSAGE").contains("the graph is locked"),
        "{verdict:#?}"
    );
}

#[test]
fn no_field_of_any_record_shows_a_key() {
    let bed = bed();
    with_openai(&bed, &[("FIXTURE_MODE", "leak")]);
    let journal = Journal::new(&bed);
    let (ran, records) = journal.run(&bed, &["--log", "journal", "-vv", "run"]);
    assert_eq!(ran.code, Some(6), "{ran}");
    assert!(records.len() > 20, "it says a lot: {}", records.len());
    let mut redacted = 0;
    for record in &records {
        for (name, value) in record {
            is_clean(name, name);
            is_clean(name, value);
            redacted += usize::from(value.contains("cannot log in with [redacted]"));
        }
    }
    assert!(redacted > 0, "the leak was heard");
}

#[test]
fn the_journal_is_chosen_where_stderr_is_connected_to_it() {
    let bed = bed();
    let journal = Journal::new(&bed);
    for args in [&["run"][..], &["--log", "auto", "run"]] {
        let mut command = journal.cmd_with_stream(&bed, args, true);
        let ran = Running::start(&mut command)
            .expect("it starts")
            .wait_timeout(LIMIT);
        let ran = ran.expect("it ends");
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(ran.stderr, "", "{ran}");
        assert_eq!(verdicts(&journal.take()).len(), 1);
        next_second();
    }
}

#[test]
fn stderr_is_chosen_where_it_is_something_else() {
    let bed = bed();
    let journal = Journal::new(&bed);
    // A shell below a unit inherits JOURNAL_STREAM; its stderr is another file than the one named there.
    let mut command = journal.cmd_with_stream(&bed, &["run"], false);
    let ran = Running::start(&mut command)
        .expect("it starts")
        .wait_timeout(LIMIT);
    let ran = ran.expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stderr.contains("is complete"), "{ran}");
    assert!(journal.take().is_empty());
    next_second();
    let (ran, records) = journal.run(&bed, &["run"]);
    assert!(
        ran.stderr.contains("is complete") && records.is_empty(),
        "{ran}"
    );
    next_second();
    let (ran, records) = journal.run(&bed, &["--log", "stderr", "run"]);
    assert!(
        ran.stderr.contains("is complete") && records.is_empty(),
        "{ran}"
    );
}

#[test]
fn a_journal_that_is_not_there_is_said_so_before_anything_is_touched() {
    let bed = bed();
    let mut journal = Journal::new(&bed);
    journal.close();
    std::fs::remove_file(bed.scratch().join("journal/socket")).expect("gone");
    let (ran, _) = journal.run(&bed, &["--log", "journal", "run"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("is systemd-journald running?"), "{ran}");
    assert!(ran.stderr.contains("--log stderr"), "the remedy: {ran}");
    assert!(bed.snapshots().expect("names").is_empty());
    expect(&bed, &["--log", "stderr", "run"], 0);
}

#[test]
fn a_journal_that_goes_away_costs_no_backup() {
    let bed = bed();
    bed.export_mode("slow:2").expect("a mode");
    let mut journal = Journal::new(&bed);
    let run = Running::start(&mut journal.cmd(&bed, &["--log", "journal", "run"]));
    let mut run = run.expect("it starts");
    run.wait_until("a snapshot", LIMIT, |_| {
        bed.snapshots().is_ok_and(|names| !names.is_empty())
    })
    .expect("it is under way");
    journal.close();
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.committed().expect("names").len(), 1);
    assert_eq!(bed.state().expect("a state file")["exit_code"], 0);
}

fn next_second() {
    let started = chrono::Utc::now().timestamp();
    while chrono::Utc::now().timestamp() == started {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
