//! Real sockets: what signalling hears and what peers read.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use sip::event::{Flow, Transport};
use tokio::runtime::Runtime;

use super::*;
use crate::call::snapshot::Snapshot;
use crate::sources::model::{LinkAccess, Source};
use crate::trunks::model::Network;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    streams: Streams,
    local: SocketAddr,
    wake: Arc<Wake>,
    _runtime: Runtime,
}

fn known() -> Snapshot {
    let here = Network {
        address: "127.0.0.1".parse().unwrap(),
        prefix_length: 32,
    };
    Snapshot {
        sources: vec![Source {
            name: "here".into(),
            networks: vec![here],
            links: LinkAccess::All,
            ad_hoc: false,
            registers: false,
            srtp: crate::trunks::model::SrtpPolicy::Off,
        }],
        ..Snapshot::default()
    }
}

impl World {
    fn new() -> Self {
        Self::with(TcpLimits {
            connections_max: 64,
            connections_per_source_max: 32,
        })
    }

    fn with(limits: TcpLimits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let local = listener.local_addr().unwrap();
        let gate = Arc::new(Gate::default());
        gate.replace(Arc::new(known()));
        let wake = Arc::new(Wake::new().unwrap());
        let streams = {
            let _entered = runtime.enter();
            let locals = vec![(local, local.ip())];
            let listeners = vec![(local, listener)];
            start(listeners, locals, limits, gate, Arc::clone(&wake)).unwrap()
        };
        Self {
            streams,
            local,
            wake,
            _runtime: runtime,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.local).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Waits as the signalling thread does.
    fn hear(&mut self) -> Heard {
        use nix::poll::{PollFd, PollFlags, ppoll};
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(heard) = self.streams.poll() {
                return heard;
            }
            assert!(Instant::now() < end, "nothing is heard");
            self.wake.prepare_to_sleep();
            if self.streams.is_quiet() {
                let mut polled = [PollFd::new(self.wake.descriptor(), PollFlags::POLLIN)];
                ppoll(&mut polled, Some(PATIENCE.into()), None).unwrap();
                self.wake.awake(true);
            } else {
                self.wake.awake(false);
            }
        }
    }

    fn message(&mut self) -> (Flow, String) {
        match self.hear() {
            Heard::Message(flow, bytes) => (flow, String::from_utf8(bytes.into()).unwrap()),
            Heard::Failed(flow) => panic!("{flow:?} has failed"),
        }
    }

    fn failed(&mut self) -> Flow {
        match self.hear() {
            Heard::Failed(flow) => flow,
            Heard::Message(_, bytes) => panic!("{}", String::from_utf8_lossy(&bytes)),
        }
    }
}

