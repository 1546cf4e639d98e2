//! `CallControl`: the endpoint, the calls, and everything a decision about a call needs.
//!
//! Contract: *after every `handle_input`, drain [`CallControl::poll_output`] to `None` before the
//! next.* The loop here only distributes; what an event means stands in the module named after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use media::command::{Command, PairKey, Report};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sip::endpoint::Endpoint;
use sip::error::CommandError;
use sip::event::{CallKey, EndpointConfig, Event, PingKey, RegisterKey};
use sip::message::SendBuffer;

use super::alias::{AliasNumbers, BLOCK_COUNT};
use super::browser::event::GuestKey;
use super::browser::{BrowserConfig, TransportWord};
use super::callers::{Caller, OfferedLately, RingingGuests};
use super::challenges::Challenges;
use super::counters::{Counters, TrunkFigures};
use super::draining::Draining;
use super::event::{Input, Level, LogLine, Now, Output, StockedPair, Ticket};
use super::extension::as_trunk;
use super::former_peers::FormerPeers;
use super::ladder::{self, Ladders};
use super::live::LiveCalls;
use super::one_call::{Call, Ports, Side};
use super::orders::Orders;
use super::overload::Overload;
use super::snapshot::Snapshot;
use super::stock::Stock;
use super::stopping::Stopping;
use super::trunk_load::TrunkLoads;
use crate::cdr::record::Record;
use crate::fraud_guard::dial_plan::EMERGENCY;
use crate::fraud_guard::{Cleared, Guard, Rules, StoredCount};
use crate::registrar::bindings::Bindings;
use crate::registrar::proof::{Prover, find};
use crate::registration::Registrations;
use crate::sources::admission::{admit, admit_flow};
use crate::trunks::health::{Health, TargetKey};
use crate::trunks::model::Trunk;

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
    /// Port pairs that calls may hold for video: those that nothing was promised to.
    pub video_pairs_max: u32,
    /// What calls of browsers need; `None`: there are none.
    pub browser: Option<BrowserConfig>,
    /// Octets of the messages of all calls that are kept for whoever asks; 0: none is.
    pub ladder_octets: usize,
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
    pub(super) offered_lately: OfferedLately,
    pub(super) overload: Overload,
    pub(super) random: ChaCha8Rng,
    pub(super) calls: BTreeMap<CallKey, Box<Call>>,
    /// Calls that are not over.
    pub(super) live_calls: LiveCalls,
    pub(super) live: usize,
    pub(super) tickets: BTreeMap<Ticket, CallKey>,
    pub(super) ticket_last: u64,
    pub(super) pairs: BTreeMap<PairKey, CallKey>,
    pub(super) draining: Draining,
    /// Calls of guests, as long as they are up.
    pub(super) guests: BTreeMap<GuestKey, CallKey>,
    pub(super) ringing_guests: RingingGuests,
    pub(super) deadlines: BTreeSet<(Instant, CallKey)>,
    pub(super) pings: BTreeMap<PingKey, TargetKey>,
    pub(super) former_peers: FormerPeers,
    pub(super) bindings: Bindings,
    pub(super) prover: Prover,
    /// For INVITE, and for REGISTER: neither takes what the other may have.
    pub(super) challenges: Challenges,
    pub(super) register_challenges: Challenges,
    pub(super) registrations: Registrations,
    /// Our REGISTER at each trunk that wants one, by its id.
    pub(super) registers: BTreeMap<RegisterKey, String>,
    pub(super) counters: Counters,
    /// The call that the last input is about, as soon as that is known.
    pub(super) touched: Option<CallKey>,
    /// What the guard has cleared and the endpoint is dialling just now, with the ports of a party whose
    /// call has no key yet: a panic there gives them back.
    pub(super) in_hand: Option<(Cleared, Option<Ports>)>,
    /// The guest whose call is being made just now: a panic there is told.
    pub(super) guest_in_hand: Option<GuestKey>,
    /// A step of a call to come that panics, counted from the next one.
    #[cfg(test)]
    pub(crate) fault: Option<u32>,
    events: VecDeque<Event>,
    pub(super) outputs: VecDeque<Output>,
    /// Quieter lines are not made: nobody would read them.
    least_level: Level,
    pub(super) now: Option<Now>,
    pub(super) stop: Stopping,
    /// The calls that [`Input::Stop`] ended.
    pub(super) stopping: Vec<CallKey>,
}

