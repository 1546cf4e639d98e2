//! Handshakes: their datagrams wait in line, a few steps are done a turn, because one costs as much
//! as hundreds of packets. What comes of them is the keys of all legs of a browser.

use packet_io::{PacketBuf, PacketIo};

use crate::command::TransportFailure;
use crate::drop_reason::DropReason;
use crate::dtls::{Failure, Output, Role};
use crate::engine::report_queue::Waiting;
use crate::engine::transport::send_copy;
use crate::engine::transport::table::{Stage, Transports};
use crate::engine::worker::Worker;
use crate::ingress::PeerAddress;
use crate::limits::{
    HANDSHAKE_DATAGRAMS_KEYED_MAX, HANDSHAKE_DATAGRAMS_MAX, HANDSHAKE_KEYED_PER_SECOND_MAX,
    HANDSHAKE_QUEUE_KEYED_MAX, HANDSHAKE_QUEUE_MAX, HANDSHAKE_STEPS_PER_TURN_MAX, HANDSHAKES_MAX,
};
use crate::srtp::SrtpPlan;

/// What a handshake has come to.
#[derive(Default)]
struct Outcome {
    keys: Option<SrtpPlan>,
    end: Option<TransportFailure>,
}

impl<Io: PacketIo> Worker<Io> {
    /// A datagram that is DTLS by its first octet: only from where a browser has checked. Some begin before
    /// they nominate anything.
    pub(super) fn receive_handshake(
        &mut self,
        now_us: u64,
        source: PeerAddress,
        packet: PacketBuf,
    ) -> Result<(), DropReason> {
        let transport = self
            .transports
            .of_source(now_us, &source)
            .or_else(|| self.transports.of_check(&source))
            .ok_or(DropReason::DtlsForeign)?;
        let audio = transport.audio;
        self.in_hand = Some(audio);
        if transport.stage == Stage::Over {
            return Err(DropReason::DtlsOver);
        }
        let queued = self.transports.queue.len();
        let transport = self
            .transports
            .of_audio_mut(audio)
            .ok_or(DropReason::DtlsForeign)?;
        let is_keyed = transport.stage == Stage::Keyed;
        let (line_max, own_max) = if is_keyed {
            (HANDSHAKE_QUEUE_KEYED_MAX, HANDSHAKE_DATAGRAMS_KEYED_MAX)
        } else {
            (HANDSHAKE_QUEUE_MAX, HANDSHAKE_DATAGRAMS_MAX)
        };
        if queued >= line_max || transport.queued >= own_max {
            return Err(DropReason::DtlsQueueFull);
        }
        let rate = HANDSHAKE_KEYED_PER_SECOND_MAX;
        if is_keyed && !transport.keyed_guard.admit(now_us, rate, rate) {
            return Err(DropReason::RateExceeded);
        }
        transport.queued += 1;
        self.transports.queue.push_back((audio, source, packet));
        Ok(())
    }

    /// A turn's share of what waits.
    pub(in crate::engine) fn step_handshakes(&mut self, now_us: u64) {
        for _ in 0..HANDSHAKE_STEPS_PER_TURN_MAX {
            let Some((audio, source, packet)) = self.transports.queue.pop_front() else {
                return;
            };
            self.in_hand = Some(audio);
            if let Some(transport) = self.transports.of_audio_mut(audio) {
                transport.queued -= 1;
                transport.handshake_at = Some(source);
                transport.flights.receive(packet.bytes().len());
            }
            let is_expected = self
                .transports
                .of_audio(audio)
                .is_some_and(|it| it.stage == Stage::Expected);
            if is_expected && !self.begin_handshake(now_us, audio) {
                self.counters.drops.count(DropReason::DtlsHandshakesFull);
                continue;
            }
            self.counters.transport.handshake_datagrams_received += 1;
            self.step_handshake(now_us, audio, Some(packet));
            self.schedule(now_us, audio);
        }
    }

    /// False: too many are under way.
    pub(super) fn begin_handshake(&mut self, now_us: u64, audio: u32) -> bool {
        let is_full = self.transports.handshakes >= HANDSHAKES_MAX;
        let now = self.instant(now_us);
        let endpoint = self.config.browsers.as_ref().map(|it| &it.endpoint);
        let Some((transport, (endpoint, now))) =
            self.transports.of_audio_mut(audio).zip(endpoint.zip(now))
        else {
            return false;
        };
        debug_assert!(transport.stage == Stage::Expected, "one at a time");
        if is_full {
            transport.was_put_off = true;
            return false;
        }
        let plan = &transport.plan;
        let is_client = plan.role == Role::Client;
        transport.handshake = Some(endpoint.begin(now, plan.role, &plan.fingerprints));
        transport.stage = Stage::UnderWay;
        transport.flights.begin();
        if is_client {
            transport.handshake_at = transport.nominated;
        }
        self.transports.handshakes += 1;
        self.counters.transport.handshakes_begun += 1;
        if is_client {
            self.drain_handshake(now_us, audio);
        }
        true
    }

