//! `CallControl`: the endpoint, the calls, and everything a decision about a call needs.
//!
//! Contract: *after every `handle_input`, drain [`CallControl::poll_output`] to `None` before the
//! next.* The loop here only distributes; what an event means stands in the module named after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::command::{Command, PairKey, Report};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sip::endpoint::Endpoint;
use sip::error::CommandError;
use sip::event::{CallKey, EndpointConfig, Event, PingKey, Refusal, RegisterKey};
use sip::message::{SendBuffer, StatusCode};

use super::alias::{AliasNumbers, BLOCK_COUNT};
use super::challenges::Challenges;
use super::counters::{Counters, TrunkFigures};
use super::draining::Draining;
use super::event::{Input, Level, LogLine, Now, Output, StockedPair, Ticket};
use super::extension::as_trunk;
use super::former_peers::FormerPeers;
use super::ladder::{self, Ladders};
use super::live::LiveCalls;
use super::one_call::{Call, Ending};
use super::orders::Orders;
use super::overload::Overload;
use super::snapshot::Snapshot;
use super::stock::Stock;
use super::trunk_load::TrunkLoads;
use crate::cdr::record::Record;
use crate::fraud_guard::window::Window;
use crate::fraud_guard::{Guard, Rules, StoredCount};
use crate::registrar::bindings::Bindings;
use crate::registrar::proof::{Prover, find};
use crate::registration::Registrations;
use crate::sources::admission::{admit, admit_flow};
use crate::trunks::health::{Health, TargetKey};
use crate::trunks::model::Trunk;

/// After [`Input::Stop`] we wait this long for peers to acknowledge; then we are done.
pub const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Counts of the guard in one record.
const COUNTS_OF_RECORD_MAX: usize = 500;

/// What call control is, set once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The endpoint's own.
    pub endpoint: EndpointConfig,
    /// Seed of the one generator behind call ids, session ids and weighted choices.
    pub seed: [u8; 32],
    /// Our SIP addresses for UDP, one a socket.
    pub sockets: Vec<SocketAddr>,
    /// Our SIP addresses for TCP, one a listener.
    pub listeners: Vec<SocketAddr>,
    /// Host written in From and identity headers; `None`: the address of the socket.
    pub advertised_host: Option<String>,
    /// Further names and addresses that are us in a Request-URI.
    pub own_hosts: Vec<String>,
    /// New calls a second; 0: no limit.
    pub calls_per_second_max: u32,
    /// The messages of each call are kept for whoever asks.
    pub ladder: bool,
}

/// Call control. See the module.
#[derive(Debug)]
pub struct CallControl {
    pub(super) config: Config,
    pub(super) endpoint: Endpoint,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) guard: Guard,
    pub(super) health: Health,
    pub(super) loads: TrunkLoads,
    pub(super) stock: Stock,
    pub(super) aliases: AliasNumbers,
    pub(super) orders: Orders,
    pub(super) ladders: Ladders,
    /// Keys that placed calls had, and what they have instead; until the endpoint lets go of them.
    pub(super) replaced: BTreeMap<CallKey, CallKey>,
    /// No new calls are taken.
    pub(super) is_draining: bool,
    pub(super) offered_lately: Window,
    pub(super) overload: Overload,
    pub(super) random: ChaCha8Rng,
    pub(super) calls: BTreeMap<CallKey, Call>,
    /// Calls that are not over.
    pub(super) live_calls: LiveCalls,
    pub(super) live: usize,
    pub(super) tickets: BTreeMap<Ticket, CallKey>,
    pub(super) ticket_last: u64,
    pub(super) pairs: BTreeMap<PairKey, CallKey>,
    pub(super) draining: Draining,
    pub(super) deadlines: BTreeSet<(Instant, CallKey)>,
    pub(super) pings: BTreeMap<PingKey, TargetKey>,
    pub(super) former_peers: FormerPeers,
    pub(super) bindings: Bindings,
    pub(super) prover: Prover,
    pub(super) challenges: Challenges,
    pub(super) registrations: Registrations,
    /// Our REGISTER at each trunk that wants one, by its id.
    pub(super) registers: BTreeMap<RegisterKey, String>,
    pub(super) counters: Counters,
    /// The call that the last input is about, as soon as that is known.
    pub(super) touched: Option<CallKey>,
    /// A step of a call to come that panics, counted from the next one.
    #[cfg(test)]
    pub(crate) fault: Option<u32>,
    events: VecDeque<Event>,
    outputs: VecDeque<Output>,
    now: Option<Now>,
    stop: Stopping,
    /// The calls that [`Input::Stop`] ended.
    stopping: Vec<CallKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    No,
    Until(Instant),
    Done,
}

