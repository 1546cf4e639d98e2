//! From a plan to a transport, and from a transport to nothing: what commands do to it.

use std::time::Instant;

use arrayvec::ArrayVec;
use packet_io::{OpenRefused, PacketIo, SocketSpec};

use crate::command::{PairKey, TransportFailure, TransportPlan};
use crate::dtls::Role;
use crate::engine::batching::micros;
use crate::engine::line::State;
use crate::engine::report_queue::Waiting;
use crate::engine::socket_owners::PortKind;
use crate::engine::transport::flights::Flights;
use crate::engine::transport::repeats::Repeats;
use crate::engine::transport::table::{Awaited, Stage, Transport};
use crate::engine::worker::Worker;
use crate::ice::Agent;
use crate::ingress::RateGuard;
use crate::limits::OPEN_RETRY;
use crate::rtp::Ssrc;

impl<Io: PacketIo> Worker<Io> {
    /// Opens the port of browsers, if that is due. Every slot of theirs is in stock from then on.
    pub(in crate::engine) fn open_browser_port(&mut self, now_us: u64) {
        let is_due = self
            .transports
            .open_at()
            .is_some_and(|at_us| at_us <= now_us);
        let Some(browsers) = self.config.browsers.as_ref().filter(|_| is_due) else {
            return;
        };
        let spec = SocketSpec {
            local: browsers.address,
            dscp: self.config.dscp,
            receive_buffer_bytes: browsers.receive_buffer_bytes,
        };
        let opened = self.io.open(spec).and_then(|socket| {
            if self.sockets.set(socket, u32::MAX, PortKind::Browsers) {
                return Ok(socket);
            }
            self.io.close(socket);
            Err(OpenRefused::SocketLimit)
        });
        let Ok(socket) = opened else {
            self.counters.ports_refused += 1;
            self.transports.open_at_us = Some(now_us + micros(OPEN_RETRY));
            return;
        };
        self.transports.open_at_us = None;
        self.transports.socket = Some(socket);
        self.transports.at = self.io.local(socket).or(Some(spec.local));
        for slot in self.transports.first..self.slots() {
            self.stock(slot);
        }
    }

    /// A transport begins, or changes. `None`: its legs are not what the command takes them for.
    pub(in crate::engine) fn transport(
        &mut self,
        now: Instant,
        now_us: u64,
        audio: u32,
        video: Option<PairKey>,
        plan: Box<TransportPlan>,
    ) -> Option<()> {
        let is_leg = |slot: &u32| self.transports.is_bundled(*slot);
        let video = match video {
            Some(pair) => Some(self.slot(pair, State::Connected).filter(is_leg)?),
            None => None,
        };
        let is_of = |slot: u32| self.transports.place(slot).and_then(|place| place.audio);
        let is_free = |slot: u32| is_of(slot).is_none_or(|of| of == audio);
        if !is_leg(&audio) || video == Some(audio) || !is_free(audio) {
            return None;
        }
        if !video.is_none_or(is_free) {
            return None;
        }
        if let Some(transport) = self.transports.of_audio_mut(audio) {
            transport.failed = None;
        }
        let made = if self.transports.of_audio(audio).is_some() {
            self.change_transport(now, now_us, audio, plan)
        } else {
            self.begin_transport(now, now_us, audio, plan)
        };
        match made {
            Ok(()) => self.follow_video(now_us, audio, video),
            Err(failure) => self.fail_transport(audio, failure),
        }
        self.schedule(now_us, audio);
        Some(())
    }

    fn begin_transport(
        &mut self,
        now: Instant,
        now_us: u64,
        audio: u32,
        plan: Box<TransportPlan>,
    ) -> Result<(), TransportFailure> {
        let [of_audio, of_video] = plan.ssrcs;
        if of_audio == of_video || plan.ssrcs.contains(&Ssrc(0)) {
            return Err(TransportFailure::Plan);
        }
        self.expect_new_fragment(&plan)?;
        let agent = Agent::new(now, plan.ours.clone(), plan.peer.clone());
        let transport = Transport {
            plan,
            agent,
            fragments: ArrayVec::new(),
            nominated: None,
            former: None,
            unproven_until_us: None,
            barred: None,
            proven: None,
            checked: ArrayVec::new(),
            handshake_at: None,
            flights: Flights::default(),
            is_lost: false,
            failed: None,
            audio,
            video: None,
            sources: ArrayVec::new(),
            handshake: None,
            stage: Stage::Expected,
            awaited: Awaited::since(now_us),
            was_put_off: false,
            queued: 0,
            keys: None,
            video_before: None,
            repeats: None,
            reported_us: 0,
            heard_us: now_us,
            is_silent: false,
            guard: RateGuard::NEW,
            keyed_guard: RateGuard::NEW,
        };
        if let Some(place) = self.transports.place_mut(audio) {
            place.audio = Some(audio);
            place.transport = Some(Box::new(transport));
        }
        self.transports.follow_fragments(audio);
        if let Some(line) = self.egress.get_mut(audio as usize) {
            let is_new = !line.continuity.is_started();
            debug_assert!(is_new || line.ssrc == of_audio, "nothing left before");
            line.ssrc = of_audio;
        }
        self.counters.transport.begun += 1;
        Ok(())
    }

