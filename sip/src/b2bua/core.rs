//! What every file of this folder shares: the tables, the queues, and who hears of what.
//!
//! Owns storage and dispatch. It decides nothing about calls.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::FixedState;

use super::call::{Call, finish_leg};
use super::leg::Leg;
use super::options::PendingPing;
use super::overload::{self, share::Shares};
use super::register::Registration;
use super::registrar::RegisterRequest;
use super::{
    acknowledge, attempt, failed_flow, options, prack, register, registrar, reoffer, session_timer,
    uac, uas,
};
use crate::counters::{Counters, TableUse};
use crate::deadline::DeadlineQueue;
use crate::error::{CommandError, DropReason, ProtocolError};
use crate::event::{CallKey, EndpointConfig, Event, Flow, Input, Origin, Output, Transport};
use crate::identifier::{Identifier, Identifiers};
use crate::limits;
use crate::message::{self, SendBuffer, StartLine};
use crate::table::{Full, Key, KeyedMap, Table};
use crate::transaction::layer::{ClientIdentity, ClientKind, Packet, Transactions};
use crate::transport::no_tcp::NoTcp;
use crate::transport::via;

/// The state of an endpoint.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: EndpointConfig,
    pub(crate) counters: Counters,
    /// Calls that have not ended.
    pub(crate) active_calls: u32,
    pub(super) identifiers: Identifiers,
    pub(super) transactions: Transactions<User>,
    pub(super) calls: Table<Call>,
    pub(super) legs: Table<Leg>,
    /// Our tag of a dialog to its leg.
    pub(super) tags: KeyedMap<Identifier, Key>,
    pub(super) pings: Table<PendingPing>,
    pub(super) registrations: Table<Registration>,
    pub(super) register_requests: Table<RegisterRequest>,
    pub(super) deadlines: DeadlineQueue<Owner>,
    pub(super) scratch: SendBuffer,
    /// Told that we are overloaded: how long a new call shall wait.
    pub(crate) overloaded: Option<Duration>,
    /// Who is behind the input that is handled.
    pub(crate) origin: Origin,
    /// Who holds how much by calls that nobody has answered.
    pub(crate) shares: Shares,
    /// Value of Allow.
    pub(super) allow: Box<str>,
    /// Peers that took no connection lately.
    pub(super) no_tcp: NoTcp,
    /// The leg that the last input is about, as soon as that is known.
    pub(super) touched: Option<Key>,
    /// The call of that leg, where the leg has gone since.
    pub(super) touched_last: Option<Key>,
    /// An input or command is being handled.
    pub(crate) in_turn: bool,
    /// A step of the turns to come that panics, counted from the next one; debug builds only.
    pub(crate) fault: Option<u32>,
    outputs: VecDeque<Queued>,
    /// Makes the tags of refusals that keep no state.
    stateless_tags: FixedState,
}

/// Whose deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Leg(Key),
    Ping(Key),
    Register(Key),
    RegisterRequest(Key),
}

/// Who uses a transaction (RFC 3261 §17, "TU").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// Client: an attempt's INVITE.
    Invite(Key),
    /// Client: our re-INVITE.
    Reinvite(Key),
    /// Client: our UPDATE.
    Update(Key),
    /// Client: our PRACK.
    Prack(Key),
    /// Client: our UPDATE that refreshes the session.
    Refresh(Key),
    /// Client: our INFO.
    Info(Key),
    /// Client: the BYE that ends this leg.
    Bye(Key),
    /// Client: a CANCEL, or the BYE of a fork that answered too late. Nobody waits for the answer,
    /// the leg only lives as long.
    Errand(Key),
    /// Client: OPTIONS.
    Ping(Key),
    /// Client: REGISTER.
    Register(Key),
    /// Server: an INVITE or re-INVITE.
    Leg(Key),
    /// Server: answered at once.
    Nobody,
}

impl User {
    pub(super) const fn leg(self) -> Option<Key> {
        match self {
            Self::Invite(leg)
            | Self::Reinvite(leg)
            | Self::Update(leg)
            | Self::Prack(leg)
            | Self::Refresh(leg)
            | Self::Info(leg)
            | Self::Bye(leg)
            | Self::Errand(leg)
            | Self::Leg(leg) => Some(leg),
            Self::Ping(_) | Self::Register(_) | Self::Nobody => None,
        }
    }
}

#[derive(Debug)]
enum Queued {
    Send { flow: Flow, packet: Packet },
    Event(Event),
}

