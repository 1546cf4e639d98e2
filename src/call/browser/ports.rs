//! Pairs for the legs of a guest: of those without ports of their own, on a worker that has some for the
//! callee too.

use std::net::{IpAddr, SocketAddr};

use media::command::{LatchPolicy, Target};
use rand_core::RngCore;
use sip::event::CallKey;
use sip::message::StatusCode;
use sip::sdp::Direction;

use super::super::admission::Denied;
use super::super::control::CallControl;
use super::super::media_plan::leg::LegMedia;
use super::super::media_plan::video::LegVideo;
use super::super::one_call::Ports;

impl CallControl {
    /// `callee`: where a callee will be, which needs ports; `None`: there is none.
    pub(super) fn take_guest_ports(
        &mut self,
        key: CallKey,
        callee: Option<IpAddr>,
    ) -> Result<(), Denied> {
        let empty = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "media_stock_empty");
        let call = self.calls.get(&key).ok_or_else(empty)?;
        let guest = call.guest().ok_or_else(empty)?;
        let (client, remote) = (guest.client, guest.offer.as_remote());
        let plays = matches!(call.local_party, Some(Target::Echo | Target::Tone));
        let has_pictures = callee.is_some() || plays;
        let has_video =
            remote.video.is_some() && has_pictures && call.video_most != Direction::Inactive;
        let count = usize::from(callee.is_some());
        let worker = self
            .stock
            .place_browser(1, count, callee.unwrap_or(client))
            .ok_or_else(empty)?;
        let stocked = self.stock.take_browser(worker).ok_or_else(empty)?;
        let session_id = self.random.next_u64() >> 2;
        let mut leg = LegMedia::new(
            stocked.pair,
            stocked.rtp,
            LatchPolicy::Nominated,
            session_id,
        );
        leg.accept_offer(remote);
        let mut ports = Ports {
            leg,
            connected: None,
            bound: stocked.rtp,
            signalling: client,
        };
        if has_video && let Some((video, named)) = self.take_guest_video(worker) {
            ports.leg.take_video(video, named);
        }
        self.hold_pairs(key, &ports);
        self.open_ports(&ports);
        if let Some(call) = self.calls.get_mut(&key) {
            call.a_media = Some(Box::new(ports));
        }
        Ok(())
    }

    /// A pair for the video of a guest.
    pub(in super::super) fn take_guest_video(
        &mut self,
        worker: u16,
    ) -> Option<(LegVideo, SocketAddr)> {
        let Some(stocked) = self.stock.take_browser(worker) else {
            self.counters.refuse("video_stock_empty");
            return None;
        };
        Some((LegVideo::new(stocked.pair, stocked.rtp), stocked.rtp))
    }
}
