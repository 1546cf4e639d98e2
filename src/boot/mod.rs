//! From a configuration to a running node, and back to nothing.

mod api;
pub mod browsers;
pub mod error;
pub mod limits;
pub mod notify;
mod priorities;
pub mod reload;
pub mod serve;
mod sockets;
mod supervise;
mod tasks;

pub(crate) use sockets::acme_of;
