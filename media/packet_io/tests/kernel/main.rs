//! Claims that only a kernel can be held to. What this host refuses is said and not tested.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test panics, or says why not"
)]

mod recovery;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use packet_io::{
    AnyPacketIo, Epoll, KernelStep, PacketIo, PacketIoConfig, ReceivedBatch, RingRefused,
    SocketKey, SocketSpec, Uring, Wait,
};

fn config(step: KernelStep) -> PacketIoConfig {
    PacketIoConfig {
        buffers: 64,
        sockets_max: 64,
        ladder_limit: step,
    }
}

fn spec(local: SocketAddr) -> SocketSpec {
    SocketSpec {
        local,
        dscp: 46,
        receive_buffer_bytes: 0,
    }
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Each kernel implementation this host allows, by its step.
fn each(mut claim: impl FnMut(KernelStep, AnyPacketIo)) {
    for step in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        let chosen = AnyPacketIo::choose(config(step)).expect("epoll at least");
        if chosen.step() == step {
            claim(step, chosen);
        } else {
            println!("not run: {}: {:?}", step.as_str(), chosen.ring_refused());
        }
    }
}

fn send(io: &mut impl PacketIo, socket: SocketKey, to: Option<SocketAddr>, datagram: &[u8]) {
    let mut packet = io.allocate().expect("a full pool");
    packet.copy_from(datagram).expect("it fits");
    io.send(packet, socket, to);
}

fn turn(io: &mut impl PacketIo) -> Vec<Vec<u8>> {
    let now = Instant::now();
    let mut batch = ReceivedBatch::new();
    io.submit_and_wait(now, Wait::none(now));
    io.receive(&mut batch);
    batch
        .packets
        .iter()
        .map(|received| received.packet.bytes().to_vec())
        .collect()
}

#[test]
fn the_choice_is_the_best_the_host_allows_and_says_why() {
    let chosen = AnyPacketIo::choose(config(KernelStep::Epoll)).expect("epoll works everywhere");
    assert_eq!(chosen.step(), KernelStep::Epoll);
    assert_eq!(chosen.ring_refused(), Some(RingRefused::Configured));
    let chosen = AnyPacketIo::choose(config(KernelStep::Full)).expect("epoll at least");
    assert_eq!(
        chosen.step() == KernelStep::Epoll,
        chosen.ring_refused().is_some()
    );
}

#[test]
fn the_ports_are_free_when_it_is_dropped() {
    let peer = UdpSocket::bind(any_port()).expect("a free port");
    each(|step, mut io| {
        let keys: Vec<_> = (0..40)
            .map(|_| io.open(spec(any_port())).expect("a free port"))
            .collect();
        let locals: Vec<_> = keys
            .iter()
            .map(|key| io.local(*key).expect("open"))
            .collect();
        turn(&mut io);
        for (key, local) in keys.iter().zip(&locals).take(20) {
            io.connect(*key, Some(peer.local_addr().expect("bound")));
            peer.send_to(b"in flight", local)
                .expect("loopback takes it");
        }
        // Some are armed, some have just been asked to be, all have traffic.
        drop(io);
        for local in locals {
            UdpSocket::bind(local).unwrap_or_else(|error| panic!("{step:?} {local}: {error}"));
        }
    });
}

#[test]
fn an_icmp_error_costs_a_retry_and_ends_neither_direction() {
    each(|step, mut io| {
        let gone = UdpSocket::bind(any_port()).expect("a free port");
        let address = gone.local_addr().expect("bound");
        drop(gone);
        let key = io.open(spec(any_port())).expect("a free port");
        let local = io.local(key).expect("open");
        io.connect(key, Some(address));
        for _ in 0..5 {
            send(&mut io, key, None, b"to nobody");
            turn(&mut io);
            turn(&mut io);
        }
        let counters = *io.counters();
        assert!(counters.icmp_errors > 0, "{step:?} {counters:?}");
        assert_eq!(counters.sends_failed, 0, "{step:?}");
        let back = UdpSocket::bind(address).expect("nobody took it");
        for number in 0..5_u8 {
            send(&mut io, key, None, &[number]);
            turn(&mut io);
        }
        back.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket can time out");
        let mut buffer = [0; 16];
        for number in 0..5_u8 {
            assert_eq!(
                back.recv(&mut buffer).expect("the retry was sent"),
                1,
                "{step:?}"
            );
            assert_eq!(buffer[0], number, "{step:?}");
        }
        back.send_to(b"and back", local).expect("loopback takes it");
        let mut heard = Vec::new();
        for _ in 0..10 {
            heard.append(&mut turn(&mut io));
        }
        assert_eq!(heard, [b"and back"], "{step:?}");
        assert_eq!(io.pool_counts().held, 0);
    });
}

