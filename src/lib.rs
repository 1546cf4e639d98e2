//! The appliance around two pure cores: `sip` (signalling) and `media` (packets). It knows both,
//! and is known by none.

#![forbid(unsafe_code)]

pub mod cdr;
pub mod links;
pub mod sources;
pub mod trunks;
