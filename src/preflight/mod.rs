//! Everything that has to hold before a run touches anything: found all at once, each with its remedy.
//!
//! The bucket is not read here: if it is unreachable, the run still takes its snapshot.

mod file_system;
mod reach;
pub(crate) mod remote;
mod trust;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::host::Host;
use crate::process::Capability;
use crate::snapshots::SnapshotName;
use crate::timestamp::Timestamp;
use crate::tools::btrfs::Btrfs;
use crate::tools::rclone::Rclone;
use crate::tools::{NotFound, export};

/// How a prerequisite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// The run continues; the operator should look at it.
    Warning,
    /// The run does not start.
    Unmet,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub what: String,
    /// Whether it is met.
    pub state: State,
    pub found: String,
    /// What to do; absent where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The verdict of a run reports the free space by itself.
    #[serde(skip)]
    pub is_free_space: bool,
}

impl Check {
    pub(crate) fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            state: State::Ok,
            found: found.into(),
            remedy: None,
            is_free_space: false,
        }
    }

    pub(crate) fn unmet(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            state: State::Unmet,
            found: found.into(),
            remedy: Some(remedy.into()),
            is_free_space: false,
        }
    }

    pub(crate) fn warning(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            ..Self::unmet(what, found, remedy)
        }
    }
}

/// What a run needs, made only by [`prepare`].
pub(crate) struct Ready {
    pub btrfs: Btrfs,
    /// rclone and the remote.
    pub rclone: Rclone,
    /// The export's program; `None` where it is switched off.
    pub export: Option<PathBuf>,
}

/// Examines every prerequisite; with all of them met, there is a [`Ready`]. `check` requests rclone's version always,
/// other commands only where rclone has a configured value to check.
pub(crate) fn prepare(host: &Host, always_version: bool) -> (Vec<Check>, Option<Ready>) {
    let mut checks = Vec::new();
    let setpriv = setpriv(&mut checks, host);
    let btrfs = btrfs_program(&mut checks, host);
    let rclone = rclone_program(&mut checks, host);
    let export = export_program(&mut checks, host);
    let trusted_source = host
        .config
        .source
        .as_ref()
        .is_none_or(|source| trusted(&mut checks, "the configuration", source, host));
    file_system::check(&mut checks, host);
    capabilities(&mut checks, host);
    credentials(&mut checks, host);

    let rclone = setpriv
        .zip(rclone)
        .and_then(|(setpriv, program)| remote_at(host, program, &setpriv))
        .filter(|_| trusted_source);
    if let Some(rclone) = &rclone
        && (always_version || remote::is_configured(host))
    {
        let check = remote::version(host, rclone);
        // A signal interrupts rclone too; the run then ends because of the signal.
        if host.interrupt.signal().is_none() {
            checks.push(check);
        }
    }
    let met = checks.iter().all(|check| check.state != State::Unmet);
    let ready = rclone
        .zip(btrfs)
        .filter(|_| met)
        .map(|(rclone, btrfs)| Ready {
            btrfs: Btrfs {
                program: btrfs,
                runner: rclone.runner.clone(),
            },
            rclone,
            export,
        });
    (checks, ready)
}

/// `None` where it is disabled or not there.
fn export_program(checks: &mut Vec<Check>, host: &Host) -> Option<PathBuf> {
    if !host.config.export.enable {
        checks.push(Check::ok("export", "switched off (export.enable = false)"));
        return None;
    }
    let program = tool(
        checks,
        "the export's program",
        &host.programs.export,
        "install it, name it absolutely in export.command, or set export.enable = false",
        host,
    );
    script(checks, host);
    program
}

/// rclone alone, for commands that only ask the bucket.
///
/// # Errors
/// What is missing, and the remedy.
pub(crate) fn rclone(host: &Host) -> Result<Rclone, Vec<Check>> {
    let mut checks = Vec::new();
    if let Some(source) = &host.config.source {
        trusted(&mut checks, "the configuration", source, host);
    }
    let met = checks.iter().all(|check| check.state != State::Unmet);
    let setpriv = setpriv(&mut checks, host);
    let rclone = rclone_program(&mut checks, host);
    credentials(&mut checks, host);
    let found = setpriv
        .zip(rclone)
        .filter(|_| met)
        .and_then(|(setpriv, program)| remote_at(host, program, &setpriv));
    found.ok_or_else(|| {
        checks
            .into_iter()
            .filter(|check| check.state == State::Unmet)
            .collect()
    })
}

fn remote_at(host: &Host, program: PathBuf, setpriv: &Path) -> Option<Rclone> {
    Some(Rclone {
        program,
        remote: host.config.remote.clone(),
        credentials: host.credentials.as_ref().ok()?.clone(),
        runner: host.runner(setpriv.to_owned()),
    })
}

/// btrfs-progs alone, for commands that only look at snapshots.
pub(crate) fn btrfs(host: &Host) -> Option<Btrfs> {
    let mut checks = Vec::new();
    let setpriv = setpriv(&mut checks, host)?;
    let program = btrfs_program(&mut checks, host)?;
    Some(Btrfs {
        program,
        runner: host.runner(setpriv),
    })
}

