//! How the words of a trunk are written in files, the database and the API. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::model::{
    IdentityProfile, MediaLatch, Network, NumberPattern, OfferMode, RefreshBy, ReliableProvisional,
    SrtpPolicy, Transport,
};
use crate::links::rules;

/// The text is not one of the accepted ones; the sentence says which are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("accepted: {0}")]
pub struct NotAccepted(pub &'static str);

/// The sentence of [`Network::from_str`].
pub const NETWORK: &str = "an IP address or a network such as 192.0.2.0/24";
/// The sentence of [`NumberPattern::from_str`].
pub const PATTERN: &str = "a number (610), a prefix (+49*) or a domain (@example.com)";
/// The sentence of [`IdentityProfile::from_str`].
pub const IDENTITY: &str = "rpid, pai, both or none";
/// The sentence of [`MediaLatch::from_str`].
pub const MEDIA_LATCH: &str = "sdp, signalling or any";
/// The sentence of [`Transport::from_str`].
pub const TRANSPORT: &str = "udp or tcp";
/// The sentence of [`OfferMode::from_str`].
pub const OFFER: &str = "early or delayed";
/// The sentence of [`ReliableProvisional::from_str`].
pub const RELIABLE_PROVISIONAL: &str = "off, supported or required";
/// The sentence of [`RefreshBy::from_str`].
pub const REFRESH_BY: &str = "invite or update";
/// The sentence of [`SrtpPolicy::from_str`].
pub const SRTP: &str = "off, preferred or required";

impl FromStr for Network {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_not_ip| NotAccepted(NETWORK))?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix_length = match length {
            None => whole,
            Some(length) => length.parse().map_err(|_not_number| NotAccepted(NETWORK))?,
        };
        if prefix_length > whole {
            return Err(NotAccepted(NETWORK));
        }
        Ok(Self {
            address,
            prefix_length,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix_length)
    }
}

impl FromStr for NumberPattern {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        if let Some(domain) = text.strip_prefix('@') {
            let domain = rules::is_domain(domain).then(|| Self::Domain(domain.to_owned()));
            return domain.ok_or(NotAccepted(PATTERN));
        }
        if let Some(prefix) = text.strip_suffix('*')
            && (prefix.is_empty() || rules::is_user(prefix))
        {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        let exact = rules::is_user(text).then(|| Self::Exact(text.to_owned()));
        exact.ok_or(NotAccepted(PATTERN))
    }
}

impl fmt::Display for NumberPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => formatter.write_str(exact),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
            Self::Domain(domain) => write!(formatter, "@{domain}"),
        }
    }
}

impl FromStr for IdentityProfile {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "rpid" => Ok(Self::Rpid),
            "pai" => Ok(Self::Pai),
            "both" => Ok(Self::RpidAndPai),
            "none" => Ok(Self::None),
            _ => Err(NotAccepted(IDENTITY)),
        }
    }
}

impl fmt::Display for IdentityProfile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rpid => "rpid",
            Self::Pai => "pai",
            Self::RpidAndPai => "both",
            Self::None => "none",
        })
    }
}

impl FromStr for Transport {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            _ => Err(NotAccepted(TRANSPORT)),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

impl FromStr for OfferMode {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "early" => Ok(Self::Early),
            "delayed" => Ok(Self::Delayed),
            _ => Err(NotAccepted(OFFER)),
        }
    }
}

impl fmt::Display for OfferMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Early => "early",
            Self::Delayed => "delayed",
        })
    }
}

impl FromStr for ReliableProvisional {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "off" => Ok(Self::Off),
            "supported" => Ok(Self::Supported),
            "required" => Ok(Self::Required),
            _ => Err(NotAccepted(RELIABLE_PROVISIONAL)),
        }
    }
}

impl fmt::Display for ReliableProvisional {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Supported => "supported",
            Self::Required => "required",
        })
    }
}

impl FromStr for SrtpPolicy {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "off" => Ok(Self::Off),
            "preferred" => Ok(Self::Preferred),
            "required" => Ok(Self::Required),
            _ => Err(NotAccepted(SRTP)),
        }
    }
}

impl fmt::Display for SrtpPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Preferred => "preferred",
            Self::Required => "required",
        })
    }
}

impl FromStr for RefreshBy {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "invite" => Ok(Self::Invite),
            "update" => Ok(Self::Update),
            _ => Err(NotAccepted(REFRESH_BY)),
        }
    }
}

impl fmt::Display for RefreshBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Invite => "invite",
            Self::Update => "update",
        })
    }
}

impl FromStr for MediaLatch {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text {
            "sdp" => Ok(Self::Sdp),
            "signalling" => Ok(Self::Signalling),
            "any" => Ok(Self::Any),
            _ => Err(NotAccepted(MEDIA_LATCH)),
        }
    }
}

impl fmt::Display for MediaLatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sdp => "sdp",
            Self::Signalling => "signalling",
            Self::Any => "any",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: FromStr + fmt::Display>(text: &str) -> Option<String> {
        text.parse::<T>().ok().map(|value| value.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (text, back) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(round_trip::<Network>(text).as_deref(), Some(back));
        }
        for text in ["610", "+49*", "*", "@example.com"] {
            assert_eq!(round_trip::<NumberPattern>(text).as_deref(), Some(text));
        }
        for text in ["rpid", "pai", "both", "none"] {
            assert_eq!(round_trip::<IdentityProfile>(text).as_deref(), Some(text));
        }
        for text in ["sdp", "signalling", "any"] {
            assert_eq!(round_trip::<MediaLatch>(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_none_of_the_words_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "host",
            "10.0.0.0/",
            "10.0.0.0/x",
        ] {
            text.parse::<Network>().unwrap_err();
        }
        for text in ["", "@", "@a b", "a b", "a@b"] {
            text.parse::<NumberPattern>().unwrap_err();
        }
        "RPID".parse::<IdentityProfile>().unwrap_err();
        "on".parse::<MediaLatch>().unwrap_err();
    }
}
