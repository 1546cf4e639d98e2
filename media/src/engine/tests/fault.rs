//! A fault of ours in one leg: its call ends, the others go on, and no buffer is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};

use packet_io::Faults;

use super::harness::{Harness, Stream, plan};
use crate::command::{Report, Target};

/// Panics at one point of the worker's path, once.
struct Struck {
    is_armed: bool,
}

impl Faults for Struck {
    fn refuse_allocation(&mut self) -> bool {
        assert!(!std::mem::take(&mut self.is_armed), "injected");
        false
    }
}

#[test]
fn a_panic_costs_one_leg_and_no_buffer() {
    let mut harness = Harness::with(Struck { is_armed: false }, |_| {});
    let struck = harness.connect(plan("198.51.100.1:4000"), Target::Echo);
    harness.exchange(struck.ours, struck.peer, &Stream::new(1).next());
    harness.worker.io_mut().faults_mut().is_armed = true;
    let (mut first, mut second) = (Stream::new(2), Stream::new(3));
    let other = harness.connect(plan("203.0.113.2:6000"), Target::Echo);
    let mut panics = 0;
    for _ in 0..300 {
        harness.now += std::time::Duration::from_millis(20);
        harness.deliver(other.ours, other.peer, &second.next());
        if catch_unwind(AssertUnwindSafe(|| harness.turn())).is_err() {
            panics += 1;
            harness.worker.handle_panic();
            harness.turn();
        }
    }
    assert_eq!((panics, harness.worker.counters().panics), (1, 1));
    let told = harness.reports.iter().filter_map(|report| match report {
        Report::Struck { pair } => Some(*pair),
        Report::Stocked { .. }
        | Report::Silent { .. }
        | Report::BrowserStocked { .. }
        | Report::TransportUp { .. }
        | Report::TransportFailed { .. }
        | Report::TransportSilent { .. }
        | Report::TransportBack { .. }
        | Report::Loaded { .. }
        | Report::Latched { .. }
        | Report::Disconnected { .. } => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1);
    // One of the two was struck; it passes nothing, the other everything.
    let is_first = told[0] == struck.pair;
    harness.sent();
    let to_first = harness
        .exchange(struck.ours, struck.peer, &first.next())
        .len();
    let to_second = harness
        .exchange(other.ours, other.peer, &second.next())
        .len();
    assert_eq!(
        (to_first, to_second),
        if is_first { (0, 1) } else { (1, 0) }
    );
    harness.disconnect(struck);
    harness.disconnect(other);
    assert!(harness.pool_is_whole());
}