    /// A datagram came, or its time has.
    pub(super) fn step_handshake(&mut self, now_us: u64, audio: u32, packet: Option<PacketBuf>) {
        let now = self.instant(now_us);
        let transport = self.transports.of_audio_mut(audio);
        let handshake = transport.and_then(|it| it.handshake.as_mut());
        let Some((handshake, now)) = handshake.zip(now) else {
            return;
        };
        match packet {
            Some(packet) => handshake.handle_packet(now, packet.bytes()),
            None => handshake.handle_timeout(now),
        }
        self.drain_handshake(now_us, audio);
    }

    /// Does what a handshake wants.
    fn drain_handshake(&mut self, now_us: u64, audio: u32) {
        let mut outcome = Outcome::default();
        let socket = self.transports.socket();
        let Transports {
            first,
            places,
            scratch,
            ..
        } = &mut self.transports;
        let place = audio
            .checked_sub(*first)
            .and_then(|at| places.get_mut(at as usize));
        let Some(transport) = place.and_then(|it| it.transport.as_deref_mut()) else {
            return;
        };
        // Each flight goes to where the one before came from.
        let to = socket.zip(transport.handshake_at);
        let is_reached = transport
            .handshake_at
            .is_some_and(|at| transport.agent.is_reached(at.socket_address()));
        let Some(handshake) = transport.handshake.as_mut() else {
            return;
        };
        while let Some(output) = handshake.poll(scratch) {
            match output {
                Output::Datagram(datagram) => {
                    let Some((socket, to)) = to else { continue };
                    // Who has keys and answers nothing there has no handshake there either.
                    let may = is_reached || transport.stage != Stage::Keyed;
                    if !may || !transport.flights.admit(to, datagram.len(), is_reached) {
                        self.counters.transport.handshake_datagrams_withheld += 1;
                        continue;
                    }
                    let to = (socket, Some(to.socket_address()));
                    let missing = &mut self.counters.buffers_missing;
                    if send_copy(&mut self.io, missing, datagram, to) {
                        self.counters.transport.handshake_datagrams_sent += 1;
                    }
                }
                Output::Keys(keys) => outcome.keys = Some(keys),
                Output::Failed(failure) => {
                    outcome.end = Some(TransportFailure::Handshake(failure));
                }
                Output::Closed => outcome.end = Some(TransportFailure::Closed),
            }
        }
        self.take_outcome(now_us, audio, outcome);
    }

    fn take_outcome(&mut self, now_us: u64, audio: u32, outcome: Outcome) {
        if let Some(keys) = outcome.keys {
            self.keyed(now_us, audio, keys);
        }
        if let Some(failure) = outcome.end {
            let stage = self.transports.of_audio(audio).map(|it| it.stage);
            self.transports.end_handshake(audio, Stage::Over);
            // What goes wrong with a session after its keys were made changes nothing about them.
            let is_late =
                stage == Some(Stage::Keyed) && matches!(failure, TransportFailure::Handshake(_));
            debug_assert!(
                stage != Some(Stage::Keyed)
                    || failure != TransportFailure::Handshake(Failure::Fingerprint),
                "keys only for who is named"
            );
            if !is_late {
                self.fail_transport(audio, failure);
            }
        }
    }

    /// The peer is who its description names: its legs have keys.
    fn keyed(&mut self, now_us: u64, audio: u32, keys: SrtpPlan) {
        let Some(transport) = self.transports.of_audio_mut(audio) else {
            return;
        };
        debug_assert!(transport.stage == Stage::UnderWay, "keys come once");
        transport.stage = Stage::Keyed;
        let keys = Box::new(keys);
        transport.keys = Some(keys.clone());
        transport.barred = None;
        if let Some(repeats) = &mut transport.repeats {
            repeats.clear();
        }
        let (slots, source) = (transport.slots(), transport.handshake_at);
        let reached = source.filter(|source| transport.flights.went_to(*source));
        self.transports.handshakes -= 1;
        self.counters.transport.handshakes_done += 1;
        for slot in slots {
            self.take_keys(now_us, slot, keys.clone());
        }
        if let Some(reached) = reached {
            self.reach(now_us, audio, reached);
        }
        // Who came to keys from there is there: of all that a browser nominates it uses that.
        if let Some(source) = source {
            self.prove_source(now_us, audio, source);
        }
        let transport = self.transports.of_audio(audio);
        if transport.is_some_and(|it| it.nominated.is_some()) {
            self.reports.push(audio, Waiting::TransportUp);
        }
    }
}
