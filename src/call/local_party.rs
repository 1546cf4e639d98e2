//! Local parties: `local:echo` gives the caller its own media back, `local:tone` a tone. Both end
//! by themselves (PRODUCT §2).

use std::time::Duration;

use media::command::Target;
use sip::event::CallKey;
use sip::offer_answer::Codec;
use sip::sdp::Direction;

use super::admission::Denied;
use super::control::CallControl;
use super::event::Now;
use super::one_call::Side;

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
        let unusable = || Denied::of_code(488, "local_party_codec");
        let call = self.calls.get_mut(&key).ok_or_else(unusable)?;
        call.local_party = Some(party);
        if call.wants_offer {
            return self
                .offer_to_caller(key)
                .map(|_description| ())
                .map_err(|_no_codec| unusable());
        }
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
