//! The wall clock jumps by an hour, both ways: no cap resets, no window grows, no call ends.

use super::super::rule::Spend;
use super::*;

#[test]
fn a_wall_clock_that_jumps_moves_no_window() {
    for jump in [-3_600, 3_600, -86_400 * 400, 86_400 * 400] {
        let mut world = World::new(vec![
            rule("a", RuleKind::CallsPerDay(2)),
            rule("b", RuleKind::DestinationsPerHour(2)),
            rule(
                "c",
                RuleKind::SameDestination {
                    calls: 2,
                    within: HOUR,
                },
            ),
        ]);
        assert_eq!(world.try_call(call("610")), Ok(()));
        world.jump(jump);
        assert_eq!(world.try_call(call("610")), Ok(()));
        assert!(
            world.try_call(call("610")).is_err(),
            "{jump}: a cap was reset"
        );
        world.jump(-jump);
        assert!(
            world.try_call(call("610")).is_err(),
            "{jump}: a cap was reset"
        );
        world.pass(DAY);
        assert_eq!(world.try_call(call("610")), Ok(()), "{jump}: a window grew");
    }
}

#[test]
fn a_clock_that_jumps_before_a_restart_keeps_the_counts() {
    for jump in [-3_600, 3_600] {
        let mut world = World::new(vec![rule("a", RuleKind::CallsPerDay(1))]);
        assert_eq!(world.try_call(call("610")), Ok(()));
        let (now, wall) = (world.now(), world.wall);
        let mut stored = world.guard.flush_changes(now, wall);
        world.jump(jump);
        assert_eq!(world.try_call(call("611")), Err(Reason::CallsPerDay));
        let (now, wall) = (world.now(), world.wall);
        let again = world.guard.flush_changes(now, wall);
        assert_eq!(again.len(), 1, "stored anew under the new clock");
        assert_eq!(
            again[0].started_at_ms - stored[0].started_at_ms,
            jump * 1_000
        );
        stored = again;
        let mut next = World::new(Vec::new());
        next.wall = world.wall;
        let (now, wall) = (next.now(), next.wall);
        next.guard.restore(stored, now, wall);
        next.guard.replace_rules(world.guard.rules().clone());
        next.pass(DAY - Duration::from_secs(1));
        assert_eq!(next.try_call(call("610")), Err(Reason::CallsPerDay));
        next.pass(Duration::from_secs(1));
        assert_eq!(next.try_call(call("610")), Ok(()));
    }
}

#[test]
fn money_is_settled_by_the_clock_that_never_jumps() {
    let spend = Spend {
        micros_max: 100_000,
        rates: Vec::new(),
        other_rate: 60,
    };
    let mut world = World::new(vec![rule("a", RuleKind::SpendPerDay(spend))]);
    let mut up = world.ask(call("+442071838750")).unwrap();
    up.note_answered(world.now());
    world.jump(3_600);
    world.elapsed += Duration::from_secs(10);
    let now = world.now();
    world.guard.release(up, now);
    let told = world.explain(call("+442071838750"));
    assert!(
        told.steps
            .iter()
            .any(|step| step.answer.contains("99990 micro")),
        "{told:?}"
    );
}
