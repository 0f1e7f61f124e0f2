//! Everything the program under test needs, made for one test and gone after it.
//!
//! The surprise: a bed is nothing that the program can tell from a host. The
//! configuration points at a real Btrfs, a real S3 server and a real rclone;
//! only the far end of the network is on loopback.

mod builder;
mod files;
mod processes;
mod running;

use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result};

pub use builder::{Builder, Rclone, Server};
use files::write_config;
pub use processes::{Process, descendants};
pub use running::{Ran, Running};

use crate::b2::B2Stub;
use crate::clock::Clock;
use crate::disk::{Btrfs, Mount};
use crate::process::{PATH, setpriv, tethered};
use crate::provision::Tools;
use crate::relay::Relay;
use crate::s3::S3;
use crate::scratch::Scratch;

/// The user id of [`Bed::as_user`]; the datasets belong to the next one.
pub const USER: u32 = 4711;

/// How long [`Bed::run`] lets a run take.
const LIMIT: Duration = Duration::from_secs(180);

enum S3Handle {
    Shared(&'static S3),
    Own(Box<S3>),
}

impl Deref for S3Handle {
    type Target = S3;

    fn deref(&self) -> &S3 {
        match self {
            Self::Shared(s3) => s3,
            Self::Own(s3) => s3,
        }
    }
}

/// The bed. Fields are in the order in which they have to go.
pub struct Bed {
    b2: B2Stub,
    s3: S3Handle,
    clock: Option<Clock>,
    bucket: String,
    bin: PathBuf,
    subvolume: PathBuf,
    snapshot_dir: PathBuf,
    tools: Tools,
    given: OnceLock<PathBuf>,
    mounts: Vec<Mount>,
    disk: Btrfs,
    scratch: Scratch,
}

impl Bed {
    /// A bed with the defaults: one Btrfs, Debian's rclone, the shared moto.
    pub fn new(bin: &Path) -> Result<Self> {
        Self::builder(bin).build()
    }

    /// A bed with something else.
    pub fn builder(bin: &Path) -> Builder {
        Builder::new(bin)
    }

    /// The scratch directory; whatever a test mounts below it goes with it.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The Btrfs.
    pub fn disk(&self) -> &Btrfs {
        &self.disk
    }

    /// The mounts besides the Btrfs: two subvolumes, if so built, and the venv.
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The subvolume that is backed up; its last component is `persist`.
    pub fn subvolume(&self) -> &Path {
        &self.subvolume
    }

    /// Where the snapshots go.
    pub fn snapshot_dir(&self) -> &Path {
        &self.snapshot_dir
    }

    /// A dataset's live directory.
    pub fn dataset(&self, name: &str) -> PathBuf {
        self.subvolume.join("containers").join(name)
    }

