//! The shell: the only place where SIP bytes meet sockets, and where the pure cores get threads.

pub mod asker;
pub mod guests;
pub mod media_link;
pub mod panics;
pub mod signalling;
pub mod tcp;
pub mod udp;
pub mod wake;

pub use asker::Asker;
pub use guests::Guests;
