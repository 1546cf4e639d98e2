//! A leg of a model peer: one dialog, its transactions, its media, and what it will do.
//!
//! Owns state and time; building messages is in `request` and `response`, RTP in `media`.

use std::net::SocketAddr;
use std::time::Duration;

use super::early::Early;
use super::exchange::{Before, Script, Step};
use super::media::Media;
use super::plan::{Action, Plan, Trigger};
use super::text::Text;
use crate::network::{Kind, Packet};
use crate::random::Generator;
use crate::time::SimTime;

/// RFC 3261 §17.1.1.1.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// 64·T1: how long a transaction may last.
pub(crate) const TRANSACTION: Duration = Duration::from_secs(32);

/// What a leg wants of the world.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// To send.
    pub(crate) packets: Vec<Packet>,
    /// When to call `handle_deadline`.
    pub(crate) wakes: Vec<SimTime>,
}

/// Who began the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// We sent the INVITE.
    Caller,
    /// We got it.
    Callee,
}

/// How far a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing sent, nothing received.
    Idle,
    /// INVITE sent or received, no final response.
    Inviting,
    /// 2xx sent or received.
    Answered,
    /// BYE sent or received, or a final failure.
    Ended,
}

/// Who ended a dialog, as this leg saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ender {
    /// This leg.
    Local,
    /// The other end of its dialog.
    Remote,
    /// Nobody answered.
    Timeout,
}

/// What a leg saw, for the checkers.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// First INVITE sent or received.
    pub(crate) invited_at: Option<SimTime>,
    /// First 2xx to the INVITE sent or received.
    pub(crate) answered_at: Option<SimTime>,
    /// ACK of that 2xx sent or received.
    pub(crate) confirmed_at: Option<SimTime>,
    /// First moment of `State::Ended`.
    pub(crate) ended_at: Option<SimTime>,
    /// Who ended it.
    pub(crate) ended_by: Option<Ender>,
    /// Final status of the INVITE.
    pub(crate) final_status: Option<u16>,
    /// When CANCEL was sent or received first.
    pub(crate) cancelled_at: Option<SimTime>,
}

/// A request that we sent.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) branch: String,
    pub(super) method: String,
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) request: Text,
    pub(super) started: SimTime,
    pub(super) interval: Duration,
    pub(super) provisional: bool,
    pub(super) final_status: Option<u16>,
    pub(super) ack: Option<Vec<u8>>,
    pub(super) before: Before,
}

/// A request that we got.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) branch: String,
    pub(super) method: String,
    pub(super) number: u32,
    pub(super) request: Text,
    pub(super) response: Option<Vec<u8>>,
    pub(super) final_status: Option<u16>,
    pub(super) acknowledged: bool,
    pub(super) answered: SimTime,
    pub(super) interval: Duration,
}

/// What is due at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timer {
    Request(String, String),
    Response(String),
    Act(Action),
    Voice,
    AnswerReoffer(String),
    Reliable(u32),
}

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Its number in the world; stands in its RTP.
    pub(crate) number: u32,
    /// The call it belongs to.
    pub(crate) call: u32,
    /// Name of the node.
    pub(crate) node: String,
    /// Who began.
    pub(crate) role: Role,
    /// It is the caller, or the first party of a placed call.
    pub(crate) is_first: bool,
    /// Call-ID.
    pub(crate) call_id: String,
    /// How far.
    pub(crate) state: State,
    /// What it saw.
    pub(crate) history: History,
    /// What it will do.
    pub(crate) plan: Plan,
    /// Its RTP.
    pub(crate) media: Media,
    /// What arrived and no flow step has taken yet (manual legs).
    pub(crate) inbox: Vec<Received>,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) by_stream: bool,
    pub(super) local_party: String,
    pub(super) remote_party: String,
    pub(super) local_tag: String,
    pub(super) remote_tag: Option<String>,
    pub(super) target: String,
    pub(super) number_local: u32,
    pub(super) clients: Vec<Client>,
    pub(super) servers: Vec<Server>,
    pub(super) cancel_wanted: bool,
    pub(super) random: Generator,
    /// Headers of the next message (flows).
    pub(super) extra: Vec<(String, String)>,
    /// A hold that is under way, and its re-INVITE that has no final response.
    pub(super) script: Script,
    pub(super) step_sent: Option<Step>,
    pub(super) early: Early,
    timers: Vec<(SimTime, Timer)>,
    fired: Vec<Trigger>,
}

