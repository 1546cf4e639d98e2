//! Video of a call: who may have it, its ports, and what each side is told of the other's.
//!
//! Video is offered to a side when the other side offers it, both policies let it, and the worker has
//! ports for both legs beside those that other calls need for audio. Without any of these the call
//! goes on with audio. A call that turns out to have no video gives its ports back.

use std::net::{IpAddr, SocketAddr};

use media::command::{Command, LegPlan, PairKey, Target};
use sip::event::CallKey;
use sip::offer_answer::{RemoteAudio, RemoteVideo, VideoWish};
use sip::sdp::Direction;

use super::control::CallControl;
use super::event::Now;
use super::local_party::test_picture;
use super::media_plan::leg::LegMedia;
use super::media_plan::video::LegVideo;
use super::one_call::{Call, Ports, Side};
use super::snapshot::Snapshot;
use crate::trunks::model::Trunk;

impl CallControl {
    /// Ports for the caller's video, where it offers some and may have it. Who wants our offer is
    /// offered video by the policy of a trunk only: who has none said nothing of pictures.
    pub(super) fn take_a_video(&mut self, key: CallKey, ports: &mut Ports) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let offer = call.offer.as_ref();
        let trunk = call.trunk(Side::A, &self.snapshot);
        let wants_ours = call.wants_offer && trunk.is_some();
        let wants = offer.map_or(wants_ours, |offer| offer.video.is_some());
        let policy = trunk.map_or(Direction::SendRecv, |trunk| trunk.video.on_sip());
        if !wants || narrowed(policy, call.video_most) == Direction::Inactive {
            return;
        }
        let trunk = trunk.cloned();
        // The callee needs one for each.
        if let Some((video, named)) = self.stock_video(ports, 2, trunk.as_ref()) {
            ports.leg.take_video(video, named);
        }
    }

    /// The same for an attempt: where the caller has them.
    pub(super) fn take_b_video(&mut self, key: CallKey, ports: &mut Ports, trunk: &Trunk) {
        let call = self.calls.get(&key);
        let caller = call.and_then(|call| call.ports(Side::A));
        let has_video = caller.is_some_and(|caller| caller.leg.video.is_some());
        if has_video
            && trunk.video.on_sip() != Direction::Inactive
            && let Some((video, named)) = self.stock_video(ports, 0, Some(trunk))
        {
            ports.leg.take_video(video, named);
        }
    }

    /// An offer within the call brings video: ports for the legs that have none.
    pub(super) fn provide_video(&mut self, key: CallKey, source: &RemoteAudio) {
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let may = |side| policy_of(call, side, &snapshot) != Direction::Inactive;
        if source.video.is_none() || call.local_party.is_some() || !may(Side::A) || !may(Side::B) {
            return;
        }
        for (side, more) in [(Side::A, 1), (Side::B, 0)] {
            let call = self.calls.get(&key);
            let lacking = call.and_then(|call| {
                let ports = call.ports(side)?;
                Some((ports, call.trunk(side, &snapshot)))
            });
            let lacking = lacking.filter(|(ports, _)| ports.leg.video.is_none());
            let Some((ports, trunk)) = lacking else {
                continue;
            };
            let like = (ports.signalling, ports.bound.ip());
            let worker = ports.leg.pair.worker;
            let is_browser = side == Side::A && self.is_guest(key);
            let stocked = if is_browser {
                self.take_guest_video(worker)
            } else {
                self.stock_video_of(worker, like, more, trunk)
            };
            let Some((video, named)) = stocked else {
                return;
            };
            self.pairs.insert(video.pair, key);
            let call = self.calls.get_mut(&key);
            let Some(ports) = call.and_then(|call| call.ports_mut(side)) else {
                return;
            };
            ports.leg.take_video(video, named);
            let opened = ports.leg.video_plan(None);
            self.open_video(opened);
        }
    }

    fn stock_video(
        &mut self,
        ports: &Ports,
        more: usize,
        trunk: Option<&Trunk>,
    ) -> Option<(LegVideo, SocketAddr)> {
        let like = (ports.signalling, ports.bound.ip());
        self.stock_video_of(ports.leg.pair.worker, like, more, trunk)
    }

    /// Ports that a peer at the first address can reach, at the second if that can be: one `c=` line then
    /// says where both lines are.
    fn stock_video_of(
        &mut self,
        worker: u16,
        (like, beside): (IpAddr, IpAddr),
        more: usize,
        trunk: Option<&Trunk>,
    ) -> Option<(LegVideo, SocketAddr)> {
        // What both legs of the call need of it, if this is the first.
        let video_max = usize::try_from(self.config.video_pairs_max).unwrap_or(usize::MAX);
        if self.stock.taken_for_video() + 1 + more.min(1) > video_max {
            self.counters.refuse("video_at_cap");
            return None;
        }
        let can_spare = self.stock.can_spare_video(worker, more, like);
        let stocked = can_spare.then(|| self.stock.take_video(worker, like, beside));
        let stocked = stocked.flatten();
        let Some(stocked) = stocked else {
            self.counters.refuse("video_stock_empty");
            return None;
        };
        let named = self.named_address(stocked.rtp, trunk);
        Some((LegVideo::new(stocked.pair, stocked.rtp), named))
    }

    /// The receive side is open before the SDP that names it leaves.
    pub(super) fn open_video(&mut self, opened: Option<(PairKey, LegPlan)>) {
        if let Some((pair, plan)) = opened {
            self.send_media(Command::Connect {
                pair,
                plan,
                target: Target::Nowhere,
            });
        }
    }

    /// Both video legs as they are now go to the worker. A call that stands without video, with nothing
    /// under way that could bring some, needs no ports for it; a side that believes in some hears of that
    /// before they go.
    pub(super) fn update_video(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let leg = |side| call.ports(side).map(|ports| &ports.leg);
        let (caller, callee) = (leg(Side::A), leg(Side::B));
        let holds = |leg: Option<&LegMedia>| leg.is_some_and(|leg| leg.video.is_some());
        if !holds(caller) && !holds(callee) {
            return;
        }
        let is_guest = call.guest().is_some();
        match call.local_party {
            Some(Target::Echo) if is_guest => return self.play_video(key, Target::Echo),
            Some(Target::Tone) if is_guest || caller.is_some_and(LegMedia::has_video) => {
                return self.play_video(key, Target::Tone);
            }
            Some(_) | None => {}
        }
        let is_asked = call.reoffer.is_some() || call.asked.is_some() || call.untold.is_some();
        let is_settled = call.answered_at.is_some() && !is_asked;
        let both = [caller, callee].into_iter().flatten();
        let both = both.filter(|leg| leg.has_video()).count() == 2;
        if let Some(now) = self.now.filter(|_| is_settled && !both) {
            if !self.end_expectations(now, key) {
                self.release_video(now, key);
            }
            return;
        }
        let mut commands = Vec::with_capacity(2);
        for (side, leg, other) in [(Side::A, caller, callee), (Side::B, callee, caller)] {
            let Some((pair, mut plan)) = leg.and_then(|leg| leg.video_plan(other)) else {
                continue;
            };
            // Whoever shall not be seen yet is not.
            plan.receives &= side != Side::A || !call.guest().is_some_and(|guest| guest.is_dark);
            // Nothing is bridged before both have their descriptions.
            let other = other.filter(|_| both).and_then(|other| other.video);
            let target = other.map_or(Target::Nowhere, |video| Target::Leg(video.pair));
            commands.push((side, Command::Update { pair, plan, target }));
        }
        for (side, command) in commands {
            let call = self.calls.get_mut(&key).filter(|_| both);
            if let Some(ports) = call.and_then(|call| call.ports_mut(side)) {
                if let Command::Update { plan, .. } = &command {
                    ports.leg.note_protection(plan);
                }
                if let Some(video) = ports.leg.video.as_mut() {
                    video.is_ending = false;
                }
            }
            self.send_media(command);
        }
    }

    /// A guest that hears itself sees itself; who hears a tone sees the test picture.
    fn play_video(&mut self, key: CallKey, target: Target) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let is_dark = call.guest().is_some_and(|guest| guest.is_dark);
        let Some(leg) = call.ports_mut(Side::A).map(|ports| &mut ports.leg) else {
            return;
        };
        let Some((pair, mut plan)) = leg.video_plan(Some(leg)) else {
            return;
        };
        plan.receives &= !is_dark;
        leg.note_protection(&plan);
        self.send_media(Command::Update { pair, plan, target });
    }

    /// A side with a video line that the other one cannot have is told, once. `false`: there is none.
    fn end_expectations(&mut self, now: Now, key: CallKey) -> bool {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return false;
        };
        for side in [Side::A, Side::B] {
            let leg = call.ports_mut(side).map(|ports| &mut ports.leg);
            let expects = leg.filter(|leg| leg.expects_video());
            let Some(video) = expects.and_then(|leg| leg.video.as_mut()) else {
                continue;
            };
            if !std::mem::replace(&mut video.is_ending, true) {
                self.counters.refuse("video_one_sided");
                self.tell_later(now, key, side.other(), false);
                return true;
            }
        }
        false
    }

    fn release_video(&mut self, now: Now, key: CallKey) {
        for side in [Side::A, Side::B] {
            let call = self.calls.get_mut(&key);
            let ports = call.and_then(|call| call.ports_mut(side));
            if let Some(video) = ports.and_then(|ports| ports.leg.give_video()) {
                self.release_video_pair(now, video);
            }
        }
    }

    /// The pair goes back to its worker. Its counters belong to no record.
    pub(super) fn release_video_pair(&mut self, now: Now, video: LegVideo) {
        self.pairs.remove(&video.pair);
        self.draining
            .begin(video.pair, video.bound, None, now.instant);
        self.send_media(Command::Disconnect { pair: video.pair });
    }
}

