//! Offers of a page and our answers: what the callee has, or will most likely have, in the words of
//! browsers.

use std::net::SocketAddr;
use std::sync::Arc;

use media::command::{Command, Target, TransportPlan};
use media::dtls;
use media::ice::{Credentials, FRAGMENT_ENTROPY_SIZE};
use media::rtp::Ssrc;
use rand_core::RngCore;
use sip::event::CallKey;
use sip::offer_answer::browser::{
    BrowserAnswer, BrowserOffer, BrowserRefusal, BrowserWish, DtlsRole, read_browser_offer,
};
use sip::offer_answer::{Codec, Descriptions, RemoteAudio, RemoteVideo, VideoWish};
use sip::sdp::{DigestKind, Direction, Fingerprint, IceCredentials, SessionDescription};

use super::super::control::CallControl;
use super::super::event::Now;
use super::super::local_party::{playable, test_picture};
use super::super::media_plan::abilities;
use super::super::one_call::{Beginning, Call, Side};
use super::super::snapshot::Snapshot;
use super::super::video;
use super::event::BrowserOutput;
use super::guest::{Answered, Exchange, Guest};

/// What our next answer to a page says.
struct Wish {
    codecs: Vec<Codec>,
    direction: Direction,
    ptime_ms: Option<u32>,
    video: Option<VideoWish>,
}

impl Wish {
    /// The same in the words of browsers.
    fn said<'a>(
        &'a self,
        guest: &Guest,
        addresses: &'a [SocketAddr],
        (ice, fingerprint): (IceCredentials, Fingerprint),
    ) -> BrowserWish<'a> {
        BrowserWish {
            ice,
            fingerprint,
            addresses,
            audio: &self.codecs,
            audio_direction: self.direction,
            ptime_ms: self.ptime_ms,
            video: self.video.as_ref(),
            policy: guest.policy,
            streams: guest.streams.clone(),
        }
    }
}

impl CallControl {
    /// The page has made an offer: one that it was asked for, or its own.
    pub(super) fn take_guest_offer(&mut self, now: Now, key: CallKey, offer: &SessionDescription) {
        let read = read_browser_offer(offer);
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let Some(guest) = call.guest_mut() else {
            return;
        };
        let cause = match read {
            Ok(offer) if matches!(guest.exchange, Exchange::Pending | Exchange::Forgotten) => {
                // The page has only one offer out: this one is answered when the callee has spoken.
                guest.offer = offer;
                guest.exchange = Exchange::Pending;
                return;
            }
            Ok(offer) => {
                guest.exchange = Exchange::Settled;
                return self.hear_guest(now, key, offer);
            }
            Err(refusal) => refusal.as_str(),
        };
        self.counters.refuse(cause);
        self.tell_guest(key, BrowserOutput::OfferRefused { cause });
    }

