//! How it grows: with much data, many files, years of backups in the bucket, and
//! snapshots by the thousand.
//!
//! The surprise: the bars for time are ratios to a tenth of the amount. Something
//! that reads a list anew for each of its lines is quick enough with a hundred.

use std::path::Path;

use anyhow::{Context, Result};

use super::figures::{Figure, Figures};
use super::ground::Ground;
use super::rivals::Series;
use super::route::{Amount, Kind, Rival, Route, Work};
use super::works;
use crate::bench::Effort;
use crate::bench::measure::{self, Usage};
use crate::bench::table::Row;

const MIB: f64 = 1024.0 * 1024.0;
/// MiB of our own, whatever there is to do, …
const BASE: f64 = 16.0;
/// … and bytes for each file.
const EACH: f64 = 400.0;
/// How many times as long ten times as many may take, by each: the rest is what does not grow, and noise.
const LINEAR: f64 = 1.25;
const BOTH: [Work; 2] = [Work::First, Work::Unchanged];

/// Measures all of it.
pub fn measure(binary: &Path, effort: Effort) -> Result<Vec<Row>> {
    let (large_mib, many) = match effort {
        Effort::Full => (10 << 10, [200_000, 10_000, 5000]),
        Effort::Quick => (512, [2000, 200, 100]),
    };
    let mut rows = much_data(binary, large_mib)?;
    rows.extend(many_files(binary, many[0])?);
    rows.extend(many_backups(binary, many[1])?);
    rows.extend(many_snapshots(binary, many[2])?);
    Ok(rows)
}

/// Large files over the far link, where the link is what takes the time.
fn much_data(binary: &Path, large_mib: u64) -> Result<Vec<Row>> {
    println!("{large_mib} MiB: making the data");
    let amount = Amount {
        large_mib,
        files: 0,
    };
    let (route, kind) = (Route::Far, Kind::Large);
    let ground = Ground::new(binary, route, amount)?;
    let mut figures = Figures::default();
    for rival in [Rival::Ours, Rival::Bare, Rival::Bare, Rival::Ours] {
        let mut series = Series::new(&ground, route, kind, rival)?;
        works(&mut series, &BOTH, &mut figures)?;
        ground.reset()?;
    }
    let mut rows = Vec::new();
    for (work, bar) in [(Work::First, Some(1.05)), (Work::Unchanged, None)] {
        let cell = (route, kind, work);
        let [ours, bare] = [Rival::Ours, Rival::Bare].map(|rival| figures.of(cell, rival));
        let (ours, bare) = (ours.context("ours")?, bare.context("(d)")?);
        let what = format!("{}, 150 ms: {}", kind.name(amount), work.name());
        rows.push(Row {
            beside: format!("(d) {:.2} s", bare.wall()),
            value: ours.wall() / bare.wall(),
            bar,
            unit: "×",
            ..told(&what, ours.wall())
        });
        rows.push(own(&what, ours, 3));
    }
    Ok(rows)
}

/// Small files, and a tenth of them.
fn many_files(binary: &Path, files: usize) -> Result<Vec<Row>> {
    let (route, kind) = (Route::Loopback, Kind::Small);
    let figures = |files| -> Result<Figures> {
        println!("{files} files: making them");
        let amount = Amount {
            large_mib: 3,
            files,
        };
        let ground = Ground::new(binary, route, amount)?;
        let mut figures = Figures::default();
        let mut series = Series::new(&ground, route, kind, Rival::Ours)?;
        works(&mut series, &BOTH, &mut figures)?;
        Ok(figures)
    };
    let (few, many) = (figures(files / 10)?, figures(files)?);
    let mut rows = Vec::new();
    for work in BOTH {
        let of = |figures: &'_ Figures| {
            let figure = figures.of((route, kind, work), Rival::Ours);
            figure.cloned().context("ours")
        };
        let (few, many) = (of(&few)?, of(&many)?);
        let what = format!("{files} files of 4 KiB: {}", work.name());
        rows.push(growth(&what, few.wall(), many.wall()));
        rows.push(own(&what, &many, files));
    }
    Ok(rows)
}

