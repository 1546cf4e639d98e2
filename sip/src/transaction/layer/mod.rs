//! The transaction layer: the four machines in a bounded table, with what they repeat.
//!
//! Owns matching, timers and the octets that are sent again, byte for byte. It sends nothing
//! itself: every step says what must be sent and who must hear of it. `U` is the user of a
//! transaction (RFC 3261 §17, "TU"), which this file only hands back.

mod failed_flow;
mod invariants;
mod recovery;

pub use failed_flow::Again;
use failed_flow::Departure;
pub use recovery::Phase;

use std::sync::Arc;
use std::time::Instant;

use super::invite_client::{InviteClient, InviteClientAction};
use super::invite_server::{InviteServer, InviteServerAction};
use super::matching::RequestIdentity;
use super::non_invite_client::{NonInviteClient, NonInviteClientAction};
use super::non_invite_server::{NonInviteServer, NonInviteServerAction};
use crate::deadline::{DeadlineQueue, Token};
use crate::event::{Flow, Timers};
use crate::identifier::{Identifier, Identifiers};
use crate::table::{Full, Key, KeyedMap, Table};

/// A message as it left, to be sent again without a change.
pub type Packet = Arc<[u8]>;

/// All transactions of an endpoint.
#[derive(Debug)]
pub struct Transactions<U> {
    table: Table<Transaction<U>>,
    clients: KeyedMap<ClientKey, Key>,
    servers: KeyedMap<Box<[u8]>, Key>,
    merged: KeyedMap<Box<[u8]>, Key>,
    deadlines: DeadlineQueue<Key>,
    timers: Timers,
    scratch: Vec<u8>,
}

/// What a request of ours is found by (RFC 3261 §17.1.3): the number of CSeq too, so that a response
/// which changed it is none of ours; and whether it is the CANCEL, which shares branch and number
/// with its INVITE (§9.1).
type ClientKey = (ClientIdentity, bool);

/// Branch and CSeq number of a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// The branch of its Via.
    pub branch: Identifier,
    /// The number of its CSeq.
    pub cseq: u32,
}

#[derive(Debug)]
struct Transaction<U> {
    machine: Machine,
    flow: Flow,
    user: U,
    /// Client: the request. Server: the last response.
    packet: Option<Packet>,
    /// INVITE client: the ACK of a failure.
    acknowledgement: Option<Packet>,
    /// Client: it goes by TCP for its size alone, and may go by UDP after all (RFC 3261 §18.1.1).
    may_fall_back: bool,
    /// How its message leaves again after its connection broke.
    departure: Departure,
    index: Index,
    token: Option<Token>,
}

#[derive(Debug, Clone, Copy)]
enum Machine {
    InviteClient(InviteClient),
    InviteServer(InviteServer),
    NonInviteClient(NonInviteClient),
    NonInviteServer(NonInviteServer),
}

#[derive(Debug)]
enum Index {
    Client(ClientKey),
    Server {
        key: Box<[u8]>,
        merged: Option<Box<[u8]>>,
        /// Port of sent-by: where responses go when the connection is gone; 0: nowhere.
        port: u16,
    },
}

/// Which client transaction a request of ours needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// INVITE.
    Invite,
    /// CANCEL.
    Cancel,
    /// Everything else but ACK.
    NonInvite,
}

/// What a response means to its transaction.
#[derive(Debug)]
pub enum ResponseStep<U> {
    /// A repetition; swallowed.
    Absorb,
    /// The user must hear it.
    Deliver(U),
    /// The same; before it the ACK of a failure must be made, sent, and kept by
    /// `set_acknowledgement`.
    DeliverAndAcknowledge(U),
    /// The ACK of the failure again.
    Send(Flow, Packet),
}

/// What a repeated request, or an ACK, means to its transaction.
#[derive(Debug)]
pub enum RequestStep<U> {
    /// Swallowed.
    Absorb,
    /// The last response again.
    Send(Flow, Packet),
    /// An ACK of a 2xx, for the user.
    Deliver(U),
}

/// What a deadline brought.
#[derive(Debug)]
pub struct Expiry<U> {
    /// Send this again.
    pub send: Option<(Flow, Packet)>,
    /// No final response came within timer B or F.
    pub timed_out: bool,
    /// The user of a transaction that is gone now.
    pub gone: Option<U>,
}

impl<U: Copy> Transactions<U> {
    /// No transactions, and room for `capacity`.
    pub fn new(capacity: u32, timers: Timers, identifiers: &mut Identifiers) -> Self {
        Self {
            table: Table::new(capacity),
            clients: KeyedMap::new(identifiers.map_seed()),
            servers: KeyedMap::new(identifiers.map_seed()),
            merged: KeyedMap::new(identifiers.map_seed()),
            deadlines: DeadlineQueue::default(),
            timers,
            scratch: Vec::new(),
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.table.count()
    }

    /// Transactions at most.
    pub const fn capacity(&self) -> u32 {
        self.table.capacity()
    }

    /// True when a new request cannot be answered with state.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.table.is_full()
    }

