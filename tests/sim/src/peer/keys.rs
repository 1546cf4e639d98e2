//! Keys of a model peer (RFC 4568): what it offers and takes, and its RTP under them.
//!
//! Packets are protected by the product's own contexts, which an oracle judges elsewhere; who has which
//! key when is this peer's own book.

use std::collections::BTreeMap;

use media::srtp::{MasterKey, ReceiveContext, SendContext, Suite};

use super::session::Session;
use super::voice::{PACKET_BYTES, Voice};
use crate::random::Generator;

/// What a peer makes of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    /// It refuses RTP/SAVP and knows no keys.
    #[default]
    Plain,
    /// RTP/AVP with a key in its offers; it takes everything.
    Effort,
    /// RTP/SAVP in its offers; it refuses everything else.
    Secure,
}

/// A master key with its salt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Its place in `Suite::ALL`.
    suite: usize,
    octets: Vec<u8>,
}

/// `a=crypto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Tag.
    pub(crate) tag: u32,
    /// Suite and key.
    pub(crate) key: Key,
}

/// The keys of a description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Protection {
    /// RTP/SAVP.
    pub(crate) secure: bool,
    /// Of the audio line.
    pub(crate) audio: Vec<Line>,
    /// Of the video line.
    pub(crate) video: Vec<Line>,
}

/// What a packet that arrives is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Voice of a model peer.
    Voice(Voice),
    /// RTP that the key agreed upon does not authenticate, or that has one where none was.
    Noise,
    /// Anything else.
    Nothing,
}

/// A key of this peer with what it has sent under it.
#[derive(Debug)]
struct Own {
    key: Key,
    send: SendContext,
}

/// One leg's keys.
#[derive(Debug)]
pub(crate) struct Keys {
    /// `None`: a flow says what is said.
    habit: Option<Habit>,
    /// Each offer has another key, of the next suite, or leaves keys, or begins with them.
    fickle: bool,
    random: Generator,
    suite: usize,
    own: Option<Own>,
    /// Ours in an offer that has no answer yet.
    pending: Option<Own>,
    video: Option<Key>,
    theirs: Option<(Key, ReceiveContext)>,
    said: Option<Protection>,
    /// The last that we said was an offer.
    asks: bool,
    /// Whose octets left, by what they were protected to.
    sent: BTreeMap<Vec<u8>, Voice>,
}

impl Key {
    fn draw(suite: usize, random: &mut Generator) -> Self {
        let kind = Suite::ALL[suite];
        let octets = random.seed_bytes().into_iter().chain(random.seed_bytes());
        let octets = octets.take(kind.key_size() + kind.salt_size()).collect();
        Self { suite, octets }
    }

    /// As it stands in `a=crypto` after the tag.
    pub(crate) fn write(&self) -> String {
        let suite = Suite::ALL[self.suite].as_str();
        format!("{suite} inline:{}", base64(&self.octets))
    }

    fn read(text: &str) -> Option<Self> {
        let (name, parameters) = text.split_once(' ')?;
        let suite = Suite::ALL.iter().position(|suite| suite.as_str() == name)?;
        let inline = parameters.strip_prefix("inline:")?;
        let inline = inline.split(['|', ' ']).next()?;
        let octets = from_base64(inline)?;
        let kind = Suite::ALL[suite];
        (octets.len() == kind.key_size() + kind.salt_size()).then_some(Self { suite, octets })
    }

    fn master(&self) -> MasterKey {
        let master = MasterKey::new(Suite::ALL[self.suite], &self.octets);
        master.expect("octets of its suite")
    }

    /// A context in which nothing was received.
    pub(crate) fn receive(&self) -> ReceiveContext {
        ReceiveContext::new(&self.master()).expect("a key of its suite")
    }
}

impl Line {
    /// What follows `a=crypto:`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (tag, key) = text.split_once(' ')?;
        Some(Self {
            tag: tag.parse().ok()?,
            key: Key::read(key)?,
        })
    }
}

impl Own {
    fn new(key: Key) -> Self {
        let send = SendContext::new(&key.master()).expect("a key of its suite");
        Self { key, send }
    }
}

impl Keys {
    pub(crate) fn new(habit: Option<Habit>, fickle: bool, mut random: Generator) -> Self {
        let suite = random.index(Suite::ALL.len());
        Self {
            habit,
            fickle,
            random,
            suite,
            own: None,
            pending: None,
            video: None,
            theirs: None,
            said: None,
            asks: false,
            sent: BTreeMap::new(),
        }
    }