/// What any trunk calls an emergency number, and what every country does.
fn emergency_numbers(trunks: &[Trunk]) -> Vec<Box<str>> {
    let plans = trunks.iter().filter(|trunk| trunk.enabled);
    let numbers = plans.flat_map(|trunk| trunk.dial_plan.emergency.iter().map(String::as_str));
    let all: BTreeSet<&str> = numbers.chain(EMERGENCY).collect();
    all.into_iter().map(Into::into).collect()
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
            ladders: Ladders::new(config.ladder_octets, config.seed),
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
            offered_lately: OfferedLately::default(),
            overload: Overload::default(),
            calls: BTreeMap::new(),
            live_calls: LiveCalls::default(),
            live: 0,
            tickets: BTreeMap::new(),
            ticket_last: 0,
            pairs: BTreeMap::new(),
            guests: BTreeMap::new(),
            ringing_guests: RingingGuests::default(),
            draining: Draining::default(),
            deadlines: BTreeSet::new(),
            pings: BTreeMap::new(),
            former_peers: FormerPeers::default(),
            bindings: Bindings::default(),
            prover,
            challenges: Challenges::default(),
            register_challenges: Challenges::default(),
            registrations: Registrations::default(),
            registers: BTreeMap::new(),
            counters: Counters::default(),
            touched: None,
            in_hand: None,
            guest_in_hand: None,
            #[cfg(test)]
            fault: None,
            events: VecDeque::new(),
            outputs: VecDeque::new(),
            least_level: Level::Debug,
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
                let caller = Caller::of(flow, known);
                self.watch_load(now);
                let origin = self.origin_of(now, caller);
                let (at, way) = (now.timestamp, ladder::Way::Received);
                self.ladders.note(at, flow.remote, way, bytes, None);
                let datagram = sip::event::Input::Datagram { flow, bytes };
                self.endpoint.handle_input_of(now.instant, origin, datagram);
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
            Input::Browser { guest, input } => self.handle_browser(now, guest, input),
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

    pub(super) fn store_counts(&mut self, counts: Vec<StoredCount>) {
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

    /// The step of the endpoint's turns to come that panics; tests only.
    #[doc(hidden)]
    pub const fn set_endpoint_fault(&mut self, steps: Option<u32>) {
        self.endpoint.set_fault(steps);
    }

    /// True while that has not struck.
    #[doc(hidden)]
    #[must_use]
    pub const fn has_endpoint_fault(&self) -> bool {
        self.endpoint.has_fault()
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
        let guests = live().filter(|call| call.guest().is_some()).count();
        assert_eq!(self.guests.len(), guests, "guests of live calls");
        let ringing = live().filter(|call| call.is_ringing_guest()).count();
        assert_eq!(
            u64::from(self.ringing_guests.count()),
            count(ringing),
            "guests that wait"
        );
        let a_legs = live().filter(|call| call.a_media.is_some()).count();
        let received = live().filter(|call| call.from_trunk.is_some()).count();
        assert_eq!(
            count(attempts + placed),
            u64::from(self.guard.active()),
            "cleared attempts"
        );
        assert_eq!(self.live_calls.len(), self.live, "calls that can be found");
        let sides = live().flat_map(|call| [Side::A, Side::B].map(|side| call.ports(side)));
        let videos = sides
            .flatten()
            .filter(|ports| ports.leg.video.is_some())
            .count();
        assert_eq!(
            self.pairs.len(),
            attempts + a_legs + videos,
            "pairs of live calls"
        );
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

    fn handle_report(&mut self, now: Now, report: &Report) {
        match *report {
            Report::Stocked { pair, rtp } => self.stock.add(StockedPair { pair, rtp }),
            Report::Latched { pair, .. } => self.note_callee_is_heard(pair),
            Report::BrowserStocked { pair, at } => {
                self.stock.add_browser(StockedPair { pair, rtp: at });
            }
            Report::TransportUp { pair, suite } => {
                self.handle_transport(now, pair, TransportWord::Up(suite));
            }
            Report::TransportSilent { pair } => {
                self.handle_transport(now, pair, TransportWord::Silent);
            }
            Report::TransportBack { pair } => self.handle_transport(now, pair, TransportWord::Back),
            Report::TransportFailed { pair, failure } => {
                self.handle_transport(now, pair, TransportWord::Failed(failure));
            }
            Report::Loaded {
                worker,
                packets_per_second,
            } => self.stock.loaded(worker, packets_per_second),
            Report::Silent { pair } => {
                let key = self.pairs.get(&pair).copied();
                // A picture that stands still is no reason to end a call.
                let is_audio = |key: &CallKey| {
                    let call = self.calls.get(key);
                    call.is_some_and(|call| !call.has_video_pair(pair))
                };
                if let Some(key) = key.filter(is_audio) {
                    self.touch(Some(key));
                    self.hang_up(now, key, "media_timeout");
                }
            }
            // Of a picture too: nobody would be told why it stands still.
            Report::Struck { pair } => {
                if let Some(key) = self.pairs.get(&pair).copied() {
                    self.touch(Some(key));
                    self.hang_up(now, key, "media_fault");
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
        self.endpoint
            .set_emergency_numbers(emergency_numbers(&snapshot.trunks));
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

    pub(super) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Lines that are quieter than this need not be made.
    pub const fn set_least_level(&mut self, least: Level) {
        self.least_level = least;
    }

    /// A line about a call, made only where it is written.
    pub(super) fn log_call(
        &mut self,
        (level, event): (Level, &'static str),
        call: &str,
        detail: impl FnOnce(&Snapshot) -> String,
    ) {
        if level >= self.least_level {
            let (call, detail) = (Some(call.to_owned()), detail(&self.snapshot));
            self.put(Output::Log(LogLine {
                level,
                event,
                call,
                detail,
            }));
        }
    }

    pub(super) fn put_record(&mut self, record: Record) {
        self.put(Output::Record(record));
    }

    pub(super) fn send_media(&mut self, command: Command) {
        let worker = match &command {
            Command::Connect { pair, .. }
            | Command::Update { pair, .. }
            | Command::Transport { pair, .. }
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

    /// A name for a call: 48 bits of the millisecond, 80 of randomness, in hexadecimal. Calls of one moment are
    /// neighbours in each index of their records, so that a batch of them touches few pages.
    pub(super) fn fresh_id(&mut self, now: Now) -> String {
        let (high, low) = (self.random.next_u64(), self.random.next_u64());
        let moment = u64::try_from(now.timestamp.as_millisecond()).unwrap_or(0);
        format!("{:012x}{:04x}{low:016x}", moment & MOMENT, high >> 48)
    }
}

/// The part of the seed that keys the guard's tables.
fn guard_seed(seed: &[u8; 32]) -> u64 {
    seed.first_chunk()
        .map_or(0, |part| u64::from_le_bytes(*part))
}

/// The part of a millisecond that a call's name takes: it lasts until the year 10889.
const MOMENT: u64 = (1 << 48) - 1;

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
