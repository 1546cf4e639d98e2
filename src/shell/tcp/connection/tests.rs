//! One connection against a peer that does what it likes, on a clock that is moved by hand.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sip::error::FrameError;
use sip::event::Transport;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::gate::Gate;
use super::super::limits::TcpLimits;
use super::super::room::Room;
use super::*;
use crate::shell::wake::Wake;

const OPTIONS: &str = "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\n\
    Via: SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";

struct World {
    peer: DuplexStream,
    shared: Arc<Shared>,
    events: mpsc::Receiver<StreamEvent>,
    task: JoinHandle<()>,
    outbox: Option<Outbox>,
}

impl World {
    async fn new(peer: Peer) -> Self {
        Self::with_buffer(peer, 1 << 20).await
    }

    /// `buffer`: what the kernels between us and the peer take.
    async fn with_buffer(peer: Peer, buffer: usize) -> Self {
        let (ours, theirs) = tokio::io::duplex(buffer);
        let (sender, mut events) = mpsc::channel(4);
        let shared = Arc::new(Shared {
            events: sender,
            wake: Arc::new(Wake::new().unwrap()),
            gate: Arc::new(Gate::default()),
            counters: Arc::default(),
            room: Arc::new(Room::new(TcpLimits {
                connections_max: 1,
                connections_per_source_max: 1,
            })),
            ids: Arc::new(AtomicU64::new(1)),
            locals: Vec::new(),
        });
        let (outbox, letters) = Outbox::new();
        let opened = Opened {
            id: ConnectionId(1),
            flow: Flow {
                transport: Transport::Tcp,
                local: "192.0.2.1:5060".parse().unwrap(),
                remote: "10.0.0.1:40000".parse().unwrap(),
            },
            peer,
            learns_sent_by: true,
            letters,
        };
        let of_task = Arc::clone(&shared);
        let task = tokio::spawn(async move { serve(ours, opened, Some(outbox), &of_task).await });
        let outbox = match events.recv().await {
            Some(StreamEvent::Opened { outbox, .. }) => Some(outbox),
            other => panic!("{other:?}"),
        };
        Self {
            peer: theirs,
            shared,
            events,
            task,
            outbox,
        }
    }

    async fn say(&mut self, text: &[u8]) {
        self.peer.write_all(text).await.unwrap();
    }

    async fn message(&mut self) -> (Vec<u8>, Option<u16>) {
        match self.events.recv().await {
            Some(StreamEvent::Message { bytes, sent_by, .. }) => (bytes.into(), sent_by),
            other => panic!("{other:?}"),
        }
    }

    /// The connection ends: when, and why.
    async fn ended(&mut self) -> (Duration, &'static str) {
        let began = Instant::now();
        let event = self.events.recv().await;
        assert!(
            matches!(event, Some(StreamEvent::Closed { .. })),
            "{event:?}"
        );
        (&mut self.task).await.unwrap();
        let counters = &self.shared.counters;
        let reasons: Vec<_> = counters
            .ended_by_reason()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert!(reasons.len() <= 1, "{reasons:?}");
        assert_eq!(counters.open.load(Ordering::Relaxed), 0);
        let word = reasons.first().map_or("by us", |(word, _)| *word);
        (Instant::now() - began, word)
    }

