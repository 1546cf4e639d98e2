//! What a transport has to do without a datagram: it rides on the deadline of its audio leg.

use std::time::Instant;

use packet_io::PacketIo;

use crate::command::TransportFailure;
use crate::dtls::Failure;
use crate::engine::batching::micros;
use crate::engine::report_queue::Waiting;
use crate::engine::transport::table::{Stage, Transport};
use crate::engine::worker::Worker;
use crate::ice::Change;
use crate::limits::{DTLS_HANDSHAKE_MAX, TRANSPORT_SILENCE};

impl<Io: PacketIo> Worker<Io> {
    /// When that is next.
    pub(in crate::engine) fn transport_deadline(&self, slot: u32) -> Option<u64> {
        let transport = self.transports.of_audio(slot)?;
        let consent = transport.agent.deadline().filter(|_| !transport.is_lost);
        let handshake = transport.handshake.as_ref().and_then(|it| it.deadline());
        let is_waiting = is_waiting(transport);
        let ask = transport.agent.ask_at();
        let dues = [
            ask.and_then(|at| self.microsecond(at)),
            consent.and_then(|at| self.microsecond(at)),
            handshake.and_then(|at| self.microsecond(at)),
            is_waiting.then(|| given_up_at(transport)),
            self.transport_silent_at(transport),
            transport.former.map(|(_, until_us)| until_us),
            transport.unproven_until_us,
        ];
        dues.into_iter().flatten().min()
    }

    /// A moment in microseconds of the worker's clock, never before it.
    fn microsecond(&self, at: Instant) -> Option<u64> {
        let from_now = at.saturating_duration_since(self.instant(self.latest_us)?);
        let rest = u64::from(!from_now.subsec_nanos().is_multiple_of(1_000));
        Some(
            self.latest_us
                .saturating_add(micros(from_now))
                .saturating_add(rest),
        )
    }

    /// When it has been silent for too long, unless that was said already.
    fn transport_silent_at(&self, transport: &Transport) -> Option<u64> {
        let is_heard = transport.nominated.is_some() && !transport.is_silent;
        let heard = transport.slots().filter_map(|slot| {
            let line = self.ingress.get(slot as usize)?;
            Some(line.heard_us)
        });
        let heard_us = heard.max().unwrap_or_default().max(transport.heard_us);
        is_heard.then(|| heard_us.saturating_add(micros(TRANSPORT_SILENCE)))
    }

    /// Does what is due.
    pub(in crate::engine) fn tick_transport(&mut self, now_us: u64, audio: u32) {
        let Some(transport) = self.transports.of_audio(audio) else {
            return;
        };
        let is_due = |at_us: Option<u64>| at_us.is_some_and(|at_us| at_us <= now_us);
        let is_silent = is_due(self.transport_silent_at(transport));
        let is_unproven = is_due(transport.unproven_until_us);
        let is_former_over = is_due(transport.former.map(|(_, until_us)| until_us));
        if is_silent {
            self.fall_silent(audio);
        }
        if is_unproven {
            self.bar_nomination(now_us, audio);
        }
        if is_former_over {
            self.transports.leave_former(audio);
        }
        self.transports.release_repeats(now_us, audio);
        self.ask_sources(now_us, audio);
        self.tick_consent(now_us, audio);
        self.tick_handshake(now_us, audio);
    }

    /// Nothing under keys came from where a browser is nominated: nothing more goes there until it does, but
    /// to where it was heard before, if it still checks from there.
    fn bar_nomination(&mut self, now_us: u64, audio: u32) {
        let now = self.instant(now_us);
        let Some((transport, now)) = self.transports.of_audio_mut(audio).zip(now) else {
            return;
        };
        transport.unproven_until_us = None;
        transport.barred = transport.nominated;
        let proven = transport
            .proven
            .filter(|proven| Some(*proven) != transport.barred)
            .map(|proven| proven.socket_address());
        let is_back = proven
            .filter(|proven| transport.agent.prove(now, *proven) == Change::Nominated(*proven));
        self.counters.transport.nominations_unproven += 1;
        self.transports.leave(audio);
        self.follow_nomination(audio);
        if let Some(proven) = is_back {
            self.nominate(now_us, audio, proven, true);
        }
        let transport = self.transports.of_audio(audio);
        if transport.is_some_and(|it| it.nominated.is_none() && !it.is_silent) {
            self.fall_silent(audio);
        }
    }

    pub(super) fn fall_silent(&mut self, audio: u32) {
        if let Some(transport) = self.transports.of_audio_mut(audio) {
            transport.is_silent = true;
            self.counters.transport.silent += 1;
            self.reports.push(audio, Waiting::TransportSilent);
        }
    }

    fn tick_consent(&mut self, now_us: u64, audio: u32) {
        let Some(transport) = self.transports.of_audio(audio) else {
            return;
        };
        let at_us = transport
            .agent
            .deadline()
            .and_then(|at| self.microsecond(at));
        let is_over = at_us.is_some_and(|at_us| at_us <= now_us) && !transport.is_lost;
        if !is_over {
            return;
        }
        let failure = if transport.nominated.is_some() || transport.keys.is_some() {
            TransportFailure::ConsentExpired
        } else {
            TransportFailure::NoSource
        };
        let now = self.instant(now_us);
        self.transports.leave(audio);
        let mut is_over = true;
        if let Some((transport, now)) = self.transports.of_audio_mut(audio).zip(now) {
            is_over = !transport.agent.expire(now);
            transport.is_lost = is_over;
            transport.await_anew(now_us);
        }
        self.transports.follow_fragments(audio);
        self.follow_nomination(audio);
        if is_over {
            self.fail_transport(audio, failure);
        }
    }

    fn tick_handshake(&mut self, now_us: u64, audio: u32) {
        let Some(transport) = self.transports.of_audio(audio) else {
            return;
        };
        let deadline = transport.handshake.as_ref().and_then(|it| it.deadline());
        let at_us = deadline.and_then(|at| self.microsecond(at));
        if at_us.is_some_and(|at_us| at_us <= now_us) {
            self.step_handshake(now_us, audio, None);
        }
        // That may have been its end.
        let transport = self.transports.of_audio(audio);
        let Some(transport) = transport.filter(|it| is_waiting(it) && given_up_at(it) <= now_us)
        else {
            return;
        };
        let failure = match &transport.handshake {
            _ if transport.was_put_off => TransportFailure::HandshakesFull,
            Some(handshake) => TransportFailure::Handshake(handshake.unfinished()),
            None => TransportFailure::Handshake(Failure::Timeout),
        };
        self.transports.end_handshake(audio, Stage::Over);
        self.fail_transport(audio, failure);
    }

    /// Something authentic came from a browser.
    pub(super) fn note_heard(&mut self, audio: u32) {
        if let Some(transport) = self.transports.of_audio_mut(audio)
            && transport.is_silent
        {
            transport.is_silent = false;
            self.counters.transport.back += 1;
            self.reports.push(audio, Waiting::TransportBack);
        }
    }
}

/// True while there is a way and no key.
fn is_waiting(transport: &Transport) -> bool {
    matches!(transport.stage, Stage::Expected | Stage::UnderWay) && transport.nominated.is_some()
}

/// When a handshake is waited for no longer, whatever it says itself.
fn given_up_at(transport: &Transport) -> u64 {
    transport
        .awaited
        .since_us
        .saturating_add(micros(DTLS_HANDSHAKE_MAX))
}