/// A check that is unmet if this timestamp already has a snapshot. The run checks the bucket itself.
pub(crate) fn taken_locally(host: &Host, timestamp: Timestamp) -> Option<Check> {
    let path = SnapshotName::of(&host.config.subvolume, timestamp).path(&host.config.snapshot_dir);
    path.symlink_metadata().is_ok().then(|| {
        Check::unmet(
            "the timestamp is free",
            format!("{} is already there", path.display()),
            "wait a second; if the clock was set back, wait until it has passed the newest snapshot",
        )
    })
}

fn setpriv(checks: &mut Vec<Check>, host: &Host) -> Option<PathBuf> {
    let found = &host.programs.setpriv;
    tool(checks, "setpriv", found, "install util-linux", host)
}

fn btrfs_program(checks: &mut Vec<Check>, host: &Host) -> Option<PathBuf> {
    let found = &host.programs.btrfs;
    tool(checks, "btrfs", found, "install btrfs-progs", host)
}

fn rclone_program(checks: &mut Vec<Check>, host: &Host) -> Option<PathBuf> {
    let found = &host.programs.rclone;
    tool(
        checks,
        "rclone",
        found,
        "install rclone, 1.60 or newer",
        host,
    )
}

fn tool(
    checks: &mut Vec<Check>,
    what: &str,
    found: &Result<PathBuf, NotFound>,
    remedy: &str,
    host: &Host,
) -> Option<PathBuf> {
    match found {
        Ok(path) => trusted(checks, what, path, host).then(|| path.clone()),
        Err(problem) => {
            checks.push(Check::unmet(what, problem.to_string(), remedy));
            None
        }
    }
}

/// With capabilities, only files that no other user can change are run or read.
fn trusted(checks: &mut Vec<Check>, what: &str, path: &Path, host: &Host) -> bool {
    let shown = path.display().to_string();
    if host.capabilities.effective.is_empty() {
        checks.push(Check::ok(what, shown));
        return true;
    }
    match trust::weakness(path) {
        None => {
            checks.push(Check::ok(what, shown));
            true
        }
        Some(weakness) => {
            checks.push(Check::unmet(
                format!("{what} can be changed by root alone"),
                format!("{shown}: {weakness}"),
                "we hold capabilities, so it would run with more rights than its writer has: chown it to root and chmod go-w",
            ));
            false
        }
    }
}

/// Arguments of the export that are files: scripts, as far as we are concerned.
fn script(checks: &mut Vec<Check>, host: &Host) {
    for argument in host
        .config
        .export
        .command
        .iter()
        .skip(1)
        .filter(|argument| argument.starts_with('/'))
    {
        let path = Path::new(argument);
        match path.symlink_metadata() {
            Ok(_) => {
                trusted(checks, "the export's script", path, host);
                checks.extend(reach::closed(path).map(|closed| {
                    Check::warning(
                        "the export can read its script",
                        closed,
                        "the export runs without capabilities: open the way for this user (chmod o+x, o+r on the file), or \
                         bind the folder into the unit (BindReadOnlyPaths=)",
                    )
                }));
            }
            // This user may lack access where the export's unit has it: a warning only.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                checks.push(Check::warning(
                    "the export's script",
                    format!("{argument} cannot be looked at: {error}"),
                    "make the folders on its way searchable for the user of this service",
                ))
            }
            Err(error) => checks.push(Check::unmet(
                "the export's script",
                format!("{argument}: {error}"),
                "put it there, correct export.command, or set export.enable = false",
            )),
        }
    }
}

/// Whether children inherit the capability: for root always, for another user only if it is ambient.
fn has(host: &Host, capability: Capability) -> bool {
    let capabilities = host.capabilities;
    capabilities.effective.has(capability)
        && (nix::unistd::geteuid().is_root() || capabilities.ambient.has(capability))
}

fn capabilities(checks: &mut Vec<Check>, host: &Host) {
    let needed = [
        Capability::Fowner,
        Capability::DacReadSearch,
        Capability::SysAdmin,
    ];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|needed| !has(host, *needed))
        .map(Capability::name)
        .collect();
    let what = "capabilities";
    checks.push(if missing.is_empty() {
        Check::ok(what, needed.map(Capability::name).join(", "))
    } else {
        Check::unmet(
            what,
            format!("{} missing", missing.join(", ")),
            "run it as root, or as a unit with AmbientCapabilities=CAP_FOWNER CAP_DAC_READ_SEARCH CAP_SYS_ADMIN",
        )
    });
}

fn credentials(checks: &mut Vec<Check>, host: &Host) {
    let open = |path: &PathBuf| {
        let mode = path.metadata().map_or(0, |metadata| metadata.mode());
        mode & 0o004 != 0
    };
    checks.push(match &host.credentials {
        Ok(credentials) if credentials.file.as_ref().is_some_and(open) => Check::warning(
            "credentials",
            format!("from {}, which everybody may read", credentials.origin),
            "chmod o= on it, and make a new key if others use this machine",
        ),
        Ok(credentials) => Check::ok("credentials", format!("from {}", credentials.origin)),
        Err(problem) => Check::unmet(
            "credentials",
            problem.to_string(),
            "set B2_KEY_ID and B2_APP_KEY, both, in the environment or in a file named by --env-file or env_file",
        ),
    });
}

/// What the export may call its object, for a person.
pub(crate) fn export_object_pattern() -> String {
    format!("{}*{}", export::OBJECT_START, export::OBJECT_END)
}
