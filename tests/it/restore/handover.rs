//! The last words of a restore are commands that work when they are pasted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use testbed::{Bed, Rclone};

use super::{backup, names_in, plain, restore, target, tree};

/// Pastes the text into a shell whose `systemctl` writes down what it was told.
#[track_caller]
fn paste(bed: &Bed, text: &str) -> String {
    let stubs = bed.scratch().join("stubs");
    let log = bed.scratch().join("systemctl.log");
    fs::create_dir_all(&stubs).expect("a directory");
    let stub = stubs.join("systemctl");
    fs::write(
        &stub,
        format!("#!/bin/sh\necho \"$*\" >> '{}'\n", log.display()),
    )
    .expect("a script");
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::remove_file(&log).ok();
    let path = format!("{}:/usr/bin:/bin", stubs.display());
    let output = Command::new("bash")
        .args(["-euc", text])
        .env("PATH", path)
        .current_dir("/")
        .output()
        .expect("bash");
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::read_to_string(log).expect("it was called")
}

/// Restores to a directory of this name, and pastes.
#[track_caller]
fn put_back(bed: &Bed, name: &str, timestamp: &str) {
    put_back_from(bed, &bed.scratch().join(name), timestamp);
}

#[track_caller]
fn put_back_from(bed: &Bed, to: &Path, timestamp: &str) {
    let ran = restore(bed, to, &[timestamp, "-q"], 0);
    let told = paste(bed, &ran.stdout);
    assert_eq!(
        told,
        "stop opencode-memory-pod.service\nstart opencode-memory-pod.service\n"
    );
    let snapshot = bed.snapshot_dir().join(format!("persist-{timestamp}"));
    for name in super::DATASETS {
        tree::assert_same(&snapshot.join("containers").join(name), &bed.dataset(name));
    }
    let left = names_in(to);
    let beside = to.starts_with(bed.subvolume());
    assert_eq!(!beside, left.contains(&"valkey".to_owned()), "{left:?}");
}

#[test]
fn the_commands_it_ends_with_put_the_data_in_place() -> Result<()> {
    let bed = plain(Rclone::Old);
    fs::write(bed.dataset("valkey").join("mark"), "then")?;
    let timestamp = backup(&bed);
    // What is there is kept beside.
    fs::write(bed.dataset("valkey").join("mark"), "now")?;
    put_back(&bed, "restored", &timestamp);
    let containers = bed.subvolume().join("containers");
    let names = names_in(&containers);
    let aside = |dataset: &str| format!("{dataset}.before-restore-");
    for (at, dataset) in [(0, "falkordb"), (2, "valkey")] {
        assert_eq!(names[at], dataset, "{names:?}");
        assert!(names[at + 1].starts_with(&aside(dataset)), "{names:?}");
    }
    assert_eq!(
        fs::read_to_string(containers.join(&names[3]).join("mark"))?,
        "now"
    );
    // A second and a third time, and nothing is lost either.
    for (name, mark) in [("restored again", "again"), ("and again", "third")] {
        fs::write(bed.dataset("valkey").join("mark"), mark)?;
        put_back(&bed, name, &timestamp);
    }
    let mut kept = Vec::new();
    for entry in walk(&containers) {
        if entry.ends_with("mark") {
            kept.push(fs::read_to_string(entry)?);
        }
    }
    kept.sort();
    assert_eq!(kept, ["again", "now", "then", "third"]);
    // Nothing there at all: the disaster. And where it need not be copied.
    fs::remove_dir_all(&containers)?;
    put_back_from(&bed, &bed.subvolume().join("beside"), &timestamp);
    fs::remove_dir_all(&containers)?;
    put_back(&bed, "it's \u{e9} $HOME", &timestamp);
    Ok(())
}

/// The pod's unit did not start, the shell was closed in the middle: what is in place by then is not what was there.
#[test]
fn pasted_again_the_commands_take_nothing_away_and_go_on() -> Result<()> {
    for beside in [false, true] {
        let bed = plain(Rclone::Old);
        fs::write(bed.dataset("valkey").join("mark"), "then")?;
        let timestamp = backup(&bed);
        fs::write(bed.dataset("valkey").join("mark"), "now")?;
        let containers = bed.subvolume().join("containers");
        let to = match beside {
            true => bed.subvolume().join("restored"),
            false => target(&bed),
        };
        let text = restore(&bed, &to, &["-q"], 0).stdout;
        paste(&bed, &text);
        let names = names_in(&containers);
        assert_eq!(names.len(), 4, "{names:?}");
        let snapshot = bed.snapshot_dir().join(format!("persist-{timestamp}"));
        let as_it_was = || {
            paste(&bed, &text);
            for name in super::DATASETS {
                tree::assert_same(&snapshot.join("containers").join(name), &bed.dataset(name));
            }
            assert_eq!(names_in(&containers), names);
        };
        as_it_was();
        // Stopped before the last move, and before the mark of it.
        let (live, ready) = (
            bed.dataset("valkey"),
            containers.join(format!("valkey.{timestamp}")),
        );
        let mark = to.join("valkey.placed");
        fs::rename(&live, &ready)?;
        as_it_was();
        fs::rename(&live, &ready)?;
        fs::remove_file(&mark)?;
        as_it_was();
        // Stopped while it was copied or moved: what is there by then is half of it.
        fs::remove_file(&mark)?;
        fs::rename(&live, to.join("valkey")).or_else(|_| fs::remove_dir_all(&live))?;
        let half = containers.join(format!("valkey.{timestamp}.part"));
        fs::create_dir(&half)?;
        fs::write(half.join("half"), "")?;
        if beside {
            fs::remove_dir_all(&half)?;
        }
        as_it_was();
    }
    Ok(())
}