#[test]
fn a_peer_without_a_route_is_counted_and_the_socket_stays_unconnected() {
    each(|step, mut io| {
        let key = io.open(spec(any_port())).expect("a free port");
        let local = io.local(key).expect("open");
        // The other family cannot be reached from this socket.
        io.connect(key, Some((Ipv6Addr::LOCALHOST, 9).into()));
        assert_eq!(io.counters().connects_failed, 1, "{step:?}");
        send(&mut io, key, Some((Ipv6Addr::LOCALHOST, 9).into()), b"x");
        turn(&mut io);
        turn(&mut io);
        assert_eq!(io.counters().sends_failed, 1, "{step:?}");
        let peer = UdpSocket::bind(any_port()).expect("a free port");
        peer.send_to(b"heard", local).expect("loopback takes it");
        assert_eq!(turn(&mut io), [b"heard"], "{step:?}");
    });
}

#[test]
fn a_send_the_kernel_forbids_is_counted() {
    each(|step, mut io| {
        let key = io
            .open(spec((Ipv4Addr::UNSPECIFIED, 0).into()))
            .expect("a free port");
        // Without SO_BROADCAST the kernel refuses it.
        send(&mut io, key, Some((Ipv4Addr::BROADCAST, 9).into()), b"x");
        turn(&mut io);
        turn(&mut io);
        assert_eq!(io.counters().sends_failed, 1, "{step:?}");
        assert_eq!(io.pool_counts().held, 0, "{step:?}");
    });
}

#[test]
fn more_sends_than_the_queue_holds_all_leave() {
    for ladder_limit in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        // The reserve is as large as the queue, and the reception that is to be armed is in it.
        let config = PacketIoConfig {
            buffers: 32_768,
            sockets_max: 64,
            ladder_limit,
        };
        let mut io = AnyPacketIo::choose(config).expect("epoll at least");
        let from = io.open(spec(any_port())).expect("a free port");
        let to: SocketAddr = (Ipv4Addr::LOCALHOST, 9).into();
        for _ in 0..4_096 {
            send(&mut io, from, Some(to), b"x");
        }
        turn(&mut io);
        turn(&mut io);
        let counters = *io.counters();
        let counted = (counters.packets_sent, counters.sends_queue_full);
        assert_eq!(counted, (4_096, 0), "{ladder_limit:?}");
        assert_eq!(io.pool_counts().held, 0, "{ladder_limit:?}");
    }
}

/// In a namespace of its own whose packets may have 600 octets: longer ones are cut up by the kernel, and it
/// carries no runs of them.
fn in_narrow_network(claim: impl FnOnce() + Send + 'static) {
    let inside = std::thread::spawn(|| {
        let own = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
        let set = || {
            std::process::Command::new("ip")
                .args(["link", "set", "lo", "mtu", "600", "up"])
                .status()
        };
        if own.is_err() || !set().is_ok_and(|status| status.success()) {
            println!("not run: no namespace, or no ip(8)");
            return;
        }
        claim();
    });
    inside.join().expect("no claim fails");
}

#[test]
fn a_run_that_the_path_does_not_carry_leaves_packet_by_packet() {
    in_narrow_network(|| {
        let peer = UdpSocket::bind(any_port()).expect("a free port");
        let address = peer.local_addr().expect("bound");
        peer.set_nonblocking(true)
            .expect("a socket can be nonblocking");
        for step in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
            let sizes = PacketIoConfig {
                buffers: 512,
                ..config(step)
            };
            let mut io = AnyPacketIo::choose(sizes).expect("epoll at least");
            let key = io.open(spec(any_port())).expect("a free port");
            io.connect(key, Some(address));
            for round in 0..3_u8 {
                for number in 0..10 {
                    send(&mut io, key, None, &[16 * round + number; 1_000]);
                }
                for _ in 0..3 {
                    turn(&mut io);
                }
                let mut buffer = [0; 1_500];
                for number in 0..10 {
                    let len = peer.recv(&mut buffer).expect("each leaves");
                    assert_eq!((len, buffer[0]), (1_000, 16 * round + number), "{step:?}");
                }
            }
            let counters = *io.counters();
            assert_eq!(counters.packets_sent, 30, "{step:?}");
            assert_eq!(counters.sends_failed, 0, "{step:?}");
            let together = (counters.segments_refused, counters.segments_sent);
            assert_eq!(together, (1, 0), "{step:?}: refused once, and learnt");
            assert_eq!(io.pool_counts().held, 0, "{step:?}");
        }
    });
}

