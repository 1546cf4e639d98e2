//! What a message costs, with criterion: for small differences that the bars cannot show.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

use micro::invite::{INVITE, parse_ours, parse_theirs, parse_write_ours, parse_write_theirs};
use sip::message::{self, SendBuffer};
use sip::sdp::SessionDescription;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sip_parse");
    group.bench_function("index", |bencher| {
        bencher.iter(|| message::parse(black_box(INVITE)).map(|found| found.header_count()));
    });
    group.bench_function("validate", |bencher| {
        bencher.iter(|| message::parse(black_box(INVITE)).map(|found| found.validate()));
    });
    group.bench_function("ours", |bencher| {
        bencher.iter(|| parse_ours(black_box(INVITE)))
    });
    group.bench_function("rsip", |bencher| {
        bencher.iter(|| parse_theirs(black_box(INVITE)))
    });
    group.bench_function("sdp", |bencher| {
        let sdp = message::parse(INVITE)
            .ok()
            .and_then(|found| found.sdp())
            .unwrap_or_default();
        bencher.iter(|| SessionDescription::parse(black_box(sdp)));
    });
    group.finish();
}

fn parse_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sip_parse_write");
    group.bench_function("ours", |bencher| {
        let mut buffer = SendBuffer::new();
        bencher.iter(|| parse_write_ours(black_box(INVITE), &mut buffer));
    });
    group.bench_function("rsip", |bencher| {
        bencher.iter(|| parse_write_theirs(black_box(INVITE)))
    });
    group.finish();
}

criterion_group!(benches, parse, parse_write);
criterion_main!(benches);
