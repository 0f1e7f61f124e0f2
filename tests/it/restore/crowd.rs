//! Twenty thousand small files.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::Result;
use testbed::Rclone;
use testbed::Running;

use super::{assert_whole, plain, target, timestamp, tree};

const LIMIT: Duration = Duration::from_secs(900);

/// One backup, restored by both: that takes moto long enough.
#[test]
fn twenty_thousand_files_come_back_with_either_rclone() -> Result<()> {
    let bed = plain(Rclone::Old);
    let dir = bed.dataset("falkordb");
    for folder in 0..200 {
        let folder = dir.join(format!("{folder:03}"));
        fs::create_dir(&folder)?;
        for file in 0..100 {
            fs::write(
                folder.join(format!("{file:02}.json")),
                format!("{} {file}", folder.display()),
            )?;
        }
    }
    let ran = bed.spawn(&["run"])?.wait_timeout(LIMIT)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    let timestamp = timestamp(&bed);
    let to = target(&bed);
    for rclone in [
        &bed.tools().rclone_old,
        &bed.scratch().join("venv/bin/rclone"),
    ] {
        let first = bed.scratch().join("bin/rclone");
        fs::remove_file(&first)?;
        symlink(rclone, &first)?;
        let mut command = bed.cmd(&["restore", "--to", to.to_str().expect("text")]);
        let ran = Running::start(&mut command)?.wait_timeout(LIMIT)?;
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(tree::of(&to.join("falkordb")).len(), 1 + 1 + 200 + 20_000);
        assert_whole(&bed, &timestamp, &to);
        fs::remove_dir_all(&to)?;
    }
    Ok(())
}
