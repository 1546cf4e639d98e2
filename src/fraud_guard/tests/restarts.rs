//! Counts survive a restart.

use super::super::rule::Spend;
use super::*;

fn kinds() -> Vec<(RuleKind, Reason)> {
    let spend = Spend {
        micros_max: 60,
        rates: Vec::new(),
        other_rate: 60,
    };
    vec![
        (RuleKind::CallsPerDay(1), Reason::CallsPerDay),
        (RuleKind::CallsPerDayPerIp(1), Reason::CallsPerDayPerIp),
        (
            RuleKind::DestinationsPerHour(1),
            Reason::DestinationsPerHour,
        ),
        (
            RuleKind::SameDestination {
                calls: 1,
                within: HOUR,
            },
            Reason::SameDestination,
        ),
        (RuleKind::SpendPerDay(spend), Reason::SpendPerDay),
    ]
}

/// A number that the second call of each test asks for.
fn second(reason: Reason) -> &'static str {
    if reason == Reason::DestinationsPerHour {
        "+442071838751"
    } else {
        "+442071838750"
    }
}

#[test]
fn every_count_over_time_survives_a_restart_and_ends_when_it_would_have_ended() {
    for (kind, reason) in kinds() {
        let mut world = World::new(vec![rule("gr_1", kind)]);
        let mut up = world.ask(call("+442071838750")).unwrap();
        up.note_answered(world.now());
        world.pass(Duration::from_secs(60));
        let now = world.now();
        world.guard.release(up, now);
        let stored = world.guard.flush_changes(now, world.wall);
        assert_eq!(stored.len(), 1, "{reason:?}");
        let rules = world.guard.rules().clone();
        let mut next = World::new(Vec::new());
        next.wall = world.wall;
        next.jump(1_800);
        let (now, wall) = (next.now(), next.wall);
        next.guard.restore(stored, now, wall);
        next.guard.replace_rules(rules);
        assert_eq!(next.try_call(call(second(reason))), Err(reason));
        next.pass(Duration::from_secs(1_800));
        let hourly = matches!(
            reason,
            Reason::DestinationsPerHour | Reason::SameDestination
        );
        assert_eq!(
            next.try_call(call(second(reason))).is_ok(),
            hourly,
            "{reason:?}"
        );
        next.pass(DAY);
        assert_eq!(next.try_call(call(second(reason))), Ok(()), "{reason:?}");
    }
}

#[test]
fn counts_are_handed_out_once_a_second_and_once_each() {
    let mut world = World::new(vec![rule("gr_1", RuleKind::CallsPerDay(0))]);
    assert_eq!(world.guard.poll_deadline(), None);
    let mut rules = world.guard.rules().clone();
    rules.named = vec![rule("gr_1", RuleKind::CallsPerDay(10))];
    world.guard.replace_rules(rules);
    for _ in 0..3 {
        assert_eq!(world.try_call(call("610")), Ok(()));
    }
    let (now, wall) = (world.now(), world.wall);
    assert!(world.guard.take_changes(now, wall).is_empty(), "not yet");
    let due = world.guard.poll_deadline().unwrap();
    let stored = world.guard.take_changes(due, wall);
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].rule.as_str(), stored[0].value), ("gr_1", 3));
    assert!(world.guard.take_changes(due + DAY, wall).is_empty());
    assert_eq!(world.guard.poll_deadline(), None);
}

#[test]
fn a_killed_process_forgets_no_money_that_was_promised() {
    let spend = Spend {
        micros_max: 1_000,
        rates: Vec::new(),
        other_rate: 60,
    };
    let mut world = World::new(vec![rule("gr_1", RuleKind::SpendPerDay(spend))]);
    let up = world.ask(call("+442071838750")).unwrap();
    let (now, wall) = (world.now(), world.wall);
    let stored = world.guard.flush_changes(now, wall);
    let mut next = World::new(Vec::new());
    let (now, wall) = (next.now(), next.wall);
    next.guard.restore(stored, now, wall);
    next.guard.replace_rules(world.guard.rules().clone());
    assert_eq!(
        next.try_call(call("+442071838750")),
        Err(Reason::SpendPerDay)
    );
    world.guard.release(up, now);
}

#[test]
fn counts_from_the_future_count_as_just_begun() {
    let mut world = World::new(Vec::new());
    let count = StoredCount {
        rule: "gr_1".into(),
        key: book::Key(0),
        started_at_ms: world.wall.as_millisecond() + 3_600_000,
        value: 1,
    };
    let (now, wall) = (world.now(), world.wall);
    world.guard.restore(vec![count], now, wall);
    let mut rules = world.guard.rules().clone();
    rules.named = vec![rule("gr_1", RuleKind::CallsPerDay(1))];
    world.guard.replace_rules(rules);
    assert_eq!(world.try_call(call("610")), Err(Reason::CallsPerDay));
    world.pass(DAY);
    assert_eq!(world.try_call(call("610")), Ok(()));
}