/// What the next description to this side says of the other side's video, which is that of `other`.
pub(super) fn wish(
    call: &mut Call,
    towards: Side,
    other: Option<&RemoteAudio>,
    snapshot: &Snapshot,
) {
    let has_ports = |side| {
        let ports: Option<&Ports> = call.ports(side);
        ports.is_some_and(|ports| ports.leg.video.is_some())
    };
    let video = other.and_then(|other| other.video.as_ref());
    let video = video.filter(|_| has_ports(Side::A) && has_ports(Side::B));
    let told = policy_of(call, towards, snapshot);
    let from = policy_of(call, towards.other(), snapshot);
    let wish = video.and_then(|video| video.wish().limited(told, from));
    if let Some(ports) = call.ports_mut(towards) {
        ports.leg.wish_video(wish);
    }
}

/// The same of the test picture that a tone shows its caller, who has said this of its own video.
pub(super) fn wish_of_tone(call: &mut Call, caller: Option<&RemoteAudio>, snapshot: &Snapshot) {
    let told = policy_of(call, Side::A, snapshot);
    let from = policy_of(call, Side::B, snapshot);
    let video = caller.and_then(|caller| caller.video.as_deref());
    let wish = video.and_then(test_picture);
    let wish = wish.and_then(|wish| wish.limited(told, from));
    if let Some(ports) = call.ports_mut(Side::A) {
        ports.leg.wish_video(wish);
    }
}

