//! After a panic in the middle of a turn was caught: what the turn left half done is finished or taken
//! back, so that the call concerned can be ended as every other, and the others go on.
//!
//! Owns no state. What a turn changes lies in few tables: calls, legs, transactions, requests without a
//! dialog. Those are believed; what is derived from them (indices, counts, shares, timers) is made anew,
//! and what contradicts itself takes the way out that loses nothing to the peers.
//!
//! | what stands half done | what becomes of it |
//! |---|---|
//! | a leg whose call does not know it | the call knows it |
//! | a call without legs, a leg without a call | it goes |
//! | a call without an a-leg that lives | it ends |
//! | a request of the peer's that nobody will answer | forgotten; it comes again, and is a new one |
//! | a request of ours that nobody waits for | forgotten |
//! | a 2xx of ours that no leg remembers | it is repeated until its ACK, and BYE follows |
//! | a dialog that was to be left, without BYE | BYE leaves when the call ends |
//! | an attempt whose INVITE is over | it is over |
//! | an attempt that was left, without CANCEL | CANCEL leaves |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::core::{Core, Owner, User};
use super::leg::{Leg, Provisional, Reoffer, Stage, Unacknowledged};
use super::{attempt, call, options, register, registrar};
use crate::event::{CallKey, EndCause, Event, Refusal, ReleaseParty, Supported};
use crate::message::StatusCode;
use crate::table::Key;
use crate::transaction::layer::Phase;

/// Makes the tables agree again; the call that the turn was about, as far as it came. It may be gone by
/// now, without the word of it that the turn did not come to say.
pub(crate) fn recover(core: &mut Core, now: Instant) -> Option<CallKey> {
    let is_cut = std::mem::take(&mut core.in_turn);
    let touched = core.touched_call().filter(|_| is_cut);
    core.counters.turns_cut_short += 1;
    core.transactions.recover();
    tie(core);
    forget_orphans(core);
    let known = Known::of(core);
    let legs: Vec<Key> = core.legs.iter().map(|(key, _)| key).collect();
    for key in &legs {
        straighten(core, now, &known, *key);
    }
    core.recount();
    for (flow, packet) in core.transactions.begun_at(now) {
        core.send_unless_queued(flow, packet);
    }
    rearm(core, now, &legs);
    for key in &legs {
        attempt::leave_again(core, now, *key, known.has_errand(*key));
    }
    end_what_cannot_live(core, now);
    for key in legs {
        call::finish_leg(core, key);
    }
    debug_assert!(!core.in_turn, "the turn is over");
    debug_assert!(
        core.calls.iter().all(|(_, call)| !call.legs.is_empty()),
        "no call without legs is left"
    );
    core.check_invariants();
    touched
}

/// The transactions as they are now.
struct Known {
    phases: BTreeMap<Key, Phase>,
    of_legs: BTreeMap<Key, Vec<(Key, User, Phase)>>,
}

impl Known {
    fn of(core: &Core) -> Self {
        let mut known = Self {
            phases: BTreeMap::new(),
            of_legs: BTreeMap::new(),
        };
        for (key, user, phase) in core.transactions.phases() {
            known.phases.insert(key, phase);
            if let Some(leg) = user.leg() {
                known
                    .of_legs
                    .entry(leg)
                    .or_default()
                    .push((key, user, phase));
            }
        }
        known
    }
}

impl Known {
    /// True where a CANCEL of this leg, or what follows a late answer, has left.
    fn has_errand(&self, leg: Key) -> bool {
        let mine = self.of_legs.get(&leg);
        mine.is_some_and(|mine| mine.iter().any(|(_, user, _)| *user == User::Errand(leg)))
    }
}

/// Calls and legs know each other, and each leg is found by its tag.
fn tie(core: &mut Core) {
    core.tags.clear();
    let homes: Vec<_> = core.legs.iter().map(|(key, leg)| (key, leg.call)).collect();
    for (key, home) in homes {
        let Some(call) = core.calls.get_mut(home) else {
            drop_leg(core, key);
            continue;
        };
        if !call.legs.contains(&key) {
            call.legs.push(key);
        }
        if let Some(leg) = core.legs.get(key) {
            core.tags.insert(leg.dialog.local_tag, key);
        }
    }
    let legs = &core.legs;
    for (_, call) in core.calls.iter_mut() {
        call.legs.retain(|key| legs.get(*key).is_some());
        call.answered = call.answered.filter(|key| call.legs.contains(key));
        // The first leg of a placed call, or of an INVITE that was being taken.
        if legs.get(call.a_leg).is_none()
            && let Some(first) = call.legs.first().filter(|_| call.attempts == 0)
        {
            call.a_leg = *first;
        }
    }
}

