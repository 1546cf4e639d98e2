//! A host that forbids the ring, as containers do: a seccomp filter on the thread of each claim.
#![expect(unsafe_code, reason = "prctl with a filter program")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use packet_io::{
    AnyPacketIo, KernelStep, PacketIo, PacketIoConfig, ReceivedBatch, RingRefused, SocketSpec, Wait,
};

/// From now on `io_uring_setup` of this thread fails with `errno`.
fn forbid_ring(errno: u32) {
    let statement = |code, k| libc::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let setup = u32::try_from(libc::SYS_io_uring_setup).expect("a small number");
    let mut program = [
        statement(LOAD_WORD, 0),
        libc::sock_filter {
            code: JUMP_IF_EQUAL,
            jt: 0,
            jf: 1,
            k: setup,
        },
        statement(RETURN, libc::SECCOMP_RET_ERRNO | errno),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ];
    let len = u16::try_from(program.len()).expect("a small number");
    let program = libc::sock_fprog {
        len,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes plain numbers only, and binds this thread to what it has.
    let no_new = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(no_new, 0);
    // SAFETY: the program and its statements live until the call returns; the kernel copies them.
    let filtered = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(filtered, 0);
}

fn assert_falls_back(errno: i32, expected: RingRefused) {
    let claim = move || {
        forbid_ring(u32::try_from(errno).expect("positive"));
        let config = PacketIoConfig {
            buffers: 64,
            sockets_max: 64,
            ..PacketIoConfig::default()
        };
        let mut io = AnyPacketIo::choose(config).expect("epoll is allowed");
        assert_eq!(io.step(), KernelStep::Epoll);
        // Where the sysctl forbids it as well, that is the first reason.
        assert!(
            matches!(io.ring_refused(), Some(refused) if refused == expected
            || refused == RingRefused::Sysctl)
        );
        let local = (Ipv4Addr::LOCALHOST, 0).into();
        let spec = SocketSpec {
            local,
            dscp: 46,
            receive_buffer_bytes: 0,
        };
        let key = io.open(spec).expect("a free port");
        let peer = UdpSocket::bind(local).expect("a free port");
        peer.send_to(b"heard", io.local(key).expect("open"))
            .expect("loopback takes it");
        let (now, mut batch) = (Instant::now(), ReceivedBatch::new());
        io.submit_and_wait(now, Wait::none(now));
        io.receive(&mut batch);
        assert_eq!(batch.packets.len(), 1);
    };
    std::thread::spawn(claim).join().expect("it falls back");
}

#[test]
fn a_seccomp_filter_means_epoll() {
    assert_falls_back(libc::EPERM, RingRefused::NotPermitted);
}

#[test]
fn a_kernel_without_the_ring_means_epoll() {
    assert_falls_back(libc::ENOSYS, RingRefused::Absent);
}

#[test]
fn a_kernel_that_knows_no_flag_of_ours_means_epoll() {
    assert_falls_back(libc::EINVAL, RingRefused::OldKernel);
}

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
