//! After a turn that was cut short: the table is right, and all that is derived from it is made anew.
//!
//! Owns indices and timers. Which transactions nobody needs any more is the user's to say.

use std::time::Instant;

use super::{
    Index, InviteClient, InviteServer, Machine, NonInviteClient, NonInviteServer, Packet,
    Transactions,
};
use crate::event::Flow;
use crate::table::Key;

/// How far a transaction is, whichever machine it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A request of ours without any response.
    Unheard,
    /// A request of ours with provisional responses.
    Heard,
    /// A request of the peer's without a final response of ours.
    Unanswered,
    /// An INVITE with a 2xx, in either direction.
    Accepted,
    /// Another final response.
    Done,
}

impl Machine {
    const fn phase(&self) -> Option<Phase> {
        Some(match self {
            Self::InviteClient(InviteClient::Calling { .. })
            | Self::NonInviteClient(NonInviteClient::Trying { .. }) => Phase::Unheard,
            Self::InviteClient(InviteClient::Proceeding)
            | Self::NonInviteClient(NonInviteClient::Proceeding { .. }) => Phase::Heard,
            Self::InviteServer(InviteServer::Proceeding)
            | Self::NonInviteServer(NonInviteServer::Trying | NonInviteServer::Proceeding) => {
                Phase::Unanswered
            }
            Self::InviteClient(InviteClient::Accepted { .. })
            | Self::InviteServer(InviteServer::Accepted { .. }) => Phase::Accepted,
            Self::InviteClient(InviteClient::Completed { .. })
            | Self::NonInviteClient(NonInviteClient::Completed { .. })
            | Self::InviteServer(InviteServer::Completed { .. } | InviteServer::Confirmed { .. })
            | Self::NonInviteServer(NonInviteServer::Completed { .. }) => Phase::Done,
            Self::InviteClient(InviteClient::Terminated)
            | Self::NonInviteClient(NonInviteClient::Terminated)
            | Self::InviteServer(InviteServer::Terminated)
            | Self::NonInviteServer(NonInviteServer::Terminated) => return None,
        })
    }
}

impl<U: Copy> Transactions<U> {
    /// All transactions: whose they are, and how far.
    #[must_use]
    pub fn phases(&self) -> Vec<(Key, U, Phase)> {
        let phases = self.table.iter().filter_map(|(key, transaction)| {
            Some((key, transaction.user, transaction.machine.phase()?))
        });
        phases.collect()
    }

    /// The last response of a server transaction.
    #[must_use]
    pub fn response(&self, key: Key) -> Option<(Flow, Packet)> {
        let transaction = self.table.get(key)?;
        match transaction.machine {
            Machine::InviteServer(_) | Machine::NonInviteServer(_) => {
                Some((transaction.flow, transaction.packet.clone()?))
            }
            Machine::InviteClient(_) | Machine::NonInviteClient(_) => None,
        }
    }

    /// What left in this very instant by a connection, which repeats nothing by itself, or was to leave.
    #[must_use]
    pub fn begun_at(&self, now: Instant) -> Vec<(Flow, Packet)> {
        let end = now + self.timers.transaction_timeout();
        let begun = self.table.iter().filter(|(_, transaction)| {
            transaction.flow.transport.is_reliable()
                && transaction.machine.give_up_at() == Some(end)
                && transaction.departure.at.is_none()
        });
        let packets = begun
            .filter_map(|(_, transaction)| Some((transaction.flow, transaction.packet.clone()?)));
        packets.collect()
    }

    /// Makes the indices and timers anew; what is over goes.
    pub fn recover(&mut self) {
        self.clients.clear();
        self.servers.clear();
        self.merged.clear();
        let all: Vec<Key> = self.table.iter().map(|(key, _)| key).collect();
        for key in &all {
            let Some(transaction) = self.table.get(*key) else {
                continue;
            };
            match &transaction.index {
                Index::Client(index) => {
                    self.clients.insert(*index, *key);
                }
                Index::Server {
                    key: server,
                    merged,
                    port: _,
                } => {
                    self.servers.insert(server.clone(), *key);
                    if let Some(merged) = merged {
                        self.merged.insert(merged.clone(), *key);
                    }
                }
            }
        }
        let table = &self.table;
        self.deadlines.retain(|key, token| {
            let entry = table.get(key);
            entry.is_some_and(|entry| entry.token == Some(token))
        });
        for key in all {
            let machine = self.table.get(key).map(|transaction| transaction.machine);
            if machine.is_some_and(|machine| machine.phase().is_none()) {
                let _user = self.remove(key);
            } else {
                self.arm(key);
            }
        }
    }
}
