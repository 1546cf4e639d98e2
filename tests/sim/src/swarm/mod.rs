//! What a seed means: the trunks, the links, the calls, what each peer does, and which faults exist
//! at all. Each seed draws its own mixture; a fault that is always there hides the others.

mod calls;
mod depth;
mod early;
mod guests;
mod keys;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sluice::call::snapshot::Snapshot;
use sluice::links::model::Destination;
use sluice::sources::model::{LinkAccess, Source};
use sluice::trunks::model::{IdentityProfile, Network as IpNetwork, Transport, Trunk, TrunkTarget};
use sluice::trunks::shape::{StoredTrunk, TrunkShape};

use crate::gateway::HostFaults;
use crate::network::Faults;
use crate::peer::plan::Plan;
use crate::random::Generator;
use crate::store::{Store, link};
use crate::streams::StreamFaults;
use crate::world::Ping;
use calls::draw_call;
pub(crate) use depth::Orders;
pub(crate) use guests::PlannedGuest;
pub(crate) use keys::required;

/// One call of a world.
#[derive(Debug)]
pub(crate) struct PlannedCall {
    /// Its number; its link is `c` and its destination `d` with that number.
    pub(crate) number: u32,
    /// The phone that calls.
    pub(crate) phone: String,
    /// Whom it asks for.
    pub(crate) target: String,
    /// When.
    pub(crate) at: Duration,
    /// What the caller does.
    pub(crate) caller: Plan,
    /// What each trunk does with it.
    pub(crate) callees: Vec<(String, Plan)>,
    /// Its media must pass without loss once both ends are up.
    pub(crate) steady: bool,
    /// The link is `local:echo`.
    pub(crate) echo: bool,
}

/// How a gateway closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// It takes no new calls.
    Drain,
    /// It ends those that it has.
    Stop,
}

/// A world before it begins.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// Of the network.
    pub(crate) faults: Faults,
    /// Of the gateway's own host.
    pub(crate) host: HostFaults,
    /// Trunks, sources, rules.
    pub(crate) snapshot: Snapshot,
    /// The links.
    pub(crate) store: Store,
    /// Names and addresses of the phones.
    pub(crate) phones: Vec<(String, SocketAddr)>,
    /// Names and addresses of the trunks, and how they answer OPTIONS.
    pub(crate) trunks: Vec<(String, SocketAddr, Ping)>,
    /// The calls.
    pub(crate) calls: Vec<PlannedCall>,
    /// The gateway is told to close, and how.
    pub(crate) closing: Option<(Duration, Closing)>,
    /// Names of those that speak TCP.
    pub(crate) by_tcp: Vec<String>,
    /// Of their connections.
    pub(crate) stream_faults: StreamFaults,
    /// What the gateway is told to place and to end.
    pub(crate) orders: Orders,
    /// Calls of guests.
    pub(crate) guests: Vec<PlannedGuest>,
    /// The gateway says reliably what has an answer, to callers that can.
    pub(crate) reliable_early_media: bool,
    /// The step of the gateway's endpoint that panics.
    pub(crate) strike: Option<u32>,
}

/// Which kinds of misbehaviour a world has.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each mood is there or not, by itself"
)]
struct Moods {
    cancels: bool,
    failures: bool,
    silences: bool,
    reoffers: bool,
    bad_media: bool,
    bad_peers: bool,
    forks: bool,
}

/// Connections that break under every third message, in events per thousand: in few worlds, because
/// hardly anything else happens in them.
const STORM_OF_BREAKS: u32 = 300;

/// Steps of an endpoint in a world of some calls.
const STRIKE_WITHIN: u64 = 500;

