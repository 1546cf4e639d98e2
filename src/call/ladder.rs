//! The SIP messages of each call, as they came and left: what an operator looks at when a call went
//! wrong.
//!
//! Owned here: which message is of which call (by its Call-ID), how much is kept, and for how long.
//! Octets are kept as they are; they are read and masked when somebody asks
//! ([`LadderMessage::redacted`] is the only way to them).

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memchr;

use crate::log::redact;

/// Messages of one call; then the oldest go.
pub const MESSAGES_MAX: usize = 128;
/// Octets of one call; then the oldest messages go.
pub const CALL_OCTETS_MAX: usize = 64 * 1_024;
/// Octets of one message; the rest is cut off.
pub const MESSAGE_OCTETS_MAX: usize = 8 * 1_024;
/// Octets of all calls. Calls that are over go first, then the oldest messages of whoever adds. A
/// call of 14 messages keeps about 8 KiB, so that this is 2,000 of them.
pub const TOTAL_OCTETS_MAX: usize = 16 * 1_024 * 1_024;
/// How long the messages of a call are kept after its end.
pub const LIFE: Duration = Duration::from_secs(300);
/// Messages of one input whose call is not known yet.
const STRAYS_MAX: usize = 4;
/// What a message costs beside its octets.
const OVERHEAD: usize = size_of::<Message>() + 16;
const _: () = assert!(MESSAGE_OCTETS_MAX + OVERHEAD < CALL_OCTETS_MAX);
const _: () = assert!(CALL_OCTETS_MAX < TOTAL_OCTETS_MAX);

/// A message and how it went.
#[derive(Debug, Clone)]
struct Message {
    at: Timestamp,
    peer: SocketAddr,
    is_sent: bool,
    is_cut: bool,
    octets: Box<[u8]>,
}

impl Message {
    const fn cost(&self) -> usize {
        self.octets.len() + OVERHEAD
    }
}

/// The messages of all calls. Off: it keeps nothing and costs nothing.
#[derive(Debug)]
pub(super) struct Ladders {
    is_on: bool,
    /// Call-IDs chosen by a peer to be like another's find nothing: this is not known to them.
    seed: [u8; 32],
    /// By a call's age.
    ladders: BTreeMap<u64, Ladder>,
    by_call_id: BTreeMap<u64, u64>,
    by_id: BTreeMap<u128, u64>,
    over: VecDeque<(Instant, u64)>,
    octets: usize,
    strays: Vec<(u64, Message)>,
    /// Messages that were let go of before their time.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Ladder {
    id: u128,
    call_ids: Vec<u64>,
    messages: VecDeque<Message>,
    octets: usize,
    dropped: u32,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To us.
    Received,
    /// From us.
    Sent,
}

impl Ladders {
    pub(super) const fn new(is_on: bool, seed: [u8; 32]) -> Self {
        Self {
            is_on,
            seed,
            ladders: BTreeMap::new(),
            by_call_id: BTreeMap::new(),
            by_id: BTreeMap::new(),
            over: VecDeque::new(),
            octets: 0,
            strays: Vec::new(),
            dropped: 0,
        }
    }

    /// A new input: what no call claimed of the last one is nobody's.
    pub(super) fn turn(&mut self) {
        self.strays.clear();
    }

    /// A call begins.
    pub(super) fn begin(&mut self, age: u64, id: &str) {
        let Some(id) = super::live::number(id).filter(|_| self.is_on) else {
            return;
        };
        self.by_id.insert(id, age);
        let ladder = Ladder {
            id,
            call_ids: Vec::new(),
            messages: VecDeque::new(),
            octets: 0,
            dropped: 0,
        };
        self.ladders.insert(age, ladder);
    }

    /// Messages with this Call-ID are this call's, those of this very input too.
    pub(super) fn claim(&mut self, age: u64, call_id: &[u8]) {
        if self.is_on {
            let hash = self.hash(call_id);
            self.claim_hash(age, hash);
        }
    }

    fn claim_hash(&mut self, age: u64, hash: u64) {
        let Some(ladder) = self.ladders.get_mut(&age) else {
            return;
        };
        ladder.call_ids.push(hash);
        self.by_call_id.insert(hash, age);
        for (stray, message) in std::mem::take(&mut self.strays) {
            if stray == hash {
                self.keep(age, message);
            }
        }
    }