    async fn read(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let count = self.peer.read(&mut buffer).await.unwrap();
        buffer.truncate(count);
        buffer
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_whole_however_it_is_cut_and_says_once_where_its_sender_listens() {
    let mut world = World::new(Peer::Known).await;
    for piece in OPTIONS.as_bytes().chunks(7) {
        world.say(piece).await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let first = (OPTIONS.as_bytes().to_vec(), Some(5070));
    assert_eq!(world.message().await, first);
    world.say(OPTIONS.repeat(2).as_bytes()).await;
    assert_eq!(world.message().await, (first.0.clone(), None));
    assert_eq!(world.message().await, (first.0, None));
}

#[tokio::test(start_paused = true)]
async fn sent_by_of_another_address_is_not_believed() {
    let mut world = World::new(Peer::Known).await;
    world
        .say(OPTIONS.replace("10.0.0.1", "10.0.0.2").as_bytes())
        .await;
    assert_eq!(world.message().await.1, None);
    world
        .say(OPTIONS.replace("SIP/2.0/TCP", "SIP/2.0/UDP").as_bytes())
        .await;
    assert_eq!(world.message().await.1, None);
    world.say(OPTIONS.replace(":5070", "").as_bytes()).await;
    assert_eq!(world.message().await.1, Some(5060));
}

/// RFC 5626 §3.5.1.
#[tokio::test(start_paused = true)]
async fn a_ping_is_answered() {
    let mut world = World::new(Peer::Known).await;
    world.say(b"\r\n\r\n").await;
    assert_eq!(world.read().await, b"\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_ends_its_connection() {
    let mut world = World::new(Peer::Known).await;
    world.say(&b"\r\n\r\n".repeat(1_000)).await;
    assert_eq!(world.ended().await.1, "ping_flood");
    let answered = world.shared.counters.pings_answered.load(Ordering::Relaxed);
    assert!(answered <= 1, "{answered}");
}

/// Slow-loris: an octet now and then.
#[tokio::test(start_paused = true)]
async fn a_message_in_slow_octets_ends_after_its_time() {
    let mut world = World::new(Peer::Trunk).await;
    for octet in OPTIONS.as_bytes().iter().take(9) {
        world.say(&[*octet]).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let (more, word) = world.ended().await;
    assert_eq!(word, "half_message");
    assert!(more <= MESSAGE_WITHIN - Duration::from_secs(8), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn half_a_message_for_ever_ends_after_its_time() {
    let mut world = World::new(Peer::Known).await;
    let (half, _) = OPTIONS.as_bytes().split_at(40);
    world.say(half).await;
    assert_eq!(world.ended().await, (MESSAGE_WITHIN, "half_message"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_framed_ends_its_connection_at_once_and_without_an_answer() {
    let endless = format!("OPTIONS sip:a SIP/2.0\r\nX: {}", "x".repeat(40_000));
    for (text, error) in [
        ("GET / HTTP/1.1\r\n\r\n", FrameError::NotSip),
        ("OPTIONS sip:a SIP/2.0\r\n\r\n", FrameError::NoContentLength),
        (
            "OPTIONS sip:a SIP/2.0\r\nl: 70000\r\n\r\n",
            FrameError::BodyTooLong,
        ),
        (
            "OPTIONS sip:a SIP/2.0\r\nl: x\r\n\r\n",
            FrameError::ContentLength,
        ),
        (&endless, FrameError::HeaderTooLong),
    ] {
        let mut world = World::new(Peer::Known).await;
        world.say(text.as_bytes()).await;
        assert_eq!(world.ended().await, (Duration::ZERO, error.as_str()));
        assert_eq!(world.read().await, b"", "not a word");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_is_told_of() {
    let mut world = World::new(Peer::Known).await;
    world.say(&OPTIONS.as_bytes()[..20]).await;
    world.peer.shutdown().await.unwrap();
    assert_eq!(world.ended().await, (Duration::ZERO, "peer"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_left() {
    let mut world = World::with_buffer(Peer::Known, 100).await;
    let outbox = world.outbox.take().unwrap();
    outbox.put(&[0; 1_000]).unwrap();
    assert_eq!(world.ended().await, (WRITE_WITHIN, "write_stalled"));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_says_nothing_is_left_soon() {
    let mut world = World::new(Peer::Stranger).await;
    assert_eq!(world.ended().await, (STRANGER_WITHIN, "stranger_silent"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_of_no_trunk_ends() {
    let mut world = World::new(Peer::Known).await;
    assert_eq!(world.ended().await, (IDLE_WITHIN, "idle"));
}

/// what a trunk never answered is no reason to close its connection.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_of_a_trunk_is_pinged_and_kept() {
    let mut world = World::new(Peer::Trunk).await;
    for _ in 0..100 {
        let asked = Instant::now();
        assert_eq!(world.read().await, b"\r\n\r\n");
        assert_eq!(asked.elapsed(), PING_EVERY);
    }
    world.say(OPTIONS.as_bytes()).await;
    world.message().await;
}

#[tokio::test(start_paused = true)]
async fn a_trunk_that_used_to_answer_pings_and_does_not_any_more_is_gone() {
    let mut world = World::new(Peer::Trunk).await;
    for _ in 0..3 {
        assert_eq!(world.read().await, b"\r\n\r\n");
        world.say(b"\r\n").await;
    }
    assert_eq!(world.ended().await, (PING_EVERY + PONG_WITHIN, "no_pong"));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_written_before_we_close() {
    let mut world = World::new(Peer::Known).await;
    let outbox = world.outbox.take().unwrap();
    outbox.put(b"SIP/2.0 200 OK\r\n").unwrap();
    drop(outbox);
    assert_eq!(world.ended().await, (Duration::ZERO, "by us"));
    assert_eq!(world.read().await, b"SIP/2.0 200 OK\r\n");
}

/// Signalling is busy: the peer waits, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn messages_that_signalling_has_no_room_for_wait_with_the_peer() {
    let mut world = World::new(Peer::Known).await;
    world.say(OPTIONS.repeat(50).as_bytes()).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(world.events.len() <= world.events.max_capacity());
    for _ in 0..50 {
        assert_eq!(world.message().await.0, OPTIONS.as_bytes());
    }
}