/// Draws the world of a seed.
pub(crate) fn draw(random: &Generator) -> Drawing {
    let mut dice = random.split("swarm");
    let faults = if dice.chance(250) {
        Faults::none(dice.micros(100, 30_000))
    } else {
        Faults::draw(&mut dice)
    };
    let moods = Moods {
        cancels: dice.chance(500),
        failures: dice.chance(600),
        silences: dice.chance(250),
        reoffers: dice.chance(400),
        bad_media: dice.chance(350),
        bad_peers: dice.chance(350),
        forks: dice.chance(250),
    };
    let phones: Vec<_> = (1..=1 + dice.index(4))
        .map(|n| (format!("phone{n}"), address(1, n)))
        .collect();
    let trunks: Vec<_> = (1..=1 + dice.index(3))
        .map(|n| (format!("trunk{n}"), address(2, n), draw_ping(&mut dice)))
        .collect();
    let mut store = Store::new(dice.millis(0, 40), random.split("store"));
    if dice.chance(120) {
        store = store.with_faults(80, 80);
    }
    let pings = dice.chance(400);
    let mut snapshot = snapshot(&trunks, pings, &mut dice);
    let (by_tcp, stream_faults) = draw_streams(random, &phones, &mut snapshot);
    let most = if dice.chance(400) { 20 } else { 8 };
    let count = 1 + dice.below(most);
    let mut calls = Vec::new();
    for number in 1..=u32::try_from(count).unwrap_or(1) {
        let mut dice = random.split(&format!("call{number}"));
        let phone = dice.pick(&phones).0;
        let call = draw_call(number, phone, &trunks, moods, &mut dice);
        let destination = if call.echo {
            Destination::Echo
        } else {
            Destination::Remote {
                user: format!("d{number}"),
                domain: Some("example.net".to_owned()),
            }
        };
        let mut resolved = link(&format!("c{number}"), destination);
        resolved.unique_alias = dice.chance(300);
        store.add(&format!("c{number}"), Ok(resolved));
        calls.push(call);
    }
    let closing = dice.chance(150).then(|| {
        (
            dice.millis(500, 6_000),
            dice.pick(&[Closing::Drain, Closing::Stop]),
        )
    });
    let host = draw_host(&mut dice);
    let mut orders = depth::draw(random, &trunks, moods, &mut calls, &mut snapshot);
    let reliable_early_media = early::draw(random, &mut calls);
    keys::draw(random, &mut calls, &mut orders, &mut snapshot);
    let mut guests = guests::draw(random, &trunks, moods, &snapshot);
    if host.loses() {
        calls.iter_mut().for_each(|call| call.steady = false);
        guests.iter_mut().for_each(|guest| guest.steady = false);
    }
    Drawing {
        faults,
        host,
        snapshot,
        store,
        phones,
        trunks,
        calls,
        closing,
        by_tcp,
        stream_faults,
        orders,
        guests,
        reliable_early_media,
        strike: draw_strike(random),
    }
}

/// A panic inside the endpoint, wherever in the life of the world.
fn draw_strike(random: &Generator) -> Option<u32> {
    let mut dice = random.split("strike");
    let steps = u32::try_from(dice.below(STRIKE_WITHIN)).unwrap_or(0);
    dice.chance(100).then_some(steps)
}

/// Drawn apart, so that a seed means what it meant before there was TCP but for the transport.
fn draw_streams(
    random: &Generator,
    phones: &[(String, SocketAddr)],
    snapshot: &mut Snapshot,
) -> (Vec<String>, StreamFaults) {
    let mut dice = random.split("transports");
    if dice.chance(500) {
        return (Vec::new(), StreamFaults::default());
    }
    let mut by_tcp = Vec::new();
    for trunk in &mut snapshot.trunks {
        if dice.chance(600) {
            trunk.transport = Transport::Tcp;
            by_tcp.push(trunk.label.clone());
        }
    }
    for (phone, _) in phones {
        if dice.chance(400) {
            by_tcp.push(phone.clone());
        }
    }
    let mut faults = StreamFaults::draw(&mut dice);
    if random.split("breaks").chance(150) {
        faults.close = STORM_OF_BREAKS;
    }
    (by_tcp, faults)
}

fn draw_ping(dice: &mut Generator) -> Ping {
    match dice.below(1000) {
        0..60 => Ping::Silent,
        60..120 => Ping::Absent,
        120..160 => Ping::Status(dice.pick(&[404, 405, 503])),
        _ => Ping::Status(200),
    }
}

fn draw_host(dice: &mut Generator) -> HostFaults {
    let mut some = |per_mille: u32, most: u32| if dice.chance(per_mille) { most } else { 0 };
    HostFaults {
        open: some(100, 50),
        allocate: some(100, 100),
        starve: some(100, 100),
        send: some(100, 20),
        connect: some(100, 100),
    }
}