/// A message in the inbox of a manual leg.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// What.
    pub(crate) message: Text,
    /// The same octets came before.
    pub(crate) again: bool,
}

/// Where a leg lives and whom it talks to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Name of the node.
    pub(crate) node: String,
    /// Its SIP address.
    pub(crate) local: SocketAddr,
    /// The gateway's.
    pub(crate) remote: SocketAddr,
    /// A connection leads there, which needs no repetitions.
    pub(crate) by_stream: bool,
}

impl Leg {
    /// A leg that will call `target`.
    pub(crate) fn caller(
        number: u32,
        call: u32,
        place: Place,
        target: &str,
        plan: Plan,
        random: Generator,
    ) -> Self {
        let local_party = format!("\"{}\" <sip:{}@{}>", place.node, place.node, place.local);
        let mut leg = Self::new(number, call, place, Role::Caller, plan, random);
        leg.local_party = local_party;
        leg.remote_party = format!("<{target}>");
        target.clone_into(&mut leg.target);
        leg.call_id = format!("{}@{}", leg.random.token(), leg.local.ip());
        leg
    }

    /// A leg that this INVITE calls.
    pub(crate) fn callee(
        number: u32,
        call: u32,
        place: Place,
        invite: &Text,
        plan: Plan,
        random: Generator,
    ) -> Self {
        let party = |name: &str| {
            let value = invite.header(name).unwrap_or("");
            value
                .rsplit_once(";tag=")
                .map_or(value, |(party, _)| party)
                .to_owned()
        };
        let (local_party, remote_party) = (party("To"), party("From"));
        let mut leg = Self::new(number, call, place, Role::Callee, plan, random);
        leg.local_party = local_party;
        leg.remote_party = remote_party;
        leg.remote_tag = invite.tag("From").map(str::to_owned);
        invite.call_id().clone_into(&mut leg.call_id);
        leg
    }

    fn new(
        number: u32,
        call: u32,
        place: Place,
        role: Role,
        plan: Plan,
        mut random: Generator,
    ) -> Self {
        let media = Media::new(number, place.local.ip(), &plan, &mut random);
        Self {
            number,
            call,
            node: place.node,
            role,
            is_first: role == Role::Caller,
            call_id: String::new(),
            state: State::Idle,
            history: History::default(),
            plan,
            media,
            inbox: Vec::new(),
            local: place.local,
            remote: place.remote,
            by_stream: place.by_stream,
            local_party: String::new(),
            remote_party: String::new(),
            local_tag: random.token(),
            remote_tag: None,
            target: String::new(),
            number_local: 0,
            clients: Vec::new(),
            servers: Vec::new(),
            cancel_wanted: false,
            random,
            extra: Vec::new(),
            script: Script::default(),
            step_sent: None,
            early: Early::default(),
            timers: Vec::new(),
            fired: Vec::new(),
        }
    }

    /// Something happened; the rules that wait for it start. Only the first time counts.
    pub(crate) fn trigger(&mut self, now: SimTime, trigger: Trigger, out: &mut Outbox) {
        if self.fired.contains(&trigger) {
            return;
        }
        self.fired.push(trigger);
        let due: Vec<(Duration, Action)> = self
            .plan
            .rules
            .iter()
            .filter(|rule| rule.on == trigger)
            .map(|rule| (rule.after, rule.action.clone()))
            .collect();
        for (after, action) in due {
            self.arm(now + after, Timer::Act(action), out);
        }
    }