    /// When the next timer runs out.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes out one transaction whose timer is due, for `handle_deadline`.
    pub fn pop_due(&mut self, now: Instant) -> Option<Key> {
        self.deadlines.pop_due(now)
    }

    /// Keeps a request of ours, which the caller sends.
    ///
    /// # Errors
    /// `Full`: the request must not be sent.
    pub fn start_client(
        &mut self,
        now: Instant,
        kind: ClientKind,
        identity: ClientIdentity,
        flow: Flow,
        packet: Packet,
        user: U,
    ) -> Result<Key, Full> {
        debug_assert!(!packet.is_empty(), "a request has octets");
        let index = (identity, kind == ClientKind::Cancel);
        let machine = match kind {
            ClientKind::Invite => {
                Machine::InviteClient(InviteClient::new(now, &self.timers, flow.transport))
            }
            ClientKind::Cancel | ClientKind::NonInvite => {
                Machine::NonInviteClient(NonInviteClient::new(now, &self.timers, flow.transport))
            }
        };
        let key = self.table.insert(Transaction {
            machine,
            flow,
            user,
            packet: Some(packet),
            acknowledgement: None,
            may_fall_back: false,
            departure: Departure::default(),
            index: Index::Client(index),
            token: None,
        })?;
        let previous = self.clients.insert(index, key);
        debug_assert!(previous.is_none(), "a branch is used once");
        self.arm(key);
        debug_assert!(
            self.table
                .get(key)
                .is_some_and(|entry| entry.token.is_some()),
            "a request of ours does not wait for ever"
        );
        Ok(key)
    }

    /// Keeps a request of the peer's. `flow` is where its responses go. `merges` tells whether the
    /// same request by another path must be recognised (RFC 3261 §8.2.2.2).
    ///
    /// # Errors
    /// `Full`: answer without state.
    pub fn start_server(
        &mut self,
        identity: &RequestIdentity<'_>,
        flow: Flow,
        merges: bool,
        user: U,
    ) -> Result<Key, Full> {
        identity.write_key(&mut self.scratch);
        let server = Box::<[u8]>::from(self.scratch.as_slice());
        let merged = merges.then(|| {
            identity.write_merged_key(&mut self.scratch);
            Box::<[u8]>::from(self.scratch.as_slice())
        });
        debug_assert!(!server.is_empty(), "a request can be found again");
        let machine = if identity.method == b"INVITE" {
            Machine::InviteServer(InviteServer::new())
        } else {
            Machine::NonInviteServer(NonInviteServer::new())
        };
        let key = self.table.insert(Transaction {
            machine,
            flow,
            user,
            packet: None,
            acknowledgement: None,
            may_fall_back: false,
            departure: Departure::default(),
            index: Index::Server {
                key: server.clone(),
                merged: merged.clone(),
                port: identity.port,
            },
            token: None,
        })?;
        let previous = self.servers.insert(server, key);
        debug_assert!(
            previous.is_none(),
            "a request that matches does not start a transaction"
        );
        if let Some(merged) = merged {
            self.merged.insert(merged, key);
        }
        Ok(key)
    }

    /// The client transaction of a response (RFC 3261 §17.1.3).
    #[must_use]
    pub fn match_response(&self, branch: &[u8], cseq: u32, is_cancel: bool) -> Option<Key> {
        let branch = Identifier::from(std::str::from_utf8(branch).ok()?).ok()?;
        let identity = ClientIdentity { branch, cseq };
        self.clients.get(&(identity, is_cancel)).copied()
    }

    /// The server transaction of a request (RFC 3261 §17.2.3).
    pub fn match_request(&mut self, identity: &RequestIdentity<'_>) -> Option<Key> {
        identity.write_key(&mut self.scratch);
        self.servers.get(self.scratch.as_slice()).copied()
    }

    /// True where the same request has come by another path (RFC 3261 §8.2.2.2). Only asked for a
    /// request that matches no transaction.
    pub fn is_merged(&mut self, identity: &RequestIdentity<'_>) -> bool {
        identity.write_merged_key(&mut self.scratch);
        self.merged.get(self.scratch.as_slice()).is_some()
    }

    /// The user of a transaction, while it lives.
    #[must_use]
    pub fn user(&self, key: Key) -> Option<U> {
        self.table.get(key).map(|transaction| transaction.user)
    }

    /// Where a client transaction sends, or a server transaction answers.
    #[must_use]
    pub fn flow(&self, key: Key) -> Option<Flow> {
        self.table.get(key).map(|transaction| transaction.flow)
    }

