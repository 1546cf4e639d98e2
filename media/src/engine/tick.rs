//! What is due without a packet: filling the stock, reports of silence, connecting and opening
//! sockets, receiver reports, pictures of our own.

use packet_io::{OpenRefused, PacketIo, SocketSpec};

use crate::engine::batching::micros;
use crate::engine::leg::OpenPair;
use crate::engine::report_queue::Waiting;
use crate::engine::socket_owners::PortKind;
use crate::engine::stock::PortPair;
use crate::engine::worker::Worker;
use crate::limits::{
    CONNECT_SILENCE_MAX, CONNECT_STABLE_MIN, DEADLINE_STEP, OPEN_RETRY, OPENS_PER_TURN_MAX,
};

impl<Io: PacketIo> Worker<Io> {
    /// Does what is due.
    pub(super) fn tick(&mut self, now_us: u64) {
        while let Some(slot) = self.deadlines.take_due(now_us) {
            self.tick_leg(now_us, slot);
        }
        self.in_hand = None;
        self.open_browser_port(now_us);
        while self.drained_at().is_some_and(|at_us| at_us <= now_us) {
            self.end_drain();
            self.stock_at_us = Some(now_us);
        }
        if self.stock_at_us.is_some_and(|at_us| at_us <= now_us) {
            self.fill_stock(now_us);
        }
    }

    fn tick_leg(&mut self, now_us: u64, slot: u32) {
        self.in_hand = Some(slot);
        debug_assert!(self.leg(slot).is_some(), "only a leg has a deadline");
        if self.silent_at(slot).is_some_and(|at_us| at_us <= now_us) {
            if let Some(leg) = self.leg_mut(slot) {
                leg.is_silent = true;
            }
            self.counters.legs_silent += 1;
            self.reports.push(slot, Waiting::Silent);
        }
        if self
            .leg(slot)
            .and_then(|leg| leg.socket_check_us)
            .is_some_and(|at_us| at_us <= now_us)
        {
            self.check_socket(now_us, slot);
        }
        if self
            .leg(slot)
            .is_some_and(|leg| leg.control.due_us <= now_us)
        {
            self.report_reception(now_us, slot);
        }
        if self.picture_due(slot).is_some_and(|at_us| at_us <= now_us) {
            self.show_picture(now_us, slot);
        }
        if self.transports.is_bundled(slot) {
            self.tick_transport(now_us, slot);
        }
        self.schedule(now_us, slot);
    }

    /// Sets the deadline of a leg to the first thing it has to do; all it can have is in the future. Legs
    /// wait for each other: what is due within one step is done in one turn.
    pub(super) fn schedule(&mut self, now_us: u64, slot: u32) {
        let Some(leg) = self.leg(slot) else { return };
        let first = [
            Some(leg.control.due_us),
            leg.socket_check_us,
            self.silent_at(slot),
            self.picture_due(slot),
            self.transport_deadline(slot),
        ];
        let first_us = first.into_iter().flatten().min();
        let step_us = micros(DEADLINE_STEP);
        let on_step = |at_us: u64| at_us.max(now_us + 1).next_multiple_of(step_us);
        self.deadlines.set(slot, first_us.map(on_step));
    }

    /// When the leg has been silent for too long, unless that was said already.
    fn silent_at(&self, slot: u32) -> Option<u64> {
        let leg = self.leg(slot)?;
        let timeout = leg
            .plan
            .media_timeout
            .filter(|_| leg.plan.receives && !leg.is_silent)?;
        let heard_us = self.ingress.get(slot as usize)?.heard_us;
        Some(
            leg.silence_from_us
                .max(heard_us)
                .saturating_add(micros(timeout)),
        )
    }

