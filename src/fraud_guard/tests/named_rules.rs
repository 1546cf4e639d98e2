//! Each kind of rule says what it is called.

use super::super::book::KEYS_MAX;
use super::super::rule::{Hours, Spend};
use super::*;

#[test]
fn of_the_lists_the_first_that_names_the_number_decides() {
    let mut world = World::new(vec![
        numbers(rule("a", RuleKind::Allow), &["+4420*"]),
        numbers(rule("b", RuleKind::Block), &["+44*", "610"]),
    ]);
    assert_eq!(world.try_call(call("+442071838750").unnamed()), Ok(()));
    assert_eq!(world.try_call(call("+447700900000")), Err(Reason::Blocked));
    assert_eq!(world.try_call(call("610")), Err(Reason::Blocked));
    assert_eq!(world.try_call(call("6100")), Ok(()));
    assert_eq!(
        world.try_call(call("+33142685300").unnamed()),
        Err(Reason::NotNamed)
    );
}

#[test]
fn a_country_is_blocked_whole_and_its_neighbour_of_the_same_code_is_not() {
    let mut canada = rule("a", RuleKind::Block);
    canada.scope.countries = vec![*b"CA"];
    let mut world = World::new(vec![canada]);
    assert_eq!(world.try_call(call("+16135550123")), Err(Reason::Blocked));
    assert_eq!(world.try_call(call("0016135550123")), Err(Reason::Blocked));
    assert_eq!(world.try_call(call("+12125550123")), Ok(()));
}

#[test]
fn premium_and_satellite_ranges_are_refused_unless_named_as_exactly() {
    let mut world = World::new(Vec::new());
    for (number, reason) in [
        ("+19005551234", Reason::Premium),
        ("+449098790000", Reason::Premium),
        ("+881612345678", Reason::Satellite),
        ("00870773111632", Reason::Satellite),
    ] {
        assert_eq!(world.try_call(call(number)), Err(reason), "{number}");
    }
    // A rule for a whole country is no wish for its premium numbers.
    let mut world = World::new(vec![numbers(rule("a", RuleKind::Allow), &["+1*", "+881*"])]);
    assert_eq!(world.try_call(call("+12125550123")), Ok(()));
    assert_eq!(world.try_call(call("+19005551234")), Err(Reason::Premium));
    assert_eq!(world.try_call(call("+881612345678")), Ok(()));
    let mut world = World::new(vec![numbers(rule("a", RuleKind::Allow), &["+19005551234"])]);
    assert_eq!(world.try_call(call("+19005551234")), Ok(()));
    let mut world = World::with(Rules {
        block_premium: false,
        block_satellite: false,
        ..Rules::default()
    });
    assert_eq!(world.try_call(call("+19005551234")), Ok(()));
    assert_eq!(world.try_call(call("+881612345678")), Ok(()));
}

#[test]
fn emergency_numbers_are_refused_with_a_text_unless_a_rule_routes_them() {
    let mut world = World::new(Vec::new());
    assert_eq!(world.try_call(call("112")), Err(Reason::Emergency));
    assert!(Reason::Emergency.text().contains("use a telephone"));
    let mut routed = rule("a", RuleKind::Emergency);
    routed.scope.ways = vec![Way::Extension];
    let mut world = World::new(vec![rule("c", RuleKind::CallsPerDay(0)), routed]);
    let phone = Wish {
        way: Way::Extension,
        named: false,
        ..call("112")
    };
    assert_eq!(
        world.try_call(phone),
        Ok(()),
        "and no cap stands in the way"
    );
    assert_eq!(world.try_call(call("112")), Err(Reason::Emergency));
}

#[test]
fn what_is_not_understood_is_refused_where_the_telephone_network_is_behind() {
    let mut world = World::new(Vec::new());
    assert_eq!(world.try_call(call("alice")), Ok(()));
    world.plan.reaches_pstn = true;
    for user in ["alice", "*98#", "12345", "+1900555123499999", "118"] {
        assert_eq!(
            world.try_call(call(user)),
            Err(Reason::NumberUnknown),
            "{user}"
        );
    }
    world.plan.extension_lengths = vec![3];
    assert_eq!(world.try_call(call("118")), Ok(()));
}

