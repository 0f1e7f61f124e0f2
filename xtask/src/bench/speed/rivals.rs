//! How each rival does a work: the command that is measured, and what it needs
//! before it, which is not.
//!
//! The surprise: nobody exports. The export is another program's work, the same
//! for everybody who has it in his flow, and restic and bare rclone have not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::process::{PATH, run, tethered};
use testbed::s3::{APP_KEY, KEY_ID};

use super::ground::Ground;
use super::route::{Kind, Rival, Route, Work};

/// One rival's series of works on one kind of data.
pub struct Series<'a> {
    pub(super) ground: &'a Ground,
    pub(super) route: Route,
    pub(super) kind: Kind,
    pub(super) rival: Rival,
    /// Backups so far.
    done: usize,
    /// restic's last snapshot.
    parent: Option<String>,
}

impl<'a> Series<'a> {
    /// Begins one: on ground that has been reset.
    pub fn new(ground: &'a Ground, route: Route, kind: Kind, rival: Rival) -> Result<Self> {
        ground.choose(kind)?;
        let series = Self {
            ground,
            route,
            kind,
            rival,
            done: 0,
            parent: None,
        };
        if rival == Rival::Restic {
            fs::remove_dir_all(series.cache()).ok();
            run(series.restic(&series.past_the_link()).arg("init")).context("restic init")?;
        }
        Ok(series)
    }

    /// The command that does the work. What has to change has changed.
    pub fn command(&self, work: Work) -> Result<Command> {
        match self.rival {
            Rival::Script => {
                self.ground.next_second()?;
                self.shell(&self.script())
            }
            Rival::Ours => {
                self.ground.next_second()?;
                Ok(self.ground.bed.cmd(&["run"]))
            }
            Rival::Restic => {
                let snapshot = self.ground.snapshot()?;
                let mut command = self.restic(&self.ground.link.endpoint());
                // From within: a snapshot's own path differs each time, and files at
                // another path would be read again.
                command.current_dir(snapshot.join("containers"));
                command
                    .args(["backup", "--quiet"])
                    .args(self.kind.datasets());
                if let Some(parent) = &self.parent {
                    command.args(["--parent", parent]);
                }
                Ok(command)
            }
            Rival::Bare => {
                let snapshot = self.ground.snapshot()?;
                self.shell(&self.by_hand(&snapshot, work))
            }
        }
    }

    /// What has to be looked at after a work, before the next.
    pub fn after(&mut self, work: Work) -> Result<()> {
        self.done += 1;
        if self.rival != Rival::Restic {
            return self.check_names(work);
        }
        let listed = run(self
            .restic(&self.past_the_link())
            .args(["snapshots", "--json"]))?;
        let listed: Value = serde_json::from_str(&listed).context("restic's snapshots")?;
        let all = listed.as_array().context("restic's list")?;
        ensure!(
            all.len() == self.done,
            "restic has {} of {}",
            all.len(),
            self.done
        );
        let last = all
            .iter()
            .max_by_key(|one| one["time"].as_str().unwrap_or_default());
        let id = last.and_then(|last| last["id"].as_str()).context("an id")?;
        self.parent = Some(id.to_owned());
        Ok(())
    }

    /// A rival that stores less than the others would be no rival: each backup has
    /// all files below a name of its own.
    fn check_names(&self, work: Work) -> Result<()> {
        let bed = &self.ground.bed;
        let stored = bed
            .keys()?
            .into_iter()
            .filter(|key| !key.starts_with("manifests/"));
        let files: usize = self
            .kind
            .datasets()
            .iter()
            .map(|name| files(&bed.dataset(name)))
            .sum();
        let (stored, wanted) = (stored.count(), files * self.done);
        let who = self.rival.name();
        ensure!(
            stored == wanted,
            "{who}, {}: {stored} objects, not {wanted}",
            work.name()
        );
        Ok(())
    }

    /// The document's flow, word for word, but for the paths.
    fn script(&self) -> String {
        let bed = &self.ground.bed;
        let (persist, snapshots) = (bed.subvolume().display(), bed.snapshot_dir().display());
        let (bucket, endpoint) = (bed.bucket(), self.ground.link.addr());
        let mut script = format!(
            "TIMESTAMP=$(date -u +%Y-%m-%dT%H-%M-%SZ)\n\
             btrfs subvolume snapshot {persist} {snapshots}/persist-$TIMESTAMP\n"
        );
        for name in self.kind.datasets() {
            script += &format!(
                "rclone sync {persist}/containers/{name} s3:{bucket}/{name}-$TIMESTAMP \
                 --s3-provider Other --s3-endpoint http://{endpoint}\n"
            );
        }
        script
            + &format!(
                "find {snapshots}/ -maxdepth 1 -mtime +30 -type d -exec btrfs subvolume delete {{}} \\;\n"
            )
    }