    /// Where that changes what the callee was told, the callee is asked first.
    fn hear_guest(&mut self, now: Now, key: CallKey, offer: BrowserOffer) {
        let remote = offer.as_remote();
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let known = call.ports(Side::A).and_then(|ports| ports.leg.remote());
        let is_news = known.is_none_or(|known| concerns_callee(known, &remote));
        let can_ask =
            call.answered_at.is_some() && call.local_party.is_none() && call.reoffer.is_none();
        if let Some(guest) = call.guest_mut() {
            let former = std::mem::replace(&mut guest.offer, offer);
            guest.former_offer.get_or_insert_with(|| Box::new(former));
        }
        if is_news && can_ask && self.pass_on(now, key, Side::A, remote).is_ok() {
            if let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) {
                guest.exchange = Exchange::Pending;
            }
            return;
        }
        self.answer_guest_as_it_stands(key);
    }

    /// The callee has said what it thinks of the guest's offer, or will not.
    pub(in super::super) fn answer_guest_as_it_stands(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let Beginning::Browser(guest) = &mut call.beginning else {
            return;
        };
        let exchange = std::mem::replace(&mut guest.exchange, Exchange::Settled);
        // The page would take this answer for that to the offer that it makes now.
        let is_heard = exchange != Exchange::Forgotten;
        let remote = guest.offer.as_remote();
        let before = call.a_media.as_deref_mut().map(|ports| {
            let before = ports.leg.current().clone();
            ports.leg.accept_offer(remote);
            before
        });
        match self.make_answer(key) {
            Ok(answer) if is_heard => self.tell_answer(key, answer),
            Ok(_) => {}
            Err(refusal) => {
                let cause = refusal.as_str();
                self.counters.refuse(cause);
                self.unsay_guest_offer(key, before);
                if is_heard {
                    self.tell_guest(key, BrowserOutput::OfferRefused { cause });
                }
                return;
            }
        }
        if let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) {
            guest.former_offer = None;
        }
        self.update_media(key);
        self.settle_guest(key);
    }

    /// The page's last offer was refused: what it said before stands.
    fn unsay_guest_offer(&mut self, key: CallKey, before: Option<Descriptions>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let Some((ports, before)) = call.a_media.as_deref_mut().zip(before) {
            ports.leg.restore(before);
        }
        if let Some(guest) = call.guest_mut()
            && let Some(former) = guest.former_offer.take()
        {
            guest.offer = *former;
        }
    }

    /// Answers the page's last offer by what the other side has.
    pub(super) fn answer_guest(&mut self, key: CallKey) -> Result<(), BrowserRefusal> {
        let answer = self.make_answer(key)?;
        self.tell_answer(key, answer);
        Ok(())
    }

    fn tell_answer(&mut self, key: CallKey, answer: BrowserOutput) {
        self.tell_guest(key, answer);
        self.tell_guest_keypad(key);
    }

    /// The same, and all that follows from it but that the page hears it.
    fn make_answer(&mut self, key: CallKey) -> Result<BrowserOutput, BrowserRefusal> {
        let entropy = self.fresh_credentials();
        let fingerprint = self.own_fingerprint();
        let snapshot = Arc::clone(&self.snapshot);
        let addresses = self.guest_addresses(key);
        let call = self.calls.get_mut(&key).ok_or(BrowserRefusal::NoAudio)?;
        let wish = wish_of(call, &snapshot);
        let Beginning::Browser(guest) = &mut call.beginning else {
            return Err(BrowserRefusal::NoAudio);
        };
        let ports = call.a_media.as_deref_mut();
        let ports = ports.ok_or(BrowserRefusal::NoAudio)?;
        let said = wish.said(guest, &addresses, (entropy, fingerprint));
        let answer = guest.session.answer(&guest.offer, &said)?;
        // The model of the other side's words says the same.
        ports
            .leg
            .wish_video(wish.video.filter(|_| answer.video.is_ok()));
        let model = ports
            .leg
            .answer(&answer.audio, wish.direction, wish.ptime_ms);
        model.map_err(|_unusable| BrowserRefusal::NoCommonCodec)?;
        guest.answered = Some(Answered::of(&answer));
        let output = BrowserOutput::Answer {
            description: Box::new(answer.description.clone()),
            video: answer
                .video
                .as_ref()
                .map(|video| video.direction)
                .map_err(|why| why.as_str()),
        };
        self.tell_transport(key, &answer);
        Ok(output)
    }

    /// The worker has both ends of the transport, where something of them is new.
    fn tell_transport(&mut self, key: CallKey, answer: &BrowserAnswer) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Beginning::Browser(guest) = &mut call.beginning else {
            return;
        };
        let Some(ports) = call.a_media.as_deref() else {
            return;
        };
        let (pair, video) = (ports.leg.pair, ports.leg.video.map(|video| video.pair));
        let bitrate_max_bps = answered_bit_rate(answer);
        let is_new = guest.transport != Some((video, bitrate_max_bps));
        if !is_new && !answer.restarts_ice && !answer.renews_dtls {
            return;
        }
        let ours = &answer.ice;
        let ours = Credentials::new(ours.ufrag.as_bytes(), ours.password.as_str().as_bytes());
        let theirs = &guest.offer.ice;
        let peer = Credentials::new(theirs.ufrag.as_bytes(), theirs.password.as_str().as_bytes());
        debug_assert!(ours.is_some() && peer.is_some(), "made by us, and read");
        let Some((ours, peer)) = ours.zip(peer) else {
            return;
        };
        guest.transport = Some((video, bitrate_max_bps));
        let plan = Box::new(TransportPlan {
            ours,
            peer,
            fingerprints: fingerprints_of(&guest.offer),
            role: match answer.role {
                DtlsRole::Client => dtls::Role::Client,
                DtlsRole::Server => dtls::Role::Server,
            },
            ssrcs: [guest.streams.audio, guest.streams.video].map(Ssrc),
            bitrate_max_bps,
        });
        self.send_media(Command::Transport { pair, video, plan });
    }

    /// What the callee has now is not what the page was told: it is asked for another offer, once.
    pub(in super::super) fn settle_guest(&mut self, key: CallKey) {
        let credentials = self.fresh_credentials();
        let fingerprint = self.own_fingerprint();
        let snapshot = Arc::clone(&self.snapshot);
        let addresses = self.guest_addresses(key);
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let wish = wish_of(call, &snapshot);
        let Some(guest) = call.guest_mut() else {
            return;
        };
        if guest.exchange != Exchange::Settled {
            return;
        }
        let said = wish.said(guest, &addresses, (credentials, fingerprint));
        // What it would be answered to the same offer.
        let Ok(answer) = guest.session.clone().answer(&guest.offer, &said) else {
            return;
        };
        let now = Answered::of(&answer);
        let known = guest.answered.as_ref();
        if known.is_some_and(|known| known.is_same_as(&now)) {
            // Its bit rate the page is told by its worker.
            return self.tell_transport(key, &answer);
        }
        guest.exchange = Exchange::Asked;
        self.tell_guest(key, BrowserOutput::Renegotiate);
    }

    fn fresh_credentials(&mut self) -> IceCredentials {
        loop {
            let mut entropy = [0; FRAGMENT_ENTROPY_SIZE];
            self.random.fill_bytes(&mut entropy);
            let made = Credentials::from_entropy(&entropy);
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
            let (ufrag, password) = (text(made.fragment()), text(made.password()));
            if let Some(credentials) = IceCredentials::new(&ufrag, &password) {
                return credentials;
            }
        }
    }

    fn own_fingerprint(&self) -> Fingerprint {
        let octets = self.config.browser.map(|browser| browser.fingerprint);
        Fingerprint {
            hash: DigestKind::Sha256,
            octets: octets.iter().flatten().copied().collect(),
        }
    }

    /// Where the guest's worker is reached: as it is advertised, and where it is.
    fn guest_addresses(&self, key: CallKey) -> Vec<SocketAddr> {
        let ports = self
            .calls
            .get(&key)
            .and_then(|call| call.a_media.as_deref());
        let Some(bound) = ports.map(|ports| ports.bound) else {
            return Vec::new();
        };
        let named = self.named_address(bound, None);
        let mut addresses = vec![named];
        if named != bound {
            addresses.push(bound);
        }
        addresses
    }
}

