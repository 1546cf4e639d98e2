//! The HTTP surface: the link resolver, and the server that bounds what a peer may cost. `server`
//! owns connections, `router` the paths, `resolver` the one answer, `problem` the refusals.

mod operation;
mod problem;
mod resolver;
mod router;
mod server;

pub use router::HttpState;
pub use server::{CONNECTIONS_MAX, serve};
