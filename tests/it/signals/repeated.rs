//! More than one signal, other signals, a script that listens to none, and Ctrl-C on a real terminal.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use testbed::bed::descendants;
use testbed::{Running, Signal};

use super::hold::{Hold, SOON, STOP, Stage};

#[test]
fn a_hangup_counts_as_a_termination() {
    let mut hold = Hold::new(Stage::Upload);
    let run = hold.start();
    run.signal(Signal::SIGHUP).expect("it is running");
    let ran = run.wait_timeout(STOP).expect("it stops");
    hold.check_the_verdict(&ran, Signal::SIGHUP, 143);
    hold.check_what_is_left(&ran);
    hold.check_the_next_run();
}

#[test]
fn a_deaf_script_and_its_deaf_child_are_killed_after_their_grace() {
    let mut hold = Hold::new(Stage::Export);
    hold.bed.export_mode("ignore-term").expect("a mode");
    let mut run = hold.start();
    run.wait_for_stderr("export: deaf", SOON)
        .expect("it is deaf");
    // setpriv has become the script; its own child is the second Python.
    let pythons = |run: &Running| {
        let family = descendants(run.pid());
        let is_python = |argv: &[String]| argv.first().is_some_and(|word| word.contains("python3"));
        family.iter().filter(|child| is_python(&child.argv)).count()
    };
    run.wait_until("a grandchild", SOON, |run| pythons(run) == 2)
        .expect("script and child");
    let asked = Instant::now();
    run.signal(Signal::SIGTERM).expect("it is running");
    let ran = run.wait_timeout(STOP).expect("it stops in time");
    assert!(asked.elapsed() < STOP, "{ran}");
    hold.check_the_verdict(&ran, Signal::SIGTERM, 143);
    hold.check_what_is_left(&ran);
    hold.check_the_next_run();
}

#[test]
fn more_signals_during_the_clean_up_change_nothing() {
    let mut hold = Hold::new(Stage::Export);
    hold.bed.export_mode("ignore-term").expect("a mode");
    let mut run = hold.start();
    run.wait_for_stderr("export: deaf", SOON)
        .expect("it is deaf");
    let asked = Instant::now();
    run.signal(Signal::SIGTERM).expect("it is running");
    // The clean-up lasts as long as the deaf child's grace: every one of these falls into it.
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGTERM,
    ] {
        let before = Instant::now();
        run.wait_until("a while", SOON, |_| before.elapsed().as_millis() > 300)
            .expect("it is still cleaning up");
        run.signal(signal).expect("it is still there");
    }
    let ran = run.wait_timeout(STOP).expect("it stops in time");
    assert!(asked.elapsed() < STOP, "{ran}");
    hold.check_the_verdict(&ran, Signal::SIGTERM, 143);
    hold.check_what_is_left(&ran);
    hold.check_the_next_run();
}

#[test]
fn a_second_signal_of_another_kind_leaves_one_true_verdict() {
    let mut hold = Hold::new(Stage::Upload);
    let run = hold.start();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        run.signal(signal).ok();
    }
    let ran = run.wait_timeout(STOP).expect("it stops");
    assert!(matches!(ran.code, Some(130 | 143)), "{ran}");
    let state = hold.bed.state().expect("a state file that is whole");
    assert_eq!(
        state["exit_code"].as_i64(),
        ran.code.map(i64::from),
        "{state:#}"
    );
    let verdicts = ran.stderr.matches("FAILED (exit code").count();
    assert_eq!(verdicts, 1, "{ran}");
    hold.check_what_is_left(&ran);
    hold.check_the_next_run();
}

#[test]
fn ctrl_c_on_a_terminal_is_an_interruption() {
    let mut hold = Hold::new(Stage::Upload);
    let keyboard = hold.bed.scratch().join("keyboard");
    let made = Command::new("mkfifo").arg(&keyboard).status();
    assert!(made.expect("mkfifo runs").success());
    let mut line = None;
    let run = hold.start_cmd(|bed| {
        let plain = bed.cmd(&["run"]);
        let mut words = vec![plain.get_program().to_string_lossy().into_owned()];
        words.extend(
            plain
                .get_args()
                .map(|word| word.to_string_lossy().into_owned()),
        );
        // A terminal of its own, where ^C goes to the whole foreground group.
        let mut terminal = Command::new("sh");
        terminal
            .args(["-c", "exec script -qefc \"$1\" /dev/null <\"$2\"", "sh"])
            .arg(words.join(" "))
            .arg(&keyboard);
        for (name, value) in plain.get_envs() {
            terminal.env(name, value.unwrap_or_default());
        }
        let run = Running::start(&mut terminal).expect("sh starts");
        line = File::options().write(true).open(&keyboard).ok();
        run
    });
    let mut line = line.expect("script listens (package bsdutils)");
    line.write_all(b"\x03").expect("a key");
    let ran = run.wait_timeout(STOP).expect("it stops");
    drop(line);
    hold.check_what_is_left(&ran);
    assert_eq!(ran.code, Some(130), "{ran}");
}
