//! What is protocol about transports, not sockets: where responses and requests go.
//!
//! Owns RFC 3261 §18.2 with RFC 3581, the framing of streams (§18.3), and the choice of the next hop
//! within a dialog. Names are not
//! resolved here: a hop that is no numeric address is left to the path the dialog was made by.

pub(crate) mod no_tcp;
pub mod select;
pub mod stream;
pub mod via;
