//! `Endpoint`: the facade of the SIP core.
//!
//! Owns nothing but the order in which things are asked: every command goes to the file of `b2bua`
//! that is named after it.

use std::time::{Duration, Instant};

use crate::b2bua::core::Core;
use crate::b2bua::{
    acknowledge, attempt, call, identity, info, local, modify, offered, options, place, recovery,
    register, registrar, reoffer, session_timer,
};
use crate::counters::{Counters, TableUse};
use crate::error::CommandError;
use crate::event::{
    CallKey, CallerAddress, Dial, EndpointConfig, Input, LegKey, Origin, Output, Ping, PingKey,
    RefreshBy, Refusal, Register, RegisterKey, RegisterRequestKey, SessionTimer,
};
use crate::message::{HeaderName, SendBuffer, StatusCode};
use crate::sdp::SessionDescription;

/// A SIP endpoint: transactions, dialogs and calls of one signalling thread.
///
/// *After every `handle_input` or command, drain `poll_output` to `None` before the next.*
///
/// ```
/// use std::time::Instant;
/// use sip::endpoint::Endpoint;
/// use sip::event::{EndpointConfig, Flow, Input, Output, Transport};
/// use sip::message::{Method, SendBuffer};
///
/// let mut endpoint = Endpoint::new(EndpointConfig {
///     number: 1,
///     seed: [7; 32],
///     product: "Sluice".into(),
///     calls_max: 100,
///     allow: vec![Method::Invite, Method::Ack, Method::Cancel, Method::Bye, Method::Options],
///     ..EndpointConfig::default()
/// });
/// let flow = Flow {
///     transport: Transport::Udp,
///     local: "192.0.2.1:5060".parse().unwrap(),
///     remote: "192.0.2.9:5060".parse().unwrap(),
/// };
/// let bytes = b"OPTIONS sip:192.0.2.1 SIP/2.0\r\n\
///     Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;rport\r\n\
///     From: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:192.0.2.1>\r\n\
///     Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
/// # let now = Instant::now();
/// endpoint.handle_input(now, Input::Datagram { flow, bytes });
/// let mut buffer = SendBuffer::new();
/// assert!(matches!(endpoint.poll_output(&mut buffer), Some(Output::Send { .. })));
/// assert!(buffer.as_bytes().starts_with(b"SIP/2.0 200 OK\r\n"));
/// assert!(endpoint.poll_output(&mut buffer).is_none());
/// ```
#[derive(Debug)]
pub struct Endpoint {
    core: Core,
}

impl Endpoint {
    /// An endpoint without calls.
    #[must_use]
    pub fn new(config: EndpointConfig) -> Self {
        Self {
            core: Core::new(config),
        }
    }

