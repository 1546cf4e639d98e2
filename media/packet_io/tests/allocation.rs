//! A forwarded packet allocates nothing, in any implementation. Alone in its program: the counting
//! allocator is the process's.
#![expect(unsafe_code, reason = "a global allocator is unsafe to write")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use packet_io::{
    AnyPacketIo, KernelStep, PacketIo, PacketIoConfig, ReceivedBatch, Simulated, SimulatedConfig,
    SocketKey, SocketSpec, Wait,
};

/// Counts what this thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: it came from `alloc` above, that is from the system's.
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise about memory, layout and size is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SOCKETS: usize = 8;

fn open(io: &mut impl PacketIo) -> (SocketKey, SocketAddr) {
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let spec = SocketSpec {
        local,
        dscp: 0,
        receive_buffer_bytes: 0,
    };
    let key = io.open(spec).expect("a free port");
    (key, io.local(key).expect("it is open"))
}

/// Forwards what has come to `peer`, half of it by connected sockets; the number of packets.
fn forward(io: &mut impl PacketIo, batch: &mut ReceivedBatch, peer: SocketAddr) -> u64 {
    let mut count = 0;
    for _ in 0..4 {
        let now = Instant::now();
        let until = Some(now + Duration::from_micros(200));
        io.submit_and_wait(
            now,
            Wait {
                want: 4,
                min_wait: Duration::from_micros(100),
                until,
            },
        );
        io.receive(batch);
        for received in batch.packets.drain(..) {
            let to = received.source.is_some().then_some(peer);
            io.send(received.packet, received.socket, to);
            count += 1;
        }
    }
    count
}

/// Warms up, then counts packets and allocations.
fn measure<Io: PacketIo>(
    io: &mut Io,
    peer: SocketAddr,
    mut offer: impl FnMut(&mut Io, SocketAddr),
    mut clear: impl FnMut(&mut Io),
) -> (u64, u64) {
    let sockets: Vec<_> = (0..SOCKETS).map(|_| open(io)).collect();
    for (key, _) in sockets.iter().take(SOCKETS / 2) {
        io.connect(*key, Some(peer));
    }
    let mut batch = ReceivedBatch::new();
    let mut round = |io: &mut Io| {
        for (_, local) in &sockets {
            offer(io, *local);
        }
        let count = forward(io, &mut batch, peer);
        clear(io);
        count
    };
    for _ in 0..100 {
        round(io);
    }
    let before = COUNT.get();
    let packets = (0..1_000).map(|_| round(io)).sum();
    (packets, COUNT.get() - before)
}

#[test]
fn forwarding_allocates_nothing() {
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    peer.set_nonblocking(true)
        .expect("a socket can be nonblocking");
    let address = peer.local_addr().expect("bound");
    for ladder_limit in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        let config = PacketIoConfig {
            buffers: 64,
            sockets_max: 64,
            ladder_limit,
        };
        let mut io = AnyPacketIo::choose(config).expect("epoll at least");
        let mut buffer = [0; 256];
        let counted = measure(
            &mut io,
            address,
            |_, local| {
                peer.send_to(&[0x80; 172], local)
                    .expect("loopback takes it");
            },
            |_| while peer.recv(&mut buffer).is_ok() {},
        );
        assert_eq!(counted, (1_000 * SOCKETS as u64, 0), "{:?}", io.step());
    }
    let mut twin = Simulated::new(SimulatedConfig {
        buffers: 64,
        ..SimulatedConfig::default()
    });
    let counted = measure(
        &mut twin,
        address,
        |twin, local| {
            twin.deliver(local, address, &[0x80; 172]);
        },
        |twin| twin.take_sent(|_, _, _| {}),
    );
    assert_eq!(counted, (1_000 * SOCKETS as u64, 0), "the twin");
}
