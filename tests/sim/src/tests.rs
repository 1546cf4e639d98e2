//! Worlds of many seeds, and worlds that are broken on purpose.

use crate::gateway::Sabotage;
use crate::run::{run, run_seed};

/// Worlds of one `make test`.
const SEEDS: u64 = 256;

/// Seeds that once failed, then 0 to 255.
#[test]
fn seeds_256() {
    let known = include_str!("../seeds.txt");
    let known = known
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    let known = known.filter(|line| !line.is_empty()).map(|line| {
        u64::from_str_radix(line.trim_start_matches("0x"), 16).expect("a seed in hexadecimal")
    });
    let (mut calls, mut protected) = (0, 0);
    for seed in known.chain(0..SEEDS) {
        match run_seed(seed, false) {
            Ok(summary) => {
                calls += summary.calls;
                protected += summary.protected;
            }
            Err(failure) => panic!("{}", failure.report),
        }
    }
    assert!(calls > 1000, "the worlds are empty: {calls} calls");
    assert!(protected > 5_000, "hardly any keys: {protected} packets");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 77, 0xdead] {
        let (first, second) = (
            run_seed(seed, false).unwrap(),
            run_seed(seed, true).unwrap(),
        );
        assert_eq!(first, second);
        assert!(first.steps > 10);
    }
    assert_ne!(
        run_seed(1, false).unwrap().hash,
        run_seed(2, false).unwrap().hash
    );
}

/// Seeds until one world of this sabotage is caught, and what was said.
fn caught(sabotage: Sabotage) -> String {
    for seed in 0..64 {
        if let Err(failure) = run(seed, false, sabotage) {
            assert!(
                failure.report.contains("cargo sim --seed"),
                "{}",
                failure.report
            );
            return failure.summary;
        }
    }
    panic!("{sabotage:?} was not caught in 64 worlds");
}

#[test]
fn a_gateway_that_sends_no_bye_is_caught() {
    let summary = caught(Sabotage::NoBye);
    assert!(
        summary.contains("never") || summary.contains("long after"),
        "{summary}"
    );
}

#[test]
fn a_relay_that_mixes_up_legs_is_caught() {
    let summary = caught(Sabotage::SwapLegs);
    assert!(summary.contains("not connected"), "{summary}");
}

#[test]
fn a_relay_that_loses_packets_is_caught() {
    let summary = caught(Sabotage::LoseMedia);
    assert!(summary.contains("lost inside"), "{summary}");
}

#[test]
fn a_retransmission_with_other_octets_is_caught() {
    let summary = caught(Sabotage::ChangeRepeats);
    assert!(summary.contains("other octets"), "{summary}");
}

#[test]
fn a_record_that_is_written_twice_is_caught() {
    let summary = caught(Sabotage::DoubleRecords);
    assert!(summary.contains("CDR"), "{summary}");
}

#[test]
fn a_relay_that_changes_what_keys_protect_is_caught() {
    let found = (0..64).find_map(|seed| {
        let failure = run(seed, false, Sabotage::ChangeMedia).err()?;
        let is_it = failure.summary.contains("no key of its dialog");
        is_it.then_some(())
    });
    assert!(found.is_some(), "in 64 worlds");
}
