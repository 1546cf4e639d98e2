//! Requests of a model peer: sending them, repeating them, and what their responses mean.

use std::time::Duration;

use super::exchange::Before;
use super::leg::{Client, Ender, Leg, Outbox, Role, State, T1, T2, TRANSACTION, Timer};
use super::plan::{Action, Reliability, Trigger};
use super::session::{Direction, Session};
use super::text::Text;
use crate::time::SimTime;

/// A caller waits no longer than this: longer than any gateway rings.
const PATIENCE: Duration = Duration::from_secs(300);
/// Of a peer that can do UPDATE.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE";

impl Leg {
    /// The INVITE that begins the dialog.
    pub(super) fn invite(&mut self, now: SimTime, bare: bool, out: &mut Outbox) {
        self.state = State::Inviting;
        self.history.invited_at = Some(now);
        let body = if bare {
            String::new()
        } else {
            self.media.offer(Direction::SendReceive)
        };
        self.request(now, "INVITE", body, out);
        self.arm(now + PATIENCE, Timer::Act(Action::GiveUp), out);
    }

    /// The final response was lost however often it was sent (RFC 3261 §17.2.1, timer H): nobody waits
    /// for ever.
    pub(super) fn tire(&mut self, now: SimTime) {
        if self.state == State::Inviting {
            self.end(now, Ender::Timeout);
        }
    }

    /// CANCEL for the INVITE that begins the dialog (RFC 3261 §9.1).
    pub(super) fn cancel(&mut self, now: SimTime, early: bool, out: &mut Outbox) {
        if self.state != State::Inviting || self.role != Role::Caller {
            return;
        }
        let Some(invite) = self.clients.iter().find(|client| client.method == "INVITE") else {
            return;
        };
        if self.clients.iter().any(|client| client.method == "CANCEL") {
            return;
        }
        if !invite.provisional && !early {
            self.cancel_wanted = true;
            return;
        }
        let mut cancel = invite.request.clone();
        cancel.start = cancel.start.replacen("INVITE", "CANCEL", 1);
        cancel.body.clear();
        cancel
            .headers
            .retain(|(name, _)| name != "Contact" && name != "Allow");
        for (name, value) in &mut cancel.headers {
            if name == "CSeq" {
                *value = value.replace("INVITE", "CANCEL");
            }
        }
        self.history.cancelled_at = Some(now);
        let (branch, number) = (invite.branch.clone(), invite.number);
        self.start_client(now, branch, "CANCEL", number, cancel, out);
    }

    /// BYE, once there is a dialog.
    pub(super) fn hang_up(&mut self, now: SimTime, out: &mut Outbox) {
        if self.state == State::Answered {
            self.end(now, Ender::Local);
            self.request(now, "BYE", String::new(), out);
        }
    }

    /// A re-INVITE, unless another exchange is open (RFC 3261 §14.1).
    pub(super) fn reoffer(&mut self, now: SimTime, direction: Direction, out: &mut Outbox) {
        let ours = self
            .clients
            .iter()
            .any(|c| c.method == "INVITE" && c.final_status.is_none());
        let theirs = self
            .servers
            .iter()
            .any(|s| s.method == "INVITE" && !s.acknowledged);
        if self.state == State::Answered && !ours && (!theirs || self.plan.manual) {
            let before = self.before();
            let body = self.media.offer(direction);
            self.request_instead_of(now, "INVITE", (body, before), out);
        }
    }

    /// A request that belongs to no dialog and no transaction; nobody waits for its answer.
    pub(super) fn misdirect(&mut self, method: &str, out: &mut Outbox) {
        if self.state != State::Answered {
            return;
        }
        let branch = format!("z9hG4bK{}", self.random.token());
        let mut text = self.build(method, &branch, self.number_local + 1, String::new());
        if method == "PRACK" {
            text = text.with("RAck", "77 1 INVITE");
        } else {
            for (name, value) in &mut text.headers {
                if name == "To" {
                    value.push_str("-nobody");
                }
            }
        }
        self.send(text.encode(), out);
    }

