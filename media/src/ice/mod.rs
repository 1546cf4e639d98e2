//! ICE of one browser call, as an agent that looks for no way (RFC 8445 §2.5, ICE-lite): who may be heard
//! and where media goes. Checks that peers send are read, authenticated and answered; requests of our own only
//! ask where a check came from whether what we send there arrives.
//!
//! Owns no socket, no clock and no random source: a datagram, its source and the moment are
//! arguments, and credentials are made of octets that are given. Knows no SDP.
//!
//! A shared socket finds the call of a datagram by [`destination_fragment`], which proves nothing;
//! [`Agent::check`] does.

mod accepted;
mod agent;
mod credentials;
mod generation;
mod refusal;
pub mod stun;
mod way;

#[cfg(test)]
mod tests;

pub use agent::{Agent, Change, Checked, Consent};
pub use credentials::{Credentials, FRAGMENT_ENTROPY_SIZE, is_fragment};
pub use refusal::Refusal;
pub use stun::RESPONSE_SIZE_MAX;
pub use way::{Ask, REQUEST_SIZE_MAX};

use stun::MessageView;

/// True for a message that answers a request, whoever made that.
#[must_use]
pub fn is_response(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|octet| octet & 1 == 1)
}

/// The user name fragment that a request is addressed to: the part of USERNAME before the colon
/// (RFC 8445 §7.2.2). Nothing is verified: it only says whose agent is to look at it.
///
/// # Errors
/// Why it is addressed to nobody.
pub fn destination_fragment(datagram: &[u8]) -> Result<&[u8], Refusal> {
    let message = MessageView::parse(datagram)?;
    message.expect_binding_request()?;
    let (ours, _) = message.user_fragments()?;
    Ok(ours)
}
