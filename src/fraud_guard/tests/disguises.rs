//! Numbers in disguise: no spelling of a blocked number is cleared through any dial plan, and what is
//! dialled is what was judged.

use proptest::prelude::*;

use super::super::numbering::numbering;
use super::*;
use crate::trunks::model::tests::trunk;

/// Premium, satellite and blocked numbers in E.164, without `+`.
const FORBIDDEN: [&str; 6] = [
    "19005551234",
    "449098790000",
    "881612345678",
    "870773111632",
    "442071838750",
    "33899123456",
];

fn blocking() -> Rules {
    Rules {
        named: vec![numbers(rule("a", RuleKind::Block), &["+4420718*"])],
        calls_per_second: 0,
        ..Rules::default()
    }
}

/// The same beside lists that allow much, and name no forbidden range as exactly as it is known.
fn with_allowed() -> impl Strategy<Value = Rules> {
    let allowed = prop::sample::select(vec![
        "9", "90", "900", "90044", "0", "00", "011", "0088", "+44", "44", "+88", "+1", "19", "+33",
    ]);
    let lists = prop::collection::vec(allowed, 0..3);
    (lists, any::<bool>()).prop_map(|(lists, as_rule)| {
        let mut rules = blocking();
        if as_rule && !lists.is_empty() {
            let prefixes: Vec<String> = lists.iter().map(|text| format!("{text}*")).collect();
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let allow = numbers(rule("b", RuleKind::Allow), &prefixes);
            rules.named.push(allow);
        } else {
            rules.allow_prefixes = lists.iter().map(|text| (*text).to_owned()).collect();
        }
        rules
    })
}

fn plan() -> impl Strategy<Value = DialPlan> {
    let region = prop_oneof![
        Just(None),
        Just(Some("GB".to_owned())),
        Just(Some("US".to_owned())),
        Just(Some("FR".to_owned())),
        Just(Some("IT".to_owned()))
    ];
    let codes = prop_oneof![
        Just(vec!["00".to_owned()]),
        Just(vec!["011".to_owned(), "00".to_owned()]),
        Just(vec!["000".to_owned()])
    ];
    let outside = prop_oneof![
        Just(Vec::new()),
        Just(vec!["9".to_owned()]),
        Just(vec!["0".to_owned(), "99".to_owned()])
    ];
    let extensions = prop_oneof![Just(Vec::new()), Just(vec![3, 4]), Just(vec![11, 12])];
    let flags = (any::<bool>(), any::<bool>());
    (region, codes, outside, flags, extensions).prop_map(
        |(region, international, outside, (bare, reaches_pstn), extension_lengths)| DialPlan {
            region,
            international,
            outside,
            bare,
            extension_lengths,
            reaches_pstn,
            ..DialPlan::default()
        },
    )
}

/// What a network behind a trunk of this plan would connect: written without regard to the guard's
/// own reading.
fn connects(plan: &DialPlan, dialled: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut bodies = vec![dialled.to_owned()];
    for code in &plan.outside {
        bodies.extend(dialled.strip_prefix(code.as_str()).map(str::to_owned));
    }
    let abroad = goes_abroad(plan, dialled);
    for body in bodies {
        found.extend(body.strip_prefix('+').map(str::to_owned));
        for code in &plan.international {
            found.extend(body.strip_prefix(code.as_str()).map(str::to_owned));
        }
        let is_too_long = |number: &str| abroad && body == dialled && !is_whole(number);
        if plan.bare && !is_too_long(&body) {
            found.push(body.clone());
        }
        let (code, national) = match plan.region.as_deref() {
            Some("GB") => ("44", "0"),
            Some("US") => ("1", "1"),
            Some("FR") => ("33", "0"),
            Some("IT") => ("39", "0"),
            _ => continue,
        };
        found.extend(
            body.strip_prefix(national)
                .map(|rest| format!("{code}{rest}")),
        );
        let bare = format!("{code}{body}");
        if !is_too_long(&bare) {
            found.push(bare);
        }
    }
    found
}

/// Who gets a line by a digit takes that digit for nothing else when a whole number abroad follows.
fn goes_abroad(plan: &DialPlan, dialled: &str) -> bool {
    plan.outside.iter().any(|line| {
        plan.international.iter().any(|code| {
            let number = dialled.strip_prefix(&format!("{line}{code}"));
            number.is_some_and(is_whole)
        })
    })
}

fn is_whole(number: &str) -> bool {
    numbering().understand(number).is_some_and(|it| it.complete)
}

/// What is no number goes on where no telephone network is behind the trunk: nothing connects it.
fn is_a_number(world: &World, dialled: &str) -> bool {
    world.plan.reaches_pstn || world.explain(call(dialled)).class != "unknown"
}

fn reached(world: &World, dialled: &str) -> Vec<String> {
    if is_a_number(world, dialled) {
        connects(&world.plan, dialled)
    } else {
        Vec::new()
    }
}

fn is_forbidden(connected: &str) -> bool {
    connected.starts_with("4420718")
        || numbering().premium(connected).is_some()
        || numbering().satellite(connected).is_some()
}

