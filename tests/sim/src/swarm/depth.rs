//! What some worlds have besides: calls that are ordered, calls that are ended by order, delayed
//! offers, the hold of CUCM, UPDATE.
//!
//! Drawn apart, so that the rest of a seed means what it meant before.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sluice::call::command::{Grant, Party, PlaceCall, PlaceTo};
use sluice::call::snapshot::Snapshot;
use sluice::links::model::Destination;
use sluice::trunks::model::OfferMode;

use super::calls::draw_callee;
use super::{Moods, PlannedCall};
use crate::peer::plan::{Action, Plan, Rule, Trigger};
use crate::peer::session::Direction;
use crate::random::Generator;
use crate::store::link;
use crate::world::Ping;

/// A call that the gateway is told to place.
#[derive(Debug)]
pub(crate) struct PlannedOrder {
    /// Its number; the parties are `f` and `d` with that number.
    pub(crate) number: u32,
    /// When.
    pub(crate) at: Duration,
    /// What is ordered.
    pub(crate) place: PlaceCall,
    /// What the first and the second party do on each trunk.
    pub(crate) parties: Vec<(String, Plan, Plan)>,
    /// The second party is `local:echo`.
    pub(crate) echo: bool,
}

/// What is ordered in a world.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Calls to place.
    pub(crate) places: Vec<PlannedOrder>,
    /// Calls to end, and when.
    pub(crate) ends: Vec<(u32, Duration)>,
}

/// How often a hold is begun and left.
const ROUNDS_MAX: u64 = 2;
/// A round takes no longer where nothing is lost.
const ROUND: Duration = Duration::from_secs(3);
/// Voice for a call that lasts longer.
const VOICE_PACKETS: u32 = 500;

/// Draws it, and changes what the calls do.
pub(super) fn draw(
    random: &Generator,
    trunks: &[(String, SocketAddr, Ping)],
    moods: Moods,
    calls: &mut [PlannedCall],
    snapshot: &mut Snapshot,
) -> Orders {
    let mut dice = random.split("depth");
    if dice.chance(300) {
        for trunk in &mut snapshot.trunks {
            if dice.chance(500) {
                trunk.offer = OfferMode::Delayed;
            }
        }
    }
    if dice.chance(300) {
        for call in calls.iter_mut().filter(|_| dice.chance(400)) {
            delay_offer(&mut call.caller);
        }
    }
    if dice.chance(300) {
        for call in calls.iter_mut().filter(|call| !call.echo) {
            draw_hold(call, &mut dice);
        }
    }
    if dice.chance(300) {
        for call in calls.iter_mut() {
            draw_updates(call, &mut dice);
        }
    }
    draw_orders(trunks, moods, calls.len(), &mut dice)
}

fn delay_offer(plan: &mut Plan) {
    for rule in &mut plan.rules {
        if rule.action == Action::Invite {
            rule.action = Action::InviteBare;
        }
    }
}

/// One of both sides holds and resumes; then nobody hangs up before that is over.
fn draw_hold(call: &mut PlannedCall, dice: &mut Generator) {
    if !dice.chance(400) {
        return;
    }
    let rounds = u32::try_from(1 + dice.below(ROUNDS_MAX)).unwrap_or(1);
    let at = dice.millis(50, 1_000);
    let longer = ROUND * rounds;
    let by_caller = dice.chance(500);
    let plans = call.callees.iter_mut().map(|(_, plan)| (plan, !by_caller));
    for (plan, holds) in plans.chain([(&mut call.caller, by_caller)]) {
        for rule in plan.rules.iter_mut().filter(|rule| hangs_up(rule)) {
            rule.after += longer;
        }
        plan.voice_packets = plan.voice_packets.max(VOICE_PACKETS);
        if holds {
            let hold = Rule {
                on: Trigger::Confirmed,
                after: at,
                action: Action::Hold(rounds),
            };
            plan.rules.push(hold);
        }
    }
}

fn hangs_up(rule: &Rule) -> bool {
    rule.on == Trigger::Confirmed && rule.action == Action::HangUp
}

fn draw_updates(call: &mut PlannedCall, dice: &mut Generator) {
    let callees = call.callees.iter_mut().map(|(_, plan)| plan);
    for plan in callees.chain([&mut call.caller]) {
        plan.updates = dice.chance(700);
        if !dice.chance(300) {
            continue;
        }
        let held = dice.pick(&[Direction::SendOnly, Direction::Inactive]);
        let at = dice.millis(50, 1_500);
        let back = at + dice.millis(50, 1_500);
        for (after, direction) in [(at, held), (back, Direction::SendReceive)] {
            plan.rules.push(Rule {
                on: Trigger::Confirmed,
                after,
                action: Action::Update(direction),
            });
        }
    }
}

fn draw_orders(
    trunks: &[(String, SocketAddr, Ping)],
    moods: Moods,
    calls: usize,
    dice: &mut Generator,
) -> Orders {
    let mut orders = Orders::default();
    let first = u32::try_from(calls).unwrap_or(0) + 1;
    if dice.chance(400) {
        let count = u32::try_from(1 + dice.below(4)).unwrap_or(1);
        for number in first..first + count {
            orders.places.push(draw_order(number, trunks, moods, dice));
        }
    }
    if dice.chance(250) {
        let last = first + u32::try_from(orders.places.len()).unwrap_or(0);
        for number in 1..last {
            if dice.chance(300) {
                orders.ends.push((number, dice.millis(200, 6_000)));
            }
        }
    }
    orders
}

fn draw_order(
    number: u32,
    trunks: &[(String, SocketAddr, Ping)],
    moods: Moods,
    dice: &mut Generator,
) -> PlannedOrder {
    let echo = dice.chance(150);
    let talk = dice.millis(500, 5_000);
    let first_ends = echo || dice.chance(500);
    let party = |user: String| Party {
        user,
        domain: Some("example.net".to_owned()),
    };
    let (from, to) = (party(format!("f{number}")), party(format!("d{number}")));
    let linked = |destination| PlaceTo::Link(Box::new(link(&format!("c{number}"), destination)));
    let to = if echo {
        linked(Destination::Echo)
    } else if dice.chance(500) {
        linked(Destination::Remote {
            user: to.user,
            domain: to.domain,
        })
    } else {
        PlaceTo::Party {
            party: to,
            trunk: None,
            caller_name: "Desk".to_owned(),
            caller_alias: "desk".to_owned(),
        }
    };
    let mut answerer = |ends: bool| {
        let plan = draw_callee(moods, dice);
        if ends {
            plan.then(Trigger::Confirmed, talk, Action::HangUp)
        } else {
            plan
        }
    };
    let parties = trunks
        .iter()
        .map(|(name, ..)| (name.clone(), answerer(first_ends), answerer(!first_ends)))
        .collect();
    PlannedOrder {
        number,
        at: dice.millis(0, 3_000),
        place: PlaceCall {
            grant: Grant::unlimited("desk"),
            client: Some(IpAddr::V4(Ipv4Addr::new(10, 3, 0, 1))),
            idempotency: None,
            from,
            to,
        },
        parties,
        echo,
    }
}
