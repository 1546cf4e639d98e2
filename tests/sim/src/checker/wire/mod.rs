//! SIP at the gateway's edge: what leaves must fit what arrived, whatever the network lost between.
//!
//! Owns the rules of RFC 3261 §8, §9, §12, §13, §14 and §17 and RFC 3264 §8 that an observer can
//! judge without knowing what the gateway thinks. Times are those of the gateway's edge.

mod reliable;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::Violation;
use crate::peer::leg::TRANSACTION;
use crate::peer::session::Session;
use crate::peer::text::Text;
use crate::time::SimTime;

use reliable::Reliable;

type Checked = Result<(), Violation>;

/// All dialogs of a world, as seen at the gateway's edge.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    clients: BTreeMap<ClientKey, Client>,
    servers: BTreeMap<ServerKey, Server>,
    dialogs: BTreeMap<(String, String), Dialog>,
    /// Branches of ACKs with an answer.
    acknowledged: BTreeSet<String>,
    /// Peers that speak TCP.
    streams: BTreeSet<SocketAddr>,
    reliable: Reliable,
}

/// Call-ID, branch, method.
type ClientKey = (String, String, String);
/// Peer, Call-ID, branch, method.
type ServerKey = (SocketAddr, String, String, String);

/// A request that the gateway sent.
#[derive(Debug)]
struct Client {
    first: SimTime,
    bytes: Vec<u8>,
    number: u32,
    provisional: bool,
    final_status: Option<u16>,
    final_tag: Option<String>,
}

/// A request that the gateway got.
#[derive(Debug)]
struct Server {
    first: SimTime,
    number: u32,
    offered: Option<Session>,
    to_tag: Option<String>,
    from_tag: String,
    responses: BTreeMap<u16, Vec<u8>>,
    answered: Option<(u16, SimTime)>,
    tag: Option<String>,
    /// What the gateway described under each of its tags.
    described: BTreeMap<String, String>,
    /// A reliable response had the answer (RFC 3262): the 2xx needs none.
    answered_reliably: bool,
    acknowledged: bool,
    /// The same request came again and was not answered since.
    asked_again: bool,
}

/// What the gateway said in a dialog: Call-ID and its own tag.
#[derive(Debug, Default)]
struct Dialog {
    number: u32,
    byes: Option<String>,
    session: Option<(u64, String)>,
}

/// How long a request that is no INVITE may wait for its response at the gateway.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// An UPDATE with an offer waits for the other side's answer, and not for longer than its sender does
/// (RFC 3311 §5.2).
const UPDATE_WITHIN: Duration = Duration::from_secs(25);

impl Wire {
    /// This peer speaks TCP.
    pub(crate) fn add_stream(&mut self, peer: SocketAddr) {
        let _ = self.streams.insert(peer);
    }

    /// A datagram reached the gateway from a peer that it listens to.
    pub(crate) fn arrived(&mut self, now: SimTime, peer: SocketAddr, message: &Text) {
        self.reliable.arrived(message);
        let call_id = message.call_id().to_owned();
        let branch = message.branch().to_owned();
        let about = message.about().to_owned();
        if let Some(status) = message.status() {
            let Some(client) = self.clients.get_mut(&(call_id, branch, about)) else {
                return;
            };
            if status < 200 {
                client.provisional = true;
            } else if client.final_status.is_none() {
                client.final_status = Some(status);
                client.final_tag = message.tag("To").map(str::to_owned);
            }
            return;
        }
        if about == "ACK" {
            let number = message.cseq().map_or(0, |(number, _)| number);
            for ((_, id, _, method), server) in &mut self.servers {
                if *id == call_id && method == "INVITE" && server.number == number {
                    server.acknowledged = true;
                }
            }
            return;
        }
        let key = (peer, call_id, branch, about);
        // RFC 3261 §17.2.2: timer J is zero. Whoever asks again by a new connection asks anew.
        let is_over = |server: &Server| server.answered.is_some();
        if self.streams.contains(&peer)
            && key.3 != "INVITE"
            && self.servers.get(&key).is_some_and(is_over)
        {
            let _ = self.servers.remove(&key);
        }
        self.servers
            .entry(key)
            .and_modify(|server| server.asked_again = true)
            .or_insert_with(|| Server {
                first: now,
                number: message.cseq().map_or(0, |(number, _)| number),
                offered: Session::read(&message.body),
                to_tag: message.tag("To").map(str::to_owned),
                from_tag: message.tag("From").unwrap_or("").to_owned(),
                responses: BTreeMap::new(),
                answered: None,
                tag: None,
                described: BTreeMap::new(),
                answered_reliably: false,
                acknowledged: false,
                asked_again: false,
            });
    }

