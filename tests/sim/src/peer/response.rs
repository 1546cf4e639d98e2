//! Requests that reach a model peer, and what it says to them.

use std::time::Duration;

use super::leg::{Ender, Leg, Outbox, Server, State, T1, T2, TRANSACTION, Timer};
use super::plan::{OnCancel, Reply, Trigger};
use super::request::ALLOW;
use super::session::{Direction, Session};
use super::text::Text;
use crate::time::SimTime;

impl Leg {
    pub(super) fn handle_request(&mut self, now: SimTime, request: Text, out: &mut Outbox) {
        let method = request.request_method().unwrap_or("").to_owned();
        let branch = request.branch().to_owned();
        let Some((number, _)) = request.cseq() else {
            return;
        };
        if method == "ACK" {
            self.handle_ack(now, number, &request, out);
            return;
        }
        if let Some(server) = self.server(&branch, &method) {
            // A request that came again: so does the response.
            if let Some(bytes) = server.response.clone()
                && !self.plan.manual
            {
                self.send(bytes, out);
            }
            return;
        }
        self.servers.push(Server {
            branch: branch.clone(),
            method: method.clone(),
            number,
            request,
            response: None,
            final_status: None,
            acknowledged: false,
            answered: now,
            interval: T1,
        });
        match method.as_str() {
            "INVITE" => self.handle_invite(now, &branch, out),
            "CANCEL" => self.handle_cancel(now, &branch, out),
            "BYE" => {
                self.end(now, Ender::Remote);
                self.respond_unless_manual(now, &branch, "BYE", 200, out);
                self.refuse_open_invite(now, out);
            }
            "UPDATE" => self.handle_update(now, &branch, out),
            "PRACK" if !self.plan.manual => self.handle_prack(now, &branch, out),
            _ => {
                if let Some(session) = self.session_asked(&branch, &method) {
                    self.connect(now, &session, out);
                }
                self.respond_unless_manual(now, &branch, &method, 200, out);
            }
        }
    }

    pub(super) fn session_asked(&self, branch: &str, method: &str) -> Option<Session> {
        Session::read(&self.server(branch, method)?.request.body)
    }

    pub(super) fn header_asked(&self, branch: &str, method: &str, name: &str) -> Option<String> {
        let server = self.server(branch, method)?;
        server.request.header(name).map(str::to_owned)
    }

    fn handle_invite(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        if self.state == State::Idle {
            self.state = State::Inviting;
            self.history.invited_at = Some(now);
            if let Some(contact) = self
                .server(branch, "INVITE")
                .and_then(|s| s.request.contact_uri())
            {
                self.target = contact.to_owned();
            }
            self.take_offer(now, branch, out);
            if self.media.keys.refuses() {
                return self.reply(now, &Reply::plain(488), out);
            }
            self.trigger(now, Trigger::InviteArrived, out);
            return;
        }
        if self.plan.manual {
            self.take_offer(now, branch, out);
            return;
        }
        let glare = self
            .clients
            .iter()
            .any(|c| c.method == "INVITE" && c.final_status.is_none());
        let busy = self
            .servers
            .iter()
            .any(|s| s.method == "INVITE" && s.branch != branch && s.final_status.is_none());
        if self.state == State::Ended {
            self.respond(now, branch, "INVITE", 481, None, out);
        } else if glare {
            self.respond(now, branch, "INVITE", 491, None, out);
        } else if busy {
            self.respond(now, branch, "INVITE", 500, None, out);
        } else {
            let after = self.random.millis(0, 300);
            self.arm(now + after, Timer::AnswerReoffer(branch.to_owned()), out);
        }
    }

    /// The answer to a re-INVITE, a little later than it came.
    pub(super) fn answer_reoffer(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        let open = self
            .server(branch, "INVITE")
            .is_some_and(|s| s.final_status.is_none());
        if open && self.state == State::Answered {
            let body = self.described(now, branch, out);
            self.respond(now, branch, "INVITE", 200, Some(body), out);
        }
    }

    /// Our answer, or our offer where the re-INVITE has none (RFC 3261 §14.2).
    fn described(&mut self, now: SimTime, branch: &str, out: &mut Outbox) -> String {
        if self.session_asked(branch, "INVITE").is_none() {
            return self.media.offer(Direction::SendReceive);
        }
        self.take_offer(now, branch, out);
        self.media.answer()
    }

    fn take_offer(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        let body = self
            .server(branch, "INVITE")
            .map(|server| server.request.body.clone());
        if let Some(session) = body.and_then(|body| Session::read(&body)) {
            self.connect(now, &session, out);
        }
    }