fn drop_leg(core: &mut Core, key: Key) {
    if let Some(mut leg) = core.legs.remove(key) {
        core.deadlines.set(&mut leg.token, Owner::Leg(key), None);
    }
}

/// Transactions whose user is gone, or that nobody will bring to an end.
fn forget_orphans(core: &mut Core) {
    let mut awaited: BTreeSet<Key> = core
        .register_requests
        .iter()
        .map(|(_, it)| it.transaction())
        .collect();
    for (_, leg) in core.legs.iter() {
        awaited.extend(awaited_by(leg));
    }
    for (key, user, phase) in core.transactions.phases() {
        let has_leg = user.leg().is_none_or(|leg| core.legs.get(leg).is_some());
        let has_user = match user {
            User::Ping(ping) => core.pings.get(ping).is_some(),
            User::Register(register) => core.registrations.get(register).is_some(),
            User::Leg(_) | User::Nobody => true,
            User::Invite(_)
            | User::Reinvite(_)
            | User::Update(_)
            | User::Prack(_)
            | User::Refresh(_)
            | User::Info(_)
            | User::Bye(_)
            | User::Errand(_) => has_leg,
        };
        let is_forgotten = match phase {
            Phase::Unanswered => !awaited.contains(&key),
            Phase::Unheard | Phase::Heard => {
                !has_user || (matches!(user, User::Reinvite(_)) && !awaited.contains(&key))
            }
            Phase::Accepted | Phase::Done => !has_user,
        };
        if is_forgotten {
            core.transactions.remove(key);
        } else if !has_leg {
            core.transactions.set_user(key, User::Nobody);
        }
    }
}

/// Transactions that this leg ends, or answers.
fn awaited_by(leg: &Leg) -> impl Iterator<Item = Key> {
    let of_stage = match &leg.stage {
        Stage::Offered(pending) => Some(pending.transaction),
        Stage::Attempting(attempt) => Some(attempt.transaction),
        Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => None,
    };
    let of_exchange = match &leg.reoffer {
        Reoffer::Received(pending) => Some(pending.transaction),
        Reoffer::Sent(sent) => Some(sent.transaction),
        Reoffer::Idle | Reoffer::Retrying { .. } => None,
    };
    of_stage.into_iter().chain(of_exchange)
}

/// A leg is in a state in which it can be left.
fn straighten(core: &mut Core, now: Instant, known: &Known, key: Key) {
    let mine = known.of_legs.get(&key).map_or(&[][..], Vec::as_slice);
    let phase_of = |wanted: Key| known.phases.get(&wanted).copied();
    let transactions = &core.transactions;
    let timers = core.config.timers;
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    debug_assert!(
        mine.iter().all(|(_, user, _)| user.leg() == Some(key)),
        "transactions of this leg"
    );
    match &mut leg.stage {
        Stage::Offered(pending) => match phase_of(pending.transaction) {
            Some(Phase::Unanswered) => {}
            Some(Phase::Accepted) => {
                // Whether it has left or not: it is repeated until its ACK, and BYE follows.
                let kept = transactions.response(pending.transaction);
                leg.unacknowledged = kept
                    .map(|sent| Box::new(Unacknowledged::new(now, &timers, pending, sent, true)));
                leg.stage = Stage::Confirmed;
            }
            Some(Phase::Unheard | Phase::Heard | Phase::Done) | None => leg.stage = Stage::Over,
        },
        Stage::Attempting(attempt) => {
            let invites = mine
                .iter()
                .filter(|(_, user, _)| *user == User::Invite(key));
            let mut open = invites.filter(|(_, _, phase)| *phase != Phase::Done);
            match open.next_back() {
                Some((transaction, _, phase)) => {
                    attempt.transaction = *transaction;
                    attempt.is_heard |= *phase != Phase::Unheard;
                    if attempt.is_heard {
                        attempt.response_at = None;
                    }
                    if attempt.give_up_at.is_some() {
                        // Its 2xx was being taken, which comes again.
                        attempt.left.get_or_insert_default();
                    }
                }
                None => leg.stage = Stage::Over,
            }
        }
        Stage::Leaving => {
            let byes = mine.iter().filter(|(_, user, _)| *user == User::Bye(key));
            let byes: Vec<_> = byes.map(|(_, _, phase)| *phase).collect();
            if byes.is_empty() {
                leg.stage = Stage::Confirmed;
            } else if byes.iter().all(|phase| *phase == Phase::Done) {
                leg.stage = Stage::Over;
            }
        }
        Stage::Local | Stage::Confirmed | Stage::Over => {}
    }
    let is_lost = match &leg.reoffer {
        Reoffer::Received(pending) => phase_of(pending.transaction) != Some(Phase::Unanswered),
        Reoffer::Sent(sent) => {
            let phase = phase_of(sent.transaction);
            !matches!(phase, Some(Phase::Unheard | Phase::Heard))
        }
        Reoffer::Idle | Reoffer::Retrying { .. } => false,
    };
    if is_lost || matches!(leg.stage, Stage::Over) {
        leg.reoffer = Reoffer::Idle;
    }
    settle(leg);
}