    /// The gateway sends this.
    pub(crate) fn sends(&mut self, now: SimTime, peer: SocketAddr, bytes: &[u8]) -> Checked {
        let Some(message) = Text::parse(bytes) else {
            return Err(Violation::of_world(format!(
                "the gateway sends what a peer cannot read: {}",
                String::from_utf8_lossy(bytes)
            )));
        };
        let complaint = if message.status().is_some() {
            self.sends_response(now, peer, &message, bytes)
        } else {
            self.sends_request(now, &message, bytes)
        };
        complaint.map_err(|text| {
            let text = format!("{text}: {}", message.summary());
            Violation::of_dialog(message.call_id(), text)
        })
    }

    fn sends_request(&mut self, now: SimTime, message: &Text, bytes: &[u8]) -> Result<(), String> {
        let method = message.request_method().unwrap_or("").to_owned();
        check_shape(message, &method)?;
        let (number, _) = message.cseq().ok_or("a request without CSeq")?;
        let call_id = message.call_id().to_owned();
        let tag = message.tag("From").unwrap_or("").to_owned();
        let key = (call_id.clone(), message.branch().to_owned(), method.clone());
        if method == "ACK" {
            return self.sends_ack(&call_id, message, number);
        }
        if let Some(client) = self.clients.get(&key) {
            return repeats(client, now, &method, bytes);
        }
        if method == "CANCEL" {
            self.check_cancel(&key, number)?;
        } else {
            self.check_new_request(&call_id, &tag, message, number)?;
        }
        let client = Client {
            first: now,
            bytes: bytes.to_vec(),
            number,
            provisional: false,
            final_status: None,
            final_tag: None,
        };
        let _ = self.clients.insert(key, client);
        Ok(())
    }

    /// RFC 3261 §9.1.
    fn check_cancel(&self, key: &ClientKey, number: u32) -> Result<(), String> {
        let invite = self
            .clients
            .get(&(key.0.clone(), key.1.clone(), "INVITE".to_owned()))
            .ok_or("a CANCEL for no INVITE of this branch")?;
        if invite.number != number {
            return Err("a CANCEL with another CSeq number than its INVITE".to_owned());
        }
        if !invite.provisional {
            return Err("a CANCEL before any provisional response".to_owned());
        }
        if invite.final_status.is_some() {
            return Err("a CANCEL after the final response had come".to_owned());
        }
        Ok(())
    }

    fn check_new_request(
        &mut self,
        call_id: &str,
        tag: &str,
        message: &Text,
        number: u32,
    ) -> Result<(), String> {
        let method = message.request_method().unwrap_or("");
        self.reliable.asks(message)?;
        if method == "INVITE" {
            self.check_exchange(call_id, tag)?;
            if message.tag("To").is_none_or(str::is_empty) {
                self.check_dialled(call_id)?;
            }
        }
        let dialog = self
            .dialogs
            .entry((call_id.to_owned(), tag.to_owned()))
            .or_default();
        if number <= dialog.number {
            return Err(format!(
                "CSeq {number} after {} (RFC 3261 §12.2.1.1)",
                dialog.number
            ));
        }
        dialog.number = number;
        // Each early dialog of a fork is a dialog of its own; the other side's tag tells them apart.
        let remote = message.tag("To").unwrap_or("").to_owned();
        if method == "BYE" && dialog.byes.replace(remote.clone()) == Some(remote) {
            return Err("a second BYE in one dialog".to_owned());
        }
        // The body of INFO is no session.
        if message.about() == "INFO" {
            return Ok(());
        }
        check_session(dialog, &message.body)
    }

