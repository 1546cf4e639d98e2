//! What a process without descriptors is told. Alone in its program: the limit is the process's.

use std::net::Ipv4Addr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use packet_io::{AnyPacketIo, KernelStep, OpenRefused, PacketIo, PacketIoConfig, SocketSpec};

#[test]
fn a_process_without_descriptors_is_told_so_and_recovers() {
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let spec = SocketSpec {
        local,
        dscp: 0,
        receive_buffer_bytes: 0,
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    for ladder_limit in [KernelStep::Full, KernelStep::NoMinWait, KernelStep::Epoll] {
        let config = PacketIoConfig {
            buffers: 64,
            sockets_max: 1000,
            ladder_limit,
        };
        let mut io = AnyPacketIo::choose(config).expect("epoll at least");
        setrlimit(Resource::RLIMIT_NOFILE, 64, hard).expect("it can be lowered");
        let mut keys = Vec::new();
        let refused = loop {
            match io.open(spec) {
                Ok(key) => keys.push(key),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, OpenRefused::DescriptorLimit);
        assert!(!keys.is_empty());
        for key in keys {
            io.close(key);
        }
        io.open(spec).expect("descriptors are free again");
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("it was that high before");
    }
}
