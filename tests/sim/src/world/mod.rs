//! The world: nodes, the network between them, and the order in which things happen.
//!
//! One step is one event: a datagram arrives, a deadline is due, the link store answers. After it
//! the checkers look. Nothing runs beside it, and nothing else moves time.

mod guests;
mod orders;
mod shipping;
mod watching;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::agenda::{Due, Entry};
use crate::checker::Violation;
use crate::checker::calls::{self, Tolerance};
use crate::checker::guests::Guests;
use crate::checker::keys::GatewayKeys;
use crate::checker::records::Records;
use crate::checker::relay::{Party, Relay};
use crate::checker::wire::Wire;
use crate::gateway::{Effect, GATEWAY, Gateway};
use crate::guest::Guest;
use crate::network::{Faults, Kind, Network, Packet};
use crate::order::Order;
use crate::peer::leg::{Leg, Outbox, Place};
use crate::peer::plan::{Plan, Trigger};
use crate::peer::response;
use crate::peer::text::Text;
use crate::peer::voice::Voice;
use crate::random::Generator;
use crate::store::Store;
use crate::streams::{StreamFaults, Streams};
use crate::time::SimTime;
use crate::trace::Trace;
use guests::Door;
pub(crate) use guests::Word;

/// How a trunk answers OPTIONS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ping {
    /// With this status.
    Status(u16),
    /// Not at all.
    Silent,
    /// Nobody is there: whatever is sent comes back as an ICMP error.
    Absent,
}

/// A place where model peers live.
#[derive(Debug)]
struct Node {
    name: String,
    address: SocketAddr,
    ping: Ping,
    /// The gateway must not hear it.
    stranger: bool,
}

/// What a world begins with.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Names everything that is drawn.
    pub(crate) random: Generator,
    /// Of the network.
    pub(crate) faults: Faults,
    /// The product.
    pub(crate) gateway: Gateway,
    /// The links.
    pub(crate) store: Store,
    /// Keep every event, not only the last ones.
    pub(crate) keep_trace: bool,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    now: SimTime,
    order: u64,
    agenda: BinaryHeap<Reverse<Entry>>,
    random: Generator,
    network: Network,
    pub(crate) streams: Streams,
    tolerance: Tolerance,
    pub(crate) gateway: Gateway,
    store: Store,
    nodes: Vec<Node>,
    pub(crate) legs: Vec<Leg>,
    legs_by_dialog: BTreeMap<(SocketAddr, String), usize>,
    legs_by_media: BTreeMap<SocketAddr, usize>,
    guests: Vec<Guest>,
    /// The gateway's end of each.
    doors: Vec<Door>,
    /// Wherever each is, or was.
    guests_by_address: BTreeMap<SocketAddr, usize>,
    /// What leaves for them.
    edge: Guests,
    /// Plans for the calls that will reach a trunk, by call and node.
    pub(crate) cast: BTreeMap<(u32, String), VecDeque<Plan>>,
    /// For a call that nobody planned.
    pub(crate) understudy: Plan,
    /// Attempts by Call-ID: call and number.
    attempts: BTreeMap<String, (u32, u32)>,
    /// INVITEs that began a dialog, by call.
    dialled: BTreeMap<u32, usize>,
    /// Placed calls, by number.
    orders: BTreeMap<u32, Order>,
    /// When offers and answers were exchanged last, by call.
    exchanged_at: BTreeMap<u32, SimTime>,
    /// Dialogs whose last 2xx of the gateway has not met its ACK, which may have the answer.
    unacknowledged: BTreeSet<String>,
    /// Calls whose media must pass without loss.
    pub(crate) steady: BTreeSet<u32>,
    /// Calls whose only party hears itself.
    pub(crate) echo: BTreeSet<u32>,
    /// Calls that a panic of the gateway's has cost.
    pub(super) struck: BTreeSet<u32>,
    wire: Wire,
    relay: Relay,
    keys: GatewayKeys,
    /// Nodes whose media is never in the clear.
    pub(crate) required: BTreeSet<String>,
    pub(crate) records: Records,
    pub(crate) trace: Trace,
    handled_deadlines: u32,
    /// Extra delay of the next datagram that a model peer sends (flows).
    pub(crate) next_delay: Option<Duration>,
}

