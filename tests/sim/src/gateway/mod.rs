//! The product inside the world: call control and a media worker, wired as the shell wires them.
//!
//! Owns the wiring and nothing else. Commands reach the worker and reports call control in the same
//! moment; what either sends leaves here, where the checkers look.

mod relay;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Once};

use jiff::{Timestamp, ToSpan};
use media::command::Command;
use sip::event::{EndpointConfig, Flow, Transport};
use sip::message::{Method, SendBuffer};
use sluice::call::browser::BrowserConfig;
use sluice::call::browser::event::{BrowserInput, BrowserOutput, GuestKey};
use sluice::call::command::{self as call, CommandOutcome, CommandRefusal};
use sluice::call::control::{CallControl, Config};
use sluice::call::event::{Input, Now, Output, Ticket};
use sluice::call::snapshot::Snapshot;
use sluice::cdr::record::Record;

use crate::guest::handshake::GATEWAYS;
use crate::network::{Kind, Packet};
use crate::random::Generator;
use crate::store::{Question, Reply};
use crate::time::{Base, SimTime};
use relay::RelaySide;
pub(crate) use relay::{BROWSERS, HostFaults};

/// Where the gateway listens.
pub(crate) const GATEWAY: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
    5060,
);

/// What the gateway wants of the world.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A datagram leaves.
    Send(Packet),
    /// The store is asked.
    Ask(Question),
    /// A record is stored.
    Record(Record),
    /// What came of a command.
    Done(Ticket, Result<CommandOutcome, CommandRefusal>),
    /// A guest is told something.
    Told(GuestKey, BrowserOutput),
    /// For the trace.
    Note(String),
    /// A turn panicked and was caught; the call that it cost, by its id.
    Struck(Option<String>),
}

/// What is broken on purpose, so that the checkers can show that they look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests break a gateway"))]
pub(crate) enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// BYE never leaves.
    NoBye,
    /// Media of one leg goes to another.
    SwapLegs,
    /// One media packet in twenty vanishes.
    LoseMedia,
    /// A request that is sent again differs.
    ChangeRepeats,
    /// Each record is stored twice.
    DoubleRecords,
    /// One media packet in twenty comes out with another last octet.
    ChangeMedia,
}

/// What a gateway of this world does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Habits {
    /// It says reliably what has an answer, to callers that can (RFC 3262).
    pub(crate) reliable_early_media: bool,
    /// The step of its endpoint that panics.
    pub(crate) strike: Option<u32>,
    /// What is broken in it.
    pub(crate) sabotage: Sabotage,
}

/// The node.
#[derive(Debug)]
pub(crate) struct Gateway {
    base: Base,
    control: CallControl,
    relay: RelaySide,
    buffer: SendBuffer,
    sabotage: Sabotage,
    /// Targets of media seen so far (sabotage).
    targets: Vec<SocketAddr>,
    sent: u64,
    stopped: bool,
    snapshot: Option<Snapshot>,
    /// The call that a panic cost.
    lost: Option<String>,
}

