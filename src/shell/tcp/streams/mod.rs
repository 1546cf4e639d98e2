//! Signalling's side of connections: which one carries a flow.
//!
//! Owns the table and nothing that waits. A flow without a connection gets one; a flow to the address
//! that a peer's connection named as its own (RFC 5923 §1, same address, port of sent-by) goes by that
//! connection, unless we have opened one there ourselves.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sip::event::Flow;
use tokio::sync::mpsc;

use super::counters::{Counters, Reason};
use super::gate::Gate;
use super::limits::{DIALLED_MAX, GUESTS_DIALLED_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_OCTETS_MAX};

/// Our name of a connection; none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(pub(super) u64);

/// What connections say.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// A peer has opened one.
    Opened {
        id: ConnectionId,
        flow: Flow,
        outbox: Outbox,
    },
    /// One whole message.
    Message {
        id: ConnectionId,
        flow: Flow,
        bytes: Box<[u8]>,
        /// The port at which the sender says that it listens, told once.
        sent_by: Option<u16>,
    },
    /// It is gone, or could not be made.
    Closed { id: ConnectionId },
}

/// A connection that is wanted.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) id: ConnectionId,
    pub(super) flow: Flow,
    pub(super) letters: Letters,
}

/// Where messages for one connection wait.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Box<[u8]>>,
    octets: Arc<AtomicUsize>,
}

/// The other end of an [`Outbox`].
#[derive(Debug)]
pub(super) struct Letters {
    pub(super) receiver: mpsc::Receiver<Box<[u8]>>,
    /// Octets that wait or are being written.
    pub(super) octets: Arc<AtomicUsize>,
}

impl Outbox {
    pub(super) fn new() -> (Self, Letters) {
        let (sender, receiver) = mpsc::channel(OUTBOX_MESSAGES_MAX);
        let octets = Arc::new(AtomicUsize::new(0));
        let letters = Letters {
            receiver,
            octets: Arc::clone(&octets),
        };
        (Self { sender, octets }, letters)
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<(), NotSent> {
        // Counted before it is there: the task may write it before we are back.
        let waiting = self.octets.fetch_add(bytes.len(), Ordering::AcqRel);
        let refused = if waiting + bytes.len() > OUTBOX_OCTETS_MAX {
            NotSent::Full
        } else {
            match self.sender.try_send(bytes.into()) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => NotSent::Full,
                Err(mpsc::error::TrySendError::Closed(_)) => NotSent::Closed,
            }
        };
        self.octets.fetch_sub(bytes.len(), Ordering::AcqRel);
        Err(refused)
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The connection has just ended; that is told by [`Heard::Failed`] too.
    Closed,
    /// The peer takes nothing; its connection is closed.
    Full,
    /// As many connections as we open are open.
    NoRoom,
}

/// What signalling must feed to call control.
#[derive(Debug)]
pub enum Heard {
    /// A whole message came by this flow.
    Message(Flow, Box<[u8]>),
    /// The connection of this flow could not be made, or is gone.
    Failed(Flow),
}

/// Signalling's end of all connections.
#[derive(Debug)]
pub struct Streams {
    events: mpsc::Receiver<StreamEvent>,
    dials: mpsc::Sender<Dial>,
    /// Totals, also of what the tasks do.
    pub counters: Arc<Counters>,
    ids: Arc<AtomicU64>,
    gate: Arc<Gate>,
    connections: BTreeMap<ConnectionId, Connection>,
    by_flow: BTreeMap<Flow, ConnectionId>,
    failed: VecDeque<Flow>,
    dialled: usize,
    /// Of these, to addresses of no trunk.
    guests_dialled: usize,
}

#[derive(Debug)]
struct Connection {
    flow: Flow,
    outbox: Outbox,
    origin: Origin,
    /// The flow to the address that the peer named as its own.
    alias: Option<Flow>,
    /// A message came or went by it: before that nobody counts on its flow, and nobody need hear of its
    /// end, which costs a look at every call.
    is_used: bool,
}

/// Who opened a connection, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The peer.
    Peer,
    /// We, to a trunk.
    Trunk,
    /// We, to an address that a caller or callee named.
    Guest,
}

impl Streams {
    pub(super) fn new(
        events: mpsc::Receiver<StreamEvent>,
        dials: mpsc::Sender<Dial>,
        counters: Arc<Counters>,
        ids: Arc<AtomicU64>,
        gate: Arc<Gate>,
    ) -> Self {
        Self {
            events,
            dials,
            counters,
            ids,
            gate,
            connections: BTreeMap::new(),
            by_flow: BTreeMap::new(),
            failed: VecDeque::new(),
            dialled: 0,
            guests_dialled: 0,
        }
    }

    /// Without listeners and without anybody who connects: every message fails.
    #[must_use]
    pub fn none() -> Self {
        let (_, events) = mpsc::channel(1);
        let (dials, _) = mpsc::channel(1);
        let (counters, ids, gate) = Default::default();
        Self::new(events, dials, counters, ids, gate)
    }

