//! How long the steps of a run took.
//!
//! Stages come one after the other; what runs side by side within one (a dataset's steps, the export) is measured
//! on its own, so the rows do not add up to the run's time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Step;
use crate::config::DatasetName;

/// How long a step took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepDuration {
    pub step: Step,
    /// The dataset, if the step works on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetName>,
    pub seconds: f64,
}

/// Measures the steps of a run.
#[derive(Debug, Default)]
pub(crate) struct StepTimer(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// By dataset, in the order of the run; the run's own first.
    all: BTreeMap<(Option<DatasetName>, Step), Duration>,
    stage: Option<(Step, Instant)>,
}

impl Taken {
    fn add(&mut self, dataset: Option<DatasetName>, step: Step, time: Duration) {
        *self.all.entry((dataset, step)).or_default() += time;
    }

    fn leave(&mut self) {
        if let Some((step, start)) = self.stage.take() {
            self.add(None, step, start.elapsed());
        }
    }
}

impl StepTimer {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        // A panic elsewhere leaves sums that are still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage begins, and the one before it ends.
    pub(crate) fn enter(&self, step: Step) {
        let mut taken = self.taken();
        taken.leave();
        taken.stage = Some((step, Instant::now()));
    }

    /// The stage ends, and none follows yet.
    pub(crate) fn leave(&self) {
        self.taken().leave();
    }

    /// Measures work within a stage. Repeated work is added up.
    pub(crate) fn during<T>(
        &self,
        step: Step,
        dataset: Option<&DatasetName>,
        act: impl FnOnce() -> T,
    ) -> T {
        let start = Instant::now();
        let done = act();
        let time = start.elapsed();
        self.taken().add(dataset.cloned(), step, time);
        done
    }

    pub(crate) fn finish(&self) -> Vec<StepDuration> {
        let mut taken = self.taken();
        taken.leave();
        let rows = taken
            .all
            .iter()
            .map(|((dataset, step), time)| StepDuration {
                step: *step,
                dataset: dataset.clone(),
                seconds: time.as_secs_f64(),
            });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other_and_what_is_within_is_added_up() {
        let times = StepTimer::default();
        let valkey: DatasetName = "valkey".parse().expect("a name");
        let nap = || std::thread::sleep(Duration::from_millis(2));
        times.enter(Step::Upload);
        for _ in 0..2 {
            times.during(Step::Verify, Some(&valkey), nap);
        }
        times.leave();
        times.enter(Step::Commit);
        let rows = times.finish();
        let names: Vec<_> = rows
            .iter()
            .map(|took| (took.dataset.as_ref(), took.step))
            .collect();
        assert_eq!(
            names,
            [
                (None, Step::Upload),
                (None, Step::Commit),
                (Some(&valkey), Step::Verify)
            ]
        );
        assert!(rows[2].seconds >= 0.004 && rows[0].seconds >= rows[2].seconds);
    }
}