    fn change_transport(
        &mut self,
        now: Instant,
        now_us: u64,
        audio: u32,
        plan: Box<TransportPlan>,
    ) -> Result<(), TransportFailure> {
        let Some(transport) = self.transports.of_audio(audio) else {
            return Ok(());
        };
        if plan.ssrcs != transport.plan.ssrcs {
            // Under the key that holds, another slot may have used what this one would.
            return Err(TransportFailure::Plan);
        }
        let ours = plan.ours.fragment();
        let is_restart = !transport.agent.fragments().any(|known| known == ours);
        // A set, in whatever order (RFC 8842 §5.1).
        let named = &transport.plan.fingerprints;
        let is_same_set = plan.fingerprints.len() == named.len()
            && plan.fingerprints.iter().all(|it| named.contains(it));
        let is_same_peer = is_same_set && plan.role == transport.plan.role;
        // What came to no keys is tried again where there is another way.
        let may_retry = transport.stage == Stage::Over && transport.keys.is_none();
        if is_restart {
            self.expect_new_fragment(&plan)?;
        }
        let Some(transport) = self.transports.of_audio_mut(audio) else {
            return Ok(());
        };
        if is_restart {
            let is_begun = transport
                .agent
                .restart(now, plan.ours.clone(), plan.peer.clone());
            if !is_begun {
                return Err(TransportFailure::Plan);
            }
            transport.is_lost = false;
            transport.barred = None;
        }
        transport.plan = plan;
        if is_restart {
            self.transports.follow_fragments(audio);
        }
        let (is_there, role) = self
            .transports
            .of_audio(audio)
            .map_or((false, Role::Server), |it| {
                (it.nominated.is_some() && !is_restart, it.plan.role)
            });
        if !is_same_peer || (is_restart && may_retry) {
            self.transports.expect_handshake(audio, now_us);
            if is_there && role == Role::Client {
                self.begin_handshake(now_us, audio);
            }
        }
        Ok(())
    }

    /// No two browsers are told the same name of ours.
    fn expect_new_fragment(&self, plan: &TransportPlan) -> Result<(), TransportFailure> {
        if self
            .transports
            .by_fragment
            .contains_key(plan.ours.fragment())
        {
            return Err(TransportFailure::Plan);
        }
        Ok(())
    }

    /// Nothing comes of it until control says otherwise.
    pub(super) fn fail_transport(&mut self, audio: u32, failure: TransportFailure) {
        if let Some(transport) = self.transports.of_audio_mut(audio)
            && transport.failed.replace(failure).is_some()
        {
            return;
        }
        self.counters.transports_failed.count(failure);
        if let Some(place) = self.transports.place_mut(audio) {
            place.failure = Some(failure);
        }
        self.reports.push(audio, Waiting::TransportFailed);
    }

    /// The video of a transport is this leg from now on, or none.
    fn follow_video(&mut self, now_us: u64, audio: u32, video: Option<u32>) {
        let Some(transport) = self.transports.of_audio(audio) else {
            return;
        };
        let before = transport.video;
        if before == video {
            return;
        }
        if let Some(before) = before {
            self.leave_bundle(audio, before);
        }
        let Some(slot) = video else { return };
        let audio_name = self.leg(audio).map(|leg| leg.control.cname);
        let Some(transport) = self.transports.of_audio_mut(audio) else {
            return;
        };
        transport.video = Some(slot);
        transport.repeats = Some(Box::new(Repeats::new()));
        let keys = transport.keys.clone();
        let parked = transport.video_before.take();
        let (reached, [_, ssrc]) = (transport.reached(), transport.plan.ssrcs);
        if let Some(place) = self.transports.place_mut(slot) {
            place.audio = Some(audio);
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            let is_new = !line.continuity.is_started();
            debug_assert!(is_new || line.ssrc == ssrc, "of no other source");
            line.ssrc = ssrc;
        }
        if let Some(leg) = self.leg_mut(slot) {
            leg.latch.nominate(reached);
            // One name for both, or nobody matches sound and picture (RFC 3550 §6.5.1).
            leg.control.cname = audio_name.unwrap_or(leg.control.cname);
        }
        if parked.is_some() {
            self.set_srtp(slot, parked);
        }
        match keys {
            Some(keys) => self.take_keys(now_us, slot, keys),
            None => self.refresh_lock(slot),
        }
    }

    /// The leg of a video is not of that transport any more.
    fn leave_bundle(&mut self, audio: u32, slot: u32) {
        let secure = self.take_srtp(slot);
        if let Some(place) = self.transports.place_mut(slot) {
            place.audio = None;
        }
        if let Some(transport) = self.transports.of_audio_mut(audio) {
            transport.video = None;
            transport.repeats = None;
            transport.unlearn(slot);
            transport.video_before = secure;
        }
        if let Some(leg) = self.leg_mut(slot) {
            leg.latch.nominate(None);
            leg.plan.srtp = None;
        }
        self.refresh_lock(slot);
    }

    /// A leg of a browser ends: with its audio all of it does.
    pub(in crate::engine) fn end_bundled(&mut self, slot: u32) {
        let Some(audio) = self.transports.place(slot).and_then(|place| place.audio) else {
            return;
        };
        if audio != slot {
            return self.leave_bundle(audio, slot);
        }
        let video = self.transports.of_audio(audio).and_then(|it| it.video);
        if let Some(video) = video {
            self.leave_bundle(audio, video);
        }
        self.transports.remove(audio);
        if let Some(leg) = self.leg_mut(slot) {
            leg.latch.nominate(None);
        }
        self.refresh_lock(slot);
        if let Some(place) = self.transports.place_mut(slot) {
            place.failure = None;
        }
    }
}
