//! The table of connections: what finds which, and what is told when one is gone.

use sip::event::Transport;

use super::*;
use crate::call::snapshot::Snapshot;
use crate::trunks::model::tests::trunk;

const US: &str = "192.0.2.1:5060";

fn flow(remote: &str) -> Flow {
    Flow {
        transport: Transport::Tcp,
        local: US.parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

/// Signalling's end, the tasks' end, and what is to be dialled.
struct World {
    streams: Streams,
    tasks: mpsc::Sender<StreamEvent>,
    dials: mpsc::Receiver<Dial>,
}

impl World {
    fn new() -> Self {
        Self::with_trunks("10.0.0.0/8")
    }

    /// One trunk, to which all addresses of this network belong.
    fn with_trunks(network: &str) -> Self {
        let mut trunk = trunk("tr_1", "10.0.0.1:5060");
        trunk.networks = vec![network.parse().unwrap()];
        let gate = Gate::default();
        gate.replace(Arc::new(Snapshot {
            trunks: vec![trunk],
            ..Snapshot::default()
        }));
        let (tasks, events) = mpsc::channel(64);
        let (wanted, dials) = mpsc::channel(DIALLED_MAX + 1);
        let ids = Arc::new(AtomicU64::new(1_000));
        Self {
            streams: Streams::new(events, wanted, Arc::default(), ids, Arc::new(gate)),
            tasks,
            dials,
        }
    }

    fn open(&mut self, id: u64, remote: &str) -> Letters {
        let (outbox, letters) = Outbox::new();
        let (id, flow) = (ConnectionId(id), flow(remote));
        let event = StreamEvent::Opened { id, flow, outbox };
        self.tasks.try_send(event).unwrap();
        assert!(self.streams.poll().is_none(), "nothing for call control");
        letters
    }

    fn say(&mut self, id: u64, remote: &str, sent_by: Option<u16>) {
        let event = StreamEvent::Message {
            id: ConnectionId(id),
            flow: flow(remote),
            bytes: Box::from(*b"x"),
            sent_by,
        };
        self.tasks.try_send(event).unwrap();
        let heard = self.streams.poll();
        assert!(matches!(heard, Some(Heard::Message(from, _)) if from == flow(remote)));
    }

    fn close(&mut self, id: u64) -> Vec<String> {
        let id = ConnectionId(id);
        self.tasks.try_send(StreamEvent::Closed { id }).unwrap();
        let mut failed = Vec::new();
        while let Some(heard) = self.streams.poll() {
            match heard {
                Heard::Failed(flow) => failed.push(flow.remote.to_string()),
                Heard::Message(..) => panic!("nobody said anything"),
            }
        }
        failed
    }
}

/// the connection that a trunk has opened carries our requests to it too.
#[test]
fn a_peers_connection_is_used_for_the_address_that_it_names_as_its_own() {
    let mut world = World::new();
    let mut letters = world.open(1, "10.0.0.1:40000");
    world.say(1, "10.0.0.1:40000", Some(5060));
    world
        .streams
        .send(flow("10.0.0.1:5060"), b"OPTIONS")
        .unwrap();
    world.streams.send(flow("10.0.0.1:40000"), b"200").unwrap();
    assert_eq!(&*letters.receiver.try_recv().unwrap(), b"OPTIONS");
    assert_eq!(&*letters.receiver.try_recv().unwrap(), b"200");
    world.dials.try_recv().expect_err("no second connection");
    assert_eq!(world.close(1), ["10.0.0.1:40000", "10.0.0.1:5060"]);
    world
        .streams
        .send(flow("10.0.0.1:5060"), b"OPTIONS")
        .unwrap();
    assert!(
        world.dials.try_recv().is_ok(),
        "and a new one when it is gone"
    );
}

/// Whoever comes later does not take the messages that go by our own connection.
#[test]
fn a_connection_of_ours_is_not_taken_over() {
    let mut world = World::new();
    world
        .streams
        .send(flow("10.0.0.1:5060"), b"INVITE")
        .unwrap();
    let mut dial = world.dials.try_recv().unwrap();
    let mut letters = world.open(1, "10.0.0.1:40000");
    world.say(1, "10.0.0.1:40000", Some(5060));
    world.streams.send(flow("10.0.0.1:5060"), b"BYE").unwrap();
    assert_eq!(&*dial.letters.receiver.try_recv().unwrap(), b"INVITE");
    assert_eq!(&*dial.letters.receiver.try_recv().unwrap(), b"BYE");
    letters.receiver.try_recv().unwrap_err();
    assert_eq!(world.close(1), ["10.0.0.1:40000"]);
    assert_eq!(world.streams.count(), 1);
}

#[test]
fn messages_wait_for_the_connection_that_is_being_made_and_fail_with_it() {
    let mut world = World::new();
    for _ in 0..3 {
        world.streams.send(flow("10.0.0.1:5060"), b"x").unwrap();
    }
    let dial = world.dials.try_recv().unwrap();
    assert!(world.dials.try_recv().is_err(), "one connection");
    assert_eq!(dial.letters.octets.load(Ordering::Relaxed), 3);
    assert_eq!(world.close(dial.id.0), ["10.0.0.1:5060"]);
    assert_eq!(world.streams.count(), 0);
}

#[test]
fn a_peer_that_takes_nothing_loses_its_connection() {
    let mut world = World::new();
    let _letters = world.open(1, "10.0.0.1:40000");
    let message = vec![0; 60_000];
    let flow = flow("10.0.0.1:40000");
    let mut taken = 0;
    let refused = loop {
        match world.streams.send(flow, &message) {
            Ok(()) => taken += message.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, NotSent::Full);
    assert!(taken <= OUTBOX_OCTETS_MAX);
    assert_eq!(world.streams.counters.ended(Reason::OutboxFull), 1);
    assert!(matches!(world.streams.poll(), Some(Heard::Failed(failed)) if failed == flow));
    assert_eq!(world.streams.count(), 0);
}

#[test]
fn we_open_no_more_connections_than_we_may() {
    let mut world = World::new();
    let mut refused = 0;
    for last in 0..10_000_u32 {
        let remote = format!("{}:5060", std::net::Ipv4Addr::from_bits(0x0a00_0000 + last));
        refused += usize::from(world.streams.send(flow(&remote), b"x") == Err(NotSent::NoRoom));
    }
    assert_eq!(refused, 10_000 - DIALLED_MAX);
    assert_eq!(world.streams.count(), DIALLED_MAX);
    let counted = world.streams.counters.ended(Reason::DialledFull);
    assert_eq!(usize::try_from(counted).unwrap(), refused);
}

/// Callers may name any address in a Contact; trunks are connected to all the same.
#[test]
fn addresses_that_callers_name_leave_connections_for_trunks() {
    let mut world = World::with_trunks("10.0.0.1/32");
    let mut refused = 0;
    for last in 0..1_000_u32 {
        let remote = format!("{}:5060", std::net::Ipv4Addr::from_bits(0xcb00_7100 + last));
        refused += usize::from(world.streams.send(flow(&remote), b"x") == Err(NotSent::NoRoom));
    }
    assert_eq!(refused, 1_000 - GUESTS_DIALLED_MAX);
    let counted = world.streams.counters.ended(Reason::GuestsDialledFull);
    assert_eq!(usize::try_from(counted).unwrap(), refused);
    world.streams.send(flow("10.0.0.1:5060"), b"x").unwrap();
    // What ends makes room for the next guest.
    let first = world.dials.try_recv().unwrap();
    assert_eq!(world.close(first.id.0).len(), 1);
    world
        .streams
        .send(flow("203.0.113.200:5061"), b"x")
        .unwrap();
}

#[test]
fn a_stranger_is_closed_without_a_word() {
    let mut world = World::new();
    let mut letters = world.open(1, "203.0.113.9:40000");
    world.streams.close(flow("203.0.113.9:40000"));
    let ended = letters.receiver.try_recv();
    assert_eq!(ended, Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(world.close(1), [""; 0]);
    assert_eq!(world.streams.counters.ended(Reason::Stranger), 1);
}

/// Anybody may connect and go, a thousand times a second: nobody looks for calls that it might have had.
#[test]
fn a_connection_by_which_nothing_came_or_went_ends_without_a_word() {
    let mut world = World::new();
    for port in 1..1_000 {
        let _letters = world.open(port, &format!("203.0.113.9:{port}"));
        assert_eq!(world.close(port), [""; 0]);
    }
    let _letters = world.open(2_000, "10.0.0.1:40000");
    world.say(2_000, "10.0.0.1:40000", None);
    assert_eq!(world.close(2_000), ["10.0.0.1:40000"]);
    let _letters = world.open(2_001, "10.0.0.1:40001");
    world.streams.send(flow("10.0.0.1:40001"), b"x").unwrap();
    assert_eq!(world.close(2_001), ["10.0.0.1:40001"]);
}

/// The kernel may give a peer the same port again before we have heard of the end.
#[test]
fn the_same_ports_again_are_another_connection() {
    let mut world = World::new();
    let _former = world.open(1, "10.0.0.1:40000");
    world.say(1, "10.0.0.1:40000", None);
    let (outbox, mut letters) = Outbox::new();
    let again = flow("10.0.0.1:40000");
    let opened = StreamEvent::Opened {
        id: ConnectionId(2),
        flow: again,
        outbox,
    };
    world.tasks.try_send(opened).unwrap();
    assert!(matches!(world.streams.poll(), Some(Heard::Failed(flow)) if flow == again));
    assert_eq!(world.close(1), [""; 0]);
    world.streams.send(again, b"x").unwrap();
    letters.receiver.try_recv().unwrap();
}

#[test]
fn without_tcp_every_message_fails() {
    let mut streams = Streams::none();
    assert_eq!(
        streams.send(flow("10.0.0.1:5060"), b"x"),
        Err(NotSent::NoRoom)
    );
    assert!(streams.is_quiet() && streams.poll().is_none());
}