#[test]
fn caps_count_by_source_and_ipv6_by_its_64() {
    let mut world = World::new(vec![rule("a", RuleKind::CallsPerDayPerIp(2))]);
    for client in ["2001:db8::1", "2001:db8::ffff:1"] {
        assert_eq!(world.try_call(call("610").from(client)), Ok(()));
    }
    assert_eq!(
        world.try_call(call("610").from("2001:db8:0:0:1::")),
        Err(Reason::CallsPerDayPerIp)
    );
    assert_eq!(world.try_call(call("610").from("2001:db8:0:1::1")), Ok(()));
    assert_eq!(world.try_call(call("610").from("::ffff:192.0.2.7")), Ok(()));
    assert_eq!(world.try_call(call("610").from("192.0.2.7")), Ok(()));
    assert_eq!(
        world.try_call(call("610").from("192.0.2.7")),
        Err(Reason::CallsPerDayPerIp)
    );
    world.pass(DAY);
    assert_eq!(world.try_call(call("610").from("192.0.2.7")), Ok(()));
}

#[test]
fn a_further_attempt_of_a_call_is_not_a_further_call() {
    let mut world = World::new(vec![
        rule("a", RuleKind::CallsPerDay(1)),
        rule(
            "b",
            RuleKind::SameDestination {
                calls: 1,
                within: HOUR,
            },
        ),
    ]);
    let first = world.ask(call("610")).unwrap();
    let further = Wish {
        counted: first.counted(),
        ..call("610")
    };
    assert_eq!(world.try_call(further), Ok(()));
    assert_eq!(world.try_call(call("611")), Err(Reason::CallsPerDay));
}

#[test]
fn calls_that_are_up_are_counted_in_all_by_source_and_by_destination() {
    for (kind, other, reason) in [
        (RuleKind::Concurrent(1), false, Reason::ConcurrentCalls),
        (RuleKind::ConcurrentPerIp(1), true, Reason::ConcurrentPerIp),
        (
            RuleKind::ConcurrentPerDestination(1),
            true,
            Reason::ConcurrentPerDestination,
        ),
    ] {
        let mut world = World::new(vec![rule("a", kind)]);
        let up = world.ask(call("+442071838750")).unwrap();
        assert_eq!(world.try_call(call("00442071838750")), Err(reason));
        let elsewhere = world.try_call(call("611").from("192.0.2.2"));
        assert_eq!(elsewhere.is_ok(), other, "{reason:?}");
        let now = world.now();
        world.guard.release(up, now);
        assert_eq!(world.try_call(call("+442071838750")), Ok(()));
    }
}

#[test]
fn different_destinations_are_counted_for_an_hour_and_known_ones_go_on() {
    let mut world = World::new(vec![rule("a", RuleKind::DestinationsPerHour(2))]);
    for user in ["610", "611", "610", "611"] {
        assert_eq!(world.try_call(call(user)), Ok(()));
    }
    assert_eq!(
        world.try_call(call("612")),
        Err(Reason::DestinationsPerHour)
    );
    assert_eq!(world.try_call(call("612").from("192.0.2.2")), Ok(()));
    assert_eq!(world.try_call(call("610")), Ok(()));
    world.pass(HOUR);
    assert_eq!(world.try_call(call("612")), Ok(()));
}

#[test]
fn one_destination_is_called_so_often_within_a_time_whoever_calls() {
    let within = Duration::from_secs(300);
    let mut world = World::new(vec![rule(
        "a",
        RuleKind::SameDestination { calls: 2, within },
    )]);
    assert_eq!(world.try_call(call("+442071838750")), Ok(()));
    let other = call("00442071838750").from("192.0.2.2");
    assert_eq!(world.try_call(other), Ok(()));
    assert_eq!(world.try_call(other), Err(Reason::SameDestination));
    assert_eq!(world.try_call(call("+442071838751")), Ok(()));
    world.pass(within);
    assert_eq!(world.try_call(other), Ok(()));
}

#[test]
fn calls_of_one_second_and_hours_and_duration_are_bound() {
    let mut world = World::new(vec![rule("a", RuleKind::CallsPerSecond(1))]);
    assert_eq!(world.try_call(call("610")), Ok(()));
    assert_eq!(world.try_call(call("610")), Err(Reason::CallsPerSecond));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.try_call(call("610")), Ok(()));
    let office = Hours {
        zone: jiff::tz::TimeZone::UTC,
        days: Vec::new(),
        from: 8 * 60,
        until: 13 * 60,
    };
    let mut world = World::new(vec![
        rule("a", RuleKind::Hours(office)),
        rule("b", RuleKind::Duration(Duration::from_secs(60))),
    ]);
    let cleared = world.ask(call("610")).unwrap();
    assert_eq!(cleared.duration_max(), Duration::from_secs(60));
    world.pass(HOUR);
    assert_eq!(world.try_call(call("610")), Err(Reason::Hours));
}

