//! Tables and properties of single plans.

mod simulation;

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3600;
/// 2027-01-15T08-00-00Z.
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds).expect("in range")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn entry(timestamp: Timestamp) -> Entry {
    Entry {
        name: timestamp.to_string(),
        timestamp,
        complete: true,
        ownership: Ownership::Ours,
        unconfigured: None,
    }
}

fn aged(days: i64) -> Entry {
    entry(at(NOW - days * DAY))
}

fn incomplete(entry: Entry) -> Entry {
    Entry {
        complete: false,
        ..entry
    }
}

fn local(days: u32, min_keep: u32) -> Policy {
    Policy {
        counts_incomplete: true,
        ..Policy::new(days, [0; 4], min_keep)
    }
}

fn decide(entries: &[Entry], policy: &Policy) -> Vec<Decision> {
    plan(entries, policy, &BTreeSet::new(), at(NOW))
}

/// The reasons as `prune` prints them.
fn texts(entries: &[Entry], policy: &Policy, now: Timestamp) -> Vec<String> {
    let decisions = plan(entries, policy, &BTreeSet::new(), now);
    decisions.iter().map(Decision::to_string).collect()
}

#[test]
fn every_reason_names_the_rule_and_the_position() {
    let policy = Policy::new(2, [2, 3, 2, 2], 3);
    let times = [
        "2025-06-18T12-00-00Z", // Wednesday, now
        "2025-06-17T12-00-00Z",
        "2025-06-15T18-00-00Z", // Sunday
        "2025-06-15T12-00-00Z",
        "2025-06-08T12-00-00Z", // Sunday, a week earlier
        "2025-06-02T12-00-00Z", // Monday of that week
        "2025-05-30T12-00-00Z",
        "2024-12-31T12-00-00Z",
        "2023-12-31T12-00-00Z",
    ];
    let entries = times.map(|text| entry(time(text)));
    assert_eq!(
        texts(&entries, &policy, time(times[0])),
        [
            "newest complete backup",
            "younger than 2 days",
            "3rd of the 3 newest",
            "older than 2 days and kept by no rule",
            "3rd of 3 weekly",
            "older than 2 days and kept by no rule",
            "2nd of 2 monthly",
            "2nd of 2 yearly",
            "older than 2 days and kept by no rule",
        ]
    );
}

#[test]
fn a_daily_rule_keeps_the_newest_of_each_utc_day_that_has_one() {
    let policy = Policy::new(1, [3, 0, 0, 0], 1);
    let times = [
        "2025-06-18T12-00-00Z",
        "2025-06-10T23-59-59Z",
        "2025-06-10T00-00-00Z",
        "2025-06-09T23-59-59Z",
        "2025-06-08T12-00-00Z",
    ];
    let entries = times.map(|text| entry(time(text)));
    assert_eq!(
        texts(&entries, &policy, time("2025-06-18T12-00-00Z")),
        [
            "newest complete backup",
            "2nd of 3 daily",
            "older than 1 day and kept by no rule",
            "3rd of 3 daily",
            "older than 1 day and kept by no rule",
        ]
    );
}

#[test]
fn a_week_begins_on_monday_and_may_span_two_years() {
    let policy = Policy::new(1, [0, 9, 0, 0], 1);
    let times = [
        "2025-02-01T12-00-00Z",
        "2025-01-05T23-59-59Z", // Sunday of the first ISO week of 2025
        "2024-12-30T00-00-00Z", // its Monday
        "2024-12-29T23-59-59Z", // Sunday before
    ];
    let entries = times.map(|text| entry(time(text)));
    let now = time("2025-02-01T12-00-00Z");
    assert_eq!(
        texts(&entries, &policy, now)[1..],
        [
            "2nd of 9 weekly",
            "older than 1 day and kept by no rule",
            "3rd of 9 weekly",
        ]
    );
}