    /// Without a To tag it is a new call to whoever gets it. Only an attempt is one, whose dialog has no
    /// peer yet, and nobody makes an attempt without the guard's `Cleared`.
    fn check_dialled(&self, call_id: &str) -> Result<(), String> {
        let is_invite = |id: &str, method: &str| id == call_id && method == "INVITE";
        let mut servers = self.servers.keys();
        let is_callers = servers.any(|(_, id, _, method)| is_invite(id, method));
        let is_answered = self.clients.iter().any(|((id, _, method), client)| {
            is_invite(id, method) && client.final_status.is_some_and(|status| status < 300)
        });
        if is_callers || is_answered {
            return Err("an INVITE without a To tag that nobody dialled".to_owned());
        }
        Ok(())
    }

    /// RFC 3261 §14.1: no INVITE while another one is open in the dialog, in either direction.
    fn check_exchange(&self, call_id: &str, tag: &str) -> Result<(), String> {
        let ours = self.clients.iter().any(|((id, _, method), client)| {
            id == call_id && method == "INVITE" && client.final_status.is_none()
        });
        let theirs = self.servers.iter().any(|((_, id, _, method), server)| {
            id == call_id
                && method == "INVITE"
                && server.answered.is_none()
                && server.to_tag.as_deref().is_none_or(|given| given == tag)
        });
        if ours || theirs {
            return Err("an INVITE while another one is open in its dialog".to_owned());
        }
        Ok(())
    }

    fn sends_ack(&mut self, call_id: &str, message: &Text, number: u32) -> Result<(), String> {
        let invite = self
            .clients
            .iter()
            .find(|((id, _, method), client)| {
                id == call_id && method == "INVITE" && client.number == number
            })
            .ok_or("an ACK for no INVITE")?;
        let ((_, branch, _), client) = invite;
        let status = client
            .final_status
            .ok_or("an ACK before a final response")?;
        let same_branch = branch == message.branch();
        if (status >= 300) != same_branch {
            return Err(format!(
                "an ACK for {status} with the wrong branch (RFC 3261 §17.1.1.3)"
            ));
        }
        if status >= 300 && message.tag("To") != client.final_tag.as_deref() {
            return Err("an ACK with another To tag than the response".to_owned());
        }
        // The answer to an offer that a 2xx brought (RFC 3261 §13.2.2.4); the same octets come again.
        let tag = message.tag("From").unwrap_or("").to_owned();
        let is_known =
            message.body.is_empty() || !self.acknowledged.insert(message.branch().to_owned());
        if is_known {
            return Ok(());
        }
        let dialog = self.dialogs.entry((call_id.to_owned(), tag)).or_default();
        check_session(dialog, &message.body)
    }