/// True where that is what the next description says, and by what its caller said last.
fn wishes_of_tone(call: &mut Call, snapshot: &Snapshot) -> bool {
    let is_tone = call.local_party == Some(Target::Tone);
    if is_tone {
        let caller = call.ports(Side::A).and_then(|ports| ports.leg.remote());
        let caller = caller.cloned();
        wish_of_tone(call, caller.as_ref(), snapshot);
    }
    is_tone
}

/// The same for a full offer, whatever the last state was: sendrecv (E-02).
pub(super) fn wish_everything(call: &mut Call, towards: Side, snapshot: &Snapshot) {
    if wishes_of_tone(call, snapshot) {
        return;
    }
    let other = call.ports(towards.other());
    let mut remote = other.and_then(|ports| ports.leg.remote_in_use());
    if let Some(video) = remote.as_mut().and_then(|remote| remote.video.as_mut()) {
        video.direction = Direction::SendRecv;
    }
    wish(call, towards, remote.as_ref(), snapshot);
}

/// The same for what the other side said last.
pub(super) fn wish_from_other(call: &mut Call, towards: Side, snapshot: &Snapshot) {
    if wishes_of_tone(call, snapshot) {
        return;
    }
    let other = call.ports(towards.other());
    let remote = other.and_then(|ports| ports.leg.remote()).cloned();
    wish(call, towards, remote.as_ref(), snapshot);
}

