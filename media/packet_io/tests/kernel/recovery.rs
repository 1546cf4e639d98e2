//! What ends a reception or fails a send, each a thousand times over: reception starts again by
//! itself, each datagram comes once and in order, and no buffer is lost.

use std::net::{SocketAddr, UdpSocket};

use packet_io::{
    AnyPacketIo, DATAGRAM_BYTES_MAX, IoCounters, KernelStep, PacketIo, PacketIoConfig, PoolCounts,
    SocketKey, Uring,
};

use super::{any_port, config, each, send, spec, turn};

/// How often each is forced.
const TIMES: u64 = 1_000;

/// Turns that what is expected may take, beyond any doubt.
const TURNS_MAX: usize = 200;

/// A sender outside and a socket of ours, connected to it or not.
struct Line {
    outside: UdpSocket,
    key: SocketKey,
    local: SocketAddr,
}

impl Line {
    fn open(io: &mut impl PacketIo, is_connected: bool) -> Self {
        let outside = UdpSocket::bind(any_port()).expect("a free port");
        let key = io.open(spec(any_port())).expect("a free port");
        let local = io.local(key).expect("open");
        if is_connected {
            io.connect(key, outside.local_addr().ok());
        }
        Self {
            outside,
            key,
            local,
        }
    }

    fn send(&self, datagram: &[u8]) {
        self.outside
            .send_to(datagram, self.local)
            .expect("loopback takes it");
    }
}

/// Takes until `count` have come.
fn gather(io: &mut impl PacketIo, count: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for _ in 0..TURNS_MAX {
        heard.append(&mut turn(io));
        if heard.len() >= count {
            break;
        }
    }
    heard
}

/// All buffers are where they were, and reception goes on.
fn assert_whole(io: &mut impl PacketIo, line: &Line, before: PoolCounts, what: &str) {
    for _ in 0..8 {
        assert_eq!(turn(io).len(), 0, "{what}: nothing is left over");
    }
    let after = io.pool_counts();
    assert_eq!(after, before, "{what}: every buffer is back");
    line.send(b"after");
    assert_eq!(gather(io, 1), [b"after"], "{what}: it still hears");
    let counters: &IoCounters = io.counters();
    assert_eq!(counters.unknown_completions, 0, "{what}");
    assert_eq!(counters.kernel_entries_failed, 0, "{what}");
}

/// Pool counts once what was opened has been armed.
fn settled(io: &mut impl PacketIo) -> PoolCounts {
    for _ in 0..4 {
        turn(io);
    }
    io.pool_counts()
}

#[test]
fn a_thousand_times_without_a_buffer_nothing_is_lost() {
    for step in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        for is_connected in [false, true] {
            let sizes = PacketIoConfig {
                buffers: 16,
                ..config(step)
            };
            let mut io = AnyPacketIo::choose(sizes).expect("epoll at least");
            let line = Line::open(&mut io, is_connected);
            let before = settled(&mut io);
            let burst = 64_usize;
            while io.counters().receive_buffers_empty < TIMES {
                let expected: Vec<_> = (0..burst)
                    .map(|number| vec![u8::try_from(number).expect("below 64"); 20])
                    .collect();
                expected.iter().for_each(|datagram| line.send(datagram));
                assert_eq!(gather(&mut io, burst), expected, "{step:?} {is_connected}");
            }
            assert_whole(&mut io, &line, before, step.as_str());
        }
    }
}

#[test]
fn a_thousand_completions_too_many_cost_nothing_but_a_new_start() {
    for step in [KernelStep::Full, KernelStep::NoMinWait] {
        let sizes = PacketIoConfig {
            buffers: 512,
            ..config(step)
        };
        let mut io = match Uring::with_completions(sizes, 8) {
            Ok(io) => io,
            Err(refused) => {
                println!("not run: {}: {refused}", step.as_str());
                continue;
            }
        };
        let lines: Vec<_> = [false, true, false]
            .map(|is_connected| Line::open(&mut io, is_connected))
            .into();
        let before = settled(&mut io);
        let armed = io.counters().receives_rearmed;
        while io.counters().receives_rearmed - armed < TIMES {
            for line in &lines {
                for number in 0..30 {
                    line.send(&[number; 12]);
                }
            }
            let mut heard = gather(&mut io, 90);
            heard.sort();
            let expected: Vec<_> = (0..30)
                .flat_map(|number| vec![vec![number; 12]; 3])
                .collect();
            assert_eq!(heard, expected, "{step:?}");
        }
        let counters = io.counters();
        assert_eq!(
            counters.receive_buffers_empty, 0,
            "there was room in the pool"
        );
        let line = lines.first().expect("three");
        assert_whole(&mut io, line, before, step.as_str());
    }
}

#[test]
fn a_thousand_empty_datagrams_between_others_end_nothing() {
    for is_connected in [false, true] {
        each(|step, mut io| {
            let line = Line::open(&mut io, is_connected);
            let before = settled(&mut io);
            while io.counters().empty_datagrams < TIMES {
                for number in 0..10 {
                    line.send(&[]);
                    line.send(&[number; 30]);
                }
                let expected: Vec<_> = (0..10).map(|number| vec![number; 30]).collect();
                assert_eq!(gather(&mut io, 10), expected, "{step:?} {is_connected}");
            }
            assert_whole(&mut io, &line, before, step.as_str());
        });
    }
}

#[test]
fn a_thousand_datagrams_that_are_too_long_leave_their_buffers() {
    for is_connected in [false, true] {
        each(|step, mut io| {
            let line = Line::open(&mut io, is_connected);
            let before = settled(&mut io);
            while io.counters().truncated_datagrams < TIMES {
                line.send(&[7; DATAGRAM_BYTES_MAX + 1]);
                line.send(b"fits");
                assert_eq!(gather(&mut io, 1), [b"fits"], "{step:?} {is_connected}");
            }
            assert_whole(&mut io, &line, before, step.as_str());
        });
    }
}

#[test]
fn a_thousand_icmp_errors_lose_no_packet_once_the_peer_is_back() {
    each(|step, mut io| {
        let mut line = Line::open(&mut io, true);
        let address = line.outside.local_addr().expect("bound");
        let before = settled(&mut io);
        let mut rounds = 0_u64;
        while io.counters().icmp_errors < TIMES {
            drop(line.outside);
            send(&mut io, line.key, None, b"to nobody");
            turn(&mut io);
            line.outside = UdpSocket::bind(address).expect("nobody took it");
            line.outside
                .set_nonblocking(true)
                .expect("a socket can be nonblocking");
            send(&mut io, line.key, None, &rounds.to_be_bytes());
            // The second turn sends again what the old error failed.
            turn(&mut io);
            turn(&mut io);
            let mut buffer = [0; 16];
            assert_eq!(line.outside.recv(&mut buffer).ok(), Some(8), "{step:?}");
            assert_eq!(buffer[..8], rounds.to_be_bytes(), "{step:?}");
            line.send(b"back");
            assert_eq!(gather(&mut io, 1), [b"back"], "{step:?}");
            rounds += 1;
        }
        let counters = *io.counters();
        assert_eq!(
            (counters.sends_failed, counters.sends_refused),
            (0, 0),
            "{step:?}"
        );
        assert_whole(&mut io, &line, before, step.as_str());
    });
}
