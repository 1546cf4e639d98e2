//! `Endpoint`: the facade of the SIP core.
//!
//! Owns nothing but the order in which things are asked.

use std::time::Instant;

use crate::counters::Counters;
use crate::error::CommandError;
use crate::event::{CallKey, Dial, EndpointConfig, Input, LegKey, Output, Ping, PingKey, Refusal};
use crate::message::{SendBuffer, StatusCode};
use crate::sdp::SessionDescription;

/// A SIP endpoint: transactions, dialogs and calls of one signalling thread.
///
/// *After every `handle_input` or command, drain `poll_output` to `None` before the next.*
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    counters: Counters,
}

#[expect(
    clippy::missing_errors_doc,
    clippy::needless_pass_by_value,
    clippy::needless_pass_by_ref_mut,
    reason = "the bodies follow"
)]
impl Endpoint {
    /// An endpoint without calls.
    #[must_use]
    pub fn new(config: EndpointConfig) -> Self {
        Self {
            config,
            counters: Counters::default(),
        }
    }

    /// The world speaks.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) {}

    /// What must be done next; `None`: everything is said. For `Output::Send` the message is in
    /// `buffer`.
    pub fn poll_output(&mut self, _buffer: &mut SendBuffer) -> Option<Output> {
        None
    }

    /// When `Input::Expired` is due; `None`: nothing is pending.
    #[must_use]
    pub const fn poll_deadline(&self) -> Option<Instant> {
        None
    }

    /// Sends 101 to 199 to the caller, with early media where there is an answer.
    pub fn ring(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _status: StatusCode,
        _answer: Option<&SessionDescription>,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Answers the caller with 200.
    pub fn answer(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _answer: &SessionDescription,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Refuses the caller; attempts that are left are cancelled.
    pub fn refuse(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _status: StatusCode,
        _refusal: &Refusal,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Makes an attempt towards a trunk.
    pub fn dial(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _dial: Dial,
    ) -> Result<LegKey, CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Leaves an attempt, or ends an answered b-leg; `AttemptFailed` with `Abandoned` follows.
    pub fn abandon(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _leg: LegKey,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Sends a re-INVITE with this offer.
    pub fn reoffer(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _leg: LegKey,
        _offer: &SessionDescription,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Answers the re-INVITE of a leg with 200; where it had no offer, this is ours.
    pub fn answer_reoffer(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _leg: LegKey,
        _answer: &SessionDescription,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Refuses the re-INVITE of a leg; the session stays as it was.
    pub fn refuse_reoffer(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _leg: LegKey,
        _status: StatusCode,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Ends the call: BYE to confirmed legs, CANCEL to attempts, 480 to an unanswered caller.
    pub fn hang_up(
        &mut self,
        _now: Instant,
        _call: CallKey,
        _refusal: &Refusal,
    ) -> Result<(), CommandError> {
        Err(CommandError::NoSuchCall)
    }

    /// Sends OPTIONS outside a dialog; `PingEnded` follows.
    pub fn ping(&mut self, _now: Instant, _ping: Ping) -> Result<PingKey, CommandError> {
        Err(CommandError::LimitReached)
    }

    /// While draining, INVITE and OPTIONS outside a dialog get 503.
    pub const fn set_draining(&mut self, draining: bool) {
        self.config.draining = draining;
    }

    /// Calls that have not ended.
    #[must_use]
    pub const fn active_calls(&self) -> u32 {
        0
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Panics in debug builds where the tables contradict each other.
    pub const fn check_invariants(&self) {}
}