/// The same of what the other side offered, and we have answered: it speaks what it was answered.
pub(super) fn wish_as_answered(call: &mut Call, towards: Side, snapshot: &Snapshot) {
    let other = call.ports(towards.other()).map(|ports| &ports.leg);
    let said = other.and_then(|other| other.current().video.as_ref());
    let said = said.map_or(&[][..], |said| &said.codecs);
    let is_said = |number| said.iter().any(|codec| codec.payload_type == number);
    let mut remote = other.and_then(LegMedia::remote_in_use);
    if let Some(video) = remote.as_mut().and_then(|remote| remote.video.as_mut()) {
        video.codecs.retain(|codec| is_said(codec.payload_type));
    }
    wish(call, towards, remote.as_ref(), snapshot);
}

/// What the callee of an attempt that is none of the call's yet is offered of the caller's video; of a
/// caller that wants our offer, what we offer on our own.
pub(super) fn wish_of_callee(call: &Call, callee: &mut Ports, trunk: &Trunk, snapshot: &Snapshot) {
    let caller = call.ports(Side::A).map(|caller| &caller.leg);
    let caller = caller.filter(|caller| caller.video.is_some());
    let wish = caller.and_then(|caller| match caller.remote() {
        Some(_) => caller.remote_video().map(RemoteVideo::wish),
        None => Some(VideoWish::ours()),
    });
    let told = narrowed(trunk.video.on_sip(), call.video_most);
    let from = policy_of(call, Side::A, snapshot);
    callee
        .leg
        .wish_video(wish.and_then(|wish| wish.limited(told, from)));
}

/// The most that our video line towards this side may have: its trunk's policy, and towards the callee
/// that of the link, which is from the view of who called it.
pub(super) fn policy_of(call: &Call, side: Side, snapshot: &Snapshot) -> Direction {
    let trunk = call.trunk(side, snapshot);
    let policy = trunk.map_or(Direction::SendRecv, |trunk| trunk.video.on_sip());
    match side {
        Side::A => policy,
        Side::B => narrowed(policy, call.video_most),
    }
}

const fn narrowed(one: Direction, other: Direction) -> Direction {
    Direction::new(
        one.sends() && other.sends(),
        one.receives() && other.receives(),
    )
}

/// True where the other side has been told of video of `side` that is not there, or of another direction,
/// and has not refused it.
pub(super) fn is_news(call: &Call, side: Side, snapshot: &Snapshot) -> bool {
    let (Some(from), Some(told)) = (call.ports(side), call.ports(side.other())) else {
        return false;
    };
    let said = told.leg.current().video.as_ref();
    let Some(said) = said.filter(|_| told.leg.expects_video()) else {
        return false;
    };
    let most = (
        policy_of(call, side.other(), snapshot),
        policy_of(call, side, snapshot),
    );
    let in_use = from.leg.remote_video().filter(|_| from.leg.has_video());
    let now = in_use.map(RemoteVideo::wish);
    let now = now.and_then(|wish| wish.limited(most.0, most.1));
    now.is_none_or(|now| now.direction != said.direction)
}
