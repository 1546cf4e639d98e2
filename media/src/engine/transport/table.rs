//! The transports of one worker, and how a datagram finds its own.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use arrayvec::ArrayVec;
use packet_io::{PacketBuf, SocketKey};

use crate::command::{TransportFailure, TransportPlan};
use crate::dtls::{KeyExchanging, POLL_BUFFER_SIZE};
use crate::engine::secure::SecureLeg;
use crate::engine::transport::flights::Flights;
use crate::engine::transport::repeats::{Repeats, SpareChunks};
use crate::engine::transport::source_map::SourceMap;
use crate::ice::Agent;
use crate::ingress::{PeerAddress, RateGuard};
use crate::limits::{BUNDLE_SOURCES_MAX, HANDSHAKE_QUEUE_MAX, ICE_SOURCES_MAX};
use crate::rtp::Ssrc;
use crate::srtp::{SrtpPlan, Suite};

/// Every browser of a worker.
#[derive(Debug)]
pub(in crate::engine) struct Transports {
    /// The first slot that is a leg of a browser.
    pub(super) first: u32,
    pub(super) places: Vec<Place>,
    pub(super) by_fragment: BTreeMap<Box<[u8]>, u32>,
    pub(super) by_source: SourceMap,
    /// Addresses that authenticated checks came from: not where media goes, but a browser may begin its
    /// handshake there before it nominates, and go there before it says so.
    pub(super) by_check: BTreeMap<PeerAddress, u32>,
    pub(super) socket: Option<SocketKey>,
    pub(super) at: Option<SocketAddr>,
    /// The port is not open yet: when that is tried.
    pub(super) open_at_us: Option<u64>,
    /// Datagrams of handshakes that wait for their step.
    pub(super) queue: VecDeque<(u32, PeerAddress, PacketBuf)>,
    /// What handshakes write into.
    pub(super) scratch: Box<[u8; POLL_BUFFER_SIZE]>,
    /// Handshakes that have not come to keys yet.
    pub(super) handshakes: u32,
    /// Memory for pictures that may be missed.
    pub(super) spare_chunks: SpareChunks,
}

/// One slot of a browser's leg.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The slot of the audio of its transport; of audio the slot itself.
    pub(super) audio: Option<u32>,
    /// Of the slot of audio.
    pub(super) transport: Option<Box<Transport>>,
    /// What is reported next.
    pub(super) failure: Option<TransportFailure>,
}

/// How far a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is waited for.
    Expected,
    /// It goes on.
    UnderWay,
    /// Its keys hold.
    Keyed,
    /// It came to nothing, or its peer has ended what came of it.
    Over,
}

/// From when on a handshake is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited {
    pub(super) since_us: u64,
    /// The browser was nominated somewhere since: another place is no new time.
    is_nominated: bool,
}

impl Awaited {
    pub(super) const fn since(now_us: u64) -> Self {
        Self {
            since_us: now_us,
            is_nominated: false,
        }
    }

    /// The browser is nominated somewhere.
    pub(super) const fn nominate(&mut self, now_us: u64) {
        if !self.is_nominated {
            self.since_us = now_us;
            self.is_nominated = true;
        }
    }
}

/// One browser.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) plan: Box<TransportPlan>,
    pub(super) agent: Agent,
    /// Our fragments that lead here.
    pub(super) fragments: ArrayVec<Box<[u8]>, 2>,
    /// Where it is. Its packets lead here unless another browser speaks from there.
    pub(super) nominated: Option<PeerAddress>,
    /// It was nominated by checks alone since it has keys: until when something under them is waited for.
    pub(super) unproven_until_us: Option<u64>,
    /// Nothing came from there that was waited for: nothing more is sent to that host for checks.
    pub(super) barred: Option<PeerAddress>,
    /// Where something under keys came from last.
    pub(super) proven: Option<PeerAddress>,
    /// Where authenticated checks came from, the newest last.
    pub(super) checked: ArrayVec<PeerAddress, ICE_SOURCES_MAX>,
    /// Where it was, and until when it is still heard there.
    pub(super) former: Option<(PeerAddress, u64)>,
    /// Consent has expired, or nobody was nominated in time.
    pub(super) is_lost: bool,
    /// What was said of it since the last command.
    pub(super) failed: Option<TransportFailure>,
    pub(super) audio: u32,
    pub(super) video: Option<u32>,
    /// What an authenticated source of the browser carries: the slot of it. The newest last.
    pub(super) sources: ArrayVec<(Ssrc, u32), BUNDLE_SOURCES_MAX>,
    pub(super) handshake: Option<Box<dyn KeyExchanging>>,
    pub(super) stage: Stage,
    pub(super) awaited: Awaited,
    /// It was not begun because others are under way.
    pub(super) was_put_off: bool,
    /// Where its handshake was heard last.
    pub(super) handshake_at: Option<PeerAddress>,
    pub(super) flights: Flights,
    /// Its datagrams in the queue.
    pub(super) queued: u8,
    pub(super) keys: Option<Box<SrtpPlan>>,
    /// Of the video leg that went: under the same key no index is used twice.
    pub(super) video_before: Option<Box<SecureLeg>>,
    /// Pictures that left, while there is video.
    pub(super) repeats: Option<Box<Repeats>>,
    /// A report under keys came from where it is.
    pub(super) reported_us: u64,
    /// An authenticated check or report came.
    pub(super) heard_us: u64,
    pub(super) is_silent: bool,
    pub(super) guard: RateGuard,
    /// Of datagrams of handshakes after keys.
    pub(super) keyed_guard: RateGuard,
}