impl Gateway {
    /// A gateway that has not begun.
    pub(crate) fn new(
        random: &Generator,
        snapshot: Snapshot,
        faults: HostFaults,
        habits: Habits,
    ) -> Self {
        let mut random = random.split("gateway");
        let config = Config {
            endpoint: EndpointConfig {
                number: 1,
                seed: random.seed_bytes(),
                product: "Sluice".into(),
                calls_max: 64,
                draining: false,
                timers: sip::event::Timers::default(),
                allow: vec![
                    Method::Invite,
                    Method::Register,
                    Method::Ack,
                    Method::Bye,
                    Method::Cancel,
                    Method::Options,
                    Method::Prack,
                    Method::Update,
                    Method::Info,
                ],
                tcp: false,
                info_types: sluice::call::inform::INFO_TYPES.map(Into::into).into(),
                session_timer: Some(sip::event::SessionTimer {
                    expires: std::time::Duration::from_secs(1_800),
                    min: std::time::Duration::from_secs(90),
                    refresh_by: sip::event::RefreshBy::Invite,
                }),
                reliable_early_media: habits.reliable_early_media,
                ..EndpointConfig::default()
            },
            seed: random.seed_bytes(),
            sockets: vec![GATEWAY],
            listeners: vec![GATEWAY],
            advertised_host: None,
            own_hosts: Vec::new(),
            calls_per_second_max: 0,
            video_pairs_max: 64,
            browser: Some(BrowserConfig {
                fingerprint: GATEWAYS,
            }),
            ladder_octets: 1 << 20,
        };
        let mut control = CallControl::new(config);
        if habits.strike.is_some() {
            STRIKES_ARE_QUIET.call_once(hush);
            control.set_endpoint_fault(habits.strike);
        }
        Self {
            base: Base::new(),
            control,
            relay: RelaySide::new(&random, faults),
            buffer: SendBuffer::new(),
            sabotage: habits.sabotage,
            targets: Vec::new(),
            sent: 0,
            stopped: false,
            snapshot: Some(snapshot),
            lost: None,
        }
    }

    /// The snapshot is there and the ports are opened.
    pub(crate) fn begin(&mut self, now: SimTime) -> Vec<Effect> {
        let snapshot = self.snapshot.take().unwrap_or_default();
        self.input(now, Input::Snapshot(Arc::new(snapshot)))
    }

    /// A SIP datagram, or a whole message of a connection.
    pub(crate) fn datagram(
        &mut self,
        now: SimTime,
        packet: &Packet,
        transport: Transport,
    ) -> Vec<Effect> {
        let flow = Flow {
            transport,
            local: packet.target,
            remote: packet.source,
        };
        self.input(
            now,
            Input::Datagram {
                flow,
                bytes: &packet.bytes,
            },
        )
    }

    /// An RTP or RTCP datagram.
    pub(crate) fn media(&mut self, now: SimTime, packet: &Packet) -> Vec<Effect> {
        self.relay.deliver(packet);
        let mut effects = Vec::new();
        self.settle(now, &mut effects);
        effects
    }

    /// A datagram of ours did not reach that peer, or its connection broke: the kernel says so.
    pub(crate) fn unreachable(
        &mut self,
        now: SimTime,
        peer: SocketAddr,
        transport: Transport,
    ) -> Vec<Effect> {
        let flow = Flow {
            transport,
            local: GATEWAY,
            remote: peer,
        };
        self.input(now, Input::TransportFailed { flow })
    }

    /// The store's answer.
    pub(crate) fn reply(&mut self, now: SimTime, reply: Reply) -> Vec<Effect> {
        self.input(
            now,
            match reply {
                Reply::Resolved { ticket, outcome } => Input::Resolved {
                    ticket,
                    outcome: *outcome,
                },
                Reply::Aliases { first, count } => Input::AliasBlock { first, count },
            },
        )
    }

    /// Somebody at the API wants something.
    pub(crate) fn command(
        &mut self,
        now: SimTime,
        ticket: Ticket,
        command: call::Command,
    ) -> Vec<Effect> {
        self.input(now, Input::Command { ticket, command })
    }

    /// A guest's page says something, or is gone.
    pub(crate) fn guest(
        &mut self,
        now: SimTime,
        guest: GuestKey,
        input: BrowserInput,
    ) -> Vec<Effect> {
        self.input(now, Input::Browser { guest, input })
    }

    /// New calls are refused from now on.
    pub(crate) fn drain(&mut self, now: SimTime) -> Vec<Effect> {
        self.input(now, Input::Drain)
    }

    /// Everything ends.
    pub(crate) fn stop(&mut self, now: SimTime) -> Vec<Effect> {
        self.input(now, Input::Stop)
    }