    /// The user changes: what was outside a dialog belongs to a leg now.
    pub fn set_user(&mut self, key: Key, user: U) {
        if let Some(transaction) = self.table.get_mut(key) {
            transaction.user = user;
        }
    }

    /// A response arrived.
    pub fn handle_response(&mut self, now: Instant, key: Key, status: u16) -> ResponseStep<U> {
        let Some(transaction) = self.table.get_mut(key) else {
            return ResponseStep::Absorb;
        };
        let (user, transport) = (transaction.user, transaction.flow.transport);
        // It was heard: it need not leave again.
        transaction.departure.at = None;
        let step = match transaction.machine {
            Machine::InviteClient(machine) => {
                let (next, action) = machine.handle_response(now, status, &self.timers, transport);
                transaction.machine = Machine::InviteClient(next);
                if matches!(next, InviteClient::Accepted { .. }) {
                    // Neither repeated nor cancelled any more: its octets can go.
                    transaction.packet = None;
                }
                match action {
                    InviteClientAction::Deliver => ResponseStep::Deliver(user),
                    InviteClientAction::DeliverAndAcknowledge => {
                        ResponseStep::DeliverAndAcknowledge(user)
                    }
                    InviteClientAction::Acknowledge => match &transaction.acknowledgement {
                        Some(packet) => ResponseStep::Send(transaction.flow, Arc::clone(packet)),
                        None => ResponseStep::Absorb,
                    },
                    InviteClientAction::None
                    | InviteClientAction::Retransmit
                    | InviteClientAction::TimedOut => ResponseStep::Absorb,
                }
            }
            Machine::NonInviteClient(machine) => {
                let (next, action) = machine.handle_response(now, status, &self.timers, transport);
                transaction.machine = Machine::NonInviteClient(next);
                match action {
                    NonInviteClientAction::Deliver => ResponseStep::Deliver(user),
                    NonInviteClientAction::None
                    | NonInviteClientAction::Retransmit
                    | NonInviteClientAction::TimedOut => ResponseStep::Absorb,
                }
            }
            Machine::InviteServer(_) | Machine::NonInviteServer(_) => {
                debug_assert!(false, "a response finds a client");
                ResponseStep::Absorb
            }
        };
        self.arm(key);
        step
    }

    /// Keeps the ACK of a failure, to be sent again for each repetition of it.
    pub fn set_acknowledgement(&mut self, key: Key, packet: Packet) {
        debug_assert!(!packet.is_empty(), "an ACK has octets");
        if let Some(transaction) = self.table.get_mut(key) {
            debug_assert!(
                matches!(
                    transaction.machine,
                    Machine::InviteClient(InviteClient::Completed { .. })
                ),
                "only a failure is acknowledged here"
            );
            transaction.acknowledgement = Some(packet);
            transaction.packet = None;
        }
    }

    /// The request of a client transaction that may still be repeated or cancelled: its CANCEL and
    /// the ACK of a failure are made from it (RFC 3261 §9.1, §17.1.1.3).
    #[must_use]
    pub fn request(&self, key: Key) -> Option<(Flow, Packet)> {
        let transaction = self.table.get(key)?;
        match transaction.machine {
            Machine::InviteClient(_) | Machine::NonInviteClient(_) => transaction
                .packet
                .as_ref()
                .map(|packet| (transaction.flow, Arc::clone(packet))),
            Machine::InviteServer(_) | Machine::NonInviteServer(_) => None,
        }
    }

    /// A request that matches a server transaction: a repetition, or the ACK of an INVITE.
    pub fn handle_request(&mut self, now: Instant, key: Key, is_ack: bool) -> RequestStep<U> {
        let Some(transaction) = self.table.get_mut(key) else {
            return RequestStep::Absorb;
        };
        let transport = transaction.flow.transport;
        let repeated = match transaction.machine {
            Machine::InviteServer(machine) => {
                let (next, action) = if is_ack {
                    transaction.departure.at = None;
                    machine.handle_ack(now, &self.timers, transport)
                } else {
                    machine.handle_retransmission()
                };
                transaction.machine = Machine::InviteServer(next);
                match action {
                    InviteServerAction::Deliver => return RequestStep::Deliver(transaction.user),
                    InviteServerAction::Repeat => true,
                    InviteServerAction::None
                    | InviteServerAction::Send
                    | InviteServerAction::NotAcknowledged => false,
                }
            }
            Machine::NonInviteServer(machine) => {
                debug_assert!(!is_ack, "an ACK finds an INVITE");
                let (next, action) = machine.handle_retransmission();
                transaction.machine = Machine::NonInviteServer(next);
                action == NonInviteServerAction::Repeat
            }
            Machine::InviteClient(_) | Machine::NonInviteClient(_) => {
                debug_assert!(false, "a request finds a server");
                false
            }
        };
        let step = match &transaction.packet {
            Some(packet) if repeated => RequestStep::Send(transaction.flow, Arc::clone(packet)),
            Some(_) | None => RequestStep::Absorb,
        };
        self.arm(key);
        step
    }

