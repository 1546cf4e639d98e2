//! What transports count. Plain numbers of one thread, as those of the worker.

use crate::command::TransportFailure;
use crate::ice::Refusal;

packet_io::counters! {
    /// What browsers' transports did.
    pub struct TransportCounters;

    /// Transports begun.
    begun,
    /// Checks of ICE answered.
    checks_answered,
    /// Sources nominated, moves of a nomination among them.
    nominations,
    /// Nominations of an address that another browser speaks from: not followed.
    nominations_taken,
    /// Nominations from where nothing under keys came: nothing more was sent there.
    nominations_unproven,
    /// Requests of ours that ask a source whether it hears us.
    ways_asked,
    /// Sources that answered one, or ended a handshake of which all went there.
    ways_proven,
    /// Sources that answered none: no media went there.
    ways_unproven,
    /// Handshakes begun.
    handshakes_begun,
    /// Handshakes that came to keys.
    handshakes_done,
    /// Datagrams of handshakes taken in.
    handshake_datagrams_received,
    /// Datagrams of handshakes sent.
    handshake_datagrams_sent,
    /// Datagrams of handshakes kept from where nothing was answered, beyond what may go there.
    handshake_datagrams_withheld,
    /// Transports reported as silent.
    silent,
    /// Silent transports heard again.
    back,
    /// Packets of video sent again, because a browser missed them.
    repeats_sent,
    /// Packets that a browser missed and that were not kept any more.
    repeats_missing,
    /// Packets that a browser missed, beyond what it is sent again.
    repeats_limited,
    /// Bit rates said to browsers.
    bit_rates_sent,
}

/// One counter for each reason that a check was not answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefusalCounters([u64; Refusal::ALL.len()]);

impl RefusalCounters {
    pub(super) fn count(&mut self, refusal: Refusal) {
        if let Some(counter) = self.0.get_mut(refusal as usize) {
            *counter += 1;
        }
    }

    /// How many were refused for it.
    #[must_use]
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(refusal as usize).copied().unwrap_or_default()
    }
}

/// One counter for each reason that a transport failed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailureCounters([u64; TransportFailure::ALL.len()]);

impl FailureCounters {
    pub(super) fn count(&mut self, failure: TransportFailure) {
        let all = TransportFailure::ALL.iter();
        let place = all.zip(&mut self.0).find(|(known, _)| **known == failure);
        if let Some((_, counter)) = place {
            *counter += 1;
        }
    }

    /// How many failed for it.
    #[must_use]
    pub fn of(&self, failure: TransportFailure) -> u64 {
        let all = TransportFailure::ALL.iter();
        let mut known = all.zip(self.0).filter(|(known, _)| **known == failure);
        known.next().map_or(0, |(_, count)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_own_counter_and_word() {
        let mut counters = FailureCounters::default();
        for failure in TransportFailure::ALL {
            counters.count(failure);
            assert_eq!(counters.of(failure), 1, "{}", failure.as_str());
            let same = TransportFailure::ALL
                .iter()
                .filter(|other| other.as_str() == failure.as_str());
            assert_eq!(same.count(), 1, "{}", failure.as_str());
        }
    }
}