    /// Something about a leg changed: its socket is looked at when that has been stable for long
    /// enough.
    pub(super) fn watch_socket(&mut self, now_us: u64, slot: u32) {
        // The socket of browsers has many peers.
        let has_own = !self.transports.is_bundled(slot);
        if let Some(leg) = self.leg_mut(slot) {
            let is_locked = leg.latch.locked().is_some();
            leg.socket_check_us =
                (is_locked && has_own).then_some(now_us + micros(CONNECT_STABLE_MIN));
        }
        self.schedule(now_us, slot);
    }

    /// Connects the socket of a leg that is stable and heard; opens that of a silent one.
    fn check_socket(&mut self, now_us: u64, slot: u32) {
        let heard_us = self
            .ingress
            .get(slot as usize)
            .map_or(0, |line| line.heard_us);
        let silent_at_us = heard_us.saturating_add(micros(CONNECT_SILENCE_MAX));
        let Some(leg) = self.leg(slot) else { return };
        let is_heard = silent_at_us > now_us;
        let next_us = match leg.latch.locked() {
            None => None,
            Some(_) if leg.is_socket_connected && is_heard => Some(silent_at_us),
            Some(_) if leg.is_socket_connected => {
                self.open_socket(slot);
                Some(now_us + micros(CONNECT_STABLE_MIN))
            }
            Some(_) if !is_heard => Some(now_us + micros(CONNECT_STABLE_MIN)),
            Some(_) => {
                self.connect_socket(slot);
                Some(silent_at_us)
            }
        };
        if let Some(leg) = self.leg_mut(slot) {
            debug_assert!(
                next_us.is_none_or(|at_us| at_us > now_us),
                "no busy loop: a look at a socket moves on"
            );
            leg.socket_check_us = next_us;
        }
    }

    fn connect_socket(&mut self, slot: u32) {
        let Some(open) = self.pairs.get(slot as usize).and_then(|pair| pair.open) else {
            return;
        };
        let Some(leg) = self.leg(slot) else { return };
        let Some(peer) = leg.latch.locked().filter(|peer| {
            leg.latch.is_settled(leg.plan.srtp.is_some()) && leg.latch.destination() == Some(*peer)
        }) else {
            return;
        };
        let failed_before = self.io.counters().connects_failed;
        self.io.connect(open.rtp, Some(peer.socket_address()));
        if self.io.counters().connects_failed != failed_before {
            return;
        }
        if let Some(leg) = self.leg_mut(slot) {
            debug_assert!(!leg.is_socket_connected, "a socket is connected once");
            leg.is_socket_connected = true;
        }
        self.counters.sockets_connected += 1;
        self.refresh_lock(slot);
    }

    /// Lets the socket of a leg hear every source again.
    pub(super) fn open_socket(&mut self, slot: u32) {
        let Some(open) = self.pairs.get(slot as usize).and_then(|pair| pair.open) else {
            return;
        };
        let Some(leg) = self.leg_mut(slot) else {
            return;
        };
        if leg.is_socket_connected {
            leg.is_socket_connected = false;
            self.io.connect(open.rtp, None);
            self.refresh_lock(slot);
        }
    }

    /// Opens pairs until the stock is full, the turn's share is done, or nothing is left to open.
    fn fill_stock(&mut self, now_us: u64) {
        for _ in 0..OPENS_PER_TURN_MAX {
            if self.slots_free.is_empty() && self.stocked < self.config.stock {
                self.end_drain();
            }
            self.stock_at_us = self
                .next_open_at()
                .map(|at_us| at_us.max(self.stock_retry_us));
            if self.stock_at_us.is_none_or(|at_us| at_us > now_us) {
                return;
            }
            let is_short = self.is_short();
            let Some(ports) = self.ports.take(now_us, is_short) else {
                return;
            };
            match self.open_pair(ports) {
                Ok(open) => self.stock_opened(now_us, open),
                Err(
                    OpenRefused::AddressInUse
                    | OpenRefused::AddressNotAvailable
                    | OpenRefused::NotPermitted
                    | OpenRefused::Kernel(_),
                ) => {
                    self.counters.ports_refused += 1;
                    self.ports.release(now_us, ports);
                }
                Err(
                    OpenRefused::DescriptorLimit
                    | OpenRefused::SocketLimit
                    | OpenRefused::MemoryLimit,
                ) => {
                    self.counters.opens_refused += 1;
                    self.ports.put_back(ports);
                    self.stock_retry_us = now_us + micros(OPEN_RETRY);
                    self.stock_at_us = Some(self.stock_retry_us);
                    return;
                }
            }
        }
        self.stock_at_us = self.next_open_at();
    }