/// Deadlines that may be handled without time moving.
const DEADLINES_AT_ONCE_MAX: u32 = 64;

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup {
            random,
            faults,
            gateway,
            store,
            keep_trace,
        } = setup;
        // A reordered or doubled datagram comes up to 60 ms after the slowest other.
        let delay = faults.delay_max + Duration::from_millis(100);
        Self {
            now: SimTime::ZERO,
            order: 0,
            agenda: BinaryHeap::new(),
            network: Network::new(faults, random.split("network")),
            streams: Streams::new(faults.delay_max, random.split("streams")),
            tolerance: Tolerance {
                delay,
                loses: faults.loses(),
            },
            random,
            gateway,
            store,
            nodes: Vec::new(),
            legs: Vec::new(),
            legs_by_dialog: BTreeMap::new(),
            legs_by_media: BTreeMap::new(),
            guests: Vec::new(),
            doors: Vec::new(),
            guests_by_address: BTreeMap::new(),
            edge: Guests::default(),
            cast: BTreeMap::new(),
            understudy: Plan::idle(vec![crate::peer::session::PCMA]),
            attempts: BTreeMap::new(),
            dialled: BTreeMap::new(),
            orders: BTreeMap::new(),
            exchanged_at: BTreeMap::new(),
            unacknowledged: BTreeSet::new(),
            steady: BTreeSet::new(),
            echo: BTreeSet::new(),
            struck: BTreeSet::new(),
            wire: Wire::default(),
            relay: Relay::default(),
            keys: GatewayKeys::default(),
            required: BTreeSet::new(),
            records: Records::default(),
            trace: Trace::new(keep_trace),
            handled_deadlines: 0,
            next_delay: None,
        }
    }

    /// A node of model peers.
    pub(crate) fn add_node(&mut self, name: &str, address: SocketAddr, ping: Ping, stranger: bool) {
        self.nodes.push(Node {
            name: name.to_owned(),
            address,
            ping,
            stranger,
        });
    }

    /// This node is reached by TCP, and comes by TCP.
    pub(crate) fn connect_node(&mut self, name: &str) {
        let node = self.nodes.iter().find(|given| given.name == name);
        let address = node.expect("the node was added").address;
        self.streams.add(address);
        self.wire.add_stream(address);
    }

    /// What connections do from now on.
    pub(crate) fn set_stream_faults(&mut self, faults: StreamFaults) {
        self.streams.set_faults(faults);
        self.tolerance.loses |= faults.close > 0;
        if faults.stall > 0 {
            self.tolerance.delay += Duration::from_secs(10);
        }
    }

    /// A leg that will call `target` from this node.
    pub(crate) fn add_caller(&mut self, call: u32, node: &str, target: &str, plan: Plan) -> usize {
        let local = self
            .nodes
            .iter()
            .find(|given| given.name == node)
            .map(|given| given.address)
            .expect("the node was added");
        let number = self.next_leg_number();
        let place = Place {
            node: node.to_owned(),
            local,
            remote: GATEWAY,
            by_stream: self.streams.has(local),
        };
        let random = self.random.split(&format!("leg{number}"));
        let leg = Leg::caller(number, call, place, target, plan, random);
        self.relay.add(
            number,
            Party {
                call,
                attempt: 0,
                echo: self.echo.contains(&call),
            },
        );
        self.enrol(local, leg)
    }

    fn next_leg_number(&self) -> u32 {
        u32::try_from(self.legs.len()).unwrap_or(u32::MAX) + 1
    }

    fn enrol(&mut self, local: SocketAddr, leg: Leg) -> usize {
        let place = self.legs.len();
        let _ = self
            .legs_by_dialog
            .insert((local, leg.call_id.clone()), place);
        let _ = self.legs_by_media.insert(leg.media.local, place);
        self.legs.push(leg);
        place
    }

    pub(crate) const fn now(&self) -> SimTime {
        self.now
    }

    /// Packets that left the gateway under some key.
    pub(crate) const fn protected(&self) -> u64 {
        self.keys.protected() + self.edge.protected()
    }

    /// Packets that left the gateway's relay.
    pub(crate) fn relayed(&self) -> u64 {
        self.relay.relayed()
    }

    /// Does something with a leg now.
    pub(crate) fn with_leg<T>(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut Leg, SimTime, &mut Outbox) -> T,
    ) -> Result<T, Violation> {
        let mut out = Outbox::default();
        let result = act(&mut self.legs[place], self.now, &mut out);
        // Another machine may speak for it from now on.
        let local = self.legs[place].media.local;
        let _ = self.legs_by_media.insert(local, place);
        self.take(place, out)?;
        Ok(result)
    }

    /// The gateway comes up.
    pub(crate) fn begin(&mut self) -> Result<(), Violation> {
        let effects = self.gateway.begin(self.now);
        self.apply(effects)
    }

    /// What is not at rest.
    pub(crate) fn unrest(&self) -> String {
        let legs = self
            .legs
            .iter()
            .filter(|leg| !leg.is_quiet() && !leg.plan.silent);
        let legs: Vec<String> = legs
            .map(|leg| format!("leg {} of call {} {:?}", leg.number, leg.call, leg.state))
            .collect();
        format!(
            "{} calls in the gateway, {}",
            self.gateway.calls(),
            legs.join(", ")
        )
    }

    /// The rules of a caller begin to run.
    pub(crate) fn start(&mut self, place: usize) -> Result<(), Violation> {
        self.with_leg(place, |leg, now, out| leg.trigger(now, Trigger::Start, out))
    }

    /// When something happens next.
    pub(crate) fn next_at(&self) -> Option<SimTime> {
        let event = self.agenda.peek().map(|Reverse(entry)| entry.at);
        event.into_iter().chain(self.gateway.deadline()).min()
    }

    /// Runs what happens up to `until`, then stands there.
    pub(crate) fn run_until(&mut self, until: SimTime) -> Result<(), Violation> {
        while self.next_at().is_some_and(|at| at <= until) {
            self.step()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// The next event. A datagram or an answer goes before a deadline of the same moment.
    pub(crate) fn step(&mut self) -> Result<(), Violation> {
        let Some(at) = self.next_at() else {
            return Ok(());
        };
        if at > self.now {
            self.handled_deadlines = 0;
            self.now = at;
        }
        let is_event = self
            .agenda
            .peek()
            .is_some_and(|Reverse(entry)| entry.at <= at);
        if is_event {
            if let Some(Reverse(entry)) = self.agenda.pop() {
                self.handle(entry.due)?;
            }
        } else {
            self.handle_gateway_deadline()?;
        }
        if self.relay.is_owed() {
            self.relay.settle(self.now)?;
        }
        self.gateway.check().map_err(Violation::of_world)?;
        self.trace.advance();
        Ok(())
    }

    /// No busy loop: a deadline that was handled is gone or lies ahead.
    fn handle_gateway_deadline(&mut self) -> Result<(), Violation> {
        self.handled_deadlines += 1;
        if self.handled_deadlines > DEADLINES_AT_ONCE_MAX {
            let text = format!(
                "the gateway's deadline does not move: {:?}",
                self.gateway.deadline_owner()
            );
            return Err(Violation::of_world(text));
        }
        let effects = self.gateway.expire(self.now);
        self.apply(effects)
    }

    fn handle(&mut self, due: Due) -> Result<(), Violation> {
        match due {
            Due::Packet(packet) if packet.target.ip() == GATEWAY.ip() => {
                self.reach_gateway(&packet)
            }
            Due::Packet(packet) => self.reach_peer(&packet),
            Due::Leg(place) => self.with_leg(place, |leg, now, out| leg.handle_deadline(now, out)),
            Due::Unreachable(peer) => self.tell_unreachable(peer),
            Due::Segment(segment) => self.reach_by_stream(&segment),
            Due::Breaks(peer, generation) => {
                if self.streams.break_off(peer, generation) {
                    return self.tell_broken(peer);
                }
                Ok(())
            }
            Due::Guest(place) => self.with_guest(place, Guest::handle_deadline),
            Due::Word(place, line, word) => self.reach_by_line(place, line, *word),
            Due::Place(call) => self.place(call),
            Due::EndCall(call) => self.end_call(call),
            Due::Reply(reply) => {
                let effects = self.gateway.reply(self.now, reply);
                self.apply(effects)
            }
        }
    }

    fn reach_gateway(&mut self, packet: &Packet) -> Result<(), Violation> {
        if packet.kind == Kind::Media {
            let sender = self.legs_by_media.get(&packet.source);
            let protected =
                sender.and_then(|place| self.legs[*place].media.keys.sent(&packet.bytes));
            let protected = protected.or_else(|| self.voice_of_guest(packet));
            if let Some(voice) = Voice::read(&packet.bytes).or(protected) {
                let must_pass = self.must_pass(packet, &voice);
                self.relay.arrived(self.now, &voice, must_pass);
            }
            let effects = self.gateway.media(self.now, packet);
            return self.apply(effects);
        }
        let stranger = self.node(packet.source).is_some_and(|node| node.stranger);
        if !packet.damaged
            && !stranger
            && let Some(message) = Text::parse(&packet.bytes)
        {
            self.wire.arrived(self.now, packet.source, &message);
            self.disturb(&message);
        }
        let transport = self.transport(packet.source);
        let effects = self.gateway.datagram(self.now, packet, transport);
        if effects
            .iter()
            .any(|effect| matches!(effect, Effect::Struck(_)))
            && let Some(call) = message_call(packet).and_then(|id| self.call_of(&id))
        {
            let _ = self.struck.insert(call);
        }
        self.apply(effects)
    }

    fn reach_peer(&mut self, packet: &Packet) -> Result<(), Violation> {
        if packet.kind == Kind::Media {
            return self.hear(packet);
        }
        if packet.damaged {
            return Ok(());
        }
        if self
            .node(packet.target)
            .is_some_and(|node| node.ping == Ping::Absent)
        {
            self.schedule(self.now, Due::Unreachable(packet.target));
            return Ok(());
        }
        let Some(message) = Text::parse(&packet.bytes) else {
            return Ok(());
        };
        let key = (packet.target, message.call_id().to_owned());
        let place = match self.legs_by_dialog.get(&key) {
            Some(place) => *place,
            None if message.request_method() == Some("INVITE") && message.tag("To").is_none() => {
                match self.answer_new_call(packet.target, &message) {
                    Some(place) => place,
                    None => return Ok(()),
                }
            }
            None => return self.answer_outside_dialog(packet, &message),
        };
        self.with_leg(place, |leg, now, out| leg.handle_message(now, message, out))
    }

    fn answer_new_call(&mut self, target: SocketAddr, invite: &Text) -> Option<usize> {
        let (call, attempt) = self.attempts.get(invite.call_id()).copied()?;
        let name = self.node(target)?.name.clone();
        let part = part(&name, attempt == 0);
        let planned = self
            .cast
            .get_mut(&(call, part))
            .and_then(VecDeque::pop_front);
        let plan = planned.unwrap_or_else(|| self.understudy.clone());
        let number = self.next_leg_number();
        let place = Place {
            node: name,
            local: target,
            remote: GATEWAY,
            by_stream: self.streams.has(target),
        };
        let random = self.random.split(&format!("leg{number}"));
        let mut leg = Leg::callee(number, call, place, invite, plan, random);
        leg.is_first = attempt == 0;
        self.relay.add(
            number,
            Party {
                call,
                attempt,
                echo: attempt == 0 && self.echo.contains(&call),
            },
        );
        Some(self.enrol(target, leg))
    }

    fn answer_outside_dialog(&mut self, packet: &Packet, message: &Text) -> Result<(), Violation> {
        let Some(method) = message.request_method() else {
            return Ok(());
        };
        let ping = self
            .node(packet.target)
            .map_or(Ping::Silent, |node| node.ping);
        let status = match (method, ping) {
            ("OPTIONS", Ping::Status(status)) => status,
            ("ACK", _) | ("OPTIONS", Ping::Silent | Ping::Absent) => return Ok(()),
            _ => 481,
        };
        let reply = response::build(message, status, "ping", "", String::new());
        self.ship(Packet {
            kind: Kind::Signalling,
            source: packet.target,
            target: packet.source,
            bytes: reply.encode(),
            damaged: false,
        });
        Ok(())
    }

    fn take(&mut self, place: usize, out: Outbox) -> Result<(), Violation> {
        for at in out.wakes {
            self.schedule(at, Due::Leg(place));
        }
        for packet in out.packets {
            self.ship(packet);
        }
        Ok(())
    }

    fn apply(&mut self, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Send(packet) => {
                    self.check_sent(&packet)?;
                    self.ship(packet);
                }
                Effect::Ask(question) => {
                    if let Some((after, reply)) = self.store.answer(question) {
                        self.schedule(self.now + after, Due::Reply(reply));
                    }
                }
                Effect::Record(record) => {
                    self.trace.note(self.now, &format!("{record:?}"));
                    self.records.add(&record)?;
                }
                Effect::Done(ticket, outcome) => self.note_outcome(ticket, outcome)?,
                Effect::Told(guest, output) => self.tell_guest(guest, output)?,
                Effect::Note(text) => self.trace.note(self.now, &text),
                Effect::Struck(lost) => self.note_strike(lost.as_deref()),
            }
        }
        Ok(())
    }

    fn schedule(&mut self, at: SimTime, due: Due) {
        self.order += 1;
        self.agenda.push(Reverse(Entry {
            at: at.max(self.now),
            order: self.order,
            due,
        }));
    }

    /// The network stops to lose: a world that shall come to rest.
    pub(crate) const fn heal(&mut self) {
        self.network.heal();
        self.streams.heal();
    }

    /// Tells the gateway something that no peer says.
    pub(crate) fn tell(
        &mut self,
        tell: impl FnOnce(&mut Gateway, SimTime) -> Vec<Effect>,
    ) -> Result<(), Violation> {
        let effects = tell(&mut self.gateway, self.now);
        self.apply(effects)
    }

    /// True where no model peer has anything under way.
    pub(crate) fn peers_are_quiet(&self) -> bool {
        self.legs
            .iter()
            .all(|leg| leg.is_quiet() || leg.plan.silent)
            && self.guests_are_quiet()
    }

    /// The checks of a world at rest.
    pub(crate) fn finish(&self) -> Result<(), Violation> {
        let is_struck = |call_id: &str| {
            self.call_of(call_id)
                .is_none_or(|call| self.struck.contains(&call))
        };
        let is_struck = |call_id: &str| !self.struck.is_empty() && is_struck(call_id);
        self.wire.finish(self.now, is_struck)?;
        self.records.finish()?;
        let whole = |leg: &Leg| !self.struck.contains(&leg.call);
        calls::finish(&self.legs, &self.records, self.tolerance, whole)?;
        self.check_orders()?;
        self.check_guests()?;
        self.gateway.at_rest().map_err(Violation::of_world)
    }
}

/// The Call-ID of what arrived.
fn message_call(packet: &Packet) -> Option<String> {
    Some(Text::parse(&packet.bytes)?.call_id().to_owned())
}

/// The name under which a node's plans for a call stand in the cast.
pub(crate) fn part(node: &str, is_first: bool) -> String {
    if is_first {
        format!("first {node}")
    } else {
        node.to_owned()
    }
}
