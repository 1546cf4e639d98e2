//! Our keys of a line through its dialog: which ones the next description names.
//!
//! A key that was left never comes back, because nobody knows how far it was used (RFC 3711 §9.1), and a
//! peer at another place with another key gets one of ours that it has not seen: it cannot know how far
//! we are with the old one (RFC 4568 §7.1.4). Neither a refresh nor a hold renews anything.

use std::net::SocketAddr;

use super::{AgreedKeys, CryptoKey, CryptoLine, LineKeys};

/// Ours, and what the next ones will be made of.
#[derive(Debug)]
pub(in super::super) struct OwnKeys {
    keys: LineKeys,
    spare: Option<LineKeys>,
    /// Some of `keys` were in use and are no more.
    has_left: bool,
    /// Where the peer was when the keys in use were agreed upon.
    place: Option<SocketAddr>,
    /// The peer answered from another place with another key, and ours is the old one.
    owes: bool,
}

impl OwnKeys {
    pub(in super::super) const fn new(keys: LineKeys) -> Self {
        Self {
            keys,
            spare: None,
            has_left: false,
            place: None,
            owes: false,
        }
    }

    /// What the next description names.
    pub(in super::super) const fn keys(&self) -> &LineKeys {
        &self.keys
    }

    pub(in super::super) const fn wants_spare(&self) -> bool {
        self.spare.is_none()
    }

    pub(in super::super) const fn owes(&self) -> bool {
        self.owes
    }

    pub(in super::super) fn take_spare(&mut self, spare: LineKeys, in_use: Option<&AgreedKeys>) {
        self.spare = Some(spare);
        if self.has_left {
            self.drop_left(in_use.map(|in_use| &in_use.send));
        }
    }

    /// The peer's offer is about to be answered.
    pub(in super::super) fn meet(
        &mut self,
        (rtp, offered): (Option<SocketAddr>, &[CryptoLine]),
        in_use: Option<&AgreedKeys>,
    ) {
        if self.has_moved(rtp, offered, in_use) {
            self.renew();
        }
    }

    /// An offer of ours is about to be made.
    pub(in super::super) fn offer(&mut self, in_use: Option<&AgreedKeys>) {
        let is_old = in_use.is_some_and(|in_use| self.keys.contains(&in_use.send));
        if self.owes && is_old {
            self.renew();
        }
    }

    /// The peer has answered an offer of ours.
    pub(in super::super) fn answered(
        &mut self,
        (rtp, named): (Option<SocketAddr>, &[CryptoLine]),
        before: Option<&AgreedKeys>,
        now: Option<&AgreedKeys>,
    ) {
        let is_old = before
            .zip(now)
            .is_some_and(|(before, now)| before.send == now.send);
        self.owes = is_old && self.has_moved(rtp, named, before);
        self.settle(rtp, before, now);
    }

    /// An exchange is over, or taken back.
    pub(in super::super) fn settle(
        &mut self,
        rtp: Option<SocketAddr>,
        before: Option<&AgreedKeys>,
        now: Option<&AgreedKeys>,
    ) {
        if now.is_some() {
            self.place = rtp.or(self.place);
        }
        let now = now.map(|now| &now.send);
        if before.is_some_and(|before| Some(&before.send) != now) {
            self.has_left = true;
            self.drop_left(now);
        }
    }

    /// `0.0.0.0` is no place. The keys are compared, not what stands around them.
    fn has_moved(
        &self,
        rtp: Option<SocketAddr>,
        named: &[CryptoLine],
        in_use: Option<&AgreedKeys>,
    ) -> bool {
        let elsewhere = self.place.zip(rtp);
        let is_other = |in_use: &AgreedKeys| named.iter().all(|line| line.key != in_use.receive);
        elsewhere.is_some_and(|(before, now)| before != now)
            && !named.is_empty()
            && in_use.is_some_and(is_other)
    }

    fn renew(&mut self) {
        if let Some(spare) = self.spare.take() {
            self.keys = spare;
        }
    }

    fn drop_left(&mut self, in_use: Option<&CryptoKey>) {
        if let Some(spare) = self.spare.take() {
            self.keys = spare.keeping(in_use);
            self.has_left = false;
        }
    }
}
