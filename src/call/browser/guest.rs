//! What a call knows of the guest that began it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use media::command::PairKey;
use sip::offer_answer::Codec;
use sip::offer_answer::browser::{
    BrowserAnswer, BrowserOffer, BrowserSession, GuestVideo, NoVideo, Streams,
};
use sip::sdp::Direction;

use super::event::{GuestKey, GuestState, KeypadWay};
use crate::links::model::VideoPolicy;

/// The guest of a call.
#[derive(Debug)]
pub(in crate::call) struct Guest {
    pub(in crate::call) key: GuestKey,
    /// Where its page came from.
    pub(in crate::call) client: IpAddr,
    pub(in crate::call) request_path: String,
    /// What its link says of video.
    pub(super) policy: GuestVideo,
    /// Nothing of its video passes before it starts its camera.
    pub(in crate::call) is_dark: bool,
    pub(super) session: BrowserSession,
    pub(super) streams: Streams,
    /// Its last offer that could be read.
    pub(super) offer: BrowserOffer,
    /// The one before, until the last one is answered.
    pub(super) former_offer: Option<Box<BrowserOffer>>,
    /// What was answered last.
    pub(super) answered: Option<Answered>,
    /// What its worker was told of its transport last: the video leg, and the most bits a second that the
    /// page may send there. The outer `None`: nothing yet.
    pub(super) transport: Option<(Option<PairKey>, Option<u32>)>,
    /// Between its offers and our answers.
    pub(super) exchange: Exchange,
    /// What it was told last of the call.
    pub(super) state: Option<GuestState>,
    /// And of its keypad; before the call is answered it has none.
    pub(super) keypad: KeypadWay,
    /// Its signalling is gone since.
    pub(super) lost_at: Option<Instant>,
    /// When it is given up, unless it comes again.
    pub(super) given_up_at: Option<Instant>,
    /// Its transport is not heard, or was never up.
    pub(super) is_silent: bool,
    /// It is told that there is no such link, whatever ended its call.
    pub(in crate::call) is_hidden: bool,
    /// When trying again makes sense, where it is refused.
    pub(in crate::call) retry_after: Option<Duration>,
}

/// Who waits for whose description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Nobody.
    Settled,
    /// The page was asked for an offer that has not come.
    Asked,
    /// Its last offer waits for what the callee says.
    Pending,
    /// The same, but the page has come back since: it makes another offer, and knows nothing of this one.
    Forgotten,
}

/// What of an answer the page has to hear of when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    speech: Option<u8>,
    direction: Direction,
    pub(super) video: Result<(u8, Direction), NoVideo>,
}

impl Answered {
    pub(super) fn of(answer: &BrowserAnswer) -> Self {
        let mut audio = answer.audio.iter();
        let speech = audio.find(|codec: &&Codec| codec.is_speech());
        let video = answer.video.as_ref();
        Self {
            speech: speech.map(|codec| codec.payload_type),
            direction: answer.audio_direction,
            video: video
                .map(|video| (video.codec.payload_type, video.direction))
                .map_err(|why| *why),
        }
    }

    /// The page would see no difference: video that is not there is not there, whatever the reason.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let video = |answered: &Self| answered.video.ok();
        (self.speech, self.direction, video(self)) == (other.speech, other.direction, video(other))
    }
}

/// A link's policy in the words of descriptions.
pub(super) const fn video_of(policy: VideoPolicy) -> GuestVideo {
    match policy {
        VideoPolicy::SendRecv => GuestVideo::SendRecv,
        VideoPolicy::Inactive => GuestVideo::Inactive,
        VideoPolicy::RecvOnly => GuestVideo::RecvOnly,
        VideoPolicy::RecvOnlyInitially => GuestVideo::RecvOnlyInitially,
    }
}
