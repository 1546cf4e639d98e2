//! Ports for the legs of a call, from the stock that the workers keep.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use media::command::{Command, LatchPolicy, Target};
use rand_core::RngCore;
use sip::event::CallKey;
use sip::message::StatusCode;

use super::admission::Denied;
use super::control::CallControl;
use super::crypto;
use super::media_plan::leg::LegMedia;
use super::one_call::Ports;
use crate::trunks::model::{MediaLatch, Trunk};

impl CallControl {
    /// Ports for the a-leg, on a worker that has `count` pairs: both legs live on one.
    pub(super) fn take_a_ports(&mut self, key: CallKey, count: usize) -> Result<(), Denied> {
        let empty = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "media_stock_empty");
        let call = self.calls.get(&key).ok_or_else(empty)?;
        let signalling = call.a_address().ok_or_else(empty)?.ip();
        let (is_emergency, policy) = (call.is_emergency(), call.srtp);
        let snapshot = Arc::clone(&self.snapshot);
        let trunk = call.from_trunk.as_ref();
        let trunk = trunk.and_then(|id| snapshot.trunks.iter().find(|trunk| trunk.id == *id));
        let worker = self
            .stock
            .place(count, signalling, is_emergency)
            .ok_or_else(empty)?;
        let offered_rtp = call.offer.as_ref().and_then(|offer| offer.rtp);
        let latch = latch(trunk, signalling, offered_rtp);
        let mut ports = self
            .take_ports(worker, signalling, trunk, latch)
            .ok_or_else(empty)?;
        self.take_a_video(key, &mut ports);
        self.secure(&mut ports, policy, crypto::offer_in_answer(policy));
        let call = self.calls.get_mut(&key).ok_or_else(empty)?;
        if let Some(offer) = call.offer.take() {
            ports.leg.accept_offer(*offer);
        }
        self.hold_pairs(key, &ports);
        self.open_ports(&ports);
        if let Some(call) = self.calls.get_mut(&key) {
            call.a_media = Some(Box::new(ports));
        }
        Ok(())
    }

    /// These pairs are those of the call.
    pub(super) fn hold_pairs(&mut self, key: CallKey, ports: &Ports) {
        let video = ports.leg.video.map(|video| video.pair);
        for pair in [ports.leg.pair].into_iter().chain(video) {
            self.pairs.insert(pair, key);
        }
    }

    /// The receive side is open before the SDP that names it leaves.
    pub(super) fn open_ports(&mut self, ports: &Ports) {
        self.send_media(Command::Connect {
            pair: ports.leg.pair,
            plan: ports.leg.plan(None, self.snapshot.settings.media_timeout),
            target: Target::Nowhere,
        });
        self.open_video(ports.leg.video_plan(None));
    }

    pub(super) fn take_ports(
        &mut self,
        worker: u16,
        signalling: IpAddr,
        trunk: Option<&Trunk>,
        latch: LatchPolicy,
    ) -> Option<Ports> {
        let stocked = self.stock.take(worker, signalling)?;
        let named = self.named_address(stocked.rtp, trunk);
        // RFC 8866 §5.2 wants a number; 62 bits stay readable for signed arithmetic everywhere.
        let session_id = self.random.next_u64() >> 2;
        let leg = LegMedia::new(stocked.pair, named, latch, session_id);
        Some(Ports {
            leg,
            connected: None,
            bound: stocked.rtp,
            signalling,
        })
    }

    /// What a description names for a port: peers on this machine meet a loopback port at its own address.
    pub(super) fn named_address(&self, bound: SocketAddr, trunk: Option<&Trunk>) -> SocketAddr {
        let own = trunk.and_then(|trunk| trunk.advertised_media_address);
        let reachable =
            |address: &IpAddr| !bound.ip().is_loopback() && address.is_ipv4() == bound.is_ipv4();
        let advertised = own.or(self.snapshot.settings.advertised_media);
        let address = advertised.filter(reachable).unwrap_or_else(|| bound.ip());
        SocketAddr::new(address, bound.port())
    }

    /// Fresh ports for each attempt, on the worker of the a-leg.
    pub(super) fn take_b_ports(
        &mut self,
        key: CallKey,
        trunk: &Trunk,
        target: IpAddr,
    ) -> Option<Ports> {
        let call = self.calls.get(&key)?;
        let worker = call.a_media.as_ref()?.leg.pair.worker;
        if !call.is_emergency() && !self.stock.can_spare(worker, target) {
            return None;
        }
        let latch = latch(Some(trunk), target, None);
        let mut ports = self.take_ports(worker, target, Some(trunk), latch)?;
        self.take_b_video(key, &mut ports, trunk);
        Some(ports)
    }
}

/// How a source is learnt: the trunk says; a peer behind NAT that names a private address while its
/// signalling comes from a public one is met where its signalling is.
pub(super) fn latch(
    trunk: Option<&Trunk>,
    signalling: IpAddr,
    named: Option<SocketAddr>,
) -> LatchPolicy {
    let signalling = signalling.to_canonical();
    match trunk.map(|trunk| trunk.media_latch) {
        Some(MediaLatch::Sdp) => LatchPolicy::Sdp,
        Some(MediaLatch::Signalling) => LatchPolicy::Signalling(signalling),
        Some(MediaLatch::Any) => LatchPolicy::Any(signalling),
        None => {
            let hidden = named.is_some_and(|named| is_private(named.ip()));
            if hidden && !is_private(signalling) && !signalling.is_loopback() {
                LatchPolicy::Signalling(signalling)
            } else {
                LatchPolicy::Sdp
            }
        }
    }
}

const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ipv4) => ipv4.is_private() || ipv4.is_link_local(),
        IpAddr::V6(ipv6) => ipv6.is_unique_local() || ipv6.is_unicast_link_local(),
    }
}
