//! The way out: which trunks can carry the call, and one attempt after the other. Every attempt passes
//! the fraud guard here, and leaves by `invite`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use sip::b2bua::fork;
use sip::event::{AttemptFailure, CallKey, Refusal};
use sip::message::StatusCode;

use super::admission::Denied;
use super::control::CallControl;
use super::crypto;
use super::event::{Level, LogLine, Now, Output};
use super::failover;
use super::invite::host_of;
use super::media_plan::abilities;
use super::one_call::{Ending, WantedParty};
use super::trunk_load::Present;
use crate::cdr::record::{
    AttemptClosed, AttemptLeg, AttemptOpened, GuardWord, MediaFigures, Record,
};
use crate::fraud_guard::{self, Cleared, Counter, Refused, Verdict};
use crate::trunks::model::Trunk;
use crate::trunks::select::{self, Route, Wanted};

/// An attempt that is thought of.
pub(super) struct Considered {
    /// Its call, by id.
    pub(super) call: String,
    /// Which attempt of the call, 1 and up.
    pub(super) number: u32,
    /// The side of the call that it is for.
    pub(super) leg: AttemptLeg,
    /// What has counted its call at this party already.
    pub(super) counted: Vec<Counter>,
    /// Where the wish came from.
    pub(super) client: Option<IpAddr>,
    /// The time in its row.
    pub(super) at: Timestamp,
}

/// What became of one entry of the route list.
pub(super) enum Tried {
    /// An INVITE is on its way.
    Dialled,
    /// Not this one, perhaps the next.
    Skipped,
    /// No attempt at all.
    Denied(Denied),
}

impl CallControl {
    /// Chooses trunks, takes ports for the a-leg, dials the first.
    pub(super) fn route(&mut self, now: Now, key: CallKey) {
        match self.plan_routes(now, key) {
            Ok(()) => self.dial_next(now, key),
            Err(denied) => self.deny(now, key, &denied),
        }
    }