#[test]
fn money_is_promised_settled_and_never_overspent() {
    let spend = Spend {
        micros_max: 1_000,
        rates: vec![("+44".into(), 60)],
        other_rate: 600,
    };
    let mut world = World::new(vec![rule("a", RuleKind::SpendPerDay(spend))]);
    let mut up = world.ask(call("+442071838750")).unwrap();
    // 1,000 micro units at 60 a minute are 1,000 seconds: all is promised.
    assert_eq!(up.duration_max(), Duration::from_secs(1_000));
    assert_eq!(
        world.try_call(call("+442071838751")),
        Err(Reason::SpendPerDay)
    );
    assert_eq!(
        world.try_call(call("610")),
        Ok(()),
        "extensions cost nothing"
    );
    let now = world.now();
    up.note_answered(now);
    world.pass(Duration::from_secs(100));
    let now = world.now();
    world.guard.release(up, now);
    let next = world.ask(call("+442071838750")).unwrap();
    assert_eq!(next.duration_max(), Duration::from_secs(900));
    let now = world.now();
    world.guard.release(next, now);
    let dear = world.ask(call("+33142685300")).unwrap();
    assert_eq!(dear.duration_max(), Duration::from_secs(90));
    let now = world.now();
    world.guard.release(dear, now);
    world.pass(DAY);
    let fresh = world.ask(call("+442071838750")).unwrap();
    assert_eq!(fresh.duration_max(), Duration::from_secs(1_000));
}

#[test]
fn a_dry_run_decides_and_counts_and_lets_pass() {
    let mut world = World::with(Rules {
        named: vec![
            numbers(rule("a", RuleKind::Block), &["610"]),
            rule("b", RuleKind::CallsPerDay(1)),
        ],
        dry_run: true,
        ..Rules::default()
    });
    let cleared = world.ask(call("610")).unwrap();
    assert_eq!(
        cleared.overruled().map(|refused| refused.reason),
        Some(Reason::Blocked)
    );
    let cleared = world.ask(call("611")).unwrap();
    assert_eq!(
        cleared.overruled().map(|refused| refused.reason),
        Some(Reason::CallsPerDay)
    );
    assert_eq!(
        world.try_call(call("1900@evil")),
        Err(Reason::NumberMalformed),
        "what cannot be written is not dialled"
    );
    let counters = world.guard.counters();
    assert_eq!((counters.allowed, counters.overruled), (2, 2));
    assert_eq!(counters.of(Reason::Blocked), 1);
}

#[test]
fn scopes_bind_a_rule_to_ways_trunks_and_networks() {
    let mut transit = rule("a", RuleKind::Block);
    transit.scope.ways = vec![Way::Transit];
    let mut elsewhere = rule("b", RuleKind::Block);
    elsewhere.scope.trunks = vec!["tr_2".into()];
    let mut office = numbers(rule("c", RuleKind::Allow), &["+44*"]);
    office.scope.networks = vec!["10.0.0.0/8".parse().unwrap()];
    let mut world = World::new(vec![transit, elsewhere, office]);
    assert_eq!(world.try_call(call("610")), Ok(()));
    let through = Wish {
        way: Way::Transit,
        ..call("610")
    };
    assert_eq!(world.try_call(through), Err(Reason::Blocked));
    let number = call("+442071838750").unnamed();
    assert_eq!(world.try_call(number), Err(Reason::NotNamed));
    assert_eq!(world.try_call(number.from("10.1.2.3")), Ok(()));
}