impl Transports {
    pub(in crate::engine) fn new(first: u32, legs: u32, key: u64) -> Self {
        let places = (0..legs).map(|_| Place::default()).collect();
        let has_legs = legs > 0;
        Self {
            first,
            places,
            by_fragment: BTreeMap::new(),
            by_check: BTreeMap::new(),
            by_source: SourceMap::new(2 * legs as usize, key),
            socket: None,
            at: None,
            open_at_us: has_legs.then_some(0),
            queue: VecDeque::with_capacity(if has_legs { HANDSHAKE_QUEUE_MAX } else { 0 }),
            scratch: scratch(),
            handshakes: 0,
            spare_chunks: SpareChunks::default(),
        }
    }

    /// True for a slot without ports of its own.
    #[inline]
    pub(in crate::engine) const fn is_bundled(&self, slot: u32) -> bool {
        slot >= self.first
    }

    /// The one socket.
    pub(in crate::engine) const fn socket(&self) -> Option<SocketKey> {
        self.socket
    }

    /// Its address.
    pub(in crate::engine) const fn at(&self) -> Option<SocketAddr> {
        self.at
    }

    /// Datagrams wait that need a step.
    pub(in crate::engine) fn has_steps(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When the port is to be opened.
    pub(in crate::engine) const fn open_at(&self) -> Option<u64> {
        self.open_at_us
    }

    #[inline]
    pub(super) fn place(&self, slot: u32) -> Option<&Place> {
        self.places.get(slot.checked_sub(self.first)? as usize)
    }

    #[inline]
    pub(super) fn place_mut(&mut self, slot: u32) -> Option<&mut Place> {
        self.places.get_mut(slot.checked_sub(self.first)? as usize)
    }

    /// The transport whose audio that is.
    #[inline]
    pub(super) fn of_audio(&self, slot: u32) -> Option<&Transport> {
        self.place(slot)?.transport.as_deref()
    }

    #[inline]
    pub(super) fn of_audio_mut(&mut self, slot: u32) -> Option<&mut Transport> {
        self.place_mut(slot)?.transport.as_deref_mut()
    }

    /// What protects the media of a transport; `None`: nothing yet.
    pub(in crate::engine) fn suite(&self, audio: u32) -> Option<Suite> {
        let keys = self.of_audio(audio)?.keys.as_deref()?;
        Some(keys.send.suite())
    }

    /// The failure that a report is about.
    pub(in crate::engine) fn failure(&self, slot: u32) -> Option<TransportFailure> {
        self.place(slot)?.failure
    }

    /// The transport that is nominated at an address, or was a moment ago.
    #[inline]
    pub(super) fn of_source(&self, now_us: u64, source: &PeerAddress) -> Option<&Transport> {
        let transport = self.of_audio(self.by_source.get(source)?)?;
        let is_heard = transport.nominated == Some(*source)
            || transport
                .former
                .is_some_and(|(former, until_us)| former == *source && now_us < until_us);
        is_heard.then_some(transport)
    }

    /// The slot of the audio of who is nominated at an address.
    #[inline]
    pub(in crate::engine) fn slot_at(&self, source: &PeerAddress) -> Option<u32> {
        self.by_source.get(source)
    }

    /// The transport that has checked from an address.
    pub(super) fn of_check(&self, source: &PeerAddress) -> Option<&Transport> {
        self.of_audio(self.by_check.get(source).copied()?)
    }

    /// An authenticated check came from there.
    pub(super) fn note_check(&mut self, audio: u32, source: PeerAddress) {
        if self.by_check.get(&source) == Some(&audio) {
            return;
        }
        let Some(transport) = self.of_audio_mut(audio) else {
            return;
        };
        let oldest = transport
            .checked
            .is_full()
            .then(|| transport.checked.remove(0));
        transport.checked.retain(|known| *known != source);
        transport.checked.push(source);
        if let Some(oldest) = oldest {
            self.forget_check(audio, oldest);
        }
        self.by_check.insert(source, audio);
    }

    fn forget_check(&mut self, audio: u32, source: PeerAddress) {
        if self.by_check.get(&source) == Some(&audio) {
            self.by_check.remove(&source);
        }
    }

    /// Another address is its own from now on; the one before for a while.
    pub(super) fn move_to(&mut self, audio: u32, source: PeerAddress, until_us: u64) {
        let Some(transport) = self.of_audio_mut(audio) else {
            return;
        };
        let before = transport.nominated.replace(source);
        let older = transport.former.take().map(|(older, _)| older);
        transport.former = before
            .filter(|before| *before != source)
            .map(|before| (before, until_us));
        let kept = transport.former.map(|(former, _)| former);
        if let Some(older) = older.filter(|older| Some(*older) != kept && *older != source) {
            self.by_source.remove(&older, audio);
        }
        let has_room = self.by_source.insert(source, audio);
        debug_assert!(has_room, "two addresses a transport");
    }

    /// It is nowhere.
    pub(super) fn leave(&mut self, audio: u32) {
        let Some(transport) = self.of_audio_mut(audio) else {
            return;
        };
        let former = transport.former.take().map(|(former, _)| former);
        let left = [transport.nominated.take(), former];
        for source in left.into_iter().flatten() {
            self.by_source.remove(&source, audio);
        }
    }

    /// It is heard no longer where it was before.
    pub(super) fn leave_former(&mut self, audio: u32) {
        let former = self.of_audio_mut(audio).and_then(|it| it.former.take());
        if let Some((former, _)) = former {
            self.by_source.remove(&former, audio);
        }
    }

    /// Our fragments are those that the agent has.
    pub(super) fn follow_fragments(&mut self, audio: u32) {
        let Some(place) = audio
            .checked_sub(self.first)
            .and_then(|at| self.places.get_mut(at as usize))
        else {
            return;
        };
        let Some(transport) = place.transport.as_deref_mut() else {
            return;
        };
        for fragment in transport.fragments.drain(..) {
            self.by_fragment.remove(&fragment);
        }
        for fragment in transport.agent.fragments() {
            let fragment: Box<[u8]> = fragment.into();
            self.by_fragment.insert(fragment.clone(), audio);
            let kept = transport.fragments.try_push(fragment);
            debug_assert!(kept.is_ok(), "the present and the next");
        }
    }

    /// The transport ends, and with it all that led to it.
    pub(super) fn remove(&mut self, audio: u32) -> Option<Box<Transport>> {
        self.leave(audio);
        let place = self.place_mut(audio)?;
        place.audio = None;
        let transport = place.transport.take()?;
        for fragment in &transport.fragments {
            self.by_fragment.remove(fragment);
        }
        for source in &transport.checked {
            self.forget_check(audio, *source);
        }
        self.queue.retain(|(slot, _, _)| *slot != audio);
        if transport.stage == Stage::UnderWay {
            self.handshakes -= 1;
        }
        Some(transport)
    }

    /// The first thing of a handshake is expected, whatever was before.
    pub(super) fn expect_handshake(&mut self, audio: u32, now_us: u64) {
        self.end_handshake(audio, Stage::Expected);
        if let Some(transport) = self.of_audio_mut(audio) {
            transport.awaited = Awaited::since(now_us);
            transport.was_put_off = false;
        }
    }

    /// There is no handshake any more.
    pub(super) fn end_handshake(&mut self, audio: u32, stage: Stage) {
        let Some(transport) = self.of_audio_mut(audio) else {
            return;
        };
        transport.handshake = None;
        let before = std::mem::replace(&mut transport.stage, stage);
        if before == Stage::UnderWay {
            self.handshakes -= 1;
        }
    }

    /// Checks each way to a transport against it.
    ///
    /// # Panics
    /// When two tables disagree.
    pub(in crate::engine) fn check(&self) {
        let (mut fragments, mut under_way, mut queued) = (0, 0, 0);
        for (slot, place) in (self.first..).zip(&self.places) {
            let Some(transport) = &place.transport else {
                continue;
            };
            assert_eq!(place.audio, Some(slot), "the slot of audio holds it");
            assert_eq!(transport.audio, slot, "and is the one that it names");
            if let Some(video) = transport.video {
                let place = self.place(video).and_then(|place| place.audio);
                assert_eq!(place, Some(slot), "its video leads to its audio");
            }
            for fragment in &transport.fragments {
                assert_eq!(self.by_fragment.get(fragment), Some(&slot), "found by name");
            }
            let [audio, video] = transport.plan.ssrcs;
            assert_ne!(audio, video, "one key, two sources");
            let known = transport.agent.fragments().count();
            assert_eq!(transport.fragments.len(), known, "all its names are known");
            fragments += transport.fragments.len();
            under_way += u32::from(transport.stage == Stage::UnderWay);
            queued += usize::from(transport.queued);
        }
        assert_eq!(fragments, self.by_fragment.len(), "a name leads somewhere");
        assert_eq!(under_way, self.handshakes, "handshakes are counted");
        assert_eq!(queued, self.queue.len(), "what waits is somebody's");
        for (source, slot) in self.by_source.entries() {
            let transport = self.of_audio(slot);
            let is_there = transport.is_some_and(|it| {
                let former = it.former.map(|(former, _)| former);
                it.nominated == Some(source) || former == Some(source)
            });
            assert!(is_there, "an address leads to who is there");
        }
        for (source, slot) in &self.by_check {
            let transport = self.of_audio(*slot);
            let is_known = transport.is_some_and(|it| it.checked.contains(source));
            assert!(is_known, "a check leads to who made it");
        }
        for place in &self.places {
            let has_transport = |slot| self.of_audio(slot).is_some();
            assert!(
                place.audio.is_none_or(has_transport),
                "a leg leads to its transport"
            );
        }
    }
}

/// Made on the heap at once.
fn scratch() -> Box<[u8; POLL_BUFFER_SIZE]> {
    let octets = vec![0; POLL_BUFFER_SIZE].into_boxed_slice();
    octets
        .try_into()
        .unwrap_or_else(|_| Box::new([0; POLL_BUFFER_SIZE]))
}

impl Transport {
    /// The slot that a source of the browser is known to belong to.
    #[inline]
    pub(super) fn slot_of(&self, ssrc: Ssrc) -> Option<u32> {
        let mut known = self.sources.iter();
        known
            .find(|(source, _)| *source == ssrc)
            .map(|(_, slot)| *slot)
    }

