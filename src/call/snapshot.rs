//! What may change while the node runs, as one value that never changes: a new one replaces it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::fraud_guard::Rules;
use crate::registrar::model::{DigestOffer, Extension};
use crate::sources::model::Source;
use crate::trunks::model::Trunk;

/// Trunks, sources, rules and settings as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All trunks, enabled or not.
    pub trunks: Vec<Trunk>,
    /// All source policies; the first that matches counts.
    pub sources: Vec<Source>,
    /// The registrar's accounts.
    pub extensions: Vec<Extension>,
    /// An extension is dialled as a trunk that is never chosen: each under its id. Made by call
    /// control, and no trunk to anybody else.
    pub extension_trunks: BTreeMap<String, Trunk>,
    /// The fraud guard's rules.
    pub guard: Rules,
    /// The rest.
    pub settings: Settings,
}

impl Snapshot {
    /// The trunk of this id, or the extension as one.
    pub(super) fn trunk(&self, id: &str) -> Option<&Trunk> {
        let mut trunks = self.trunks.iter();
        let trunk = trunks.find(|trunk| trunk.id == id);
        trunk.or_else(|| self.extension_trunks.get(id))
    }

    /// True for an address that descriptions of ours may name for our ports.
    pub(super) fn advertises(&self, address: IpAddr) -> bool {
        let mut trunks = self.trunks.iter();
        self.settings.advertised_media == Some(address)
            || trunks.any(|trunk| trunk.advertised_media_address == Some(address))
    }

    /// A trunk as people know it, with its id; what is no trunk, as it is.
    pub(super) fn named(&self, id: &str) -> String {
        let mut trunks = self.trunks.iter();
        match trunks.find(|trunk| trunk.id == id) {
            Some(trunk) => format!("{} ({id})", trunk.label),
            None => id.to_owned(),
        }
    }
}

/// Settings of call control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The domain we answer for, beside our own addresses.
    pub sip_domain: Option<String>,
    /// Every refusal of a link or by the guard looks like an unknown link.
    pub hide_state: bool,
    /// A call ends after this long without media, while not held; zero: never.
    pub media_timeout: Duration,
    /// The address our descriptions name; `None`: that of the port. A trunk's own comes first.
    pub advertised_media: Option<IpAddr>,
    /// Keys of SRTP may go through signalling that is not encrypted.
    pub srtp_over_clear_signalling: bool,
    /// What challenges to phones offer.
    pub digest_offer: DigestOffer,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sip_domain: None,
            hide_state: false,
            media_timeout: Duration::from_secs(60),
            advertised_media: None,
            srtp_over_clear_signalling: false,
            digest_offer: DigestOffer::Both,
        }
    }
}
