//! Where no packet of ours may go: an SDP must make us neither a weapon nor a loop.

use std::net::{IpAddr, SocketAddr};

/// Loopback for who signals from elsewhere, and ports of our own. Multicast and broadcast are
/// refused by whoever reads the description.
#[must_use]
pub fn is_forbidden(
    address: SocketAddr,
    signalling: IpAddr,
    is_own: impl Fn(SocketAddr) -> bool,
) -> bool {
    let is_foreign = !signalling.to_canonical().is_loopback();
    (address.ip().is_loopback() && is_foreign) || is_own(address)
}
