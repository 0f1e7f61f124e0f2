//! Our run against the shell script, restic and bare rclone, over emulated links,
//! in one go.
//!
//! The surprise: the rivals take turns in another order each round, each with its
//! whole series of works. Whatever else the machine does meets all of them.

mod bars;
mod chart;
mod figures;
mod ground;
mod relay;
mod report;
mod rivals;
mod route;
pub(super) mod scale;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testbed::provision::ensure_program;

use super::Effort;
use super::measure;
use figures::{Figures, Sample};
use ground::Ground;
use rivals::Series;
use route::{Kind, Rival, Route, Work};

/// What the benchmark needs beside what the tests do.
pub fn prepare() -> Result<()> {
    ensure_program("restic", "restic", &mut |text| println!("{text}")).map(drop)
}

/// Measures, publishes, and judges.
pub fn run(binary: &Path, effort: Effort, dir: &Path) -> Result<ExitCode> {
    let start = Instant::now();
    let machine = report::Machine::look()?;
    let carried = relay::measure().context("measure the relay")?;
    println!(
        "the relay: {:.2} Gbit/s of 1 with {:.2} of a core; a bare socket: {:.1} Gbit/s",
        carried.rate, carried.cores, carried.bare
    );
    let rounds = match effort {
        Effort::Full => 5,
        Effort::Quick => 1,
    };
    let mut figures = Figures::default();
    for route in Route::ALL {
        let amount = route.amount(effort);
        println!("\n{}: making the data", route.name());
        let ground = Ground::new(binary, route, amount)?;
        for kind in route.kinds(effort).iter().copied() {
            for round in 0..rounds {
                let from = start.elapsed().as_secs();
                println!(
                    "{}, {}: round {} of {rounds} ({} min {} s so far)",
                    route.name(),
                    kind.name(amount),
                    round + 1,
                    from / 60,
                    from % 60
                );
                one_round(&ground, route, kind, round, &mut figures)?;
            }
        }
    }
    let bars = bars::all(&figures, &carried);
    let report = report::Report {
        machine,
        effort,
        figures: &figures,
        bars: &bars,
        took: start.elapsed(),
    };
    report.publish(dir)
}

fn one_round(
    ground: &Ground,
    route: Route,
    kind: Kind,
    round: usize,
    figures: &mut Figures,
) -> Result<()> {
    if route == Route::Loopback {
        let cell = (route, kind, Work::First);
        figures.limit(cell, ground.copy(kind)?);
    }
    let mut rivals = Rival::ALL;
    rivals.rotate_left(round % Rival::ALL.len());
    for rival in rivals {
        let mut series = Series::new(ground, route, kind, rival)?;
        works(&mut series, kind.works(), figures)?;
        if rival == Rival::Restic && round == 0 {
            series.restic_check()?;
        }
        ground.reset()?;
    }
    Ok(())
}

/// What a rival does of these works, one after the other, on what it did before.
fn works(series: &mut Series<'_>, works: &[Work], figures: &mut Figures) -> Result<()> {
    let (ground, rival) = (series.ground, series.rival);
    let mut line = format!("  {:<22}", rival.name());
    for work in works.iter().filter(|work| rival.differs(**work)) {
        let cell = (series.route, series.kind, *work);
        let changed = ground.change(series.kind, *work)?;
        if let Some(limit) = series.route.limit(changed) {
            figures.limit(cell, limit);
        }
        let mut command = series.command(*work)?;
        ground.cold.make()?;
        let (up, requests) = (ground.link.up(), ground.link.requests());
        let usage = measure::usage(&mut command)
            .with_context(|| format!("{}, {}", rival.name(), work.name()))?;
        let sample = Sample {
            usage,
            up: ground.link.up() - up,
            requests: ground.link.requests().since(&requests),
        };
        // restic compresses what little there is between the values.
        let sent = sample.up;
        let enough = sent * 100 >= changed * 98;
        ensure!(enough, "{}: {sent} bytes of {changed}", rival.name());
        series.after(*work)?;
        line += &format!(" {:>7.2} s", usage.took.wall.as_secs_f64());
        figures.add(cell, rival, sample);
    }
    println!("{line}");
    Ok(())
}