#[test]
fn the_same_day_of_two_years_is_in_two_periods() {
    let times = ["2026-06-18T12-00-00Z", "2025-06-18T12-00-00Z"];
    let entries = times.map(|text| entry(time(text)));
    for (index, rule) in ["daily", "weekly", "monthly", "yearly"]
        .into_iter()
        .enumerate()
    {
        let mut periods = [0; 4];
        periods[index] = 2;
        let texts = texts(&entries, &Policy::new(1, periods, 1), time(times[0]));
        assert_eq!(texts[1], format!("2nd of 2 {rule}"));
    }
}

#[test]
fn what_is_always_kept() {
    let policy = Policy::new(30, [0; 4], 1);
    let foreign = Entry {
        ownership: Ownership::Foreign(Foreign::Writable),
        ..aged(100)
    };
    let unconfigured = Entry {
        unconfigured: Some("graph".parse().expect("a name")),
        ..aged(200)
    };
    let entries = [
        aged(-1),
        aged(90),
        foreign,
        aged(150),
        unconfigured,
        aged(300),
    ];
    let peak = BTreeSet::from([entries[3].timestamp]);
    let decisions = plan(&entries, &policy, &peak, at(NOW));
    let texts: Vec<String> = decisions.iter().map(Decision::to_string).collect();
    assert_eq!(
        texts,
        [
            "from the future: is the clock right?",
            "newest complete backup",
            "not ours: writable",
            "the largest backup of a dataset",
            "has the dataset graph, which is not configured",
            "older than 30 days and kept by no rule",
        ]
    );
}

#[test]
fn incomplete_backups_go_by_their_age_and_count_for_no_rule() {
    let policy = Policy::new(30, [9; 4], 2);
    let entries = [
        incomplete(aged(1)),
        incomplete(aged(40)),
        aged(50),
        incomplete(aged(60)),
    ];
    assert_eq!(
        texts(&entries, &policy, at(NOW)),
        [
            "younger than 30 days",
            "older than 30 days and kept by no rule",
            "newest complete backup",
            "older than 30 days and kept by no rule",
        ]
    );
}

#[test]
fn a_snapshot_counts_for_min_keep_without_its_backup() {
    let entries = [
        incomplete(aged(40)),
        incomplete(aged(50)),
        aged(60),
        aged(70),
    ];
    assert_eq!(
        texts(&entries, &local(30, 1), at(NOW)),
        [
            "1st of the 1 newest",
            "older than 30 days and kept by no rule",
            "newest complete backup",
            "older than 30 days and kept by no rule",
        ]
    );
}

#[test]
fn exactly_the_number_of_days_is_not_older() {
    let second_older = entry(at(NOW - 30 * DAY - 1));
    assert_eq!(
        texts(&[aged(0), aged(30), second_older], &local(30, 1), at(NOW))[1..],
        [
            "younger than 30 days",
            "older than 30 days and kept by no rule"
        ]
    );
}

#[test]
fn ordinals_are_english() {
    let numbers = [1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111];
    assert_eq!(
        numbers.map(nth),
        [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "101st",
            "111th"
        ]
    );
}

#[test]
fn a_decision_is_flat_in_json() {
    let json = |decision: Decision| serde_json::to_value(decision).expect("JSON");
    let rule = Reason::Rule {
        rule: Period::Weekly,
        position: 3,
        of: 26,
    };
    assert_eq!(
        json(Decision::Keep(rule)),
        serde_json::json!({"decision": "keep", "reason": "rule", "rule": "weekly", "position": 3, "of": 26})
    );
    let why = Foreign::OtherHost("vps".to_owned());
    assert_eq!(
        json(Decision::Keep(Reason::Foreign { why })),
        serde_json::json!({"decision": "keep", "reason": "foreign", "why": "of the host vps"})
    );
    assert_eq!(
        json(Decision::Delete { days: 30 }),
        serde_json::json!({"decision": "delete", "days": 30})
    );
}