    /// A SIP message for this leg.
    pub(crate) fn handle_message(&mut self, now: SimTime, message: Text, out: &mut Outbox) {
        if self.plan.manual {
            let again = self.inbox.iter().any(|seen| seen.message == message)
                || self.servers.iter().any(|server| server.request == message);
            self.inbox.push(Received {
                message: message.clone(),
                again,
            });
        }
        if message.status().is_some() {
            self.handle_response(now, &message, out);
        } else {
            self.handle_request(now, message, out);
        }
    }

    /// Does what is due.
    pub(crate) fn handle_deadline(&mut self, now: SimTime, out: &mut Outbox) {
        while let Some(place) = self.timers.iter().position(|(at, _)| *at <= now) {
            let (_, timer) = self.timers.remove(place);
            match timer {
                Timer::Request(branch, method) => self.repeat_request(now, &branch, &method, out),
                Timer::Response(branch) => self.repeat_response(now, &branch, out),
                Timer::Act(action) => self.act(now, &action, out),
                Timer::Voice => self.speak(now, out),
                Timer::AnswerReoffer(branch) => self.answer_reoffer(now, &branch, out),
                Timer::Reliable(rseq) => self.repeat_reliable(now, rseq, out),
            }
        }
    }

    /// Does it now, where the state allows it.
    pub(crate) fn act(&mut self, now: SimTime, action: &Action, out: &mut Outbox) {
        match action {
            Action::Invite if self.state == State::Idle => self.invite(now, false, out),
            Action::InviteBare if self.state == State::Idle => self.invite(now, true, out),
            Action::Cancel => self.cancel(now, false, out),
            Action::CancelEarly => self.cancel(now, true, out),
            Action::HangUp => self.hang_up(now, out),
            Action::Reoffer(direction) => self.reoffer(now, *direction, out),
            Action::Respond(reply) => self.reply(now, reply, out),
            Action::Flood(count) => self.flood(*count, out),
            Action::ChangeSsrc => self.media.change_ssrc(&mut self.random),
            Action::JumpSequence(gap) => self.media.jump(*gap),
            Action::Intrude => self.intrude(out),
            Action::ProvisionalStorm(count) => self.storm(now, *count, out),
            Action::WrongTag => self.misdirect("BYE", out),
            Action::WrongPrack => self.misdirect("PRACK", out),
            Action::Digit(digit) => self.press(*digit, out),
            Action::Update(direction) => self.update(now, *direction, out),
            Action::Hold(rounds) => self.hold(now, *rounds, out),
            Action::HoldStep => self.hold_step(now, out),
            Action::GiveUp => self.tire(now),
            Action::Invite | Action::InviteBare => {}
        }
    }

    /// True where its messages come from this address.
    pub(crate) fn lives_at(&self, address: SocketAddr) -> bool {
        self.local == address
    }

    /// True where nothing of this leg is under way any more. A re-INVITE that was proceeding when
    /// the dialog ended has no timer, and need not be answered.
    pub(crate) fn is_quiet(&self) -> bool {
        let is_open = |client: &Client| {
            let left =
                self.state == State::Ended && client.provisional && client.method == "INVITE";
            client.final_status.is_none() && !left
        };
        matches!(self.state, State::Idle | State::Ended) && !self.clients.iter().any(is_open)
    }

    pub(super) fn arm(&mut self, at: SimTime, timer: Timer, out: &mut Outbox) {
        out.wakes.push(at);
        self.timers.push((at, timer));
    }

    pub(super) fn is_armed(&self, wanted: &Timer) -> bool {
        self.timers.iter().any(|(_, timer)| timer == wanted)
    }

    pub(super) fn send(&self, bytes: Vec<u8>, out: &mut Outbox) {
        if self.plan.silent {
            return;
        }
        out.packets.push(Packet {
            kind: Kind::Signalling,
            source: self.local,
            target: self.remote,
            bytes,
            damaged: false,
        });
    }

    pub(super) fn end(&mut self, now: SimTime, by: Ender) {
        if self.state != State::Ended {
            self.state = State::Ended;
            self.history.ended_at = Some(now);
            self.history.ended_by = Some(by);
            self.media.stop();
        }
    }
}
