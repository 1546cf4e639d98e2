//! The SIP messages of each call, as they came and left: what an operator looks at when a call went
//! wrong.
//!
//! Owned here: which message is of which call (by its Call-ID), how much is kept, and for how long.
//! Octets are kept as they are, in blocks that are there from the beginning; they are read and masked
//! when somebody asks ([`LadderMessage::redacted`] is the only way to them).

mod blocks;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memchr;

use self::blocks::{BLOCK_OCTETS, Blocks, Head, Index};
use crate::log::redact;

/// Messages of one call; then the oldest go.
pub const MESSAGES_MAX: usize = 128;
/// Octets of one call; then the oldest messages go.
pub const CALL_OCTETS_MAX: usize = 64 * 1_024;
/// Octets of one message; the rest is cut off.
pub const MESSAGE_OCTETS_MAX: usize = 8 * 1_024;
/// Octets of all calls, taken at the start of a node. Calls that are over go first, then the oldest
/// messages of whoever adds. A call of 14 messages keeps about 11 KiB, so that this is 1,500 of them.
pub const TOTAL_OCTETS_MAX: usize = 16 * 1_024 * 1_024;
/// How long the messages of a call are kept after its end.
pub const LIFE: Duration = Duration::from_secs(300);
/// Messages of one input whose call is not known yet.
const STRAYS_MAX: usize = 4;
const _: () = assert!(MESSAGE_OCTETS_MAX <= CALL_OCTETS_MAX);
const _: () = assert!(CALL_OCTETS_MAX < TOTAL_OCTETS_MAX);

/// The messages of all calls. Off: it keeps nothing and costs nothing.
#[derive(Debug)]
pub(super) struct Ladders {
    blocks: Blocks,
    /// Call-IDs chosen by a peer to be like another's find nothing: this is not known to them.
    seed: [u8; 32],
    /// By a call's age.
    ladders: BTreeMap<u64, Ladder>,
    by_call_id: BTreeMap<u64, u64>,
    by_id: BTreeMap<u128, u64>,
    over: VecDeque<(Instant, u64)>,
    /// Messages of this input whose call is not known: its Call-ID, and how it came.
    strays: Vec<(u64, Head, Box<[u8]>)>,
    /// Messages that were let go of before their time.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Ladder {
    id: u128,
    call_ids: Vec<u64>,
    first: Option<Index>,
    last: Option<Index>,
    messages: usize,
    blocks: usize,
    dropped: u32,
}

impl Ladder {
    /// Lets its oldest message go; `false`: it has none.
    fn release_first(&mut self, blocks: &mut Blocks) -> bool {
        let Some(first) = self.first else {
            return false;
        };
        let (freed, next) = blocks.release(first);
        self.first = next;
        self.last = self.last.filter(|_| next.is_some());
        self.messages -= 1;
        self.blocks -= freed;
        true
    }

