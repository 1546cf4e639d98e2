//! A path does not work, or a connection is gone: what becomes of the transactions on it (RFC 3261
//! §17.1.4, §17.2.4, §18).
//!
//! Owns the second path: UDP for what went by TCP for its size alone (§18.1.1), sent-by for responses
//! (§18.2.2), and another flow for a request that its user knows one for.

use std::sync::Arc;
use std::time::Instant;

use super::{
    Index, InviteClient, InviteServer, Machine, NonInviteClient, Packet, Transaction, Transactions,
};
use crate::event::{Flow, Transport};
use crate::table::Key;
use crate::transport::via;

/// How often a message leaves by another connection because its own broke.
const MOVES_MAX: u8 = 3;

impl<U> Transaction<U> {
    /// A request of ours that no response has come to.
    const fn is_unheard(&self) -> bool {
        match self.machine {
            Machine::InviteClient(machine) => matches!(machine, InviteClient::Calling { .. }),
            Machine::NonInviteClient(machine) => matches!(machine, NonInviteClient::Trying { .. }),
            Machine::InviteServer(_) | Machine::NonInviteServer(_) => false,
        }
    }

    /// A request of ours that provisional responses have come to.
    const fn is_pending_client(&self) -> bool {
        match self.machine {
            Machine::InviteClient(machine) => matches!(machine, InviteClient::Proceeding),
            Machine::NonInviteClient(machine) => {
                matches!(machine, NonInviteClient::Proceeding { .. })
            }
            Machine::InviteServer(_) | Machine::NonInviteServer(_) => false,
        }
    }
}

impl<U: Copy> Transactions<U> {
    /// Client transactions on this flow that have heard nothing yet: a failed send ends them
    /// (RFC 3261 §17.1.4).
    #[must_use]
    pub fn unheard_on(&self, flow: Flow) -> Vec<Key> {
        self.table
            .iter()
            .filter(|(_, transaction)| transaction.flow == flow && transaction.is_unheard())
            .map(|(key, _)| key)
            .collect()
    }

    /// Requests on this flow that were heard, and wait for their final response: what follows them
    /// (CANCEL, the ACK of a failure) needs another path.
    #[must_use]
    pub fn heard_on(&self, flow: Flow) -> Vec<Key> {
        self.table
            .iter()
            .filter(|(_, transaction)| transaction.flow == flow && transaction.is_pending_client())
            .map(|(key, _)| key)
            .collect()
    }

    /// This request went by TCP for its size alone.
    pub fn allow_fall_back(&mut self, key: Key) {
        if let Some(transaction) = self.table.get_mut(key) {
            debug_assert!(
                transaction.flow.transport == Transport::Tcp,
                "what goes by UDP has nothing to fall back to"
            );
            transaction.may_fall_back = true;
        }
    }

    /// The request that TCP did not carry goes by UDP after all, its Via changed (RFC 3261 §18.1.1);
    /// what must be sent, or `None` where it did not go by TCP for its size alone.
    pub fn fall_back(&mut self, now: Instant, key: Key) -> Option<(Flow, Packet)> {
        let transaction = self.table.get_mut(key)?;
        if !std::mem::take(&mut transaction.may_fall_back) {
            return None;
        }
        let packet = via::with_transport(transaction.packet.as_deref()?, Transport::Udp)?;
        let flow = Flow {
            transport: Transport::Udp,
            ..transaction.flow
        };
        transaction.packet = Some(Packet::from(packet));
        self.start_again(now, key, flow)
    }

    /// A request that nobody has heard leaves by another path, or by a new connection; what must be
    /// sent. `None`: it has done so often enough.
    pub fn start_again(&mut self, now: Instant, key: Key, flow: Flow) -> Option<(Flow, Packet)> {
        let transaction = self.table.get_mut(key)?;
        debug_assert!(transaction.is_unheard(), "what was heard is not sent again");
        if transaction.moves >= MOVES_MAX {
            return None;
        }
        transaction.moves += 1;
        transaction.flow = flow;
        transaction.machine = match transaction.machine {
            Machine::InviteClient(_) => {
                Machine::InviteClient(InviteClient::new(now, &self.timers, flow.transport))
            }
            Machine::NonInviteClient(_) => {
                Machine::NonInviteClient(NonInviteClient::new(now, &self.timers, flow.transport))
            }
            machine @ (Machine::InviteServer(_) | Machine::NonInviteServer(_)) => machine,
        };
        let packet = Arc::clone(transaction.packet.as_ref()?);
        self.arm(key);
        Some((flow, packet))
    }

    /// What follows a request of ours goes by another path.
    pub fn set_flow(&mut self, key: Key, flow: Flow) {
        if let Some(transaction) = self.table.get_mut(key) {
            transaction.flow = flow;
        }
    }

    /// This connection is gone: the responses to what came by it go to the address it came from, at
    /// the port of sent-by (RFC 3261 §18.2.2). What must be sent again at once, since no timer of ours
    /// repeats it.
    pub fn reroute_responses(&mut self, flow: Flow) -> Vec<(Flow, Packet)> {
        debug_assert!(flow.transport.is_reliable(), "a socket is not closed");
        let mut again = Vec::new();
        for (_, transaction) in self.table.iter_mut() {
            let Index::Server { port, .. } = transaction.index else {
                continue;
            };
            if transaction.flow != flow || port == 0 {
                continue;
            }
            // Also where the peer's own port is that of sent-by: it can be connected to.
            let rerouted = via::without_connection(flow, port);
            transaction.flow = rerouted;
            if let (Machine::InviteServer(InviteServer::Completed { .. }), Some(packet)) =
                (&transaction.machine, &transaction.packet)
                && transaction.moves < MOVES_MAX
            {
                transaction.moves += 1;
                again.push((rerouted, Arc::clone(packet)));
            }
        }
        again
    }
}
