//! The configuration, as the program itself reads, refuses and prints it.
//!
//! The surprise: most of these tests have no bed. `config` needs no host, so they run where there is none: an empty
//! environment, a user who may do nothing.

mod disabled;
mod nothing_touched;
mod refusals;
mod sources;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testbed::{Ran, Running};

use crate::support::BIN;

/// Nobody, as Debian and NixOS number it.
const NOBODY: &str = "65534";

/// A folder with the program and a configuration, which everybody may read.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ocb-config-")
            .tempdir_in("/var/tmp");
        let dir = dir.expect("a folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        // The target directory may lie in a home that nobody else may enter.
        // Another process copies: a file that we had open for writing could not be executed as long as a child
        // that another thread is just starting holds it too.
        let copied = Command::new("cp")
            .arg(BIN)
            .arg(dir.path().join("opencode-backup"))
            .status();
        assert!(copied.expect("cp").success());
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// The program as nobody, with no environment at all.
    fn cmd(&self, args: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.args([
            "--inh-caps=-all",
            "--bounding-set=-all",
            "--no-new-privs",
            "--",
        ]);
        command.arg(self.path().join("opencode-backup")).args(args);
        command.env_clear().current_dir("/");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.cmd(args))
    }

    /// `--config` with this text.
    fn with(&self, text: &str, args: &[&str]) -> Ran {
        let path = self.write("config.toml", text);
        let path = path.to_string_lossy();
        let mut words = vec!["--config", path.as_ref()];
        words.extend(args);
        self.run(&words)
    }
}

fn run(command: &mut Command) -> Ran {
    let running = Running::start(command).expect("started");
    running
        .wait_timeout(Duration::from_secs(30))
        .expect("an end")
}

#[track_caller]
fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}
