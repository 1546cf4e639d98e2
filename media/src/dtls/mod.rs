//! DTLS-SRTP of one browser leg (RFC 5764): a handshake whose product is the keys of our own SRTP.
//!
//! Owns which certificate is believed, which half of the keying material is ours, and what a handshake
//! may cost. The protocol itself, 1.2 and 1.3 (RFC 6347, RFC 9147), is `dimpl`'s; no type of it
//! leaves here. No socket and no clock: datagrams and moments are arguments. The one thing that is
//! not an argument is randomness: key exchange and signatures take it from the system, so that a
//! handshake cannot be replayed.
//!
//! Only sources that authenticated checks came from are to be heard here. That proves that who sends has
//! read our description, and not that an answer reaches it, which is what a cookie would cost another
//! round trip for (RFC 9147 §5.1): each flight is sent to where the one before came from. The end of a handshake
//! proves that its flights reached somebody who has the peer's key, and not that the last datagram came from
//! where it says.

mod attempt;
mod endpoint;
mod fingerprint;
mod handshake;
mod hello;
mod key_exchange;
mod keys;
mod plaintext;
mod profiles;

#[cfg(test)]
pub(crate) mod tests;

pub use endpoint::{Endpoint, EndpointError};
pub use fingerprint::Fingerprint;
pub use handshake::{Failure, Handshake, Output, POLL_BUFFER_SIZE, Role};
pub use key_exchange::{KeyExchange, KeyExchanging};