    /// It refuses what the other side has offered first.
    pub(crate) fn refuses(&self) -> bool {
        let offered = self.said.as_ref();
        offered.is_some_and(|offered| match self.habit {
            None | Some(Habit::Effort) => false,
            Some(Habit::Plain) => offered.secure,
            Some(Habit::Secure) => offered.audio.is_empty(),
        })
    }

    /// What an offer of ours says.
    pub(crate) fn offered(&mut self) -> Protection {
        self.asks = true;
        let secure = match (&self.said, self.habit) {
            (_, None | Some(Habit::Plain)) => return Protection::default(),
            (None, Some(habit)) => habit == Habit::Secure,
            (Some(said), Some(_)) => {
                let changes = self.fickle && self.random.chance(250);
                if self.theirs.is_some() == changes {
                    // In mid-call without keys, or for good.
                    self.pending = None;
                    return Protection::default();
                }
                said.secure || changes
            }
        };
        if self.own.is_none() || self.fickle {
            self.suite = (self.suite + 1) % Suite::ALL.len();
            let key = Key::draw(self.suite, &mut self.random);
            self.pending = Some(Own::new(key));
            self.video = None;
        }
        let own = self.pending.as_ref().or(self.own.as_ref());
        let key = own.expect("one was made").key.clone();
        self.protection(secure, 1, 1, key)
    }

    /// What our answer says: the key of ours for one of theirs.
    pub(crate) fn answered(&mut self) -> Protection {
        self.asks = false;
        let said = self.said.clone().unwrap_or_default();
        let can = !matches!(self.habit, None | Some(Habit::Plain));
        let in_use = self.own.as_ref().map(|own| own.key.suite);
        let same = said
            .audio
            .iter()
            .find(|line| Some(line.key.suite) == in_use);
        let any = self.random.index(said.audio.len().max(1));
        let chosen = same.or_else(|| said.audio.get(any));
        let Some(chosen) = chosen.filter(|_| can).cloned() else {
            self.theirs = None;
            return Protection::default();
        };
        if in_use != Some(chosen.key.suite) {
            self.suite = chosen.key.suite;
            self.own = Some(Own::new(Key::draw(self.suite, &mut self.random)));
            self.video = None;
        }
        let key = self.own.as_ref().expect("one was made").key.clone();
        let video = said.video.iter().find(|line| line.key.suite == key.suite);
        let video = video.map_or(0, |line| line.tag);
        self.hear(chosen.key);
        self.protection(said.secure, chosen.tag, video, key)
    }

    fn protection(&mut self, secure: bool, tag: u32, video: u32, key: Key) -> Protection {
        let suite = key.suite;
        let random = &mut self.random;
        let of_video = self.video.get_or_insert_with(|| Key::draw(suite, random));
        let of_video = Line {
            tag: video,
            key: of_video.clone(),
        };
        Protection {
            secure,
            audio: vec![Line { tag, key }],
            video: vec![of_video],
        }
    }

    fn hear(&mut self, key: Key) {
        if self.theirs.as_ref().is_none_or(|(old, _)| *old != key) {
            let receive = key.receive();
            self.theirs = Some((key, receive));
        }
    }

    /// What the other side says; to an offer of ours it has the key that answers it.
    pub(crate) fn take(&mut self, session: &Session) {
        self.said = Some(session.protection.clone());
        if !self.asks || self.habit.is_none() {
            return;
        }
        match session.protection.audio.first() {
            Some(line) => {
                self.own = self.pending.take().or_else(|| self.own.take());
                self.hear(line.key.clone());
            }
            None => self.theirs = None,
        }
    }

    /// The offer was refused.
    pub(crate) fn take_back(&mut self) {
        self.pending = None;
    }

    /// Another machine has keys of its own.
    pub(crate) fn move_away(&mut self) {
        self.own = None;
        self.pending = None;
    }

    /// What was agreed upon can be spoken under.
    pub(crate) fn is_sound(&self) -> bool {
        let secure = self.said.as_ref().is_some_and(|said| said.secure);
        self.theirs.is_some() || !secure
    }

    /// A packet as it leaves; `None`: it must not.
    pub(crate) fn protect(&mut self, plain: Vec<u8>) -> Option<Vec<u8>> {
        if self.habit.is_none() || (self.theirs.is_none() && self.is_sound()) {
            return Some(plain);
        }
        let own = self.own.as_mut().filter(|_| self.theirs.is_some())?;
        let voice = Voice::read(&plain);
        let mut bytes = plain;
        bytes.resize(bytes.len() + own.send.rtp_overhead(), 0);
        own.send.protect_rtp(&mut bytes).ok()?;
        if let Some(voice) = voice {
            let _ = self.sent.insert(bytes.clone(), voice);
        }
        Some(bytes)
    }