/// A full disk, a disk that is read-only, one that cannot be written to any more.
#[test]
fn where_a_step_fails_what_was_there_stays_in_place() -> Result<()> {
    let bed = plain(Rclone::Old);
    fs::write(bed.dataset("valkey").join("mark"), "then")?;
    backup(&bed);
    fs::write(bed.dataset("valkey").join("mark"), "now")?;
    let text = restore(&bed, &target(&bed), &["--dataset", "valkey", "-q"], 0).stdout;
    let stubs = bed.scratch().join("failing");
    fs::create_dir(&stubs)?;
    for tool in ["cp", "sync", "touch"] {
        let stub = stubs.join(tool);
        fs::write(&stub, "#!/bin/sh\necho no room >&2; exit 1\n")?;
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755))?;
        let output = Command::new("bash")
            .args(["-c", &text.replace("systemctl", "echo systemctl")])
            .env("PATH", format!("{}:/usr/bin:/bin", stubs.display()))
            .output()?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(!output.status.success(), "{tool}: {out}{err}");
        assert!(!out.contains("systemctl start"), "{tool}: {out}");
        assert!(
            err.contains("no room") && err.contains("paste this again"),
            "{err}"
        );
        let mark = fs::read_to_string(bed.dataset("valkey").join("mark"))?;
        assert_eq!(mark, "now", "{tool}");
        fs::remove_file(&stub)?;
    }
    paste(&bed, &text);
    let mark = fs::read_to_string(bed.dataset("valkey").join("mark"))?;
    assert_eq!(mark, "then");
    Ok(())
}

/// Who has lost what was restored, or looks for it on the wrong disk, must not be told that it is in place.
#[test]
fn what_is_not_there_is_not_taken_for_what_is_in_place() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    let text = restore(&bed, &to, &["-q"], 0).stdout;
    let text = text.replace("systemctl", "echo systemctl");
    for lost in [
        to.join("valkey"),
        bed.dataset("valkey"),
        bed.dataset("falkordb"),
    ] {
        fs::rename(&lost, bed.scratch().join("elsewhere"))
            .or_else(|_| fs::remove_dir_all(&lost))?;
        let output = Command::new("bash").args(["-c", &text]).output()?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(!output.status.success(), "{out}{err}");
        assert!(!out.contains("systemctl start"), "{out}");
        assert!(!err.is_empty(), "{out}");
        fs::remove_dir_all(bed.scratch().join("elsewhere")).ok();
    }
    Ok(())
}

/// A plain directory in its place would do for the pod, and for no backup.
#[test]
fn where_the_subvolume_is_lost_the_commands_make_it_again_and_the_next_backup_works() -> Result<()>
{
    let bed = plain(Rclone::Old);
    let timestamp = backup(&bed);
    bed.disk().delete(bed.subvolume())?;
    put_back(&bed, "restored", &timestamp);
    let next = backup(&bed);
    assert!(bed.committed()?.contains(&next));
    Ok(())
}

#[test]
fn the_commands_fill_no_plain_directory_in_the_subvolumes_place() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    bed.disk().delete(bed.subvolume())?;
    fs::create_dir(bed.subvolume())?;
    let ran = restore(&bed, &target(&bed), &[], 0);
    let output = Command::new("bash")
        .args(["-ec", &ran.stdout.replace("systemctl", ": systemctl")])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("is no Btrfs subvolume: mount it, made anew first if it is lost"),
        "{said}"
    );
    assert_eq!(names_in(bed.subvolume()), [""; 0], "nothing was moved");
    Ok(())
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        all.push(entry.path());
        if entry.path().is_dir() {
            all.extend(walk(&entry.path()));
        }
    }
    all
}

#[test]
fn only_what_was_restored_is_moved() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    let ran = restore(&bed, &to, &["--dataset", "valkey"], 0);
    paste(&bed, &ran.stdout);
    let names = names_in(&bed.subvolume().join("containers"));
    assert_eq!(names[..2], ["falkordb", "valkey"], "{names:?}");
    assert_eq!(names.len(), 3, "{names:?}");
    Ok(())
}
