//! The first party of a placed call: dialled by one attempt after the other, each a call of its own
//! to the endpoint, so that the call changes its key with each; its id stays.

use std::net::SocketAddr;
use std::sync::Arc;

use sip::b2bua::fork;
use sip::event::{AttemptFailure, CallKey, Flow, LegKey, Q850};
use sip::message::{StatusCode, Uri};
use sip::offer_answer::Codec;
use sip::offer_answer::crypto::{CryptoOffer, CryptoPolicy};
use sip::sdp::Direction;

use super::super::admission::Denied;
use super::super::control::CallControl;
use super::super::crypto;
use super::super::event::Now;
use super::super::extension::Phone;
use super::super::failover::{self, Next};
use super::super::invite::{host_of, invite};
use super::super::media_plan::abilities;
use super::super::one_call::{Call, Ending, MAX_FORWARDS, PlacedLeg, Ports, WantedParty};
use super::super::ports::latch;
use super::super::route::{Considered, Tried};
use crate::cdr::record::{AttemptClosed, AttemptLeg, AttemptOpened, MediaFigures, Record};
use crate::fraud_guard::Cleared;
use crate::trunks::identity::{self, Caller};
use crate::trunks::model::Trunk;
use crate::trunks::select::Route;

/// Outcome of an attempt at the first party for whom the second could not be dialled.
const SECOND_REFUSED: &str = "second_party_refused";

/// An INVITE to the first party that has left.
pub(super) struct Begun {
    pub(super) key: CallKey,
    a_leg: LegKey,
    leg: PlacedLeg,
    media: Ports,
}