fn invite(number: u32) -> String {
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n";
    format!(
        "INVITE sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{number}\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One INVITE in six segments by real sockets: after two octets, within a header, between CR and LF of the
/// empty line, before the body, within it.
#[test]
fn an_invite_cut_at_five_places_is_one_message() {
    let mut world = World::new();
    let text = invite(1);
    let body = text.find("\r\n\r\n").unwrap();
    let mut stream = world.connect();
    let mut from = 0;
    for cut in [2, 60, body + 3, body + 4, text.len() - 5, text.len()] {
        stream.write_all(&text.as_bytes()[from..cut]).unwrap();
        from = cut;
    }
    let (flow, heard) = world.message();
    assert_eq!(heard, text);
    assert_eq!(flow.remote, stream.local_addr().unwrap());
    assert_eq!((flow.local, flow.transport), (world.local, Transport::Tcp));
}

#[test]
fn twenty_invites_glued_together_are_twenty_messages_in_order() {
    let mut world = World::new();
    let mut stream = world.connect();
    let all: String = (0..20).map(invite).collect();
    stream.write_all(all.as_bytes()).unwrap();
    for number in 0..20 {
        assert_eq!(world.message().1, invite(number));
    }
}

#[test]
fn an_answer_goes_back_by_the_connection_of_its_request() {
    let mut world = World::new();
    let mut stream = world.connect();
    stream.write_all(invite(1).as_bytes()).unwrap();
    let (flow, _) = world.message();
    world
        .streams
        .send(flow, b"SIP/2.0 100 Trying\r\n\r\n")
        .unwrap();
    let mut answer = [0; 22];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"SIP/2.0 100 Trying\r\n\r\n");
}

/// What waits is counted before its task can write it: a count below nothing would end the connection.
#[test]
fn a_thousand_answers_go_by_one_connection() {
    let mut world = World::new();
    let mut stream = world.connect();
    stream.write_all(invite(1).as_bytes()).unwrap();
    let (flow, _) = world.message();
    let mut heard = [0; 2];
    for _ in 0..1_000 {
        world.streams.send(flow, b"ok").unwrap();
        stream.read_exact(&mut heard).unwrap();
    }
    assert_eq!(world.streams.count(), 1);
}

#[test]
fn a_connection_is_made_for_a_flow_and_used_both_ways() {
    let mut world = World::new();
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let flow = Flow {
        transport: Transport::Tcp,
        local: world.local,
        remote: peer.local_addr().unwrap(),
    };
    world.streams.send(flow, b"OPTIONS one").unwrap();
    world.streams.send(flow, b"OPTIONS two").unwrap();
    let (mut stream, _) = peer.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut both = [0; 22];
    stream.read_exact(&mut both).unwrap();
    assert_eq!(&both, b"OPTIONS oneOPTIONS two");
    stream.write_all(invite(1).as_bytes()).unwrap();
    assert_eq!(world.message(), (flow, invite(1)));
    drop(stream);
    assert_eq!(world.failed(), flow);
    assert_eq!(world.streams.counters.ended(Reason::Peer), 1);
}

#[test]
fn a_port_where_nobody_listens_fails_its_flow() {
    let mut world = World::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let flow = Flow {
        transport: Transport::Tcp,
        local: world.local,
        remote: closed.local_addr().unwrap(),
    };
    drop(closed);
    // It may be refused before the message is with it.
    let sent = world.streams.send(flow, b"OPTIONS");
    assert!(matches!(sent, Ok(()) | Err(NotSent::Closed)), "{sent:?}");
    assert_eq!(world.failed(), flow);
    assert_eq!(world.streams.counters.ended(Reason::ConnectFailed), 1);
    assert_eq!(world.streams.count(), 0);
}

/// RST in the middle of a call that is being set up.
#[test]
fn a_sudden_close_after_invite_fails_its_flow() {
    let mut world = World::new();
    let mut stream = world.connect();
    stream.write_all(invite(1).as_bytes()).unwrap();
    let (flow, _) = world.message();
    let socket = Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    assert_eq!(world.failed(), flow);
    let counters = &world.streams.counters;
    assert_eq!(
        counters.ended(Reason::Broken) + counters.ended(Reason::Peer),
        1
    );
}

#[test]
fn one_source_does_not_take_every_connection() {
    let mut world = World::with(TcpLimits {
        connections_max: 8,
        connections_per_source_max: 4,
    });
    let mut open: Vec<_> = (0..4).map(|_| world.connect()).collect();
    for (number, stream) in (0..).zip(&mut open) {
        stream.write_all(invite(number).as_bytes()).unwrap();
        world.message();
    }
    let mut fifth = world.connect();
    assert_eq!(
        fifth.read(&mut [0; 8]).unwrap_or(0),
        0,
        "closed without a word"
    );
    assert_eq!(world.streams.counters.ended(Reason::SourceFull), 1);
    // When one leaves there is room again.
    let left = open.pop().unwrap();
    left.shutdown(Shutdown::Both).unwrap();
    world.failed();
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "no room again");
        let mut next = world.connect();
        if next.write_all(invite(9).as_bytes()).is_ok() && matches!(next_byte(&next), Waits::Yes) {
            break;
        }
    }
    assert_eq!(world.message().1, invite(9));
}

enum Waits {
    Yes,
    Closed,
}

/// Whether the other end keeps the connection.
fn next_byte(stream: &TcpStream) -> Waits {
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    match stream.peek(&mut [0; 1]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waits::Yes,
        Ok(_) | Err(_) => Waits::Closed,
    }
}

/// No descriptors left: what is open goes on, accepting waits and does not spin, and goes on itself.
#[test]
fn without_descriptors_open_connections_go_on_and_accepting_waits() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let mut world = World::new();
    let mut open = world.connect();
    open.write_all(invite(1).as_bytes()).unwrap();
    let (flow, _) = world.message();
    let mut waiting = world.connect();
    waiting.write_all(invite(2).as_bytes()).unwrap();
    world.message();
    let late = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let highest = std::fs::File::open("/dev/null").unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let used = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&highest)).unwrap() + 1;
    setrlimit(Resource::RLIMIT_NOFILE, used, hard).unwrap();
    // The kernel makes the connection; there is no descriptor for it here.
    late.connect(&world.local.into()).unwrap();
    let mut late = TcpStream::from(late);
    late.write_all(invite(3).as_bytes()).unwrap();
    let end = Instant::now() + PATIENCE;
    while world.streams.counters.ended(Reason::AcceptFailed) < 2 {
        assert!(Instant::now() < end, "no accept has failed");
        std::thread::yield_now();
    }
    let paused = Instant::now();
    world.streams.send(flow, b"x").unwrap();
    open.read_exact(&mut [0; 1]).unwrap();
    let spun = world.streams.counters.ended(Reason::AcceptFailed);
    let pauses = paused.elapsed().as_millis() / limits::ACCEPT_PAUSE.as_millis();
    assert!(u128::from(spun) <= 4 + pauses, "{spun} in {pauses} pauses");
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert_eq!(world.message().1, invite(3));
}
