//! Whether what is sent to a source reaches the peer: a request of ours goes there (RFC 8445 §7.2.2), and
//! only who gets it can answer it. A few repeated requests, then silence until it checks again much later.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::ice::agent::Transaction;
use crate::ice::credentials::Credentials;
use crate::ice::refusal::Refusal;
use crate::ice::stun::{Attribute, write_request};
use crate::limits::{ICE_ASK_AFTER, ICE_ASK_AGAIN, ICE_ASKS_MAX, ICE_FRAGMENT_BYTES_MAX};

/// Octets of the longest request: a header, both fragments, priority, role, integrity and fingerprint.
pub const REQUEST_SIZE_MAX: usize =
    20 + 4 + (2 * ICE_FRAGMENT_BYTES_MAX + 1).next_multiple_of(4) + 8 + 12 + 24 + 8;

/// That of a candidate which only checks have shown, of the first component (RFC 8445 §5.1.2.1).
const PRIORITY: u32 = 110 << 24 | 65_535 << 8 | 255;

/// What our requests say of our role is decided by nobody: a lite agent never controls (RFC 8445 §6.1.1).
const TIE_BREAKER: [u8; 8] = [0; 8];

/// What is known of the way to one source.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// It is asked.
    Asked {
        transaction: Transaction,
        sent: u8,
        /// The next request, or the end of it. `None`: it has answered none.
        due_at: Option<Instant>,
        /// The last request.
        asked_at: Instant,
    },
    /// It leads to the peer.
    Proven,
}

/// What is to be done about a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The source.
    pub to: SocketAddr,
    /// What goes there. `None`: it answered none, and nothing more is sent until it has checked for a while.
    pub request: Option<ArrayVec<u8, REQUEST_SIZE_MAX>>,
}

impl Way {
    pub(super) const fn unasked(now: Instant) -> Self {
        Self::Asked {
            transaction: [0; 12],
            sent: 0,
            due_at: Some(now),
            asked_at: now,
        }
    }

    pub(super) const fn is_proven(self) -> bool {
        matches!(self, Self::Proven)
    }

    pub(super) const fn due_at(self) -> Option<Instant> {
        match self {
            Self::Asked { due_at, .. } => due_at,
            Self::Proven => None,
        }
    }

    /// A check came from there.
    pub(super) fn hear(&mut self, now: Instant) {
        if let Self::Asked {
            due_at: None,
            asked_at,
            ..
        } = self
            && now.saturating_duration_since(*asked_at) >= ICE_ASK_AGAIN
        {
            *self = Self::unasked(now);
        }
    }

    /// It is due: the transaction of the request that goes there now. `None`: it has answered none.
    pub(super) fn ask(&mut self, now: Instant, fresh: &Transaction) -> Option<Transaction> {
        let Self::Asked {
            transaction,
            sent,
            due_at,
            asked_at,
        } = self
        else {
            return None;
        };
        if *sent >= ICE_ASKS_MAX {
            *due_at = None;
            return None;
        }
        if *sent == 0 {
            *transaction = *fresh;
        }
        let wait = ICE_ASK_AFTER * (1 << *sent);
        *sent += 1;
        *due_at = Some(now + wait);
        *asked_at = now;
        Some(*transaction)
    }

    /// That something answers the request that was sent there.
    pub(super) fn expect_transaction(&self, answered: &Transaction) -> Result<(), Refusal> {
        match self {
            Self::Asked {
                transaction, sent, ..
            } if *sent > 0 && transaction == answered => Ok(()),
            Self::Asked { .. } => Err(Refusal::ResponseForeign),
            Self::Proven => Err(Refusal::Response),
        }
    }
}

impl Ask {
    /// A request to the peer, as its credentials name it (RFC 8445 §7.2.2). It asks for nothing: a lite
    /// agent nominates nobody.
    pub(super) fn write(
        transaction: &Transaction,
        ours: &Credentials,
        peer: &Credentials,
    ) -> ArrayVec<u8, REQUEST_SIZE_MAX> {
        let mut name: ArrayVec<u8, { 2 * ICE_FRAGMENT_BYTES_MAX + 1 }> = ArrayVec::new();
        for part in [peer.fragment(), b":", ours.fragment()] {
            let has_room = name.try_extend_from_slice(part).is_ok();
            debug_assert!(has_room, "credentials have their bounds");
        }
        let attributes: [(u16, &[u8]); 3] = [
            (Attribute::Username.number(), &name),
            (Attribute::Priority.number(), &PRIORITY.to_be_bytes()),
            (Attribute::IceControlled.number(), &TIE_BREAKER),
        ];
        let request = write_request(transaction, &attributes, peer.password());
        debug_assert!(request.is_some(), "the bound is of the longest request");
        request.unwrap_or_default()
    }
}

const _: () = assert!(
    ICE_ASK_AFTER.as_millis() << ICE_ASKS_MAX < Duration::from_secs(30).as_millis(),
    "a source is asked for less time than it is waited for"
);