/// The most that the callee wants of the page's pictures.
fn answered_bit_rate(answer: &BrowserAnswer) -> Option<u32> {
    let video = answer.video.as_ref().ok()?;
    let said = answer.description.media.get(video.index)?.bandwidth;
    let application = said.application_kbit.map(|kbit| kbit.saturating_mul(1_000));
    said.independent_bit.or(application)
}

/// The callee hears of directions and of video, and has been told of every codec.
fn concerns_callee(before: &RemoteAudio, now: &RemoteAudio) -> bool {
    let video = |remote: &RemoteAudio| remote.video.as_ref().map(|video| video.direction);
    (before.direction, video(before)) != (now.direction, video(now))
}

/// What the callee has; before it has said so, what its trunk will most likely take.
fn wish_of(call: &Call, snapshot: &Snapshot) -> Wish {
    let offered = call
        .guest()
        .map(|guest| guest.offer.audio.codecs.as_slice());
    let offered = offered.unwrap_or_default();
    let has_pair = call
        .ports(Side::A)
        .is_some_and(|ports| ports.leg.video.is_some());
    if let Some(party) = call.local_party {
        let offer = call.guest().map(|guest| guest.offer.as_remote());
        let own = offer.and_then(|remote| remote.video).filter(|_| has_pair);
        let shown = own.and_then(|own| shown(&own, party));
        return Wish {
            codecs: playable(offered, party),
            direction: Direction::SendRecv,
            ptime_ms: None,
            // What the link keeps from a callee it keeps from a party of ours.
            video: shown.and_then(|wish| wish.limited(Direction::SendRecv, call.video_most)),
        };
    }
    let may = (
        video::policy_of(call, Side::A, snapshot),
        video::policy_of(call, Side::B, snapshot),
    );
    let callee = call.ports(Side::B).map(|ports| &ports.leg);
    let Some(remote) = callee.and_then(|callee| callee.remote()) else {
        let next = call.routes.front().map(|route| &route.trunk);
        let trunk = call.attempt.as_ref().map(|attempt| &attempt.trunk).or(next);
        let policy = trunk.and_then(|id| snapshot.trunk(id));
        let mut ours = VideoWish::ours();
        ours.codecs
            .retain(|codec| codec.name.eq_ignore_ascii_case("H264"));
        return Wish {
            codecs: led(offered, policy.map_or(&[], |trunk| &trunk.codecs)),
            direction: Direction::SendRecv,
            ptime_ms: None,
            video: ours.limited(may.0, may.1).filter(|_| has_pair),
        };
    };
    let in_use = callee.and_then(|callee| callee.remote_in_use());
    let video = in_use.as_ref().and_then(|remote| remote.video.as_deref());
    Wish {
        codecs: remote.codecs.clone(),
        direction: remote.direction,
        ptime_ms: remote.ptime_ms,
        video: video
            .map(RemoteVideo::wish)
            .and_then(|wish| wish.limited(may.0, may.1))
            .filter(|_| has_pair),
    }
}

