//! The HTTP surface: the link resolver, the API of the node, and the server that bounds what a peer
//! may cost. `server` owns connections, `router` the paths, `access` who may, `problem` the refusals;
//! each resource of `/api/v1` has a file of its own.

mod access;
mod answer;
mod body;
mod extensions;
mod fields;
mod guard;
mod json;
mod openapi;
mod operation;
mod problem;
mod resolver;
mod router;
mod routes;
mod schema;
mod server;
mod tokens;
mod tries;

pub use access::Origin;
pub use router::HttpState;
pub use server::{CONNECTIONS_MAX, Listener, serve, serve_within};
