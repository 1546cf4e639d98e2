//! What some worlds have besides: early dialogs in which both sides agree reliably (RFC 3262), and UPDATE
//! before the answer (RFC 3311 §5.1).
//!
//! Drawn apart, so that the rest of a seed means what it meant before.

use super::PlannedCall;
use crate::peer::plan::{Action, Plan, Reliability, Rule, Trigger};
use crate::peer::session::Direction;
use crate::random::Generator;

/// Changes what the calls do; true where the gateway says reliably what has an answer.
pub(super) fn draw(random: &Generator, calls: &mut [PlannedCall]) -> bool {
    let mut dice = random.split("early");
    if !dice.chance(300) {
        return false;
    }
    for call in calls {
        if dice.chance(600) {
            call.caller.reliable = dice.pick(&[Reliability::Supported, Reliability::Required]);
            draw_updates(&mut call.caller, &mut dice);
        }
        let callees = call.callees.iter_mut().map(|(_, plan)| plan);
        for plan in callees.filter(|plan| !is_forked(plan)) {
            if dice.chance(700) {
                plan.reliable = Reliability::Supported;
                say_early(plan, &mut dice);
                draw_updates(plan, &mut dice);
            }
        }
    }
    dice.chance(600)
}

/// Its PRACKs would go to a leg that has another tag by then.
fn is_forked(plan: &Plan) -> bool {
    let forks = |rule: &Rule| matches!(&rule.action, Action::Respond(reply) if reply.fork > 0);
    plan.rules.iter().any(forks)
}

/// Mostly with the answer.
fn say_early(plan: &mut Plan, dice: &mut Generator) {
    for rule in &mut plan.rules {
        if let Action::Respond(reply) = &mut rule.action
            && (101..200).contains(&reply.status)
        {
            reply.session = dice.chance(800);
        }
    }
}

/// Holds, and mostly takes it back, before or about when the answer comes.
fn draw_updates(plan: &mut Plan, dice: &mut Generator) {
    plan.updates = dice.chance(800);
    if !dice.chance(600) {
        return;
    }
    let held = dice.pick(&[
        Direction::SendOnly,
        Direction::Inactive,
        Direction::SendReceive,
    ]);
    let at = dice.millis(0, 1_000);
    let mut update = |after, direction| {
        plan.rules.push(Rule {
            on: Trigger::EarlyAnswered,
            after,
            action: Action::Update(direction),
        });
    };
    update(at, held);
    if dice.chance(700) {
        update(at + dice.millis(0, 1_500), Direction::SendReceive);
    }
}