impl CallControl {
    /// Call control without trunks, sources, ports or alias numbers: they come as inputs.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut random = ChaCha8Rng::from_seed(config.seed);
        let mut secret = [0; 32];
        random.fill_bytes(&mut secret);
        let prover = Prover::new(secret);
        Self {
            ladders: Ladders::new(config.ladder, config.seed),
            endpoint: Endpoint::new(config.endpoint.clone()),
            random,
            snapshot: Arc::default(),
            guard: Guard::seeded(Rules::default(), guard_seed(&config.seed)),
            health: Health::default(),
            loads: TrunkLoads::default(),
            stock: Stock::default(),
            aliases: AliasNumbers::default(),
            orders: Orders::default(),
            replaced: BTreeMap::new(),
            is_draining: false,
            offered_lately: Window::default(),
            overload: Overload::default(),
            calls: BTreeMap::new(),
            live_calls: LiveCalls::default(),
            live: 0,
            tickets: BTreeMap::new(),
            ticket_last: 0,
            pairs: BTreeMap::new(),
            draining: Draining::default(),
            deadlines: BTreeSet::new(),
            pings: BTreeMap::new(),
            former_peers: FormerPeers::default(),
            bindings: Bindings::default(),
            prover,
            challenges: Challenges::default(),
            registrations: Registrations::default(),
            registers: BTreeMap::new(),
            counters: Counters::default(),
            touched: None,
            #[cfg(test)]
            fault: None,
            events: VecDeque::new(),
            outputs: VecDeque::new(),
            now: None,
            stop: Stopping::No,
            stopping: Vec::new(),
            config,
        }
    }

    /// The world speaks.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.now = Some(now);
        self.touched = None;
        self.ladders.turn();
        match input {
            Input::Datagram { flow, bytes } => {
                let known = admit_flow(&self.snapshot.trunks, &self.snapshot.sources, flow);
                if known.is_none() && !self.former_peers.knows(flow.remote) {
                    self.counters.unknown_source += 1;
                    if flow.transport.is_reliable() {
                        self.put(Output::Close { flow });
                    }
                    return;
                }
                self.watch_load(now);
                let (at, way) = (now.timestamp, ladder::Way::Received);
                self.ladders.note(at, flow.remote, way, bytes, None);
                let datagram = sip::event::Input::Datagram { flow, bytes };
                self.endpoint.handle_input(now.instant, datagram);
            }
            Input::TransportFailed { flow } => {
                let failed = sip::event::Input::TransportFailed { flow };
                self.endpoint.handle_input(now.instant, failed);
                // Who registered by a connection is not where that led any more (RFC 5626 §4.2.2).
                if flow.transport.is_reliable() {
                    self.bindings.forget_flow(flow);
                }
            }
            Input::Report { report } => self.handle_report(now, &report),
            Input::ConnectRefused { pair } => {
                self.touch(self.pairs.get(&pair).copied());
                self.handle_connect_refused(now, pair);
            }
            Input::Resolved { ticket, outcome } => {
                self.touch(self.tickets.get(&ticket).copied());
                self.handle_resolved(now, ticket, outcome);
            }
            Input::AliasBlock { first, count } => self.aliases.add(first, count, now.instant),
            Input::GuardCounts(counts) => {
                self.guard.restore(counts, now.instant, now.timestamp);
            }
            Input::Phones(kept) => self.restore_phones(now, kept),
            Input::Snapshot(snapshot) => self.replace_snapshot(now, snapshot),
            Input::Command { ticket, command } => self.handle_command(now, ticket, command),
            Input::Drain => {
                self.is_draining = true;
                self.endpoint.set_draining(true);
            }
            Input::Stop => self.stop(now),
            Input::Expired => self.handle_expired(now),
        }
        self.ask_for_aliases(now);
        self.send_pings(now);
        self.send_registers(now);
        let counts = self.guard.take_changes(now.instant, now.timestamp);
        self.store_counts(counts);
        let phones = self.bindings.take_changes(now.instant, now.timestamp);
        self.store_phones(phones);
    }

    fn store_counts(&mut self, counts: Vec<StoredCount>) {
        let mut counts = counts.into_iter().peekable();
        while counts.peek().is_some() {
            let piece = counts.by_ref().take(COUNTS_OF_RECORD_MAX).collect();
            self.put_record(Record::GuardCounts(piece));
        }
    }

    /// What must be done next; `None`: everything is said. For `Output::Send` the message is in
    /// `buffer`.
    pub fn poll_output(&mut self, buffer: &mut SendBuffer) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            match self.endpoint.poll_output(buffer) {
                Some(sip::event::Output::Send { flow }) => {
                    self.note_sent(flow.remote, buffer.as_bytes());
                    return Some(Output::Send { flow });
                }
                // The endpoint is drained before the next command: events wait for their turn.
                Some(sip::event::Output::Event(event)) => self.events.push_back(event),
                None => match (self.events.pop_front(), self.now) {
                    (Some(event), Some(now)) => self.handle_event(now, event),
                    (_, _) => return self.poll_stopped(),
                },
            }
        }
    }

    /// A new dialog of ours is of the call that the last step was about.
    fn note_sent(&mut self, remote: SocketAddr, octets: &[u8]) {
        let Some(now) = self.now else { return };
        let call = self.touched.and_then(|key| self.calls.get(&key));
        let began = call.map(|call| call.age);
        let way = ladder::Way::Sent;
        self.ladders.note(now.timestamp, remote, way, octets, began);
    }

    /// When [`Input::Expired`] is due; `None`: nothing is pending.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        let stop = match self.stop {
            Stopping::Until(at) => Some(at),
            Stopping::No | Stopping::Done => None,
        };
        [
            self.endpoint.poll_deadline(),
            self.deadlines.first().map(|(at, _)| *at),
            self.draining.poll_deadline(),
            self.health.poll_deadline(),
            self.registrations.poll_deadline(),
            self.bindings.poll_deadline(),
            self.aliases.poll_deadline(),
            self.guard.poll_deadline(),
            stop,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Totals since start, and what is up now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.clone();
        counters.calls_active = count(self.live);
        counters.stock_available = count(self.stock.available());
        counters.stock_taken = count(self.stock.taken());
        counters.ladder_octets = count(self.ladders.octets());
        counters.ladder_messages_dropped = self.ladders.dropped;
        counters.endpoint = self.endpoint.counters().clone();
        counters.tables = self.endpoint.tables();
        counters.guard = self.guard.counters().by_reason();
        let enabled = self.snapshot.trunks.iter().filter(|trunk| trunk.enabled);
        counters.trunks = enabled.map(|trunk| self.trunk_figures(trunk)).collect();
        counters
    }

    fn trunk_figures(&self, trunk: &Trunk) -> TrunkFigures {
        let up = trunk
            .targets
            .iter()
            .filter(|target| self.health.is_up(&trunk.id, target.address));
        let (sent, received) = self.loads.of(&trunk.id);
        TrunkFigures {
            id: trunk.id.clone(),
            label: trunk.label.clone(),
            calls: sent + received,
            calls_max: trunk.total_cap(),
            targets: u32::try_from(trunk.targets.len()).unwrap_or(u32::MAX),
            targets_up: u32::try_from(up.count()).unwrap_or(u32::MAX),
        }
    }

    /// The SIP core's own totals.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The guard's totals.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Relations between the tables that must hold between any two inputs.
    ///
    /// # Panics
    /// Where one does not.
    pub fn check_invariants(&self) {
        let live = || self.calls.values().filter(|call| !call.over);
        let attempts = live().filter(|call| call.attempt.is_some()).count();
        let placed = live().filter(|call| call.placed_leg().is_some()).count();
        let ordered = live().filter(|call| call.placed().is_some()).count();
        assert_eq!(self.orders.active(), ordered, "calls of tokens");
        self.ladders.check_invariants();
        let a_legs = live().filter(|call| call.a_media.is_some()).count();
        let received = live().filter(|call| call.from_trunk.is_some()).count();
        assert_eq!(
            count(attempts + placed),
            u64::from(self.guard.active()),
            "cleared attempts"
        );
        assert_eq!(self.live_calls.len(), self.live, "calls that can be found");
        assert_eq!(self.pairs.len(), attempts + a_legs, "pairs of live calls");
        assert_eq!(
            self.stock.taken(),
            self.pairs.len() + self.draining.len(),
            "pairs taken"
        );
        assert_eq!(
            count(attempts + placed + received),
            u64::from(self.loads.total()),
            "trunk loads"
        );
        for (key, call) in &self.calls {
            let over = call.over;
            assert!(
                !over || call.attempt.is_none() && call.a_media.is_none(),
                "over: {key:?}"
            );
        }
        for key in self.former_peers.calls() {
            assert!(
                self.calls.contains_key(key),
                "a peer of a call that is gone"
            );
        }
        for key in self.pairs.values().chain(self.tickets.values()) {
            assert!(
                self.calls.contains_key(key),
                "a table names a call that is gone"
            );
        }
    }

    fn handle_event(&mut self, now: Now, event: Event) {
        self.touch(event.call());
        match event {
            Event::CallOffered {
                call,
                a_leg,
                offered,
            } => {
                self.handle_offered(now, call, a_leg, offered);
            }
            Event::Progress {
                call,
                leg,
                status,
                answer,
                connected,
                ..
            } => {
                self.note_peer(call, leg, &connected);
                self.handle_progress(now, call, leg, status, answer.as_deref());
            }
            Event::Answered {
                call,
                leg,
                answered,
            } => {
                self.note_peer(call, leg, &answered.connected);
                self.handle_answered(now, call, leg, &answered);
            }
            Event::AttemptFailed {
                call,
                leg,
                failure,
                reason,
            } => {
                self.handle_attempt_failed(now, call, leg, failure, reason);
            }
            Event::LateAnswer { call, leg } => self.handle_late_answer(now, call, leg),
            Event::Confirmed { call: _ } => {}
            Event::Reoffered {
                call,
                leg,
                offer,
                connected,
            } => {
                self.handle_connected_changed(now, call, leg, &connected);
                self.handle_reoffered(now, call, leg, offer);
            }
            Event::ReofferCancelled { call, leg } => self.handle_reoffer_cancelled(call, leg),
            Event::ReofferCompleted { call, leg, answer } => {
                let answer = answer.as_deref().map_err(|fault| fault.as_str());
                self.handle_reoffer_completed(now, call, leg, answer);
            }
            Event::ConnectedChanged {
                call,
                leg,
                connected,
            } => self.handle_connected_changed(now, call, leg, &connected),
            Event::ReofferAnswered { call, leg, answer } => {
                self.handle_reoffer_answered(now, call, leg, answer.as_deref());
            }
            Event::ReofferRefused { call, leg, status } => {
                self.handle_reoffer_refused(now, call, leg, status);
            }
            Event::Ended {
                call,
                by,
                cause,
                reason,
            } => self.handle_ended(now, call, by, cause, reason),
            Event::CallGone { call } => self.handle_gone(now, call),
            Event::PingEnded { ping, status } => self.handle_ping_ended(now, ping, status),
            Event::InfoReceived {
                call,
                leg,
                content_type,
                body,
            } => self.handle_informed(now, call, leg, &content_type, &body),
            Event::RegisterEnded { register, outcome } => {
                self.handle_register_ended(now, register, outcome);
            }
            Event::RegisterOffered { request, offered } => {
                self.handle_register_offered(now, request, &offered);
            }
            Event::Dropped { flow: _, reason } => self.counters.drop_message(reason.as_str()),
        }
    }

    fn handle_report(&mut self, now: Now, report: &Report) {
        match *report {
            Report::Stocked { pair, rtp } => self.stock.add(StockedPair { pair, rtp }),
            Report::Latched { pair: _, source: _ } => {}
            Report::Silent { pair } => {
                if let Some(key) = self.pairs.get(&pair).copied() {
                    self.touch(Some(key));
                    self.hang_up(now, key, "media_timeout");
                }
            }
            Report::Disconnected { pair, counters } => {
                if let Some((bound, records)) = self.draining.disconnected(pair, &counters) {
                    self.stock.forget(pair, bound);
                    for record in records.into_iter().flatten() {
                        self.put_record(record);
                    }
                }
                self.send_media(Command::Acknowledge { pair });
            }
        }
    }

    fn handle_expired(&mut self, now: Now) {
        self.watch_lateness(now);
        self.endpoint
            .handle_input(now.instant, sip::event::Input::Expired);
        self.bindings.expire(now.instant);
        while let Some((at, key)) = self.deadlines.first().copied()
            && at <= now.instant
        {
            self.deadlines.remove(&(at, key));
            self.touch(Some(key));
            self.handle_due(now, key, at);
        }
        while let Some(record) = self.draining.poll_overdue(now.instant) {
            self.put(Output::Record(record));
        }
    }

    /// One deadline of a call: what it was for is known by the call.
    fn handle_due(&mut self, now: Now, key: CallKey, at: Instant) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if let Some(untold) = call.untold.filter(|untold| untold.at == at) {
            self.handle_untold(now, key, untold);
        }
        let Some(call) = self.calls.get(&key).filter(|call| call.ends_at == Some(at)) else {
            return;
        };
        if call.ticket.is_some() {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.refuse(now, key, status, "store_silent", &Refusal::default());
        }
        let party = call.local_party.and_then(super::local_party::name);
        let cause = if party.is_some() {
            "local_party_over"
        } else {
            "guard_duration_max"
        };
        self.hang_up(now, key, cause);
    }

    fn replace_snapshot(&mut self, now: Now, snapshot: Arc<Snapshot>) {
        let mut snapshot = Arc::unwrap_or_clone(snapshot);
        let extensions = snapshot.extensions.iter().map(as_trunk);
        snapshot.extension_trunks = extensions.map(|trunk| (trunk.id.clone(), trunk)).collect();
        let snapshot = Arc::new(snapshot);
        self.guard.replace_rules(snapshot.guard.clone());
        self.health.replace_trunks(&snapshot.trunks, now.instant);
        self.registrations
            .replace_trunks(&snapshot.trunks, now.instant);
        let known = |name: &str| find(&snapshot.extensions, name).is_some();
        self.bindings.retain_extensions(known);
        self.loads.retain(&snapshot.trunks);
        self.snapshot = snapshot;
        self.keep_former_peers();
        self.keep_registers();
    }

    /// Calls that are up keep what they were given, and that is first of all to be heard.
    fn keep_former_peers(&mut self) {
        self.former_peers.clear();
        for (key, call) in &self.calls {
            let target = call.attempt.as_ref().map(|attempt| attempt.target);
            for remote in [call.a_address(), target].into_iter().flatten() {
                if admit(&self.snapshot.trunks, &self.snapshot.sources, remote).is_none() {
                    self.former_peers.keep(*key, remote);
                }
            }
        }
    }

    fn ask_for_aliases(&mut self, now: Now) {
        if self.aliases.poll_reservation(now.instant) {
            self.put(Output::ReserveAliases { count: BLOCK_COUNT });
        }
    }

    /// Ends every call: BYE where it is up, 503 where it is not.
    fn stop(&mut self, now: Now) {
        if self.stop != Stopping::No {
            return;
        }
        self.endpoint.set_draining(true);
        self.stop = Stopping::Until(now.instant + STOP_WITHIN);
        let live = self
            .calls
            .iter()
            .filter(|(_, call)| !call.over)
            .map(|(key, _)| *key);
        self.stopping = live.collect();
        for key in self.stopping.clone() {
            self.hang_up(now, key, "node_stopped");
        }
    }

    pub(super) const fn is_stopping(&self) -> bool {
        !matches!(self.stop, Stopping::No)
    }

    /// Said once, when the last call is gone or peers took too long.
    fn poll_stopped(&mut self) -> Option<Output> {
        let Stopping::Until(at) = self.stop else {
            return None;
        };
        let late = self.now.is_some_and(|now| now.instant >= at);
        // Calls that had ended before only wait for retransmissions.
        let gone = !self.stopping.iter().any(|key| self.calls.contains_key(key));
        let quiet = gone && self.draining.is_silent();
        if !late && !quiet {
            return None;
        }
        self.stop = Stopping::Done;
        if let Some(now) = self.now {
            let counts = self.guard.flush_changes(now.instant, now.timestamp);
            self.store_counts(counts);
            let phones = self.bindings.flush_changes(now.instant, now.timestamp);
            self.store_phones(phones);
        }
        self.put(Output::Stopped);
        self.outputs.pop_front()
    }

    /// We end the call: BYE where it is up, a final failure where it is not.
    pub(super) fn hang_up(&mut self, now: Now, key: CallKey, cause: &'static str) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.over || call.ending.is_some() {
            return;
        }
        if call.answered_at.is_none() {
            // Who ordered a call and takes it back has cancelled it.
            let status = match call.placed() {
                Some(_) => StatusCode::REQUEST_TERMINATED,
                None => StatusCode::SERVICE_UNAVAILABLE,
            };
            return self.refuse(now, key, status, cause, &Refusal::default());
        }
        call.ending = Some(Ending {
            released_by: "gateway",
            cause,
            status: 200,
        });
        self.counters.refuse(cause);
        let told = self.endpoint.hang_up(now.instant, key, &Refusal::default());
        self.check(told);
    }

    /// We refuse the call: a final failure towards the caller.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        key: CallKey,
        status: StatusCode,
        cause: &'static str,
        refusal: &Refusal,
    ) {
        self.counters.refuse(cause);
        let ending = Ending {
            released_by: "gateway",
            cause,
            status: status.code(),
        };
        self.refuse_as(now, key, status, ending, refusal);
    }

    pub(super) fn refuse_as(
        &mut self,
        now: Now,
        key: CallKey,
        status: StatusCode,
        ending: Ending,
        refusal: &Refusal,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.ending = Some(ending);
        let line = LogLine {
            level: Level::Note,
            event: "call_refused",
            call: Some(call.id.clone()),
            detail: format!("{} {}", status.code(), ending.cause),
        };
        self.put(Output::Log(line));
        let told = match self.calls.get(&key).and_then(Call::placed) {
            // Nobody waits for a final response of ours.
            Some(_) => self.endpoint.hang_up(now.instant, key, refusal),
            None => self.endpoint.refuse(now.instant, key, status, refusal),
        };
        self.check(told);
    }

    pub(super) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn put_record(&mut self, record: Record) {
        self.put(Output::Record(record));
    }

    pub(super) fn send_media(&mut self, command: Command) {
        let worker = match &command {
            Command::Connect { pair, .. }
            | Command::Update { pair, .. }
            | Command::Disconnect { pair }
            | Command::Acknowledge { pair } => pair.worker,
        };
        self.put(Output::Media { worker, command });
    }

    /// A command that the endpoint declines comes too late: the event that says why is on its way.
    pub(super) fn check(&mut self, told: Result<(), CommandError>) {
        if told.is_err() {
            self.counters.commands_declined += 1;
        }
    }

    pub(super) fn random_id(&mut self) -> String {
        let (high, low) = (self.random.next_u64(), self.random.next_u64());
        format!("{high:016x}{low:016x}")
    }
}

/// The part of the seed that keys the guard's tables.
fn guard_seed(seed: &[u8; 32]) -> u64 {
    seed.first_chunk()
        .map_or(0, |part| u64::from_le_bytes(*part))
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
