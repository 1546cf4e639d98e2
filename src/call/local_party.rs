//! Local parties: `local:echo` gives the caller its own media back, `local:tone` a tone and, where video is
//! allowed, a moving test picture. Both end by themselves (PRODUCT §2).

use std::sync::Arc;
use std::time::Duration;

use media::command::Target;
use sip::event::CallKey;
use sip::offer_answer::{Codec, RemoteVideo, VideoWish};
use sip::sdp::Direction;

use super::admission::Denied;
use super::control::CallControl;
use super::event::Now;
use super::one_call::Side;
use super::video;

/// The longest call to a local party.
pub const DURATION_MAX: Duration = Duration::from_secs(5 * 60);

impl CallControl {
    /// Answers the caller at once.
    pub(super) fn join_local_party(&mut self, now: Now, key: CallKey, party: Target) {
        match self.answer_locally(key, party) {
            Ok(()) => {
                self.mark_answered(now, key, DURATION_MAX);
                self.update_media(key);
                let description = self
                    .calls
                    .get(&key)
                    .and_then(|call| call.last_description(Side::A));
                if let Some(description) = description {
                    let told = self.endpoint.answer(now.instant, key, &description);
                    self.check(told);
                }
            }
            Err(denied) => self.deny(now, key, &denied),
        }
    }

    fn answer_locally(&mut self, key: CallKey, party: Target) -> Result<(), Denied> {
        self.take_a_ports(key, 1)?;
        let snapshot = Arc::clone(&self.snapshot);
        let unusable = || Denied::of_code(488, "local_party_codec");
        let call = self.calls.get_mut(&key).ok_or_else(unusable)?;
        call.local_party = Some(party);
        if call.wants_offer {
            return self
                .offer_to_caller(key)
                .map(|_description| ())
                .map_err(|_no_codec| unusable());
        }
        video::wish_from_other(call, Side::A, &snapshot);
        let ports = call.a_media.as_mut().ok_or_else(unusable)?;
        let offered = ports
            .leg
            .remote()
            .map(|remote| remote.codecs.clone())
            .unwrap_or_default();
        let chosen = playable(&offered, party);
        ports
            .leg
            .answer(&chosen, Direction::SendRecv, None)
            .map(|_description| ())
            .map_err(|_no_codec| unusable())
    }
}

/// What a local party is called; `None` for what is none.
pub(super) const fn name(party: Target) -> Option<&'static str> {
    match party {
        Target::Echo => Some("local:echo"),
        Target::Tone => Some("local:tone"),
        Target::Ringback | Target::Leg(_) | Target::Nowhere => None,
    }
}

/// An echo plays what it hears; a tone is made in G.711.
pub(super) fn playable(offered: &[Codec], party: Target) -> Vec<Codec> {
    let is_g711 = |codec: &&Codec| {
        ["PCMU", "PCMA"]
            .iter()
            .any(|name| codec.name.eq_ignore_ascii_case(name))
    };
    match party {
        Target::Tone | Target::Ringback => {
            offered.iter().filter(is_g711).take(1).cloned().collect()
        }
        Target::Echo | Target::Leg(_) | Target::Nowhere => offered.to_vec(),
    }
}

/// What a tone shows to who has this video: H.264 of our own, where its decoder is of the level of that. `None`: it
/// has no such codec.
pub(super) fn test_picture(video: &RemoteVideo) -> Option<VideoWish> {
    let mut wish = VideoWish::ours();
    wish.codecs.retain(|codec| {
        let is_h264 = codec.name.eq_ignore_ascii_case("H264");
        is_h264 && codec.found_in(&video.codecs).is_some_and(decodes)
    });
    (!wish.codecs.is_empty()).then_some(wish)
}

/// Level 1.1 or a higher one (RFC 6184 §8.1: without a word it is 1, and 1b is that of Baseline whose third
/// constraint is set).
fn decodes(codec: &Codec) -> bool {
    let written = codec.parameter("profile-level-id").unwrap_or("42000a");
    let octet = |range| u8::from_str_radix(written.get(range).unwrap_or_default(), 16);
    let (constraints, level) = (octet(2..4).unwrap_or(0), octet(4..6).unwrap_or(0));
    level > 11 || (level == 11 && constraints & 0x10 == 0)
}