impl Core {
    pub(crate) fn new(mut config: EndpointConfig) -> Self {
        config.calls_max = config.calls_max.clamp(1, limits::CALLS_MAX);
        let (calls_max, rate) = (config.calls_max, config.calls_per_second);
        let mut identifiers = Identifiers::new(config.number, config.seed);
        let allow = config
            .allow
            .iter()
            .map(message::Method::as_str)
            .collect::<Vec<_>>();
        Self {
            allow: allow.join(", ").into(),
            no_tcp: NoTcp::default(),
            transactions: Transactions::new(
                limits::transactions_max(calls_max, rate),
                config.timers,
                &mut identifiers,
            ),
            calls: Table::new(limits::call_entries_max(calls_max, rate)),
            legs: Table::new(limits::legs_max(calls_max, rate)),
            tags: KeyedMap::new(identifiers.map_seed()),
            pings: Table::new(limits::PINGS_MAX),
            registrations: Table::new(limits::REGISTERS_MAX),
            register_requests: Table::new(limits::REGISTER_REQUESTS_MAX),
            deadlines: DeadlineQueue::default(),
            scratch: SendBuffer::new(),
            overloaded: None,
            origin: Origin::default(),
            shares: Shares::new(identifiers.map_seed()),
            touched: None,
            touched_last: None,
            in_turn: false,
            fault: None,
            outputs: VecDeque::new(),
            stateless_tags: FixedState::with_seed(identifiers.map_seed()),
            identifiers,
            active_calls: 0,
            counters: Counters::default(),
            config,
        }
    }

