//! Running a seed: draw the world, let it live, let it come to rest, look at what is left.

use std::fmt::Write as _;
use std::time::Duration;

use crate::checker::Violation;
use crate::gateway::{Gateway, Habits, Sabotage};
use crate::peer::leg::TRANSACTION;
use crate::peer::plan::Trigger;
use crate::random::Generator;
use crate::swarm::{self, Closing, Drawing, Orders, PlannedCall, PlannedGuest};
use crate::time::SimTime;
use crate::world::{Ping, Setup, World, part};

/// What a run found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// Of everything that happened: the same seed gives the same.
    pub hash: u64,
    /// Events.
    pub steps: u64,
    /// Calls placed.
    pub calls: usize,
    /// RTP packets that went through the gateway.
    pub relayed: u64,
    /// Those that left it under keys.
    pub protected: u64,
    /// How long the world lived.
    pub lived: Duration,
}

/// A run in which something was wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What, in one line.
    pub summary: String,
    /// The call's ladder, the last events, and how to see it again.
    pub report: String,
}

/// A world that is not at rest after this long never will be: three trunks that ring for 30 s, two
/// transactions that time out, and a link store that never answers.
const LIFE_MAX: Duration = Duration::from_secs(420);
/// After the last peer is done: until every transaction and every resting port is gone.
const REST: Duration = Duration::from_secs(45);

/// Runs a seed.
///
/// # Errors
/// What did not hold.
pub fn run_seed(seed: u64, trace: bool) -> Result<Summary, Box<Failure>> {
    run(seed, trace, Sabotage::None).map(|(summary, _)| summary)
}

/// Runs a seed and gives every event as text, whether it failed or not.
#[must_use]
pub fn trace_seed(seed: u64) -> String {
    match run(seed, true, Sabotage::None) {
        Ok((summary, events)) => format!("{events}\n{summary:?}\n"),
        Err(failure) => failure.report,
    }
}

/// Runs a seed, with a broken gateway where `sabotage` says so.
pub(crate) fn run(
    seed: u64,
    trace: bool,
    sabotage: Sabotage,
) -> Result<(Summary, String), Box<Failure>> {
    let random = Generator::new(seed, "world");
    let drawing = swarm::draw(&random);
    let plan = describe(&drawing);
    let calls = drawing.calls.len() + drawing.guests.len();
    let built = build(drawing, random, trace, sabotage);
    let (mut world, last) = built.expect("nothing has happened yet");
    match live(&mut world, last) {
        Ok(()) => {
            let summary = Summary {
                seed,
                hash: world.trace.hash(),
                steps: world.trace.step(),
                calls,
                relayed: world.relayed(),
                protected: world.protected(),
                lived: world.now().since(SimTime::ZERO),
            };
            let events = if trace {
                world.trace.last_events()
            } else {
                String::new()
            };
            Ok((summary, events))
        }
        Err(violation) => Err(Box::new(explain(seed, &world, &violation, &plan))),
    }
}

/// The moments of a world that the plan names.
#[derive(Debug, Clone, Copy)]
struct Moments {
    last_start: SimTime,
    closing: Option<(SimTime, Closing)>,
}

fn build(
    drawing: Drawing,
    random: Generator,
    trace: bool,
    sabotage: Sabotage,
) -> Result<(World, Moments), Violation> {
    let Drawing {
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
        strike,
    } = drawing;
    let habits = Habits {
        reliable_early_media,
        strike,
        sabotage,
    };
    let required = swarm::required(&snapshot, &phones);
    let gateway = Gateway::new(&random, snapshot, host, habits);
    let mut world = World::new(Setup {
        random,
        faults,
        gateway,
        store,
        keep_trace: trace,
    });
    world.required = required;
    for (name, address) in phones {
        world.add_node(&name, address, Ping::Silent, false);
    }
    for (name, address, ping) in trunks {
        world.add_node(&name, address, ping, false);
    }
    for name in by_tcp {
        world.connect_node(&name);
    }
    world.set_stream_faults(stream_faults);
    let mut last = Duration::ZERO;
    for call in calls {
        last = last.max(call.at);
        place_call(&mut world, call);
    }
    last = last.max(place_orders(&mut world, orders));
    for guest in guests {
        last = last.max(guest.at);
        place_guest(&mut world, guest)?;
    }
    let moments = Moments {
        last_start: SimTime::ZERO + last,
        closing: closing.map(|(at, how)| (SimTime::ZERO + at, how)),
    };
    Ok((world, moments))
}