    /// What has come; `None`: nothing more for now.
    pub fn poll(&mut self) -> Option<Heard> {
        loop {
            if let Some(flow) = self.failed.pop_front() {
                return Some(Heard::Failed(flow));
            }
            match self.events.try_recv().ok()? {
                StreamEvent::Opened { id, flow, outbox } => self.opened(id, flow, outbox),
                StreamEvent::Message {
                    id,
                    flow,
                    bytes,
                    sent_by,
                } => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.is_used = true;
                    }
                    if let Some(port) = sent_by {
                        self.learn(id, port);
                    }
                    return Some(Heard::Message(flow, bytes));
                }
                StreamEvent::Closed { id } => self.forget(id),
            }
        }
    }

    /// True where [`Streams::poll`] has nothing.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.failed.is_empty() && self.events.is_empty()
    }

    /// Gives a message to the connection of its flow, which is made where there is none.
    ///
    /// # Errors
    /// The message will not leave; the flow has failed.
    pub fn send(&mut self, flow: Flow, bytes: &[u8]) -> Result<(), NotSent> {
        let id = match self.by_flow.get(&flow) {
            Some(id) => *id,
            None => self.dial(flow)?,
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            debug_assert!(false, "a flow names a connection that is there");
            return Err(NotSent::Closed);
        };
        connection.is_used = true;
        let put = connection.outbox.put(bytes);
        match put {
            Ok(()) => {
                self.counters.messages_sent.fetch_add(1, Ordering::Relaxed);
            }
            // Its last word is on the way to us.
            Err(NotSent::Closed | NotSent::NoRoom) => {}
            Err(NotSent::Full) => {
                self.counters.count_ended(Reason::OutboxFull);
                self.forget(id);
            }
        }
        put
    }

    /// Closes the connection of a flow without a word.
    pub fn close(&mut self, flow: Flow) {
        if let Some(id) = self.by_flow.get(&flow).copied() {
            self.counters.count_ended(Reason::Stranger);
            self.remove(id);
        }
    }

    /// Connections that are open or being made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    fn opened(&mut self, id: ConnectionId, flow: Flow, outbox: Outbox) {
        // The same two ports again, before the word of the former one's end was taken.
        if let Some(former) = self.by_flow.get(&flow).copied() {
            self.forget(former);
        }
        self.insert(id, flow, outbox, Origin::Peer);
    }

    fn dial(&mut self, flow: Flow) -> Result<ConnectionId, NotSent> {
        if self.dialled >= DIALLED_MAX {
            self.counters.count_ended(Reason::DialledFull);
            return Err(NotSent::NoRoom);
        }
        let origin = if self.gate.is_trunk(flow.remote) {
            Origin::Trunk
        } else {
            Origin::Guest
        };
        if origin == Origin::Guest && self.guests_dialled >= GUESTS_DIALLED_MAX {
            self.counters.count_ended(Reason::GuestsDialledFull);
            return Err(NotSent::NoRoom);
        }
        let id = ConnectionId(self.ids.fetch_add(1, Ordering::Relaxed));
        let (outbox, letters) = Outbox::new();
        match self.dials.try_send(Dial { id, flow, letters }) {
            Ok(()) => {
                self.insert(id, flow, outbox, origin);
                Ok(id)
            }
            Err(_) => {
                self.counters.count_ended(Reason::DialledFull);
                Err(NotSent::NoRoom)
            }
        }
    }

    fn insert(&mut self, id: ConnectionId, flow: Flow, outbox: Outbox, origin: Origin) {
        let connection = Connection {
            flow,
            outbox,
            origin,
            alias: None,
            is_used: false,
        };
        self.by_flow.insert(flow, id);
        let former = self.connections.insert(id, connection);
        debug_assert!(former.is_none(), "no connection has the name of another");
        self.dialled += usize::from(origin != Origin::Peer);
        self.guests_dialled += usize::from(origin == Origin::Guest);
        debug_assert!(self.dialled <= DIALLED_MAX, "the bound holds");
        debug_assert!(
            self.guests_dialled <= GUESTS_DIALLED_MAX.min(self.dialled),
            "guests have a share"
        );
    }

    /// The peer of this connection says that it listens at `port` of its address.
    fn learn(&mut self, id: ConnectionId, port: u16) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let alias = Flow {
            remote: SocketAddr::new(connection.flow.remote.ip(), port),
            ..connection.flow
        };
        if port != 0 && connection.origin == Origin::Peer && !self.by_flow.contains_key(&alias) {
            connection.alias = Some(alias);
            self.by_flow.insert(alias, id);
        }
    }

    /// It is gone: whoever uses its flows must know.
    fn forget(&mut self, id: ConnectionId) {
        let removed = self.remove(id);
        if let Some(connection) = removed.filter(|connection| connection.is_used) {
            self.failed.push_back(connection.flow);
            self.failed.extend(connection.alias);
        }
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.dialled -= usize::from(connection.origin != Origin::Peer);
        self.guests_dialled -= usize::from(connection.origin == Origin::Guest);
        for flow in [Some(connection.flow), connection.alias]
            .into_iter()
            .flatten()
        {
            if self.by_flow.get(&flow) == Some(&id) {
                self.by_flow.remove(&flow);
            }
        }
        debug_assert!(
            self.by_flow.values().all(|known| *known != id),
            "nothing leads to what is gone"
        );
        Some(connection)
    }
}

#[cfg(test)]
mod tests;