/// What kind of entry a number stands for.
fn kind(number: u8, entry: Entry) -> Entry {
    match number {
        0 => Entry {
            ownership: Ownership::Foreign(Foreign::SymbolicLink),
            ..entry
        },
        1 => Entry {
            unconfigured: Some("graph".parse().expect("a name")),
            ..entry
        },
        2 | 3 => incomplete(entry),
        _ => entry,
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let hours = -2_000i64..40_000;
    proptest::collection::btree_map(hours, 0u8..10, 0..80).prop_map(|all| {
        let all = all.into_iter();
        all.map(|(hours, number)| kind(number, entry(at(NOW - hours * HOUR))))
            .collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let numbers = (
        1u32..100,
        proptest::array::uniform4(0u32..40),
        1u32..10,
        any::<bool>(),
    );
    numbers.prop_map(|(days, periods, min_keep, counts_incomplete)| Policy {
        counts_incomplete,
        ..Policy::new(days, periods, min_keep)
    })
}

/// The indices of what is kept.
fn kept(decisions: &[Decision]) -> BTreeSet<usize> {
    let all = decisions.iter().enumerate();
    let kept = all.filter(|(_, decision)| !decision.is_delete());
    kept.map(|(index, _)| index).collect()
}

proptest! {
    /// A rule alone keeps what it keeps, whatever the other rules are.
    #[test]
    fn what_any_rule_keeps_is_kept_and_nothing_else(entries in entries(), policy in policies()) {
        let all = kept(&decide(&entries, &policy));
        let none = Policy { days: 1, min_keep: 1, rules: policy.rules.map(|(rule, _)| (rule, 0)), ..policy };
        let mut alone = vec![Policy { days: policy.days, ..none }, Policy { min_keep: policy.min_keep, ..none }];
        for (index, rule) in policy.rules.into_iter().enumerate() {
            let mut one = none;
            one.rules[index] = rule;
            alone.push(one);
        }
        let mut any = BTreeSet::new();
        for policy in alone {
            any.extend(kept(&decide(&entries, &policy)));
        }
        prop_assert_eq!(all, any);
    }

    #[test]
    fn what_is_deleted_is_ours_old_and_not_the_newest(
        entries in entries(), policy in policies(), peak in 0usize..80,
    ) {
        let peak: BTreeSet<Timestamp> = entries.get(peak).map(|entry| entry.timestamp).into_iter().collect();
        let decisions = plan(&entries, &policy, &peak, at(NOW));
        prop_assert_eq!(decisions.len(), entries.len());
        let ours = |entry: &&Entry| entry.ownership == Ownership::Ours
            && entry.unconfigured.is_none() && entry.timestamp.unix() <= NOW;
        let newest_complete = entries.iter().filter(ours).filter(|entry| entry.complete).map(|entry| entry.timestamp).max();
        let mut counted: Vec<Timestamp> = entries.iter().filter(ours)
            .filter(|entry| entry.complete || policy.counts_incomplete).map(|entry| entry.timestamp).collect();
        counted.sort_unstable();
        let newest = counted.split_off(counted.len().saturating_sub(policy.min_keep as usize));
        for (entry, decision) in entries.iter().zip(&decisions) {
            if decision.is_delete() {
                prop_assert!(ours(&entry));
                prop_assert!(entry.timestamp.unix() < NOW - i64::from(policy.days) * DAY);
                prop_assert!(newest_complete != Some(entry.timestamp));
                prop_assert!(!newest.contains(&entry.timestamp));
                prop_assert!(!peak.contains(&entry.timestamp));
            }
        }
    }

    #[test]
    fn a_second_plan_at_the_same_time_deletes_nothing(entries in entries(), policy in policies()) {
        let left = kept(&decide(&entries, &policy));
        let left: Vec<Entry> = left.into_iter().map(|index| entries[index].clone()).collect();
        prop_assert!(!decide(&left, &policy).iter().any(Decision::is_delete));
    }

    #[test]
    fn the_order_of_the_entries_does_not_matter(entries in entries(), policy in policies()) {
        let mut backwards = entries.clone();
        backwards.reverse();
        let mut decisions = decide(&backwards, &policy);
        decisions.reverse();
        prop_assert_eq!(decisions, decide(&entries, &policy));
    }
}
