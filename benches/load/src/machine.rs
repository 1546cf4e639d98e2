//! The machine: cores, scheduling classes, clocks, limits, a network of our own.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{
    ClockId, ClockNanosleepFlags, clock_getcpuclockid, clock_gettime, clock_nanosleep,
};
use nix::unistd::{Pid, gettid};

/// The two cores of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// The gateway's media worker, the floor.
    pub(crate) measured: usize,
    /// The generator, and what of the gateway is not measured.
    pub(crate) generator: usize,
}

/// Priority of a realtime thread that is measured or generates.
const REALTIME_PRIORITY: &str = "10";

impl Cores {
    /// The first and the last core that this process may use.
    ///
    /// # Errors
    /// With fewer than two cores nothing can be measured.
    pub(crate) fn find() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity")?;
        let usable: Vec<usize> = (0..CpuSet::count())
            .filter(|core| allowed.is_set(*core).unwrap_or(false))
            .collect();
        match (usable.first(), usable.last()) {
            (Some(first), Some(last)) if first != last => Ok(Self {
                measured: *first,
                generator: *last,
            }),
            _ => bail!("two cores are needed, one for the gateway and one for the generator"),
        }
    }
}

/// Binds a thread (0: the calling one) to a core.
pub(crate) fn pin(thread: Pid, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core).with_context(|| format!("core {core}"))?;
    sched_setaffinity(thread, &set).with_context(|| format!("pin {thread} to core {core}"))
}

/// Gives a thread `SCHED_FIFO`; false where that is not permitted.
pub(crate) fn make_realtime(thread: Pid) -> bool {
    change_policy(&["-f", "-p", REALTIME_PRIORITY, &thread.to_string()])
}

/// Takes it back.
pub(crate) fn make_ordinary(thread: Pid) -> bool {
    change_policy(&["-o", "-p", "0", &thread.to_string()])
}

fn change_policy(arguments: &[&str]) -> bool {
    Command::new("chrt")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The calling thread on a core, realtime if the machine permits it, until dropped.
#[derive(Debug)]
pub(crate) struct Pinned {
    thread: Pid,
    /// Where the thread might run before: what it starts later must not inherit one core.
    before: Option<CpuSet>,
    /// False: latencies are those of the scheduler.
    pub(crate) realtime: bool,
}

impl Pinned {
    pub(crate) fn here(core: usize) -> Result<Self> {
        let thread = gettid();
        let before = sched_getaffinity(thread).ok();
        pin(thread, core)?;
        // Sleeps end on time rather than up to 50 µs late.
        nix::sys::prctl::set_timerslack(1).ok();
        Ok(Self {
            thread,
            before,
            realtime: make_realtime(thread),
        })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        make_ordinary(self.thread);
        if let Some(before) = &self.before {
            sched_setaffinity(self.thread, before).ok();
        }
    }
}

/// As many descriptors as the hard limit allows: a thousand sessions need two thousand sockets.
pub(crate) fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}

/// Descriptors that a process may have.
pub(crate) fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds of `CLOCK_REALTIME`: the clock of the kernel's arrival stamps.
pub(crate) fn realtime_ns() -> u64 {
    clock_ns(ClockId::CLOCK_REALTIME)
}

/// Nanoseconds that the calling thread has run.
pub(crate) fn thread_cpu_ns() -> u64 {
    clock_ns(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds that a process has run, with the threads that have ended; 0: it is no more.
pub(crate) fn process_cpu_ns(process: u32) -> u64 {
    i32::try_from(process)
        .ok()
        .and_then(|process| clock_getcpuclockid(Pid::from_raw(process)).ok())
        .map_or(0, clock_ns)
}

fn clock_ns(clock: ClockId) -> u64 {
    clock_gettime(clock)
        .ok()
        .and_then(|time| u64::try_from(Duration::from(time).as_nanos()).ok())
        .unwrap_or_default()
}

/// Sleeps until `CLOCK_MONOTONIC` shows this.
pub(crate) fn sleep_until_ns(monotonic: u64) {
    let until = Duration::from_nanos(monotonic).into();
    // Interrupted early is harmless: the caller looks at the clock again.
    clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::TIMER_ABSTIME,
        &until,
    )
    .ok();
}

/// Moves this thread, and what it starts from here on, into a network namespace of its own with a
/// loopback that is up. It goes away with the last process in it: nothing is left to remove.
///
/// # Errors
/// Not root, or a host that forbids namespaces.
pub(crate) fn enter_own_network() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("ip (package iproute2)")?;
    if !status.success() {
        bail!("ip link set lo up: {status}");
    }
    Ok(())
}

/// `Linux 6.18, 2 × AMD EPYC`: what the figures were taken on.
pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let count = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    format!("Linux {}, {count} x {model}", kernel.trim())
}
