//! Shapes the benches share.

pub mod invite;