    fn sends_response(
        &mut self,
        now: SimTime,
        peer: SocketAddr,
        message: &Text,
        bytes: &[u8],
    ) -> Result<(), String> {
        let status = message.status().unwrap_or(0);
        let about = message.about().to_owned();
        let call_id = message.call_id().to_owned();
        let key = (
            peer,
            call_id.clone(),
            message.branch().to_owned(),
            about.clone(),
        );
        let server = self
            .servers
            .get_mut(&key)
            .ok_or("a response to nothing that peer asked")?;
        if message.tag("From") != Some(&server.from_tag) {
            return Err("a response with another From tag".to_owned());
        }
        if let Some((answered, first)) = server.answered {
            if about == "INVITE" && server.acknowledged && !server.asked_again {
                return Err("a response after its ACK had come".to_owned());
            }
            if status != answered {
                return Err(format!("a response after the final {answered}"));
            }
            if about == "INVITE" && now.since(first) > TRANSACTION + Duration::from_millis(1) {
                return Err("a final response repeated after more than 64·T1".to_owned());
            }
        }
        if let Some(before) = server.responses.get(&status)
            && status >= 200
            && before != bytes
        {
            return Err("a repeated final response with other octets".to_owned());
        }
        server.asked_again = false;
        let before = server.responses.insert(status, bytes.to_vec());
        let again = before.is_some_and(|before| before == bytes);
        if status >= 200 {
            let first = server.answered.filter(|(before, _)| *before == status);
            server.answered = Some(first.unwrap_or((status, now)));
        }
        if again || status == 100 {
            return Ok(());
        }
        let tag = message
            .tag("To")
            .ok_or("a response above 100 without a To tag")?
            .to_owned();
        server.takes_tag(&tag, &about, &message.body)?;
        if matches!(about.as_str(), "UPDATE" | "PRACK") {
            return self.check_answer_within(&key, (call_id, tag), message, status);
        }
        if about != "INVITE" {
            return Ok(());
        }
        self.reliable.answers(message)?;
        server.answered_reliably |= message.header("RSeq").is_some() && !message.body.is_empty();
        let owes_body = (200..300).contains(&status) && !server.answered_reliably;
        if owes_body && message.body.is_empty() {
            return Err("a 2xx to INVITE without an answer or offer".to_owned());
        }
        if (200..300).contains(&status) && message.contact_uri().is_none() {
            return Err("a 2xx to INVITE without Contact".to_owned());
        }
        if let (Some(offered), Some(answer)) = (&server.offered, Session::read(&message.body)) {
            check_answer(offered, &answer)?;
        }
        check_session(
            self.dialogs.entry((call_id, tag)).or_default(),
            &message.body,
        )
    }

    /// RFC 3311 §5.2: the 2xx to an UPDATE answers its offer.
    fn check_answer_within(
        &mut self,
        key: &ServerKey,
        dialog: (String, String),
        message: &Text,
        status: u16,
    ) -> Result<(), String> {
        let offered = self
            .servers
            .get(key)
            .and_then(|server| server.offered.as_ref());
        if let Some(offered) = offered.filter(|_| status < 300) {
            let answer = Session::read(&message.body);
            let answer = answer.ok_or("a 2xx without the answer to its offer")?;
            check_answer(offered, &answer)?;
        }
        check_session(self.dialogs.entry(dialog).or_default(), &message.body)
    }

    /// Nothing is left open once the world is at rest.
    pub(crate) fn finish(&self, now: SimTime, is_struck: impl Fn(&str) -> bool) -> Checked {
        for ((_, call_id, _, method), server) in &self.servers {
            if is_struck(call_id) {
                continue;
            }
            let within = if method == "UPDATE" && server.offered.is_some() {
                UPDATE_WITHIN
            } else {
                ANSWER_WITHIN
            };
            let complaint = match server.answered {
                None if method == "INVITE" || now.since(server.first) > within => {
                    format!("{method} of {} was never answered", server.first)
                }
                Some((_, at)) if method != "INVITE" && at.since(server.first) > within => {
                    format!("{method} of {} was answered only at {at}", server.first)
                }
                None | Some(_) => continue,
            };
            return Err(Violation::of_dialog(call_id, complaint));
        }
        Ok(())
    }
}