    /// The call is over; its messages are kept a while.
    pub(super) fn end(&mut self, age: u64, now: Instant) {
        if self.ladders.contains_key(&age) {
            self.over.push_back((now, age));
        }
        self.forget_old(now);
    }

    /// A message. `began`: the call that a new Call-ID of ours is of.
    pub(super) fn note(
        &mut self,
        at: Timestamp,
        peer: SocketAddr,
        way: Way,
        octets: &[u8],
        began: Option<u64>,
    ) {
        if !self.is_on {
            return;
        }
        let Some(call_id) = call_id(octets) else {
            return;
        };
        let hash = self.hash(call_id);
        let known = self.by_call_id.get(&hash).copied();
        if known.is_none() && !is_about_invite(octets) {
            return;
        }
        let cut = octets.get(..MESSAGE_OCTETS_MAX).unwrap_or(octets);
        let message = Message {
            at,
            peer,
            is_sent: way == Way::Sent,
            is_cut: cut.len() < octets.len(),
            octets: cut.into(),
        };
        match (known, way, began) {
            (Some(age), _, _) => self.keep(age, message),
            (None, Way::Sent, Some(age)) if octets.starts_with(b"INVITE ") => {
                self.claim_hash(age, hash);
                self.keep(age, message);
            }
            (None, _, _) if self.strays.len() < STRAYS_MAX => self.strays.push((hash, message)),
            (None, _, _) => self.dropped += 1,
        }
    }

    fn keep(&mut self, age: u64, message: Message) {
        let cost = message.cost();
        while self.octets + cost > TOTAL_OCTETS_MAX
            && let Some((_, oldest)) = self.over.pop_front()
        {
            self.forget(oldest);
        }
        let Some(ladder) = self.ladders.get_mut(&age) else {
            self.dropped += 1;
            return;
        };
        while ladder.messages.len() >= MESSAGES_MAX
            || ladder.octets + cost > CALL_OCTETS_MAX
            || self.octets + cost > TOTAL_OCTETS_MAX
        {
            self.dropped += 1;
            ladder.dropped += 1;
            let Some(oldest) = ladder.messages.pop_front() else {
                return;
            };
            ladder.octets -= oldest.cost();
            self.octets -= oldest.cost();
        }
        ladder.octets += cost;
        self.octets += cost;
        ladder.messages.push_back(message);
    }

    fn forget_old(&mut self, now: Instant) {
        let old = |(since, _): &mut (Instant, u64)| now.saturating_duration_since(*since) >= LIFE;
        while let Some((_, age)) = self.over.pop_front_if(old) {
            self.forget(age);
        }
    }

    fn forget(&mut self, age: u64) {
        let Some(ladder) = self.ladders.remove(&age) else {
            return;
        };
        self.octets -= ladder.octets;
        self.by_id.remove(&ladder.id);
        for hash in ladder.call_ids {
            if self.by_call_id.get(&hash) == Some(&age) {
                self.by_call_id.remove(&hash);
            }
        }
    }

    /// What is kept of a call, in order.
    pub(super) fn show(&self, id: &str) -> Option<LadderView> {
        let ladder = self
            .ladders
            .get(self.by_id.get(&super::live::number(id)?)?)?;
        let messages = ladder.messages.iter();
        Some(LadderView {
            call: id.to_owned(),
            dropped: ladder.dropped,
            messages: messages
                .map(|message| LadderMessage(message.clone()))
                .collect(),
        })
    }

    /// Octets that all messages take.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn check_invariants(&self) {
        let sum: usize = self.ladders.values().map(|ladder| ladder.octets).sum();
        assert_eq!(sum, self.octets, "octets of all ladders");
        assert!(self.octets <= TOTAL_OCTETS_MAX, "bounded");
        assert_eq!(self.by_id.len(), self.ladders.len(), "each is found");
    }

    fn hash(&self, call_id: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.seed);
        hasher.write(call_id);
        hasher.finish()
    }
}

/// The messages of a call.
#[derive(Debug, Clone)]
pub struct LadderView {
    /// Its id.
    pub call: String,
    /// Messages that were let go of: the oldest.
    pub dropped: u32,
    /// The others, in order.
    pub messages: Vec<LadderMessage>,
}

impl PartialEq for LadderView {
    fn eq(&self, other: &Self) -> bool {
        self.call == other.call && self.messages.len() == other.messages.len()
    }
}