    fn handle_cancel(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        self.history.cancelled_at.get_or_insert(now);
        let open = self
            .server(branch, "INVITE")
            .is_some_and(|s| s.final_status.is_none());
        self.respond_unless_manual(now, branch, "CANCEL", 200, out);
        self.trigger(now, Trigger::CancelArrived, out);
        if !open || self.plan.manual || self.state != State::Inviting {
            return;
        }
        match self.plan.on_cancel {
            OnCancel::Refuse => self.reply(now, &Reply::plain(487), out),
            OnCancel::Answer => self.reply(now, &Reply::with_session(200), out),
        }
    }

    fn handle_ack(&mut self, now: SimTime, number: u32, ack: &Text, out: &mut Outbox) {
        let Some(server) = self
            .servers
            .iter_mut()
            .find(|s| s.method == "INVITE" && s.number == number)
        else {
            return;
        };
        server.acknowledged = true;
        let succeeded = server.final_status.is_some_and(|status| status < 300);
        if succeeded && self.state == State::Answered {
            self.history.confirmed_at.get_or_insert(now);
            if let Some(session) = Session::read(&ack.body) {
                self.connect(now, &session, out);
            }
            self.trigger(now, Trigger::Confirmed, out);
        }
    }

    fn refuse_open_invite(&mut self, now: SimTime, out: &mut Outbox) {
        let open: Vec<String> = self
            .servers
            .iter()
            .filter(|server| server.method == "INVITE" && server.final_status.is_none())
            .map(|server| server.branch.clone())
            .collect();
        for branch in open {
            self.respond_unless_manual(now, &branch, "INVITE", 487, out);
        }
    }

    /// More provisional responses than anybody needs.
    pub(super) fn storm(&mut self, now: SimTime, count: u32, out: &mut Outbox) {
        for number in 0..count {
            if self.state != State::Inviting {
                return;
            }
            let status = if number % 3 == 2 { 183 } else { 180 };
            self.reply(now, &Reply::plain(status), out);
        }
    }

    /// A response to the INVITE that began the dialog, or to the newest one (manual legs).
    pub(crate) fn reply(&mut self, now: SimTime, reply: &Reply, out: &mut Outbox) {
        if self.holds_back(reply) {
            return;
        }
        let is_bare = self.servers.iter().any(|server| {
            server.method == "INVITE"
                && server.final_status.is_none()
                && Session::read(&server.request.body).is_none()
        });
        let body = match (reply.session, is_bare && !self.plan.manual) {
            // Agreed upon before: nothing is said twice (RFC 6337 §2.1).
            (true, false) if self.early.is_answered => None,
            (true, false) => Some(self.media.answer()),
            // The offer stands in the 2xx: in an unreliable response it must not (RFC 3261 §13.2.1).
            (true, true) if reply.status >= 200 => Some(self.media.offer(Direction::SendReceive)),
            (true | false, _) => None,
        };
        self.reply_with(now, reply, body, out);
    }

    /// The same with this body.
    pub(crate) fn reply_with(
        &mut self,
        now: SimTime,
        reply: &Reply,
        body: Option<String>,
        out: &mut Outbox,
    ) {
        let newest = self
            .servers
            .iter()
            .rev()
            .find(|s| s.method == "INVITE" && s.final_status.is_none());
        let Some(branch) = newest.map(|server| server.branch.clone()) else {
            return;
        };
        if self.state == State::Inviting {
            if reply.fork > 0 {
                let tag = self.local_tag.split('-').next().unwrap_or("").to_owned();
                self.local_tag = format!("{tag}-{}", reply.fork);
            }
            match reply.status {
                ..=199 => {}
                200..=299 => {
                    self.state = State::Answered;
                    self.history.answered_at = Some(now);
                    self.history.final_status = Some(reply.status);
                }
                _ => {
                    self.history.final_status = Some(reply.status);
                    self.end(now, Ender::Local);
                }
            }
        }
        let has_answer = body.is_some();
        if has_answer {
            self.start_voice(now, out);
        }
        let invite = self.server(&branch, "INVITE").map(|s| s.request.clone());
        let is_reliable = invite.is_some_and(|invite| self.is_reliable(reply.status, &invite));
        if is_reliable {
            let headers = self.reliable_headers();
            self.extra.extend(headers);
        }
        self.respond(now, &branch, "INVITE", reply.status, body, out);
        let said = self.server(&branch, "INVITE");
        if is_reliable && let Some(bytes) = said.and_then(|server| server.response.clone()) {
            self.await_prack(now, bytes, has_answer, out);
        }
    }

