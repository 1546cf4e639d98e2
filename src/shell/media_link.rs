//! The way to the media workers and back: bounded queues, a backlog for what did not fit, and the
//! worker's thread.
//!
//! Only `Connect` may be refused when a queue is full. What follows it for a leg that exists waits
//! in the backlog, which is bounded by what the worker's pairs can ask for.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use media::command::{Command, MediaKind, PairKey, Report};
use media::engine::{Worker, WorkerConfig, WorkerCounters};
use nix::sched::CpuSet;
use packet_io::{AnyPacketIo, IoCounters, KernelStep, PacketIo, PacketIoConfig, Waker};

use super::panics::PanicWatch;
use super::wake::Wake;
use crate::health::{BEAT_EVERY, Heart};
use crate::metrics::histogram::Buckets;

/// Words on their way in either direction.
pub const QUEUE_MAX: usize = 4_096;
/// With reports that the queue did not take, the worker looks again after this long.
const REPORTS_RETRY: Duration = Duration::from_millis(1);
/// How old published figures get.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);
/// Where the first worker stands among the cores we may use; signalling and control keep those before.
const FIRST_CORE: usize = 1;

/// What a worker's thread is started with.
#[derive(Debug, Clone)]
pub struct MediaThreadConfig {
    /// The worker's own.
    pub worker: WorkerConfig,
    /// Its kernel boundary's.
    pub packet_io: PacketIoConfig,
    /// Pin it to a core and run it under `SCHED_FIFO` where the machine permits that.
    pub realtime: bool,
}

/// Signalling's end of one worker.
#[derive(Debug)]
pub struct MediaLink {
    number: u16,
    commands: Arc<ArrayQueue<Command>>,
    reports: Arc<ArrayQueue<Report>>,
    backlog: VecDeque<Command>,
    waker: Waker,
    has_news: bool,
}

/// Boot's end: to stop it, and to know how it stands.
#[derive(Debug)]
pub struct MediaThread {
    /// Which rung of the kernel ladder it stands on.
    pub step: KernelStep,
    /// Why it has no ring; `None`: it has one.
    pub ring_refused: Option<String>,
    /// What it publishes.
    pub status: Arc<MediaStatus>,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// What a worker publishes of itself.
#[derive(Debug, Default)]
pub struct MediaStatus {
    /// Beaten once a turn.
    pub heart: Heart,
    /// A copy of its numbers, a second old at most.
    pub figures: ArcSwap<MediaFigures>,
    /// Commands that wait for it, and reports that wait for signalling.
    queues: Option<Queues>,
}

impl MediaStatus {
    /// Commands that wait for the worker, reports that wait for signalling.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.queues.as_ref().map_or((0, 0), |queues| {
            (queues.commands.len(), queues.reports.len())
        })
    }
}

/// A worker's numbers at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MediaFigures {
    /// Its own counters.
    pub counters: WorkerCounters,
    /// What its kernel boundary counted.
    pub io: IoCounters,
    /// Packets that it waits for together.
    pub want: u32,
    /// Pairs open for calls to come.
    pub stocked: u32,
    /// How late it was at work that was due.
    pub lateness: Buckets,
}

/// Both ways between signalling and a worker.
#[derive(Debug)]
struct Queues {
    commands: Arc<ArrayQueue<Command>>,
    reports: Arc<ArrayQueue<Report>>,
}

struct Started {
    waker: Waker,
    step: KernelStep,
    ring_refused: Option<String>,
}

struct Ends {
    commands: Arc<ArrayQueue<Command>>,
    reports: Arc<ArrayQueue<Report>>,
    wake: Arc<Wake>,
    stop: Arc<AtomicBool>,
    panics: Arc<PanicWatch>,
    status: Arc<MediaStatus>,
}

