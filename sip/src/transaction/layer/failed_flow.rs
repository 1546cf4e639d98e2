//! A path does not work, or a connection is gone: what becomes of the transactions on it (RFC 3261
//! §17.1.4, §17.2.4, §18).
//!
//! Owns the second path: UDP for what went by TCP for its size alone (§18.1.1), sent-by for responses
//! (§18.2.2), and another flow for a request that its user knows one for; and when what broke with its
//! connection leaves again: at once the first time, since a connection may have been dead for long, then
//! after a pause of T1 that doubles up to T2, while timer B, F or H runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Index, InviteClient, InviteServer, Machine, NonInviteClient, Packet, Transaction, Transactions,
};
use crate::event::{Flow, Timers, Transport};
use crate::table::Key;
use crate::transport::via;

/// What becomes of a message whose connection broke.
#[derive(Debug)]
pub enum Again {
    /// It must be sent now.
    Now(Flow, Packet),
    /// It leaves after a pause, by a timer of its transaction.
    Later,
    /// Its time is over before that.
    Never,
}

/// How a message leaves again after its connection broke.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Departure {
    /// It waits until then.
    pub(super) at: Option<Instant>,
    /// The pause before the next time; zero before the first.
    pause: Duration,
}

impl Departure {
    /// True, once, when the pause is over.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// The pause that begins now; `None`: it would outlast the transaction.
    fn next(&mut self, now: Instant, timers: &Timers, give_up_at: Instant) -> Option<Duration> {
        debug_assert!(self.at.is_none(), "one pause at a time");
        debug_assert!(self.pause <= timers.t2, "pauses stop growing at T2");
        let pause = self.pause;
        if now + pause >= give_up_at {
            return None;
        }
        self.pause = if pause.is_zero() {
            timers.t1
        } else {
            timers.next_capped(pause)
        };
        self.at = (!pause.is_zero()).then_some(now + pause);
        debug_assert!(self.pause > pause || self.pause == timers.t2, "pauses grow");
        debug_assert!(
            self.at.is_none_or(|at| now < at && at < give_up_at),
            "it leaves within its time, and not at once"
        );
        Some(pause)
    }
}

impl Machine {
    /// Timer B, F or H, while it runs.
    pub(super) const fn give_up_at(&self) -> Option<Instant> {
        match self {
            Self::InviteClient(InviteClient::Calling { give_up_at, .. })
            | Self::NonInviteClient(
                NonInviteClient::Trying { give_up_at, .. }
                | NonInviteClient::Proceeding { give_up_at, .. },
            )
            | Self::InviteServer(InviteServer::Completed { give_up_at, .. }) => Some(*give_up_at),
            Self::InviteClient(_)
            | Self::NonInviteClient(_)
            | Self::InviteServer(_)
            | Self::NonInviteServer(_) => None,
        }
    }
}

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
    /// (RFC 3261 §17.1.4). Those whose message waits for the end of a pause lost nothing.
    #[must_use]
    pub fn unheard_on(&self, flow: Flow) -> Vec<Key> {
        self.table
            .iter()
            .filter(|(_, transaction)| transaction.flow == flow && transaction.is_unheard())
            .filter(|(_, transaction)| transaction.departure.at.is_none())
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
        let packet = Packet::from(packet);
        transaction.packet = Some(Arc::clone(&packet));
        // Nobody has looked for an answer by this path yet: its time begins now.
        transaction.machine = match transaction.machine {
            Machine::InviteClient(_) => {
                Machine::InviteClient(InviteClient::new(now, &self.timers, flow.transport))
            }
            Machine::NonInviteClient(_) => {
                Machine::NonInviteClient(NonInviteClient::new(now, &self.timers, flow.transport))
            }
            machine @ (Machine::InviteServer(_) | Machine::NonInviteServer(_)) => machine,
        };
        transaction.flow = flow;
        self.arm(key);
        Some((flow, packet))
    }

    /// A request that nobody has heard leaves by another path, or by a new connection.
    pub fn start_again(&mut self, now: Instant, key: Key, flow: Flow) -> Again {
        let Some(transaction) = self.table.get_mut(key) else {
            return Again::Never;
        };
        debug_assert!(transaction.is_unheard(), "what was heard is not sent again");
        let (Some(give_up_at), Some(packet)) =
            (transaction.machine.give_up_at(), transaction.packet.clone())
        else {
            return Again::Never;
        };
        let pause = transaction.departure.next(now, &self.timers, give_up_at);
        let Some(pause) = pause else {
            return Again::Never;
        };
        self.leave_by(now, key, flow);
        if pause.is_zero() {
            Again::Now(flow, packet)
        } else {
            Again::Later
        }
    }

    /// Where a message waits to leave for; `None`: it does not wait.
    #[must_use]
    pub fn waits_for(&self, key: Key) -> Option<Flow> {
        let transaction = self.table.get(key)?;
        transaction.departure.at.map(|_at| transaction.flow)
    }

    /// The path of a request of ours is another one, and its time is not longer for that.
    fn leave_by(&mut self, now: Instant, key: Key, flow: Flow) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        let (timers, transport) = (&self.timers, flow.transport);
        debug_assert!(flow.remote.port() != 0, "port 0 is nowhere");
        debug_assert!(
            matches!(transaction.index, Index::Client(_)),
            "a request of ours leaves"
        );
        transaction.flow = flow;
        transaction.machine = match transaction.machine {
            Machine::InviteClient(machine) => {
                Machine::InviteClient(machine.moved(now, timers, transport))
            }
            Machine::NonInviteClient(machine) => {
                Machine::NonInviteClient(machine.moved(now, timers, transport))
            }
            machine @ (Machine::InviteServer(_) | Machine::NonInviteServer(_)) => machine,
        };
        self.arm(key);
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
    pub fn reroute_responses(&mut self, now: Instant, flow: Flow) -> Vec<(Flow, Packet)> {
        debug_assert!(flow.transport.is_reliable(), "a socket is not closed");
        let (mut again, mut later) = (Vec::new(), Vec::new());
        for (key, transaction) in self.table.iter_mut() {
            let Index::Server { port, .. } = transaction.index else {
                continue;
            };
            if transaction.flow != flow || port == 0 {
                continue;
            }
            // Also where the peer's own port is that of sent-by: it can be connected to.
            let rerouted = via::without_connection(flow, port);
            transaction.flow = rerouted;
            if let (Some(give_up_at), Some(packet), None) = (
                transaction.machine.give_up_at(),
                &transaction.packet,
                transaction.departure.at,
            ) {
                match transaction.departure.next(now, &self.timers, give_up_at) {
                    Some(Duration::ZERO) => again.push((rerouted, Arc::clone(packet))),
                    Some(_) => later.push(key),
                    None => {}
                }
            }
        }
        for key in later {
            self.arm(key);
        }
        again
    }
}