    fn plan_routes(&mut self, now: Now, key: CallKey) -> Result<(), Denied> {
        let gone = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "call_gone");
        if let Some(routes) = self.extension_routes(now, key)? {
            self.take_a_ports(key, 2)?;
            let call = self.calls.get_mut(&key).ok_or_else(gone)?;
            call.routes = routes;
            return Ok(());
        }
        let snapshot = Arc::clone(&self.snapshot);
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let wanted = call.wanted.as_ref().ok_or_else(gone)?;
        let came_from = call.from_trunk.as_ref();
        let came_from =
            came_from.and_then(|id| snapshot.trunks.iter().find(|trunk| trunk.id == *id));
        let named = match &call.offer {
            Some(offer) => offer.codecs.clone(),
            None => abilities::ours(came_from.map_or(&[], |trunk| &trunk.codecs), &[]),
        };
        let codecs: Vec<String> = named
            .iter()
            .filter(|codec| codec.is_speech())
            .map(|codec| codec.name.to_string())
            .collect();
        let wanted = wanted.clone();
        let routes = self.find_routes(now, &wanted, &codecs, came_from, None)?;
        let routes = self.permitted(key, routes)?;
        let routes = self.shared(key, routes)?;
        self.take_a_ports(key, 2)?;
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        call.routes = routes.into();
        Ok(())
    }

    /// The trunks that can carry a call to `wanted`, best first. `allowed`: only these.
    pub(super) fn find_routes(
        &mut self,
        now: Now,
        wanted: &WantedParty,
        codecs: &[String],
        came_from: Option<&Trunk>,
        allowed: Option<&[String]>,
    ) -> Result<Vec<Route>, Denied> {
        let snapshot = Arc::clone(&self.snapshot);
        let wanted = Wanted {
            user: &wanted.user,
            domain: &wanted.domain,
            pinned: wanted.pinned.as_deref(),
            came_from,
            allowed,
            codecs,
        };
        let present = Present {
            loads: &self.loads,
            health: &self.health,
            registrations: &self.registrations,
            now: now.instant,
        };
        let found = select::routes(&snapshot.trunks, &wanted, &present, &mut self.random);
        let routes = found
            .map_err(|unroutable| Denied::of_code(unroutable.status(), unroutable.as_str()))?;
        self.with_usable_keys(routes)
    }

    /// Those whose trunk can have the keys that it requires; the operator hears of the others.
    fn with_usable_keys(&mut self, mut routes: Vec<Route>) -> Result<Vec<Route>, Denied> {
        let snapshot = Arc::clone(&self.snapshot);
        let before = routes.len();
        routes.retain(|route| {
            let trunk = snapshot.trunk(&route.trunk);
            !trunk.is_some_and(|trunk| self.lacks_tls(trunk))
        });
        if routes.len() == before {
            return Ok(routes);
        }
        self.counters.refuse(crypto::NEEDS_TLS);
        self.put(Output::Log(LogLine {
            level: Level::Warning,
            event: crypto::NEEDS_TLS,
            call: None,
            detail: "a trunk with srtp = \"required\" carries nothing without TLS; \
                     sip.srtp_over_clear_signalling lets its keys go in the clear"
                .to_owned(),
        }));
        if routes.is_empty() {
            return Err(crypto::NeedsTls.into());
        }
        Ok(routes)
    }

    /// Dials the next route that lets itself be dialled; without one the caller hears the best
    /// failure.
    pub(super) fn dial_next(&mut self, now: Now, key: CallKey) {
        loop {
            let Some(call) = self.calls.get_mut(&key) else {
                return;
            };
            debug_assert!(call.attempt.is_none(), "one attempt at a time");
            let Some(route) = call.routes.pop_front() else {
                break;
            };
            match self.try_route(now, key, &route) {
                Tried::Dialled => return,
                Tried::Skipped => {}
                Tried::Denied(denied) => return self.deny(now, key, &denied),
            }
        }
        self.give_up(now, key);
    }

    fn try_route(&mut self, now: Now, key: CallKey, route: &Route) -> Tried {
        let snapshot = Arc::clone(&self.snapshot);
        // A snapshot may have taken the trunk away since the list was made.
        let Some(trunk) = snapshot.trunk(&route.trunk) else {
            return Tried::Skipped;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return Tried::Skipped;
        };
        let Some(wanted) = call.wanted.clone() else {
            return Tried::Skipped;
        };
        let refused_keys = call.falls_back_to(route.target);
        call.attempts += 1;
        let considered = Considered {
            call: call.id.clone(),
            number: call.attempts,
            leg: AttemptLeg::Callee,
            counted: call.counted.clone(),
            client: call.client(),
            at: call.time(now),
        };
        match self.consider(now, &considered, &wanted, trunk, route.target) {
            Ok((cleared, opened)) => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.counted.extend_from_slice(cleared.counted());
                }
                let target = route.target;
                let way = (trunk, target, refused_keys);
                self.dial(now, key, way, &wanted, cleared, opened)
            }
            Err(tried) => tried,
        }
    }

    /// Whether an attempt at `wanted` over `trunk` may be made: caps, health, and the guard's word
    /// for what would be dialled. Where not, its row is closed.
    pub(super) fn consider(
        &mut self,
        now: Now,
        considered: &Considered,
        wanted: &WantedParty,
        trunk: &Trunk,
        target: SocketAddr,
    ) -> Result<(Cleared, AttemptOpened), Tried> {
        let mut opened = undialled(considered, wanted, trunk);
        if let Some(outcome) = self.closed_way(now, trunk, target) {
            return Err(self.skip(opened, outcome));
        }
        let user = trunk.rewrite(&wanted.user);
        let attempt = judged(considered, wanted, trunk, &user, now);
        match self.guard.verdict(&attempt, now.instant) {
            Verdict::Allow(cleared) => {
                if let Some(refused) = cleared.overruled() {
                    opened.guard = Some(word_of(refused));
                    self.note_guard("guard_dry_run", &opened);
                }
                Ok((cleared, opened))
            }
            Verdict::Refuse(refused) => Err(Tried::Denied(self.refuse_by_guard(opened, &refused))),
        }
    }

    /// Why nothing goes this way now; `None`: it is open.
    fn closed_way(&self, now: Now, trunk: &Trunk, target: SocketAddr) -> Option<&'static str> {
        if !trunk.enabled || !self.loads.has_room_to_send(trunk, now.instant) {
            return Some("trunk_at_cap");
        }
        if !self.registrations.permits(&trunk.id, now.instant) {
            return Some("trunk_not_registered");
        }
        (!self.health.is_up(&trunk.id, target)).then_some("trunk_down")
    }

    /// The guard's word on an attempt that will be made later, if all goes well: the first way that
    /// is open decides, as it will then. Where the word is no, its row is closed.
    pub(super) fn foresee(
        &mut self,
        now: Now,
        considered: &Considered,
        wanted: &WantedParty,
        routes: &[Route],
    ) -> Result<(), Denied> {
        let snapshot = Arc::clone(&self.snapshot);
        let open = routes.iter().find_map(|route| {
            let trunk = snapshot.trunk(&route.trunk)?;
            let closed = self.closed_way(now, trunk, route.target);
            closed.is_none().then_some(trunk)
        });
        let Some(trunk) = open else { return Ok(()) };
        let user = trunk.rewrite(&wanted.user);
        let attempt = judged(considered, wanted, trunk, &user, now);
        let foreseen = self.guard.preview(&attempt, now.instant);
        foreseen
            .map_err(|refused| self.refuse_by_guard(undialled(considered, wanted, trunk), &refused))
    }

    /// The row of an attempt that the guard refuses, a line in the log, and the caller's answer.
    fn refuse_by_guard(&mut self, mut opened: AttemptOpened, refused: &Refused) -> Denied {
        opened.guard = Some(word_of(refused));
        self.note_guard("guard_refused", &opened);
        let reason = refused.reason;
        self.close_undialled(opened, reason.status(), reason.as_str());
        Denied::by_guard(reason, self.snapshot.settings.hide_state)
    }

    /// What the guard has against an attempt, and by which rule.
    fn note_guard(&mut self, event: &'static str, opened: &AttemptOpened) {
        let Some(guard) = &opened.guard else { return };
        let level = match event {
            "guard_dry_run" => Level::Warning,
            _ => Level::Note,
        };
        self.log_call((level, event), &opened.call, |snapshot| {
            let (trunk, number) = (snapshot.named(&opened.trunk), opened.number);
            format!(
                "{} by {} trunk {trunk} attempt {number}",
                guard.reason, guard.rule
            )
        });
    }

    /// No route is left: the best failure goes back, or that all that could carry it are busy.
    fn give_up(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let Some(best) = fork::best_failure(&call.failures) else {
            let unavailable = Denied::new(StatusCode::SERVICE_UNAVAILABLE, "trunks_unavailable");
            return self.deny(now, key, &unavailable);
        };
        let status = fork::towards_caller(best);
        let refused = matches!(best, AttemptFailure::Refused(_));
        let ending = Ending {
            released_by: if refused { "terminating" } else { "gateway" },
            cause: failover::cause(best),
            status: status.code(),
        };
        let said = call.failures.iter().position(|failure| *failure == best);
        let reason = said.and_then(|place| call.reasons.get(place).copied().flatten());
        let refusal = Refusal {
            q850_cause: reason.map(|reason| reason.0),
            ..Refusal::default()
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.reason = reason;
        }
        self.refuse_as(now, key, status, ending, &refusal);
    }

    pub(super) fn skip(&mut self, opened: AttemptOpened, outcome: &'static str) -> Tried {
        self.counters.refuse(outcome);
        self.close_undialled(opened, 503, outcome);
        Tried::Skipped
    }

    /// An attempt that was decided against: its row is opened and closed at once.
    pub(super) fn close_undialled(
        &mut self,
        opened: AttemptOpened,
        status: u16,
        outcome: &'static str,
    ) {
        let closed = AttemptClosed {
            call: opened.call.clone(),
            number: opened.number,
            at: opened.at,
            ringing_at: None,
            answered_at: None,
            status,
            outcome: outcome.to_owned(),
            q850: None,
            media: MediaFigures::default(),
        };
        self.put_record(Record::AttemptOpened(opened));
        self.put_record(Record::AttemptClosed(closed));
    }
}

