//! What the world looks at while messages and media pass: which call they belong to, and what is due.

use std::net::SocketAddr;
use std::time::Duration;

use super::World;
use crate::checker::Violation;
use crate::gateway::{BROWSERS, GATEWAY};
use crate::network::{Kind, Packet};
use crate::peer::keys::Heard;
use crate::peer::leg::{Leg, State};
use crate::peer::media::INTRUDER_ADDRESS;
use crate::peer::text::{Text, user_of};
use crate::peer::voice::Voice;

/// Both ends must have been up, and have agreed, for this long before loss inside the gateway counts.
pub(super) const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// User parts of first parties of placed calls begin with this.
pub(super) const FIRST_PARTY: char = 'f';

impl World {
    /// True where both ends are up, want this media and have agreed on it a while ago, and the packet
    /// is what was negotiated.
    pub(super) fn must_pass(&self, packet: &Packet, voice: &Voice) -> bool {
        let Some(place) = self.legs_by_media.get(&packet.source) else {
            return self.must_pass_from_guest(packet, voice);
        };
        let sender = &self.legs[*place];
        let is_up = |leg: &Leg| self.is_up(leg);
        let is_settled = self.is_settled(sender.call);
        voice.stamp.leg == sender.number
            && sender.media.remote == Some(packet.target)
            && sender.media.local == packet.source
            && self.steady.contains(&sender.call)
            && is_settled
            && is_up(sender)
            && ((self.echo.contains(&sender.call) && sender.media.wants(&sender.media))
                || self.must_reach_guest(sender)
                || self.legs.iter().any(|leg| {
                    leg.call == sender.call
                        && leg.is_first != sender.is_first
                        && is_up(leg)
                        && leg.media.wants(&sender.media)
                }))
    }

    pub(super) fn is_up(&self, leg: &Leg) -> bool {
        leg.state == State::Answered
            && !leg.is_negotiating()
            && !self.unacknowledged.contains(&leg.call_id)
            && leg
                .history
                .confirmed_at
                .is_some_and(|at| self.now.since(at) > SETTLED_AFTER)
    }

    /// Its last exchange of offer and answer is a while ago.
    pub(super) fn is_settled(&self, call: u32) -> bool {
        let exchanged_at = self.exchanged_at.get(&call);
        exchanged_at.is_none_or(|at| self.now.since(*at) > SETTLED_AFTER)
    }

    /// Media arrives at a peer: under the key that it has agreed upon, once that is settled.
    pub(super) fn hear(&mut self, packet: &Packet) -> Result<(), Violation> {
        let Some(place) = self.legs_by_media.get(&packet.target).copied() else {
            let guest = self.guest_at(packet.target);
            return guest.map_or(Ok(()), |place| self.reach_guest(place, packet));
        };
        let leg = &self.legs[place];
        let is_sure = self.steady.contains(&leg.call)
            && self.is_settled(leg.call)
            && self.is_up(leg)
            && packet.source.ip() == GATEWAY.ip()
            && packet.target == leg.media.local
            && !packet.damaged;
        let leg = &mut self.legs[place];
        match leg.media.keys.unprotect(&packet.bytes) {
            Heard::Voice(_) => leg.media.heard += 1,
            Heard::Noise if is_sure => {
                let text = format!("leg {} hears noise under the key agreed upon", leg.number);
                return Err(Violation::of_call(leg.call, text));
            }
            Heard::Noise | Heard::Nothing => {}
        }
        Ok(())
    }

    /// From the first BYE on media may go nowhere, and around an exchange of offer and answer anywhere.
    pub(super) fn disturb(&mut self, message: &Text) {
        let ends = matches!(message.request_method(), Some("BYE" | "CANCEL"));
        let is_exchange = matches!(message.about(), "INVITE" | "UPDATE" | "ACK");
        let Some(call) = self
            .call_of(message.call_id())
            .filter(|_| ends || is_exchange)
        else {
            return;
        };
        if ends {
            let _ = self.steady.remove(&call);
        }
        if message.about() == "ACK" {
            let _ = self.unacknowledged.remove(message.call_id());
        } else if message.about() == "INVITE" && matches!(message.status(), Some(200..=299)) {
            let _ = self.unacknowledged.insert(message.call_id().to_owned());
        }
        let _ = self.exchanged_at.insert(call, self.now);
        self.relay.forgive(call);
    }