    /// The last request again and again. By a connection what is over is not asked again: it would be
    /// another request (RFC 3261 §17.2.1, timer I is zero).
    pub(super) fn flood(&self, count: u32, out: &mut Outbox) {
        let is_over = |client: &Client| self.by_stream && client.final_status.is_some();
        if let Some(client) = self.clients.last().filter(|client| !is_over(client)) {
            for _ in 0..count {
                self.send(client.bytes.clone(), out);
            }
        }
    }

    /// Sends the ACK of the newest 2xx (manual legs; the others do it when the 2xx comes).
    pub(crate) fn acknowledge(&mut self, now: SimTime, out: &mut Outbox) -> bool {
        let ack = self
            .clients
            .iter()
            .rev()
            .find_map(|client| client.ack.clone());
        let found = ack.is_some();
        if let Some(ack) = ack {
            self.history.confirmed_at.get_or_insert(now);
            self.send(ack, out);
        }
        found
    }

    /// A request of our own within, or for, the dialog.
    pub(super) fn request(&mut self, now: SimTime, method: &str, body: String, out: &mut Outbox) {
        let before = self.before();
        self.request_instead_of(now, method, (body, before), out);
    }

    /// The same with an offer; what was said before it holds again where it is refused.
    pub(super) fn request_instead_of(
        &mut self,
        now: SimTime,
        method: &str,
        (body, before): (String, Before),
        out: &mut Outbox,
    ) {
        self.number_local += 1;
        let branch = format!("z9hG4bK{}", self.random.token());
        let request = self.build(method, &branch, self.number_local, body);
        self.start_client(now, branch, method, self.number_local, request, out);
        if let Some(client) = self.clients.last_mut() {
            client.before = before;
        }
    }

    fn start_client(
        &mut self,
        now: SimTime,
        branch: String,
        method: &str,
        number: u32,
        request: Text,
        out: &mut Outbox,
    ) {
        let bytes = request.encode();
        self.send(bytes.clone(), out);
        self.arm(
            now + T1,
            Timer::Request(branch.clone(), method.to_owned()),
            out,
        );
        self.clients.push(Client {
            branch,
            method: method.to_owned(),
            number,
            bytes,
            request,
            started: now,
            interval: T1,
            provisional: false,
            final_status: None,
            ack: None,
            before: self.before(),
        });
    }

    fn build(&self, method: &str, branch: &str, number: u32, body: String) -> Text {
        let tag = self.remote_tag.as_ref().or(self.early.tag.as_ref());
        let to = tag.map_or_else(
            || self.remote_party.clone(),
            |tag| format!("{};tag={tag}", self.remote_party),
        );
        let text = Text {
            start: format!("{method} {} SIP/2.0", self.target),
            headers: Vec::new(),
            body,
        };
        let text = text
            .with(
                "Via",
                format!("SIP/2.0/UDP {};branch={branch};rport", self.local),
            )
            .with("Max-Forwards", "70")
            .with(
                "From",
                format!("{};tag={}", self.local_party, self.local_tag),
            )
            .with("To", to)
            .with("Call-ID", self.call_id.clone())
            .with("CSeq", format!("{number} {method}"));
        let text = if matches!(method, "INVITE" | "UPDATE") {
            text.with("Contact", self.contact())
        } else {
            text
        };
        let text = if self.plan.updates && method == "INVITE" {
            text.with("Allow", ALLOW)
        } else {
            text
        };
        let text = match self.plan.reliable {
            Reliability::Supported if method == "INVITE" => text.with("Supported", "100rel"),
            Reliability::Required if method == "INVITE" => text.with("Require", "100rel"),
            Reliability::None | Reliability::Supported | Reliability::Required => text,
        };
        let extra = self.extra.iter();
        extra.fold(text, |text, (name, value)| text.with(name, value.clone()))
    }