/// Its way is gone: it is tried, and no packet of it left with others.
#[test]
fn a_run_that_fails_counts_alike_over_the_ring_and_epoll() {
    in_narrow_network(|| {
        for step in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
            let peer = UdpSocket::bind(any_port()).expect("a free port");
            let sizes = PacketIoConfig {
                buffers: 512,
                ..config(step)
            };
            let mut io = AnyPacketIo::choose(sizes).expect("epoll at least");
            let key = io.open(spec(any_port())).expect("a free port");
            io.connect(key, peer.local_addr().ok());
            turn(&mut io);
            set_local_routes("del");
            for number in 0..10 {
                send(&mut io, key, None, &[number; 50]);
            }
            for _ in 0..3 {
                turn(&mut io);
            }
            set_local_routes("add");
            let counters = *io.counters();
            let sent = (counters.packets_sent, counters.segments_sent);
            assert_eq!((sent, counters.sends_failed), ((10, 0), 10), "{step:?}");
            assert_eq!(io.pool_counts().held, 0, "{step:?}");
        }
    });
}

/// Without the rule that names them no address of this host is known.
fn set_local_routes(action: &str) {
    let status = std::process::Command::new("ip")
        .args(["rule", action, "pref", "0", "table", "local"])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{action}");
}

/// What has come and was not taken yet stands before it: more than two batches.
#[test]
fn a_run_that_is_refused_in_a_crowd_leaves_packet_by_packet() {
    in_narrow_network(|| {
        let peer = UdpSocket::bind(any_port()).expect("a free port");
        peer.set_nonblocking(true)
            .expect("a socket can be nonblocking");
        for step in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
            let sizes = PacketIoConfig {
                buffers: 4_096,
                ..config(step)
            };
            let mut io = AnyPacketIo::choose(sizes).expect("epoll at least");
            let key = io.open(spec(any_port())).expect("a free port");
            io.connect(key, peer.local_addr().ok());
            let crowd: Vec<_> = (0..10)
                .map(|_| io.open(spec(any_port())).expect("a free port"))
                .collect();
            turn(&mut io);
            for other in &crowd {
                for number in 0..150_u8 {
                    let to = io.local(*other).expect("open");
                    peer.send_to(&[number], to).expect("loopback takes it");
                }
            }
            // Who wants many gets all that is there, and takes a batch of it.
            let now = Instant::now();
            let wait = Wait {
                want: 512,
                min_wait: Duration::from_millis(5),
                until: Some(now + Duration::from_millis(5)),
            };
            let mut batch = ReceivedBatch::new();
            io.submit_and_wait(now, wait);
            io.receive(&mut batch);
            drop(batch);
            for number in 0..10 {
                send(&mut io, key, None, &[number; 1_000]);
            }
            for _ in 0..8 {
                turn(&mut io);
            }
            let mut buffer = [0; 1_500];
            for number in 0..10 {
                let len = peer.recv(&mut buffer).expect("each leaves");
                assert_eq!((len, buffer[0]), (1_000, number), "{step:?}");
            }
            let counters = *io.counters();
            assert_eq!(counters.packets_received, 1_500, "{step:?}");
            let died = (counters.sends_failed, io.pool_counts().held);
            assert_eq!(died, (0, 0), "{step:?}");
        }
    });
}

/// Loopback carries runs, so that each of them shows: twenty packets and two turns in three entries at most.
#[test]
fn a_burst_to_one_peer_leaves_by_one_request() {
    for ladder_limit in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        let sizes = PacketIoConfig {
            buffers: 512,
            ..config(ladder_limit)
        };
        let mut io = AnyPacketIo::choose(sizes).expect("epoll at least");
        let peer = UdpSocket::bind(any_port()).expect("a free port");
        let key = io.open(spec(any_port())).expect("a free port");
        io.connect(key, peer.local_addr().ok());
        turn(&mut io);
        let before = io.counters().kernel_entries;
        for number in 0..20_u8 {
            send(&mut io, key, None, &[number; 1_000]);
        }
        turn(&mut io);
        turn(&mut io);
        let counters = *io.counters();
        let together = (counters.segments_sent, counters.segments_refused);
        assert_eq!(together, (20, 0), "{ladder_limit:?}");
        let entries = counters.kernel_entries - before;
        assert!(entries <= 3, "{ladder_limit:?}: {entries}");
        peer.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket can time out");
        let mut buffer = [0; 1_500];
        for number in 0..20 {
            let len = peer.recv(&mut buffer).expect("each leaves");
            assert_eq!((len, buffer[0]), (1_000, number), "{ladder_limit:?}");
        }
    }
}

