//! The peers of a play whose legs have keys: they protect what they send, and hear nothing plain.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::script::Script;
use crate::srtp::{Contexts, MasterKey, SrtpPlan, Suite};

/// The far ends, by slot.
#[derive(Default)]
pub(super) struct SecurePeers {
    ends: BTreeMap<u32, End>,
    /// Keys given so far: no leg gets one of another.
    given: u16,
}

/// One far end. Its keys are kept while its leg is plain: they may come back.
struct End {
    plan: SrtpPlan,
    /// All it ever had: each may come back.
    plans: Vec<SrtpPlan>,
    contexts: Contexts,
    /// What a device makes of the numbers that it hears, by source: nothing, once another is there.
    counters: BTreeMap<[u8; 4], RollOver>,
    /// Where it was said to be last.
    place: Option<SocketAddr>,
    /// Where the one was that knows our key, since another device is where it was: our next key begins
    /// anew for that one.
    home: Option<SocketAddr>,
    is_secure: bool,
    /// What left for it: under which key, whether it was RTCP, its source and its index.
    heard: BTreeSet<(u64, bool, [u8; 4], u64)>,
}

impl SecurePeers {
    /// Keys for a plan: none, those that the leg has, some that it had before, or new ones for one
    /// direction or both.
    pub(super) fn draw(&mut self, slot: u32, script: &mut Script<'_>) -> Option<Box<SrtpPlan>> {
        let way = script.octet() % 10;
        let suite = script.one_of(&Suite::ALL)?;
        let held = self.ends.get(&slot).map(|end| end.plan.clone());
        match (way, held) {
            (0..=2, _) => None,
            (3 | 4, Some(held)) => Some(Box::new(held)),
            (5 | 6, Some(held)) => {
                let plans = self.ends.get(&slot).map(|end| end.plans.as_slice());
                let before = plans.unwrap_or_default();
                let at = usize::from(script.octet()).checked_rem(before.len())?;
                let send = before.get(at)?.send.clone();
                Some(Box::new(SrtpPlan { send, ..held }))
            }
            (7, Some(_)) => {
                let plans = self.ends.get(&slot).map(|end| end.plans.as_slice());
                let before = plans.unwrap_or_default();
                let at = usize::from(script.octet()).checked_rem(before.len())?;
                before.get(at).cloned().map(Box::new)
            }
            (8, Some(held)) => Some(Box::new(SrtpPlan {
                send: self.fresh(held.send.suite())?,
                ..held
            })),
            _ => Some(Box::new(SrtpPlan {
                send: self.fresh(suite)?,
                receive: self.fresh(suite)?,
            })),
        }
    }

    fn fresh(&mut self, suite: Suite) -> Option<MasterKey> {
        self.given = self.given.wrapping_add(1);
        let size = suite.key_size() + suite.salt_size();
        let octets: Vec<u8> = self
            .given
            .to_be_bytes()
            .into_iter()
            .cycle()
            .take(size)
            .collect();
        MasterKey::new(suite, &octets)
    }

    /// A plan took effect; of a leg that begins nothing is left of the one before.
    pub(super) fn agree(
        &mut self,
        slot: u32,
        (plan, place): (Option<&SrtpPlan>, Option<SocketAddr>),
        is_new: bool,
    ) {
        if is_new {
            self.ends.remove(&slot);
        }
        let Some(plan) = plan else {
            if let Some(end) = self.ends.get_mut(&slot) {
                end.is_secure = false;
            }
            return;
        };
        let theirs = SrtpPlan {
            send: plan.receive.clone(),
            receive: plan.send.clone(),
        };
        if let Some(end) = self.ends.get_mut(&slot) {
            end.follow(plan, place);
            let agreed = end.contexts.renegotiate(&theirs, false);
            debug_assert!(agreed.is_some(), "the keys of a play are keys");
            end.is_secure = true;
            end.plan = plan.clone();
            if !end.plans.contains(plan) {
                end.plans.push(plan.clone());
            }
        } else if let Some(contexts) = Contexts::new(&theirs) {
            let end = End {
                plan: plan.clone(),
                plans: vec![plan.clone()],
                contexts,
                counters: BTreeMap::new(),
                place,
                home: None,
                is_secure: true,
                heard: BTreeSet::new(),
            };
            self.ends.insert(slot, end);
        }
    }

    /// What the far end makes of octets: protected, if it can and the leg is secure.
    pub(super) fn protect(&mut self, slot: u32, is_control: bool, octets: &mut Vec<u8>) {
        let Some(end) = self.ends.get_mut(&slot).filter(|end| end.is_secure) else {
            return;
        };
        let send = end.contexts.send_mut();
        let plain = octets.len();
        let protected = if is_control {
            octets.resize(plain + send.rtcp_overhead(), 0);
            send.protect_rtcp(octets)
        } else {
            octets.resize(plain + send.rtp_overhead(), 0);
            send.protect_rtp(octets)
        };
        if protected.is_err() {
            octets.truncate(plain);
        }
    }

