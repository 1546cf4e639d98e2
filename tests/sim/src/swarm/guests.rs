//! What some worlds have besides: guests with browsers.
//!
//! Drawn apart, so that the rest of a seed means what it meant before.

use std::net::SocketAddr;
use std::time::Duration;

use sip::sdp::Direction;
use sluice::call::snapshot::Snapshot;
use sluice::links::model::{Destination, VideoPolicy};
use sluice::links::resolve::ResolvedLink;

use super::Moods;
use super::calls::draw_callee;
use crate::guest::plan::{Deed, GuestPlan};
use crate::peer::plan::{Action, Plan, Trigger};
use crate::random::Generator;
use crate::store::link;
use crate::world::Ping;

/// A call that a guest makes.
#[derive(Debug)]
pub(crate) struct PlannedGuest {
    /// The call's number; its link is `c` and its destination `d` with that number.
    pub(crate) number: u32,
    /// When.
    pub(crate) at: Duration,
    /// Where the browser is at first.
    pub(crate) from: SocketAddr,
    /// What its link means.
    pub(crate) link: ResolvedLink,
    /// What it does.
    pub(crate) plan: GuestPlan,
    /// What each trunk does with it.
    pub(crate) callees: Vec<(String, Plan)>,
    /// Its media must pass without loss once both ends are up.
    pub(crate) steady: bool,
    /// The link is `local:echo`.
    pub(crate) echo: bool,
}

/// Calls of guests are numbered from here.
const FIRST: u32 = 500;
/// A browser's packets for the longest of their calls.
const VOICE_PACKETS: u64 = 150;

/// Draws them.
pub(super) fn draw(
    random: &Generator,
    trunks: &[(String, SocketAddr, Ping)],
    moods: Moods,
    snapshot: &Snapshot,
) -> Vec<PlannedGuest> {
    let mut dice = random.split("guests");
    if dice.chance(800) {
        return Vec::new();
    }
    let count = u32::try_from(1 + dice.below(3)).unwrap_or(1);
    let numbers = FIRST..FIRST + count;
    numbers
        .map(|number| {
            let mut dice = random.split(&format!("guest{number}"));
            draw_guest(number, trunks, moods, snapshot, &mut dice)
        })
        .collect()
}

fn draw_guest(
    number: u32,
    trunks: &[(String, SocketAddr, Ping)],
    moods: Moods,
    snapshot: &Snapshot,
    dice: &mut Generator,
) -> PlannedGuest {
    let echo = dice.chance(100);
    let destination = if echo {
        Destination::Echo
    } else {
        Destination::Remote {
            user: format!("d{number}"),
            domain: Some("example.net".to_owned()),
        }
    };
    let mut link = link(&format!("c{number}"), destination);
    link.video_policy = dice.pick(&[
        VideoPolicy::SendRecv,
        VideoPolicy::SendRecv,
        VideoPolicy::RecvOnly,
        VideoPolicy::RecvOnlyInitially,
        VideoPolicy::Inactive,
    ]);
    let (deeds, steady) = draw_deeds(dice);
    let plan = GuestPlan {
        deeds,
        voice_packets: u32::try_from(dice.below(VOICE_PACKETS)).unwrap_or(0),
        has_camera: dice.chance(400),
        is_cut_off: dice.chance(40),
    };
    let callees = trunks.iter().map(|(name, ..)| {
        let mut callee = draw_callee(moods, dice);
        if dice.chance(250) {
            let talk = dice.millis(500, 6_000);
            callee = callee.then(Trigger::Confirmed, talk, Action::HangUp);
        }
        let trunk = snapshot.trunks.iter().find(|trunk| trunk.label == *name);
        if let Some(trunk) = trunk {
            super::keys::change(&mut callee, trunk.srtp, dice);
        }
        (name.clone(), callee)
    });
    let callees = callees.collect();
    let [high, low] = u16::try_from(number).unwrap_or(0).to_be_bytes();
    PlannedGuest {
        number,
        at: dice.millis(0, 3_000),
        from: SocketAddr::from(([10, 4, high, low], 40_000)),
        link,
        plan,
        callees,
        steady,
        echo,
    }
}

/// What a guest does; true where nothing of it disturbs its media.
fn draw_deeds(dice: &mut Generator) -> (Vec<(Duration, Deed)>, bool) {
    let mut deeds = Vec::new();
    let mut steady = true;
    if dice.chance(600) {
        for _ in 0..=dice.below(3) {
            let deed = draw_deed(dice);
            steady &= !matches!(
                deed,
                Deed::Move(_) | Deed::Offer(_) | Deed::LoseLine(_) | Deed::Junk
            );
            deeds.push((dice.millis(0, 9_000), deed));
        }
    }
    let last = dice.pick(&[Deed::HangUp, Deed::HangUp, Deed::Close, Deed::Vanish]);
    // Some never get to speak with anybody.
    let most = dice.pick(&[400, 5_000, 12_000]);
    deeds.push((dice.millis(0, most), last));
    (deeds, steady)
}

fn draw_deed(dice: &mut Generator) -> Deed {
    match dice.below(9) {
        0 => Deed::LoseLine(None),
        1 => Deed::LoseLine(Some(dice.millis(0, 9_000))),
        2 | 3 => Deed::Move(dice.millis(50, 5_000)),
        4 => Deed::Camera(dice.chance(600)),
        5 => Deed::Digits(dice.pick(&["1", "0123456789*#", "ABCD"])),
        6 | 7 => Deed::Offer(dice.pick(&[
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ])),
        _ => Deed::Junk,
    }
}
