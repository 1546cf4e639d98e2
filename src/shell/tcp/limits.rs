//! What connections may cost: how many, how long, how much.

use std::time::Duration;

use sip::message::MESSAGE_SIZE_MAX;

/// Connections that others open. Configured; the rest of this file is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// At once.
    pub connections_max: u32,
    /// Of these, from one address.
    pub connections_per_source_max: u32,
}

/// Connections of addresses that no trunk and no source names: a trunk that was switched off may still
/// have to end its calls.
pub(super) const STRANGERS_MAX: u32 = 32;
/// Connections that we open. Trunks and their targets are few.
pub(super) const DIALLED_MAX: usize = 512;
/// Of these, to addresses of no trunk: whoever calls us names them in its Contact, and must not take
/// those that trunks need.
pub(super) const GUESTS_DIALLED_MAX: usize = 256;
/// What the kernel keeps for us to accept.
pub(super) const BACKLOG: i32 = 512;

/// Messages that signalling has not taken yet. Beyond this connections are not read.
pub(super) const EVENTS_MAX: usize = 1_024;
/// Connections that wait to be opened.
pub(super) const DIALS_WAITING_MAX: usize = 256;
/// Messages that one connection has not written yet.
pub(super) const OUTBOX_MESSAGES_MAX: usize = 1_024;
/// Octets of these: a peer that reads nothing costs no more.
pub(super) const OUTBOX_OCTETS_MAX: usize = 512 * 1_024;
/// What a task takes from that at once.
pub(super) const WRITE_OCTETS: usize = 64 * 1_024;
/// What one read takes.
pub(super) const READ_OCTETS: usize = 16 * 1_024;

/// To make a connection: less than a trunk's time until any response, so that the next target has
/// some of it left, and room for one SYN that is lost.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_millis(2_500);
/// From the first octet of a message to its last.
pub(super) const MESSAGE_WITHIN: Duration = Duration::from_secs(10);
/// From one octet that the peer takes to the next, while we have some for it.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// An unknown peer's first message.
pub(super) const STRANGER_WITHIN: Duration = Duration::from_secs(5);
/// Without an octet in either direction, where no ping of ours keeps the connection.
pub(super) const IDLE_WITHIN: Duration = Duration::from_secs(3_600);
/// Between two pings on an idle connection of a trunk (RFC 5626 §4.4.1 allows up to 120 s; firewalls
/// of peers forget sooner).
pub(super) const PING_EVERY: Duration = Duration::from_secs(60);
/// Until the pong (RFC 5626 §4.4.1).
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Pings without a message between them, in [`PINGS_WITHIN`].
pub(super) const PINGS_MAX: u32 = 64;
/// See [`PINGS_MAX`].
pub(super) const PINGS_WITHIN: Duration = Duration::from_secs(10);
/// Octets that the peer's kernel has not acknowledged for so long mean that it is gone (RFC 5482).
pub(super) const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// After an accept that failed: something must be closed first.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const _: () = {
    assert!(
        GUESTS_DIALLED_MAX <= DIALLED_MAX / 2,
        "trunks have half of the connections that we open"
    );
    assert!(
        OUTBOX_OCTETS_MAX > 2 * MESSAGE_SIZE_MAX,
        "a large message finds room behind another"
    );
    assert!(
        WRITE_OCTETS < OUTBOX_OCTETS_MAX,
        "what is being written is a part of what may wait"
    );
    assert!(
        PONG_WITHIN.as_secs() < PING_EVERY.as_secs(),
        "a pong belongs to the last ping"
    );
    assert!(
        STRANGER_WITHIN.as_secs() < MESSAGE_WITHIN.as_secs(),
        "whom we do not know gets less"
    );
};
