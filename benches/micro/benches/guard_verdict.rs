//! What a verdict of the fraud guard costs, with criterion: 200 rules, 100,000 counted sources.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use sluice::fraud_guard::rule::{NumberMatch, RuleKind, Scope};
use sluice::fraud_guard::{Attempt, DialPlan, Guard, Rule, Rules, Verdict, Way};

const RULES: u32 = 200;
const SOURCES: u32 = 100_000;

fn rule(number: u32, kind: RuleKind, numbers: Vec<NumberMatch>) -> Rule {
    let scope = Scope {
        numbers,
        ..Scope::default()
    };
    Rule {
        id: format!("gr_{number:012x}"),
        name: format!("rule {number}"),
        enabled: true,
        scope,
        kind,
    }
}

/// Block rules with a few prefixes each, and every kind of cap.
fn rules() -> Rules {
    let within = Duration::from_secs(300);
    let caps = [
        RuleKind::CallsPerDay(u32::MAX),
        RuleKind::CallsPerDayPerIp(u32::MAX),
        RuleKind::ConcurrentPerIp(u32::MAX),
        RuleKind::DestinationsPerHour(1_000),
        RuleKind::SameDestination {
            calls: u32::MAX,
            within,
        },
    ];
    let first = u32::try_from(caps.len()).unwrap_or(0);
    let caps = (0..)
        .zip(caps)
        .map(|(number, kind)| rule(number, kind, Vec::new()));
    let lists = (first..RULES).map(|number| {
        let numbers =
            (0..5).filter_map(|last| NumberMatch::parse(&format!("+8{number:03}{last}*")));
        rule(number, RuleKind::Block, numbers.collect())
    });
    Rules {
        named: caps.chain(lists).collect(),
        calls_per_second: 0,
        ..Rules::default()
    }
}

fn source(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 | number).to_be_bytes())
}

fn verdict(criterion: &mut Criterion) {
    let now = Instant::now();
    let plan = DialPlan {
        region: Some("GB".to_owned()),
        reaches_pstn: true,
        ..DialPlan::default()
    };
    let attempt = |number: u32| Attempt {
        user: "+442071838750",
        way: Way::Link,
        trunk: "tr_0123456789ab",
        dial_plan: &plan,
        client: Some(source(number)),
        at: Timestamp::UNIX_EPOCH,
        named_by_link: true,
        counted: &[],
    };
    let mut guard = Guard::seeded(rules(), 7);
    let mut call = |number: u32| match guard.verdict(&attempt(number), now) {
        Verdict::Allow(cleared) => guard.release(black_box(cleared), now),
        Verdict::Refuse(reason) => drop(black_box(reason)),
    };
    (0..SOURCES).for_each(&mut call);
    let mut number = 0_u32;
    criterion.bench_function("guard_verdict", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(7_919) % SOURCES;
            call(number);
        });
    });
}

criterion_group!(benches, verdict);
criterion_main!(benches);
