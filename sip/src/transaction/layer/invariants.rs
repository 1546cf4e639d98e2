//! What always holds between the table of transactions, its indices and its deadlines.
//!
//! Owns the look at them; mends nothing.

use super::{
    Index, InviteClient, InviteServer, Machine, NonInviteClient, NonInviteServer, Transactions,
};

impl<U: Copy> Transactions<U> {
    /// Panics in debug builds where the table, the indices and the deadlines disagree.
    pub fn check_invariants(&self) {
        self.table.check_invariants();
        let count = crate::table::usize_of(self.table.count());
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
        if cfg!(debug_assertions) {
            for (key, transaction) in self.table.iter() {
                let found = match &transaction.index {
                    Index::Client(index) => self.clients.get(index),
                    Index::Server { key, .. } => self.servers.get(key),
                };
                debug_assert_eq!(found, Some(&key), "each is found by its own key");
                let is_over = match transaction.machine {
                    Machine::InviteClient(machine) => machine == InviteClient::Terminated,
                    Machine::InviteServer(machine) => machine == InviteServer::Terminated,
                    Machine::NonInviteClient(machine) => machine == NonInviteClient::Terminated,
                    Machine::NonInviteServer(machine) => machine == NonInviteServer::Terminated,
                };
                debug_assert!(!is_over, "what is over is gone");
                debug_assert!(
                    transaction.departure.at.is_none_or(|at| transaction
                        .machine
                        .give_up_at()
                        .is_some_and(|end| at < end)),
                    "a message waits no longer than its transaction"
                );
                debug_assert!(
                    transaction.departure.at.is_none() || transaction.packet.is_some(),
                    "what waits to leave has octets"
                );
            }
        }
    }
}
