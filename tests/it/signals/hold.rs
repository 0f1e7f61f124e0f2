//! Holding a run in one of its stages, and what has to be true after it was stopped there.
//!
//! Stages are held from outside: by a relay that answers nothing, by a `btrfs` that waits for a file, by an
//! export that never ends. So a test knows where the run is, and waits for no clock.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use testbed::relay::{Relay, Rule, RuleId};
use testbed::{Bed, Ran, Running, Signal};

use crate::support::{bed, expect, wrap};

/// For anything that has to happen soon.
pub const SOON: Duration = Duration::from_secs(20);
/// The time that a stop may take: the children's grace of 8 s, and some.
pub const STOP: Duration = Duration::from_secs(15);
/// A snapshot that retention wants to delete.
pub const OLD: &str = "persist-2020-01-01T00-00-00Z";

/// Where a run is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The question to the bucket is not answered.
    Question,
    /// The started mark is not accepted.
    Mark,
    /// btrfs has been called and did nothing yet.
    BeforeSnapshot,
    /// btrfs made the snapshot and has not ended yet.
    AfterSnapshot,
    /// A file of many GiB is being read, while its upload stands still.
    Contents,
    /// A dataset's objects are not accepted.
    Upload,
    /// The listing of what arrived is not answered.
    Verify,
    /// The script never ends.
    Export,
    /// The manifest is not accepted.
    Commit,
    /// The manifest is stored, and not given back.
    ReadBack,
    /// The manifest is proven, and the started mark not yet gone.
    Withdraw,
    /// btrfs has been called to delete a snapshot.
    Retention,
}

impl Stage {
    /// What the verdict may call it: somebody reads it at three in the morning.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Question | Self::Mark => &["mark"],
            Self::BeforeSnapshot | Self::AfterSnapshot => &["snapshot"],
            Self::Contents => &["contents", "upload"],
            Self::Upload => &["upload"],
            Self::Verify => &["verify", "upload"],
            Self::Export => &["export", "upload"],
            Self::Commit | Self::ReadBack => &["commit"],
            Self::Withdraw => &["commit", "retention"],
            Self::Retention => &["retention"],
        }
    }

    /// Whether there is a snapshot by then.
    fn has_snapshot(self) -> bool {
        !matches!(self, Self::Question | Self::Mark | Self::BeforeSnapshot)
    }

    /// Whether the manifest is in the bucket by then.
    fn is_committed(self) -> bool {
        matches!(self, Self::ReadBack | Self::Withdraw | Self::Retention)
    }
}

/// A bed whose runs are held.
pub struct Hold {
    pub bed: Bed,
    stage: Stage,
    relay: Relay,
    rule: Option<RuleId>,
    /// What was there before the run that is held.
    before: BTreeSet<String>,
    committed: BTreeSet<String>,
}

impl Hold {
    /// Makes the bed.
    pub fn new(stage: Stage) -> Self {
        let bed = bed();
        let relay = bed.relay().expect("a relay");
        let quick = ["--retries=1", "--low-level-retries=2"];
        bed.set("remote.extra_args", quick.map(toml::Value::from).to_vec())
            .expect("a setting");
        let (held, go) = (bed.scratch().join("held"), bed.scratch().join("go"));
        let wait = format!(
            ": > {}; while [ ! -e {} ]; do sleep 0.02; done",
            held.display(),
            go.display()
        );
        match stage {
            Stage::BeforeSnapshot => wrap(
                &bed,
                "btrfs",
                &format!("[ $2 != snapshot ] || {{ {wait}; }}\nexec \"$REAL\" \"$@\""),
            ),
            Stage::AfterSnapshot => wrap(
                &bed,
                "btrfs",
                &format!("\"$REAL\" \"$@\" || exit\n[ $2 != snapshot ] || {{ {wait}; }}"),
            ),
            Stage::Retention => {
                bed.set("retention.min_keep", 1).expect("a setting");
                let old = bed.snapshot_dir().join(OLD);
                bed.disk()
                    .snapshot(bed.subvolume(), &old, true)
                    .expect("an old snapshot");
                wrap(
                    &bed,
                    "btrfs",
                    &format!("[ $2 != delete ] || {{ {wait}; }}\nexec \"$REAL\" \"$@\""),
                );
            }
            Stage::Contents => {
                let big = bed.dataset("falkordb").join("huge.bin");
                let file = File::create(big).expect("a file");
                file.set_len(1 << 34).expect("16 GiB of nothing");
            }
            Stage::Export => bed.export_mode("hang").expect("a mode"),
            _ => {}
        }
        let mut hold = Self {
            bed,
            stage,
            relay,
            rule: None,
            before: BTreeSet::new(),
            committed: BTreeSet::new(),
        };
        hold.remember();
        hold
    }

