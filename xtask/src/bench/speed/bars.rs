//! What the figures have to hold.
//!
//! The surprise: one row has no bar. Where a small part of a large file has
//! changed, restic sends the part and we send the file, and no tuning changes that.

use super::figures::{Cell, Figure, Figures};
use super::relay::Carried;
use super::route::{Kind, Rival, Route, Work};

/// MiB: what rclone may have, and what we may.
const MEMORY: f64 = 256.0 + 16.0;

/// A bar, and what was found.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What is promised.
    pub what: String,
    /// The figures.
    pub found: String,
    /// Whether it holds; `None` where it is only told.
    pub holds: Option<bool>,
}

fn bar(what: impl Into<String>, found: String, holds: bool) -> Bar {
    Bar {
        what: what.into(),
        found,
        holds: Some(holds),
    }
}

/// All of them.
pub fn all(figures: &Figures, carried: &Carried) -> Vec<Bar> {
    let far = |kind, work| (Route::Far, kind, work);
    let mut bars = vec![
        as_fast(figures, far(Kind::Both, Work::First), 3.5),
        as_fast(figures, far(Kind::Both, Work::Unchanged), 10.0),
    ];
    let cells = figures.cells();
    let over = |route: Route| cells.iter().copied().filter(move |cell| cell.0 == route);
    bars.extend(over(Route::Far).map(|cell| not_slower(figures, cell, Rival::Bare, 1.05)));
    for (kind, work) in [
        (Kind::Large, Work::First),
        (Kind::Both, Work::First),
        (Kind::Large, Work::Unchanged),
    ] {
        bars.push(not_slower(figures, far(kind, work), Rival::Restic, 1.0));
    }
    bars.push(told(figures, far(Kind::Large, Work::Percent)));
    bars.extend(over(Route::Loopback).map(|cell| not_slower(figures, cell, Rival::Script, 1.0)));
    bars.push(sends_little(
        figures,
        (Route::Loopback, Kind::Large, Work::Unchanged),
    ));
    let peaks = cells
        .iter()
        .filter_map(|cell| figures.of(*cell, Rival::Ours));
    let peak = peaks.map(Figure::peak).fold(0.0, f64::max);
    bars.push(bar(
        format!("memory of all our processes together: at most {MEMORY} MiB"),
        format!("{peak:.0} MiB"),
        peak > 0.0 && peak <= MEMORY,
    ));
    bars.push(bar(
        "the relay carries 1 Gbit/s with less than half a core",
        format!(
            "{:.2} Gbit/s with {:.2} of a core; a bare socket {:.1} Gbit/s",
            carried.rate, carried.cores, carried.bare
        ),
        carried.rate >= 0.95 && carried.cores < 0.5,
    ));
    bars
}

/// Where and what, for people.
fn named((route, kind, work): Cell) -> String {
    let route = match route {
        Route::Loopback => "loopback",
        Route::Far => "150 ms",
        Route::Near => "30 ms",
    };
    let kind = match kind {
        Kind::Large => "large files",
        Kind::Small => "small files",
        Kind::Both => "large and small files",
    };
    format!("{route}, {kind}, {}", work.name())
}

fn seconds(figures: &Figures, cell: Cell, rivals: [Rival; 2]) -> (f64, f64, String) {
    let [one, other] = rivals.map(|rival| figures.wall(cell, rival));
    let [who, whom] = rivals.map(Rival::letter);
    (one, other, format!("{who} {one:.2} s, {whom} {other:.2} s"))
}

fn as_fast(figures: &Figures, cell: Cell, times: f64) -> Bar {
    let (ours, script, text) = seconds(figures, cell, [Rival::Ours, Rival::Script]);
    let found = script / ours;
    bar(
        format!("{}: at least {times} times as fast as (a)", named(cell)),
        format!("{found:.1} times; {text}"),
        found >= times,
    )
}

fn not_slower(figures: &Figures, cell: Cell, rival: Rival, most: f64) -> Bar {
    let (ours, other, text) = seconds(figures, cell, [Rival::Ours, rival]);
    let found = ours / other;
    let letter = rival.letter();
    let promise = if most > 1.0 {
        format!("at most {most} times the time of {letter}")
    } else {
        format!("not slower than {letter}")
    };
    bar(
        format!("{}: {promise}", named(cell)),
        format!("{found:.2} times; {text}"),
        found <= most,
    )
}

fn told(figures: &Figures, cell: Cell) -> Bar {
    let (_, _, text) = seconds(figures, cell, [Rival::Ours, Rival::Restic]);
    let up = |rival| figures.of(cell, rival).map_or(f64::NAN, Figure::up);
    let (ours, theirs) = (up(Rival::Ours), up(Rival::Restic));
    Bar {
        what: format!("{}: behind (c), which sends parts of files", named(cell)),
        found: format!("{text}; {ours:.1} MiB up, and {theirs:.1} MiB"),
        holds: None,
    }
}

fn sends_little(figures: &Figures, cell: Cell) -> Bar {
    let up = figures.of(cell, Rival::Ours).map_or(f64::NAN, Figure::up);
    bar(
        format!("{}: less than 1 MiB up", named(cell)),
        format!("{up:.3} MiB"),
        up < 1.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::speed::figures::tests::sample;
    use std::time::Duration;

    fn figures(ours: u64, script: u64) -> (Figures, Cell) {
        let cell = (Route::Far, Kind::Both, Work::First);
        let mut figures = Figures::default();
        for (rival, millis) in [(Rival::Ours, ours), (Rival::Script, script)] {
            figures.add(cell, rival, sample(Duration::from_millis(millis)));
        }
        (figures, cell)
    }

    #[test]
    fn a_bar_holds_up_to_its_very_figure() {
        let (even, cell) = figures(1000, 3500);
        assert_eq!(as_fast(&even, cell, 3.5).holds, Some(true));
        assert_eq!(as_fast(&even, cell, 3.6).holds, Some(false));
        let unchanged = (Route::Far, Kind::Both, Work::Unchanged);
        assert_eq!(
            not_slower(&even, cell, Rival::Script, 1.0).holds,
            Some(true)
        );
        assert_eq!(sends_little(&even, cell).holds, Some(false));
        assert!(
            even.wall(unchanged, Rival::Script) > 0.0,
            "its first stands for all"
        );
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        let (figures, _) = figures(1, 1);
        let never = (Route::Near, Kind::Large, Work::OneFile);
        assert_eq!(as_fast(&figures, never, 1.0).holds, Some(false));
        assert_eq!(
            not_slower(&figures, never, Rival::Restic, 9.0).holds,
            Some(false)
        );
        assert_eq!(sends_little(&figures, never).holds, Some(false));
    }
}