#[test]
fn a_full_table_refuses_new_sources_and_still_counts_the_known() {
    let mut world = World::new(vec![rule("a", RuleKind::CallsPerDayPerIp(2))]);
    let mut refused = 0;
    for number in 0..KEYS_MAX + 10 {
        let client = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
        match world.try_call(call("610").from(&client)) {
            Ok(()) => {}
            Err(reason) => {
                assert_eq!(reason, Reason::TableFull);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 10);
    assert_eq!(world.guard.counters().of(Reason::TableFull), 10);
    assert_eq!(world.try_call(call("610").from("10.0.0.0")), Ok(()));
    assert_eq!(
        world.try_call(call("610").from("10.0.0.0")),
        Err(Reason::CallsPerDayPerIp)
    );
    world.pass(DAY);
    assert_eq!(world.try_call(call("610").from("11.0.0.0")), Ok(()));
}

#[test]
fn an_explanation_names_every_rule_and_the_one_that_decides_and_counts_nothing() {
    let mut world = World::new(vec![
        numbers(rule("gr_a", RuleKind::Allow), &["+4420*"]),
        numbers(rule("gr_b", RuleKind::Block), &["+44*"]),
        rule("gr_c", RuleKind::CallsPerDay(1)),
    ]);
    world.plan.region = Some("GB".into());
    for _ in 0..3 {
        let told = world.explain(call("020 7183 8750").unnamed());
        assert_eq!(told.dialled.as_deref(), Some("02071838750"));
        assert_eq!((told.class, told.country.as_deref()), ("e164", Some("GB")));
        assert_eq!(told.readings[0], "+442071838750");
        assert_eq!(told.outcome, Ok(()));
        let asked: Vec<&str> = told.steps.iter().map(|step| step.rule.as_str()).collect();
        assert_eq!(asked, ["dial_plan", "gr_a", "gr_b", "gr_c"]);
        assert_eq!(told.decided_by, Some(1));
    }
    let told = world.explain(call("07700 900000"));
    assert_eq!(told.outcome, Err(Reason::Blocked));
    let decider = &told.steps[told.decided_by.unwrap()];
    assert_eq!(
        (decider.rule.as_str(), decider.name.as_str()),
        ("gr_b", "rule gr_b")
    );
    assert_eq!(world.try_call(call("610")), Ok(()));
    assert_eq!(world.explain(call("610")).outcome, Err(Reason::CallsPerDay));
    assert_eq!(
        world.explain(call("a@b")).outcome,
        Err(Reason::NumberMalformed)
    );
}

#[test]
fn changed_rules_keep_what_they_counted_and_new_ones_begin_at_nothing() {
    let mut world = World::new(vec![rule("a", RuleKind::CallsPerDay(2))]);
    assert_eq!(world.try_call(call("610")), Ok(()));
    let held = world.ask(call("610")).unwrap();
    let mut raised = world.guard.rules().clone();
    raised.named = vec![
        rule("b", RuleKind::CallsPerDay(1)),
        rule("a", RuleKind::CallsPerDay(3)),
        rule("c", RuleKind::Concurrent(1)),
    ];
    world.guard.replace_rules(raised);
    assert_eq!(
        world.try_call(call("610")),
        Ok(()),
        "c does not know the held one"
    );
    assert_eq!(world.try_call(call("610")), Err(Reason::CallsPerDay));
    let now = world.now();
    world.guard.release(held, now);
    assert_eq!(world.guard.active(), 0);
}

#[test]
fn numbers_abroad_behind_an_outside_line_need_no_list() {
    let mut world = World::with(Rules::default());
    world.plan = DialPlan {
        region: Some("GB".to_owned()),
        outside: vec!["9".to_owned()],
        reaches_pstn: true,
        ..DialPlan::default()
    };
    for (number, expected) in [
        ("900442071838750", Ok(())),
        ("90033142685300", Ok(())),
        ("900881612345678", Err(Reason::Satellite)),
        ("900449098790000", Err(Reason::Premium)),
        // Ten digits: either a line and a number too short, or a number at home that costs much.
        ("9098790000", Err(Reason::Premium)),
    ] {
        assert_eq!(world.try_call(call(number)), expected, "{number}");
    }
}

#[test]
fn access_codes_in_a_list_open_no_range_that_costs_much() {
    let british = DialPlan {
        region: Some("GB".to_owned()),
        outside: vec!["8".to_owned()],
        reaches_pstn: true,
        ..DialPlan::default()
    };
    for (list, number, reason) in [
        ("80044", "800449098790000", Some(Reason::Premium)),
        ("0088", "00881612345678", Some(Reason::Satellite)),
        ("+88", "+881612345678", Some(Reason::Satellite)),
        ("80044", "800442071838750", None),
        ("+44909", "800449098790000", None),
        ("00881", "00881612345678", None),
        ("800449098790000", "800449098790000", None),
    ] {
        let expected = reason.map_or(Ok(()), Err);
        let mut settings = World::with(Rules {
            allow_prefixes: vec![list.to_owned()],
            ..Rules::default()
        });
        settings.plan = british.clone();
        let asked = settings.try_call(call(number).unnamed());
        assert_eq!(asked, expected, "setting {list}, {number}");
        let named = numbers(rule("a", RuleKind::Allow), &[&format!("{list}*")]);
        let mut rules = World::new(vec![named]);
        rules.plan = british.clone();
        let asked = rules.try_call(call(number).unnamed());
        assert_eq!(asked, expected, "rule {list}*, {number}");
    }
}
