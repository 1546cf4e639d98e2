//! Playing a flow: a world without faults, peers that do nothing by themselves, and the lines.

use std::fmt::Write as _;
use std::time::Duration;

use super::set::{Set, codecs};
use super::words::{compare, describe, said};
use super::{Attributes, Line, Script};
use crate::checker::Violation;
use crate::gateway::{Gateway, Habits, HostFaults};
use crate::network::Faults;
use crate::peer::leg::{Outbox, Role};
use crate::peer::plan::{Action, Plan, Reply};
use crate::peer::session::{PCMA, PCMU, TELEPHONE_EVENT};
use crate::peer::text::Text;
use crate::random::Generator;
use crate::store::Store;
use crate::time::SimTime;
use crate::world::{Ping, Setup, World};

/// A flow on its way.
#[derive(Debug)]
pub(super) struct Stage {
    world: World,
    /// Where the messages of each leg have been taken up to.
    taken: Vec<usize>,
    target: String,
    /// Links that are `local:echo`.
    echoes: Vec<String>,
    update: bool,
    written: Vec<String>,
}

/// Every datagram takes this long.
const DELAY: Duration = Duration::from_millis(10);
/// How long a line waits for its message, where it does not say.
const PATIENCE: Duration = Duration::from_secs(40);

impl Stage {
    pub(super) fn new(script: &Script, update: bool) -> Self {
        let random = Generator::new(0, "flow");
        let Set {
            store,
            snapshot,
            nodes,
            by_tcp,
            target,
            echoes,
            phones_srtp: _,
        } = Set::of(script, Store::new(Duration::ZERO, random.split("store")));
        let gateway = Gateway::new(&random, snapshot, HostFaults::default(), Habits::default());
        let faults = Faults::none(DELAY);
        let mut world = World::new(Setup {
            random,
            faults,
            gateway,
            store,
            keep_trace: false,
        });
        for (name, address, stranger) in nodes {
            world.add_node(&name, address, Ping::Status(200), stranger);
        }
        for name in &by_tcp {
            world.connect_node(name);
        }
        world.understudy = Plan::manual(vec![PCMA, PCMU, TELEPHONE_EVENT]);
        Self {
            world,
            taken: Vec::new(),
            target,
            echoes,
            update,
            written: Vec::new(),
        }
    }