    /// The tools of this machine.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The S3 server.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// The B2 stub.
    pub fn b2(&self) -> &B2Stub {
        &self.b2
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The clock; an error where the bed was built without.
    pub fn clock(&self) -> Result<&Clock> {
        self.clock
            .as_ref()
            .context("this bed was built without .clock()")
    }

    /// Puts a relay between rclone and the S3 server: the configured endpoint
    /// is the relay's from now on.
    pub fn relay(&self) -> Result<Relay> {
        let relay = Relay::start(self.s3.addr())?;
        self.set("remote.endpoint", relay.endpoint())?;
        Ok(relay)
    }

    /// The program with these arguments and a clean environment: PATH, the
    /// configuration's path, and the clock's where there is one.
    pub fn cmd(&self, args: &[&str]) -> Command {
        let words = self.words(&self.bin);
        let mut command = tethered(&words[0]);
        command.args(&words[1..]).args(args);
        self.environment(&mut command);
        command
    }

    fn words(&self, program: &Path) -> Vec<OsString> {
        let plain = || vec![program.as_os_str().to_owned()];
        self.clock
            .as_ref()
            .map_or_else(plain, |clock| clock.words(program))
    }

    fn environment(&self, command: &mut Command) {
        let path = format!("{}:{PATH}", self.scratch().join("bin").display());
        command.env_clear().env("PATH", path).current_dir("/");
        command.env("OPENCODE_BACKUP_CONFIG", self.config_path());
        // A coverage build writes its counts where it is told to.
        command.envs(env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
    }

    /// The same as the user [`USER`] with exactly the three capabilities of the
    /// unit, no new privileges; `.snapshots` and the state directory are given
    /// to that user, the program is copied to where it can be reached.
    pub fn as_user(&self, args: &[&str]) -> Result<Command> {
        let bin = self.give_to_user()?;
        let caps = "-all,+fowner,+dac_read_search,+sys_admin";
        let user = USER.to_string();
        let mut command = setpriv();
        command.args(["--pdeathsig", "KILL", "--no-new-privs", "--clear-groups"]);
        command.args(["--reuid", &user, "--regid", &user, "--bounding-set", caps]);
        command
            .args(["--inh-caps", caps, "--ambient-caps", caps, "--"])
            .args(self.words(&bin))
            .args(args);
        self.environment(&mut command);
        Ok(command)
    }

    fn give_to_user(&self) -> Result<PathBuf> {
        if let Some(bin) = self.given.get() {
            return Ok(bin.clone());
        }
        let bin = self.scratch().join("bin/opencode-backup");
        // By a child: a handle of ours on it, inherited by another test's child, would make it "busy".
        crate::process::run(Command::new("cp").arg(&self.bin).arg(&bin))
            .context("copy the binary")?;
        fs::set_permissions(&bin, fs::Permissions::from_mode(0o755))?;
        for dir in [&self.snapshot_dir, &self.scratch().join("state")] {
            chown(dir, Some(USER), Some(USER))?;
        }
        // Readable for the user's group, changeable by root alone.
        chown(self.env_path(), Some(0), Some(USER))?;
        fs::set_permissions(self.env_path(), fs::Permissions::from_mode(0o640))?;
        Ok(self.given.get_or_init(|| bin).clone())
    }

    /// Runs the program to its end; an error where that takes minutes.
    pub fn run(&self, args: &[&str]) -> Result<Ran> {
        self.run_cmd(&mut self.cmd(args))
    }

    /// Runs a command of [`Bed::cmd`] or [`Bed::as_user`] that a test changed.
    pub fn run_cmd(&self, command: &mut Command) -> Result<Ran> {
        Running::start(command)?.wait_timeout(LIMIT)
    }

    /// Starts the program.
    pub fn spawn(&self, args: &[&str]) -> Result<Running> {
        Running::start(&mut self.cmd(args))
    }

    /// A PATH with everything but these programs.
    pub fn path_without(&self, programs: &[&str]) -> Result<String> {
        let farm = self
            .scratch()
            .join(format!("bin-without-{}", programs.join("-")));
        fs::create_dir_all(&farm)?;
        let own = self.scratch().join("bin");
        for dir in PATH.rsplit(':').map(Path::new).chain([own.as_path()]) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let (name, link) = (entry.file_name(), farm.join(entry.file_name()));
                if !programs.iter().any(|program| name == *program) {
                    fs::remove_file(&link).ok();
                    symlink(entry.path(), link)?;
                }
            }
        }
        Ok(farm.to_string_lossy().into_owned())
    }

    /// Every process that mentions the scratch directory, besides the bed's own
    /// servers: `pid: command line` each. Nothing, when no orphan survives.
    pub fn leftovers(&self) -> Vec<String> {
        processes::mentioning(self.scratch(), &[self.s3.pid(), self.scratch.reaper_pid()])
    }

    /// The same, after waiting for them to go.
    pub fn leftovers_after(&self, limit: Duration) -> Vec<String> {
        let start = Instant::now();
        loop {
            let left = self.leftovers();
            if left.is_empty() || start.elapsed() > limit {
                return left;
            }
            sleep(Duration::from_millis(20));
        }
    }
}