    /// What is due, happens.
    pub(crate) fn expire(&mut self, now: SimTime) -> Vec<Effect> {
        let due = self.base.instant(now);
        let mut effects = Vec::new();
        if self.control.poll_deadline().is_some_and(|at| at <= due) {
            self.feed(now, Input::Expired, &mut effects);
        }
        self.settle(now, &mut effects);
        effects
    }

    /// When `expire` is due.
    pub(crate) fn deadline(&self) -> Option<SimTime> {
        let control = self.control.poll_deadline();
        control
            .into_iter()
            .chain(self.relay.deadline())
            .min()
            .map(|at| self.base.time(at))
    }

    /// Whose deadline that is.
    pub(crate) fn deadline_owner(&self) -> &'static str {
        match (self.control.poll_deadline(), self.relay.deadline()) {
            (Some(control), Some(relay)) if relay < control => "the media worker",
            (None, Some(_)) => "the media worker",
            (Some(_) | None, Some(_) | None) => "call control",
        }
    }

    /// Calls up or being set up.
    pub(crate) fn calls(&self) -> u64 {
        self.control.counters().calls_active
    }

    /// Invariants of every table. They assert; a broken one ends the run where it broke.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.control.check_invariants();
        self.relay.check()
    }

    /// Nothing is held any more.
    pub(crate) fn at_rest(&self) -> Result<(), String> {
        let counters = self.control.counters();
        if counters.calls_active > 0 {
            return Err(format!("{} calls are left", counters.calls_active));
        }
        if counters.stock_taken > 0 {
            return Err(format!(
                "{} media pairs are still taken",
                counters.stock_taken
            ));
        }
        let (endpoint, guard) = (
            self.control.endpoint().active_calls(),
            self.control.guard().active(),
        );
        if endpoint > 0 || guard > 0 {
            return Err(format!(
                "{endpoint} calls in the endpoint, {guard} attempts in the guard"
            ));
        }
        self.relay.at_rest()
    }

    /// True once `Output::Stopped` came.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn input(&mut self, now: SimTime, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.feed(now, input, &mut effects);
        self.settle(now, &mut effects);
        effects
    }

    fn clocks(&self, now: SimTime) -> Now {
        let nanos = i64::try_from(now.nanos()).unwrap_or(i64::MAX);
        Now {
            instant: self.base.instant(now),
            timestamp: EPOCH + nanos.nanoseconds(),
        }
    }

    fn feed(&mut self, now: SimTime, input: Input<'_>, effects: &mut Vec<Effect>) {
        let mut commands = VecDeque::new();
        let clocks = self.clocks(now);
        let is_armed = self.control.has_endpoint_fault();
        let turned = catch_unwind(AssertUnwindSafe(|| {
            self.control.handle_input(clocks, input);
            self.obey(effects, &mut commands);
        }));
        if let Err(panic) = turned {
            if !is_armed || self.control.has_endpoint_fault() {
                resume_unwind(panic);
            }
            // As the shell does it.
            self.lost = None;
            self.control.handle_panic(clocks);
            let before = effects.len();
            self.obey(effects, &mut commands);
            // Told first: what is sent now is sent by a gateway that has lost a turn.
            effects.insert(before, Effect::Struck(self.lost.take()));
        }
        let instant = self.base.instant(now);
        let refused: Vec<_> = commands
            .into_iter()
            .filter_map(|command| self.relay.command(instant, command))
            .collect();
        for pair in refused {
            self.feed(now, Input::ConnectRefused { pair }, effects);
        }
    }

    fn obey(&mut self, effects: &mut Vec<Effect>, commands: &mut VecDeque<Command>) {
        while let Some(output) = self.control.poll_output(&mut self.buffer) {
            self.put(output, effects, commands);
        }
    }

    fn put(&mut self, output: Output, effects: &mut Vec<Effect>, commands: &mut VecDeque<Command>) {
        match output {
            Output::Send { flow } => {
                let bytes = self.buffer.as_bytes().to_vec();
                let packet = Packet {
                    kind: Kind::Signalling,
                    source: flow.local,
                    target: flow.remote,
                    bytes,
                    damaged: false,
                };
                effects.extend(self.sabotaged(packet).map(Effect::Send));
            }
            Output::Close { flow } => {
                effects.push(Effect::Note(format!("close {}", flow.remote)));
            }
            Output::Media { worker: _, command } => commands.push_back(command),
            Output::Resolve {
                ticket,
                user,
                host: _,
                source: _,
            } => {
                effects.push(Effect::Ask(Question::Resolve { ticket, user }));
            }
            Output::ReserveAliases { count } => {
                effects.push(Effect::Ask(Question::Aliases { count }));
            }
            Output::Record(record) => {
                if self.sabotage == Sabotage::DoubleRecords {
                    effects.push(Effect::Record(record.clone()));
                }
                effects.push(Effect::Record(record));
            }
            Output::CommandDone { ticket, outcome } => {
                effects.push(Effect::Done(ticket, outcome));
            }
            Output::Browser { guest, output } => effects.push(Effect::Told(guest, output)),
            Output::Log(line) => {
                if line.event == "call_lost" {
                    self.lost.clone_from(&line.call);
                }
                effects.push(Effect::Note(format!("log {} {}", line.event, line.detail)));
            }
            Output::Stopped => {
                self.stopped = true;
                effects.push(Effect::Note("stopped".to_owned()));
            }
        }
    }

    /// Lets the worker run until it has nothing more to do now.
    fn settle(&mut self, now: SimTime, effects: &mut Vec<Effect>) {
        let instant = self.base.instant(now);
        loop {
            let mut sent = Vec::new();
            self.relay.turn(instant, &mut sent);
            for packet in sent {
                effects.extend(self.sabotaged(packet).map(Effect::Send));
            }
            let Some(report) = self.relay.report() else {
                break;
            };
            self.feed(now, Input::Report { report }, effects);
        }
    }

    fn sabotaged(&mut self, mut packet: Packet) -> Option<Packet> {
        self.sent += 1;
        match self.sabotage {
            Sabotage::NoBye if packet.bytes.starts_with(b"BYE ") => None,
            Sabotage::LoseMedia if packet.kind == Kind::Media && self.sent.is_multiple_of(20) => {
                None
            }
            Sabotage::ChangeMedia if packet.kind == Kind::Media && self.sent.is_multiple_of(20) => {
                if let Some(last) = packet.bytes.last_mut() {
                    *last ^= 1;
                }
                Some(packet)
            }
            Sabotage::ChangeRepeats if packet.kind == Kind::Signalling => {
                let text = String::from_utf8(packet.bytes).unwrap_or_default();
                let changed = text.replacen(
                    "Max-Forwards: ",
                    &format!("X-Turn: {}\r\nMax-Forwards: ", self.sent),
                    1,
                );
                packet.bytes = changed.into_bytes();
                Some(packet)
            }
            Sabotage::SwapLegs if packet.kind == Kind::Media => {
                if !self.targets.contains(&packet.target) {
                    self.targets.push(packet.target);
                }
                if self.sent.is_multiple_of(10) {
                    packet.target = *self.targets.first().unwrap_or(&packet.target);
                }
                Some(packet)
            }
            Sabotage::None
            | Sabotage::NoBye
            | Sabotage::SwapLegs
            | Sabotage::LoseMedia
            | Sabotage::ChangeMedia
            | Sabotage::ChangeRepeats
            | Sabotage::DoubleRecords => Some(packet),
        }
    }
}

/// What the wall clock shows when a world begins.
const EPOCH: Timestamp = Timestamp::UNIX_EPOCH;

static STRIKES_ARE_QUIET: Once = Once::new();

/// A panic that a world has drawn is no news; every other one is told as ever.
fn hush() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&"injected") {
            tell(panic);
        }
    }));
}