    /// A datagram that was sent to the far end of a slot.
    ///
    /// # Panics
    /// When the leg is secure and it is not protected, or its index left before under its key.
    pub(super) fn hear(&mut self, slot: u32, is_control: bool, datagram: &[u8]) {
        let Some(end) = self.ends.get_mut(&slot).filter(|end| end.is_secure) else {
            return;
        };
        let mut copy = datagram.to_vec();
        let unprotected = if is_control {
            end.contexts.unprotect_rtcp(&mut copy)
        } else {
            end.contexts.unprotect_rtp(&mut copy)
        };
        assert_eq!(
            unprotected.err(),
            None,
            "what leaves a leg with keys is protected, and once"
        );
        if let Ok(unprotected) = unprotected {
            assert!(!unprotected.is_by_previous(), "under the key of now");
            let at = if is_control { 4..8 } else { 8..12 };
            let ssrc = datagram
                .get(at)
                .and_then(|ssrc| ssrc.first_chunk().copied());
            let left = (
                end.plan.send.identity(),
                is_control,
                ssrc.unwrap_or_default(),
                unprotected.index(),
            );
            assert!(end.heard.insert(left), "no index leaves twice under a key");
            if !is_control {
                end.count(datagram, unprotected.index());
            }
            end.contexts.accept(unprotected);
        }
    }
}

impl End {
    /// Another place and another key: another device, which heard nothing. It keeps up with us from our
    /// next key on.
    fn follow(&mut self, plan: &SrtpPlan, place: Option<SocketAddr>) {
        let before = self.place;
        self.place = place.or(before);
        let is_same_send = self.plan.send == plan.send;
        let is_same_device = is_same_send && self.plan.receive == plan.receive;
        let has_moved = before.zip(place).is_some_and(|(before, now)| before != now);
        if has_moved && !is_same_device {
            self.home = self.home.or(before);
        }
        self.home = self.home.filter(|home| Some(*home) != place);
        if !is_same_send && self.home.take().is_some() {
            self.counters.clear();
        }
    }

    /// A device counts for itself (RFC 3711 §3.3.1) and hears nothing that was sealed under another index.
    fn count(&mut self, datagram: &[u8], index: u64) {
        let Some([_, _, high, low, _, _, _, _, a, b, c, d]) = datagram.first_chunk().copied()
        else {
            return;
        };
        // A device that took another's place under the same key of ours is deaf until the next one.
        if self.home.is_some() {
            return;
        }
        let sequence = u16::from_be_bytes([high, low]);
        let counter = self.counters.entry([a, b, c, d]).or_insert(RollOver {
            rounds: 0,
            highest: sequence,
        });
        assert_eq!(
            counter.hear(sequence),
            index,
            "the device has another counter"
        );
    }
}

/// The roll-over counter of RFC 3711 §3.3.1 and Appendix A, of one who knows nothing else.
struct RollOver {
    rounds: u64,
    highest: u16,
}

impl RollOver {
    fn hear(&mut self, sequence: u16) -> u64 {
        let (highest, half) = (i32::from(self.highest), 1 << 15);
        let number = i32::from(sequence);
        let rounds = if highest < half {
            if number - highest > half {
                self.rounds.saturating_sub(1)
            } else {
                self.rounds
            }
        } else if highest - half > number {
            self.rounds + 1
        } else {
            self.rounds
        };
        if rounds > self.rounds || (rounds == self.rounds && sequence > self.highest) {
            (self.rounds, self.highest) = (rounds, sequence);
        }
        rounds << 16 | u64::from(sequence)
    }
}

/// Any octets as what is sent under keys that change, come back and go. What is sent is zeros, so that
/// what leaves is the key stream. Gives how many packets left.
///
/// # Panics
/// When a piece of key stream leaves twice.
pub fn key_changes(octets: &[u8]) -> usize {
    let suites = [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::AeadAes128Gcm,
    ];
    // The first two suites have the same keys.
    let key = |number: u8| {
        let suite = suites.get(usize::from(number % 3)).copied()?;
        let size = suite.key_size() + suite.salt_size();
        MasterKey::new(suite, &vec![number / 3; size])
    };
    let plan = |number| {
        let (send, receive) = key(number).zip(key(u8::MAX))?;
        Some(SrtpPlan { send, receive })
    };
    let Some(mut contexts) = plan(0).as_ref().and_then(Contexts::new) else {
        return 0;
    };
    let mut left = BTreeSet::new();
    let mut sequence = 0_u16;
    for step in octets {
        match step {
            0..100 => {
                if let Some(plan) = plan(step % 12) {
                    let agreed = contexts.renegotiate(&plan, step % 5 == 0);
                    debug_assert!(agreed.is_some(), "the keys of a play are keys");
                }
            }
            100..150 => sequence = sequence.wrapping_sub(100),
            150..200 => sequence = sequence.wrapping_add(20_000),
            200.. => sequence = sequence.wrapping_add(1),
        }
        let [high, low] = sequence.to_be_bytes();
        let mut packet = vec![0x80, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 7];
        let end = packet.len() + KEY_STREAM_SIZE;
        let send = contexts.send_mut();
        packet.resize(end + send.rtp_overhead(), 0);
        if send.protect_rtp(&mut packet).is_ok() {
            let stream = packet.get(end - KEY_STREAM_SIZE..end);
            assert!(
                left.insert(stream.unwrap_or_default().to_vec()),
                "no key stream leaves twice"
            );
        }
    }
    left.len()
}

/// So much key stream is unlike any other.
const KEY_STREAM_SIZE: usize = 16;
