//! Shapes the benches share.

pub mod invite;
pub mod srtp;