/// Starts a worker on its own thread; `wake` wakes signalling for its reports.
///
/// # Errors
/// Not even epoll is there, or no thread.
pub fn start(
    config: MediaThreadConfig,
    wake: Arc<Wake>,
    panics: Arc<PanicWatch>,
) -> io::Result<(MediaLink, MediaThread)> {
    let commands = Arc::new(ArrayQueue::new(QUEUE_MAX));
    let reports = Arc::new(ArrayQueue::new(QUEUE_MAX));
    let stop = Arc::new(AtomicBool::new(false));
    let number = config.worker.worker;
    let status = Arc::new(MediaStatus {
        queues: Some(Queues {
            commands: Arc::clone(&commands),
            reports: Arc::clone(&reports),
        }),
        ..MediaStatus::default()
    });
    let ends = Ends {
        commands: Arc::clone(&commands),
        reports: Arc::clone(&reports),
        wake,
        stop: Arc::clone(&stop),
        panics,
        status: Arc::clone(&status),
    };
    let (told, started) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name(format!("media-{number}"))
        .spawn(move || run(config, &ends, &told))?;
    let started: Started = started
        .recv()
        .map_err(|_gone| io::Error::other("the worker ended at its start"))??;
    let link = MediaLink {
        number,
        commands,
        reports,
        backlog: VecDeque::new(),
        waker: started.waker.clone(),
        has_news: false,
    };
    let thread = MediaThread {
        step: started.step,
        ring_refused: started.ring_refused,
        status,
        stop,
        waker: started.waker,
        thread: Some(thread),
    };
    Ok((link, thread))
}

impl MediaLink {
    /// The worker's number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Hands over a command.
    ///
    /// # Errors
    /// The pair of a `Connect` of audio that did not fit: its call has not begun. Video may come to a call
    /// that stands, and waits.
    pub fn send(&mut self, command: Command) -> Result<(), PairKey> {
        if self.backlog.is_empty() {
            match self.commands.push(command) {
                Ok(()) => {
                    self.has_news = true;
                    return Ok(());
                }
                Err(refused) => return self.keep(refused),
            }
        }
        self.keep(command)
    }

    fn keep(&mut self, command: Command) -> Result<(), PairKey> {
        if let Some(pair) = begins_a_call(&command) {
            return Err(pair);
        }
        self.backlog.push_back(command);
        Ok(())
    }

    /// Sends what waited, and wakes the worker for what is new. Once a turn. True: nothing waits.
    pub fn flush(&mut self) -> bool {
        while let Some(command) = self.backlog.pop_front() {
            if let Err(refused) = self.commands.push(command) {
                self.backlog.push_front(refused);
                break;
            }
            self.has_news = true;
        }
        if self.has_news {
            self.has_news = false;
            self.waker.wake();
        }
        self.backlog.is_empty()
    }

    /// The oldest report.
    #[must_use]
    pub fn poll_report(&self) -> Option<Report> {
        self.reports.pop()
    }

    /// Nothing to take.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.reports.is_empty()
    }
}

impl MediaThread {
    /// Ends the thread and waits for it.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a media thread had panicked");
        }
    }
}

impl Drop for MediaThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The pair that a call cannot begin without.
const fn begins_a_call(command: &Command) -> Option<PairKey> {
    match command {
        Command::Connect { pair, plan, .. } if matches!(plan.kind, MediaKind::Audio) => Some(*pair),
        Command::Connect { .. }
        | Command::Update { .. }
        | Command::Transport { .. }
        | Command::Disconnect { .. }
        | Command::Acknowledge { .. } => None,
    }
}