/// Backups in the bucket, each of which retention has to look at.
fn many_backups(binary: &Path, backups: usize) -> Result<Vec<Row>> {
    println!("{backups} backups: making them");
    let ground = little(binary)?;
    let bed = &ground.bed;
    bed.set("retention.remote.days", 36_500)?;
    measure::usage(&mut bed.cmd(&["run"]))?;
    let made = bed.committed()?.pop().context("no backup")?;
    let keys = bed.keys()?;
    let of_it: Vec<&String> = keys.iter().filter(|key| key.contains(&made)).collect();
    let mut there = 0;
    let mut grow = |to: usize| -> Result<()> {
        for timestamp in earlier(there..to) {
            for key in &of_it {
                let bytes = bed.s3().get(bed.bucket(), key)?.context("an object")?;
                let text = String::from_utf8(bytes);
                let bytes = match text {
                    Ok(text) => text.replace(&made, &timestamp).into_bytes(),
                    Err(binary) => binary.into_bytes(),
                };
                let key = key.replace(&made, &timestamp);
                bed.s3().put(bed.bucket(), &key, &bytes)?;
            }
        }
        there = to;
        Ok(())
    };
    grow(backups / 10)?;
    let commands: [&[&str]; 3] = [&["list"], &["prune", "--remote", "--dry-run"], &["run"]];
    let few = middles(&ground, &commands)?;
    grow(backups)?;
    let many = middles(&ground, &commands)?;
    let there = format!("{backups} backups in the bucket");
    Ok(rows_of(&there, &commands, &few, &many))
}

/// Snapshots beside the subvolume, each of which has to be told from a stranger's.
fn many_snapshots(binary: &Path, snapshots: usize) -> Result<Vec<Row>> {
    println!("{snapshots} snapshots: making them");
    let ground = little(binary)?;
    let bed = &ground.bed;
    bed.set("retention.days", 36_500)?;
    measure::usage(&mut bed.cmd(&["run"]))?;
    let name = bed.snapshots()?.pop().context("no snapshot")?;
    let made = bed.committed()?.pop().context("no backup")?;
    let mut there = 0;
    let mut grow = |to: usize| -> Result<()> {
        for timestamp in earlier(there..to) {
            let at = bed.snapshot_dir().join(name.replace(&made, &timestamp));
            bed.disk().snapshot(bed.subvolume(), &at, true)?;
        }
        there = to;
        Ok(())
    };
    grow(snapshots / 10)?;
    let commands: [&[&str]; 3] = [&["list"], &["prune", "--dry-run"], &["run"]];
    let few = middles(&ground, &commands)?;
    grow(snapshots)?;
    let many = middles(&ground, &commands)?;
    let there = format!("{snapshots} local snapshots");
    Ok(rows_of(&there, &commands, &few, &many))
}

fn little(binary: &Path) -> Result<Ground> {
    let amount = Amount {
        large_mib: 3,
        files: 1,
    };
    let ground = Ground::new(binary, Route::Loopback, amount)?;
    ground.choose(Kind::Small)?;
    Ok(ground)
}

/// Timestamps of four runs a day, long ago.
fn earlier(numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|n| {
        let (hour, day, month) = (n % 4 * 6, n / 4 % 28 + 1, n / 112 % 12 + 1);
        format!("{}-{month:02}-{day:02}T{hour:02}-00-00Z", 2010 + n / 1344)
    })
}

/// Each command three times: the run in the middle, by time.
fn middles(ground: &Ground, commands: &[&[&str]]) -> Result<Vec<Usage>> {
    let middle = |words: &&[&str]| -> Result<Usage> {
        let mut all = Vec::new();
        for _ in 0..3 {
            ground.next_second()?;
            let usage = measure::usage(&mut ground.bed.cmd(words));
            all.push(usage.with_context(|| words.join(" "))?);
        }
        all.sort_by_key(|usage| usage.took.wall);
        Ok(all[1])
    };
    commands.iter().map(middle).collect()
}

fn rows_of(there: &str, commands: &[&[&str]], few: &[Usage], many: &[Usage]) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((words, few), many) in commands.iter().zip(few).zip(many) {
        let what = format!("{there}: {}", words.join(" "));
        let seconds = |usage: &Usage| usage.took.wall.as_secs_f64();
        rows.push(growth(&what, seconds(few), seconds(many)));
        rows.push(in_mib(&what, many.own as f64 / 1024.0, None));
    }
    rows
}

fn told(what: &str, seconds: f64) -> Row {
    Row {
        what: what.to_owned(),
        ours: format!("{seconds:.2} s"),
        beside: "-".to_owned(),
        value: seconds,
        bar: None,
        unit: " s",
    }
}

/// What each of ten times as many takes, measured by what each took before.
fn growth(what: &str, few: f64, many: f64) -> Row {
    Row {
        beside: format!("a tenth: {few:.2} s"),
        value: many / few / 10.0,
        bar: Some(LINEAR),
        unit: "× each",
        ..told(what, many)
    }
}

fn own(what: &str, figure: &Figure, files: usize) -> Row {
    let bar = BASE + EACH * files as f64 / MIB;
    in_mib(what, figure.own(), Some((bar * 10.0).floor() / 10.0))
}

fn in_mib(what: &str, mib: f64, bar: Option<f64>) -> Row {
    Row {
        what: format!("{what}: our own memory"),
        ours: format!("{mib:.1} MiB"),
        beside: "-".to_owned(),
        value: mib,
        bar,
        unit: " MiB",
    }
}