    pub(crate) fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        debug_assert!(
            self.outputs.is_empty(),
            "the outputs of the last input were drained"
        );
        self.touched = None;
        self.touched_last = None;
        self.in_turn = true;
        match input {
            Input::Datagram { flow, bytes } => self.handle_datagram(now, flow, bytes),
            Input::TransportFailed { flow } => failed_flow::handle(self, now, flow),
            Input::Expired => self.handle_expired(now),
        }
        self.in_turn = false;
    }

    fn handle_datagram(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        match message::parse(bytes) {
            Ok(message) => match message.start_line() {
                StartLine::Request { .. } => {
                    self.counters.requests_received += 1;
                    uas::handle_request(self, now, flow, &message);
                }
                StartLine::Response { .. } => {
                    self.counters.responses_received += 1;
                    uac::handle_response(self, now, flow, &message);
                }
            },
            Err(error) => self.discard(flow, DropReason::Unreadable(error)),
        }
    }

    /// Each turn of the loop ends a timer or moves it past `now`, so the loop ends.
    fn handle_expired(&mut self, now: Instant) {
        loop {
            if let Some(key) = self.transactions.pop_due(now) {
                let user = self.transactions.user(key);
                self.touched = user.and_then(User::leg);
                failed_flow::choose_path(self, key);
                let expiry = self.transactions.handle_deadline(now, key);
                if let Some((flow, packet)) = expiry.send {
                    self.repeat(flow, packet);
                }
                if let (true, Some(user)) = (expiry.timed_out, user) {
                    uac::handle_timeout(self, now, user, key);
                }
                if let Some(user) = expiry.gone {
                    self.release_transaction(user);
                }
                continue;
            }
            let due = self.deadlines.pop_due(now);
            if due.is_some() {
                // What is due may be of no leg.
                self.touched = None;
            }
            match due {
                Some(Owner::Leg(key)) => {
                    self.touched = Some(key);
                    if let Some(leg) = self.legs.get_mut(key) {
                        leg.token = None;
                    }
                    attempt::handle_deadline(self, now, key);
                    prack::handle_deadline(self, now, key);
                    acknowledge::handle_deadline(self, now, key);
                    reoffer::handle_deadline(self, now, key);
                    session_timer::handle_deadline(self, now, key);
                    self.arm(key);
                }
                Some(Owner::Ping(key)) => options::handle_deadline(self, key),
                Some(Owner::Register(key)) => register::handle_deadline(self, key),
                Some(Owner::RegisterRequest(key)) => registrar::handle_deadline(self, now, key),
                None => return,
            }
        }
    }

    pub(crate) fn poll_output(&mut self, buffer: &mut SendBuffer) -> Option<Output> {
        match self.outputs.pop_front()? {
            Queued::Send { flow, packet } => {
                buffer.clear();
                buffer.push(&packet);
                Some(Output::Send { flow })
            }
            Queued::Event(event) => Some(Output::Event(event)),
        }
    }

    pub(crate) fn poll_deadline(&self) -> Option<Instant> {
        match (self.transactions.next_deadline(), self.deadlines.next()) {
            (Some(transaction), Some(owner)) => Some(transaction.min(owner)),
            (transaction, owner) => transaction.or(owner),
        }
    }

    pub(super) fn send(&mut self, flow: Flow, packet: Packet) {
        debug_assert!(
            memchr::memmem::find(&packet, b"\r\n\r\n").is_some(),
            "a message has an end of its headers"
        );
        debug_assert!(flow.remote.port() != 0, "port 0 is nowhere");
        self.step();
        self.counters.messages_sent += 1;
        self.outputs.push_back(Queued::Send { flow, packet });
        self.step();
    }

    /// Sends this unless it waits to be sent.
    pub(super) fn send_unless_queued(&mut self, flow: Flow, packet: Packet) {
        let is_it = |queued: &Queued| match queued {
            Queued::Send { packet: waits, .. } => Arc::ptr_eq(waits, &packet),
            Queued::Event(_) => false,
        };
        if !self.outputs.iter().any(is_it) {
            self.repeat(flow, packet);
        }
    }

    /// Sends what was sent before.
    pub(super) fn repeat(&mut self, flow: Flow, packet: Packet) {
        self.counters.messages_repeated += 1;
        self.send(flow, packet);
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.step();
        self.outputs.push_back(Queued::Event(event));
    }

    pub(crate) fn tables(&self) -> Vec<TableUse> {
        let table = |name, used, max| TableUse { name, used, max };
        vec![
            table("calls_active", self.active_calls, self.config.calls_max),
            table("calls", self.calls.count(), self.calls.capacity()),
            table("legs", self.legs.count(), self.legs.capacity()),
            table(
                "transactions",
                self.transactions.count(),
                self.transactions.capacity(),
            ),
            table(
                "callers",
                u32::try_from(self.shares.callers()).unwrap_or(u32::MAX),
                self.calls.capacity(),
            ),
            table("pings", self.pings.count(), self.pings.capacity()),
        ]
    }

    /// Counts and reports a message that no call sees.
    pub(super) fn discard(&mut self, flow: Flow, reason: DropReason) {
        self.counters.count_dropped(reason);
        self.emit(Event::Dropped { flow, reason });
    }

    pub(super) fn discard_for(&mut self, flow: Flow, error: ProtocolError) {
        self.discard(flow, DropReason::Protocol(error));
    }

    /// What the scratch buffer holds, to be sent and kept.
    pub(super) fn packet(&self) -> Packet {
        Arc::from(self.scratch.as_bytes())
    }

    /// Sends a request of ours by a new client transaction; a long one by TCP.
    pub(super) fn start_client(
        &mut self,
        now: Instant,
        kind: ClientKind,
        identity: ClientIdentity,
        (flow, packet): (Flow, Packet),
        user: User,
    ) -> Result<Key, Full> {
        if !overload::has_room_for(self, user) {
            return Err(Full);
        }
        let by_tcp = self.by_tcp(now, kind, flow, &packet);
        let may_fall_back = by_tcp.is_some();
        let (flow, packet) = by_tcp.unwrap_or((flow, packet));
        let copy = Arc::clone(&packet);
        let key = self
            .transactions
            .start_client(now, kind, identity, flow, copy, user)?;
        if may_fall_back {
            self.transactions.allow_fall_back(key);
            self.counters.sent_by_tcp_for_size += 1;
        }
        self.step();
        self.hold(user);
        self.send(flow, packet);
        Ok(key)
    }

    /// Keeps a request of the peer's that makes no call.
    pub(super) fn start_server(
        &mut self,
        request: &uas::Request<'_>,
        merges: bool,
        user: User,
    ) -> Result<Key, Full> {
        if !overload::has_room_for(self, user) {
            return Err(Full);
        }
        let flow = request.response_flow();
        self.transactions
            .start_server(&request.identity, flow, merges, user)
    }

    /// RFC 3261 §18.1.1: a request that a datagram might not carry goes by TCP. CANCEL goes the way of
    /// its INVITE. A peer that did not take a connection a moment ago is not asked for one.
    fn by_tcp(
        &self,
        now: Instant,
        kind: ClientKind,
        flow: Flow,
        packet: &Packet,
    ) -> Option<(Flow, Packet)> {
        let is_long = packet.len() > limits::DATAGRAM_REQUEST_SIZE_MAX;
        let may_change = !flow.transport.is_reliable() && kind != ClientKind::Cancel;
        if !is_long || !may_change || !self.config.tcp || self.no_tcp.is_of(now, flow.remote) {
            return None;
        }
        let transport = Transport::Tcp;
        let packet = via::with_transport(packet, transport)?;
        Some((Flow { transport, ..flow }, packet.into()))
    }

    /// The same for a request that must leave even where the table is full: then it is sent once.
    /// `false`: nobody will hear of its end.
    pub(super) fn send_anyway(
        &mut self,
        now: Instant,
        kind: ClientKind,
        identity: ClientIdentity,
        (flow, packet): (Flow, Packet),
        user: User,
    ) -> bool {
        let sent = (flow, Arc::clone(&packet));
        let is_started = self.start_client(now, kind, identity, sent, user).is_ok();
        if !is_started {
            self.counters.sent_without_transaction += 1;
            self.send(flow, packet);
        }
        is_started
    }

    /// The leg of this user lives as long as the transaction.
    pub(super) fn hold(&mut self, user: User) {
        if let Some(leg) = user.leg().and_then(|key| self.legs.get_mut(key)) {
            debug_assert!(!leg.is_finished(), "what is finished begins nothing");
            leg.transactions += 1;
        }
    }

    /// A transaction of this user is gone.
    pub(super) fn release_transaction(&mut self, user: User) {
        self.step();
        let Some(key) = user.leg() else { return };
        if let Some(leg) = self.legs.get_mut(key) {
            debug_assert!(leg.transactions > 0, "every transaction was counted");
            leg.transactions = leg.transactions.saturating_sub(1);
        }
        finish_leg(self, key);
    }

    /// Sets the one deadline of a leg to what its state says.
    pub(super) fn arm(&mut self, key: Key) {
        if let Some(leg) = self.legs.get_mut(key) {
            let at = leg.deadline();
            self.deadlines.set(&mut leg.token, Owner::Leg(key), at);
        }
    }

    /// Changes a leg and sets its deadline.
    pub(super) fn change<R>(&mut self, key: Key, change: impl FnOnce(&mut Leg) -> R) -> Option<R> {
        self.step();
        let result = self.legs.get_mut(key).map(change);
        self.step();
        self.arm(key);
        result
    }

    /// The call of the last input, if it was about one.
    pub(crate) fn touched_call(&self) -> Option<CallKey> {
        let leg = self.touched.and_then(|key| self.legs.get(key));
        leg.map(|leg| leg.call).or(self.touched_last).map(CallKey)
    }

    /// One step of a turn: where a test wants it, it is the last one.
    pub(super) fn step(&mut self) {
        if cfg!(debug_assertions)
            && let Some(steps) = self.fault.take()
        {
            assert!(steps > 0, "injected");
            self.fault = Some(steps - 1);
        }
    }

    /// Counts anew what is counted: transactions of legs, calls that have not ended, shares of callers.
    pub(super) fn recount(&mut self) {
        for (_, leg) in self.legs.iter_mut() {
            leg.transactions = 0;
        }
        for (_, user, _) in self.transactions.phases() {
            if let Some(leg) = user.leg().and_then(|key| self.legs.get_mut(key)) {
                leg.transactions += 1;
            }
        }
        let active = self.calls.iter().filter(|(_, call)| !call.ended).count();
        self.active_calls = u32::try_from(active).unwrap_or(u32::MAX);
        let calls = self.calls.iter();
        let claims = calls.filter_map(|(_, call)| Some((call.claim?, call.ended)));
        self.shares.recount(claims);
    }

    /// A call that has not ended.
    pub(super) fn living_call(&self, key: Key) -> Result<&Call, CommandError> {
        match self.calls.get(key) {
            Some(call) if !call.ended => Ok(call),
            Some(_) | None => Err(CommandError::NoSuchCall),
        }
    }

    /// The Call-ID of a leg's dialog.
    pub(crate) fn call_id(&self, leg: Key) -> Option<&[u8]> {
        Some(&self.legs.get(leg)?.dialog.call_id)
    }

    /// A leg of a call that has not ended.
    pub(super) fn living_leg(&self, call: Key, key: Key) -> Result<&Leg, CommandError> {
        self.living_call(call)?;
        self.legs
            .get(key)
            .filter(|leg| leg.call == call)
            .ok_or(CommandError::NoSuchLeg)
    }

    /// The other confirmed or pending side: the answered b-leg of an a-leg, and the reverse.
    pub(super) fn opposite(&self, key: Key) -> Option<Key> {
        let call = self.calls.get(self.legs.get(key)?.call)?;
        if call.a_leg == key {
            call.answered
        } else {
            Some(call.a_leg)
        }
    }

    /// The tag of a refusal without state: the same for the same request (RFC 3261 §8.2.7).
    pub(super) fn stateless_tag(
        &self,
        call_id: &[u8],
        from_tag: &[u8],
        branch: &[u8],
    ) -> Identifier {
        self.identifiers
            .tag_of(self.hash_of([call_id, from_tag, branch]))
    }

    /// A number that is the same for the same request.
    pub(super) fn stateless_hash(&self, request: &uas::Request<'_>) -> u64 {
        let identity = &request.identity;
        self.hash_of([identity.call_id, identity.from_tag, identity.branch])
    }

    fn hash_of(&self, parts: [&[u8]; 3]) -> u64 {
        let mut hasher = self.stateless_tags.build_hasher();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }

    /// True when nothing at all is pending.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.legs.is_empty()
            && self.pings.is_empty()
            && self.register_requests.is_empty()
            && self.transactions.count() == 0
            && self.tags.is_empty()
            && self.deadlines.is_empty()
            && self.outputs.is_empty()
    }
}