fn run(config: MediaThreadConfig, ends: &Ends, told: &mpsc::Sender<io::Result<Started>>) {
    let packet_io = match AnyPacketIo::choose(config.packet_io) {
        Ok(packet_io) => packet_io,
        Err(refused) => {
            // Nobody listens: the node has given up already.
            drop(told.send(Err(io::Error::other(format!("{refused:?}")))));
            return;
        }
    };
    if config.realtime {
        make_realtime(config.worker.worker);
    } else if let Err(error) = packet_io::ask_for_short_turns() {
        tracing::debug!(%error, "media takes its turns as any thread");
    }
    let started = Started {
        waker: packet_io.waker(),
        step: packet_io.step(),
        ring_refused: packet_io.ring_refused().map(|refused| refused.to_string()),
    };
    let mut worker = Worker::new(packet_io, config.worker);
    if told.send(Ok(started)).is_err() {
        return;
    }
    let mut watch = Watch::default();
    while !ends.stop.load(Ordering::Acquire) {
        let turned = catch_unwind(AssertUnwindSafe(|| turn(&mut worker, ends, &mut watch)));
        if turned.is_err() {
            worker.handle_panic();
            ends.panics.count(Instant::now());
            ends.wake.wake();
        }
    }
}

/// What a worker's thread knows of its own time.
#[derive(Debug, Default)]
struct Watch {
    lateness: Buckets,
    /// Work that the last turn left for later.
    due: Option<Instant>,
    published: Option<Instant>,
}

impl Watch {
    /// A turn begins: how late, and whether the numbers are to be published.
    fn begin<Io: PacketIo>(&mut self, now: Instant, worker: &Worker<Io>, status: &MediaStatus) {
        status.heart.beat(now);
        let late = self
            .due
            .take()
            .and_then(|due| now.checked_duration_since(due));
        if let Some(late) = late {
            self.lateness.record(late);
        }
        let fresh = |at: Instant| now.saturating_duration_since(at) < PUBLISH_EVERY;
        if !self.published.is_some_and(fresh) {
            self.published = Some(now);
            status.figures.store(Arc::new(MediaFigures {
                counters: *worker.counters(),
                io: *worker.io().counters(),
                want: worker.want(),
                stocked: worker.stocked(),
                lateness: self.lateness,
            }));
        }
    }
}

fn turn<Io: PacketIo>(worker: &mut Worker<Io>, ends: &Ends, watch: &mut Watch) {
    let now = Instant::now();
    watch.begin(now, worker, &ends.status);
    while let Some(command) = ends.commands.pop() {
        worker.handle_command(now, command);
    }
    let mut wait = worker.turn(now);
    if !hand_over_reports(worker, ends) {
        let soon = now + REPORTS_RETRY;
        wait.until = Some(wait.until.map_or(soon, |until| until.min(soon)));
        wait.min_wait = Duration::ZERO;
    }
    if !ends.commands.is_empty() {
        wait.until = Some(now);
        wait.min_wait = Duration::ZERO;
    }
    watch.due = wait.until.filter(|until| *until > now);
    let beat = now + BEAT_EVERY;
    wait.until = Some(wait.until.map_or(beat, |until| until.min(beat)));
    worker.wait(now, wait);
}

/// False: the queue is full and the worker keeps the rest.
fn hand_over_reports<Io: PacketIo>(worker: &mut Worker<Io>, ends: &Ends) -> bool {
    let mut handed = false;
    let mut fits = true;
    loop {
        if ends.reports.is_full() {
            fits = false;
            break;
        }
        let Some(report) = worker.poll_report() else {
            break;
        };
        handed = ends.reports.push(report).is_ok();
    }
    if handed {
        ends.wake.wake();
    }
    fits
}

/// A worker has its core for itself, never one that signalling or control needs.
fn make_realtime(worker: u16) {
    let Some(core) = core_of(worker, &cores()) else {
        tracing::warn!("one core only: media stays an ordinary thread");
        return;
    };
    pin(core);
    if let Err(error) = packet_io::make_realtime() {
        tracing::warn!(%error, "media thread not under SCHED_FIFO");
    }
}

/// The cores that this process may use, which a container or `taskset` may have chosen anywhere.
fn cores() -> Vec<usize> {
    let may_use = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    let Ok(may_use) = may_use else {
        return Vec::new();
    };
    (0..CpuSet::count())
        .filter(|core| may_use.is_set(*core).unwrap_or_default())
        .collect()
}

