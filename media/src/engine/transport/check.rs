//! Checks of ICE: answered if they authenticate, and what they nominate is where a browser is.

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo};

use crate::drop_reason::DropReason;
use crate::dtls::Role;
use crate::engine::batching::micros;
use crate::engine::report_queue::Waiting;
use crate::engine::transport::table::Stage;
use crate::engine::worker::Worker;
use crate::ice::{Change, Checked, Consent, Refusal, destination_fragment, is_response};
use crate::ingress::PeerAddress;
use crate::limits::{
    CHECK_BURST_MAX, CHECKS_PER_SECOND_MAX, LATCH_GRACE, NOMINATION_HEARD, NOMINATION_PROOF_MAX,
};

impl<Io: PacketIo> Worker<Io> {
    /// A datagram that is STUN by its first octet, from anywhere.
    pub(super) fn receive_check(
        &mut self,
        now_us: u64,
        source: SocketAddr,
        mut packet: PacketBuf,
    ) -> Result<(), DropReason> {
        if is_response(packet.bytes()) {
            return self.receive_response(now_us, source, &packet);
        }
        let audio = destination_fragment(packet.bytes())
            .and_then(|fragment| {
                let audio = self.transports.by_fragment.get(fragment).copied();
                audio.ok_or(Refusal::UsernameForeign)
            })
            .map_err(|refusal| self.refuse_check(refusal))?;
        self.in_hand = Some(audio);
        self.expect_foreign(Some(source))?;
        let now = self.instant(now_us).ok_or(DropReason::StunRefused)?;
        let is_heard = self.is_heard_where_nominated(now_us, audio);
        let transport = self
            .transports
            .of_audio_mut(audio)
            .ok_or(DropReason::StunRefused)?;
        let checked = transport.agent.check(now, source, packet.bytes(), is_heard);
        let (response, change) = match checked {
            Checked::Answered(response, change) => (response, change),
            Checked::Dropped(refusal) => return Err(self.refuse_check(refusal)),
        };
        let may_answer = transport
            .guard
            .admit(now_us, CHECKS_PER_SECOND_MAX, CHECK_BURST_MAX);
        transport.heard_us = now_us;
        let is_generation_over = transport.agent.fragments().count() != transport.fragments.len();
        let consent = transport.agent.consent(now);
        // It found that consent is over, before anybody else did.
        let is_left = consent == Consent::Waiting && transport.nominated.is_some();
        if is_left {
            transport.await_anew(now_us);
        }
        self.transports.note_check(audio, source.into());
        if is_generation_over {
            self.transports.follow_fragments(audio);
        }
        if is_left {
            self.transports.leave(audio);
            self.follow_nomination(audio);
        }
        let is_nominated = change == Change::Nominated(source)
            || (consent == Consent::Granted(source)
                && self.transports.by_source.get(&source.into()) != Some(audio));
        if is_nominated {
            self.nominate(now_us, audio, source, false);
        }
        let transport = self.transports.of_audio(audio);
        if transport.is_some_and(|it| it.nominated.is_some()) {
            self.note_heard(audio);
        }
        self.begin_if_client(now_us, audio, source);
        self.schedule(now_us, audio);
        if !may_answer {
            return Err(DropReason::RateExceeded);
        }
        packet
            .copy_from(&response)
            .map_err(|_no_room| DropReason::StunRefused)?;
        self.counters.transport.checks_answered += 1;
        if let Some(socket) = self.transports.socket() {
            self.io.send(packet, socket, Some(source));
        }
        self.ask_sources(now_us, audio);
        self.schedule(now_us, audio);
        Ok(())
    }

    pub(super) fn refuse_check(&mut self, refusal: Refusal) -> DropReason {
        self.counters.checks_refused.count(refusal);
        DropReason::StunRefused
    }

    /// Where we begin the handshake, and a check says that the browser is there.
    fn begin_if_client(&mut self, now_us: u64, audio: u32, source: SocketAddr) {
        let is_awaited = self.transports.of_audio(audio).is_some_and(|it| {
            let is_ours = it.stage == Stage::Expected && it.plan.role == Role::Client;
            is_ours && it.nominated == Some(source.into())
        });
        if is_awaited {
            self.begin_handshake(now_us, audio);
        }
    }

    /// True if a browser was heard under keys a moment ago, and is nominated.
    fn is_heard_where_nominated(&self, now_us: u64, audio: u32) -> bool {
        let transport = self.transports.of_audio(audio);
        let Some(transport) = transport.filter(|it| it.nominated.is_some()) else {
            return false;
        };
        let lines = transport.slots().filter_map(|slot| {
            let line = self.ingress.get(slot as usize)?;
            Some(line.heard_us)
        });
        let heard_us = lines.max().unwrap_or_default().max(transport.reported_us);
        let is_awaited = transport.unproven_until_us.is_some();
        heard_us > 0 && !is_awaited && now_us.saturating_sub(heard_us) < micros(NOMINATION_HEARD)
    }