/// What belongs to one stage only is there in that, and in no other.
fn settle(leg: &mut Leg) {
    let is_offered = matches!(leg.stage, Stage::Offered(_));
    if is_offered && leg.provisional.is_none() {
        let fresh = Provisional::new(Supported::default(), None);
        leg.provisional = Some(Box::new(fresh));
    }
    leg.provisional = leg.provisional.take().filter(|_| is_offered);
    let is_idle = matches!(leg.reoffer, Reoffer::Idle);
    if let Some(said) = &mut leg.provisional {
        // What waited has nothing to wait for, and the call ends.
        if is_idle && said.unacknowledged.is_none() {
            (said.next, said.held_answer) = (None, None);
        }
        said.is_answered &= said.said.is_some();
        said.is_changed &= said.is_answered;
    }
    debug_assert_eq!(
        leg.provisional.is_some(),
        is_offered,
        "what is said before the answer ends with it"
    );
    let is_confirmed = leg.is_confirmed();
    leg.unacknowledged = leg.unacknowledged.take().filter(|_| is_confirmed);
    if matches!(leg.stage, Stage::Over) {
        leg.unanswered = None;
        leg.session = None;
    }
}

/// Each deadline has an owner, and each owner its deadline.
fn rearm(core: &mut Core, now: Instant, legs: &[Key]) {
    let (of_legs, pings) = (&core.legs, &core.pings);
    let (registrations, requests) = (&core.registrations, &core.register_requests);
    core.deadlines.retain(|owner, token| {
        let kept = match owner {
            Owner::Leg(key) => of_legs.get(key).and_then(|it| it.token),
            Owner::Ping(key) => pings.get(key).and_then(options::PendingPing::token),
            Owner::Register(key) => registrations
                .get(key)
                .and_then(register::Registration::token),
            Owner::RegisterRequest(key) => requests
                .get(key)
                .and_then(registrar::RegisterRequest::token),
        };
        kept == Some(token)
    });
    for key in legs {
        core.arm(*key);
    }
    debug_assert!(
        core.legs
            .iter()
            .all(|(_, leg)| leg.token.is_some() == leg.deadline().is_some()),
        "armed as they say"
    );
    // Those whose time was being taken when the turn broke off: it is over.
    let keys: Vec<Key> = core.pings.iter().map(|(key, _)| key).collect();
    for key in keys {
        let token = core.pings.get(key).and_then(options::PendingPing::token);
        if !core.deadlines.has(token) {
            options::handle_deadline(core, key);
        }
    }
    let keys: Vec<Key> = core.registrations.iter().map(|(key, _)| key).collect();
    for key in keys {
        let entry = core.registrations.get(key).filter(|it| it.is_pending());
        let is_stuck = entry.is_some_and(|it| !core.deadlines.has(it.token()));
        if is_stuck {
            register::handle_deadline(core, key);
        }
    }
    let keys: Vec<Key> = core.register_requests.iter().map(|(key, _)| key).collect();
    for key in keys {
        let entry = core.register_requests.get(key);
        if !entry.is_some_and(|it| core.deadlines.has(it.token())) {
            registrar::handle_deadline(core, now, key);
        }
    }
}

/// Calls without a caller's side, and legs of ended calls that nobody has ended.
fn end_what_cannot_live(core: &mut Core, now: Instant) {
    let status = StatusCode::SERVER_INTERNAL_ERROR;
    let calls: Vec<Key> = core.calls.iter().map(|(key, _)| key).collect();
    for key in calls {
        let Some(entry) = core.calls.get(key) else {
            continue;
        };
        let a_leg = core.legs.get(entry.a_leg).map(|leg| &leg.stage);
        let is_headless = matches!(a_leg, None | Some(Stage::Over | Stage::Leaving));
        let has_ended = entry.ended;
        if entry.legs.is_empty() {
            forget_call(core, key);
        } else if has_ended {
            call::end_again(core, now, key, status);
        } else if is_headless {
            let how = (ReleaseParty::Gateway, EndCause::Commanded, None);
            call::end(core, now, key, how, status, &Refusal::default());
        }
    }
}

fn forget_call(core: &mut Core, key: Key) {
    let Some(entry) = core.calls.remove(key) else {
        return;
    };
    debug_assert!(entry.legs.is_empty(), "a call with legs is ended");
    let call = CallKey(key);
    if !entry.ended {
        core.emit(Event::Ended {
            call,
            by: ReleaseParty::Gateway,
            cause: EndCause::Commanded,
            reason: None,
        });
    }
    core.emit(Event::CallGone { call });
    core.recount();
}
