//! What SRTP adds to a relayed packet, with criterion.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use media::srtp::Suite;
use micro::srtp::Relay;
use std::cell::RefCell;

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("srtp_relay");
    for suite in Suite::ALL {
        let Some(relay) = Relay::new(suite).map(RefCell::new) else {
            continue;
        };
        group.bench_function(suite.as_str(), |bencher| {
            bencher.iter_batched_ref(
                || relay.borrow_mut().packet(),
                |packet| {
                    packet
                        .as_mut()
                        .and_then(|packet| relay.borrow_mut().pass(packet))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, relay);
criterion_main!(benches);