    /// A source has authenticated a packet of that slot.
    pub(super) fn learn(&mut self, ssrc: Ssrc, slot: u32) {
        if self.slot_of(ssrc).is_some() {
            return;
        }
        if self.sources.is_full() {
            self.sources.remove(0);
        }
        self.sources.push((ssrc, slot));
    }

    /// Its keys hold and no others are on their way, whatever became of the session that they came from.
    pub(super) fn is_keyed(&self) -> bool {
        self.keys.is_some() && matches!(self.stage, Stage::Keyed | Stage::Over)
    }

    /// It is nowhere, and a restart of ICE looks for it: a handshake that nobody has begun has its time from
    /// where that leads. The agent lets it have that once.
    pub(super) const fn await_anew(&mut self, now_us: u64) {
        if matches!(self.stage, Stage::Expected) {
            self.awaited = Awaited::since(now_us);
        }
    }

    /// Something under keys came from where it is nominated.
    pub(super) fn note_proof(&mut self) {
        self.unproven_until_us = None;
        self.proven = self.nominated;
    }

    /// Where media may go: where it is, if the way there is known to lead to it.
    pub(super) fn reached(&self) -> Option<PeerAddress> {
        let is_reached = |at: &PeerAddress| self.agent.is_reached(at.socket_address());
        self.nominated.filter(is_reached)
    }

    /// A slot is not of this transport any more.
    pub(super) fn unlearn(&mut self, slot: u32) {
        self.sources.retain(|(_, of)| *of != slot);
    }

    /// Its legs.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        std::iter::once(self.audio).chain(self.video)
    }
}