    fn remember(&mut self) {
        self.before = self.snapshots();
        self.committed = self.bed.committed().expect("names").into_iter().collect();
    }

    fn snapshots(&self) -> BTreeSet<String> {
        let all = self.bed.snapshots().expect("names");
        all.into_iter().collect()
    }

    fn rule(&self) -> Option<Rule> {
        Some(match self.stage {
            Stage::Question => Rule::on("GET").query("prefix=").stall(),
            Stage::Mark => Rule::on("PUT").path(".started.json").stall(),
            Stage::Contents | Stage::Upload => Rule::on("PUT").path("/falkordb-").stall(),
            // The upload lists its target with a delimiter, the comparison all that is below it.
            Stage::Verify => Rule::on("GET")
                .query("delimiter=&max-keys=1000&prefix=falkordb-")
                .stall(),
            Stage::Commit => Rule::on("PUT").path("Z.json").stall(),
            // The last backup's manifest is read first, where there is one.
            Stage::ReadBack => Rule::on("GET")
                .path("Z.json")
                .skip(usize::from(!self.committed.is_empty()))
                .stall(),
            Stage::Withdraw => Rule::on("DELETE").path(".started.json").stall(),
            _ => return None,
        })
    }

    /// Starts a run and waits until it is held.
    pub fn start(&mut self) -> Running {
        self.start_cmd(|bed| bed.spawn(&["run"]).expect("the binary starts"))
    }

    /// The same for a run that is started some other way.
    pub fn start_cmd(&mut self, start: impl FnOnce(&Bed) -> Running) -> Running {
        self.a_new_second();
        fs::remove_file(self.bed.scratch().join("held")).ok();
        self.remember();
        self.relay.clear();
        self.rule = self.rule().map(|rule| self.relay.rule(rule));
        let mut run = start(&self.bed);
        let held = self.bed.scratch().join("held");
        let (relay, rule) = (&self.relay, self.rule);
        let is_held = |run: &Running| match (self.stage, rule) {
            (_, Some(rule)) => relay.hits(rule) > 0,
            (Stage::Export, None) => run.stderr_so_far().contains("export: started"),
            _ => held.exists(),
        };
        run.wait_until(&format!("stage {:?}", self.stage), SOON, is_held)
            .expect("the run reaches the stage");
        run
    }

