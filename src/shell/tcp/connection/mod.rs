//! One connection: its octets in, whole messages out, what waits for the peer, and the times at which
//! patience ends.
//!
//! The task holds one unfinished message, what one read brought and what one write takes. Where
//! signalling has no room for a message, the connection is not read: the peer's TCP slows down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sip::event::Flow;
use sip::message::{self, StartLine};
use sip::transport::stream::{Frame, Framer, PING, PONG};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::counters::{Counters, Reason};
use super::gate::Peer;
use super::limits::{
    IDLE_WITHIN, MESSAGE_WITHIN, PING_EVERY, PINGS_MAX, PINGS_WITHIN, PONG_WITHIN, READ_OCTETS,
    STRANGER_WITHIN, WRITE_OCTETS, WRITE_WITHIN,
};
use super::streams::{ConnectionId, Letters, Outbox, StreamEvent};

/// A connection that has just been made.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: ConnectionId,
    pub(super) flow: Flow,
    pub(super) peer: Peer,
    /// The peer's first request says where it listens itself.
    pub(super) learns_sent_by: bool,
    pub(super) letters: Letters,
}

/// Serves a connection to its end, and tells signalling of it. `outbox`: signalling does not know it
/// yet.
pub(super) async fn serve<S>(stream: S, opened: Opened, outbox: Option<Outbox>, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let Opened { id, flow, .. } = opened;
    if let Some(outbox) = outbox {
        let event = StreamEvent::Opened { id, flow, outbox };
        if tell(shared, event).await.is_err() {
            return;
        }
    }
    shared.counters.open.fetch_add(1, Ordering::Relaxed);
    let ended = run(stream, opened, shared).await;
    shared.counters.open.fetch_sub(1, Ordering::Relaxed);
    if let Err(reason) = ended {
        shared.counters.count_ended(reason);
        tracing::debug!(
            remote = %flow.remote,
            reason = reason.as_str(),
            "a SIP connection ended"
        );
    }
    // Without signalling nobody needs to know.
    let _told = tell(shared, StreamEvent::Closed { id }).await;
}

/// Signalling is gone.
struct Gone;

async fn tell(shared: &Shared, event: StreamEvent) -> Result<(), Gone> {
    shared.events.send(event).await.map_err(|_closed| Gone)?;
    shared.wake.wake();
    Ok(())
}

