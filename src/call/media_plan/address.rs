//! Where no packet of ours may go: an SDP must make us neither a weapon nor a loop.

use std::net::{IpAddr, SocketAddr};

use sip::offer_answer::Forbidden;

/// Loopback for who signals from elsewhere, and ports of our own. Multicast, broadcast and nowhere are
/// refused by whoever reads the description.
#[must_use]
pub fn forbids(
    address: SocketAddr,
    signalling: IpAddr,
    is_own: impl Fn(SocketAddr) -> bool,
) -> Option<Forbidden> {
    if address.ip().is_loopback() && !signalling.to_canonical().is_loopback() {
        Some(Forbidden::Loopback)
    } else if is_own(address) {
        Some(Forbidden::Own)
    } else {
        None
    }
}
