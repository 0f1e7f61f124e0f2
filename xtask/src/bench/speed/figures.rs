//! What was measured, and the middle of it.

use std::time::Duration;

use testbed::link::Requests;

use super::route::{Kind, Rival, Route, Work};
use crate::bench::Effort;
use crate::bench::measure::{Usage, median};

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Time and memory.
    pub usage: Usage,
    /// Bytes that went up the link.
    pub up: u64,
    /// Requests that went with them.
    pub requests: Requests,
}

/// All runs of one rival at one work.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Over which link.
    pub route: Route,
    /// Which data.
    pub kind: Kind,
    /// What was to do.
    pub work: Work,
    /// Who did it.
    pub rival: Rival,
    /// How often.
    pub samples: Vec<Sample>,
}

impl Figure {
    fn middle(&self, of: impl Fn(&Sample) -> Duration) -> f64 {
        median(&self.samples.iter().map(of).collect::<Vec<_>>()).as_secs_f64()
    }

    /// Seconds on the clock.
    pub fn wall(&self) -> f64 {
        self.middle(|sample| sample.usage.took.wall)
    }

    /// Seconds of the processors.
    pub fn cpu(&self) -> f64 {
        self.middle(|sample| sample.usage.took.cpu)
    }

    /// MiB of memory.
    pub fn peak(&self) -> f64 {
        self.number(|sample| sample.usage.peak) / 1024.0
    }

    /// MiB of memory of ours alone.
    pub fn own(&self) -> f64 {
        self.number(|sample| sample.usage.own) / 1024.0
    }

    /// MiB sent.
    pub fn up(&self) -> f64 {
        self.number(|sample| sample.up) / f64::from(1 << 20)
    }

    fn number(&self, of: impl Fn(&Sample) -> u64) -> f64 {
        let mut all: Vec<u64> = self.samples.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default() as f64
    }

    /// The requests of the run in the middle, by how many they were.
    pub fn requests(&self) -> Requests {
        let mut all: Vec<Requests> = self.samples.iter().map(|one| one.requests).collect();
        all.sort_by_key(Requests::all);
        all.get(all.len() / 2).copied().unwrap_or_default()
    }

    /// The quickest and the slowest.
    pub fn spread(&self) -> (f64, f64) {
        let walls = self
            .samples
            .iter()
            .map(|one| one.usage.took.wall.as_secs_f64());
        walls.fold((f64::INFINITY, 0.0), |(least, most), wall| {
            (least.min(wall), most.max(wall))
        })
    }
}

/// One work on one kind of data over one link.
pub type Cell = (Route, Kind, Work);

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Figures {
    all: Vec<Figure>,
    limits: Vec<(Cell, Vec<Duration>)>,
}

impl Figures {
    /// Adds a run.
    pub fn add(&mut self, (route, kind, work): Cell, rival: Rival, sample: Sample) {
        let is = |one: &&mut Figure| {
            (one.route, one.kind, one.work, one.rival) == (route, kind, work, rival)
        };
        match self.all.iter_mut().find(is) {
            Some(figure) => figure.samples.push(sample),
            None => self.all.push(Figure {
                route,
                kind,
                work,
                rival,
                samples: vec![sample],
            }),
        }
    }

    /// Adds what the link, or copying on this machine, takes at the least.
    pub fn limit(&mut self, cell: Cell, limit: Duration) {
        match self.limits.iter_mut().find(|(of, _)| *of == cell) {
            Some((_, limits)) => limits.push(limit),
            None => self.limits.push((cell, vec![limit])),
        }
    }

    /// The script's first backup stands for all of its works.
    pub fn of(&self, (route, kind, work): Cell, rival: Rival) -> Option<&Figure> {
        let work = if rival.differs(work) {
            work
        } else {
            Work::First
        };
        let is = |one: &&Figure| {
            (one.route, one.kind, one.work, one.rival) == (route, kind, work, rival)
        };
        self.all.iter().find(is)
    }

    /// Seconds on the clock; not a number where that was not measured.
    pub fn wall(&self, cell: Cell, rival: Rival) -> f64 {
        self.of(cell, rival).map_or(f64::NAN, Figure::wall)
    }

    /// Seconds that the link takes, where there is one.
    pub fn least(&self, cell: Cell) -> f64 {
        let found = self.limits.iter().find(|(of, _)| *of == cell);
        found.map_or(f64::NAN, |(_, limits)| median(limits).as_secs_f64())
    }

    /// The cells in the order in which they were measured.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = Vec::new();
        for route in Route::ALL {
            for kind in route.kinds(Effort::Full).iter().copied() {
                for work in kind.works() {
                    let cell = (route, kind, *work);
                    if self.of(cell, Rival::Ours).is_some() {
                        cells.push(cell);
                    }
                }
            }
        }
        cells
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::measure::Took;

    pub fn sample(wall: Duration) -> Sample {
        let took = Took { wall, cpu: wall };
        Sample {
            usage: Usage {
                took,
                peak: 1024,
                own: 0,
            },
            up: 1 << 20,
            requests: Requests::default(),
        }
    }

    #[test]
    fn one_slow_round_does_not_move_the_figure() {
        let mut figures = Figures::default();
        let cell = (Route::Far, Kind::Large, Work::First);
        for seconds in [2, 90, 1] {
            figures.add(cell, Rival::Ours, sample(Duration::from_secs(seconds)));
        }
        assert!((figures.wall(cell, Rival::Ours) - 2.0).abs() < f64::EPSILON);
        assert!(figures.wall(cell, Rival::Bare).is_nan());
        assert_eq!(figures.cells(), [cell]);
    }

    #[test]
    fn the_script_s_first_backup_stands_for_all_its_works_and_nobody_else_s_does() {
        let mut figures = Figures::default();
        let cell = (Route::Far, Kind::Large, Work::First);
        for rival in [Rival::Script, Rival::Bare] {
            figures.add(cell, rival, sample(Duration::from_secs(1)));
        }
        let later = (Route::Far, Kind::Large, Work::OneFile);
        assert!(figures.of(later, Rival::Script).is_some());
        assert!(figures.of(later, Rival::Bare).is_none());
    }
}