/// A message of a call. Nothing of it is read before somebody asks.
#[derive(Debug, Clone)]
pub struct LadderMessage(Message);

impl LadderMessage {
    /// When.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.0.at
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Which way.
    #[must_use]
    pub const fn way(&self) -> Way {
        if self.0.is_sent {
            Way::Sent
        } else {
            Way::Received
        }
    }

    /// Only its beginning was kept.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.0.is_cut
    }

    /// The message without what must not be seen: answers to challenges, nonces, keys of media, digits.
    #[must_use]
    pub fn redacted(&self) -> String {
        String::from_utf8_lossy(&redact::message(&self.0.octets)).into_owned()
    }
}

/// The value of the header Call-ID, or its compact form `i` (RFC 3261 §20.8). Read by its line only:
/// whatever else a message is, it is not judged here.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message;
    loop {
        let end = memchr(b'\n', rest)?;
        let (line, after) = rest.split_at_checked(end + 1)?;
        if line.len() <= 2 {
            return None;
        }
        if let Some(value) = value_of(line) {
            return Some(value.trim_ascii());
        }
        rest = after;
    }
}

fn value_of(line: &[u8]) -> Option<&[u8]> {
    let first = *line.first()?;
    if !matches!(first, b'C' | b'c' | b'I' | b'i') {
        return None;
    }
    let colon = memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii();
    let is_call_id = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
    is_call_id.then(|| value.get(1..)).flatten()
}

