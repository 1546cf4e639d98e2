//! What the kernel says of this process (`proc(5)`).

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// Memory, processor, descriptors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: u64,
    pub(crate) cpu_s: f64,
    pub(crate) descriptors: u64,
    pub(crate) descriptors_max: u64,
    pub(crate) threads: u64,
    /// Since 1970.
    pub(crate) start_s: f64,
}

impl Process {
    /// As it is now; what the kernel does not say stays zero.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in brackets may hold anything: fields are counted from the last one.
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let page = configured(SysconfVar::PAGE_SIZE);
        let ticks = configured(SysconfVar::CLK_TCK).max(1);
        let started = field(FIELD_START_TIME).unwrap_or(0);
        let boot = boot_time_s();
        Self {
            resident_bytes: field(FIELD_RESIDENT_PAGES).unwrap_or(0) * page,
            cpu_s: cpu_s(),
            descriptors: entries("/proc/self/fd"),
            descriptors_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
            threads: field(FIELD_THREADS).unwrap_or(0),
            start_s: boot + real(started) / real(ticks),
        }
    }
}

fn cpu_s() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

fn boot_time_s() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines()
        .find_map(|line| line.strip_prefix("btime ")?.parse().ok())
        .unwrap_or(0.0)
}

/// Entries of a folder, less the descriptor that reads it.
fn entries(folder: &str) -> u64 {
    let count = fs::read_dir(folder).map_or(0, Iterator::count);
    u64::try_from(count).unwrap_or(0).saturating_sub(1)
}

fn configured(what: SysconfVar) -> u64 {
    let value = sysconf(what).ok().flatten();
    value
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "clock ticks since boot are far below 2^52"
)]
const fn real(value: u64) -> f64 {
    value as f64
}

const FIELD_THREADS: usize = 20;
const FIELD_START_TIME: usize = 22;
const FIELD_RESIDENT_PAGES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let process = Process::now();
        assert!(process.resident_bytes > 100_000, "{process:?}");
        assert!(process.descriptors >= 3 && process.descriptors_max >= process.descriptors);
        assert!(process.threads >= 1 && process.start_s > 1e9, "{process:?}");
    }
}
