//! What the parties of one call do: ring, answer, hold, cancel, misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Moods, PlannedCall};
use crate::peer::plan::{Action, OnCancel, Plan, Reply, Trigger};
use crate::peer::session::{Direction, PCMA, PCMU, TELEPHONE_EVENT};
use crate::random::Generator;
use crate::world::Ping;

pub(super) fn draw_call(
    number: u32,
    phone: String,
    trunks: &[(String, SocketAddr, Ping)],
    moods: Moods,
    dice: &mut Generator,
) -> PlannedCall {
    let echo = dice.chance(60);
    let talk = dice.millis(100, 4_000);
    let mut steady = true;
    let mut caller =
        Plan::idle(payloads(dice)).then(Trigger::Start, Duration::ZERO, Action::Invite);
    caller.voice_packets = voice_packets(dice);
    let callee_ends = !echo && dice.chance(400);
    if !callee_ends {
        caller = caller.then(Trigger::Confirmed, talk, Action::HangUp);
    }
    if moods.cancels && dice.chance(400) {
        caller = draw_cancel(caller, dice);
    }
    if moods.reoffers && !echo && dice.chance(400) {
        steady = false;
        caller = draw_hold(caller, dice);
    }
    if moods.bad_media && dice.chance(500) {
        steady = false;
        caller = draw_bad_media(caller, dice);
    }
    if moods.bad_peers && dice.chance(200) {
        steady = false;
        caller.acknowledges = false;
    }
    if moods.bad_peers && dice.chance(300) {
        let count = u32::try_from(dice.below(20)).unwrap_or(1);
        caller = caller.then(Trigger::Start, dice.millis(0, 200), Action::Flood(count));
    }
    if moods.bad_peers {
        caller = draw_astray(caller, dice);
    }
    if moods.bad_media {
        caller.drift_ppm = draw_drift(dice);
    }
    let callees = trunks
        .iter()
        .map(|(name, ..)| {
            let mut callee = draw_callee(moods, dice);
            if callee_ends {
                callee = callee.then(Trigger::Confirmed, talk, Action::HangUp);
            }
            if moods.reoffers && dice.chance(200) {
                steady = false;
                callee = draw_hold(callee, dice);
            }
            (name.clone(), callee)
        })
        .collect();
    PlannedCall {
        number,
        phone,
        target: format!("sip:c{number}@10.0.0.1"),
        at: dice.millis(0, 3_000),
        caller,
        callees,
        steady,
        echo,
    }
}

fn voice_packets(dice: &mut Generator) -> u32 {
    if dice.chance(700) {
        u32::try_from(dice.below(150)).unwrap_or(0)
    } else {
        0
    }
}

fn draw_cancel(plan: Plan, dice: &mut Generator) -> Plan {
    match dice.below(4) {
        0 => plan.then(Trigger::Start, dice.millis(0, 20), Action::Cancel),
        1 => plan.then(Trigger::Provisional, dice.millis(0, 100), Action::Cancel),
        2 => plan.then(Trigger::Start, dice.millis(0, 4_000), Action::Cancel),
        // About when the callee answers.
        _ => plan.then(Trigger::Provisional, dice.millis(400, 700), Action::Cancel),
    }
}

fn draw_hold(plan: Plan, dice: &mut Generator) -> Plan {
    let held = dice.pick(&[
        Direction::SendOnly,
        Direction::Inactive,
        Direction::ReceiveOnly,
    ]);
    let at = dice.millis(50, 1_500);
    let plan = plan.then(Trigger::Confirmed, at, Action::Reoffer(held));
    let back = at + dice.millis(100, 1_500);
    plan.then(
        Trigger::Confirmed,
        back,
        Action::Reoffer(Direction::SendReceive),
    )
}

/// Requests that fit nothing.
fn draw_astray(plan: Plan, dice: &mut Generator) -> Plan {
    let at = dice.millis(0, 2_000);
    match dice.below(4) {
        0 => plan.then(Trigger::Confirmed, at, Action::WrongTag),
        1 => plan.then(Trigger::Confirmed, at, Action::WrongPrack),
        _ => plan,
    }
}

/// A cheap quartz is off by a hundred millionths; a broken one by thousands.
fn draw_drift(dice: &mut Generator) -> i32 {
    let ppm = i32::try_from(dice.below(5_000)).unwrap_or(0);
    if dice.chance(500) { ppm } else { -ppm }
}

fn draw_bad_media(plan: Plan, dice: &mut Generator) -> Plan {
    let at = dice.millis(0, 1_000);
    match dice.below(4) {
        3 => {
            let digit = u8::try_from(dice.below(16)).unwrap_or(0);
            plan.then(Trigger::Confirmed, at, Action::Digit(digit))
        }
        0 => plan.then(Trigger::Confirmed, at, Action::ChangeSsrc),
        1 => {
            let gap = u16::try_from(dice.below(5_000)).unwrap_or(1);
            plan.then(Trigger::Confirmed, at, Action::JumpSequence(gap))
        }
        _ => plan.then(Trigger::Confirmed, at, Action::Intrude),
    }
}

pub(super) fn draw_callee(moods: Moods, dice: &mut Generator) -> Plan {
    let mut plan = Plan::idle(payloads(dice));
    plan.voice_packets = voice_packets(dice);
    let now = Duration::ZERO;
    if moods.silences && dice.chance(200) {
        plan.silent = dice.chance(600);
        return if plan.silent {
            plan
        } else {
            // A 100 and nothing behind it.
            plan.then(
                Trigger::InviteArrived,
                now,
                Action::Respond(Reply::plain(100)),
            )
        };
    }
    if moods.bad_peers && dice.chance(300) {
        plan.on_cancel = OnCancel::Answer;
    }
    if moods.bad_peers && dice.chance(200) {
        let count = u32::try_from(dice.below(60)).unwrap_or(1);
        let at = dice.millis(1, 500);
        plan = plan.then(Trigger::InviteArrived, at, Action::ProvisionalStorm(count));
    }
    if moods.bad_peers {
        plan = draw_astray(plan, dice);
    }
    if moods.bad_media {
        plan.drift_ppm = draw_drift(dice);
    }
    let decides = dice.millis(20, 3_000);
    plan = plan.then(
        Trigger::InviteArrived,
        now,
        Action::Respond(Reply::plain(100)),
    );
    if dice.chance(800) {
        let session = dice.chance(300);
        let status = if session { 183 } else { 180 };
        let reply = Reply {
            status,
            session,
            fork: 0,
        };
        plan = plan.then(
            Trigger::InviteArrived,
            dice.millis(5, 300),
            Action::Respond(reply),
        );
    }
    if moods.forks && dice.chance(500) {
        for fork in 1..=1 + dice.index(3) {
            let reply = Reply {
                status: 180,
                session: false,
                fork,
            };
            plan = plan.then(
                Trigger::InviteArrived,
                dice.millis(5, 1_000),
                Action::Respond(reply),
            );
        }
    }
    let status = if moods.failures && dice.chance(400) {
        dice.pick(&[486, 480, 404, 403, 500, 503, 408, 600, 603, 302, 488])
    } else {
        200
    };
    let reply = Reply {
        status,
        session: status == 200,
        fork: 0,
    };
    plan.then(Trigger::InviteArrived, decides, Action::Respond(reply))
}

fn payloads(dice: &mut Generator) -> Vec<u8> {
    dice.pick(&[
        vec![PCMA],
        vec![PCMA, TELEPHONE_EVENT],
        vec![PCMU, PCMA],
        vec![PCMA, PCMU, TELEPHONE_EVENT],
    ])
}
