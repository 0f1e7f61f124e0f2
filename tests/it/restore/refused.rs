//! Where nothing is restored to, and that nothing changes there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use testbed::disk::Mount;
use testbed::{Bed, Rclone};

use super::{backup, names_in, plain, restore, target, tree};

/// Refused with exit code 3, in these words, and nothing in the scratch directory is another than before.
#[track_caller]
fn refused(bed: &Bed, to: &Path, says: &[&str]) {
    let before = everything(bed);
    let ran = restore(bed, to, &[], 3);
    for word in says {
        assert!(ran.stderr.contains(word), "{word:?}: {ran}");
    }
    assert_eq!(ran.stdout, "", "{ran}");
    assert_eq!(everything(bed), before, "{ran}");
}

/// Names, types and times of all that a restore could have touched.
#[track_caller]
fn everything(bed: &Bed) -> String {
    let mut find = Command::new("find");
    find.arg(bed.scratch()).args([
        "-path",
        "*/venv",
        "-prune",
        "-o",
        "-not",
        "-name",
        "fs.img",
        "-printf",
        "%p %y %T@ %m %u %s\\n",
    ]);
    let output = find.output().expect("find");
    let mut lines: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_place_that_holds_something_is_left_as_it_is() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    fs::create_dir(&to)?;
    fs::write(to.join(".hidden"), "mine")?;
    refused(
        &bed,
        &to,
        &["restored is not empty", ".hidden", "absent or empty"],
    );

    let file = bed.scratch().join("file");
    fs::write(&file, "mine")?;
    refused(&bed, &file, &["is not a directory", "absent or empty"]);

    let (empty, link) = (bed.scratch().join("empty"), bed.scratch().join("link"));
    fs::create_dir(&empty)?;
    symlink(&empty, &link)?;
    refused(&bed, &link, &["is not a directory"]);
    symlink("/no/such/place", bed.scratch().join("dangling"))?;
    refused(
        &bed,
        &bed.scratch().join("dangling"),
        &["is not a directory"],
    );

    refused(
        &bed,
        &bed.scratch().join("no/such/parent"),
        &["no/such", "must be there", "create it"],
    );
    refused(&bed, &file.join("below"), &["file"]);
    let ran = bed.run(&["restore", "--to", "/"])?;
    assert_eq!(ran.code, Some(3), "{ran}");
    let ran = bed.run(&["restore", "--to", ""])?;
    assert!(matches!(ran.code, Some(2 | 3)), "{ran}");
    let ran = bed.run(&["restore"])?;
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("--to"), "{ran}");
    Ok(())
}

#[test]
fn a_mount_point_that_holds_something_is_left_as_it_is() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    let _mount = Mount::tmpfs(&to)?;
    fs::create_dir(to.join("valkey"))?;
    fs::write(to.join("valkey/dump.rdb"), "mine")?;
    refused(&bed, &to, &["is not empty", "valkey"]);
    Ok(())
}

#[test]
fn the_live_tree_and_the_snapshots_are_never_written_to() -> Result<()> {
    let bed = plain(Rclone::Old);
    let timestamp = backup(&bed);
    let live = bed.dataset("falkordb");
    let snapshot = bed.snapshot_dir().join(format!("persist-{timestamp}"));
    let way = bed.scratch().join("way");
    symlink(bed.subvolume(), &way)?;
    let above: PathBuf = bed.subvolume().join("containers");
    for to in [
        live.clone(),
        live.join("restored"),
        above.clone(),
        bed.subvolume().to_owned(),
        way.join("containers/falkordb/restored"),
        way.join("containers/../containers/falkordb/x"),
        bed.snapshot_dir().to_owned(),
        bed.snapshot_dir().join("restored"),
        snapshot.join("restored"),
        bed.disk().path().to_owned(),
    ] {
        refused(&bed, &to, &["nothing was restored"]);
    }
    refused(
        &bed,
        &live.join("restored"),
        &["belongs to the live tree", "restore somewhere else"],
    );

    // The day of the disaster: the datasets are gone, or empty. Their place is still the live one.
    fs::remove_dir_all(&live)?;
    refused(&bed, &live, &["belongs to the live tree"]);
    fs::create_dir(&live)?;
    refused(&bed, &live, &["belongs to the live tree"]);
    fs::remove_dir(&live)?;
    fs::remove_dir_all(&above)?;
    refused(&bed, &above, &["belongs to the live tree"]);
    Ok(())
}

#[test]
fn a_place_without_room_is_refused_before_anything_is_fetched() -> Result<()> {
    let bed = plain(Rclone::Old);
    let big = fs::File::create(bed.dataset("valkey").join("big"))?;
    big.set_len(80 << 20)?;
    backup(&bed);
    let to = target(&bed);
    let _mount = Mount::tmpfs(&to)?;
    let relay = bed.relay()?;
    let ran = restore(&bed, &to, &[], 1);
    for word in [
        "80.0 MiB are to come",
        "64.0 MiB free",
        "choose a larger file system",
    ] {
        assert!(ran.stderr.contains(word), "{word:?}: {ran}");
    }
    assert_eq!(names_in(&to), [""; 0]);
    assert!(
        !relay.requests().iter().any(|r| r.path.contains("/big")),
        "nothing of it was fetched"
    );
    // A part that fits, fits.
    restore(&bed, &to, &["--dataset", "falkordb"], 0);
    assert_eq!(names_in(&to), ["falkordb"]);
    tree::assert_same(&bed.dataset("falkordb"), &to.join("falkordb"));
    Ok(())
}