    /// When the next pair can be opened; `None`: not before something changes.
    fn next_open_at(&self) -> Option<u64> {
        if self.stocked >= self.config.stock || self.slots_free.is_empty() {
            return None;
        }
        self.ports.next_at(self.is_short())
    }

    const fn is_short(&self) -> bool {
        self.stocked < self.config.stock.div_ceil(2)
    }

    fn open_pair(&mut self, ports: PortPair) -> Result<OpenPair, OpenRefused> {
        let rtp = self
            .ports
            .rtp(ports)
            .ok_or(OpenRefused::AddressNotAvailable)?;
        let mut rtcp = rtp;
        debug_assert!(
            rtp.port().is_multiple_of(2),
            "RTP has the even port (RFC 3550 §11)"
        );
        rtcp.set_port(rtp.port().wrapping_add(1));
        let spec = |local| SocketSpec {
            local,
            dscp: self.config.dscp,
            receive_buffer_bytes: self.config.receive_buffer_bytes,
        };
        let (rtp, rtcp) = (spec(rtp), spec(rtcp));
        let rtp = self.io.open(rtp)?;
        let rtcp = if self.config.rtcp_ports {
            self.io
                .open(rtcp)
                .map(Some)
                .inspect_err(|_refused| self.io.close(rtp))?
        } else {
            None
        };
        Ok(OpenPair { ports, rtp, rtcp })
    }

    fn stock_opened(&mut self, now_us: u64, open: OpenPair) {
        let Some(slot) = self.slots_free.pop() else {
            return;
        };
        debug_assert!(Some(open.rtp) != open.rtcp, "two ports, two sockets");
        let is_known = self.sockets.set(open.rtp, slot, PortKind::Rtp)
            && open
                .rtcp
                .is_none_or(|rtcp| self.sockets.set(rtcp, slot, PortKind::Rtcp));
        if let Some(pair) = self.pairs.get_mut(slot as usize) {
            debug_assert!(pair.open.is_none(), "a free slot has no ports");
            debug_assert!(pair.leg.is_none(), "a free slot has no leg");
            pair.open = Some(open);
            pair.was_heard = false;
        }
        if let Some(rtp) = self.ports.rtp(open.ports) {
            self.own_ports.set(rtp, true);
        }
        if is_known {
            self.counters.pairs_opened += 1;
            self.stock(slot);
        } else {
            self.counters.opens_refused += 1;
            self.close_pair(now_us, slot);
            self.slots_free.push(slot);
        }
    }

    /// Closes the sockets of a pair, if they are open; its ports begin to rest.
    pub(super) fn close_pair(&mut self, now_us: u64, slot: u32) {
        let Some(pair) = self.pairs.get_mut(slot as usize) else {
            return;
        };
        let was_heard = pair.was_heard;
        let Some(open) = pair.open.take() else { return };
        if let Some(rtp) = self.ports.rtp(open.ports) {
            self.own_ports.set(rtp, false);
        }
        for socket in [Some(open.rtp), open.rtcp].into_iter().flatten() {
            self.sockets.clear(socket);
            self.io.close(socket);
        }
        if was_heard {
            self.ports.release(now_us, open.ports);
        } else {
            self.ports.put_back(open.ports);
        }
        self.stock_at_us = Some(now_us);
    }
}