/// Of whatever was sent and not yet submitted.
#[test]
fn what_was_sent_leaves_before_its_socket_turns_to_another_peer() {
    each(|step, mut io| {
        let peers = [(); 3].map(|()| UdpSocket::bind(any_port()).expect("a free port"));
        let key = io.open(spec(any_port())).expect("a free port");
        for (number, peer) in (0_u8..).zip(&peers) {
            io.connect(key, peer.local_addr().ok());
            send(&mut io, key, None, &[number; 4]);
            send(&mut io, key, None, &[number; 4]);
        }
        drop(io);
        for (number, peer) in (0_u8..).zip(&peers) {
            peer.set_read_timeout(Some(Duration::from_secs(5)))
                .expect("a socket can time out");
            let mut buffer = [0; 16];
            for _ in 0..2 {
                let len = peer.recv(&mut buffer).expect("it left");
                assert_eq!((len, buffer[0]), (4, number), "{step:?}");
            }
        }
    });
}

#[test]
fn what_was_sent_before_a_close_leaves() {
    each(|step, mut io| {
        let peer = UdpSocket::bind(any_port()).expect("a free port");
        peer.set_nonblocking(true)
            .expect("a socket can be nonblocking");
        let key = io.open(spec(any_port())).expect("a free port");
        send(
            &mut io,
            key,
            Some(peer.local_addr().expect("bound")),
            b"goodbye",
        );
        io.close(key);
        let mut buffer = [0; 16];
        assert_eq!(peer.recv(&mut buffer).expect("it left"), 7, "{step:?}");
    });
}

#[test]
fn more_sockets_than_a_file_table_may_have_are_descriptors() {
    for ladder_limit in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        let config = PacketIoConfig {
            buffers: 64,
            sockets_max: 10_000_000,
            ladder_limit,
        };
        let mut io = AnyPacketIo::choose(config).expect("epoll at least");
        let peer = UdpSocket::bind(any_port()).expect("a free port");
        let key = io.open(spec(any_port())).expect("a free port");
        peer.send_to(b"heard", io.local(key).expect("open"))
            .expect("loopback takes it");
        turn(&mut io);
        assert_eq!(io.counters().packets_received, 1, "{ladder_limit:?}");
    }
}

#[test]
fn what_leaves_carries_the_code_point() {
    each(|step, mut io| {
        let peer = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)
            .expect("a socket");
        peer.set_recv_tos_v4(true).expect("it can report the octet");
        peer.bind(&any_port().into()).expect("a free port");
        let address = peer
            .local_addr()
            .ok()
            .and_then(|address| address.as_socket());
        let key = io.open(spec(any_port())).expect("a free port");
        send(&mut io, key, address, b"x");
        turn(&mut io);
        let mut space = nix::cmsg_space!(u8);
        let mut octet = [0];
        let mut buffers = [std::io::IoSliceMut::new(&mut octet)];
        let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT;
        let message = nix::sys::socket::recvmsg::<()>(
            std::os::fd::AsRawFd::as_raw_fd(&peer),
            &mut buffers,
            Some(&mut space),
            flags,
        )
        .expect("it was sent");
        let classes: Vec<_> = message.cmsgs().expect("not truncated").collect();
        let expedited = nix::sys::socket::ControlMessageOwned::Ipv4Tos(46 << 2);
        assert_eq!(classes, [expedited], "{step:?}");
    });
}

#[test]
fn a_ring_is_of_its_thread() {
    // Compile-time: neither may be `Send` (`[one-thread]`).
    trait AmbiguousIfSend<Marker> {
        fn is_send() {}
    }
    struct OfSend;
    impl<T: ?Sized> AmbiguousIfSend<()> for T {}
    impl<T: ?Sized + Send> AmbiguousIfSend<OfSend> for T {}
    <Uring as AmbiguousIfSend<_>>::is_send();
    <Epoll as AmbiguousIfSend<_>>::is_send();
    <packet_io::PacketBuf as AmbiguousIfSend<_>>::is_send();
    <packet_io::PacketPool as AmbiguousIfSend<_>>::is_send();
}