fn address(third: u8, number: usize) -> SocketAddr {
    let last = u8::try_from(number).unwrap_or(u8::MAX);
    SocketAddr::from(([10, third, 0, last], 5060))
}

/// Trunks that carry everything, and a source for the phones.
pub(crate) fn snapshot(
    trunks: &[(String, SocketAddr, Ping)],
    pings: bool,
    dice: &mut Generator,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (place, (name, address, _)) in trunks.iter().enumerate() {
        let priority = u16::try_from(place).unwrap_or(0);
        let mut trunk = trunk(
            name,
            *address,
            if dice.chance(300) { 1 } else { priority + 1 },
        );
        if pings {
            trunk.options_interval_up = dice.millis(2_000, 20_000);
            trunk.options_interval_down = dice.millis(2_000, 20_000);
        }
        snapshot.trunks.push(trunk);
    }
    snapshot.sources.push(Source {
        name: "phones".to_owned(),
        networks: vec![IpNetwork {
            address: IpAddr::from([10, 1, 0, 0]),
            prefix_length: 16,
        }],
        links: LinkAccess::All,
        ad_hoc: false,
        registers: false,
        srtp: sluice::trunks::model::SrtpPolicy::Off,
    });
    snapshot.guard.calls_per_second = 0;
    snapshot
}

/// A trunk at this address.
pub(crate) fn trunk(name: &str, address: SocketAddr, priority: u16) -> Trunk {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let shape = TrunkShape {
        label: name.to_owned(),
        priority,
        identity: IdentityProfile::Pai,
        ring_timeout_s: Duration::from_secs(30),
        options_interval_up_s: Duration::ZERO,
        options_interval_down_s: Duration::ZERO,
        down_codes: vec![503],
        ..TrunkShape::default()
    };
    let stored = StoredTrunk {
        id: format!("tr_{digits:0>12}"),
        shape,
        password: None,
    };
    stored.trunk(vec![TrunkTarget {
        address,
        priority: 1,
        weight: 1,
    }])
}

/// The plans of a trunk's attempts at a call: the same each time.
pub(crate) fn takes(plan: &Plan) -> VecDeque<Plan> {
    std::iter::repeat_n(plan.clone(), 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::plan::Deed;
    use crate::peer::keys::Habit;
    use crate::peer::plan::{Action, Reliability, Trigger};

    /// What is drawn nowhere is tested nowhere.
    #[test]
    fn each_kind_of_world_is_drawn_often_enough() {
        let worlds: Vec<Drawing> = (0..256)
            .map(|seed| draw(&Generator::new(seed, "world")))
            .collect();
        let count = |is_it: &dyn Fn(&Drawing) -> bool| worlds.iter().filter(|it| is_it(it)).count();
        let updates_early = |plan: &Plan| {
            plan.reliable != Reliability::None
                && plan.rules.iter().any(|rule| {
                    rule.on == Trigger::EarlyAnswered && matches!(rule.action, Action::Update(_))
                })
        };
        assert!(count(&|it| it.strike.is_some()) > 10, "panics");
        assert!(
            count(&|it| it.stream_faults.close == STORM_OF_BREAKS) > 10,
            "connections that break and break"
        );
        assert!(
            count(&|it| it.calls.iter().any(|call| updates_early(&call.caller))) > 20,
            "callers that change their session before the answer"
        );
        let has_keys = |call: &PlannedCall| call.caller.keys != Habit::Plain;
        assert!(
            count(&|it| it.calls.iter().any(has_keys)) > 40,
            "callers with keys"
        );
        let requires = |it: &Drawing| !required(&it.snapshot, &it.phones).is_empty();
        assert!(count(&requires) > 40, "keys that are required");
        assert!(count(&|it| !it.guests.is_empty()) > 30, "guests");
        let moves = |guest: &PlannedGuest| {
            let mut deeds = guest.plan.deeds.iter();
            deeds.any(|(_, deed)| matches!(deed, Deed::Move(_)))
        };
        assert!(
            count(&|it| it.guests.iter().any(moves)) > 8,
            "guests that walk into another network"
        );
        let by_callee = |call: &PlannedCall| call.callees.iter().any(|(_, it)| updates_early(it));
        assert!(
            count(&|it| it.calls.iter().any(by_callee)) > 20,
            "callees that do"
        );
    }
}