    /// What this peer sent as these octets.
    pub(crate) fn sent(&self, bytes: &[u8]) -> Option<Voice> {
        self.sent.get(bytes).copied()
    }

    /// What arrives here.
    pub(crate) fn unprotect(&mut self, bytes: &[u8]) -> Heard {
        let Some((_, receive)) = &mut self.theirs else {
            // What is longer than what anybody says here has the tag of a key that was not agreed upon.
            let is_plain = !is_rtp(bytes) || bytes.len() <= PACKET_BYTES;
            return match Voice::read(bytes) {
                Some(voice) => Heard::Voice(voice),
                None if is_plain => Heard::Nothing,
                None => Heard::Noise,
            };
        };
        if !is_rtp(bytes) {
            return Heard::Nothing;
        }
        let mut plain = bytes.to_vec();
        match receive.unprotect_rtp(&mut plain) {
            Ok(unprotected) => {
                receive.accept(unprotected);
                let voice = plain.get(..unprotected.size).and_then(Voice::read);
                voice.map_or(Heard::Nothing, Heard::Voice)
            }
            Err(media::drop_reason::DropReason::SrtpAuthentication) => Heard::Noise,
            Err(_again) => Heard::Nothing,
        }
    }
}

/// RTP by its first two octets, and not RTCP (RFC 5761 §4).
pub(crate) fn is_rtp(bytes: &[u8]) -> bool {
    let second = bytes.get(1).map_or(0, |second| second & 0x7f);
    bytes.len() >= 12 && bytes[0] >> 6 == 2 && !(64..96).contains(&second)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 §4.
fn base64(octets: &[u8]) -> String {
    let mut text = String::new();
    for piece in octets.chunks(3) {
        let mut three = [0; 3];
        three[..piece.len()].copy_from_slice(piece);
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 63;
            let digit = char::from(ALPHABET[digit as usize]);
            text.push(if place <= piece.len() { digit } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let (mut number, mut bits) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        number = (number << 6) | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push(u8::try_from((number >> bits) & 0xff).ok()?);
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_each_suite_survives_writing_and_reading() {
        let mut random = Generator::new(1, "keys");
        for suite in 0..Suite::ALL.len() {
            let key = Key::draw(suite, &mut random);
            let line = Line::read(&format!("7 {}", key.write())).unwrap();
            assert_eq!(line, Line { tag: 7, key });
        }
    }

    #[test]
    fn what_one_side_protects_the_other_hears_and_a_third_does_not() {
        let keys = |name| Keys::new(Some(Habit::Secure), false, Generator::new(1, name));
        let (mut caller, mut callee, mut other) = (keys("a"), keys("b"), keys("c"));
        let session = |protection| Session {
            version: 1,
            rtp: "10.1.0.1:20000".parse().unwrap(),
            payloads: vec![8],
            direction: super::super::session::Direction::SendReceive,
            video: None,
            protection,
        };
        let offer = session(caller.offered());
        callee.take(&offer);
        assert!(!callee.refuses());
        let answer = session(callee.answered());
        caller.take(&answer);
        other.take(&session(Protection {
            audio: offer.protection.audio.clone(),
            ..Protection::default()
        }));
        let voice = Voice {
            payload_type: 8,
            marker: false,
            sequence: 7,
            timestamp: 160,
            ssrc: 9,
            stamp: super::super::voice::Stamp { leg: 1, counter: 0 },
        };
        let bytes = callee.protect(voice.write()).unwrap();
        assert_eq!(Voice::read(&bytes), None, "not in the clear");
        assert_eq!(callee.sent(&bytes), Some(voice));
        assert_eq!(caller.unprotect(&bytes), Heard::Voice(voice));
        assert_eq!(caller.unprotect(&bytes), Heard::Nothing, "again");
        assert_eq!(callee.unprotect(&bytes), Heard::Noise);
        let mut plain = Keys::new(Some(Habit::Plain), false, Generator::new(1, "plain"));
        assert_eq!(plain.unprotect(&voice.write()), Heard::Voice(voice));
        assert_eq!(plain.unprotect(&bytes), Heard::Noise);
    }
}