    /// rclone side by side, with the flags that were quickest of those we tried.
    fn by_hand(&self, snapshot: &Path, work: Work) -> String {
        let (bucket, now) = (self.ground.bed.bucket(), self.done + 1);
        let endpoint = self.ground.link.endpoint();
        let mut script = String::new();
        for name in self.kind.datasets() {
            let source = snapshot.join("containers").join(name);
            let how = self.by_hand_flags(name, work);
            script += &format!(
                "rclone {how} {} s3:{bucket}/{name}-{now} --s3-provider Other \
                 --s3-endpoint {endpoint} --s3-no-check-bucket --s3-no-head & all=\"$all $!\"\n",
                source.display()
            );
        }
        script + "for one in $all; do wait \"$one\"; done\n"
    }

    /// Measured on each link, two or three times beside each other:
    /// - No listing of what is known to be empty saves two round trips.
    /// - From 256 MiB on rclone 1.75 cuts a file into parts whatever the cut-off says,
    ///   and then takes an object that it has not looked at for empty: not with
    ///   `--multi-thread-streams 0`.
    /// - Large files over the far link: parts of 8 MiB, 16 of a file at once, take
    ///   3.7 s for 256 MiB; parts of 16 MiB 4.2 s, one request each 4.3 s, since one
    ///   connection's window is a fifth of the link. On loopback one request each is
    ///   quickest, since parts are signed with a SHA-256.
    /// - Changes in large files: `--copy-dest`, 2.3 s with none; to copy between the
    ///   prefixes and sync after that takes 2.6 s.
    /// - Small files: 64 at once, and all of them again where nothing has changed: one
    ///   round trip each. 500 of them took 1.3 s over the far link; a copy within the
    ///   bucket, which is a HEAD and a COPY each, and a sync by checksum, 3.0 s.
    ///
    /// `--s3-disable-checksum` would save a reading, and nobody could ever check what
    /// is stored; that is not the best by anyone's hand.
    fn by_hand_flags(&self, name: &str, work: Work) -> String {
        const NEW: &str = "copy --no-check-dest --no-traverse --s3-no-head-object";
        if name == "files" {
            return format!("{NEW} --transfers 64 --checkers 64");
        }
        let parts = match self.route {
            Route::Loopback => "--s3-upload-cutoff 5G",
            _ => "--s3-upload-cutoff 8M --s3-chunk-size 8M --s3-upload-concurrency 16",
        };
        let how = match work {
            Work::First => NEW.to_owned(),
            _ => {
                let (bucket, last) = (self.ground.bed.bucket(), self.done);
                format!("sync --copy-dest s3:{bucket}/{name}-{last}")
            }
        };
        format!("{how} --transfers 16 --checkers 16 --multi-thread-streams 0 {parts}")
    }

    fn shell(&self, script: &str) -> Result<Command> {
        let bed = &self.ground.bed;
        let file = bed.scratch().join("rival.sh");
        fs::write(&file, format!("set -e\n{script}"))?;
        let mut command = tethered("sh");
        command.arg(file).env_clear().current_dir("/");
        command.env(
            "PATH",
            format!("{}:{PATH}", bed.scratch().join("bin").display()),
        );
        for (name, value) in [
            ("RCLONE_CONFIG", ""),
            ("RCLONE_CONFIG_S3_TYPE", "s3"),
            ("RCLONE_CONFIG_S3_ENV_AUTH", "true"),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", APP_KEY),
        ] {
            command.env(name, value);
        }
        Ok(command)
    }

    fn cache(&self) -> PathBuf {
        self.ground.bed.scratch().join("restic-cache")
    }

    /// For what is not measured.
    fn past_the_link(&self) -> String {
        self.ground.bed.s3().endpoint()
    }

    fn restic(&self, endpoint: &str) -> Command {
        let mut command = tethered("restic");
        command.env_clear().env("PATH", PATH).current_dir("/");
        let bucket = self.ground.bed.bucket();
        command.env(
            "RESTIC_REPOSITORY",
            format!("s3:{endpoint}/{bucket}/restic"),
        );
        command.env("RESTIC_PASSWORD", "not a secret");
        command.env("RESTIC_CACHE_DIR", self.cache());
        command.env("AWS_ACCESS_KEY_ID", KEY_ID);
        command.env("AWS_SECRET_ACCESS_KEY", APP_KEY);
        command
    }

    /// Whether restic can read back all that it has stored.
    pub fn restic_check(&self) -> Result<()> {
        let mut check = self.restic(&self.past_the_link());
        run(check.args(["check", "--read-data", "--quiet"])).map(drop)
    }
}

fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.path() {
        path if path.is_dir() => files(&path),
        _ => 1,
    });
    each.sum()
}