impl Server {
    /// One tag a request; but an INVITE that makes a dialog may make several, as if it were forked:
    /// one for each answer, because within a dialog the first one counts (RFC 3261 §13.2.1).
    fn takes_tag(&mut self, tag: &str, about: &str, body: &str) -> Result<(), String> {
        let expected = self.to_tag.as_ref().or(self.tag.as_ref());
        if let Some(expected) = expected.filter(|expected| *expected != tag) {
            let before = self.described.get(expected);
            let is_another = before.is_some_and(|before| *before != without_origin(body));
            if self.to_tag.is_some() || about != "INVITE" || body.is_empty() || !is_another {
                return Err("two To tags in responses to one request".to_owned());
            }
        }
        self.tag = Some(tag.to_owned());
        if about != "INVITE" || body.is_empty() {
            return Ok(());
        }
        let said = without_origin(body);
        let before = self
            .described
            .entry(tag.to_owned())
            .or_insert_with(|| said.clone());
        if *before != said {
            return Err("two answers in one dialog (RFC 3261 §13.2.1)".to_owned());
        }
        Ok(())
    }
}

/// A description without the line whose version rises.
fn without_origin(body: &str) -> String {
    body.lines()
        .filter(|line| !line.starts_with("o="))
        .collect::<Vec<_>>()
        .join("\n")
}

fn check_shape(message: &Text, method: &str) -> Result<(), String> {
    if !message.branch().starts_with("z9hG4bK") {
        return Err("a request without an RFC 3261 branch".to_owned());
    }
    if message.all("Via").count() != 1 {
        return Err("a B2BUA's request with more than its own Via".to_owned());
    }
    if message.tag("From").is_none() {
        return Err("a request without a From tag".to_owned());
    }
    for name in ["Max-Forwards", "To", "Call-ID"] {
        if message.header(name).is_none() {
            return Err(format!("a request without {name}"));
        }
    }
    if method == "INVITE" && message.contact_uri().is_none() {
        return Err("an INVITE without Contact".to_owned());
    }
    Ok(())
}

fn repeats(client: &Client, now: SimTime, method: &str, bytes: &[u8]) -> Result<(), String> {
    if client.bytes != bytes {
        return Err("a retransmission with other octets".to_owned());
    }
    if now.since(client.first) > TRANSACTION + Duration::from_millis(1) {
        return Err("a request repeated after more than 64·T1".to_owned());
    }
    if client.final_status.is_some() {
        return Err("a request repeated after its final response".to_owned());
    }
    if method == "INVITE" && client.provisional {
        return Err("an INVITE repeated after a provisional response".to_owned());
    }
    Ok(())
}

/// RFC 3264 §6.1: an answer takes from the offer, and only sends where the offerer listens.
fn check_answer(offered: &Session, answer: &Session) -> Result<(), String> {
    if let Some(payload) = answer
        .payloads
        .iter()
        .find(|given| !offered.payloads.contains(given))
    {
        return Err(format!(
            "an answer with payload type {payload}, which was not offered"
        ));
    }
    let has_video = |session: &Session| session.video.is_some_and(|port| port != 0);
    if answer.video.is_some() != offered.video.is_some() || has_video(answer) && !has_video(offered)
    {
        return Err(format!(
            "an answer with video {:?} to an offer with {:?}",
            answer.video, offered.video
        ));
    }
    let (offers, answers) = (offered.direction, answer.direction);
    let sends_to_deaf = answers.sends() && !offers.receives();
    let listens_to_mute = answers.receives() && !offers.sends();
    if sends_to_deaf || listens_to_mute {
        return Err(format!("an answer {answers:?} to an offer {offers:?}"));
    }
    Ok(())
}

/// RFC 3264 §8: another description, another version, one higher.
fn check_session(dialog: &mut Dialog, body: &str) -> Result<(), String> {
    if body.is_empty() {
        return Ok(());
    }
    let session = Session::read(body).ok_or("a session that a peer cannot read")?;
    if let Some((version, before)) = &dialog.session {
        if before != body && session.version == *version {
            return Err(format!(
                "another description under the same version {version}"
            ));
        }
        if session.version < *version || session.version > version + 1 {
            return Err(format!(
                "version {} after {version} (RFC 3264 §8)",
                session.version
            ));
        }
    }
    dialog.session = Some((session.version, body.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests;