/// An INVITE, or a response: what may come before its call is known.
fn is_about_invite(message: &[u8]) -> bool {
    message.starts_with(b"INVITE ") || message.starts_with(b"SIP/2.0 ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.1:5060";

    fn message(method: &str, call_id: &str, padding: usize) -> Vec<u8> {
        let padding = "x".repeat(padding);
        format!("{method} sip:x SIP/2.0\r\nVia: v\r\nCall-ID: {call_id}\r\nX: {padding}\r\n\r\n")
            .into_bytes()
    }

    fn note(ladders: &mut Ladders, way: Way, octets: &[u8], began: Option<u64>) {
        let peer = PEER.parse().unwrap();
        ladders.note(Timestamp::UNIX_EPOCH, peer, way, octets, began);
        ladders.check_invariants();
    }

    fn id(number: u64) -> String {
        format!("{number:032x}")
    }

    fn shown(ladders: &Ladders, number: u64) -> Vec<String> {
        let view = ladders.show(&id(number));
        let messages = view.map(|view| view.messages).unwrap_or_default();
        let start = |message: &LadderMessage| {
            let text = message.redacted();
            text.split(' ').next().unwrap().to_owned()
        };
        messages.iter().map(start).collect()
    }

    #[test]
    fn messages_go_to_their_call_from_the_first_one_on() {
        let mut ladders = Ladders::new(true, [1; 32]);
        note(
            &mut ladders,
            Way::Received,
            &message("INVITE", "a1", 0),
            None,
        );
        note(
            &mut ladders,
            Way::Received,
            &message("OPTIONS", "p", 0),
            None,
        );
        ladders.begin(1, &id(1));
        ladders.claim(1, b"a1");
        note(
            &mut ladders,
            Way::Sent,
            &message("INVITE", "b1", 0),
            Some(1),
        );
        note(
            &mut ladders,
            Way::Received,
            b"SIP/2.0 200 OK\r\ni:  b1 \r\n\r\n",
            None,
        );
        ladders.turn();
        note(&mut ladders, Way::Received, &message("BYE", "a1", 0), None);
        note(
            &mut ladders,
            Way::Received,
            &message("BYE", "other", 0),
            None,
        );
        assert_eq!(shown(&ladders, 1), ["INVITE", "INVITE", "SIP/2.0", "BYE"]);
        assert_eq!(shown(&ladders, 2), [""; 0]);
    }

    #[test]
    fn one_call_keeps_its_latest_messages() {
        let mut ladders = Ladders::new(true, [1; 32]);
        ladders.begin(1, &id(1));
        ladders.claim(1, b"a");
        for _ in 0..=MESSAGES_MAX {
            note(&mut ladders, Way::Sent, &message("INFO", "a", 0), None);
        }
        assert_eq!(shown(&ladders, 1).len(), MESSAGES_MAX);
        for _ in 0..20 {
            note(&mut ladders, Way::Sent, &message("BYE", "a", 9_000), None);
        }
        let view = ladders.show(&id(1)).unwrap();
        assert!(view.messages.iter().all(|message| message.is_cut()));
        assert_eq!(view.messages.len(), 7, "64 KiB of 8 KiB each");
        assert!(view.dropped > 100);
    }

    #[test]
    fn whatever_comes_the_total_is_bounded_and_calls_that_are_over_go_first() {
        let now = Instant::now();
        let mut ladders = Ladders::new(true, [1; 32]);
        let calls = 300;
        for age in 1..=calls {
            ladders.begin(age, &id(age));
            ladders.claim(age, age.to_string().as_bytes());
            for _ in 0..8 {
                let octets = message("INFO", &age.to_string(), 8_000);
                let peer = PEER.parse().unwrap();
                ladders.note(Timestamp::UNIX_EPOCH, peer, Way::Sent, &octets, None);
            }
            if age % 2 == 0 {
                ladders.end(age, now);
            }
        }
        ladders.check_invariants();
        assert!(ladders.octets() > TOTAL_OCTETS_MAX - CALL_OCTETS_MAX);
        assert_eq!(shown(&ladders, 2), [""; 0], "over, and the first to go");
        assert!(!shown(&ladders, 1).is_empty(), "up");
    }

    #[test]
    fn messages_are_kept_a_while_after_the_end() {
        let now = Instant::now();
        let mut ladders = Ladders::new(true, [1; 32]);
        ladders.begin(1, &id(1));
        ladders.claim(1, b"a");
        note(&mut ladders, Way::Received, &message("BYE", "a", 0), None);
        ladders.end(1, now);
        assert_eq!(shown(&ladders, 1), ["BYE"]);
        ladders.begin(2, &id(2));
        ladders.end(2, now + LIFE);
        assert_eq!(shown(&ladders, 1), [""; 0]);
        ladders.check_invariants();
        ladders.end(3, now + LIFE + LIFE);
        assert!(ladders.by_call_id.is_empty() && ladders.octets() == 0);
    }

    #[test]
    fn switched_off_it_keeps_nothing() {
        let mut ladders = Ladders::new(false, [1; 32]);
        ladders.begin(1, &id(1));
        ladders.claim(1, b"a");
        note(
            &mut ladders,
            Way::Received,
            &message("INVITE", "a", 0),
            None,
        );
        assert!(ladders.show(&id(1)).is_none());
        assert_eq!(ladders.octets(), 0);
    }

    #[test]
    fn call_id_is_found_in_both_forms_and_in_no_body() {
        for (text, found) in [
            ("INVITE x SIP/2.0\r\nCall-ID: a@b\r\n\r\n", Some("a@b")),
            ("INVITE x SIP/2.0\r\nCSeq: 1\r\ni :a\r\n\r\n", Some("a")),
            ("INVITE x SIP/2.0\r\n\r\ni: a\r\n", None),
            ("INVITE x SIP/2.0\nCALL-id:a\n\n", Some("a")),
            ("", None),
            ("i: a", None),
        ] {
            assert_eq!(call_id(text.as_bytes()), found.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn what_must_not_be_seen_is_masked() {
        let mut ladders = Ladders::new(true, [1; 32]);
        ladders.begin(1, &id(1));
        ladders.claim(1, b"a");
        let secret = "INVITE sip:x SIP/2.0\r\nCall-ID: a\r\nProxy-Authorization: Digest \
                      username=\"u\", nonce=\"n0nce\", response=\"c0ffee\"\r\nContent-Type: \
                      application/sdp\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:k3y\r\n";
        note(&mut ladders, Way::Sent, secret.as_bytes(), None);
        let info = "INFO sip:x SIP/2.0\r\nCall-ID: a\r\nContent-Type: application/dtmf-relay\r\n\r\n\
                    Signal=7\r\nDuration=160\r\n";
        note(&mut ladders, Way::Received, info.as_bytes(), None);
        let view = ladders.show(&id(1)).unwrap();
        let text: String = view.messages.iter().map(LadderMessage::redacted).collect();
        for hidden in ["n0nce", "c0ffee", "k3y", "Signal=7"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
        assert!(text.contains("INVITE sip:x SIP/2.0"));
    }
}
