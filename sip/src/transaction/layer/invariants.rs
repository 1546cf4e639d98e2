//! What always holds between the table of transactions, its indices and its deadlines.
//!
//! Owns the look at them; mends nothing.

use super::{
    Index, InviteClient, InviteServer, Machine, NonInviteClient, NonInviteServer, Transaction,
    Transactions,
};
use crate::event::Transport;
use crate::table::usize_of;

impl<U: Copy> Transactions<U> {
    /// Panics in debug builds where the table, the indices and the deadlines disagree.
    pub fn check_invariants(&self) {
        self.table.check_invariants();
        let count = usize_of(self.table.count());
        debug_assert_eq!(
            self.clients.len() + self.servers.len(),
            count,
            "each is found by one key"
        );
        debug_assert!(
            self.merged.len() <= self.servers.len(),
            "only servers are merged"
        );
        debug_assert!(self.deadlines.len() <= count, "at most one deadline each");
        debug_assert!(self.timers.are_sound(), "no timer is a busy loop");
        if cfg!(debug_assertions) {
            for (key, transaction) in self.table.iter() {
                let found = match &transaction.index {
                    Index::Client(index) => self.clients.get(index),
                    Index::Server { key, .. } => self.servers.get(key),
                };
                debug_assert_eq!(found, Some(&key), "each is found by its own key");
                debug_assert_eq!(
                    transaction.token.is_some(),
                    self.deadlines.has(transaction.token),
                    "a token has its deadline"
                );
                transaction.check_invariants();
            }
        }
    }
}

impl<U> Transaction<U> {
    fn check_invariants(&self) {
        let is_over = match self.machine {
            Machine::InviteClient(machine) => machine == InviteClient::Terminated,
            Machine::InviteServer(machine) => machine == InviteServer::Terminated,
            Machine::NonInviteClient(machine) => machine == NonInviteClient::Terminated,
            Machine::NonInviteServer(machine) => machine == NonInviteServer::Terminated,
        };
        debug_assert!(!is_over, "what is over is gone");
        let is_client = matches!(
            self.machine,
            Machine::InviteClient(_) | Machine::NonInviteClient(_)
        );
        debug_assert_eq!(
            is_client,
            matches!(self.index, Index::Client(_)),
            "found as what it is"
        );
        debug_assert!(
            self.acknowledgement.is_none()
                || matches!(
                    self.machine,
                    Machine::InviteClient(InviteClient::Completed { .. })
                ),
            "only a failure is acknowledged here"
        );
        debug_assert!(
            !self.may_fall_back || self.flow.transport == Transport::Tcp,
            "what goes by UDP has nothing to fall back to"
        );
        debug_assert!(
            !self.may_fall_back || is_client,
            "only a request of ours is too long"
        );
        debug_assert!(
            self.machine.give_up_at().is_none() || self.packet.is_some(),
            "what is repeated has octets"
        );
        debug_assert!(
            self.machine.give_up_at().is_none() || self.token.is_some(),
            "what is repeated ends by itself"
        );
        debug_assert!(
            self.departure
                .at
                .is_none_or(|at| self.machine.give_up_at().is_some_and(|end| at < end)),
            "a message waits no longer than its transaction"
        );
        debug_assert!(
            self.departure.at.is_none() || self.packet.is_some(),
            "what waits to leave has octets"
        );
    }
}
