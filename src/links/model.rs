//! A link: what a click or a call to a request path reaches (PRODUCT §1). Pure rules, no I/O.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use sip::sdp::Direction;

use super::rules;

/// Our id of a link in the database.
pub type LinkId = i64;

/// A stored entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Row id.
    pub id: LinkId,
    /// What follows `/call/`, or the user part of a Request-URI. 1 to 255 octets of UTF-8 in NFC.
    pub request_path: String,
    /// Whom the call reaches.
    pub destination: Destination,
    /// What the guest sees.
    pub display_name: Option<String>,
    /// The name shown at the called endpoint; `None`: the setting.
    pub caller_name: Option<String>,
    /// The user part shown there; `None`: the setting.
    pub caller_alias: Option<String>,
    /// Append a number of the system's one sequence to the alias.
    pub unique_alias: bool,
    /// The URL may name the caller.
    pub allow_custom_caller_name: bool,
    /// Off: refused as gone.
    pub enabled: bool,
    /// Not before.
    pub valid_after: Option<Timestamp>,
    /// Not from this time on.
    pub valid_before: Option<Timestamp>,
    /// Id of the trunk that must carry the call (`tr_…`); never falls back.
    pub trunk: Option<String>,
    /// Seconds after which the guest page calls by itself; `None`: the setting.
    pub auto_call_after_s: Option<u8>,
    /// What the guest page does with video; `None`: the setting.
    pub video_policy: Option<VideoPolicy>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// What the guest page does with video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoPolicy {
    /// Both ways.
    SendRecv,
    /// Not at all.
    Inactive,
    /// The guest sees and is not seen.
    RecvOnly,
    /// The guest sees, and is seen once it wishes so.
    RecvOnlyInitially,
}

impl VideoPolicy {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SendRecv,
        Self::Inactive,
        Self::RecvOnly,
        Self::RecvOnlyInitially,
    ];

    /// Its word in files, the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::Inactive => "inactive",
            Self::RecvOnly => "recvonly",
            Self::RecvOnlyInitially => "recvonly_initially",
        }
    }

    /// The most that our `m=` line of a SIP leg may say: the same word, from the view of who calls. A
    /// guest that is not seen yet starts without a word to the other side (RFC 3264 §5.1).
    #[must_use]
    pub const fn on_sip(self) -> Direction {
        match self {
            Self::SendRecv | Self::RecvOnlyInitially => Direction::SendRecv,
            Self::Inactive => Direction::Inactive,
            Self::RecvOnly => Direction::RecvOnly,
        }
    }
}

impl fmt::Display for VideoPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for VideoPolicy {
    type Err = NotAVideoPolicy;

    fn from_str(text: &str) -> Result<Self, NotAVideoPolicy> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(NotAVideoPolicy)
    }
}

/// The text is no video policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("accepted: {VIDEO_POLICY}")]
pub struct NotAVideoPolicy;

/// The sentence of [`VideoPolicy::from_str`].
pub const VIDEO_POLICY: &str = "sendrecv, inactive, recvonly or recvonly_initially";
/// The sentence of `auto_call_after_s`.
pub const AUTO_CALL: &str = "0 to 60 seconds";
/// Seconds after which the guest page calls by itself, at most.
pub const AUTO_CALL_S_MAX: u8 = 60;

/// Whom a link reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A user at a domain, reached over a trunk.
    Remote {
        /// User part of Request-URI and To, not escaped.
        user: String,
        /// Domain; `None`: the configured SIP domain.
        domain: Option<String>,
    },
    /// `local:echo`: the caller gets its own media back.
    Echo,
    /// `local:tone`: the caller hears a tone and, where video is allowed, sees a moving test picture.
    Tone,
}

impl fmt::Display for Destination {
    /// The form that a link is written in: `user`, `user@domain`, `local:echo`, `local:tone`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote { user, domain: None } => formatter.write_str(user),
            Self::Remote {
                user,
                domain: Some(domain),
            } => write!(formatter, "{user}@{domain}"),
            Self::Echo => formatter.write_str("local:echo"),
            Self::Tone => formatter.write_str("local:tone"),
        }
    }
}

impl FromStr for Destination {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        match text {
            "local:echo" => return Ok(Self::Echo),
            "local:tone" => return Ok(Self::Tone),
            _ => {}
        }
        let (user, domain) = match text.split_once('@') {
            Some((user, domain)) => (user, Some(domain)),
            None => (text, None),
        };
        if !rules::is_user(user) || !domain.is_none_or(rules::is_domain) {
            return Err(NotADestination);
        }
        Ok(Self::Remote {
            user: user.to_owned(),
            domain: domain.map(str::to_owned),
        })
    }
}

/// The text names neither a user, nor a user at a domain, nor a local party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("accepted: {DESTINATION}")]
pub struct NotADestination;

/// The sentence of [`Destination::from_str`].
pub const DESTINATION: &str = "user, user@domain, local:echo or local:tone";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A link that says nothing of what it need not say.
    pub(crate) fn link(id: LinkId, request_path: &str, destination: Destination) -> Link {
        Link {
            id,
            request_path: request_path.to_owned(),
            destination,
            display_name: None,
            caller_name: None,
            caller_alias: None,
            unique_alias: false,
            allow_custom_caller_name: false,
            enabled: true,
            valid_after: None,
            valid_before: None,
            trunk: None,
            auto_call_after_s: None,
            video_policy: None,
            created_by: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}
