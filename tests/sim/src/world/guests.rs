//! Guests in a world: their lines to the node, which keep order and lose everything when they break, and their
//! datagrams, which go by the network as all others do.

use std::net::SocketAddr;
use std::time::Duration;

use sip::sdp::SessionDescription;
use sluice::call::browser::event::{BrowserCall, BrowserInput, BrowserOutput, GuestKey};
use sluice::links::resolve::ResolvedLink;

use super::World;
use super::watching::SETTLED_AFTER;
use crate::agenda::Due;
use crate::checker::Violation;
use crate::checker::relay::Party;
use crate::guest::plan::GuestPlan;
use crate::guest::{Guest, Outbox, State};
use crate::network::Packet;
use crate::peer::leg::{Leg, Role, State as LegState};
use crate::peer::voice::Voice;
use crate::time::SimTime;

/// A word on its way by a WebSocket.
#[derive(Debug)]
pub(crate) enum Word {
    /// The call begins.
    Call(Box<SessionDescription>),
    /// The page says something. The number: of its offer, where it is one.
    Says(BrowserInput, Option<u32>),
    /// The gateway says something, that answers this offer where it is an answer.
    Told(BrowserOutput, u32),
    /// A WebSocket of a page that lost one is there; the gateway has taken it.
    Opened,
    Welcome,
    /// The gateway notices that a WebSocket is gone.
    Missed,
}

/// The gateway's end of a page.
#[derive(Debug)]
pub(crate) struct Door {
    link: ResolvedLink,
    /// The WebSocket that it speaks by.
    line: Option<u32>,
    /// The last offer that it heard.
    offer: u32,
    /// Its last word, while nobody is there to hear it.
    last_word: Option<BrowserOutput>,
    /// The call was begun.
    has_called: bool,
}

/// A frame's way. Lines keep their order, so each frame takes as long.
const FRAME: Duration = Duration::from_millis(15);
/// Until the gateway misses a WebSocket, in milliseconds at most.
const MISSED_MAX_MS: u64 = 6_000;
/// Numbers of guests begin here; legs of SIP have smaller ones.
const FIRST: u32 = 100_000;

impl World {
    /// A guest that will call this link from there.
    pub(crate) fn add_guest(
        &mut self,
        call: u32,
        link: ResolvedLink,
        from: SocketAddr,
        plan: GuestPlan,
        at: SimTime,
    ) -> Result<(), Violation> {
        let place = self.guests.len();
        let number = FIRST + u32::try_from(place).unwrap_or(0);
        let random = self.random.split(&format!("guest{number}"));
        let echo = self.echo.contains(&call);
        let attempt = 0;
        self.relay.add(
            number,
            Party {
                call,
                attempt,
                echo,
            },
        );
        self.edge.add(number, call);
        self.guests
            .push(Guest::new(number, call, from, plan, &random));
        self.doors.push(Door {
            link,
            line: None,
            offer: 0,
            last_word: None,
            has_called: false,
        });
        self.with_guest(place, |guest, _, out| guest.call_at(at, out))
    }

