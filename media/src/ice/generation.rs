//! The time between two restarts of ICE: its credentials, and who used them.

use std::net::SocketAddr;
use std::time::Instant;

use crate::ice::agent::Transaction;
use crate::ice::credentials::Credentials;
use crate::ice::refusal::Refusal;
use crate::ice::way::Way;
use crate::limits::{ICE_SOURCE_QUIET, ICE_SOURCES_MAX};

/// The credentials of both sides between two restarts, and who used them.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) ours: Credentials,
    pub(super) peer: Credentials,
    /// As many as [`ICE_SOURCES_MAX`]; most browsers have one or two.
    pub(super) sources: Vec<Source>,
}

/// An address that authenticated checks came from: a peer-reflexive candidate, or one the description
/// names. Which of both is no matter to an agent that checks no others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) address: SocketAddr,
    pub(super) heard_at: Instant,
    /// Of its first check.
    pub(super) priority: u32,
    /// Checks in which it asked to be nominated since the one that is has asked; a repeated one is one.
    pub(super) asks: u8,
    pub(super) asked: Option<Transaction>,
    /// It asked and would have got it, but the browser was heard elsewhere.
    pub(super) is_held: bool,
    pub(super) way: Way,
}

impl Generation {
    pub(super) const fn new(ours: Credentials, peer: Credentials) -> Self {
        Self {
            ours,
            peer,
            sources: Vec::new(),
        }
    }

    pub(super) fn forget_asks(&mut self) {
        for source in &mut self.sources {
            source.asks = 0;
            source.is_held = false;
        }
    }

    pub(super) fn source_mut(&mut self, address: SocketAddr) -> Option<&mut Source> {
        self.sources
            .iter_mut()
            .find(|source| source.address == address)
    }

    /// Remembers that a check came from here; who is nominated, and whether the way there is
    /// proven, is not forgotten for it.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        address: SocketAddr,
        priority: u32,
        nominated: Option<(SocketAddr, bool)>,
    ) -> Result<(), Refusal> {
        if let Some(known) = self.source_mut(address) {
            known.heard_at = now;
            known.way.hear(now);
            return Ok(());
        }
        let keep = nominated.map(|(address, _)| address);
        let is_reached = nominated == Some((address, true));
        if self.sources.len() >= ICE_SOURCES_MAX {
            let quietest = self
                .sources
                .iter()
                .enumerate()
                .filter(|(_, source)| Some(source.address) != keep)
                .min_by_key(|(_, source)| source.heard_at)
                .filter(|(_, source)| {
                    now.saturating_duration_since(source.heard_at) >= ICE_SOURCE_QUIET
                })
                .map(|(at, _)| at);
            self.sources
                .swap_remove(quietest.ok_or(Refusal::TooManySources)?);
        }
        let heard = Source {
            address,
            heard_at: now,
            priority,
            asks: 0,
            asked: None,
            is_held: false,
            way: if is_reached {
                Way::Proven
            } else {
                Way::unasked(now)
            },
        };
        self.sources.push(heard);
        Ok(())
    }
}
