//! Resolving: what a request path means now. The one decision that HTTP and SIP share.

use jiff::Timestamp;

use super::model::{Destination, LinkId};

/// A resolved call target: every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedLink {
    /// `None`: ad hoc.
    pub link: Option<LinkId>,
    /// The request path asked for.
    pub request_path: String,
    /// Whom it reaches; a remote destination has its domain filled in.
    pub destination: Destination,
    /// Caller name: link, else setting, else product default.
    pub caller_name: String,
    /// Caller alias without the unique number: link, else setting, else product default.
    pub caller_alias: String,
    /// Append `separator` and the next number of the sequence.
    pub unique_alias: bool,
    /// The separator setting.
    pub unique_alias_separator: char,
    /// The pinned trunk.
    pub trunk: Option<String>,
    /// True when a stored link names this destination (the guard's last rule asks).
    pub named_by_link: bool,
}

/// Why a request path reaches nobody. Statuses: HTTP and SIP, PRODUCT §1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveRefusal {
    /// No such link, and ad hoc is off or does not match. HTTP 404, SIP 404.
    Unknown,
    /// Disabled, or past its window. HTTP 410, SIP 410.
    Dead,
    /// Before its window. HTTP 403 with the start time, SIP 480 with Retry-After.
    NotYetValid(Timestamp),
    /// The database did not answer. HTTP 503, SIP 503.
    Unavailable,
}
