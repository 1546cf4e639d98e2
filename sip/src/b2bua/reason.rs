//! Why a call ended, in the words of the telephone network (RFC 3326).
//!
//! Owns what of a Reason header is taken from one side, and how it is given to the other. The tables
//! are in `cause`.

use crate::event::{Q850, Refusal};
use crate::message::{Message, StatusCode};

/// The cause that a BYE, a CANCEL or a failure names: that of Q.850, else what its SIP cause stands
/// for. A status alone says nothing more than itself.
pub(super) fn of(message: &Message<'_>) -> Option<Q850> {
    let told = message.q850_cause().and_then(Q850::new);
    told.or_else(|| {
        message
            .reason_status()
            .and_then(StatusCode::new)
            .map(Q850::of_status)
    })
}

/// What the other side is told, where one side said why.
pub(super) fn refusal_of(reason: Option<Q850>) -> Refusal {
    Refusal {
        q850_cause: reason.map(|cause| cause.0),
        ..Refusal::default()
    }
}