impl CallControl {
    /// Dials the next route to the first party that lets itself be dialled. The call is not changed
    /// but for what was tried. `ways_on`: the ways to the second party, where the guard has to say
    /// first whether it could be dialled with the first one up.
    pub(super) fn dial_first_party(
        &mut self,
        now: Now,
        call: &mut Call,
        ways_on: &[Route],
    ) -> Result<Begun, Denied> {
        let unavailable = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "trunks_unavailable");
        let snapshot = Arc::clone(&self.snapshot);
        loop {
            let placed = call.placed_mut().ok_or_else(unavailable)?;
            let route = placed.routes.pop_front().ok_or_else(unavailable)?;
            let wanted = placed.from.clone();
            // A snapshot may have taken the trunk away since the list was made.
            let known = snapshot.trunk(&route.trunk);
            let Some(trunk) = known else { continue };
            let refused_keys = call.falls_back_to(route.target);
            call.attempts += 1;
            let considered = Considered {
                call: call.id.clone(),
                number: call.attempts,
                leg: AttemptLeg::Caller,
                counted: call.counted.clone(),
                client: call.client(),
                at: call.time(now),
            };
            let phone = call.placed().and_then(|placed| {
                let mut phones = placed.phones.iter();
                phones.find(|phone| phone.target == route.target).cloned()
            });
            let flow = self.path_to(trunk, route.target);
            let way = (
                trunk,
                phone.as_ref().map_or(flow, |phone| phone.flow),
                phone,
                refused_keys,
            );
            let tried = self
                .consider(now, &considered, &wanted, trunk, route.target)
                .and_then(|(cleared, opened)| {
                    call.counted.extend_from_slice(cleared.counted());
                    if let Err(denied) = self.foresee_second_party(now, call, ways_on) {
                        self.guard.release(cleared, now.instant);
                        self.close_undialled(opened, denied.status().code(), SECOND_REFUSED);
                        return Err(Tried::Denied(denied));
                    }
                    self.invite_first_party(now, way, &wanted, cleared, opened)
                });
            match tried {
                Ok(begun) => return Ok(begun),
                Err(Tried::Denied(denied)) => return Err(denied),
                Err(Tried::Dialled | Tried::Skipped) => {}
            }
        }
    }

    /// The guard's word on the second party before anybody is rung up; each attempt at it is judged
    /// again at its time.
    pub(super) fn foresee_second_party(
        &mut self,
        now: Now,
        call: &mut Call,
        ways_on: &[Route],
    ) -> Result<(), Denied> {
        let Some(wanted) = call.wanted.clone() else {
            return Ok(());
        };
        let considered = Considered {
            call: call.id.clone(),
            number: call.attempts + 1,
            leg: AttemptLeg::Callee,
            counted: Vec::new(),
            client: call.client(),
            at: call.time(now),
        };
        let foreseen = self.foresee(now, &considered, &wanted, ways_on);
        if foreseen.is_err() {
            call.attempts += 1;
        }
        foreseen
    }

    /// Dials what the guard cleared, as the trunk wants it written.
    fn invite_first_party(
        &mut self,
        now: Now,
        (trunk, flow, phone, refused_keys): (&Trunk, Flow, Option<Phone>, bool),
        wanted: &WantedParty,
        cleared: Cleared,
        mut opened: AttemptOpened,
    ) -> Result<Begun, Tried> {
        let host = host_of(trunk, wanted);
        let target = flow.remote;
        let caller = Caller {
            name: &wanted.caller_name,
            alias: &wanted.caller_alias,
            privacy: wanted.privacy,
            screened: wanted.screened,
        };
        let written = identity::write(trunk, &caller, &self.own_host(flow.local));
        let srtp = self.srtp_of(trunk, phone.as_ref());
        let uri = match phone {
            Some(phone) => phone.request_uri(cleared.user()),
            None => Uri::sip(Some(cleared.user()), host, None),
        };
        let (Some(written), Some(uri)) = (written, uri) else {
            self.guard.release(cleared, now.instant);
            return Err(self.skip(opened, "unwritable_uri"));
        };
        let Ok(policy) = self.crypto_policy(srtp) else {
            self.guard.release(cleared, now.instant);
            return Err(self.skip(opened, crypto::NEEDS_TLS));
        };
        let offered_keys = crypto::first_offer(policy, refused_keys);
        let media = self.take_first_party_ports(trunk, target, (policy, offered_keys));
        let Some(mut media) = media else {
            self.guard.release(cleared, now.instant);
            self.close_undialled(opened, 503, "media_stock_empty");
            return Err(Tried::Denied(Denied::of_code(503, "media_stock_empty")));
        };
        opened.destination = format!("{}@{host}", cleared.user());
        opened.caller_name.clone_from(&written.name);
        let written = self.by_service_route(trunk, written);
        let offer = media.leg.offer(&offered(trunk), Direction::SendRecv, None);
        let dial = invite(trunk, flow, uri, written, MAX_FORWARDS, Some(offer));

        self.open_ports(&media);
        self.in_hand = Some((cleared, Some(media)));
        let placed = self.endpoint.place(now.instant, dial);
        let (key, a_leg, cleared, media) = match (placed, self.in_hand.take()) {
            (Ok((key, a_leg)), Some((cleared, Some(media)))) => (key, a_leg, cleared, media),
            (Ok(_) | Err(_), in_hand) => {
                self.put_down(now, in_hand);
                self.close_undialled(opened, 503, "dial_declined");
                return Err(Tried::Denied(Denied::of_code(503, "dial_declined")));
            }
        };
        self.pairs.insert(media.leg.pair, key);
        self.loads.begin_sent(trunk, now.instant);
        self.counters.attempts += 1;
        opened.dialed = true;
        opened.call_id = self.call_id_of(a_leg);
        self.note_attempt(&opened, target);
        let leg = PlacedLeg {
            number: opened.number,
            trunk: trunk.id.clone(),
            target,
            destination: opened.destination.clone(),
            cleared,
            ringing_at: None,
            answered_at: None,
        };
        self.put_record(Record::AttemptOpened(opened));
        Ok(Begun {
            key,
            a_leg,
            leg,
            media,
        })
    }

    /// Ports of a worker that has a pair for the second party, too.
    fn take_first_party_ports(
        &mut self,
        trunk: &Trunk,
        target: SocketAddr,
        (policy, offered_keys): (CryptoPolicy, CryptoOffer),
    ) -> Option<Ports> {
        let worker = self.stock.place(2, target.ip(), false)?;
        let latch = latch(Some(trunk), target.ip(), None);
        let mut media = self.take_ports(worker, target.ip(), Some(trunk), latch)?;
        self.secure(&mut media, policy, offered_keys);
        Some(media)
    }

    /// The attempt at the first party has failed: the next route, or the end, which the endpoint
    /// says of this key anyway.
    pub(in super::super) fn handle_first_party_failed(
        &mut self,
        now: Now,
        key: CallKey,
        failure: AttemptFailure,
        reason: Option<Q850>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(leg) = call.placed_mut().and_then(|placed| placed.leg.take()) else {
            return;
        };
        call.failures.push(failure);
        call.reasons.push(reason);
        let (trunk, target) = (leg.trunk.clone(), leg.target);
        let status = fork::status_of(failure).code();
        let how = (
            status,
            failover::outcome(failure),
            reason.map(|reason| reason.0),
        );
        let closed = self.close_first_party(now, key, leg, how);
        let media = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.a_media.take());
        let status = fork::status_of(failure);
        let falls_back = media
            .as_ref()
            .is_some_and(|ports| crypto::falls_back(ports, status));
        match media {
            Some(ports) => self.release_ports(now, &ports, Some(closed)),
            None => self.put_record(closed),
        }
        if matches!(
            failure,
            AttemptFailure::NoResponse | AttemptFailure::TransportFailed
        ) {
            self.health.suspect(&trunk, target, now.instant);
        }
        let ending = self.calls.get(&key);
        if ending.is_none_or(|call| call.over || call.ending.is_some()) {
            return;
        }
        let snapshot = Arc::clone(&self.snapshot);
        let known = snapshot.trunk(&trunk);
        let mut next = known.map_or(Next::Trunk, |trunk| failover::next(trunk, failure));
        if falls_back && let Some(call) = self.calls.get_mut(&key) {
            call.refused_keys = Some(target);
            if let Some(placed) = call.placed_mut() {
                placed.routes.push_front(Route { trunk, target });
            }
            next = Next::Trunk;
        }
        match next {
            Next::Trunk => self.dial_first_party_again(now, key),
            Next::Stop => self.give_up_first_party(key, None),
        }
    }

    fn dial_first_party_again(&mut self, now: Now, key: CallKey) {
        let Some(mut call) = self.calls.remove(&key) else {
            return;
        };
        let dialled = self.dial_first_party(now, &mut call, &[]);
        match dialled {
            Ok(begun) => {
                let next = begun.key;
                install_first_party(&mut call, begun);
                self.live_calls.set(&call.id, call.age, next);
                self.former_peers.forget(key);
                self.replaced.insert(key, next);
                self.calls.insert(next, call);
                self.touch(Some(next));
            }
            Err(denied) => {
                self.calls.insert(key, call);
                self.give_up_first_party(key, Some(&denied));
            }
        }
    }

    /// What the call ends with when the endpoint says that it is over: the best failure, or why
    /// nothing more was tried.
    fn give_up_first_party(&mut self, key: CallKey, denied: Option<&Denied>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let last = fork::best_failure(&call.failures);
        let ending = match (denied, last) {
            (Some(denied), None) => Ending {
                released_by: "gateway",
                cause: denied.cause(),
                status: denied.status().code(),
            },
            (_, last) => {
                let best = last.unwrap_or(AttemptFailure::NoResponse);
                let refused = matches!(best, AttemptFailure::Refused(_));
                Ending {
                    released_by: if refused { "originating" } else { "gateway" },
                    cause: failover::cause(best),
                    status: fork::towards_caller(best).code(),
                }
            }
        };
        call.ending = Some(ending);
        self.counters.refuse(ending.cause);
    }

    /// Gives back what the first party held but its ports; its row, closed.
    pub(in super::super) fn close_first_party(
        &mut self,
        now: Now,
        key: CallKey,
        leg: PlacedLeg,
        (status, outcome, q850): (u16, &str, Option<u8>),
    ) -> Record {
        self.guard.release(leg.cleared, now.instant);
        self.loads.end_sent(&leg.trunk);
        let call = self.calls.get_mut(&key);
        let closed = AttemptClosed {
            call: call
                .as_ref()
                .map_or_else(String::new, |call| call.id.clone()),
            number: leg.number,
            at: call.as_ref().map_or(now.timestamp, |call| call.time(now)),
            ringing_at: leg.ringing_at,
            answered_at: leg.answered_at,
            status,
            outcome: outcome.to_owned(),
            q850,
            media: MediaFigures::default(),
        };
        if let Some(call) = call {
            call.left.push((call.a_leg, closed.clone()));
        }
        Record::AttemptClosed(closed)
    }
}

/// The call has this attempt at its first party now.
pub(super) fn install_first_party(call: &mut Call, begun: Begun) {
    let Begun {
        key: _,
        a_leg,
        leg,
        media,
    } = begun;
    call.a_leg = a_leg;
    call.a_media = Some(Box::new(media));
    if let Some(placed) = call.placed_mut() {
        debug_assert!(placed.leg.is_none(), "one attempt at a time");
        placed.leg = Some(leg);
    }
}

/// What the first party is offered. G.711 comes first where the trunk orders nothing: nothing is
/// decoded between the parties, and it is what the second one is most likely to have; ringback is
/// made in it too.
fn offered(trunk: &Trunk) -> Vec<Codec> {
    let mut codecs = abilities::ours(&trunk.codecs, &[]);
    if trunk.codecs.is_empty() {
        let is_g711 = |codec: &Codec| ["PCMA", "PCMU"].iter().any(|name| *codec.name == **name);
        codecs.sort_by_key(|codec| (!codec.is_speech(), !is_g711(codec)));
    }
    codecs
}
