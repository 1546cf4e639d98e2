//! Group `relay`: what a forwarded packet costs, and what becomes of it.
//!
//! Several nodes stand at the same time, each with the settings of its rows and media addresses of its
//! own; rounds through them are taken in turns, the kernel floor in between. A row that could not be
//! measured is `notrun` with its reason, and the others go on.

mod bursts;
mod growth;
pub(crate) mod memory;
mod paced_rows;
mod peers;
mod saturated;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::{Places, prepared, stop};
use crate::carrier::{Node, NodePlace, Target as _, establish};
use crate::gateway::{Gateway, Plan};
use crate::machine::{Cores, Pinned};
use crate::paced::{Effort, Series, Standing};
use crate::report;
use crate::rtp_flow::{Pace, RtpLoad};

pub(crate) use self::peers::{Peer, measure as measure_peers};

/// The row that stands for the group where nothing can be measured.
pub(crate) const MAIN_ROW: Row = paced_rows::PACED;

/// A row's name and its limit.
pub(crate) type Row = (&'static str, f64);

/// Measures, and prints every row.
///
/// # Errors
/// Nothing at all could be measured.
pub(crate) fn measure(places: &Places) -> Result<()> {
    let began = Instant::now();
    let mut stage = Stage::enter(places, "relay")?;
    run_stages(&mut stage, &STAGES);
    report::figure("relay.group_s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Runs measurements one after the other: one that fails takes its own rows with it, and no others.
pub(crate) fn run_stages(stage: &mut Stage<'_>, stages: &[Measurement]) {
    for (rows, run) in stages {
        let stage_began = Instant::now();
        if let Err(error) = run(stage) {
            not_run(rows, &error);
        }
        stage.stop();
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        let seconds = stage_began.elapsed().as_secs();
        let group = stage.group;
        report::progress(&format!("{group}: {seconds} s for {}", names.join(", ")));
    }
}

/// Rows that are measured together, and what measures them.
pub(crate) type Measurement = (&'static [Row], fn(&mut Stage<'_>) -> Result<()>);

const STAGES: [Measurement; 5] = [
    (&memory::ROWS, memory::measure),
    (&paced_rows::ROWS, paced_rows::measure),
    (&saturated::ROWS, saturated::measure),
    (&growth::ROWS, growth::measure),
    (&bursts::ROWS, bursts::measure),
];

/// What the rows share: the machine, and the nodes that run at present.
pub(crate) struct Stage<'a> {
    places: &'a Places,
    group: &'static str,
    /// The two cores.
    pub(crate) cores: Cores,
    /// Median latency without a relay, microseconds: what the method itself adds.
    pub(crate) direct_us: f64,
    gateways: Vec<Gateway>,
}

impl<'a> Stage<'a> {
    /// Takes the generator's core, and measures the generator without a relay.
    pub(crate) fn enter(places: &'a Places, group: &'static str) -> Result<Self> {
        let cores = Cores::find()?;
        let (direct_us, is_realtime) = calibrate(cores, group)?;
        if !is_realtime {
            report::note(
                group,
                "no realtime scheduling: latencies are those of the scheduler",
            );
        }
        Ok(Self {
            places,
            group,
            cores,
            direct_us,
            gateways: Vec::new(),
        })
    }

    /// A node of this name, the `offset`-th of several at a time, with what its rows need changed.
    pub(crate) fn node(
        &mut self,
        name: &str,
        offset: u8,
        change: impl FnOnce(&mut Plan),
    ) -> Result<Node> {
        self.node_measured(name, offset, MEDIA_THREAD, change)
    }

    /// The same, where the threads whose names begin with `thread` are measured.
    pub(crate) fn node_measured(
        &mut self,
        name: &str,
        offset: u8,
        thread: &str,
        change: impl FnOnce(&mut Plan),
    ) -> Result<Node> {
        let place = self.place(name, offset, thread, change)?;
        let node = Node::new(name, place)?;
        node.subject()?.spread(self.cores)?;
        Ok(node)
    }

    /// A gateway that runs, and where it is.
    pub(crate) fn place(
        &mut self,
        name: &str,
        offset: u8,
        thread: &str,
        change: impl FnOnce(&mut Plan),
    ) -> Result<NodePlace> {
        let folder = format!("{}-{name}", self.group);
        let plan = prepared(self.places, &folder, u16::from(offset), |mut plan| {
            plan.media = Ipv4Addr::new(127, 0, 1, 1 + offset).into();
            change(&mut plan);
            plan
        })?;
        let gateway = plan.start()?;
        let place = NodePlace {
            sip: plan.sip,
            http: Some(plan.http),
            callee: plan.callee,
            user: "bench".to_owned(),
            process: gateway.process(),
            thread: thread.to_owned(),
        };
        self.gateways.push(gateway);
        Ok(place)
    }

    /// A node with sessions that stand.
    pub(crate) fn standing(
        &mut self,
        name: &str,
        offset: u8,
        sessions: usize,
        change: impl FnOnce(&mut Plan),
    ) -> Result<Standing> {
        let node = self.node(name, offset, change)?;
        self.stand(node, sessions)
    }

    /// The same with SRTP from the callees, and from the callers if these are `secure_callers`.
    pub(crate) fn secure_standing(
        &mut self,
        name: &str,
        offset: u8,
        sessions: usize,
        secure_callers: bool,
    ) -> Result<Standing> {
        let mut node = self.node(name, offset, |plan| secure(plan, secure_callers))?;
        if secure_callers {
            node.secure_callers();
        }
        self.stand(node, sessions)
    }

    fn stand(&self, mut node: Node, sessions: usize) -> Result<Standing> {
        let mut load = RtpLoad::new()?;
        establish(&mut node, &mut load, sessions)?;
        report::progress(&format!(
            "{}: {sessions} sessions stand in node {}",
            self.group,
            node.name()
        ));
        let subject = node.subject()?;
        subject.spread(self.cores)?;
        Ok(Standing {
            target: Box::new(node),
            subject,
            load,
        })
    }

    /// Latency that the relay adds, milliseconds.
    ///
    /// # Errors
    /// Too few rounds count.
    pub(crate) fn added_ms(&self, series: &Series, quantile: f64) -> Result<f64> {
        let us = series.lowest(|one| one.latency_us(quantile))?;
        Ok((us - self.direct_us) / 1000.0)
    }

    /// This run is only to show that all works.
    pub(crate) const fn is_quick(&self) -> bool {
        self.places.quick
    }

    /// So many rounds, unless this run is only to show that all works.
    pub(crate) const fn effort(&self, rounds: usize) -> Effort {
        let quick = self.places.quick;
        Effort {
            rounds: if quick { 1 } else { rounds },
            keeps_void: quick,
        }
    }

    /// Ends the nodes.
    pub(crate) fn stop(&mut self) {
        for gateway in self.gateways.drain(..) {
            stop(gateway);
        }
    }
}

/// A node whose trunk, and whose source if asked, want SRTP.
pub(crate) fn secure(plan: &mut Plan, secure_callers: bool) {
    const REQUIRED: &str = "srtp = \"required\"";
    plan.sip_settings = "srtp_over_clear_signalling = true".to_owned();
    plan.trunk_settings = REQUIRED.to_owned();
    if secure_callers {
        plan.source_settings = REQUIRED.to_owned();
    }
}

/// Median latency without a relay, microseconds, and whether the generator ran realtime.
fn calibrate(cores: Cores, group: &str) -> Result<(f64, bool)> {
    let pinned = Pinned::here(cores.generator)?;
    let mut load = RtpLoad::direct(CALIBRATION_SESSIONS)?;
    let pace = Pace {
        warm_up: Duration::from_millis(100),
        ..Pace::speech(CALIBRATION_SESSIONS, Duration::from_secs(1))
    };
    let round = load.drive(pace, &mut |_| {})?;
    let us = |quantile| round.latency.value_at_quantile(quantile) as f64 / 1000.0;
    report::figure(&format!("{group}.direct_p50_us"), us(0.5));
    report::figure(&format!("{group}.direct_p99_us"), us(0.99));
    report::figure(&format!("{group}.direct_generator_load"), round.own_load);
    if round.lost() > 0 {
        let (lost, sent) = (round.lost(), round.sent);
        bail!("{lost} of {sent} packets were lost without a relay");
    }
    Ok((us(0.5), pinned.realtime))
}

/// Prints a row, where less is better.
pub(crate) fn row((name, limit): Row, value: Result<f64>) {
    match value {
        Ok(value) => drop(report::bar(name, value, limit)),
        Err(error) => report::bar_not_run(name, limit, &format!("{error:#}")),
    }
}

/// Prints a row, where more is better.
pub(crate) fn row_at_least((name, limit): Row, value: Result<f64>) {
    match value {
        Ok(value) => drop(report::bar_at_least(name, value, limit)),
        Err(error) => report::bar_not_run(name, limit, &format!("{error:#}")),
    }
}

/// Prints rows that could not be measured.
pub(crate) fn not_run(rows: &[Row], error: &anyhow::Error) {
    for (name, limit) in rows {
        report::bar_not_run(name, *limit, &format!("{error:#}"));
    }
}

/// Names of a node's media threads begin with this.
pub(crate) const MEDIA_THREAD: &str = "media";
const CALIBRATION_SESSIONS: usize = 1_000;
