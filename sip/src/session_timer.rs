//! Session timers (RFC 4028): the settings, the two headers, and what both sides agree on.
//!
//! Owns the arithmetic, without a clock. When a refresh is sent and what ends a session is in
//! `b2bua::session_timer`.

use std::time::Duration;

use crate::event::RefreshBy;

/// The smallest interval that anybody may ask for (RFC 4028 §4 and §5).
pub const INTERVAL_LEAST: Duration = Duration::from_secs(90);

/// The longest interval that we follow: a peer that asks for more gets this (a day).
pub const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// What we want of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// The interval that we ask for; zero: no session timer.
    pub expires: Duration,
    /// The smallest interval that we take; never below 90 s.
    pub min: Duration,
    /// The method of our refreshes; UPDATE only where the peer's Allow names it.
    pub refresh_by: RefreshBy,
}
