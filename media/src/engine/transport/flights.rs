//! Where what we said of a handshake went. All of it to one place, and its end from there: then that is where the
//! peer is, for it could not have ended it otherwise. Where nobody has answered anything yet it gets little:
//! a hello is short, what answers it is long, and its source may be anybody's.

use crate::ingress::PeerAddress;
use crate::limits::{HANDSHAKE_UNREACHED_BYTES_MAX, HANDSHAKE_UNREACHED_FACTOR};

/// Of one transport.
#[derive(Debug, Default)]
pub(super) struct Flights {
    to: Option<PeerAddress>,
    is_split: bool,
    is_answered: bool,
    received_bytes: usize,
    /// To where nothing was known to arrive.
    unreached_bytes: usize,
}

impl Flights {
    /// Another handshake. What went to where nothing was known to arrive still counts.
    pub(super) const fn begin(&mut self) {
        self.to = None;
        self.is_split = false;
        self.is_answered = false;
    }

    /// True if a datagram of it came.
    pub(super) const fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// A datagram of it came.
    pub(super) const fn receive(&mut self, size: usize) {
        self.is_answered = true;
        self.received_bytes = self.received_bytes.saturating_add(size);
    }

    /// A datagram goes there. False: it may not.
    pub(super) fn admit(&mut self, to: PeerAddress, size: usize, is_reached: bool) -> bool {
        if !is_reached {
            let answering = self
                .received_bytes
                .saturating_mul(HANDSHAKE_UNREACHED_FACTOR);
            let most = HANDSHAKE_UNREACHED_BYTES_MAX.saturating_add(answering);
            let sent = self.unreached_bytes.saturating_add(size);
            if sent > most {
                return false;
            }
            self.unreached_bytes = sent;
        }
        self.is_split |= self.to.is_some_and(|before| before != to);
        self.to = Some(to);
        true
    }

    /// True if all of it went there.
    pub(super) fn went_to(&self, place: PeerAddress) -> bool {
        !self.is_split && self.to == Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn place(port: u16) -> PeerAddress {
        SocketAddr::from(([192, 0, 2, 7], port)).into()
    }

    #[test]
    fn all_went_to_one_place_or_to_none() {
        let mut flights = Flights::default();
        assert!(!flights.went_to(place(1)), "nothing went");
        assert!(flights.admit(place(1), 100, true));
        assert!(flights.admit(place(1), 100, true));
        assert!(flights.went_to(place(1)) && !flights.went_to(place(2)));
        assert!(flights.admit(place(2), 100, true));
        assert!(!flights.went_to(place(1)) && !flights.went_to(place(2)));
        flights.begin();
        assert!(flights.admit(place(2), 100, true) && flights.went_to(place(2)));
    }

    #[test]
    fn who_answered_nothing_gets_no_more_than_a_few_times_what_came() {
        let mut flights = Flights::default();
        let mut sent = 0;
        for round in 0..100 {
            flights.receive(10);
            flights.begin();
            while flights.admit(place(round), 100, false) {
                sent += 100;
            }
        }
        let most = HANDSHAKE_UNREACHED_BYTES_MAX + 1_000 * HANDSHAKE_UNREACHED_FACTOR;
        assert!((most - 100..=most).contains(&sent), "{sent}");
        assert!(flights.admit(place(1), 100, true));
    }
}
