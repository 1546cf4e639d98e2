//! The guard at work in calls: every way out is judged, what refuses says so, what is counted is
//! stored.

use std::time::Duration;

use super::registrations::registering;
use super::world::{World, link, remote, sdp, target, trunk};
use crate::call::event::Input;
use crate::cdr::record::Record;
use crate::fraud_guard::rule::{RuleKind, Scope, Spend};
use crate::fraud_guard::{Reason, Rule, StoredCount};
use crate::links::model::Destination;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};

fn rule(kind: RuleKind) -> Rule {
    Rule {
        id: "gr_1".into(),
        name: "one".into(),
        enabled: true,
        scope: Scope::default(),
        kind,
    }
}

fn guarded(kind: RuleKind) -> World {
    let mut world = World::new(vec![trunk(1)]);
    world.change(|snapshot| snapshot.guard.named = vec![rule(kind)]);
    world
}

fn stored(world: &World) -> Vec<StoredCount> {
    let counts = |record: &Record| {
        if let Record::GuardCounts(counts) = record {
            Some(counts.clone())
        } else {
            None
        }
    };
    world.records.iter().filter_map(counts).flatten().collect()
}

#[test]
fn a_refusal_has_its_code_in_answer_record_and_counter() {
    let mut world = guarded(RuleKind::Block);
    world.call("610", "c1");
    let refused = world.sent.last().unwrap().clone();
    assert!(refused.start().contains(" 403 "), "{}", refused.text);
    assert!(refused.header("Warning").contains("not allowed"));
    assert_eq!(world.closed()[0].cause, "guard_blocked");
    assert_eq!(world.attempts()[0].outcome, "guard_blocked");
    assert_eq!(world.control.counters().refused["guard_blocked"], 1);
    assert_eq!(world.control.guard().counters().of(Reason::Blocked), 1);
    world.expect_quiet();
}

#[test]
fn a_cap_is_480_with_the_time_to_wait() {
    let mut world = guarded(RuleKind::CallsPerDay(0));
    world.call("610", "c1");
    assert_eq!(world.heard(), 480);
    assert_eq!(world.sent.last().unwrap().header("Retry-After"), "3600");
    world.expect_quiet();
}

#[test]
fn emergency_calls_are_refused_with_a_text() {
    let mut world = World::new(vec![trunk(1)]);
    world.call("112", "c1");
    let refused = world.sent.last().unwrap().clone();
    assert!(refused.start().contains(" 403 "), "{}", refused.text);
    assert!(refused.header("Warning").contains("emergency"));
    world.expect_quiet();
}

#[test]
fn hidden_state_gives_one_answer_for_everything() {
    let answer = |refuse: &dyn Fn(&mut World)| {
        let mut world = guarded(RuleKind::CallsPerDay(0));
        world.change(|snapshot| snapshot.settings.hide_state = true);
        refuse(&mut world);
        let sent = world.sent.last().unwrap().clone();
        let told = sent
            .text
            .lines()
            .filter(|line| !line.starts_with("To:"))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(sent.start().contains(" 404 "), "{}", sent.text);
        told
    };
    let unknown = answer(&|world| world.call_link("c1", Err(ResolveRefusal::Unknown)));
    let capped = answer(&|world| world.call("610", "c1"));
    assert_eq!(unknown, capped, "nobody learns which it was");
    let later = jiff::Timestamp::from_second(60).unwrap();
    for refusal in [ResolveRefusal::Dead, ResolveRefusal::NotYetValid(later)] {
        let told = answer(&|world| world.call_link("c1", Err(refusal)));
        assert_eq!(unknown, told, "{refusal:?}");
    }
}

#[test]
fn a_dry_run_dials_what_it_would_refuse() {
    let mut world = guarded(RuleKind::Block);
    world.change(|snapshot| snapshot.guard.dry_run = true);
    world.call("610", "c1");
    assert_eq!(world.count(target(1), "INVITE"), 1);
    let counters = world.control.guard().counters();
    assert_eq!((counters.overruled, counters.of(Reason::Blocked)), (1, 1));
    world.phone("CANCEL", "c1", 1, "");
    world.expect_quiet();
}

#[test]
fn what_is_counted_is_stored_within_a_second_and_at_the_end() {
    let mut world = guarded(RuleKind::CallsPerDay(10));
    world.call("610", "c1");
    assert!(stored(&world).is_empty(), "gathered first");
    world.pass(Duration::from_secs(1));
    assert_eq!(stored(&world).len(), 1);
    world.phone("CANCEL", "c1", 1, "");
    world.call("611", "c2");
    world.feed(Input::Stop);
    world.pass(Duration::from_secs(3));
    assert!(world.stopped);
    let last = stored(&world).pop().unwrap();
    assert_eq!((last.rule.as_str(), last.value), ("gr_1", 2));
}

