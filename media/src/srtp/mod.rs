//! SRTP and SRTCP (RFC 3711, RFC 7714): what keys a leg has, and how a packet is protected and
//! unprotected where it lies. Knows no SDP and no socket; keys are given, never made here.

mod master_key;
mod suite;

pub use master_key::{MasterKey, SrtpPlan};
pub use suite::Suite;