    /// The user answers. `Some`: where to send the response, which is kept for repetitions.
    pub fn respond(
        &mut self,
        now: Instant,
        key: Key,
        status: u16,
        packet: &Packet,
    ) -> Option<Flow> {
        let transaction = self.table.get_mut(key)?;
        let transport = transaction.flow.transport;
        let sends = match transaction.machine {
            Machine::InviteServer(machine) => {
                let (next, action) = machine.respond(now, status, &self.timers, transport);
                transaction.machine = Machine::InviteServer(next);
                action == InviteServerAction::Send
            }
            Machine::NonInviteServer(machine) => {
                let (next, action) = machine.respond(now, status, &self.timers, transport);
                transaction.machine = Machine::NonInviteServer(next);
                action == NonInviteServerAction::Send
            }
            Machine::InviteClient(_) | Machine::NonInviteClient(_) => {
                debug_assert!(false, "what we answer is a request of the peer's");
                false
            }
        };
        debug_assert!(!packet.is_empty(), "a response has octets");
        let flow = transaction.flow;
        if sends {
            transaction.packet = Some(Arc::clone(packet));
        }
        self.arm(key);
        sends.then_some(flow)
    }

    /// A timer of this transaction is due.
    pub fn handle_deadline(&mut self, now: Instant, key: Key) -> Expiry<U> {
        let mut expiry = Expiry {
            send: None,
            timed_out: false,
            gone: None,
        };
        let Some(transaction) = self.table.get_mut(key) else {
            return expiry;
        };
        // The token died with the deadline.
        transaction.token = None;
        let leaves_again = transaction.departure.take_due(now);
        let (repeated, terminated) = match transaction.machine {
            Machine::InviteClient(machine) => {
                let (next, action) = machine.handle_deadline(now);
                transaction.machine = Machine::InviteClient(next);
                expiry.timed_out = action == InviteClientAction::TimedOut;
                (
                    action == InviteClientAction::Retransmit,
                    next == InviteClient::Terminated,
                )
            }
            Machine::InviteServer(machine) => {
                let (next, action) = machine.handle_deadline(now, &self.timers);
                transaction.machine = Machine::InviteServer(next);
                (
                    action == InviteServerAction::Repeat,
                    next == InviteServer::Terminated,
                )
            }
            Machine::NonInviteClient(machine) => {
                let (next, action) = machine.handle_deadline(now, &self.timers);
                transaction.machine = Machine::NonInviteClient(next);
                expiry.timed_out = action == NonInviteClientAction::TimedOut;
                (
                    action == NonInviteClientAction::Retransmit,
                    next == NonInviteClient::Terminated,
                )
            }
            Machine::NonInviteServer(machine) => {
                let (next, _none) = machine.handle_deadline(now);
                transaction.machine = Machine::NonInviteServer(next);
                (false, next == NonInviteServer::Terminated)
            }
        };
        let is_wanted = repeated || (leaves_again && !terminated);
        if is_wanted && let Some(packet) = &transaction.packet {
            expiry.send = Some((transaction.flow, Arc::clone(packet)));
        }
        if terminated {
            expiry.gone = self.remove(key);
        } else {
            self.arm(key);
        }
        expiry
    }

    /// Ends a transaction whatever its state, and gives back its user.
    pub fn remove(&mut self, key: Key) -> Option<U> {
        let mut transaction = self.table.remove(key)?;
        self.deadlines.set(&mut transaction.token, key, None);
        debug_assert!(transaction.token.is_none(), "no timer outlives it");
        match transaction.index {
            Index::Client(index) => {
                let found = self.clients.remove(&index);
                debug_assert_eq!(found, Some(key), "its key led to it");
            }
            Index::Server {
                key: server,
                merged,
                port: _,
            } => {
                let found = self.servers.remove(&server);
                debug_assert_eq!(found, Some(key), "its key led to it");
                // A later request may have taken the place of this one.
                if let Some(merged) = merged
                    && self.merged.get(&merged) == Some(&key)
                {
                    self.merged.remove(&merged);
                }
            }
        }
        Some(transaction.user)
    }

    fn arm(&mut self, key: Key) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        let at = match transaction.machine {
            Machine::InviteClient(machine) => machine.deadline(),
            Machine::InviteServer(machine) => machine.deadline(),
            Machine::NonInviteClient(machine) => machine.deadline(),
            Machine::NonInviteServer(machine) => machine.deadline(),
        };
        let at = at.into_iter().chain(transaction.departure.at).min();
        self.deadlines.set(&mut transaction.token, key, at);
        debug_assert_eq!(
            transaction.token.is_some(),
            at.is_some(),
            "armed as it says"
        );
    }
}
