//! RFC 3261 §12: what both sides of a dialog remember.
//!
//! Owns tags, sequence numbers, the remote target and the route set. It knows no call: which
//! dialogs belong together is the business of `b2bua`.

pub mod route_set;
pub mod state;

pub use self::route_set::RouteSet;
pub use self::state::{Dialog, DialogRefused};
