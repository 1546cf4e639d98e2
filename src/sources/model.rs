//! A source: who may send us what (PRODUCT §2). A packet that matches none gets silence.

use crate::trunks::model::{Network, SrtpPolicy};

/// One source policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For logs and CDRs.
    pub name: String,
    /// Whose packets.
    pub networks: Vec<Network>,
    /// Which links it may reach.
    pub links: LinkAccess,
    /// It may dial route strings that no link names (still only where ad hoc is on, and over UDP
    /// only from loopback).
    pub ad_hoc: bool,
    /// Phones of the registrar are there: its REGISTER requests are answered, and who proves to be
    /// an extension may call what extensions may.
    pub registers: bool,
    /// Whether media of its calls, and of calls to phones that registered from it, is protected.
    pub srtp: SrtpPolicy,
}

/// Which links a source may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAccess {
    /// Every live link.
    All,
    /// These request paths.
    Listed(Vec<String>),
    /// None.
    None,
}
