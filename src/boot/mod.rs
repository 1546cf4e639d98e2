//! From a configuration to a running node, and back to nothing.

pub mod limits;
pub mod serve;
mod sockets;
mod tasks;