    /// Its messages, in order.
    fn messages<'a>(&self, blocks: &'a Blocks) -> impl Iterator<Item = Index> + use<'a> {
        std::iter::successors(self.first, |message| blocks.head(*message)?.next)
    }
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
    /// `octets`: how much is kept of all calls; 0: off.
    pub(super) fn new(octets: usize, seed: [u8; 32]) -> Self {
        Self {
            blocks: Blocks::new(octets.min(TOTAL_OCTETS_MAX)),
            seed,
            ladders: BTreeMap::new(),
            by_call_id: BTreeMap::new(),
            by_id: BTreeMap::new(),
            over: VecDeque::new(),
            strays: Vec::new(),
            dropped: 0,
        }
    }

    const fn is_on(&self) -> bool {
        self.blocks.count() > 0
    }

    /// A new input: what no call claimed of the last one is nobody's.
    pub(super) fn turn(&mut self) {
        self.strays.clear();
    }

    /// A call begins.
    pub(super) fn begin(&mut self, age: u64, id: &str) {
        let Some(id) = super::live::number(id).filter(|_| self.is_on()) else {
            return;
        };
        self.by_id.insert(id, age);
        let ladder = Ladder {
            id,
            call_ids: Vec::new(),
            first: None,
            last: None,
            messages: 0,
            blocks: 0,
            dropped: 0,
        };
        self.ladders.insert(age, ladder);
    }

    /// Messages with this Call-ID are this call's, those of this very input too.
    pub(super) fn claim(&mut self, age: u64, call_id: &[u8]) {
        if self.is_on() {
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
        for (stray, head, octets) in std::mem::take(&mut self.strays) {
            if stray == hash {
                self.keep(age, head, &octets);
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
        if !self.is_on() {
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
        let head = Head {
            at,
            peer,
            is_sent: way == Way::Sent,
            is_cut: cut.len() < octets.len(),
            length: 0,
            next: None,
        };
        match (known, way, began) {
            (Some(age), _, _) => self.keep(age, head, cut),
            (None, Way::Sent, Some(age)) if octets.starts_with(b"INVITE ") => {
                self.claim_hash(age, hash);
                self.keep(age, head, cut);
            }
            (None, _, _) if self.strays.len() < STRAYS_MAX => {
                self.strays.push((hash, head, cut.into()));
            }
            (None, _, _) => self.dropped += 1,
        }
    }

    fn keep(&mut self, age: u64, head: Head, octets: &[u8]) {
        let needed = Blocks::needed(octets.len());
        while self.blocks.free() < needed
            && let Some((_, oldest)) = self.over.pop_front()
        {
            self.forget(oldest);
        }
        let Some(ladder) = self.ladders.get_mut(&age) else {
            self.dropped += 1;
            return;
        };
        while ladder.messages >= MESSAGES_MAX
            || ladder.blocks + needed > CALL_OCTETS_MAX / BLOCK_OCTETS
            || self.blocks.free() < needed
        {
            self.dropped += 1;
            ladder.dropped += 1;
            if !ladder.release_first(&mut self.blocks) {
                return;
            }
        }
        let Some(kept) = self.blocks.keep(head, octets) else {
            debug_assert!(false, "there were enough blocks");
            return;
        };
        match ladder.last.replace(kept) {
            Some(last) => self.blocks.chain(last, kept),
            None => ladder.first = Some(kept),
        }
        ladder.messages += 1;
        ladder.blocks += needed;
    }

    fn forget_old(&mut self, now: Instant) {
        let old = |(since, _): &mut (Instant, u64)| now.saturating_duration_since(*since) >= LIFE;
        while let Some((_, age)) = self.over.pop_front_if(old) {
            self.forget(age);
        }
    }

    fn forget(&mut self, age: u64) {
        let Some(mut ladder) = self.ladders.remove(&age) else {
            return;
        };
        while ladder.release_first(&mut self.blocks) {}
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
        Some(LadderView {
            call: id.to_owned(),
            dropped: ladder.dropped,
            messages: ladder
                .messages(&self.blocks)
                .filter_map(|message| {
                    let head = *self.blocks.head(message)?;
                    let octets = self.blocks.read(message).into();
                    Some(LadderMessage { head, octets })
                })
                .collect(),
        })
    }

    /// Octets that all messages take.
    pub(super) const fn octets(&self) -> usize {
        (self.blocks.count() - self.blocks.free()) * BLOCK_OCTETS
    }

    pub(super) fn check_invariants(&self) {
        let mut used = 0;
        for ladder in self.ladders.values() {
            let messages = ladder.messages(&self.blocks);
            assert_eq!(messages.count(), ladder.messages, "each message is found");
            used += ladder.blocks;
        }
        assert_eq!(
            used,
            self.blocks.count() - self.blocks.free(),
            "no block is lost"
        );
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
pub struct LadderMessage {
    head: Head,
    octets: Box<[u8]>,
}

impl LadderMessage {
    /// When.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.head.at
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.head.peer
    }

    /// Which way.
    #[must_use]
    pub const fn way(&self) -> Way {
        if self.head.is_sent {
            Way::Sent
        } else {
            Way::Received
        }
    }

    /// Only its beginning was kept.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.head.is_cut
    }

    /// The message without what must not be seen: answers to challenges, nonces, keys of media, digits.
    #[must_use]
    pub fn redacted(&self) -> String {
        String::from_utf8_lossy(&redact::message(&self.octets)).into_owned()
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
mod tests;