    /// Keys have authenticated what came from there. True: that is where the browser is.
    pub(super) fn prove_source(&mut self, now_us: u64, audio: u32, source: PeerAddress) -> bool {
        let now = self.instant(now_us);
        let Some((transport, now)) = self.transports.of_audio_mut(audio).zip(now) else {
            return false;
        };
        let address = source.socket_address();
        let change = transport.agent.prove(now, address);
        // Nobody is sent to where the agent has it nominated: it was barred there, or another was there.
        let is_back = transport.nominated != Some(source)
            && transport.agent.consent(now) == Consent::Granted(address);
        if change == Change::Nominated(address) || is_back {
            self.nominate(now_us, audio, address, true);
            self.schedule(now_us, audio);
        }
        let transport = self.transports.of_audio_mut(audio);
        transport.is_some_and(|it| {
            let is_there = it.nominated == Some(source);
            if is_there {
                it.note_proof();
            }
            is_there
        })
    }

    /// A browser is here from now on, unless another one is that has keys and was heard lately: a check
    /// proves who sent it, and not where it was sent from.
    ///
    /// Who has keys has to say something under them from there before long: otherwise a guest could name
    /// the address of anybody, and have the media of its call sent there.
    pub(super) fn nominate(
        &mut self,
        now_us: u64,
        audio: u32,
        source: SocketAddr,
        is_proven: bool,
    ) {
        let address = PeerAddress::from(source);
        let barred = self.transports.of_audio(audio).and_then(|it| it.barred);
        if !is_proven && barred.is_some_and(|barred| barred.is_same_host(&address)) {
            return self.leave_for_barred(audio);
        }
        let holder = self.transports.by_source.get(&address);
        let is_taken = holder
            .filter(|holder| *holder != audio)
            .is_some_and(|holder| {
                self.transports.of_audio(holder).is_some_and(|other| {
                    let is_there = other.nominated == Some(address);
                    is_there && other.keys.is_some() && !other.is_silent
                })
            });
        if is_taken {
            self.counters.transport.nominations_taken += 1;
            return;
        }
        if let Some(holder) = holder.filter(|holder| *holder != audio) {
            self.displace(holder, &address);
        }
        self.counters.transport.nominations += 1;
        let until_us = now_us.saturating_add(micros(LATCH_GRACE));
        let before = self.transports.of_audio(audio).and_then(|it| it.nominated);
        self.transports.move_to(audio, address, until_us);
        let Some(transport) = self.transports.of_audio_mut(audio) else {
            return;
        };
        let was_lost = std::mem::take(&mut transport.is_lost);
        let is_keyed = transport.is_keyed();
        let until_us = now_us.saturating_add(micros(NOMINATION_PROOF_MAX));
        // Even where others are on their way: under those that hold it is sent to until then.
        let is_awaited = transport.keys.is_some() && !is_proven;
        // Who goes on to yet another address has no more time for it.
        let before_us = transport.unproven_until_us;
        transport.unproven_until_us = is_awaited.then(|| before_us.unwrap_or(until_us));
        transport.barred = transport.barred.filter(|barred| *barred != address);
        if transport.stage == Stage::Expected {
            transport.awaited.nominate(now_us);
        }
        let is_ours = transport.stage == Stage::UnderWay && transport.plan.role == Role::Client;
        if is_ours && !transport.flights.is_answered() {
            // Nobody has said where it goes on.
            transport.handshake_at = Some(address);
        }
        self.follow_nomination(audio);
        let is_first = before.is_none();
        if (was_lost || is_first) && is_keyed {
            self.reports.push(audio, Waiting::TransportUp);
        }
    }

    /// What a browser checks from is where nothing more goes: nor does it where consent is not renewed.
    fn leave_for_barred(&mut self, audio: u32) {
        let transport = self.transports.of_audio(audio);
        if transport.is_none_or(|it| it.nominated.is_none()) {
            return;
        }
        self.transports.leave(audio);
        self.follow_nomination(audio);
        if self
            .transports
            .of_audio(audio)
            .is_some_and(|it| !it.is_silent)
        {
            self.fall_silent(audio);
        }
    }

    /// An address is another browser's. Who was there is nowhere until it is nominated again.
    fn displace(&mut self, holder: u32, address: &PeerAddress) {
        let Some(transport) = self.transports.of_audio_mut(holder) else {
            return;
        };
        if transport.nominated == Some(*address) {
            self.transports.leave(holder);
            self.follow_nomination(holder);
        } else {
            self.transports.leave_former(holder);
        }
    }

    /// Brings the legs of a browser up to where it is, as far as the way there is known to lead to it.
    pub(super) fn follow_nomination(&mut self, audio: u32) {
        let Some(transport) = self.transports.of_audio(audio) else {
            return;
        };
        let reached = transport.reached();
        for slot in transport.slots() {
            if let Some(leg) = self.leg_mut(slot) {
                leg.latch.nominate(reached);
            }
            self.refresh_lock(slot);
        }
    }
}
