//! What only a flow makes a peer do: sessions of any shape, requests within the dialog, headers.

use std::net::{IpAddr, SocketAddr};

use super::leg::{Leg, Outbox, State};
use super::session::{self, Direction, video_line};
use super::text::Text;
use crate::time::SimTime;

/// A session that a line of a flow describes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// There is one at all.
    pub(crate) session: bool,
    /// Payload types in order; empty: those in use.
    pub(crate) payloads: Vec<u8>,
    /// The number of the key that it has (RFC 4568), and the tag of that; `None`: plain RTP.
    pub(crate) key: Option<(u8, u32)>,
    /// Its direction; `None`: of an offer both ways, of an answer what fits.
    pub(crate) direction: Option<Direction>,
    /// It has a video line; false: with port 0.
    pub(crate) video: Option<bool>,
    /// Another machine than before speaks (music on hold): its number.
    pub(crate) at: Option<u8>,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// A body that is no session, with its type.
    pub(crate) other_body: Option<(String, String)>,
}

impl Leg {
    /// A request: the first INVITE, one within the dialog, or a PRACK for the last reliable response.
    pub(crate) fn ask(&mut self, now: SimTime, method: &str, said: &Said, out: &mut Outbox) {
        if self.state == State::Idle {
            self.state = State::Inviting;
            self.history.invited_at = Some(now);
        }
        let mut extra = said.headers.clone();
        if method == "PRACK"
            && let Some(rack) = self.rack()
        {
            extra.push(("RAck".to_owned(), rack));
        }
        let body = self.said(said, false, &mut extra);
        self.extra = extra;
        self.request(now, method, body, out);
        self.extra.clear();
    }

    /// The ACK of the newest 2xx, with an answer where the line has one.
    pub(crate) fn acknowledge_with(&mut self, now: SimTime, said: &Said, out: &mut Outbox) -> bool {
        if !said.session {
            return self.acknowledge(now, out);
        }
        let mut extra = said.headers.clone();
        let body = self.said(said, true, &mut extra);
        self.extra = extra;
        let acknowledged = self.acknowledge_body(now, body, out);
        self.extra.clear();
        acknowledged
    }

    /// BYE, with the headers of its line.
    pub(crate) fn bye(&mut self, now: SimTime, said: &Said, out: &mut Outbox) {
        self.extra.clone_from(&said.headers);
        self.hang_up(now, out);
        self.extra.clear();
    }

    /// The body of a response, and the headers it shall have.
    pub(crate) fn response_body(&mut self, said: &Said) -> Option<String> {
        let mut extra = said.headers.clone();
        let body = self.said(said, true, &mut extra);
        self.extra = extra;
        (!body.is_empty()).then_some(body)
    }

    fn said(&mut self, said: &Said, answers: bool, extra: &mut Vec<(String, String)>) -> String {
        if let Some((kind, body)) = &said.other_body {
            extra.push(("Content-Type".to_owned(), kind.clone()));
            return body.clone();
        }
        if !said.session {
            return String::new();
        }
        if let Some(at) = said.at {
            let ip = self.local.ip();
            self.media.move_to(machine(ip, at), &mut self.random);
        }
        let mut text = self.media.say(&said.payloads, said.direction, answers);
        if let Some((number, tag)) = said.key {
            text = session::with_key(&text, number, tag);
        }
        if let Some(video) = said.video {
            let port = self.media.local.port() + VIDEO_ABOVE;
            let port = if video { port } else { 0 };
            text.push_str(&video_line(port, self.media.direction));
        }
        text
    }

    /// RFC 3262 §7.2, of the reliable response that came last.
    fn rack(&self) -> Option<String> {
        let reliable = |message: &Text| {
            let number = message.header("RSeq")?;
            Some(format!("{number} {}", message.header("CSeq")?))
        };
        self.inbox
            .iter()
            .rev()
            .find_map(|received| reliable(&received.message))
    }
}

/// How far above its audio port a peer has its video port.
const VIDEO_ABOVE: u16 = 10_000;

/// Another machine of the same site.
pub(super) fn machine(ip: IpAddr, at: u8) -> SocketAddr {
    let port = 40_000 + 2 * u16::from(at);
    let IpAddr::V4(address) = ip else {
        return SocketAddr::new(ip, port);
    };
    let [first, second, _, last] = address.octets();
    SocketAddr::from(([first, second, 100 + at, last], port))
}