/// The row of an attempt before an INVITE has left.
fn undialled(considered: &Considered, wanted: &WantedParty, trunk: &Trunk) -> AttemptOpened {
    let (user, host) = (trunk.rewrite(&wanted.user), host_of(trunk, wanted));
    AttemptOpened {
        call: considered.call.clone(),
        number: considered.number,
        at: considered.at,
        trunk: trunk.id.clone(),
        destination: format!("{user}@{host}"),
        caller_name: wanted.caller_name.clone(),
        caller_alias: wanted.caller_alias.clone(),
        dialed: false,
        leg: considered.leg,
        call_id: String::new(),
        guard: None,
    }
}

/// The attempt as the guard sees it; `user`: as the trunk would have it dialled.
fn judged<'a>(
    considered: &'a Considered,
    wanted: &WantedParty,
    trunk: &'a Trunk,
    user: &'a str,
    now: Now,
) -> fraud_guard::Attempt<'a> {
    fraud_guard::Attempt {
        user,
        way: wanted.way,
        trunk: &trunk.id,
        dial_plan: &trunk.dial_plan,
        client: considered.client,
        at: now.timestamp,
        named_by_link: wanted.named_by_link,
        counted: &considered.counted,
    }
}

fn word_of(refused: &Refused) -> GuardWord {
    GuardWord {
        reason: refused.reason.as_str().to_owned(),
        rule: refused.rule.clone(),
    }
}
