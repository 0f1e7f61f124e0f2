//! Five years of runs against an oracle that knows every backup ever made.

use super::*;

/// A timer every six hours of local time for five years.
const STEPS: i64 = 5 * 1461;
/// 2023-12-31T17-00-00Z.
const START: i64 = 1_704_042_000;

#[derive(Clone, Debug)]
struct Simulation {
    days: u32,
    periods: [u32; 4],
    min_keep: u32,
    /// Seconds after the start.
    phase: i64,
    /// The host is down: from this step, for so many steps.
    gaps: Vec<(i64, i64)>,
    /// The clock is wrong: from this step, for so many steps, by so many days.
    jumps: Vec<(i64, i64, i64)>,
}

impl Simulation {
    fn any() -> impl Strategy<Value = Self> {
        let days = prop_oneof![-2_000i64..-1, 1i64..800];
        let numbers = (1u32..50, [0u32..80, 0u32..40, 0u32..30, 0u32..4], 1u32..8);
        let gaps = proptest::collection::vec((0..STEPS, 1i64..400), 0..5);
        let jumps = proptest::collection::vec((0..STEPS, 1i64..30, days), 0..5);
        (numbers, 0..7 * DAY, gaps, jumps).prop_map(|(numbers, phase, gaps, jumps)| Self {
            days: numbers.0,
            periods: numbers.1,
            min_keep: numbers.2,
            phase,
            gaps,
            jumps,
        })
    }

    /// The timer's time in a step: an hour earlier in summer.
    fn time(&self, step: i64) -> i64 {
        let winter = START + self.phase + step * 6 * HOUR;
        let is_summer = (4..=10).contains(&at(winter).date().month());
        winter - if is_summer { HOUR } else { 0 }
    }

    /// `None`: the host is down. With a wrong clock nothing is planned.
    fn clock_error(&self, step: i64) -> Option<i64> {
        let within = |from: i64, steps: i64| (from..from + steps).contains(&step);
        if self.gaps.iter().any(|(from, steps)| within(*from, *steps)) {
            return None;
        }
        let jump = self
            .jumps
            .iter()
            .find(|(from, steps, _)| within(*from, *steps));
        Some(jump.map_or(0, |(.., days)| days * DAY))
    }

    /// What is kept of all backups that were ever made. Compares texts where the planner compares dates.
    fn expected(&self, history: &BTreeMap<String, bool>, now: Timestamp) -> BTreeSet<String> {
        let horizon = at(now.unix() - i64::from(self.days) * DAY).to_string();
        let young_or_future = history.keys().filter(|name| **name >= horizon);
        let mut expected: BTreeSet<String> = young_or_future.cloned().collect();
        let past = history.range(..=now.to_string());
        let complete: Vec<&String> = past
            .filter_map(|(name, complete)| complete.then_some(name))
            .collect();
        let newest = complete.iter().rev().take(self.min_keep as usize);
        expected.extend(newest.map(|name| (*name).clone()));
        // 1970-01-01 was a Thursday.
        let week = |name: &str| ((time(name).unix() / DAY + 3) / 7).to_string();
        let month = |name: &str| name[..7].to_owned();
        let periods: [&dyn Fn(&str) -> String; 4] = [
            &|name| name[..10].to_owned(),
            &|name| format!("{:>8}", week(name)),
            &month,
            &|name| name[..4].to_owned(),
        ];
        for (period, number) in periods.into_iter().zip(self.periods) {
            let newest: BTreeMap<String, &String> =
                complete.iter().map(|name| (period(name), *name)).collect();
            let last = newest.into_values().rev().take(number as usize);
            expected.extend(last.cloned());
        }
        expected
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Deleting early loses nothing that a rule would keep later: at any time the surviving backups are those that
    /// the rules select from all backups that were ever made.
    #[test]
    fn five_years_of_runs_keep_what_the_rules_select_from_all_backups(simulation in Simulation::any()) {
        let policy = Policy::new(simulation.days, simulation.periods, simulation.min_keep);
        let mut history = BTreeMap::new();
        let mut left: Vec<Entry> = Vec::new();
        for step in 0..STEPS {
            let Some(error) = simulation.clock_error(step) else { continue };
            let now = at(simulation.time(step));
            let made = entry(at(now.unix() + error));
            let made = Entry { complete: step * 7 % 31 != 0, ..made };
            // A run refuses a timestamp that is taken.
            if !history.contains_key(&made.name) {
                history.insert(made.name.clone(), made.complete);
                left.push(made);
            }
            if error != 0 {
                continue;
            }
            let mut decisions = plan(&left, &policy, &BTreeSet::new(), now).into_iter();
            left.retain(|_| decisions.next().is_some_and(|decision| !decision.is_delete()));
            if step % 97 == 0 || step == STEPS - 1 {
                let kept: BTreeSet<String> = left.iter().map(|entry| entry.name.clone()).collect();
                prop_assert_eq!(kept, simulation.expected(&history, now), "at {}", now);
            }
        }
    }
}
