//! The HTTP surface: the link resolver, the API of the node, and the server that bounds what a peer
//! may cost. `server` owns connections, `router` the paths, `access` who may, `problem` the refusals;
//! each resource of `/api/v1` has a file of its own.

mod access;
mod answer;
mod body;
mod call_ladder;
mod call_schema;
pub(crate) mod call_shape;
mod calls;
mod cdrs;
mod extensions;
mod fields;
mod forwarded;
mod guard;
pub(crate) mod guest;
mod import;
mod json;
mod lines;
mod links;
mod openapi;
mod operation;
mod problem;
pub(crate) mod registrations;
mod resolver;
mod router;
mod routes;
mod schema;
mod server;
mod settings;
mod sources;
mod tls;
mod tokens;
mod tries;
mod trunk_schema;
mod trunks;

pub use access::{Origin, TOKEN_IN_THE_CLEAR};
pub(crate) use calls::{IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_OCTETS_MAX};
pub(crate) use fields::fields_of;
pub use guest::{GuestDoor, GuestFigures, GuestLimits, Names, TurnServers};
pub use router::HttpState;
pub use server::{CONNECTIONS_MAX, Listener, TOO_MANY_OF_CLIENT, serve, serve_within};
pub use tls::{
    Acme, AcmeError, CertificateError, CertificateFigures, CertificateFiles, Certificates,
    Challenges, Facts, Proof, TlsListener, follow, renew,
};

#[cfg(test)]
mod tests;