/// `Ok`: we ended it ourselves.
async fn run<S>(stream: S, opened: Opened, shared: &Shared) -> Result<(), Reason>
where
    S: AsyncRead + AsyncWrite + Send,
{
    let Opened {
        id,
        flow,
        peer,
        learns_sent_by,
        mut letters,
    } = opened;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = vec![0; READ_OCTETS];
    let mut framer = Framer::default();
    let mut outgoing = Outgoing::new(Arc::clone(&letters.octets));
    let mut patience = Patience::new(peer, Instant::now());
    let mut learns_sent_by = learns_sent_by;
    let mut is_closing = false;
    loop {
        if is_closing && outgoing.is_empty() {
            drop(writer.shutdown().await);
            return Ok(());
        }
        let until = patience.deadline(&outgoing, &framer);
        tokio::select! {
            biased;
            letter = letters.receiver.recv(), if !is_closing && outgoing.has_room() => match letter {
                Some(bytes) => outgoing.push(&bytes, Instant::now()),
                None => is_closing = true,
            },
            written = writer.write(outgoing.bytes()), if !outgoing.is_empty() => match written {
                Ok(0) | Err(_) => return Err(Reason::Broken),
                Ok(count) => {
                    outgoing.written(count, Instant::now());
                    patience.moved(Instant::now());
                }
            },
            read = reader.read(&mut buffer), if !is_closing => {
                let count = match read {
                    Ok(0) => return Err(Reason::Peer),
                    Ok(count) => count,
                    Err(_) => return Err(Reason::Broken),
                };
                patience.heard(Instant::now());
                framer.push(buffer.get(..count).unwrap_or_default());
                while let Some(frame) = framer.next_frame().map_err(Reason::Frame)? {
                    match frame {
                        Frame::Message(bytes) => {
                            patience.message(Instant::now());
                            let event = received(bytes, (id, flow), &mut learns_sent_by, shared);
                            if tell(shared, event).await.is_err() {
                                return Ok(());
                            }
                        }
                        Frame::Ping => {
                            patience.pinged(Instant::now())?;
                            outgoing.answer_ping(&shared.counters, Instant::now());
                        }
                        Frame::Pong => patience.ponged(),
                    }
                }
                outgoing.ping_answered = false;
            },
            () = sleep_until(until) => {
                if patience.expire(Instant::now(), &mut framer, &mut outgoing, is_closing)? {
                    shared.counters.pings_sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// A whole message, counted; the first request of a peer may say where it listens.
fn received(
    bytes: &[u8],
    (id, flow): (ConnectionId, Flow),
    learns_sent_by: &mut bool,
    shared: &Shared,
) -> StreamEvent {
    let sent_by = if *learns_sent_by {
        sent_by(bytes, flow)
    } else {
        None
    };
    *learns_sent_by &= sent_by.is_none();
    shared
        .counters
        .messages_received
        .fetch_add(1, Ordering::Relaxed);
    StreamEvent::Message {
        id,
        flow,
        bytes: bytes.into(),
        sent_by,
    }
}

/// The port at which the sender of a request listens, where it names the address that it has (RFC
/// 3261 §18.1.1). `None` for a response, and for an address that is not its own.
fn sent_by(bytes: &[u8], flow: Flow) -> Option<u16> {
    let message = message::parse(bytes).ok()?;
    if !matches!(message.start_line(), StartLine::Request { .. }) {
        return None;
    }
    let via = message.top_via()?;
    let is_own = via.host_address() == Some(flow.remote.ip())
        && via.transport().eq_ignore_ascii_case(b"TCP");
    is_own.then(|| via.port().unwrap_or(SIP_PORT))
}

/// Where sent-by names no port (RFC 3261 §18.1.1).
const SIP_PORT: u16 = 5060;

/// What is being written.
struct Outgoing {
    bytes: Vec<u8>,
    start: usize,
    /// Octets that wait in all, the ones of the outbox included; told to whoever fills it.
    waiting: Arc<AtomicUsize>,
    progress_at: Instant,
    /// One pong answers all pings of one read.
    ping_answered: bool,
}

impl Outgoing {
    fn new(waiting: Arc<AtomicUsize>) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            waiting,
            progress_at: Instant::now(),
            ping_answered: false,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    const fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    const fn has_room(&self) -> bool {
        self.bytes.len() - self.start < WRITE_OCTETS
    }

    /// From the outbox, where it was counted.
    fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
            self.progress_at = now;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Of our own.
    fn push_own(&mut self, bytes: &[u8], now: Instant) {
        self.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        self.push(bytes, now);
    }

    fn answer_ping(&mut self, counters: &Counters, now: Instant) {
        if !self.ping_answered && self.has_room() {
            self.ping_answered = true;
            counters.pings_answered.fetch_add(1, Ordering::Relaxed);
            self.push_own(PONG, now);
        }
    }

    fn written(&mut self, count: usize, now: Instant) {
        self.start += count;
        self.progress_at = now;
        let before = self.waiting.fetch_sub(count, Ordering::AcqRel);
        debug_assert!(before >= count, "what is written was counted");
    }
}

/// When what must have happened.
struct Patience {
    peer: Peer,
    opened_at: Instant,
    /// The last octet in either direction.
    moved_at: Instant,
    /// The message that is not complete yet may take so long.
    message_until: Option<Instant>,
    has_message: bool,
    has_ponged: bool,
    pong_until: Option<Instant>,
    pinged_at: Instant,
    pings: u32,
}

impl Patience {
    const fn new(peer: Peer, now: Instant) -> Self {
        Self {
            peer,
            opened_at: now,
            moved_at: now,
            message_until: None,
            has_message: false,
            has_ponged: false,
            pong_until: None,
            pinged_at: now,
            pings: 0,
        }
    }

    const fn moved(&mut self, now: Instant) {
        self.moved_at = now;
    }

    /// Octets came: whatever they are, the peer is there.
    const fn heard(&mut self, now: Instant) {
        self.moved_at = now;
        self.pong_until = None;
    }

    /// A message came whole; the time of the next one begins with its own first octet.
    const fn message(&mut self, _now: Instant) {
        self.has_message = true;
        self.message_until = None;
        self.pings = 0;
    }

    const fn ponged(&mut self) {
        self.has_ponged = true;
    }

    fn pinged(&mut self, now: Instant) -> Result<(), Reason> {
        if self.pings == 0 || now.duration_since(self.pinged_at) > PINGS_WITHIN {
            self.pings = 0;
            self.pinged_at = now;
        }
        self.pings += 1;
        if self.pings > PINGS_MAX {
            return Err(Reason::PingFlood);
        }
        Ok(())
    }

    /// The first moment at which something is due.
    fn deadline(&mut self, outgoing: &Outgoing, framer: &Framer) -> Instant {
        if framer.is_within_message() {
            let until = Instant::now() + MESSAGE_WITHIN;
            self.message_until.get_or_insert(until);
        } else {
            self.message_until = None;
        }
        let stranger =
            (self.peer == Peer::Stranger && !self.has_message).then(|| self.stranger_until());
        let write = (!outgoing.is_empty()).then(|| outgoing.progress_at + WRITE_WITHIN);
        [
            stranger,
            write,
            self.message_until,
            self.pong_until,
            Some(self.moved_at + self.quiet_for()),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.moved_at)
    }

    /// What is due happens: the end, or a ping (then `true`).
    fn expire(
        &mut self,
        now: Instant,
        framer: &mut Framer,
        outgoing: &mut Outgoing,
        is_closing: bool,
    ) -> Result<bool, Reason> {
        if self.message_until.is_some_and(|until| until <= now) {
            return Err(Reason::HalfMessage);
        }
        if !outgoing.is_empty() && outgoing.progress_at + WRITE_WITHIN <= now {
            return Err(Reason::WriteStalled);
        }
        let is_silent = self.peer == Peer::Stranger && !self.has_message;
        if is_silent && self.stranger_until() <= now {
            return Err(Reason::StrangerSilent);
        }
        if self.pong_until.is_some_and(|until| until <= now) {
            return Err(Reason::NoPong);
        }
        if self.moved_at + self.quiet_for() > now || is_closing {
            return Ok(false);
        }
        if !self.is_kept() {
            return Err(Reason::Idle);
        }
        framer.expect_pong();
        outgoing.push_own(PING, now);
        self.moved_at = now;
        // Who has never answered a ping does not know them.
        self.pong_until = self.has_ponged.then(|| now + PONG_WITHIN);
        Ok(true)
    }

    fn stranger_until(&self) -> Instant {
        self.opened_at + STRANGER_WITHIN
    }

    const fn is_kept(&self) -> bool {
        matches!(self.peer, Peer::Trunk)
    }

    const fn quiet_for(&self) -> Duration {
        if self.is_kept() {
            PING_EVERY
        } else {
            IDLE_WITHIN
        }
    }
}

#[cfg(test)]
mod tests;
