//! CPU time of threads and cores, from `/proc`.

use std::fs;

use nix::unistd::Pid;

/// One thread of a process, and how long it has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadTime {
    /// Its id.
    pub(crate) thread: Pid,
    /// Its name, at most 15 octets.
    pub(crate) name: String,
    /// Nanoseconds on a CPU (the scheduler's clock, not ticks).
    pub(crate) run_ns: u64,
}

/// All threads of a process. A thread that ends while being read is left out.
pub(crate) fn threads(process: u32) -> Vec<ThreadTime> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let thread = task.file_name().to_str()?.parse().ok().map(Pid::from_raw)?;
            let name = fs::read_to_string(task.path().join("comm"))
                .ok()?
                .trim()
                .to_owned();
            let run_ns = run_time(&fs::read_to_string(task.path().join("schedstat")).ok()?)?;
            Some(ThreadTime {
                thread,
                name,
                run_ns,
            })
        })
        .collect()
}

/// Nanoseconds that the threads with these ids have run.
pub(crate) fn run_ns(process: u32, selected: &[Pid]) -> u64 {
    selected
        .iter()
        .filter_map(|thread| {
            fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")).ok()
        })
        .filter_map(|text| run_time(&text))
        .sum()
}

/// Octets of a process that are in memory.
pub(crate) fn resident_octets(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn run_time(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Ticks of one core since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CoreTicks {
    total: u64,
    idle: u64,
}

impl CoreTicks {
    /// Reads them; zero for a core that `/proc/stat` does not show.
    pub(crate) fn read(core: usize) -> Self {
        fs::read_to_string("/proc/stat")
            .map(|text| Self::parse(&text, core))
            .unwrap_or_default()
    }

    fn parse(stat: &str, core: usize) -> Self {
        let label = format!("cpu{core} ");
        let Some(line) = stat.lines().find_map(|line| line.strip_prefix(&label)) else {
            return Self::default();
        };
        // user nice system idle iowait irq softirq steal; guest time is inside user.
        let ticks: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .filter_map(|value| value.parse().ok())
            .collect();
        Self {
            total: ticks.iter().sum(),
            idle: ticks.iter().skip(3).take(2).sum(),
        }
    }

    /// Share of the time since `earlier` that the core was busy.
    pub(crate) fn busy_since(self, earlier: Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total);
        let idle = self.idle.saturating_sub(earlier.idle);
        if total == 0 {
            0.0
        } else {
            1.0 - idle as f64 / total as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 0 20 60 10 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n";

    #[test]
    fn a_core_is_found_by_its_own_line() {
        assert_eq!(
            CoreTicks::parse(STAT, 0),
            CoreTicks {
                total: 100,
                idle: 70
            }
        );
        assert_eq!(CoreTicks::parse(STAT, 7), CoreTicks::default());
    }

    #[test]
    fn waiting_for_a_disk_is_not_busy() {
        let busy = CoreTicks::parse(STAT, 0).busy_since(CoreTicks::default());
        assert!((busy - 0.3).abs() < 1e-9, "{busy}");
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_octets(std::process::id()).is_some_and(|octets| octets > 4096));
    }

    #[test]
    fn this_process_has_a_thread_that_has_run() {
        assert!(
            threads(std::process::id())
                .iter()
                .any(|thread| thread.run_ns > 0)
        );
    }
}
