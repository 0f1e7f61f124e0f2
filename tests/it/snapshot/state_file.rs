//! The state file: wanted, and never worth a backup.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use anyhow::Result;
use testbed::disk::Mount;

use crate::support::{bed, expect};

#[test]
fn a_state_file_that_cannot_be_written_is_a_warning_and_no_lost_backup() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    let state = bed.scratch().join("state");
    let read_only = Mount::bind(&state, &state, true)?;
    let ran = expect(&bed, &["run"], 0);
    assert_eq!(bed.committed()?.len(), 1);
    let path = bed.state_path().to_string_lossy().into_owned();
    for part in [
        path.as_str(),
        "could not be written",
        "Read-only file system",
        "report.state_file",
    ] {
        assert!(ran.stderr.contains(part), "{part:?} in {ran}");
    }
    assert!(!bed.state_path().exists());
    drop(read_only);

    // Its folder is a file.
    let nowhere = bed.env_path().join("last-run.json");
    bed.set("report.state_file", nowhere.to_string_lossy().into_owned())?;
    let ran = expect(&bed, &["run"], 0);
    assert_eq!(bed.committed()?.len(), 2);
    assert!(ran.stderr.contains(&*nowhere.to_string_lossy()), "{ran}");
    Ok(())
}

#[test]
fn a_link_planted_where_the_state_file_goes_is_replaced_and_not_followed() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    let precious = bed.scratch().join("precious");
    fs::write(&precious, "precious")?;
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o600))?;
    symlink(&precious, bed.state_path())?;
    expect(&bed, &["run"], 0);
    assert_eq!(fs::read_to_string(&precious)?, "precious");
    assert_eq!(
        fs::metadata(&precious)?.permissions().mode() & 0o7777,
        0o600
    );
    let metadata = fs::symlink_metadata(bed.state_path())?;
    assert!(metadata.is_file());
    // Monitoring runs as somebody else, and reads it.
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o644);
    assert_eq!(bed.state()?["exit_code"], 0);
    assert_eq!(
        fs::read_dir(bed.scratch().join("state"))?.count(),
        1,
        "no temporary file stays"
    );
    Ok(())
}

#[test]
fn a_named_pipe_planted_where_the_state_file_goes_holds_nothing_up() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    nix::unistd::mkfifo(
        &bed.state_path(),
        nix::sys::stat::Mode::from_bits_truncate(0o666),
    )?;
    let ran = bed.spawn(&["run"])?.wait_timeout(Duration::from_secs(60))?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.state()?["exit_code"], 0);
    Ok(())
}