    /// The world speaks.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.handle_input_of(now, Origin::default(), input);
    }

    /// The same, where it is known who speaks: new calls of a caller that is no trunk take from its
    /// share of the tables, and get 503 without state where it has that.
    pub fn handle_input_of(&mut self, now: Instant, origin: Origin, input: Input<'_>) {
        self.core.origin = origin;
        self.core.handle_input(now, input);
        self.check_invariants();
    }

    /// What must be done next; `None`: everything is said. For `Output::Send` the message is in
    /// `buffer`.
    pub fn poll_output(&mut self, buffer: &mut SendBuffer) -> Option<Output> {
        self.core.poll_output(buffer)
    }

    /// When `Input::Expired` is due; `None`: nothing is pending.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.core.poll_deadline()
    }

    /// Sends 101 to 199 to the caller, with early media where there is an answer; reliably where the
    /// caller requires it, or as `EndpointConfig::reliable_early_media` says (RFC 3262). An answer
    /// that differs from the one before goes to the caller in another early dialog. To an INVITE
    /// without an offer nothing is described before the 2xx, and nothing is sent where that would
    /// have to be reliable.
    ///
    /// # Errors
    /// The call has ended or is answered, or the status does not fit.
    pub fn ring(
        &mut self,
        now: Instant,
        call: CallKey,
        status: StatusCode,
        answer: Option<&SessionDescription>,
    ) -> Result<(), CommandError> {
        let result = offered::ring(&mut self.core, now, call.0, status, answer);
        self.checked(result)
    }

    /// Answers the caller with 200, which is repeated until its ACK: `Confirmed` follows, or
    /// `Ended` with `NoAck`. Where the INVITE had no offer, this is ours, and the answer comes with
    /// `ReofferCompleted` for the a-leg. It leaves after the PRACK of early media, and after an
    /// exchange within the early dialog. Where UPDATE has changed the session of that, the 2xx describes
    /// nothing, and what shall be otherwise needs `reoffer`.
    ///
    /// # Errors
    /// The call has ended or is answered.
    pub fn answer(
        &mut self,
        now: Instant,
        call: CallKey,
        answer: &SessionDescription,
    ) -> Result<(), CommandError> {
        let result = offered::answer(&mut self.core, now, call.0, answer);
        self.checked(result)
    }

    /// Refuses the caller; attempts that are left are cancelled. `Ended` follows, by the
    /// terminating side where the last attempt was refused by its peer, else by us.
    ///
    /// # Errors
    /// The call has ended or is answered, or the status is no failure.
    pub fn refuse(
        &mut self,
        now: Instant,
        call: CallKey,
        status: StatusCode,
        refusal: &Refusal,
    ) -> Result<(), CommandError> {
        let result = offered::refuse(&mut self.core, now, call.0, status, refusal);
        self.checked(result)
    }

    /// Refuses the caller by one datagram, and keeps nothing: neither is the refusal repeated, nor does
    /// a transaction wait for its ACK, so that a flood of callers who prove nothing costs no room. The
    /// INVITE that comes again is a new call. `Ended` and `CallGone` follow.
    ///
    /// # Errors
    /// The call has ended, is answered or has an attempt, or the status is no failure.
    pub fn turn_away(
        &mut self,
        now: Instant,
        call: CallKey,
        status: StatusCode,
        refusal: &Refusal,
    ) -> Result<(), CommandError> {
        let result = offered::turn_away(&mut self.core, now, call.0, status, refusal);
        self.checked(result)
    }

    /// Makes an attempt towards a trunk. The first attempt that is answered leaves the others,
    /// with `AttemptFailed` and `Abandoned` for each.
    ///
    /// # Errors
    /// The call has ended or its callee has answered, or a limit is reached.
    pub fn dial(
        &mut self,
        now: Instant,
        call: CallKey,
        dial: Dial,
    ) -> Result<LegKey, CommandError> {
        let result = attempt::dial(&mut self.core, now, call.0, dial).map(LegKey);
        self.checked(result)
    }

    /// Places a call without a caller: its a-leg is an INVITE of ours. `Progress`, then `Answered`
    /// or `AttemptFailed` and `Ended` follow for that leg; once it has answered, `dial` makes b-legs
    /// in the same call and `reoffer` gives the a-leg their answer.
    ///
    /// # Errors
    /// A limit is reached, or we drain.
    pub fn place(&mut self, now: Instant, dial: Dial) -> Result<(CallKey, LegKey), CommandError> {
        let result = place::place(&mut self.core, now, dial);
        self.checked(result.map(|(call, leg)| (CallKey(call), LegKey(leg))))
    }

    /// Begins a call whose caller is a party of this node and no dialog of SIP: `dial` makes b-legs, whose
    /// `Progress`, `Answered` and `AttemptFailed` follow as in every call, and `hang_up` ends it. Of what is
    /// said to a caller nothing can be said to its a-leg.
    ///
    /// # Errors
    /// A limit is reached, or we drain.
    pub fn begin(&mut self) -> Result<(CallKey, LegKey), CommandError> {
        let result = local::begin(&mut self.core);
        self.checked(result.map(|(call, leg)| (CallKey(call), LegKey(leg))))
    }

    /// The Call-ID of a leg's dialog; `None`: there is no such leg any more.
    #[must_use]
    pub fn call_id(&self, leg: LegKey) -> Option<&[u8]> {
        self.core.call_id(leg.0)
    }

    /// Leaves an attempt by CANCEL, or ends an answered b-leg by BYE; `AttemptFailed` with
    /// `Abandoned` follows, and the call goes on.
    ///
    /// # Errors
    /// The call has ended, or the leg is no b-leg that somebody waits for.
    pub fn abandon(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
    ) -> Result<(), CommandError> {
        let result = attempt::abandon(&mut self.core, now, call.0, leg.0);
        self.checked(result)
    }

    /// Sends the ACK that the 2xx of a callee waits for which offered (`Answered::offer`): with our
    /// answer (RFC 3261 §13.2.2.4). A repeated 2xx gets the same ACK. Without this command every line
    /// is refused after 64·T1, or when the leg ends before.
    ///
    /// # Errors
    /// The call has ended, or no offer of this leg waits for an answer.
    pub fn acknowledge(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
        answer: &SessionDescription,
    ) -> Result<(), CommandError> {
        let result = acknowledge::answer_offer(&mut self.core, now, call.0, leg.0, answer);
        self.checked(result)
    }

    /// Sends a re-INVITE with this offer; `ReofferAnswered` or `ReofferRefused` follows, or
    /// `Ended` with `DialogLost`.
    ///
    /// # Errors
    /// The leg is not confirmed, or an offer of either side is pending on it.
    pub fn reoffer(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
        offer: &SessionDescription,
    ) -> Result<(), CommandError> {
        self.reoffer_by(now, call, leg, offer, RefreshBy::Invite)
    }

    /// The same by UPDATE (RFC 3311), where that is wanted and the peer's Allow names it; a
    /// re-INVITE where not. An early leg can only be asked by UPDATE, and only when offer and answer
    /// of the early dialog were exchanged reliably (RFC 3311 §5.1).
    ///
    /// # Errors
    /// The leg is not confirmed, or early and not to be asked; or an offer of either side is pending
    /// on it.
    pub fn reoffer_by(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
        offer: &SessionDescription,
        by: RefreshBy,
    ) -> Result<(), CommandError> {
        let result = modify::offer(&mut self.core, now, call.0, leg.0, offer, by);
        self.checked(result)
    }

    /// Answers the re-INVITE of a leg with 200; where it had no offer, this is ours, and
    /// `ReofferCompleted` brings the answer.
    ///
    /// # Errors
    /// Nothing waits for an answer: the peer may have cancelled it.
    pub fn answer_reoffer(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
        answer: &SessionDescription,
    ) -> Result<(), CommandError> {
        let result = reoffer::answer(&mut self.core, now, call.0, leg.0, answer);
        self.checked(result)
    }

    /// Refuses the re-INVITE of a leg; the session stays as it was.
    ///
    /// # Errors
    /// Nothing waits for an answer, or the status is no failure.
    pub fn refuse_reoffer(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
        status: StatusCode,
    ) -> Result<(), CommandError> {
        let result = reoffer::refuse(&mut self.core, now, call.0, leg.0, status);
        self.checked(result)
    }

    /// Ends the call: BYE to confirmed legs, CANCEL to attempts, 480 to an unanswered caller.
    ///
    /// # Errors
    /// The call has ended already.
    pub fn hang_up(
        &mut self,
        now: Instant,
        call: CallKey,
        refusal: &Refusal,
    ) -> Result<(), CommandError> {
        let result = call::hang_up(&mut self.core, now, call.0, refusal);
        self.checked(result)
    }

    /// Sets the session timer of a caller's leg before it is answered (RFC 4028 §9); an interval of
    /// zero switches it off. `EndpointConfig::session_timer` holds without it.
    ///
    /// # Errors
    /// The call has ended, or the leg is no caller's that waits for its answer.
    pub fn set_session_timer(
        &mut self,
        call: CallKey,
        leg: LegKey,
        settings: SessionTimer,
    ) -> Result<(), CommandError> {
        let result = session_timer::set(&mut self.core, call.0, leg.0, settings);
        self.checked(result)
    }

    /// Sends INFO within the dialog of a leg (RFC 6086). An empty body has no type. Nothing is heard
    /// of its answer, but a 481 ends the call with `DialogLost`.
    ///
    /// # Errors
    /// The leg is not confirmed; or the body is too large, or too many wait for their answers.
    pub fn inform(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
        content_type: &str,
        body: &[u8],
    ) -> Result<(), CommandError> {
        let core = &mut self.core;
        let result = info::inform(core, now, call.0, leg.0, content_type, body);
        self.checked(result)
    }

    /// Registers with a trunk; `RegisterEnded` follows. The key stays, with Call-ID and CSeq, until
    /// `forget_register`.
    ///
    /// # Errors
    /// A table is full.
    pub fn register(
        &mut self,
        now: Instant,
        register: Register,
    ) -> Result<RegisterKey, CommandError> {
        let result = register::register(&mut self.core, now, register).map(RegisterKey);
        self.checked(result)
    }

    /// Registers again; zero takes the registration back. `RegisterEnded` follows.
    ///
    /// # Errors
    /// No such registration, or its last REGISTER has no final response yet.
    pub fn refresh_register(
        &mut self,
        now: Instant,
        register: RegisterKey,
        expires: Duration,
    ) -> Result<(), CommandError> {
        let result = register::refresh(&mut self.core, now, register.0, expires);
        self.checked(result)
    }

    /// Frees the key of a registration. Nothing is sent, and nothing more is heard of it.
    ///
    /// # Errors
    /// No such registration.
    pub fn forget_register(&mut self, register: RegisterKey) -> Result<(), CommandError> {
        let result = register::forget(&mut self.core, register.0);
        self.checked(result)
    }

    /// Answers a REGISTER of the peer's.
    ///
    /// # Errors
    /// Nothing waits for an answer: it came more than 24 s ago, and got 504. Or the status is not final.
    pub fn answer_register(
        &mut self,
        now: Instant,
        request: RegisterRequestKey,
        status: StatusCode,
        headers: &[(HeaderName, Box<[u8]>)],
    ) -> Result<(), CommandError> {
        let result = registrar::answer(&mut self.core, now, request.0, status, headers);
        self.checked(result)
    }

    /// Refuses a REGISTER of the peer's by one datagram, and keeps nothing, whatever it brought to prove
    /// itself: the same one that comes again is offered again.
    ///
    /// # Errors
    /// Nothing waits for an answer, or the status is no failure.
    pub fn turn_away_register(
        &mut self,
        now: Instant,
        request: RegisterRequestKey,
        status: StatusCode,
        headers: &[(HeaderName, Box<[u8]>)],
    ) -> Result<(), CommandError> {
        let result = registrar::turn_away(&mut self.core, now, request.0, status, headers);
        self.checked(result)
    }

    /// Who is connected at the other end of this leg: Remote-Party-ID, P-Asserted-Identity, Privacy, as
    /// they shall stand in each 18x, 2xx, re-INVITE and UPDATE of ours from now on.
    ///
    /// # Errors
    /// The call has ended, or has no such leg.
    pub fn set_connected(
        &mut self,
        call: CallKey,
        leg: LegKey,
        headers: Vec<(HeaderName, Box<[u8]>)>,
    ) -> Result<(), CommandError> {
        let result = identity::set(&mut self.core, call.0, leg.0, headers);
        self.checked(result)
    }

    /// Says it at once, by an UPDATE without an offer; `RefreshBy::Invite`: the peer does not know
    /// UPDATE and will hear of it with the next re-INVITE.
    ///
    /// # Errors
    /// The leg is not confirmed, or a table is full.
    pub fn tell_connected(
        &mut self,
        now: Instant,
        call: CallKey,
        leg: LegKey,
    ) -> Result<RefreshBy, CommandError> {
        let result = identity::tell(&mut self.core, now, call.0, leg.0);
        self.checked(result)
    }

    /// Sends OPTIONS outside a dialog; `PingEnded` follows.
    ///
    /// # Errors
    /// A table is full.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "commands take what they are given"
    )]
    pub fn ping(&mut self, now: Instant, ping: Ping) -> Result<PingKey, CommandError> {
        let result = options::ping(&mut self.core, now, &ping).map(PingKey);
        self.checked(result)
    }

    /// While draining, INVITE and OPTIONS outside a dialog get 503.
    pub const fn set_draining(&mut self, draining: bool) {
        self.core.config.draining = draining;
    }

    /// Numbers of emergency services from now on, in place of `EndpointConfig::emergency_numbers`.
    pub fn set_emergency_numbers(&mut self, numbers: Vec<Box<str>>) {
        self.core.config.emergency_numbers = numbers;
    }

    /// In overload a new INVITE outside a dialog gets 503 without state, with a Retry-After from
    /// `retry_after` to two and a half times as much. Emergency calls and requests within dialogs go
    /// on, and OPTIONS is answered as ever.
    pub fn set_overloaded(&mut self, overloaded: bool, retry_after: Duration) {
        self.core.overloaded = overloaded.then_some(retry_after);
    }

    /// A caller that has acknowledged an answer not long ago: its address is its own.
    #[must_use]
    pub fn has_proven(&self, caller: CallerAddress) -> bool {
        self.core.shares.has_proven(caller)
    }

    /// Calls that nobody has answered and that have not ended, of a caller that is no trunk.
    #[must_use]
    pub fn unsettled_calls(&self, caller: CallerAddress) -> u32 {
        self.core.shares.held_by(caller).active
    }

    /// The same of its group.
    #[must_use]
    pub fn unsettled_calls_of_group(&self, group: u64) -> u32 {
        self.core.shares.held_in(group).active
    }

    /// Calls that have not ended.
    #[must_use]
    pub const fn active_calls(&self) -> u32 {
        self.core.active_calls
    }

    /// The call that the last input was about, as far as it came: whoever catches a panic ends it.
    #[must_use]
    pub fn touched(&self) -> Option<CallKey> {
        self.core.touched_call()
    }

    /// After a panic in the middle of an input or command was caught: the tables agree again, and hold
    /// nothing that nobody will end. The call that the turn was about, as far as that was known: it is
    /// to be ended by `refuse` or `hang_up`, which refuse where it has ended, and all others go on.
    pub fn recover(&mut self, now: Instant) -> Option<CallKey> {
        recovery::recover(&mut self.core, now)
    }

    /// The step of the turns to come that panics, counted from the next one; only tests set it, and only
    /// debug builds look.
    #[doc(hidden)]
    pub const fn set_fault(&mut self, steps: Option<u32>) {
        self.core.fault = steps;
    }

    /// True while that has not struck.
    #[doc(hidden)]
    #[must_use]
    pub const fn has_fault(&self) -> bool {
        self.core.fault.is_some()
    }

    /// True when no call, transaction, ping or output is left: what a restart would lose is nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.core.is_idle()
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// How full the tables are whose end is a refusal.
    #[must_use]
    pub fn tables(&self) -> Vec<TableUse> {
        self.core.tables()
    }

    /// Panics in debug builds where the tables contradict each other.
    pub fn check_invariants(&self) {
        self.core.check_invariants();
    }

    fn checked<T>(&mut self, result: Result<T, CommandError>) -> Result<T, CommandError> {
        self.core.in_turn = false;
        self.check_invariants();
        result
    }
}
