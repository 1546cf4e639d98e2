//! Media through the gateway: who hears whom, and that nothing is lost, doubled or shuffled inside.
//!
//! The stamp in each payload names the leg that sent it. What leaves the gateway is judged against
//! what reached it and against which legs belong together now: the privacy check.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use crate::peer::media::INTRUDER;
use crate::peer::voice::{Stamp, Voice};
use crate::time::SimTime;

/// What the relay knows of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Party {
    /// Its call.
    pub(crate) call: u32,
    /// 0: the caller; 1 and up: the n-th leg that the gateway called for it.
    pub(crate) attempt: u32,
    /// The call's caller talks to itself.
    pub(crate) echo: bool,
}

/// All media of a world, as seen at the gateway's edge.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    parties: BTreeMap<u32, Party>,
    /// The newest attempt of each call.
    newest: BTreeMap<u32, u32>,
    /// How often each packet reached the gateway, and how often it left.
    seen: BTreeMap<Stamp, (u32, u32)>,
    /// Must leave until then.
    owed: BTreeMap<Stamp, SimTime>,
    /// Per receiver and SSRC: which packet had this sequence number.
    sequences: BTreeMap<(u32, u32, u16), Stamp>,
}

/// Longest stay inside the gateway.
const STAY_MAX: Duration = Duration::from_millis(5);

impl Relay {
    /// A leg exists.
    pub(crate) fn add(&mut self, leg: u32, party: Party) {
        self.attempt(party.call, party.attempt);
        let _ = self.parties.insert(leg, party);
    }

    /// The gateway makes this attempt; those before it are over.
    pub(crate) fn attempt(&mut self, call: u32, attempt: u32) {
        let newest = self.newest.entry(call).or_default();
        *newest = (*newest).max(attempt);
    }

    /// A packet reached the gateway. `must_pass`: both ends are up and undisturbed.
    pub(crate) fn arrived(&mut self, now: SimTime, voice: &Voice, must_pass: bool) {
        let (arrivals, _) = self.seen.entry(voice.stamp).or_default();
        *arrivals += 1;
        if must_pass && *arrivals == 1 {
            let _ = self.owed.insert(voice.stamp, now + STAY_MAX);
        }
    }

    /// A packet leaves the gateway for a leg.
    pub(crate) fn leaves(&mut self, to: u32, voice: &Voice) -> Result<(), Violation> {
        let stamp = voice.stamp;
        let receiver = self.party(to)?;
        let wrong = |text: String| Err(Violation::of_call(receiver.call, text));
        if stamp.leg & INTRUDER != 0 {
            return wrong(format!(
                "leg {to} gets RTP of an intruder on leg {}",
                stamp.leg ^ INTRUDER
            ));
        }
        let sender = self.party(stamp.leg)?;
        let connected = sender.call == receiver.call
            && if receiver.echo {
                stamp.leg == to
            } else {
                (sender.attempt == 0) != (receiver.attempt == 0)
            };
        if !connected {
            return wrong(format!(
                "leg {to} gets RTP of leg {}: they are not connected",
                stamp.leg
            ));
        }
        let newest = self.newest.get(&receiver.call).copied().unwrap_or(0);
        let attempt = sender.attempt.max(receiver.attempt);
        if !receiver.echo && attempt < newest {
            return wrong(format!(
                "leg {to} gets RTP of leg {}: that attempt was left",
                stamp.leg
            ));
        }
        let (arrivals, departures) = self.seen.entry(stamp).or_default();
        *departures += 1;
        if departures > arrivals {
            return wrong(format!(
                "packet {} of leg {} leaves more often than it came",
                stamp.counter, stamp.leg
            ));
        }
        let _ = self.owed.remove(&stamp);
        let before = self
            .sequences
            .insert((to, voice.ssrc, voice.sequence), stamp);
        if before.is_some_and(|before| before != stamp && before.counter + 10_000 > stamp.counter) {
            return wrong(format!(
                "leg {to} gets two packets with sequence number {}",
                voice.sequence
            ));
        }
        Ok(())
    }

    /// What should have left by now has left.
    pub(crate) fn settle(&self, now: SimTime) -> Result<(), Violation> {
        let Some((stamp, _)) = self.owed.iter().find(|(_, until)| **until < now) else {
            return Ok(());
        };
        let call = self.party(stamp.leg)?.call;
        Err(Violation::of_call(
            call,
            format!(
                "packet {} of leg {} was lost inside the gateway",
                stamp.counter, stamp.leg
            ),
        ))
    }

    /// When `settle` has something to look at.
    pub(crate) fn is_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The call was disturbed: what it is owed may be lost.
    pub(crate) fn forgive(&mut self, call: u32) {
        let parties = &self.parties;
        self.owed.retain(|stamp, _| {
            parties
                .get(&stamp.leg)
                .is_some_and(|party| party.call != call)
        });
    }

    /// Packets that left the gateway.
    pub(crate) fn relayed(&self) -> u64 {
        self.seen
            .values()
            .map(|(_, departures)| u64::from(*departures))
            .sum()
    }

    fn party(&self, leg: u32) -> Result<Party, Violation> {
        self.parties
            .get(&leg)
            .copied()
            .ok_or_else(|| Violation::of_world(format!("RTP of leg {leg}, which does not exist")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(leg: u32, counter: u32, sequence: u16) -> Voice {
        Voice {
            payload_type: 8,
            marker: false,
            sequence,
            timestamp: 0,
            ssrc: 1,
            stamp: Stamp { leg, counter },
        }
    }

    fn relay() -> Relay {
        let mut relay = Relay::default();
        for (leg, call, attempt) in [(1, 1, 0), (2, 1, 1), (3, 2, 0), (4, 2, 1)] {
            relay.add(
                leg,
                Party {
                    call,
                    attempt,
                    echo: false,
                },
            );
        }
        relay
    }

    fn refused(outcome: Result<(), Violation>, expected: &str) {
        let text = outcome.expect_err(expected).text;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn packet_of_another_call_is_caught() {
        let mut relay = relay();
        relay.arrived(SimTime::ZERO, &voice(1, 0, 0), false);
        relay.leaves(2, &voice(1, 0, 0)).unwrap();
        refused(relay.leaves(4, &voice(1, 0, 0)), "not connected");
        refused(relay.leaves(1, &voice(1, 0, 0)), "not connected");
        refused(relay.leaves(2, &voice(INTRUDER | 1, 0, 0)), "intruder");
    }

    #[test]
    fn attempt_that_was_left_is_not_heard_any_more() {
        let mut relay = relay();
        relay.arrived(SimTime::ZERO, &voice(2, 0, 0), false);
        relay.add(
            5,
            Party {
                call: 1,
                attempt: 2,
                echo: false,
            },
        );
        refused(relay.leaves(1, &voice(2, 0, 0)), "was left");
    }

    #[test]
    fn doubled_lost_and_merged_packets_are_caught() {
        let mut relay = relay();
        relay.arrived(SimTime::ZERO, &voice(1, 0, 0), true);
        relay.leaves(2, &voice(1, 0, 0)).unwrap();
        refused(relay.leaves(2, &voice(1, 0, 0)), "more often");
        relay.arrived(SimTime::ZERO, &voice(1, 1, 1), true);
        refused(relay.leaves(2, &voice(1, 1, 0)), "sequence number 0");
        relay.arrived(SimTime::ZERO, &voice(1, 2, 2), true);
        refused(
            relay.settle(SimTime::ZERO + Duration::from_secs(1)),
            "lost inside",
        );
        relay.forgive(1);
        relay
            .settle(SimTime::ZERO + Duration::from_secs(1))
            .unwrap();
    }
}
