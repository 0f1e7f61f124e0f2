//! The same with systemd's own journald, in a mount namespace of its own, asked by `journalctl`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testbed::Running;

use super::fake::{LIMIT, VERDICT, inside};
use crate::support::bed;

const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// journald below a `/run` of its own; the run; then what `journalctl` finds of the verdict, within 10 s.
const SCRIPT: &str = r#"
mount -t tmpfs tmpfs /run || exit 99
mkdir -p /run/systemd/journal /run/log/journal
shift
setpriv --pdeathsig KILL /lib/systemd/systemd-journald >/dev/null 2>&1 &
journald=$!
trap 'kill $journald; wait $journald' EXIT
for try in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@" || echo "exit code $?" >&2
for try in $(seq 100); do
  found=$(journalctl -D /run/log/journal -o json --no-pager "$VERDICT")
  [ -n "$found" ] && break
  sleep 0.1
done
printf '%s\n' "$found"
"#;

#[test]
fn journalctl_finds_the_verdict_by_its_id() {
    assert!(
        Path::new(JOURNALD).exists(),
        "there is no {JOURNALD}: apt-get install systemd (it need not be running)"
    );
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    assert!(
        !id.trim().is_empty(),
        "no /etc/machine-id: run systemd-machine-id-setup"
    );
    let bed = bed();
    let mut command = inside(
        &bed.cmd(&["--log", "journal", "run"]),
        bed.scratch(),
        SCRIPT,
    );
    command.env("VERDICT", format!("MESSAGE_ID={VERDICT}"));
    let ran = Running::start(&mut command)
        .expect("it starts")
        .wait_timeout(LIMIT);
    let ran = ran.expect("it ends");
    assert!(!ran.stderr.contains("exit code"), "{ran}");
    let record: Value = serde_json::from_str(ran.stdout.trim()).expect("one record");
    assert_eq!(record["EXIT_CODE"], "0", "{record:#}");
    assert_eq!(record["_COMM"], "opencode-backup", "{record:#}");
    let timestamp = bed.committed().expect("names").remove(0);
    assert_eq!(
        record["OPENCODE_BACKUP_TIMESTAMP"],
        timestamp.as_str(),
        "{record:#}"
    );
    let state = bed.state().expect("a state file");
    assert_eq!(record["MESSAGE"], state["verdict"], "{record:#}");
}