    /// This call ends, whenever its BYE comes (RFC 3261 §15: not before the ACK).
    pub(super) fn disturb_call(&mut self, call: u32) {
        let _ = self.steady.remove(&call);
        self.relay.forgive(call);
    }

    /// A turn of the gateway's was cut short: it may end the call that the turn was about, and no other.
    pub(super) fn note_strike(&mut self, lost: Option<&str>) {
        self.trace
            .note(self.now, &format!("a turn panics, and costs {lost:?}"));
        let rows = lost.and_then(|id| self.records.by_id(id));
        let call_id = rows.map(|rows| rows.opened.call_id.clone());
        let call = call_id.and_then(|id| self.call_of(&id));
        let ordered = self.orders.iter().find_map(|(number, order)| {
            let is_it = lost.is_some_and(|id| order.has(id));
            is_it.then_some(*number)
        });
        let guests = self.guests.iter();
        let path = rows.map(|rows| rows.opened.request_path.as_str());
        let of_guest = guests.map(|guest| guest.call);
        let of_guest = of_guest
            .filter(|call| path == Some(&*format!("c{call}")))
            .last();
        for call in call.into_iter().chain(ordered).chain(of_guest) {
            let _ = self.struck.insert(call);
            self.disturb_call(call);
        }
    }

    /// Every call ends.
    pub(crate) fn disturb_all(&mut self) {
        for call in std::mem::take(&mut self.steady) {
            self.relay.forgive(call);
        }
    }

    pub(super) fn check_sent(&mut self, packet: &Packet) -> Result<(), Violation> {
        if packet.kind == Kind::Media {
            if packet.target == SocketAddr::from(INTRUDER_ADDRESS) {
                let text = "media is sent to an intruder".to_owned();
                return Err(Violation::of_world(text));
            }
            if packet.source == BROWSERS {
                return self.check_sent_to_guest(packet);
            }
            let Some(place) = self.legs_by_media.get(&packet.target) else {
                return Ok(());
            };
            let leg = &self.legs[*place];
            let is_required = self.required.contains(&leg.node);
            let voice = self.keys.leaves(&leg.call_id, is_required, &packet.bytes)?;
            if let Some(voice) = voice {
                self.relay.leaves(leg.number, &voice)?;
            }
            return Ok(());
        }
        if self.node(packet.target).is_some_and(|node| node.stranger) {
            return Err(Violation::of_world(format!(
                "the gateway answers the stranger {}",
                packet.target
            )));
        }
        if let Some(message) = Text::parse(&packet.bytes) {
            self.check_transport(packet.target, &message)?;
            self.keys.says(message.call_id(), &message.body)?;
            self.note_attempt(&message);
            self.disturb(&message);
        }
        let sent = self.wire.sends(self.now, packet.target, &packet.bytes);
        // What a turn that was cut short had begun has numbers that nobody saw.
        sent.or_else(|violation| match self.blamed(&violation) {
            Some(call) if self.struck.contains(&call) => Ok(()),
            Some(_) | None => Err(violation),
        })
    }

    /// An INVITE of the gateway that begins a dialog is an attempt of the call that its destination
    /// names (`d7`: the seventh; `f7`: at the first party of that order), or of the first call.
    fn note_attempt(&mut self, message: &Text) {
        let begins = message.request_method() == Some("INVITE") && message.tag("To").is_none();
        if !begins || self.attempts.contains_key(message.call_id()) {
            return;
        }
        let user = user_of(message.request_uri().unwrap_or(""));
        let call = user
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap_or(1);
        let is_known = self.orders.contains_key(&call)
            || self.legs.iter().any(|leg| leg.call == call)
            || self.guests.iter().any(|guest| guest.call == call);
        let call = if is_known { call } else { 1 };
        let dialled = self.dialled.entry(call).or_default();
        *dialled += 1;
        let attempt = if user.starts_with(FIRST_PARTY) {
            0
        } else {
            let before = self.attempts.values();
            let before = before.filter(|(given, attempt)| *given == call && *attempt > 0);
            u32::try_from(before.count()).unwrap_or(0) + 1
        };
        let _ = self
            .attempts
            .insert(message.call_id().to_owned(), (call, attempt));
        self.relay.attempt(call, attempt);
    }
}
