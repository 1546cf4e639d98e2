//! Commands that come too late, twice, or for another worker.

use super::harness::{Harness, Stream, plan};
use crate::command::{Command, LegPlan, PairKey, Report, Target};
use proptest::prelude::*;

#[test]
fn a_stale_key_does_nothing_and_is_counted() {
    let mut harness = Harness::new();
    let leg = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    let wrong = [
        PairKey {
            generation: leg.pair.generation + 1,
            ..leg.pair
        },
        PairKey {
            worker: 9,
            ..leg.pair
        },
        PairKey {
            slot: 4_000_000,
            ..leg.pair
        },
    ];
    for pair in wrong {
        harness.command(Command::Disconnect { pair });
        harness.command(Command::Acknowledge { pair });
        let plan = plan("198.51.100.66:1000");
        harness.command(Command::Update {
            pair,
            plan: plan.clone(),
            target: Target::Nowhere,
        });
        harness.command(Command::Connect {
            pair,
            plan,
            target: Target::Nowhere,
        });
    }
    assert_eq!(harness.worker.counters().commands_stale, 12);
    assert_eq!(
        harness
            .exchange(leg.ours, leg.peer, &Stream::new(1).next())
            .len(),
        1
    );
}

#[test]
fn the_end_of_a_leg_is_told_once_and_only_the_first_time() {
    let mut harness = Harness::new();
    let leg = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    harness.exchange(leg.ours, leg.peer, &Stream::new(1).next());
    harness.reports.clear();
    for _ in 0..3 {
        harness.command(Command::Disconnect { pair: leg.pair });
    }
    let is_end = |report: &&Report| matches!(report, Report::Disconnected { .. });
    assert_eq!(harness.reports.iter().filter(is_end).count(), 1);
    harness.command(Command::Acknowledge { pair: leg.pair });
    harness.command(Command::Acknowledge { pair: leg.pair });
    assert_eq!(harness.worker.counters().commands_stale, 3);
}

#[test]
fn a_target_on_another_worker_is_nowhere() {
    let mut harness = Harness::new();
    let far = PairKey {
        worker: 4,
        slot: 0,
        generation: 1,
    };
    let leg = harness.connect(plan("198.51.100.1:4000"), Target::Leg(far));
    assert_eq!(
        harness.exchange(leg.ours, leg.peer, &Stream::new(1).next()),
        []
    );
    assert_eq!(harness.worker.counters().commands_stale, 1);
}

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Disconnect(usize),
    Acknowledge(usize),
    Update(usize, u16),
    Packet(usize, u16),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Connect),
        (0_usize..12).prop_map(Step::Disconnect),
        (0_usize..12).prop_map(Step::Acknowledge),
        (0_usize..12, 0_u16..3).prop_map(|(leg, host)| Step::Update(leg, host)),
        (0_usize..12, 0_u16..3).prop_map(|(leg, host)| Step::Packet(leg, host)),
        (0_u64..3_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order of commands, packets and time keeps every table in agreement (the harness checks
    /// after each), and no buffer is lost.
    #[test]
    fn tables_agree_after_any_history(steps in proptest::collection::vec(step(), 1..120)) {
        let mut harness = Harness::new();
        let mut legs = Vec::new();
        let mut stream = Stream::new(1);
        let remote = |host: u16| format!("198.51.100.{host}:4000");
        for (version, step) in (2_u32..).zip(steps) {
            let chosen = match &step {
                Step::Disconnect(leg) | Step::Acknowledge(leg) | Step::Update(leg, _) | Step::Packet(leg, _) =>
                    legs.get(*leg).copied(),
                Step::Connect | Step::Pass(_) => None,
            };
            match (step, chosen) {
                (Step::Connect, _) => {
                    harness.turn();
                    if !harness.stock.is_empty() {
                        legs.push(harness.connect(plan(&remote(0)), Target::Echo));
                    }
                }
                (Step::Pass(milliseconds), _) => harness.pass_ms(milliseconds),
                (Step::Disconnect(_), Some(leg)) => harness.command(Command::Disconnect { pair: leg.pair }),
                (Step::Acknowledge(_), Some(leg)) => harness.command(Command::Acknowledge { pair: leg.pair }),
                (Step::Update(_, host), Some(leg)) => {
                    let target = if host == 1 { Target::Leg(legs[0].pair) } else { Target::Echo };
                    harness.update(leg, LegPlan { version, ..plan(&remote(host)) }, target);
                }
                (Step::Packet(_, host), Some(leg)) => {
                    let from = remote(host).parse().unwrap();
                    harness.exchange(leg.ours, from, &stream.next());
                }
                (Step::Disconnect(_) | Step::Acknowledge(_) | Step::Update(..) | Step::Packet(..), None) => {}
            }
        }
        harness.turn();
        prop_assert!(harness.pool_is_whole());
    }
}
