//! What our run costs beyond its commands: time against the same commands by
//! hand, memory, and the size of the program.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use testbed::{Rclone, Server};

use super::Effort;
use super::measure::{Took, median};
use super::stage::Stage;
use super::table::Row;

const MIB: f64 = (1 << 20) as f64;

/// Measures all of it. Ours and by hand take turns, so that whatever else the
/// machine does meets both.
pub fn measure(binary: &Path, effort: Effort) -> Result<Vec<Row>> {
    let (large_mib, rounds, many) = match effort {
        Effort::Full => (1024, 7, 10_000),
        Effort::Quick => (128, 3, 1000),
    };
    let mut rows = Vec::new();

    let stage = Stage::new(binary, Rclone::New, Server::RcloneServe)?;
    stage.write_servers(large_mib)?;
    let what = format!("{large_mib} MiB of RDB and AOF");
    let (ours, by_hand) = take_turns(&stage, &what, rounds)?;
    rows.extend(ratios(&what, Some(1.05), ours, by_hand));
    drop(stage);

    let stage = Stage::new(binary, Rclone::New, Server::RcloneServe)?;
    stage.write_files([&[(10, 50 << 10)], &[(10, 50 << 10)]])?;
    let what = "20 files, 1 MiB";
    let (ours, by_hand) = take_turns(&stage, what, rounds)?;
    rows.push(Row {
        value: ours.wall.as_secs_f64() - by_hand.wall.as_secs_f64(),
        bar: Some(0.3),
        unit: " s",
        ..compared("time", what, ours.wall, by_hand.wall)
    });
    rows.push(Row {
        value: ours.cpu.as_secs_f64() - by_hand.cpu.as_secs_f64(),
        unit: " s",
        ..compared("processor time", what, ours.cpu, by_hand.cpu)
    });
    rows.push(own_memory(&stage, "20 files", 16.0)?);
    drop(stage);

    // rclone's server reads a whole directory for each file that comes into it.
    let stage = Stage::new(binary, Rclone::New, Server::Moto)?;
    stage.write_files([&[(many, 512)], &[(many, 512)]])?;
    rows.push(own_memory(&stage, &format!("{} files", 2 * many), 36.0)?);
    drop(stage);

    for (rclone, name) in [
        (Rclone::Old, "Debian's rclone"),
        (Rclone::New, "rclone 1.75.2"),
    ] {
        let stage = Stage::new(binary, rclone, Server::RcloneServe)?;
        let large = usize::try_from(large_mib << 20)? / 3;
        stage.write_files([&[(2, large), (100, 4096)], &[(1, large), (100, 4096)]])?;
        rows.push(rclone_memory(&stage, name)?);
    }

    rows.push(in_mib(
        "size of the release binary".to_owned(),
        fs::metadata(binary)?.len() as f64 / MIB,
        6.0,
    ));
    Ok(rows)
}

/// Medians of ours and by hand, after one round of each that counts for nothing.
fn take_turns(stage: &Stage, what: &str, rounds: usize) -> Result<(Took, Took)> {
    alternate(what, rounds, || stage.ours(), || stage.by_hand())
}

/// The same for any two.
pub fn alternate(
    what: &str,
    rounds: usize,
    one: impl Fn() -> Result<Took>,
    other: impl Fn() -> Result<Took>,
) -> Result<(Took, Took)> {
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let pair = (one()?, other()?);
        let (a, b) = (pair.0.wall.as_secs_f64(), pair.1.wall.as_secs_f64());
        if round == 0 {
            println!("{what}: to warm up, ours {a:.2} s, by hand {b:.2} s");
            continue;
        }
        println!("{what}: round {round} of {rounds}, ours {a:.2} s, by hand {b:.2} s");
        ours.push(pair.0);
        by_hand.push(pair.1);
    }
    Ok((middle(&ours), middle(&by_hand)))
}

/// The median of each.
fn middle(all: &[Took]) -> Took {
    let of = |what: fn(&Took) -> Duration| median(&all.iter().map(what).collect::<Vec<_>>());
    Took {
        wall: of(|took| took.wall),
        cpu: of(|took| took.cpu),
    }
}

/// How many times as long it takes, which may have a bar, and how many times as much of the processor.
pub fn ratios(what: &str, bar: Option<f64>, ours: Took, theirs: Took) -> [Row; 2] {
    [
        Row {
            value: ours.wall.as_secs_f64() / theirs.wall.as_secs_f64(),
            bar,
            unit: "×",
            ..compared("time", what, ours.wall, theirs.wall)
        },
        Row {
            value: ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64(),
            unit: "×",
            ..compared("processor time", what, ours.cpu, theirs.cpu)
        },
    ]
}

/// A row without a bar.
pub fn compared(kind: &str, what: &str, ours: Duration, by_hand: Duration) -> Row {
    Row {
        what: format!("{kind}, {what}"),
        ours: format!("{:.2} s", ours.as_secs_f64()),
        beside: format!("{:.2} s", by_hand.as_secs_f64()),
        value: 0.0,
        bar: None,
        unit: "",
    }
}

fn in_mib(what: String, value: f64, bar: f64) -> Row {
    Row {
        what,
        ours: format!("{value:.1} MiB"),
        beside: "-".to_owned(),
        value,
        bar: Some(bar),
        unit: " MiB",
    }
}

fn own_memory(stage: &Stage, what: &str, bar: f64) -> Result<Row> {
    println!("memory: {what}");
    let peaks = stage.peaks()?;
    let what = format!("our peak resident memory, {what}");
    Ok(in_mib(what, peaks.own as f64 / 1024.0, bar))
}

fn rclone_memory(stage: &Stage, name: &str) -> Result<Row> {
    println!("memory: {name}");
    let peaks = stage.peaks()?;
    let what = format!(
        "{name}, peaks of {} uploads added up, 3 large files",
        peaks.sync_count
    );
    Ok(in_mib(what, peaks.syncs as f64 / 1024.0, 256.0))
}