    pub(super) fn with_guest<T>(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut Guest, SimTime, &mut Outbox) -> T,
    ) -> Result<T, Violation> {
        let mut out = Outbox::default();
        let result = act(&mut self.guests[place], self.now, &mut out);
        let guest = &self.guests[place];
        let (number, offered) = (guest.number, guest.offered);
        let line = guest.line.or(out.lost_line).unwrap_or(0);
        let _ = self.guests_by_address.insert(guest.transport.at, place);
        if let Some(keys) = &out.keys {
            self.edge.keyed(number, keys);
        }
        for at in out.wakes {
            self.schedule(at, Due::Guest(place));
        }
        for packet in out.packets {
            self.ship(packet);
        }
        if let Some(offer) = out.call {
            self.post(place, line, Word::Call(Box::new(offer)));
        }
        for input in out.frames {
            let number = offered.filter(|_| matches!(input, BrowserInput::Offer(_)));
            self.disturb_guest(place, &input);
            self.post(place, line, Word::Says(input, number));
        }
        if let Some(line) = out.lost_line {
            let mut random = self.random.split(&format!("{number} {line}"));
            let after = random.millis(0, MISSED_MAX_MS);
            self.schedule(
                self.now + after,
                Due::Word(place, line, Box::new(Word::Missed)),
            );
        }
        if let Some(line) = out.new_line {
            self.post(place, line, Word::Opened);
        }
        Ok(result)
    }

    fn post(&mut self, place: usize, line: u32, word: Word) {
        self.schedule(self.now + FRAME, Due::Word(place, line, Box::new(word)));
    }

    /// A word arrives, unless its WebSocket is gone meanwhile.
    pub(super) fn reach_by_line(
        &mut self,
        place: usize,
        line: u32,
        word: Word,
    ) -> Result<(), Violation> {
        let number = self.guests[place].number;
        let is_current = self.doors[place].line == Some(line);
        match word {
            Word::Call(offer) => {
                let door = &mut self.doors[place];
                (door.line, door.offer, door.has_called) = (Some(line), 1, true);
                let call = BrowserCall {
                    link: door.link.clone(),
                    offer: *offer,
                    client: self.guests[place].transport.at.ip(),
                };
                self.say_as_guest(number, BrowserInput::Call(Box::new(call)))
            }
            Word::Says(input, offer) if is_current => {
                let door = &mut self.doors[place];
                door.offer = offer.unwrap_or(door.offer);
                self.say_as_guest(number, input)
            }
            Word::Missed if is_current => {
                self.doors[place].line = None;
                self.say_as_guest(number, BrowserInput::Lost)
            }
            Word::Opened => {
                self.doors[place].line = Some(line);
                self.post(place, line, Word::Welcome);
                match self.doors[place].last_word.take() {
                    Some(last) => {
                        self.post(place, line, Word::Told(last, 0));
                        Ok(())
                    }
                    None => self.say_as_guest(number, BrowserInput::Resumed),
                }
            }
            Word::Welcome if self.guests[place].line == Some(line) => {
                self.with_guest(place, Guest::welcome)
            }
            Word::Told(output, answers) if self.guests[place].line == Some(line) => {
                let heard = self.with_guest(place, |guest, now, out| {
                    guest.hear_word(now, &output, answers, out)
                })?;
                let call = self.guests[place].call;
                heard.map_err(|text| Violation::of_call(call, text))
            }
            Word::Says(..) | Word::Missed | Word::Welcome | Word::Told(..) => Ok(()),
        }
    }

    fn say_as_guest(&mut self, number: u32, input: BrowserInput) -> Result<(), Violation> {
        self.trace
            .note(self.now, &format!("guest {number} {}", name(&input)));
        self.tell(|gateway, now| gateway.guest(now, GuestKey(number.into()), input))
    }

    /// Call control says something to a page.
    pub(super) fn tell_guest(
        &mut self,
        key: GuestKey,
        output: BrowserOutput,
    ) -> Result<(), Violation> {
        let number = u32::try_from(key.0).unwrap_or(0);
        let is_last = matches!(output, BrowserOutput::Ended { .. });
        self.edge.told(number, is_last)?;
        let place = (number - FIRST) as usize;
        let call = self.guests[place].call;
        self.trace.note(
            self.now,
            &format!("guest {number} is told {}", told(&output)),
        );
        if is_last {
            self.disturb_call(call);
        }
        let _ = self.exchanged_at.insert(call, self.now);
        self.relay.forgive(call);
        let door = &mut self.doors[place];
        let answers = door.offer;
        match door.line {
            Some(line) => self.post(place, line, Word::Told(output, answers)),
            None if is_last => door.last_word = Some(output),
            None => {}
        }
        Ok(())
    }

    /// Media may go nowhere once a page hangs up, and anywhere around what it changes.
    fn disturb_guest(&mut self, place: usize, input: &BrowserInput) {
        let call = self.guests[place].call;
        if matches!(input, BrowserInput::HangUp) {
            self.disturb_call(call);
        }
        let _ = self.exchanged_at.insert(call, self.now);
        self.relay.forgive(call);
    }

    pub(super) fn guest_at(&self, address: SocketAddr) -> Option<usize> {
        self.guests_by_address.get(&address).copied()
    }

    /// The voice in a packet of a guest.
    pub(super) fn voice_of_guest(&self, packet: &Packet) -> Option<Voice> {
        let place = self.guest_at(packet.source)?;
        self.guests[place].transport.sent(&packet.bytes)
    }

    /// A datagram arrives where a guest is, or was.
    pub(super) fn reach_guest(&mut self, place: usize, packet: &Packet) -> Result<(), Violation> {
        if self.guests[place].transport.at != packet.target {
            return Ok(());
        }
        self.with_guest(place, |guest, now, out| guest.hear(now, &packet.bytes, out))
    }

    /// A datagram leaves the port of browsers.
    pub(super) fn check_sent_to_guest(&mut self, packet: &Packet) -> Result<(), Violation> {
        let Some(place) = self.guest_at(packet.target) else {
            let text = format!("something is sent to {}, where no guest is", packet.target);
            return Err(Violation::of_world(text));
        };
        let number = self.guests[place].number;
        if let Some(voice) = self.edge.leaves(number, &packet.bytes)? {
            self.relay.leaves(number, &voice)?;
        }
        Ok(())
    }

    /// A guest's packet must reach its callee, now.
    pub(super) fn must_pass_from_guest(&self, packet: &Packet, voice: &Voice) -> bool {
        let Some(place) = self.guest_at(packet.source) else {
            return false;
        };
        let guest = &self.guests[place];
        let hears = |leg: &Leg| {
            leg.call == guest.call && self.is_up(leg) && leg.media.hears(voice.payload_type)
        };
        self.is_steady_guest(guest) && self.legs.iter().any(hears)
    }

    /// A packet of this leg must reach the guest of its call, now.
    pub(super) fn must_reach_guest(&self, sender: &Leg) -> bool {
        let mut guests = self.guests.iter();
        guests.any(|guest| {
            guest.call == sender.call
                && self.is_steady_guest(guest)
                && guest.speech.receives
                && sender.media.speaks(guest.speech.payload_type)
        })
    }

    fn is_steady_guest(&self, guest: &Guest) -> bool {
        self.steady.contains(&guest.call)
            && self.is_settled(guest.call)
            && guest.is_settled(self.now, SETTLED_AFTER)
    }

    /// True where nobody waits for a page any more.
    pub(crate) fn guests_are_quiet(&self) -> bool {
        let mut guests = self.guests.iter().zip(&self.doors);
        guests.all(|(guest, door)| {
            let never_calls = guest.state == State::Over && !door.has_called;
            never_calls || self.edge.has_ended(guest.number)
        })
    }

    /// Each call of a guest was said to be over, has its closed row, and left nobody behind.
    pub(super) fn check_guests(&self) -> Result<(), Violation> {
        for (guest, door) in self.guests.iter().zip(&self.doors) {
            if !door.has_called || self.struck.contains(&guest.call) {
                continue;
            }
            let wrong = |text: String| Err(Violation::of_call(guest.call, text));
            if !self.edge.has_ended(guest.number) {
                return wrong("a guest was never told that its call is over".to_owned());
            }
            let rows = self.records.by_path(&door.link.request_path);
            let dialled = self.dialled.get(&guest.call).copied().unwrap_or(0);
            let noted = rows.map_or(0, |rows| rows.dialled);
            if noted != dialled {
                return wrong(format!("CDR: {noted} rows for {dialled} INVITEs"));
            }
            if rows.is_none() && guest.told.is_some() {
                return wrong("a call of a guest without a CDR".to_owned());
            }
            let callees = self.legs.iter().filter(|leg| leg.call == guest.call);
            let mut callees = callees.filter(|leg| leg.role == Role::Callee && !leg.plan.silent);
            if let Some(leg) = callees.find(|leg| leg.state != LegState::Ended) {
                return wrong(format!("leg {} was dialled and never ended", leg.number));
            }
        }
        Ok(())
    }
}

fn name(input: &BrowserInput) -> String {
    match input {
        BrowserInput::Call(_) => "calls".to_owned(),
        BrowserInput::Offer(_) => "offers".to_owned(),
        BrowserInput::Digits(_)
        | BrowserInput::Camera(_)
        | BrowserInput::HangUp
        | BrowserInput::Lost
        | BrowserInput::Resumed => format!("{input:?}"),
    }
}

fn told(output: &BrowserOutput) -> String {
    match output {
        BrowserOutput::Answer { description, .. } => {
            let formats = description.media.first().map(|media| media.formats.clone());
            format!("an answer {formats:?}")
        }
        BrowserOutput::OfferRefused { .. }
        | BrowserOutput::Renegotiate
        | BrowserOutput::State(_)
        | BrowserOutput::Keypad(_)
        | BrowserOutput::Ended { .. } => format!("{output:?}"),
    }
}