#[test]
fn counts_of_the_last_run_are_there_before_the_first_call() {
    let mut world = World::new(vec![trunk(1)]);
    let count = StoredCount {
        rule: "gr_1".into(),
        key: crate::fraud_guard::book::Key(0),
        started_at_ms: world.now.timestamp.as_millisecond() - 3_600_000,
        value: 1,
    };
    world.feed(Input::GuardCounts(vec![count]));
    world.change(|snapshot| snapshot.guard.named = vec![rule(RuleKind::CallsPerDay(1))]);
    world.call("610", "c1");
    assert_eq!(world.heard(), 480);
    world.expect_quiet();
}

#[test]
fn a_clock_that_jumps_ends_no_call_and_resets_no_cap() {
    for jump in [-3_600, 3_600] {
        let mut world = guarded(RuleKind::CallsPerDay(1));
        world.answered("c1");
        world.now.timestamp += jiff::SignedDuration::from_secs(jump);
        world.feed(Input::Expired);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.closed().len(), 0, "the call goes on");
        world.call("611", "c2");
        assert_eq!(world.heard(), 480);
        world.expect_quiet_but(1);
    }
}

#[test]
fn a_rule_of_duration_ends_the_call() {
    let mut world = guarded(RuleKind::Duration(Duration::from_secs(30)));
    world.answered("c1");
    world.pass(Duration::from_secs(29));
    assert_eq!(world.closed().len(), 0);
    world.pass(Duration::from_secs(2));
    assert!(world.count(target(1), "BYE") > 0);
}

#[test]
fn the_final_number_of_each_trunk_is_judged_and_not_that_of_the_link() {
    let mut dear = trunk(1);
    dear.strip = 2;
    dear.prefix = "+1900".into();
    let mut world = World::new(vec![dear]);
    world.call_link("c1", Ok(remote("+445551234")));
    assert_eq!(world.heard(), 403);
    assert_eq!(world.attempts()[0].outcome, "guard_premium");
    let named = ResolvedLink {
        named_by_link: true,
        ..link(Destination::Remote {
            user: "+19005551234".into(),
            domain: None,
        })
    };
    world.call_link("c2", Ok(named));
    assert_eq!(world.heard(), 403);
    assert_eq!(world.count(target(1), "INVITE"), 0);
    world.expect_quiet();
}

#[test]
fn a_trunk_that_is_passed_over_switches_no_cap_off() {
    let mut world = World::new(vec![registering(), trunk(2)]);
    world.change(|snapshot| snapshot.guard.named = vec![rule(RuleKind::CallsPerDay(1))]);
    world.call("610", "c1");
    assert_eq!(
        world.count(target(2), "INVITE"),
        1,
        "the first has no binding"
    );
    world.phone("CANCEL", "c1", 1, "");
    world.call("611", "c2");
    assert_eq!(world.heard(), 480);
    world.expect_quiet();
}

#[test]
fn a_cap_of_one_trunk_counts_what_falls_over_to_it() {
    let mut world = World::new(vec![trunk(1), trunk(2)]);
    let mut dear = rule(RuleKind::CallsPerDay(1));
    dear.scope.trunks = vec!["tr_2".into()];
    let everywhere = Rule {
        id: "gr_2".into(),
        ..rule(RuleKind::CallsPerDay(2))
    };
    world.change(|snapshot| snapshot.guard.named = vec![dear, everywhere]);
    for (call, most) in [("c1", 1), ("c2", 1)] {
        world.call("610", call);
        let first = world.last(target(1), "INVITE");
        world.respond(&first, "503 Service Unavailable", "");
        assert_eq!(world.count(target(2), "INVITE"), most, "{call}");
        if call == "c1" {
            world.phone("CANCEL", call, 1, "");
        }
    }
    assert_eq!(
        world.heard(),
        480,
        "a call counts once, by every rule that concerns it"
    );
    assert_eq!(world.control.guard().counters().of(Reason::CallsPerDay), 1);
    world.expect_quiet();
}

#[test]
fn a_dry_run_ends_no_call() {
    let spend = Spend {
        micros_max: 0,
        rates: Vec::new(),
        other_rate: 60,
    };
    for kind in [
        RuleKind::SpendPerDay(spend),
        RuleKind::Duration(Duration::from_secs(30)),
    ] {
        let mut world = guarded(kind);
        world.change(|snapshot| snapshot.guard.dry_run = true);
        world.call("+442071838750", "c1");
        let invite = world.last(target(1), "INVITE");
        world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
        world.phone("ACK", "c1", 1, "");
        world.pass(Duration::from_secs(60));
        assert_eq!(world.count(target(1), "BYE"), 0);
        world.phone("BYE", "c1", 2, "");
        world.expect_quiet();
    }
}