    /// The text as it should be.
    pub(super) fn text(&self) -> String {
        self.written.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    pub(super) fn play(&mut self, script: &Script) -> Result<(), String> {
        self.world.begin().map_err(|violation| violation.text)?;
        let mut outcome = Ok(());
        for (index, (raw, line)) in script.lines.iter().enumerate() {
            if outcome.is_err() {
                self.written.push(raw.clone());
                continue;
            }
            let result = self.act(line).map_err(|complaint| match complaint {
                Complaint::Text(text) => text,
                Complaint::Broken(violation) => violation.text,
            });
            match result {
                Ok(None) => self.written.push(raw.clone()),
                Ok(Some(line)) => self.written.extend((!line.is_empty()).then_some(line)),
                Err(text) => {
                    self.written.push(raw.clone());
                    let ladder = self.world.trace.ladder(None);
                    outcome = Err(format!(
                        "line {}: `{}`: {text}\n{ladder}",
                        index + 1,
                        raw.trim()
                    ));
                }
            }
        }
        outcome?;
        self.expect_nothing_left()
    }

    fn expect_nothing_left(&mut self) -> Result<(), String> {
        // What was sent with the last message that a line took is still under way.
        let until = self.world.now() + Duration::from_secs(1);
        self.world
            .run_until(until)
            .map_err(|violation| violation.text)?;
        let mut left = Vec::new();
        for place in 0..self.world.legs.len() {
            while let Some(message) = self.take(place, false) {
                left.push(describe(&self.world.legs[place].node, &message));
            }
        }
        if self.update {
            self.written.append(&mut left);
        }
        if left.is_empty() {
            return Ok(());
        }
        let ladder = self.world.trace.ladder(None);
        Err(format!("no line expects:\n{}\n{ladder}", left.join("\n")))
    }

    /// Plays a line; a new text for it where `update` is on and it was wrong.
    fn act(&mut self, line: &Line) -> Result<Option<String>, Complaint> {
        match line {
            Line::Blank | Line::Given { .. } => Ok(None),
            Line::Wait(time) => {
                self.world.run_until(self.world.now() + *time)?;
                Ok(None)
            }
            Line::Silence { node, lasts } => self.silence(node, *lasts),
            Line::Sends { node, what, with } => self.send(node, what, with),
            Line::Comes { node, what, with } => self.receive(node, what, with),
            Line::Speaks { node, to, packets } => self.speak(node, to, *packets),
            Line::Expect { what, with } => self.expect(what, with),
        }
    }

    fn silence(&mut self, node: &str, lasts: Duration) -> Result<Option<String>, Complaint> {
        self.world.run_until(self.world.now() + lasts)?;
        for place in self.legs_of(node) {
            if let Some(message) = self.take(place, true) {
                return Err(format!("{node} got {}", message.summary()).into());
            }
        }
        Ok(None)
    }

    fn send(
        &mut self,
        node: &str,
        what: &str,
        with: &Attributes,
    ) -> Result<Option<String>, Complaint> {
        let begins = what == "INVITE" && self.legs_of(node).is_empty();
        if begins {
            let target = with.value("to").unwrap_or(&self.target);
            let echo = self.echoes.iter().any(|path| path == target);
            let target = format!("sip:{target}@10.0.0.1");
            let plan = Plan::manual(codecs(with.value("offer")));
            let call = u32::try_from(self.callers() + 1).unwrap_or(1);
            if echo {
                let _ = self.world.echo.insert(call);
            }
            self.world.add_caller(call, node, &target, plan);
        }
        let Some(place) = self.legs_of(node).last().copied() else {
            return Err(format!("{node} is in no call").into());
        };
        self.world.next_delay = with.duration("delay");
        let sent = self.world.with_leg(place, |leg, now, out| -> bool {
            let before = out.packets.len();
            match (what, what.parse::<u16>()) {
                (_, Ok(status)) => respond(leg, now, status, with, out),
                ("INVITE", _) if with.has("again") => leg.act(now, &Action::Flood(1), out),
                ("ACK", _) => {
                    let _ = leg.acknowledge_with(now, &said(with), out);
                }
                ("CANCEL", _) => leg.act(now, &Action::CancelEarly, out),
                ("BYE", _) => leg.bye(now, &said(with), out),
                (method, _) => leg.ask(now, method, &said(with), out),
            }
            out.packets.len() > before
        })?;
        if sent {
            Ok(None)
        } else {
            Err(format!("{node} cannot send this now").into())
        }
    }

    fn receive(
        &mut self,
        node: &str,
        what: &str,
        with: &Attributes,
    ) -> Result<Option<String>, Complaint> {
        let limit = self.world.now() + with.duration("within").unwrap_or(PATIENCE);
        let message = loop {
            let again = with.has("again");
            let found = self
                .legs_of(node)
                .into_iter()
                .find_map(|place| self.take(place, again));
            if let Some(message) = found {
                break message;
            }
            if self.world.next_at().is_none_or(|at| at > limit) {
                return if self.update {
                    Ok(Some(String::new()))
                } else {
                    Err("nothing came".to_owned().into())
                };
            }
            self.world.step()?;
        };
        match compare(&message, what, with) {
            Ok(()) => Ok(None),
            Err(_) if self.update => Ok(Some(describe(node, &message))),
            Err(text) => Err(text.into()),
        }
    }

    fn speak(&mut self, node: &str, to: &str, packets: u32) -> Result<Option<String>, Complaint> {
        let Some(from) = self.legs_of(node).last().copied() else {
            return Err(format!("{node} is in no call").into());
        };
        let before: Vec<u32> = self.world.legs.iter().map(|leg| leg.media.heard).collect();
        for _ in 0..packets {
            self.world
                .with_leg(from, |leg, _, out| leg.speak_now(out))?;
            self.world
                .run_until(self.world.now() + Duration::from_millis(20))?;
        }
        self.world.run_until(self.world.now() + DELAY * 3)?;
        // Of a node that was tried twice the attempt that is on.
        let target = self.legs_of(to).last().copied();
        for (place, leg) in self.world.legs.iter().enumerate() {
            let heard = leg.media.heard - before.get(place).copied().unwrap_or(0);
            let expected = if target == Some(place) { packets } else { 0 };
            if heard != expected {
                return Err(format!("{} heard {heard} packets, not {expected}", leg.node).into());
            }
        }
        Ok(None)
    }

    fn expect(&mut self, what: &str, with: &Attributes) -> Result<Option<String>, Complaint> {
        match what {
            "cdr" | "attempt" => self.expect_row(what, with),
            "tables" => {
                let lasts = with.duration("within").unwrap_or(PATIENCE);
                self.world.run_until(self.world.now() + lasts)?;
                self.world.gateway.at_rest().map_err(Complaint::Text)?;
                Ok(None)
            }
            other => Err(format!("nothing is known of {other}").into()),
        }
    }

    fn expect_row(&mut self, what: &str, with: &Attributes) -> Result<Option<String>, Complaint> {
        let limit = self.world.now() + PATIENCE;
        loop {
            let closed = self.row().is_some_and(|rows| rows.closed.is_some());
            if closed || self.world.next_at().is_none_or(|at| at > limit) {
                break;
            }
            self.world.step()?;
        }
        let facts = if what == "cdr" {
            self.call_facts()
        } else {
            self.attempt_facts(with)
        };
        let mut wrong = Vec::new();
        let mut line = format!("expect {what}");
        for (key, value) in with.iter().filter(|(_, value)| !value.is_empty()) {
            let fact = facts
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, fact)| fact.clone());
            let fact = fact.unwrap_or_else(|| "none".to_owned());
            if fact != value {
                wrong.push(format!("{key} is {fact}"));
            }
            let _ = write!(line, " {key}={fact}");
        }
        match (wrong.is_empty(), self.update) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(line)),
            (false, false) => Err(wrong.join(", ").into()),
        }
    }

    fn row(&self) -> Option<&crate::checker::records::Rows> {
        let caller = self
            .world
            .legs
            .iter()
            .find(|leg| leg.role == Role::Caller)?;
        self.world.records.of(&caller.call_id)
    }

    fn call_facts(&self) -> Vec<(&'static str, String)> {
        let Some(rows) = self.row() else {
            return vec![("rows", "0".to_owned())];
        };
        let Some(closed) = &rows.closed else {
            return vec![("rows", "open".to_owned())];
        };
        vec![
            ("rows", self.world.records.count().to_string()),
            ("status", closed.status.to_string()),
            ("released_by", closed.released_by.clone()),
            ("cause", closed.cause.clone()),
            ("attempts", rows.attempts.len().to_string()),
            ("answered", yes(closed.answered_at.is_some())),
            ("q850", closed.q850.unwrap_or_default().to_string()),
            (
                "billed_ms",
                rows.billed().unwrap_or_default().as_millis().to_string(),
            ),
            ("path", rows.opened.request_path.clone()),
        ]
    }

    fn attempt_facts(&self, with: &Attributes) -> Vec<(&'static str, String)> {
        let number: u32 = with
            .value("number")
            .and_then(|text| text.parse().ok())
            .unwrap_or(1);
        let attempt = self
            .row()
            .and_then(|rows| rows.attempts.get(&number))
            .and_then(Option::as_ref);
        let Some(attempt) = attempt else {
            return Vec::new();
        };
        vec![
            ("number", number.to_string()),
            ("status", attempt.status.to_string()),
            ("outcome", attempt.outcome.clone()),
            ("q850", attempt.q850.unwrap_or_default().to_string()),
            ("answered", yes(attempt.answered_at.is_some())),
            ("rang", yes(attempt.ringing_at.is_some())),
        ]
    }

    fn legs_of(&self, node: &str) -> Vec<usize> {
        let legs = self.world.legs.iter().enumerate();
        legs.filter(|(_, leg)| leg.node == node)
            .map(|(place, _)| place)
            .collect()
    }

    fn callers(&self) -> usize {
        self.world
            .legs
            .iter()
            .filter(|leg| leg.role == Role::Caller)
            .count()
    }

    /// The next message of a leg that no line has taken. Repetitions only where they are wanted.
    fn take(&mut self, place: usize, again: bool) -> Option<Text> {
        if self.taken.len() <= place {
            self.taken.resize(place + 1, 0);
        }
        let inbox = &self.world.legs.get(place)?.inbox;
        while let Some(received) = inbox.get(self.taken[place]) {
            self.taken[place] += 1;
            if received.again == again || !received.again {
                return Some(received.message.clone());
            }
        }
        None
    }
}

/// Why a line failed.
#[derive(Debug)]
enum Complaint {
    Text(String),
    Broken(Violation),
}

impl From<String> for Complaint {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Violation> for Complaint {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

fn yes(fact: bool) -> String {
    if fact {
        "yes".to_owned()
    } else {
        "no".to_owned()
    }
}

fn respond(
    leg: &mut crate::peer::leg::Leg,
    now: SimTime,
    status: u16,
    with: &Attributes,
    out: &mut Outbox,
) {
    let mut said = said(with);
    if with.has("reliable") {
        said.headers.extend([
            ("Require".to_owned(), "100rel".to_owned()),
            (
                "RSeq".to_owned(),
                with.value("reliable").unwrap_or("1").to_owned(),
            ),
        ]);
    }
    let body = leg.response_body(&said);
    match with.value("for") {
        Some(method) if method != "INVITE" => {
            let _ = leg.reply_to(now, method, status, body, out);
        }
        Some(_) | None => {
            let fork = with
                .value("fork")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            let reply = Reply {
                status,
                session: body.is_some(),
                fork,
            };
            leg.reply_with(now, &reply, body, out);
        }
    }
}
