//! Bars on a terminal, and on nothing else.
//!
//! The surprise: the terminal is `script`'s, and what was drawn on it is drawn once more here, so that one sees
//! what a person has before the eyes when all is over.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use testbed::relay::Rule;
use testbed::{Bed, Running};

use crate::support::bed;

const SOON: Duration = Duration::from_secs(20);

/// rclone tells every second how far it is: after this long, whoever draws has drawn.
const TOLD_TWICE: Duration = Duration::from_millis(2500);

/// The terminal's columns: no line of ours is cut.
const WIDTH: usize = 400;

/// The program on a terminal, with more variables.
fn on_a_terminal(bed: &Bed, args: &[&str], more: &[(&str, &str)]) -> Running {
    let words = bed.cmd(args);
    let quoted: Vec<String> = std::iter::once(words.get_program())
        .chain(words.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let line = format!("stty cols {WIDTH} rows 40; exec {}", quoted.join(" "));
    let mut script = Command::new("/usr/bin/script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env_clear().current_dir("/");
    script.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    script.envs(
        words
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    script.envs(more.iter().copied());
    Running::start(&mut script).expect("`script`, from bsdutils")
}

/// What is on the screen after all of this was printed.
fn screen(printed: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = printed.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                // `[`, numbers, a letter.
                let mut numbers = String::new();
                let mut letter = ' ';
                for c in rest.by_ref().skip(1) {
                    if c.is_ascii_alphabetic() {
                        letter = c;
                        break;
                    }
                    numbers.push(c);
                }
                let number: usize = numbers.parse().unwrap_or(1);
                match (letter, numbers.as_str()) {
                    ('A', _) => row = row.saturating_sub(number),
                    ('B', _) => row += number,
                    ('K', "2") => lines[row].clear(),
                    ('K', _) => lines[row].truncate(column),
                    ('J', _) => lines.truncate(row + 1),
                    _ => {}
                }
            }
            c => {
                // The terminal wraps when there is more to print, and not before.
                if column == WIDTH {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                let length = lines[row].len().max(column + 1);
                lines[row].resize(length, ' ');
                lines[row][column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    lines
        .into_iter()
        .map(text)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn a_person_sees_a_bar_for_each_upload_and_a_clean_screen_in_the_end() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    let hang = relay.rule(Rule::on("PUT").path("/dump.rdb").stall());
    let mut run = on_a_terminal(&bed, &["run"], &[]);
    for bar in ["upload falkordb    [", "upload valkey      ["] {
        run.wait_until(bar, SOON, |run| run.stdout_so_far().contains(bar))
            .expect("a bar");
    }
    relay.remove(hang);
    let ran = run.wait_timeout(SOON).expect("an end");
    assert_eq!(ran.code, Some(0), "{ran}");
    let screen = screen(&ran.stdout);
    let left: Vec<_> = screen.iter().filter(|line| line.contains('[')).collect();
    assert!(left.is_empty(), "{screen:#?}");
    let verdict = screen.last().map(String::as_str).unwrap_or_default();
    assert!(
        verdict.starts_with("backup ") && verdict.contains(" is complete: "),
        "{screen:#?}"
    );
    // Log lines stand on lines of their own.
    for line in ["valkey is stored: ", "falkordb is stored: ", "snapshot "] {
        assert!(
            screen.iter().any(|shown| shown.starts_with(line)),
            "{line:?}: {screen:#?}"
        );
    }
    let (hidden, shown) = (ran.stdout.rfind("\x1b[?25l"), ran.stdout.rfind("\x1b[?25h"));
    assert!(hidden <= shown, "the cursor stays hidden: {:?}", ran.stdout);
}

#[test]
fn nothing_is_drawn_where_there_is_no_terminal() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    let hang = relay.rule(Rule::on("PUT").path("/dump.rdb").stall());
    let run = bed.spawn(&["run"]).expect("started");
    relay.wait_for_hits(hang, 2, SOON).expect("both uploads");
    sleep(TOLD_TWICE);
    relay.remove(hang);
    let ran = run.wait_timeout(SOON).expect("an end");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(!ran.stderr.contains(['\x1b', '\r']), "{:?}", ran.stderr);
    assert!(!ran.stderr.contains("upload falkordb"), "{ran}");
}

#[test]
fn nothing_is_drawn_where_silence_is_asked_for() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    let hang = relay.rule(Rule::on("PUT").path("/dump.rdb").stall());
    let run = on_a_terminal(&bed, &["run", "-q"], &[]);
    relay.wait_for_hits(hang, 2, SOON).expect("both uploads");
    sleep(TOLD_TWICE);
    relay.remove(hang);
    let ran = run.wait_timeout(SOON).expect("an end");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran}");
}

#[test]
fn colour_is_for_terminals_and_no_color_takes_it_away() {
    let red = "\x1b[31;1merror:\x1b[0m backup ";
    let bed = bed();
    bed.export_mode("exit1").expect("set");
    for (no_color, coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        crate::support::a_new_second(&bed);
        let more: Vec<_> = no_color
            .map(|value| ("NO_COLOR", value))
            .into_iter()
            .collect();
        let run = on_a_terminal(&bed, &["run"], &more);
        let ran = run.wait_timeout(SOON).expect("an end");
        assert_eq!(ran.code, Some(6), "{ran}");
        assert_eq!(ran.stdout.contains(red), coloured, "{no_color:?}: {ran}");
        assert_eq!(
            ran.stdout.contains("\nerror: backup "),
            !coloured,
            "{no_color:?}: {ran}"
        );
    }
    let ran = crate::support::expect(&bed, &["run"], 6);
    assert!(!ran.stderr.contains('\x1b'), "{ran}");
}