/// A spelling of the number: access codes, separators, escapes, contexts, noise.
fn spelling() -> impl Strategy<Value = String> {
    let number = prop::sample::select(FORBIDDEN.to_vec());
    let front = prop::sample::select(vec![
        "", "+", "00", "011", "000", "9", "900", "9+", "9011", "990", "tel:+", "sip:00", "%2B",
        "%2b", "++", "+00", "TEL:", "0", "+0", " +", "％2B", "＋",
    ]);
    let noise = prop::collection::vec(0_u8..12, 24);
    let back = prop::sample::select(vec![
        "",
        "",
        "",
        ";user=phone",
        ";phone-context=+44",
        ";phone-context=+1",
        "@evil",
        "%40evil",
        "%00",
        "#",
        "*",
        "5",
        "999",
        " ",
        ";ext=5",
        "\u{0}",
        "?x",
        "%3buser=phone",
    ]);
    (number, front, noise, back, any::<bool>()).prop_map(
        |(number, front, noise, back, national)| {
            let number = if national {
                number
                    .strip_prefix("44")
                    .or_else(|| number.strip_prefix("33"))
                    .unwrap_or(number)
            } else {
                number
            };
            let mut text = front.to_owned();
            for (digit, noise) in number.chars().zip(noise) {
                match noise {
                    0 => text.push('-'),
                    1 => text.push('.'),
                    2 => text.push_str("%28"),
                    3 => text.push_str("%20"),
                    4 => {
                        text.push_str(&format!("%{:02X}", u32::from(digit)));
                        continue;
                    }
                    5 if number.len() % 2 == 0 => {
                        let wide = char::from_u32(u32::from(digit) + 0xfee0);
                        text.extend(wide);
                        continue;
                    }
                    _ => {}
                }
                text.push(digit);
            }
            text + back
        },
    )
}

#[test]
fn what_can_be_read_as_more_numbers_than_are_kept_is_refused_on_every_trunk() {
    let mut world = World::with(blocking());
    let zeros = |count: usize| "0".repeat(count);
    world.plan = DialPlan {
        region: Some("GB".to_owned()),
        international: vec![zeros(2)],
        outside: (1..9).map(zeros).collect(),
        reaches_pstn: false,
        ..DialPlan::default()
    };
    let told = world.explain(call("00000002071838750"));
    assert_eq!(told.outcome, Err(Reason::NumberUnknown), "{told:?}");
    assert!(told.steps[0].answer.contains("too many"), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_spelling_of_a_blocked_number_is_cleared_through_any_dial_plan(
        user in spelling(),
        plan in plan(),
        rules in with_allowed(),
    ) {
        let mut world = World::with(rules);
        world.plan = plan;
        if let Ok(cleared) = world.ask(call(&user)) {
            for connected in reached(&world, cleared.user()) {
                let blocked = is_forbidden(&connected);
                prop_assert!(!blocked, "{user} -> {} -> {connected}", cleared.user());
            }
        }
    }

    /// What is dialled is exactly what was judged: judging it again gives the same text and class.
    #[test]
    fn what_is_dialled_is_what_was_judged(user in spelling(), plan in plan()) {
        let mut world = World::with(Rules {
            block_premium: false,
            block_satellite: false,
            ..Rules::default()
        });
        world.plan = plan;
        if let Ok(cleared) = world.ask(call(&user)) {
            let dialled = cleared.user().to_owned();
            let now = world.now();
            world.guard.release(cleared, now);
            let told = world.explain(call(&user));
            let again = world.explain(call(&dialled));
            prop_assert_eq!(again.dialled.as_ref(), Some(&dialled));
            prop_assert_eq!((again.class, again.readings), (told.class, told.readings));
            if is_a_number(&world, &dialled) {
                let hides = |octet: u8| octet <= b' ' || b"@%;:?\0".contains(&octet);
                prop_assert!(!dialled.bytes().any(hides));
            }
        }
    }

    /// Whatever a trunk makes of a number is what is judged: no rewriting gets a blocked one out.
    #[test]
    fn no_rewriting_of_a_trunk_gets_a_blocked_number_out(
        user in "[+0-9]{0,4}(19005551234|449098790000|881612345678|442071838750)",
        strip in 0_u8..6,
        prefix in prop::sample::select(vec!["", "+", "00", "9", "900", "+44", "011", "0"]),
        plan in plan(),
    ) {
        let mut trunk = trunk("tr_1", "192.0.2.1:5060");
        (trunk.strip, trunk.prefix) = (strip, prefix.to_owned());
        let mut world = World::with(blocking());
        world.plan = plan;
        let rewritten = trunk.rewrite(&user);
        if let Ok(cleared) = world.ask(call(&rewritten)) {
            for connected in reached(&world, cleared.user()) {
                prop_assert!(!is_forbidden(&connected), "{} -> {}", user, connected);
            }
        }
    }

    #[test]
    fn any_text_through_any_plan_gives_a_verdict(user in "\\PC{0,60}", plan in plan()) {
        let mut world = World::with(blocking());
        world.plan = plan;
        let told = world.explain(call(&user));
        match world.ask(call(&user)) {
            Ok(cleared) => prop_assert_eq!(told.dialled.as_deref(), Some(cleared.user())),
            Err(reason) => prop_assert_eq!(told.outcome, Err(reason)),
        }
    }
}