    /// A response to the newest request of this method that has none (manual legs).
    pub(crate) fn reply_to(
        &mut self,
        now: SimTime,
        method: &str,
        status: u16,
        body: Option<String>,
        out: &mut Outbox,
    ) -> bool {
        let newest = self
            .servers
            .iter()
            .rev()
            .find(|s| s.method == method && s.final_status.is_none());
        let Some(branch) = newest.map(|server| server.branch.clone()) else {
            return false;
        };
        self.respond(now, &branch, method, status, body, out);
        true
    }

    pub(super) fn respond_unless_manual(
        &mut self,
        now: SimTime,
        branch: &str,
        method: &str,
        status: u16,
        out: &mut Outbox,
    ) {
        if !self.plan.manual {
            self.respond(now, branch, method, status, None, out);
        }
    }

    pub(super) fn respond(
        &mut self,
        now: SimTime,
        branch: &str,
        method: &str,
        status: u16,
        body: Option<String>,
        out: &mut Outbox,
    ) {
        let (tag, contact) = (self.local_tag.clone(), self.contact());
        let (manual, updates) = (self.plan.manual, self.plan.updates);
        let extra = std::mem::take(&mut self.extra);
        let Some(server) = self
            .servers
            .iter_mut()
            .find(|s| s.branch == branch && s.method == method)
        else {
            return;
        };
        let text = build(
            &server.request,
            status,
            &tag,
            &contact,
            body.unwrap_or_default(),
        );
        let text = if updates && method == "INVITE" && status > 100 {
            text.with("Allow", ALLOW)
        } else {
            text
        };
        let text = extra
            .into_iter()
            .fold(text, |text, (name, value)| text.with(&name, value));
        let bytes = text.encode();
        server.response = Some(bytes.clone());
        if status >= 200 {
            server.final_status = Some(status);
            server.answered = now;
        }
        self.send(bytes, out);
        if status >= 200 && method == "INVITE" && !manual {
            self.arm(now + T1, Timer::Response(branch.to_owned()), out);
        }
    }

    /// The connection broke: what was said last to an INVITE that is not answered yet may be lost, and
    /// no timer repeats it (RFC 3261 §18.2.2).
    pub(crate) fn say_again(&self, out: &mut Outbox) {
        let pending = |server: &&Server| server.method == "INVITE" && server.final_status.is_none();
        for server in self.servers.iter().filter(pending) {
            if let Some(bytes) = &server.response
                && !self.plan.manual
            {
                self.send(bytes.clone(), out);
            }
        }
    }

    /// Timers G and H, and the same for a 2xx (RFC 3261 §13.3.1.4).
    pub(super) fn repeat_response(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        let Some(server) = self
            .servers
            .iter_mut()
            .find(|s| s.branch == branch && s.method == "INVITE")
        else {
            return;
        };
        if server.acknowledged {
            return;
        }
        let succeeded = server.final_status.is_some_and(|status| status < 300);
        if now.since(server.answered) >= TRANSACTION {
            if succeeded {
                self.hang_up(now, out);
            }
            return;
        }
        server.interval = (server.interval * 2).min(T2);
        let after: Duration = server.interval;
        if let Some(bytes) = server.response.clone() {
            self.send(bytes, out);
        }
        self.arm(now + after, Timer::Response(branch.to_owned()), out);
    }

    fn server(&self, branch: &str, method: &str) -> Option<&Server> {
        self.servers
            .iter()
            .find(|server| server.branch == branch && server.method == method)
    }
}

/// A response, without a dialog where need be.
pub(crate) fn build(request: &Text, status: u16, tag: &str, contact: &str, body: String) -> Text {
    let mut text = Text {
        start: format!("SIP/2.0 {status} {}", reason(status)),
        headers: Vec::new(),
        body,
    };
    for (name, value) in &request.headers {
        match name.as_str() {
            "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => {
                text.headers.push((name.clone(), value.clone()));
            }
            "To" if status == 100 || request.tag("To").is_some() => {
                text.headers.push((name.clone(), value.clone()));
            }
            "To" => text
                .headers
                .push((name.clone(), format!("{value};tag={tag}"))),
            _ => {}
        }
    }
    if matches!(request.request_method(), Some("INVITE" | "UPDATE")) && status < 300 {
        text = text.with("Contact", contact);
    }
    text
}

const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        404 => "Not Found",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Whatever",
    }
}