    /// A run's timestamp is a second: the next run waits for the next one.
    fn a_new_second(&self) {
        let second = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("after 1970").as_secs()
        };
        let started = second();
        while second() == started {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What must be true whatever stopped the run.
    #[track_caller]
    pub fn check_what_is_left(&self, ran: &Ran) {
        let left = self.bed.leftovers_after(SOON);
        assert!(left.is_empty(), "{left:#?} after {ran}");
        let new: Vec<String> = self.snapshots().difference(&self.before).cloned().collect();
        assert_eq!(
            new.len(),
            usize::from(self.stage.has_snapshot()),
            "{new:?}: {ran}"
        );
        let gone: Vec<_> = self.before.difference(&self.snapshots()).cloned().collect();
        assert!(gone.is_empty(), "{gone:?} went with {ran}");
        let committed: BTreeSet<_> = self.bed.committed().expect("names").into_iter().collect();
        let committed: Vec<_> = committed.difference(&self.committed).cloned().collect();
        assert_eq!(
            committed.len(),
            usize::from(self.stage.is_committed()),
            "{committed:?}"
        );
        let rows = self.listed();
        for name in &new {
            let timestamp = name.trim_start_matches("persist-");
            let state = state_of(&rows, timestamp);
            if self.stage.is_committed() {
                assert_eq!(state, "complete", "{timestamp} after {ran}");
            } else {
                let honest = ["incomplete", "local-only"].contains(&state);
                assert!(honest, "{timestamp} is called {state} after {ran}");
            }
        }
    }

    /// What `list` shows; all that it calls complete has to be so.
    #[track_caller]
    fn listed(&self) -> Vec<Value> {
        self.relay.clear();
        let rows = expect(&self.bed, &["list", "--json"], 0);
        let rows: Vec<Value> = serde_json::from_str(&rows.stdout).expect("rows");
        for row in rows.iter().filter(|row| row["state"] == "complete") {
            self.is_whole(row["timestamp"].as_str().expect("a timestamp"));
        }
        rows
    }

    /// Everything that the manifest names is in the bucket.
    #[track_caller]
    fn is_whole(&self, timestamp: &str) {
        let manifest = self.bed.manifest(timestamp).expect("a manifest");
        let keys = self.bed.keys().expect("names");
        assert_eq!(manifest["complete"], true, "{manifest:#}");
        let datasets = manifest["datasets"].as_array().expect("datasets");
        assert_eq!(datasets.len(), 2, "{manifest:#}");
        for dataset in datasets {
            let prefix = dataset["prefix"].as_str().expect("a prefix");
            let dump = format!("{}/dump.rdb", prefix.trim_end_matches('/'));
            assert!(keys.contains(&dump), "{dump} is not among {keys:#?}");
        }
        let object = manifest["export"]["object"].as_str().expect("an export");
        assert!(keys.iter().any(|key| key == object), "{object}: {keys:#?}");
    }

    /// What must be true of a run that could still speak.
    #[track_caller]
    pub fn check_the_verdict(&self, ran: &Ran, signal: Signal, code: i32) {
        assert_eq!(ran.code, Some(code), "{ran}");
        assert!(ran.took < SOON + STOP, "{ran}");
        let state = self.bed.state().expect("a state file");
        assert_eq!(state["exit_code"], code, "{state:#}");
        assert_eq!(state["meaning"], "interrupted", "{state:#}");
        let verdict = state["verdict"].as_str().expect("a verdict");
        assert!(verdict.contains(signal.as_str()), "{verdict}");
        assert!(ran.stderr.contains(verdict), "{ran}");
        if self.stage.has_snapshot() && !self.stage.is_committed() {
            let path = state["snapshot"]["path"].as_str();
            // Taken while we were told to stop, a snapshot may not have been looked at.
            let known = path.is_some() || self.stage == Stage::AfterSnapshot;
            assert!(known, "the snapshot that is kept is named: {state:#}");
        }
    }

    /// The stage that the state file blames.
    pub fn failed_step(&self) -> String {
        let state = self.bed.state().expect("a state file");
        state["failed_step"].as_str().unwrap_or("none").to_owned()
    }

    /// Lets go of everything; the next run has to work.
    #[track_caller]
    pub fn check_the_next_run(&self) {
        self.relay.clear();
        fs::write(self.bed.scratch().join("go"), "").expect("a file");
        match self.stage {
            Stage::Export => self.bed.export_mode("ok").expect("a mode"),
            Stage::Contents => {
                fs::remove_file(self.bed.dataset("falkordb").join("huge.bin")).expect("gone");
            }
            _ => {}
        }
        self.a_new_second();
        let ran = expect(&self.bed, &["run"], 0);
        let state = self.bed.state().expect("a state file");
        let timestamp = state["timestamp"].as_str().expect("a timestamp");
        assert_eq!(state_of(&self.listed(), timestamp), "complete", "{ran}");
        if self.stage == Stage::Retention {
            assert!(!self.snapshots().contains(OLD), "{ran}");
        }
        let left = self.bed.leftovers_after(SOON);
        assert!(left.is_empty(), "{left:#?} after {ran}");
    }
}

#[track_caller]
fn state_of<'r>(rows: &'r [Value], timestamp: &str) -> &'r str {
    let row = rows.iter().find(|row| row["timestamp"] == timestamp);
    let state = row.and_then(|row| row["state"].as_str());
    state.unwrap_or_else(|| panic!("no {timestamp} in {rows:#?}"))
}
