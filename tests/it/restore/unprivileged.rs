//! Without root, without Btrfs, without `/persist`: on a host that has nothing but rclone and the keys.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use testbed::bed::USER;
use testbed::relay::Rule;
use testbed::{Bed, Ran, Rclone, Running, Signal};

use super::SOON;
use super::by_hand::{DATA, manifest, object, store, this_host};
use super::{assert_whole, backup, names_in, plain, restore, stage, target, tree};
use crate::support::days_ago;

/// The command as a user without any capability; the home is a directory of that user.
fn as_nobody(bed: &Bed, args: &[&str]) -> Result<Command> {
    drop(bed.as_user(&[])?);
    let path = bed
        .cmd(&[])
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, path)| path.map(ToOwned::to_owned));
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
            "--no-new-privs",
        ])
        .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(bed.scratch().join("bin/opencode-backup"))
        .args(args)
        .env_clear()
        .env("PATH", path.context("a PATH")?)
        .env("OPENCODE_BACKUP_CONFIG", bed.config_path())
        .current_dir("/");
    Ok(command)
}

/// A directory of the user's.
fn home(bed: &Bed) -> Result<std::path::PathBuf> {
    let home = bed.scratch().join("home");
    fs::create_dir(&home)?;
    chown(&home, Some(USER), Some(USER))?;
    Ok(home)
}

fn nobody_restores(bed: &Bed, to: &Path, code: i32) -> Result<Ran> {
    let to = to.to_str().context("a path")?;
    let ran = bed.run_cmd(&mut as_nobody(bed, &["restore", "--to", to, "--json"])?)?;
    assert_eq!(ran.code, Some(code), "{ran}");
    Ok(ran)
}

/// The whole tree, as far as somebody who is not root can have it.
fn assert_contents(bed: &Bed, timestamp: &str, to: &Path) {
    for name in super::DATASETS {
        let snapshot = bed
            .snapshot_dir()
            .join(format!("persist-{timestamp}/containers/{name}"));
        let (mut there, mut here) = (tree::of(&snapshot), tree::of(&to.join(name)));
        for entry in here.values_mut() {
            assert_eq!(entry.owner, (USER, USER));
        }
        for entry in there.values_mut().chain(here.values_mut()) {
            entry.owner = (0, 0);
            // Another owner's set-user-id would now be ours: see the test below.
            let mode = u32::from_str_radix(&entry.mode, 8).expect("a mode") & !0o6000;
            entry.mode = format!("{mode:06o}");
        }
        tree::assert_alike(&there, &here);
    }
}