fn place_guest(world: &mut World, guest: PlannedGuest) -> Result<(), Violation> {
    let number = guest.number;
    if guest.steady {
        let _ = world.steady.insert(number);
    }
    if guest.echo {
        let _ = world.echo.insert(number);
    }
    for (trunk, plan) in guest.callees {
        let _ = world.cast.insert((number, trunk), swarm::takes(&plan));
    }
    let at = SimTime::ZERO + guest.at;
    world.add_guest(number, guest.link, guest.from, guest.plan, at)
}

fn place_call(world: &mut World, call: PlannedCall) {
    let mut plan = call.caller;
    for rule in &mut plan.rules {
        if rule.on == Trigger::Start {
            rule.after += call.at;
        }
    }
    if call.steady {
        let _ = world.steady.insert(call.number);
    }
    if call.echo {
        let _ = world.echo.insert(call.number);
    }
    let _ = world.add_caller(call.number, &call.phone, &call.target, plan);
    for (trunk, plan) in call.callees {
        let _ = world.cast.insert((call.number, trunk), swarm::takes(&plan));
    }
}

/// When the last one is told.
fn place_orders(world: &mut World, orders: Orders) -> Duration {
    let mut last = Duration::ZERO;
    for order in orders.places {
        last = last.max(order.at);
        if order.echo {
            let _ = world.echo.insert(order.number);
        }
        for (trunk, first, second) in order.parties {
            let key = |is_first| (order.number, part(&trunk, is_first));
            let _ = world.cast.insert(key(true), swarm::takes(&first));
            let _ = world.cast.insert(key(false), swarm::takes(&second));
        }
        world.add_order(order.number, SimTime::ZERO + order.at, order.place);
    }
    for (call, at) in orders.ends {
        last = last.max(at);
        world.add_end(call, SimTime::ZERO + at);
    }
    last
}

fn live(world: &mut World, moments: Moments) -> Result<(), Violation> {
    world.begin()?;
    for place in 0..world.legs.len() {
        world.start(place)?;
    }
    let mut closing = moments.closing;
    let end = SimTime::ZERO + LIFE_MAX;
    loop {
        if let Some((at, how)) = closing
            && world.next_at().is_none_or(|next| next >= at)
        {
            world.run_until(at)?;
            match how {
                Closing::Drain => world.tell(Gateway::drain)?,
                Closing::Stop => {
                    world.disturb_all();
                    world.tell(Gateway::stop)?;
                }
            }
            closing = None;
        }
        let done = world.now() > moments.last_start
            && world.peers_are_quiet()
            && world.gateway.calls() == 0;
        if done || world.next_at().is_none() {
            break;
        }
        if world.now() > end {
            let text = format!("the world never came to rest: {}", world.unrest());
            return Err(Violation::of_world(text));
        }
        world.step()?;
    }
    world.heal();
    world.run_until(world.now() + REST)?;
    world.tell(Gateway::stop)?;
    world.run_until(world.now() + TRANSACTION + REST)?;
    if !world.gateway.is_stopped() {
        return Err(Violation::of_world(
            "the gateway was told to stop and never said that it did",
        ));
    }
    world.finish()
}

fn describe(drawing: &Drawing) -> String {
    let mut text = format!("{:?}\n{:?}\n", drawing.faults, drawing.host);
    for (name, address, ping) in &drawing.trunks {
        let _ = writeln!(text, "{name} {address} OPTIONS: {ping:?}");
    }
    for call in &drawing.calls {
        let _ = writeln!(
            text,
            "call {} of {} at {:?} {:?}",
            call.number, call.phone, call.at, call.caller
        );
        for (trunk, plan) in &call.callees {
            let _ = writeln!(text, "  {trunk} {plan:?}");
        }
    }
    for order in &drawing.orders.places {
        let _ = writeln!(text, "call {} {order:?}", order.number);
    }
    for guest in &drawing.guests {
        let _ = writeln!(text, "call {} {guest:?}", guest.number);
    }
    text
}

fn explain(seed: u64, world: &World, violation: &Violation, plan: &str) -> Failure {
    let call = world.blamed(violation);
    let step = world.trace.step();
    let summary = format!(
        "seed {seed:#x}, step {step}, {}: {}",
        world.now(),
        violation.text
    );
    let mut report = format!("{summary}\n\n");
    if let Some(call) = call {
        let wanted = format!("call {call} ");
        let lines = plan.lines().skip_while(|line| !line.starts_with(&wanted));
        for (index, line) in lines.enumerate() {
            if index > 0 && !line.starts_with("  ") {
                break;
            }
            let _ = writeln!(report, "{line}");
        }
    }
    let _ = write!(report, "\n{}", world.trace.ladder(call));
    let _ = write!(report, "\nlast events\n{}", world.trace.last_events());
    let _ = write!(report, "\nagain: cargo sim --seed {seed:#x} --trace\n");
    Failure {
        seed,
        summary,
        report,
    }
}