    /// The ACK of the newest 2xx, built anew with this answer.
    pub(super) fn acknowledge_body(
        &mut self,
        now: SimTime,
        body: String,
        out: &mut Outbox,
    ) -> bool {
        let newest = |client: &Client| client.method == "INVITE" && client.ack.is_some();
        let Some(place) = self.clients.iter().rposition(newest) else {
            return false;
        };
        let number = self.clients[place].number;
        let branch = format!("z9hG4bK{}", self.random.token());
        let ack = self.build("ACK", &branch, number, body).encode();
        self.clients[place].ack = Some(ack);
        self.acknowledge(now, out)
    }

    /// The PRACK of this reliable response (RFC 3262 §7.2).
    pub(super) fn acknowledge_early(&mut self, now: SimTime, rack: &str, out: &mut Outbox) {
        self.number_local += 1;
        let branch = format!("z9hG4bK{}", self.random.token());
        let prack = self.build("PRACK", &branch, self.number_local, String::new());
        let prack = prack.with("RAck", rack);
        self.start_client(now, branch, "PRACK", self.number_local, prack, out);
    }

    pub(super) fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.node, self.local)
    }

    /// Timers A, B, E and F.
    pub(super) fn repeat_request(
        &mut self,
        now: SimTime,
        branch: &str,
        method: &str,
        out: &mut Outbox,
    ) {
        let manual = self.plan.manual;
        let Some(client) = self
            .clients
            .iter_mut()
            .find(|client| client.branch == branch && client.method == method)
        else {
            return;
        };
        if client.final_status.is_some() || manual {
            return;
        }
        let is_invite = client.method == "INVITE";
        if now.since(client.started) >= TRANSACTION && !(is_invite && client.provisional) {
            client.final_status = Some(408);
            self.give_up(now, method, out);
            return;
        }
        if is_invite && client.provisional {
            return;
        }
        client.interval = if is_invite {
            client.interval * 2
        } else {
            (client.interval * 2).min(T2)
        };
        if client.provisional {
            client.interval = T2;
        }
        let end = client.started + TRANSACTION;
        let next = (now + client.interval).min(end);
        let bytes = client.bytes.clone();
        self.send(bytes, out);
        self.arm(
            next,
            Timer::Request(branch.to_owned(), method.to_owned()),
            out,
        );
    }

    fn give_up(&mut self, now: SimTime, method: &str, out: &mut Outbox) {
        match (method, self.state) {
            ("INVITE", State::Inviting) => {
                self.history.final_status = Some(408);
                self.end(now, Ender::Timeout);
            }
            // RFC 3261 §14.1: no answer at all to a re-INVITE ends the dialog.
            ("INVITE", State::Answered) => self.hang_up(now, out),
            // RFC 3261 §9.1: without a 487 within 64·T1 the INVITE counts as cancelled.
            ("CANCEL", State::Inviting) => self.end(now, Ender::Timeout),
            _ => {}
        }
    }

    pub(super) fn handle_response(&mut self, now: SimTime, response: &Text, out: &mut Outbox) {
        let (Some(status), Some((_, method))) = (response.status(), response.cseq()) else {
            return;
        };
        let branch = response.branch();
        let Some(place) = self
            .clients
            .iter()
            .position(|client| client.branch == branch && client.method == method)
        else {
            return;
        };
        if status < 200 {
            self.handle_provisional(now, place, status, response, out);
        } else if method == "INVITE" && status < 300 {
            self.handle_answer(now, place, status, response, out);
        } else if method == "INVITE" {
            self.handle_refusal(now, place, status, response, out);
        } else if self.clients[place].final_status.is_none() {
            self.clients[place].final_status = Some(status);
            if status >= 300 {
                let request = self.clients[place].request.clone();
                self.take_back(&request, self.clients[place].before);
            }
            if let Some(session) = Session::read(&response.body) {
                self.connect(now, &session, out);
            }
        }
    }

    fn handle_provisional(
        &mut self,
        now: SimTime,
        place: usize,
        status: u16,
        response: &Text,
        out: &mut Outbox,
    ) {
        let client = &mut self.clients[place];
        if client.final_status.is_some() {
            return;
        }
        client.provisional = true;
        if client.method != "INVITE" || self.state != State::Inviting {
            return;
        }
        if status > 100 {
            let was_agreed = self.is_agreed(response);
            if !self.take_reliable(now, response, out) {
                return;
            }
            if let Some(session) = Session::read(&response.body).filter(|_| !was_agreed) {
                self.connect(now, &session, out);
            }
            self.trigger(now, Trigger::Provisional, out);
        }
        if self.cancel_wanted {
            self.cancel_wanted = false;
            self.cancel(now, true, out);
        }
    }

    fn handle_answer(
        &mut self,
        now: SimTime,
        place: usize,
        status: u16,
        response: &Text,
        out: &mut Outbox,
    ) {
        if let Some(ack) = self.clients[place].ack.clone() {
            // A 2xx that came again: so does its ACK (RFC 3261 §13.2.2.4).
            if self.plan.acknowledges && !self.plan.manual {
                self.send(ack, out);
            }
            return;
        }
        let first = self.state == State::Inviting;
        // Answered after we had given up: end what the other side thinks is a call.
        let late = self.state == State::Ended && self.remote_tag.is_none();
        if first || late {
            self.remote_tag = response.tag("To").map(str::to_owned);
        }
        if first {
            self.state = State::Answered;
            self.history.answered_at = Some(now);
            self.history.final_status = Some(status);
        }
        if let Some(target) = response.contact_uri() {
            target.clone_into(&mut self.target);
        }
        let is_agreed = first && self.is_agreed(response);
        let session = Session::read(&response.body).filter(|_| !is_agreed);
        if let Some(session) = &session {
            self.connect(now, session, out);
        }
        let is_bare = self.clients[place].request.body.is_empty() && !self.plan.manual;
        let answer = if is_bare && session.is_some() {
            self.answer_bare()
        } else {
            String::new()
        };
        let number = self.clients[place].number;
        let branch = format!("z9hG4bK{}", self.random.token());
        let ack = self.build("ACK", &branch, number, answer).encode();
        self.clients[place].final_status = Some(status);
        self.clients[place].ack = Some(ack.clone());
        self.step_over(now, status, out);
        if self.plan.manual {
            return;
        }
        if self.plan.acknowledges {
            self.history.confirmed_at.get_or_insert(now);
            self.send(ack, out);
        }
        if late {
            self.request(now, "BYE", String::new(), out);
        } else if first && self.history.cancelled_at.is_some() {
            self.hang_up(now, out);
        } else if first {
            self.trigger(now, Trigger::Confirmed, out);
        }
    }

    fn handle_refusal(
        &mut self,
        now: SimTime,
        place: usize,
        status: u16,
        response: &Text,
        out: &mut Outbox,
    ) {
        let client = &self.clients[place];
        let client_request = client.request.clone();
        let mut ack = client_request.clone();
        ack.start = ack.start.replacen("INVITE", "ACK", 1);
        ack.body.clear();
        ack.headers.retain(|(name, _)| name != "Contact");
        for (name, value) in &mut ack.headers {
            match name.as_str() {
                "CSeq" => *value = value.replace("INVITE", "ACK"),
                "To" => response.header("To").unwrap_or("").clone_into(value),
                _ => {}
            }
        }
        let bytes = ack.encode();
        let first = client.final_status.is_none();
        self.clients[place].final_status.get_or_insert(status);
        self.clients[place].ack = Some(bytes.clone());
        if !self.plan.manual {
            self.send(bytes, out);
        }
        if first && self.state == State::Answered {
            let (request, before) = (client_request, self.clients[place].before);
            self.take_back(&request, before);
            self.step_over(now, status, out);
        }
        if first && self.state == State::Inviting {
            self.history.final_status = Some(status);
            self.end(now, Ender::Remote);
        } else if first && matches!(status, 408 | 481) && !self.plan.manual {
            self.hang_up(now, out);
        }
    }
}
