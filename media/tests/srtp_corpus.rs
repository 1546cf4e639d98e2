//! The corpus of libsrtp's fuzzer, when `SLUICE_CORPUS` names a folder with it, and random octets
//! always: through the contexts, and through a worker whose leg has keys. Unset, it says so: the
//! corpus is not part of this repository.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use media::command::{Command, LatchPolicy, LegPlan, MediaKind, PayloadMapping, Report, Target};
use media::drop_reason::DropReason;
use media::fuzzing;
use media::srtp::{MasterKey, SrtpPlan, Suite};
use media::{Worker, WorkerConfig};
use packet_io::{Simulated, SimulatedConfig};
use proptest::prelude::*;

const OURS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
fn each_file_of_the_libsrtp_corpus_is_refused_for_a_counted_reason() {
    let Some(corpus) = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from) else {
        println!("corpus: not run (1 suites)");
        return;
    };
    let mut secure = SecureLeg::new();
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    let mut files = 0;
    for entry in std::fs::read_dir(corpus.join("fuzz-libsrtp")).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        // The file begins with keys and policies; packets may begin anywhere after them.
        let step = (octets.len() / 6).max(1);
        for start in (0..octets.len()).step_by(step) {
            let end = octets.len().min(start + 1_500);
            let datagram = &octets[start..end];
            let refused = fuzzing::srtp(datagram).expect_err("no key of the corpus is ours");
            *reasons.entry(refused.as_str()).or_default() += 1;
            // With a valid header it reaches the keys.
            let mut valid = datagram.to_vec();
            valid[0] = 0x80 | valid[0] & 0x1f;
            let refused = fuzzing::srtp(&valid).expect_err("no key of the corpus is ours");
            *reasons.entry(refused.as_str()).or_default() += 1;
            secure.refuses(datagram);
            secure.refuses(&valid);
        }
    }
    println!("corpus: {files} files: {reasons:?}");
    assert!(reasons.contains_key(DropReason::SrtpAuthentication.as_str()));
    assert!(files > 100, "{files}");
    assert_eq!(secure.received(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_octets_are_refused_or_come_back_whole(
        first in prop_oneof![any::<u8>(), 0x80_u8..=0xbf],
        mut octets in proptest::collection::vec(any::<u8>(), 1..300),
    ) {
        octets[0] = first;
        prop_assert!(fuzzing::srtp(&octets).is_err());
    }
}

/// A worker with one leg that has keys.
struct SecureLeg {
    worker: Worker<Simulated>,
    now: Instant,
    ours: SocketAddr,
    peer: SocketAddr,
}

impl SecureLeg {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one moment the test counts from"
    )]
    fn new() -> Self {
        let config = WorkerConfig::new(0, [192, 0, 2, 1].into(), 10_000..=10_063, [1; 32]);
        let worker = Worker::new(Simulated::new(SimulatedConfig::default()), config);
        let peer = ([198, 51, 100, 1], 4_000).into();
        let mut leg = Self {
            worker,
            now: Instant::now(),
            ours: OURS,
            peer,
        };
        leg.worker.turn(leg.now);
        while let Some(report) = leg.worker.poll_report() {
            if let Report::Stocked { pair, rtp } = report
                && leg.ours == OURS
            {
                leg.ours = rtp;
                let plan = plan(peer);
                let target = Target::Echo;
                leg.worker
                    .handle_command(leg.now, Command::Connect { pair, plan, target });
            }
        }
        leg
    }

    /// One datagram to each port: nothing leaves, and one more is counted for each.
    fn refuses(&mut self, datagram: &[u8]) {
        for next in [0, 1] {
            self.now += Duration::from_millis(20);
            let before = self.worker.counters().drops.total();
            let to = SocketAddr::new(self.ours.ip(), self.ours.port() + next);
            let from = SocketAddr::new(self.peer.ip(), self.peer.port() + next);
            self.worker.io_mut().deliver(to, from, datagram);
            for _ in 0..2 {
                let wait = self.worker.turn(self.now);
                self.worker.wait(self.now, wait);
            }
            self.worker.check_invariants();
            self.worker
                .io_mut()
                .take_sent(|_, _, _| panic!("something left"));
            assert_eq!(self.worker.counters().drops.total(), before + 1);
        }
    }

    fn received(&self) -> u64 {
        self.worker.counters().packets_sent
    }
}

fn plan(remote: SocketAddr) -> LegPlan {
    let suite = Suite::AeadAes128Gcm;
    let key = |seed| MasterKey::new(suite, &[seed; 28]);
    let pcmu = PayloadMapping {
        received: 0,
        sent: 0,
        clock_rate_hz: 8_000,
        is_telephone_event: false,
        sent_clock_hz: None,
    };
    let keys = key(1).zip(key(2));
    LegPlan {
        kind: MediaKind::Audio,
        remote_rtp: Some(remote),
        remote_rtcp: None,
        sends: true,
        receives: true,
        payloads: ArrayVec::from_iter([pcmu]),
        latch: LatchPolicy::Sdp,
        media_timeout: None,
        version: 1,
        srtp: keys.map(|(send, receive)| Box::new(SrtpPlan { send, receive })),
    }
}