/// Who hears itself sees itself too; a tone shows a picture, and looks at none.
fn shown(own: &RemoteVideo, party: Target) -> Option<VideoWish> {
    match party {
        Target::Echo => Some(own.wish()),
        Target::Tone => test_picture(own).map(|wish| VideoWish {
            direction: Direction::SendOnly,
            ..wish
        }),
        Target::Ringback | Target::Leg(_) | Target::Nowhere => None,
    }
}

/// Codecs of a page that a trunk takes, in the trunk's order where it has one.
pub(in super::super) fn led(offered: &[Codec], policy: abilities::Policy<'_>) -> Vec<Codec> {
    let mut codecs = abilities::permitted(offered, policy, &[]);
    let place = |codec: &Codec| {
        let mut names = policy.iter();
        names.position(|name| codec.is_speech() && name.eq_ignore_ascii_case(&codec.name))
    };
    codecs.sort_by_key(|codec| (!codec.is_speech(), place(codec)));
    codecs
}

/// Those of a page's certificates that a worker can compare.
fn fingerprints_of(
    offer: &BrowserOffer,
) -> arrayvec::ArrayVec<dtls::Fingerprint, { media::limits::FINGERPRINTS_MAX }> {
    let fingerprints = offer.fingerprints.iter();
    let known = fingerprints.filter(|fingerprint| fingerprint.hash == DigestKind::Sha256);
    let octets =
        known.filter_map(|fingerprint| <[u8; 32]>::try_from(fingerprint.octets.as_slice()).ok());
    octets
        .map(dtls::Fingerprint::new)
        .take(media::limits::FINGERPRINTS_MAX)
        .collect()
}
