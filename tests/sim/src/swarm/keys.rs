//! What some worlds have besides: keys of SRTP (RFC 4568), by policies of trunks and phones and by habits
//! of the peers, which need not fit.
//!
//! Drawn apart, so that the rest of a seed means what it meant before.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use sluice::call::snapshot::Snapshot;
use sluice::trunks::model::SrtpPolicy;

use super::{Orders, PlannedCall};
use crate::peer::keys::Habit;
use crate::peer::plan::Plan;
use crate::random::Generator;

/// Changes what trunks, phones and calls do.
pub(super) fn draw(
    random: &Generator,
    calls: &mut [PlannedCall],
    orders: &mut Orders,
    snapshot: &mut Snapshot,
) {
    let mut dice = random.split("keys");
    if !dice.chance(400) {
        return;
    }
    snapshot.settings.srtp_over_clear_signalling = dice.chance(950);
    for trunk in &mut snapshot.trunks {
        trunk.srtp = policy(&mut dice);
    }
    for source in &mut snapshot.sources {
        source.srtp = policy(&mut dice);
    }
    let trunks = snapshot.trunks.clone();
    let of_trunk = |name: &str| {
        let trunk = trunks.iter().find(|trunk| trunk.label == name);
        trunk.map_or(SrtpPolicy::Off, |trunk| trunk.srtp)
    };
    let of_phones = snapshot
        .sources
        .first()
        .map_or(SrtpPolicy::Off, |it| it.srtp);
    for call in calls {
        change(&mut call.caller, of_phones, &mut dice);
        for (name, plan) in &mut call.callees {
            change(plan, of_trunk(name), &mut dice);
        }
    }
    for order in &mut orders.places {
        for (name, first, second) in &mut order.parties {
            change(first, of_trunk(name), &mut dice);
            change(second, of_trunk(name), &mut dice);
        }
    }
}

/// Names of the nodes whose media is never in the clear.
pub(crate) fn required(snapshot: &Snapshot, phones: &[(String, SocketAddr)]) -> BTreeSet<String> {
    let is_required = |policy| policy == SrtpPolicy::Required;
    let trunks = snapshot.trunks.iter();
    let trunks = trunks.filter(|trunk| is_required(trunk.srtp));
    let of_phones = snapshot
        .sources
        .first()
        .is_some_and(|it| is_required(it.srtp));
    let phones = phones.iter().filter(|_| of_phones);
    let phones = phones.map(|(name, _)| name.clone());
    trunks
        .map(|trunk| trunk.label.clone())
        .chain(phones)
        .collect()
}

fn policy(dice: &mut Generator) -> SrtpPolicy {
    dice.pick(&[
        SrtpPolicy::Off,
        SrtpPolicy::Preferred,
        SrtpPolicy::Preferred,
        SrtpPolicy::Required,
    ])
}

/// Mostly what the policy expects.
pub(super) fn change(plan: &mut Plan, policy: SrtpPolicy, dice: &mut Generator) {
    let fitting = match policy {
        SrtpPolicy::Off => Habit::Plain,
        SrtpPolicy::Preferred => dice.pick(&[Habit::Plain, Habit::Effort, Habit::Secure]),
        SrtpPolicy::Required => Habit::Secure,
    };
    plan.keys = if dice.chance(850) {
        fitting
    } else {
        dice.pick(&[Habit::Plain, Habit::Effort, Habit::Secure])
    };
    plan.fickle = dice.chance(250);
}
