//! A trunk as it is stored and shown: the names of a `[[trunk]]` table, everything but its password.
//! One shape for file, database and `--json`.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{
    IdentityProfile, MediaLatch, Network, NumberPattern, OfferMode, RefreshBy, ReliableProvisional,
    Secret, SrtpPolicy, Transport, Trunk, TrunkTarget,
};
use crate::fraud_guard::DialPlan;
use crate::links::model::VideoPolicy;

/// A trunk without id and password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of its own in the file"
)]
#[expect(
    missing_docs,
    reason = "each field is documented at `Trunk`, whose names these are"
)]
pub struct TrunkShape {
    pub label: String,
    pub preset: String,
    pub enabled: bool,
    pub targets: Vec<TargetShape>,
    pub priority: u16,
    pub weight: u16,
    pub carries_terminating: bool,
    pub carries_originating: bool,
    pub max_calls: i32,
    pub max_inbound: i32,
    pub max_outbound: i32,
    pub max_cps: u32,
    #[serde(with = "texts")]
    pub patterns: Vec<NumberPattern>,
    pub strip: u8,
    pub prefix: String,
    pub codecs: Vec<String>,
    #[serde(with = "text")]
    pub identity: IdentityProfile,
    pub ascii_names: bool,
    pub trusted: bool,
    pub from_host: Option<String>,
    pub request_host: Option<String>,
    pub username: Option<String>,
    pub realm: Option<String>,
    #[serde(with = "seconds")]
    pub response_timeout_s: Duration,
    #[serde(with = "seconds")]
    pub progress_timeout_s: Duration,
    #[serde(with = "seconds")]
    pub ring_timeout_s: Duration,
    pub failover_codes: Vec<u16>,
    #[serde(with = "seconds")]
    pub options_interval_up_s: Duration,
    #[serde(with = "seconds")]
    pub options_interval_down_s: Duration,
    pub down_codes: Vec<u16>,
    #[serde(with = "texts")]
    pub networks: Vec<Network>,
    #[serde(with = "text")]
    pub media_latch: MediaLatch,
    pub advertised_media_address: Option<IpAddr>,
    #[serde(with = "text")]
    pub video: VideoPolicy,
    #[serde(with = "text")]
    pub transport: Transport,
    pub local_port: Option<u16>,
    #[serde(with = "text")]
    pub offer: OfferMode,
    #[serde(with = "text")]
    pub reliable_provisional: ReliableProvisional,
    #[serde(with = "seconds")]
    pub session_expires_s: Duration,
    #[serde(with = "seconds")]
    pub session_min_s: Duration,
    #[serde(with = "text")]
    pub refresh_by: RefreshBy,
    #[serde(with = "text")]
    pub srtp: SrtpPolicy,
    pub dial_plan: DialPlan,
    pub register: bool,
    #[serde(with = "seconds")]
    pub register_expires_s: Duration,
    pub transit: bool,
    pub links: Vec<String>,
}

/// One address of a trunk: `host:port`, where host is an address or a name, or a name alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetShape {
    /// `192.0.2.1:5060`, `[2001:db8::1]:5060` or `sip.example.com:5060`; `sip.example.com` is found by SRV.
    pub address: String,
    /// Lowest first.
    pub priority: u16,
    /// Among targets of equal priority.
    pub weight: u16,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTrunk {
    /// `tr_` and 12 hexadecimal digits.
    pub id: String,
    /// What it is.
    pub shape: TrunkShape,
    /// Its digest password.
    pub password: Option<Secret>,
}

impl StoredTrunk {
    /// The trunk that call control works with, its targets resolved.
    #[must_use]
    pub fn trunk(&self, targets: Vec<TrunkTarget>) -> Trunk {
        let shape = self.shape.clone();
        Trunk {
            id: self.id.clone(),
            label: shape.label,
            enabled: shape.enabled,
            targets,
            priority: shape.priority,
            weight: shape.weight,
            carries_terminating: shape.carries_terminating,
            carries_originating: shape.carries_originating,
            max_calls: shape.max_calls,
            max_inbound: shape.max_inbound,
            max_outbound: shape.max_outbound,
            max_cps: shape.max_cps,
            patterns: shape.patterns,
            strip: shape.strip,
            prefix: shape.prefix,
            codecs: shape.codecs,
            identity: shape.identity,
            ascii_names: shape.ascii_names,
            trusted: shape.trusted,
            from_host: shape.from_host,
            request_host: shape.request_host,
            username: shape.username,
            password: self.password.clone(),
            realm: shape.realm,
            response_timeout: shape.response_timeout_s,
            progress_timeout: shape.progress_timeout_s,
            ring_timeout: shape.ring_timeout_s,
            failover_codes: shape.failover_codes,
            options_interval_up: shape.options_interval_up_s,
            options_interval_down: shape.options_interval_down_s,
            down_codes: shape.down_codes,
            networks: shape.networks,
            media_latch: shape.media_latch,
            advertised_media_address: shape.advertised_media_address,
            video: shape.video,
            transport: shape.transport,
            local_port: shape.local_port,
            offer: shape.offer,
            reliable_provisional: shape.reliable_provisional,
            session_expires: shape.session_expires_s,
            session_min: shape.session_min_s,
            refresh_by: shape.refresh_by,
            srtp: shape.srtp,
            dial_plan: shape.dial_plan,
            register: shape.register,
            register_expires: shape.register_expires_s,
            transit: shape.transit,
            links: shape.links,
        }
    }
}

/// Seconds with fractions, kept to the millisecond.
mod seconds {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A value in its written form.
pub(crate) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::Deserialize;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A list of values in their written form.
mod texts {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::Deserialize;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        values: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| text.parse().map_err(serde::de::Error::custom))
            .collect()
    }
}