/// Files and directories that their owner may neither read nor write.
fn closed(dir: &Path) -> Result<()> {
    for mode in [0o000, 0o400, 0o500, 0o4755, 0o2711] {
        let (file, folder) = (
            dir.join(format!("file-{mode:04o}")),
            dir.join(format!("folder-{mode:04o}")),
        );
        fs::write(&file, format!("{mode:o}"))?;
        fs::create_dir_all(folder.join("empty"))?;
        fs::write(folder.join("within"), "within")?;
        symlink("within", folder.join("link"))?;
        fs::set_permissions(&folder, Permissions::from_mode(mode))?;
        fs::set_permissions(&file, Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[test]
fn without_root_the_contents_come_back_and_the_owners_are_counted() -> Result<()> {
    let bed = plain(Rclone::Old);
    closed(&bed.dataset("falkordb"))?;
    let timestamp = backup(&bed);
    let to = home(&bed)?.join("restored");
    let ran = nobody_restores(&bed, &to, 0)?;
    assert_contents(&bed, &timestamp, &to);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    let entries = super::DATASETS
        .map(|name| tree::of(&to.join(name)).len())
        .iter()
        .sum::<usize>();
    assert_eq!(told["owners_not_set"], entries, "{ran}");
    assert!(
        ran.stderr
            .contains(&format!("{entries} entries have another owner")),
        "{ran}"
    );
    Ok(())
}

/// As in a container without root, or a unit with `PrivateUsers=`: there, another user has no number at all.
#[test]
fn owners_that_are_not_known_here_are_counted_too() -> Result<()> {
    let bed = plain(Rclone::Old);
    let dump = bed.dataset("falkordb").join("dump.rdb");
    chown(&dump, Some(USER), Some(USER))?;
    chown(bed.dataset("valkey").join("dump.rdb"), Some(0), Some(0))?;
    backup(&bed);
    let to = target(&bed);
    let plain = bed.cmd(&["restore", "--json", "--to", to.to_str().context("a path")?]);
    let env = plain.get_envs();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .envs(env.filter_map(|(name, value)| Some((name, value?))));
    let ran = bed.run_cmd(&mut command)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(fs::read(to.join("falkordb/dump.rdb"))?, fs::read(&dump)?);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    let mut others = 0;
    for name in super::DATASETS {
        let owners = tree::of(&bed.dataset(name));
        others += owners
            .values()
            .filter(|entry| entry.owner != (0, 0))
            .count();
    }
    assert!(others > 0);
    assert_eq!(told["owners_not_set"], others, "{ran}");
    Ok(())
}

#[test]
fn another_owners_set_user_id_does_not_become_ours() -> Result<()> {
    let bed = plain(Rclone::Old);
    closed(&bed.dataset("falkordb"))?;
    backup(&bed);
    let to = home(&bed)?.join("restored");
    nobody_restores(&bed, &to, 0)?;
    for name in ["file-4755", "file-2711", "folder-4755"] {
        let mode = fs::symlink_metadata(to.join("falkordb").join(name))?.mode();
        assert_eq!(mode & 0o6000, 0, "{name} has {mode:o}");
    }
    // Root gets it as it was.
    let root = target(&bed);
    restore(&bed, &root, &[], 0);
    assert_eq!(
        fs::metadata(root.join("falkordb/file-4755"))?.mode() & 0o7777,
        0o4755
    );
    Ok(())
}

/// To the kernel the number means that nothing is to change: the caller's own would come with it.
#[test]
fn an_owner_who_is_no_number_gives_nobody_his_set_user_id() -> Result<()> {
    let bed = plain(Rclone::Old);
    let at = days_ago(1);
    let mut made = manifest("", &at, &this_host());
    let entry = &mut made["datasets"][0]["entries"][1];
    entry["mode"] = json!("4755");
    (entry["uid"], entry["gid"]) = (json!(u32::MAX), json!(u32::MAX));
    for name in super::DATASETS {
        object(&bed, &format!("{name}-{at}/dump.rdb"), DATA);
    }
    store(&bed, "", &at, &made);
    let to = home(&bed)?.join("restored");
    nobody_restores(&bed, &to, 0)?;
    let mode = fs::metadata(to.join("falkordb/dump.rdb"))?.mode();
    assert_eq!(mode & 0o7777, 0o755);
    Ok(())
}

#[test]
fn without_root_a_second_call_goes_on_past_what_may_not_be_read() -> Result<()> {
    let bed = plain(Rclone::Old);
    closed(&bed.dataset("falkordb"))?;
    let timestamp = backup(&bed);
    let to = home(&bed)?.join("restored");
    let relay = bed.relay()?;
    // falkordb is finished, valkey is under way.
    let held = relay.rule(Rule::on("GET").path("/valkey-").stall());
    let words = ["restore", "--to", to.to_str().context("a path")?];
    let mut run = Running::start(&mut as_nobody(&bed, &words)?)?;
    run.wait_until("the second dataset", SOON, |_| relay.hits(held) > 0)?;
    run.signal(Signal::SIGTERM)?;
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(143), "{ran}");
    assert!(!to.exists() && stage(&to, &timestamp).is_dir(), "{ran}");
    relay.clear();
    nobody_restores(&bed, &to, 0)?;
    assert_contents(&bed, &timestamp, &to);
    assert!(!stage(&to, &timestamp).exists());
    Ok(())
}

#[test]
fn a_new_host_needs_neither_btrfs_nor_the_subvolume() -> Result<()> {
    let bed = plain(Rclone::New);
    let timestamp = backup(&bed);
    bed.set("subvolume", "/nowhere/persist")?;
    bed.set("snapshot_dir", "/nowhere/snapshots")?;
    let to = home(&bed)?.join("restored");
    let words = ["restore", "--to", to.to_str().context("a path")?];
    let mut command = as_nobody(&bed, &words)?;
    command.env(
        "PATH",
        bed.path_without(&["btrfs", "mkfs.btrfs", "python3", "findmnt", "mount"])?,
    );
    let ran = bed.run_cmd(&mut command)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_contents(&bed, &timestamp, &to);
    // No configuration at all but the bucket and where it is.
    fs::write(
        bed.config_path(),
        format!(
            "[remote]\nbucket = \"{}\"\nendpoint = \"{}\"\n",
            bed.bucket(),
            bed.s3().endpoint()
        ),
    )?;
    let to = target(&bed);
    let to = to.to_str().context("a path")?;
    let keys = bed.env_path();
    let keys = keys.to_str().context("a path")?;
    let ran = bed.run_cmd(
        bed.cmd(&["--env-file", keys, "restore", "--to", to])
            .env("PATH", bed.path_without(&["btrfs"])?),
    )?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_whole(&bed, &timestamp, Path::new(to));
    assert!(ran.stdout.contains("/persist/containers/valkey"), "{ran}");
    Ok(())
}

#[test]
fn what_is_missing_is_named_with_its_remedy() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    let words = ["restore", "--to", to.to_str().context("a path")?];
    for (tool, says) in [("rclone", "install rclone"), ("setpriv", "util-linux")] {
        let ran = bed.run_cmd(bed.cmd(&words).env("PATH", bed.path_without(&[tool])?))?;
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(
            ran.stderr.contains(tool) && ran.stderr.contains(says),
            "{ran}"
        );
    }
    fs::write(bed.env_path(), "OTHER=1\n")?;
    let ran = restore(&bed, &to, &[], 3);
    assert!(ran.stderr.contains("B2_KEY_ID"), "{ran}");
    assert!(!to.exists());
    assert!(
        !names_in(bed.scratch())
            .iter()
            .any(|name| name.starts_with(".restored"))
    );
    Ok(())
}
