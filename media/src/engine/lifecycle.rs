//! From stock to call and back: what the commands of control do to a pair.

use packet_io::PacketIo;
use rand_core::RngCore;

use crate::command::{LatchPolicy, LegCounters, LegPlan, MediaKind, Report, Target};
use crate::engine::batching::micros;
use crate::engine::leg::{Control, Leg, expected};
use crate::engine::line::{
    EgressLine, Gate, IngressLine, PAYLOAD_NONE, ReceptionLine, Route, SentCounters, State,
};
use crate::engine::own_picture::OwnPicture;
use crate::engine::report_queue::Waiting;
use crate::engine::worker::Worker;
use crate::ingress::{Latch, PeerAddress, RateGuard};
use crate::limits::{PORT_DRAIN, STOCK_KEPT_FACTOR};
use crate::relay::{Continuity, EventCounter};
use crate::rtcp::{Cname, interval};
use crate::rtp::{RtpTimestamp, SequenceNumber, Ssrc};
use crate::srtp::SrtpPlan;
use crate::tone::TonePhase;

impl<Io: PacketIo> Worker<Io> {
    pub(super) fn connect(&mut self, now_us: u64, slot: u32, plan: LegPlan, target: Target) {
        let numbers = (
            self.random.next_u32(),
            self.random.next_u32(),
            self.random.next_u32(),
        );
        let cname = Cname::from_random(self.random.next_u64());
        let first_report = micros(interval(self.random.next_u32(), true));
        let Some(pair) = self.pairs.get_mut(slot as usize) else {
            return;
        };
        let own = pair.open.map(|open| open.rtp);
        let shared = self.transports.socket();
        let is_bundled = self.transports.is_bundled(slot);
        let Some(socket) = own.or_else(|| shared.filter(|_| is_bundled)) else {
            return;
        };
        let plan = if is_bundled {
            bundled(plan, None)
        } else {
            plan
        };
        debug_assert!(pair.leg.is_none(), "a pair in stock carries no leg");
        if let Some(line) = self.egress.get_mut(slot as usize) {
            let [high, low, ..] = numbers.1.to_be_bytes();
            // RFC 4568 §6.4: begun in the lower half, no counter rolls over while the first packets
            // may still be lost.
            let sequence = SequenceNumber(u16::from_be_bytes([high & 0x7f, low]));
            *line = EgressLine {
                socket,
                generation: pair.generation,
                // No stream has the source that a leg which heard nobody shows.
                ssrc: Ssrc(numbers.0.max(1)),
                continuity: Continuity::new(sequence, RtpTimestamp(numbers.2)),
                ..EgressLine::FREE
            };
        }
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            *line = IngressLine {
                state: State::Connected,
                ..IngressLine::FREE
            };
        }
        if let Some(received) = self.reception.get_mut(slot as usize) {
            *received = ReceptionLine::default();
        }
        if let Some(sent) = self.sent.get_mut(slot as usize) {
            *sent = SentCounters::default();
        }
        let control = Control {
            cname,
            source: None,
            guard: RateGuard::NEW,
            due_us: now_us + first_report,
            received: 0,
            heard: None,
            sent: [None; 2],
            round_trip_us: None,
            has_reported: false,
            reports_missing: 0,
            packets_reported: 0,
            reported: None,
            keyframe_asked: None,
            rate_said_us: None,
            arrivals_of: None,
            intra_request_sent: 0,
            intra_request_heard: None,
        };
        pair.leg = Some(Leg {
            latch: Latch::new(plan.latch, expected(&plan)),
            has_keys_only: is_bundled,
            plan,
            target,
            control,
            tone: TonePhase::default(),
            events: EventCounter::default(),
            picture: None,
            discarded: 0,
            jitter_us: 0,
            silence_from_us: now_us,
            is_silent: false,
            is_socket_connected: false,
            socket_check_us: None,
        });
        if !is_bundled {
            debug_assert!(self.stocked > 0, "what is connected was in stock");
            self.stocked -= 1;
            self.stock_at_us = Some(now_us);
        }
        self.counters.legs_connected += 1;
        self.begin_srtp(slot);
        self.follow_picture(now_us, slot);
        self.apply(slot);
        self.schedule(now_us, slot);
        debug_assert!(self.leg(slot).is_some(), "a connected pair has a leg");
    }

    pub(super) fn update(&mut self, now_us: u64, slot: u32, plan: LegPlan, target: Target) {
        debug_assert!(self.leg(slot).is_some(), "a connected pair has a leg");
        self.open_socket(slot);
        let plan = if self.transports.is_bundled(slot) {
            let keys = self.leg(slot).and_then(|leg| leg.plan.srtp.clone());
            bundled(plan, keys)
        } else {
            plan
        };
        let hears_on = self.hears_under(slot, plan.srtp.as_deref());
        if let Some(leg) = self.leg_mut(slot) {
            if leg.latch.renegotiate(now_us, plan.latch, expected(&plan)) {
                leg.control.source = None;
            }
            if leg.plan.srtp.is_none() && plan.srtp.is_some() {
                leg.latch.require_key();
                leg.control.source = None;
            } else if !hears_on && plan.srtp.is_some() {
                leg.latch.change_key();
            } else if !hears_on {
                leg.latch.end_keys();
            }
            leg.plan = plan;
            leg.target = target;
            leg.silence_from_us = now_us;
            leg.is_silent = false;
        }
        self.renegotiate_srtp(now_us, slot);
        self.follow_picture(now_us, slot);
        self.apply(slot);
        self.lead_to_index(slot);
        self.watch_socket(now_us, slot);
    }

    /// Under a key that begins anew, or comes back, our stream goes on where its index does: nearer than
    /// half a round to it, or the peer would take another roll-over counter for it.
    pub(super) fn lead_to_index(&mut self, slot: u32) {
        let ours = self.egress.get(slot as usize).map(|line| line.ssrc);
        let next = ours.and_then(|ours| self.next_index(slot, ours));
        if let Some(next) = next
            && let Some(line) = self.egress.get_mut(slot as usize)
        {
            line.continuity.lead_to(SequenceNumber::of_index(next));
        }
    }

    /// Brings the hot lines of a leg up to its plan and target.
    pub(super) fn apply(&mut self, slot: u32) {
        let worker = self.config.worker;
        let Some(leg) = self
            .pairs
            .get(slot as usize)
            .and_then(|pair| pair.leg.as_ref())
        else {
            return;
        };
        let Some(line) = self.ingress.get_mut(slot as usize) else {
            return;
        };
        let own = self
            .egress
            .get(slot as usize)
            .map_or(0, |line| line.generation);
        let before = (line.route, line.opposite, line.opposite_generation);
        (line.route, line.opposite, line.opposite_generation) = match leg.target {
            Target::Nowhere => (Route::Nowhere, u32::MAX, 0),
            // What is played to who sends pictures is not made of them.
            Target::Tone | Target::Ringback if leg.plan.kind == MediaKind::Video => {
                (Route::Nowhere, u32::MAX, 0)
            }
            Target::Leg(pair) if pair.worker != worker => {
                self.counters.commands_stale += 1;
                (Route::Nowhere, u32::MAX, 0)
            }
            Target::Leg(pair) => (Route::Leg, pair.slot, pair.generation),
            Target::Echo => (Route::Echo, slot, own),
            Target::Tone => (Route::Tone, slot, own),
            Target::Ringback => (Route::Ringback, slot, own),
        };
        if leg.picture.is_some() {
            line.clock = OwnPicture::CLOCK;
        }
        line.kind = leg.plan.kind;
        line.receives = leg.plan.receives;
        line.is_secure = leg.is_secure();
        line.payload_received = PAYLOAD_NONE;
        let now = (line.route, line.opposite, line.opposite_generation);
        if now != before {
            // What came meanwhile went elsewhere, or nowhere.
            self.interrupt(now.1, now.2);
        }
        self.refresh_lock(slot);
    }

    /// Brings the hot lines of a leg up to its latch.
    pub(super) fn refresh_lock(&mut self, slot: u32) {
        let Some(leg) = self
            .pairs
            .get(slot as usize)
            .and_then(|pair| pair.leg.as_ref())
        else {
            return;
        };
        debug_assert!(
            leg.latch
                .locked()
                .is_none_or(|locked| leg.latch.destination() == Some(locked)),
            "what is sent goes to who was believed"
        );
        debug_assert!(
            !leg.is_socket_connected || leg.latch.locked().is_some(),
            "a socket is connected to who was believed"
        );
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            line.is_locked = leg.latch.locked().is_some();
            line.source = leg.latch.locked().unwrap_or(PeerAddress::NOWHERE);
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            let destination = leg.latch.destination();
            line.destination = destination.unwrap_or(PeerAddress::NOWHERE);
            line.is_secure = leg.is_secure();
            line.gate = match destination {
                _ if !leg.plan.sends => Gate::Held,
                // Nothing has a place in a stream that has no keys yet.
                Some(_) if leg.is_secure() && leg.plan.srtp.is_none() => Gate::Unknown,
                None => Gate::Unknown,
                Some(_) if leg.is_socket_connected => Gate::Connected,
                Some(_) => Gate::Address,
            };
        }
    }

    /// A leg that a fault of ours has struck: silent until control ends it.
    pub(super) fn isolate(&mut self, slot: u32) {
        if self
            .ingress
            .get(slot as usize)
            .is_none_or(|line| line.state != State::Connected)
        {
            return;
        }
        if let Some(leg) = self.leg_mut(slot) {
            leg.target = Target::Nowhere;
            leg.plan.sends = false;
            leg.plan.receives = false;
        }
        self.end_bundled(slot);
        self.apply(slot);
        self.deadlines.set(slot, None);
        self.reports.push(slot, Waiting::Struck);
        debug_assert!(
            self.egress
                .get(slot as usize)
                .is_some_and(|line| line.gate == Gate::Held),
            "nothing leaves by a leg that was struck"
        );
    }

    pub(super) fn disconnect(&mut self, slot: u32) {
        debug_assert!(self.leg(slot).is_some(), "what ends was connected");
        self.say_goodbye(slot);
        self.end_bundled(slot);
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            debug_assert!(line.state == State::Connected, "a leg ends once");
            line.state = State::Ended;
            if let Some(pair) = self.pairs.get_mut(slot as usize) {
                pair.was_heard |= line.heard_us > 0;
            }
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            line.gate = Gate::Closed;
        }
        if let Some(counters) = self.leg_counters(slot) {
            self.counters.quality_received.count_received(&counters);
            self.counters.quality_sent.count_sent(&counters);
        }
        self.deadlines.set(slot, None);
        self.reports.keep_only(slot, None);
        self.reports.push(slot, Waiting::Disconnected);
    }

    pub(super) fn acknowledge(&mut self, now_us: u64, slot: u32) {
        self.reports.keep_only(slot, None);
        self.end_srtp(slot);
        let pair = self.pairs.get_mut(slot as usize);
        let was_heard = pair.is_some_and(|pair| {
            pair.leg = None;
            pair.was_heard
        });
        if self.transports.is_bundled(slot) {
            return self.stock(slot);
        }
        if was_heard {
            return self.drain(now_us, slot);
        }
        // A port that nobody ever sent to needs no rest: its open sockets serve the next call. The stock was
        // filled when they were taken, so that beyond it there must be room for what comes back.
        let is_open = self
            .pairs
            .get(slot as usize)
            .is_some_and(|pair| pair.open.is_some());
        if is_open && self.stocked < self.config.stock.saturating_mul(STOCK_KEPT_FACTOR) {
            self.stock(slot);
        } else {
            self.free_pair(now_us, slot);
            self.stock_at_us = Some(now_us);
        }
    }

    /// The sockets stay open for what comes late, and for no leg.
    fn drain(&mut self, now_us: u64, slot: u32) {
        debug_assert!(
            self.draining
                .back()
                .is_none_or(|(since_us, _)| *since_us <= now_us),
            "the oldest drains first"
        );
        debug_assert!(
            !self.draining.iter().any(|(_, other)| *other == slot),
            "a pair drains once"
        );
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            *line = IngressLine {
                state: State::Draining,
                ..IngressLine::FREE
            };
        }
        self.draining.push_back((now_us, slot));
        // A full table makes room by the oldest of them.
        self.stock_at_us = Some(now_us);
    }

    /// When the next pair is done with that.
    pub(super) fn drained_at(&self) -> Option<u64> {
        let (since_us, _) = self.draining.front()?;
        Some(since_us.saturating_add(micros(PORT_DRAIN)))
    }

    /// Closes the pair that has drained longest. Its ports have rested since.
    pub(super) fn end_drain(&mut self) {
        if let Some((since_us, slot)) = self.draining.pop_front() {
            self.free_pair(since_us, slot);
        }
    }

    /// Closes a pair; its slot is for another one.
    fn free_pair(&mut self, unused_from_us: u64, slot: u32) {
        debug_assert!(self.leg(slot).is_none(), "no leg loses its ports");
        debug_assert!(!self.slots_free.contains(&slot), "a slot is freed once");
        self.close_pair(unused_from_us, slot);
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            *line = IngressLine::FREE;
        }
        self.slots_free.push(slot);
    }

    /// An open pair without a leg goes into stock, under a new generation.
    pub(super) fn stock(&mut self, slot: u32) {
        debug_assert!(
            !self.slots_free.contains(&slot),
            "what is in stock is not free"
        );
        let is_bundled = self.transports.is_bundled(slot);
        if let Some(pair) = self.pairs.get_mut(slot as usize) {
            debug_assert!(
                pair.open.is_some() != is_bundled,
                "what is in stock is open, or has its socket with others"
            );
            debug_assert!(pair.leg.is_none(), "what is in stock carries nothing");
            pair.generation = pair.generation.wrapping_add(1);
        }
        if let Some(line) = self.ingress.get_mut(slot as usize) {
            *line = IngressLine {
                state: State::Stocked,
                ..IngressLine::FREE
            };
        }
        if let Some(line) = self.egress.get_mut(slot as usize) {
            *line = EgressLine::FREE;
        }
        self.stocked += u32::from(!is_bundled);
        self.reports.push(slot, Waiting::Stocked);
    }

    pub(super) fn report(&self, slot: u32, waiting: Waiting) -> Option<Report> {
        let pair = self.key(slot)?;
        let known = self.pairs.get(slot as usize)?;
        match waiting {
            Waiting::Stocked if self.transports.is_bundled(slot) => {
                let at = self.transports.at()?;
                Some(Report::BrowserStocked { pair, at })
            }
            Waiting::Stocked => {
                let rtp = self.ports.rtp(known.open?.ports)?;
                Some(Report::Stocked { pair, rtp })
            }
            Waiting::Latched => {
                let source = known.leg.as_ref()?.latch.locked()?.socket_address();
                Some(Report::Latched { pair, source })
            }
            Waiting::Silent => Some(Report::Silent { pair }),
            Waiting::TransportUp => {
                let suite = self.transports.suite(slot)?;
                Some(Report::TransportUp { pair, suite })
            }
            Waiting::TransportFailed => {
                let failure = self.transports.failure(slot)?;
                Some(Report::TransportFailed { pair, failure })
            }
            Waiting::TransportSilent => Some(Report::TransportSilent { pair }),
            Waiting::TransportBack => Some(Report::TransportBack { pair }),
            Waiting::Struck => Some(Report::Struck { pair }),
            Waiting::Disconnected => {
                let counters = self.leg_counters(slot)?;
                Some(Report::Disconnected { pair, counters })
            }
        }
    }

    /// What a leg saw so far.
    fn leg_counters(&self, slot: u32) -> Option<LegCounters> {
        let ingress = self.ingress.get(slot as usize)?;
        let received = self.reception.get(slot as usize)?;
        let sent = self.sent.get(slot as usize)?;
        Some(self.leg(slot)?.counters(ingress, received, sent))
    }
}

/// The plan of a browser's leg: where it is and what its keys are is for its transport to say.
fn bundled(plan: LegPlan, srtp: Option<Box<SrtpPlan>>) -> LegPlan {
    LegPlan {
        remote_rtp: None,
        remote_rtcp: None,
        latch: LatchPolicy::Nominated,
        srtp,
        ..plan
    }
}
