//! What a claim needs of an implementation: itself, and somebody at the other end of the wire.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use packet_io::{
    Delivery, Epoll, KernelStep, PacketIo, PacketIoConfig, Received, ReceivedBatch, Simulated,
    SimulatedConfig, SocketKey, SocketSpec, Uring, Wait,
};

pub(crate) const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Small, so that limits are reached.
pub(crate) const SIZES: PacketIoConfig = PacketIoConfig {
    buffers: 64,
    sockets_max: 700,
    ladder_limit: KernelStep::Full,
};

pub(crate) trait Subject: Sized {
    type Io: PacketIo;

    /// `None`: this host refuses it.
    fn build(sizes: PacketIoConfig) -> Option<Self>;
    fn io(&mut self) -> &mut Self::Io;
    /// Somebody at the other end.
    fn peer(&mut self, ip: IpAddr) -> SocketAddr;
    /// The peer sends; it has arrived when this returns.
    fn send(&mut self, peer: SocketAddr, to: SocketAddr, datagram: &[u8]);
    /// What the peer has heard since the last call, with the sources.
    fn heard(&mut self, peer: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)>;

    fn open(&mut self, ip: IpAddr) -> (SocketKey, SocketAddr) {
        let key = self
            .io()
            .open(spec(ip, 0))
            .expect("the kernel chooses a free port");
        let local = self.io().local(key).expect("it is open");
        (key, local)
    }

    /// One turn that does not wait.
    fn turn(&mut self) -> Vec<Received> {
        let now = Instant::now();
        let mut batch = ReceivedBatch::new();
        self.io().submit_and_wait(now, Wait::none(now));
        self.io().receive(&mut batch);
        batch.packets
    }

    /// Turns until `count` have come; fewer if they do not come.
    fn gather(&mut self, count: usize) -> Vec<Received> {
        let mut all = Vec::new();
        for _ in 0..TURNS_MAX {
            let now = Instant::now();
            let wait = Wait {
                want: 1,
                min_wait: Duration::ZERO,
                until: Some(now + TURN),
            };
            let mut batch = ReceivedBatch::new();
            self.io().submit_and_wait(now, wait);
            self.io().receive(&mut batch);
            all.append(&mut batch.packets);
            if all.len() >= count {
                break;
            }
        }
        all
    }

    /// What comes in `turns` turns, as sources and texts.
    fn texts(&mut self, count: usize) -> Vec<String> {
        let text = |packet: Received| String::from_utf8_lossy(packet.packet.bytes()).into_owned();
        self.gather(count).into_iter().map(text).collect()
    }

    fn assert_pool_is_whole(&mut self) {
        self.turn();
        self.turn();
        let counts = self.io().pool_counts();
        assert_eq!(
            (counts.held, counts.free + counts.in_kernel),
            (0, u32::from(SIZES.buffers))
        );
    }
}

pub(crate) fn spec(ip: IpAddr, port: u16) -> SocketSpec {
    SocketSpec {
        local: SocketAddr::new(ip, port),
        dscp: 46,
        receive_buffer_bytes: 0,
    }
}

/// A kernel implementation and real sockets at the other end.
pub(crate) struct Host<Io> {
    io: Io,
    peers: BTreeMap<SocketAddr, UdpSocket>,
}

impl<Io> Host<Io> {
    fn new(io: Io) -> Self {
        Self {
            io,
            peers: BTreeMap::new(),
        }
    }

    fn add_peer(&mut self, ip: IpAddr) -> SocketAddr {
        let socket = UdpSocket::bind((ip, 0)).expect("a free port");
        socket
            .set_nonblocking(true)
            .expect("a socket can be nonblocking");
        let address = socket.local_addr().expect("it is bound");
        self.peers.insert(address, socket);
        address
    }

    fn heard_by(&self, peer: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut buffer = [0; 2048];
        let mut heard = Vec::new();
        while let Ok((len, from)) = self.peers[&peer].recv_from(&mut buffer) {
            heard.push((from, buffer[..len].to_vec()));
        }
        heard
    }
}

macro_rules! host {
    ($name:ident, $io:ident, $step:ident) => {
        pub(crate) struct $name(Host<$io>);

        impl Subject for $name {
            type Io = $io;

            fn build(sizes: PacketIoConfig) -> Option<Self> {
                let sizes = PacketIoConfig {
                    ladder_limit: KernelStep::$step,
                    ..sizes
                };
                match $io::new(sizes) {
                    Ok(io) => Some(Self(Host::new(io))),
                    Err(refused) => {
                        println!("not run: {}: {refused}", stringify!($name));
                        None
                    }
                }
            }
            fn io(&mut self) -> &mut $io {
                &mut self.0.io
            }
            fn peer(&mut self, ip: IpAddr) -> SocketAddr {
                self.0.add_peer(ip)
            }
            fn send(&mut self, peer: SocketAddr, to: SocketAddr, datagram: &[u8]) {
                self.0.peers[&peer]
                    .send_to(datagram, to)
                    .expect("loopback takes it");
            }
            fn heard(&mut self, peer: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
                self.0.heard_by(peer)
            }
        }
    };
}

host!(UringFull, Uring, Full);
host!(UringNoMinWait, Uring, NoMinWait);
host!(EpollHost, Epoll, Epoll);

/// The twin and a network without delay.
pub(crate) struct Twin {
    io: Simulated,
    next_peer_port: u16,
    heard: BTreeMap<SocketAddr, Vec<(SocketAddr, Vec<u8>)>>,
}

impl Subject for Twin {
    type Io = Simulated;

    fn build(sizes: PacketIoConfig) -> Option<Self> {
        let config = SimulatedConfig {
            buffers: sizes.buffers,
            sockets_max: sizes.sockets_max,
            ..SimulatedConfig::default()
        };
        Some(Self {
            io: Simulated::new(config),
            next_peer_port: 5_000,
            heard: BTreeMap::new(),
        })
    }
    fn io(&mut self) -> &mut Simulated {
        &mut self.io
    }
    fn peer(&mut self, ip: IpAddr) -> SocketAddr {
        self.next_peer_port += 1;
        SocketAddr::new(ip, self.next_peer_port)
    }
    fn send(&mut self, peer: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let delivery = self.io.deliver(to, peer, datagram);
        assert_ne!(
            delivery,
            Delivery::QueueFull,
            "the claim sends more than a socket holds"
        );
    }
    fn heard(&mut self, peer: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        let heard = &mut self.heard;
        self.io.take_sent(|from, to, datagram| {
            heard.entry(to).or_default().push((from, datagram.to_vec()));
        });
        heard.remove(&peer).unwrap_or_default()
    }
}

const TURNS_MAX: usize = 200;
const TURN: Duration = Duration::from_millis(5);
