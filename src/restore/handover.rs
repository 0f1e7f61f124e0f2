//! The commands that get what was restored to where the service expects it, with the reader's own paths.
//!
//! They are pasted at three in the morning, perhaps twice, perhaps after a failure in their middle. So a dataset is first
//! brought beside its place, whole, under the name of its backup; only then is what was there put aside and the new put
//! in. `mv` to another file system would remove the source while it goes, and one that was stopped leaves two halves of
//! which nobody can say which is which: to there it is copied, and the source stays. That it is done is written down
//! beside the source, and not before the place has it on its disk: the two may be lost apart from each other.

use log::warn;

use super::DatasetRestore;
use super::stage::Destination;
use crate::host::Host;
use crate::process::quote;
use crate::timestamp::Timestamp;

/// A function for the reader's shell, any POSIX one: from where, to where, and the backup's timestamp.
const PUT_IN_PLACE: &str = r#"put_in_place() {
  if test -e "$1.placed" && test ! -e "$2.$3"; then ls -d "$2"; return; fi
  if test ! -e "$2.$3"; then
    test -e "$1" || { echo "$1 is not there: nothing is put in place" >&2; return 1; }
    mkdir -p "$(dirname "$2")" || return
    if test "$(stat -c %d "$1")" = "$(stat -c %d "$(dirname "$2")")"; then mv -T "$1" "$2.$3"
    else rm -rf "$2.$3.part" && cp -aT --reflink=auto "$1" "$2.$3.part" && sync -f "$2.$3.part" && mv -T "$2.$3.part" "$2.$3"
    fi || return
  fi
  sync -f "$2.$3" && touch "$1.placed" || return
  if test -e "$2" || test -L "$2"; then mv -T "$2" "$2.before-restore-$(date +%s%N)" || return; fi
  mv -T "$2.$3" "$2" && ls -d "$2"
}"#;

/// All of it, a command a line.
pub(crate) fn handover(
    host: &Host,
    timestamp: Timestamp,
    parts: &[DatasetRestore],
    to: &Destination,
) -> String {
    let subvolume = quote::word(host.config.subvolume.as_os_str());
    let known = |part: &&DatasetRestore| {
        let mut names = host.config.datasets.keys();
        names.any(|name| *name == part.name)
    };
    let unknown: Vec<&str> = parts
        .iter()
        .filter(|part| !known(part))
        .map(|part| part.name.as_str())
        .collect();
    if !unknown.is_empty() {
        let what = format!(
            "{} is not in the configuration here, so where it belongs is not known: add [datasets.…] with its path, or \
             move it there from {} before anything is started",
            unknown.join(", "),
            to.path.display()
        );
        warn!(step = "restore"; "{what}");
        // Started on less than it had, the service would begin anew.
        return format!("# {what}");
    }
    let mut lines = vec![
        "# to put it in place:".to_owned(),
        PUT_IN_PLACE.to_owned(),
        "systemctl stop opencode-memory-pod.service &&".to_owned(),
        // As a plain directory the pod would run on it, and the next backup would be refused.
        format!("{{ test -e {subvolume} || btrfs subvolume create {subvolume}; }} &&"),
        format!(
            "{{ btrfs subvolume show {subvolume} >/dev/null || \
             {{ echo {subvolume} is no Btrfs subvolume: mount it, made anew first if it is lost, or move aside what is in its place, and paste this again >&2; false; }}; }} &&"
        ),
    ];
    for part in parts {
        let mut datasets = host.config.datasets.iter();
        let Some((_, dataset)) = datasets.find(|(name, _)| **name == part.name) else {
            continue;
        };
        let live = quote::word(host.config.subvolume.join(&dataset.path).as_os_str());
        let restored = quote::word(to.path.join(part.name.as_str()).as_os_str());
        lines.push(format!("put_in_place {restored} {live} {timestamp} &&"));
    }
    lines.push(
        "systemctl start opencode-memory-pod.service || \
         { echo not all is in place and started: mend what is said above, and paste this again >&2; false; }"
            .to_owned(),
    );
    lines.join("\n")
}
