//! The shell: the only place where SIP bytes meet sockets, and where the pure cores get threads.

pub mod udp;
pub mod wake;