/// `None`: all of them are needed for the rest.
fn core_of(worker: u16, cores: &[usize]) -> Option<usize> {
    let ours = cores.get(FIRST_CORE..)?;
    let at = usize::from(worker).checked_rem(ours.len())?;
    ours.get(at).copied()
}

/// Binds the calling thread to a core.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    let pinned = set
        .set(core)
        .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
    if let Err(errno) = pinned {
        tracing::warn!(core, %errno, "media thread not pinned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::command::{LatchPolicy, LegPlan, Target};
    use packet_io::{Simulated, SimulatedConfig};

    fn connect(slot: u32, kind: MediaKind) -> Command {
        let plan = LegPlan {
            kind,
            remote_rtp: None,
            remote_rtcp: None,
            sends: false,
            receives: false,
            payloads: arrayvec::ArrayVec::new(),
            latch: LatchPolicy::Sdp,
            media_timeout: None,
            version: 1,
            srtp: None,
        };
        Command::Connect {
            pair: pair(slot),
            plan,
            target: Target::Nowhere,
        }
    }

    const fn pair(slot: u32) -> PairKey {
        PairKey {
            worker: 0,
            slot,
            generation: 0,
        }
    }

    #[test]
    fn workers_stand_on_cores_that_we_may_use_and_never_on_the_first() {
        let on = |cores: &[usize]| -> Vec<_> { (0..4).map(|w| core_of(w, cores)).collect() };
        let some = |cores: [usize; 4]| cores.map(Some).to_vec();
        assert_eq!(on(&[0, 1]), some([1, 1, 1, 1]));
        assert_eq!(on(&[4, 5, 7]), some([5, 7, 5, 7]), "a container's share");
        assert_eq!(on(&[3]), [None; 4]);
        assert_eq!(on(&[]), [None; 4]);
        assert!(!cores().is_empty(), "this thread runs somewhere");
    }

    #[test]
    fn a_refused_pin_is_said_in_the_log() {
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Shared(Arc::clone(&written)))
            .finish();
        let core = CpuSet::count() - 1;
        assert!(!cores().contains(&core), "no machine of ours has so many");
        tracing::subscriber::with_default(subscriber, || pin(core));
        let said = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(
            said.contains("WARN") && said.contains("media thread not pinned"),
            "{said}"
        );
        assert!(said.contains(&format!("core={core}")), "{said}");
    }

    /// Where a log of a test goes.
    struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_video_pair_that_a_full_queue_does_not_take_waits_and_costs_a_standing_call_nothing() {
        let io = Simulated::new(SimulatedConfig {
            buffers: 1,
            sockets_max: 1,
            socket_queue_max: 1,
        });
        let mut link = MediaLink {
            number: 0,
            commands: Arc::new(ArrayQueue::new(1)),
            reports: Arc::new(ArrayQueue::new(1)),
            backlog: VecDeque::new(),
            waker: io.waker(),
            has_news: false,
        };
        assert_eq!(link.send(connect(1, MediaKind::Audio)), Ok(()));
        assert_eq!(link.send(connect(2, MediaKind::Audio)), Err(pair(2)));
        assert_eq!(link.send(connect(3, MediaKind::Video)), Ok(()));
        assert_eq!(link.send(Command::Disconnect { pair: pair(3) }), Ok(()));
        let mut taken = Vec::new();
        loop {
            let is_empty = link.flush();
            taken.extend(link.commands.pop());
            if is_empty {
                break;
            }
        }
        let slots = taken.iter().map(|command| match command {
            Command::Connect { pair, .. } => (pair.slot, true),
            Command::Update { pair, .. }
            | Command::Transport { pair, .. }
            | Command::Disconnect { pair }
            | Command::Acknowledge { pair } => (pair.slot, false),
        });
        assert_eq!(
            slots.collect::<Vec<_>>(),
            [(1, true), (3, true), (3, false)]
        );
    }
}
