//! Keys of SRTP (RFC 4568): whether a leg may have them, and ours.
//!
//! Owns what trunks and sources want against what their signalling permits: who reads the signalling has
//! the keys. Keys are made here, because the random source is call control's, fresh for each leg and so
//! for each attempt, and stay while the peer stays where it is: neither a refresh nor a hold renews
//! them.

use std::net::SocketAddr;

use rand_core::RngCore;
use sip::event::CallKey;
use sip::message::StatusCode;
use sip::offer_answer::RemoteAudio;
use sip::offer_answer::crypto::{CryptoOffer, CryptoPolicy, LineKeys};
use zeroize::Zeroizing;

use super::admission::Denied;
use super::control::CallControl;
use super::extension::Phone;
use super::one_call::{Call, Ports, Side};
use crate::sources::admission::{Admitted, admit_flow};
use crate::trunks::model::{SrtpPolicy, Trunk};

/// SRTP is required, and its keys could be read on the way.
pub(super) const NEEDS_TLS: &str = "srtp_needs_tls";

/// Keys would go in the clear where they are required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeedsTls;

impl From<NeedsTls> for Denied {
    fn from(_needs: NeedsTls) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE_HERE, NEEDS_TLS)
            .with_warning("SRTP is required here and its keys need encrypted signalling")
    }
}

impl CallControl {
    /// What of a trunk's or source's wish can be had. No signalling of ours is encrypted yet.
    pub(super) fn crypto_policy(&self, wanted: SrtpPolicy) -> Result<CryptoPolicy, NeedsTls> {
        let permitted = self.snapshot.settings.srtp_over_clear_signalling;
        match (wanted, permitted) {
            (SrtpPolicy::Off, _) | (SrtpPolicy::Preferred, false) => Ok(CryptoPolicy::Off),
            (SrtpPolicy::Preferred, true) => Ok(CryptoPolicy::Preferred),
            (SrtpPolicy::Required, true) => Ok(CryptoPolicy::Required),
            (SrtpPolicy::Required, false) => Err(NeedsTls),
        }
    }

    /// What an attempt wants: a trunk says, of a phone the source that it is in. An extension has no
    /// setting of its own.
    pub(super) fn srtp_of(&self, trunk: &Trunk, phone: Option<&Phone>) -> SrtpPolicy {
        let Some(phone) = phone else {
            return trunk.srtp;
        };
        let admitted = admit_flow(&self.snapshot.trunks, &self.snapshot.sources, phone.flow);
        admitted.map_or(SrtpPolicy::Off, wanted_by)
    }

    /// No call leaves by this trunk, whoever makes it.
    pub(super) fn lacks_tls(&self, trunk: &Trunk) -> bool {
        self.crypto_policy(trunk.srtp).is_err()
    }

    /// The leg has keys from now on, where its policy says so.
    pub(super) fn secure(&mut self, ports: &mut Ports, policy: CryptoPolicy, offer: CryptoOffer) {
        if policy != CryptoPolicy::Off {
            let keys = self.line_keys();
            ports.leg.set_crypto(policy, offer, keys);
            let keys = self.line_keys();
            ports.leg.set_video_keys(keys);
        }
    }

    /// A peer that offers another key from another place is another device, which cannot know how far we
    /// are with ours: it gets a new one (RFC 4568 §7.1.4).
    pub(super) fn renew_keys_of_moved(&mut self, key: CallKey, side: Side, offered: &RemoteAudio) {
        let moved = self
            .calls
            .get(&key)
            .and_then(|call| call.ports(side)?.leg.remote())
            .is_some_and(|known| {
                let elsewhere = offered.rtp.is_some() && offered.rtp != known.rtp;
                elsewhere && offered.crypto != known.crypto
            });
        if !moved {
            return;
        }
        let (keys, video) = (self.line_keys(), self.line_keys());
        let call = self.calls.get_mut(&key);
        if let Some(ports) = call.and_then(|call| call.ports_mut(side)) {
            ports.leg.renew_keys(keys);
            ports.leg.set_video_keys(video);
        }
    }

    fn line_keys(&mut self) -> LineKeys {
        let mut random = Zeroizing::new([0; LineKeys::SIZE]);
        self.random.fill_bytes(&mut *random);
        LineKeys::new(&random)
    }
}

/// What the trunk or source of a message wants.
pub(super) const fn wanted_by(admitted: Admitted<'_>) -> SrtpPolicy {
    match admitted {
        Admitted::Trunk(trunk) => trunk.srtp,
        Admitted::Source(source) => source.srtp,
    }
}

/// What a first offer says: keys under a secure transport, but to a peer that refused just that.
pub(super) const fn first_offer(policy: CryptoPolicy, refused: bool) -> CryptoOffer {
    match policy {
        CryptoPolicy::Required => CryptoOffer::Secure,
        CryptoPolicy::Preferred if !refused => CryptoOffer::Secure,
        CryptoPolicy::Preferred | CryptoPolicy::Off => CryptoOffer::Plain,
    }
}

/// What our offer to a caller that made none says: it cannot be made a second time, so that who may have
/// either gets both.
pub(super) const fn offer_in_answer(policy: CryptoPolicy) -> CryptoOffer {
    match policy {
        CryptoPolicy::Required => CryptoOffer::Secure,
        CryptoPolicy::Preferred => CryptoOffer::BestEffort,
        CryptoPolicy::Off => CryptoOffer::Plain,
    }
}

/// The peer refuses the offer (415, 488), which had keys where none are required: one more attempt at
/// the same place makes one without.
pub(super) fn falls_back(ports: &Ports, status: StatusCode) -> bool {
    matches!(status.code(), 415 | 488) && ports.leg.offers_what_may_be_plain()
}

impl Call {
    /// This attempt follows one that was refused for its keys.
    pub(super) fn falls_back_to(&mut self, target: SocketAddr) -> bool {
        self.refused_keys.take() == Some(target)
    }
}
