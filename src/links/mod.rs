//! Links: what a click or a call to a request path reaches.

pub mod model;
pub mod resolve;
