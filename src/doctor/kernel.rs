//! What the kernel gives us: the ring, descriptors, locked memory, socket buffers.

use nix::sys::resource::{Resource, getrlimit};

use super::{Finding, read};
use crate::boot::limits;
use crate::config::{Config, MediaBackend};

/// What a SIP socket asks for (a burst of INVITEs).
const RECEIVE_BUFFER_OCTETS: u64 = 4 << 20;
/// What sends want of the kernel.
const SEND_BUFFER_OCTETS: u64 = 1 << 18;
/// Rings and their buffers, where memory is counted against the limit (before Linux 5.12).
const LOCKED_OCTETS: u64 = 8 << 20;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let descriptors = limits::raise_descriptors();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let derived = limits::derive(config, descriptors, cores);
    let capacity = format!(
        "{} calls at once, bound by {}",
        derived.calls_max, derived.binding
    );
    let capacity = if derived.binding == "limits.calls_max" {
        Finding::good("capacity", capacity)
    } else {
        let advice = match derived.binding {
            "descriptors" => format!(
                "raise LimitNOFILE of the unit above {}: a call takes {}",
                descriptors,
                limits::sockets_a_call(config)
            ),
            _ => "widen media.ports, or add an address to media.addresses".to_owned(),
        };
        Finding::warning(
            "capacity",
            format!(
                "{capacity}; limits.calls_max wants {}",
                config.limits.calls_max
            ),
            advice,
        )
    };
    vec![
        ring(config, &derived),
        realtime(config.media.realtime, cores, may_be_realtime()),
        capacity,
        locked_memory(),
        buffer("rmem_max", RECEIVE_BUFFER_OCTETS),
        buffer("wmem_max", SEND_BUFFER_OCTETS),
    ]
}

fn ring(config: &Config, derived: &limits::Limits) -> Finding {
    let chosen = match packet_io::AnyPacketIo::choose(limits::packet_io(config, derived)) {
        Ok(chosen) => chosen,
        Err(refused) => {
            return Finding::bad(
                "io_uring",
                format!("neither a ring nor epoll: {refused}"),
                "see the error: usually descriptors or memory",
            );
        }
    };
    let step = chosen.step().as_str();
    match (chosen.ring_refused(), config.media.backend) {
        (Some(why), MediaBackend::IoUring) => Finding::bad(
            "io_uring",
            format!("refused ({why}), and media.backend demands it"),
            "media.backend = \"auto\", or allow io_uring: kernel.io_uring_disabled = 0, and in the \
             seccomp profile of the container",
        ),
        (Some(why), MediaBackend::Auto) => Finding::warning(
            "io_uring",
            format!("refused ({why}): media run on {step}"),
            "kernel.io_uring_disabled = 0, and allow it in the seccomp profile of the container",
        ),
        (Some(_), MediaBackend::Epoll) | (None, _) => Finding::good("io_uring", step),
    }
}

/// `media.realtime` needs a core beside the first, and the right to `SCHED_FIFO`.
fn realtime(is_wanted: bool, cores: usize, is_permitted: Option<bool>) -> Finding {
    if !is_wanted {
        return Finding::good("realtime", "not wanted");
    }
    if cores < 2 {
        return Finding::warning(
            "realtime",
            "one core only: media stays an ordinary thread",
            "media.realtime = false, or let the process use a second core",
        );
    }
    match is_permitted {
        Some(true) => Finding::good("realtime", "SCHED_FIFO is permitted"),
        Some(false) => Finding::warning(
            "realtime",
            "SCHED_FIFO is not permitted to who asks here: media keeps its core, as an ordinary thread",
            format!(
                "AmbientCapabilities=CAP_SYS_NICE in the unit, or LimitRTPRIO={}",
                packet_io::REALTIME_PRIORITY
            ),
        ),
        None => Finding::warning("realtime", "not known", ""),
    }
}

/// By capability, or by limit.
fn may_be_realtime() -> Option<bool> {
    /// `CAP_SYS_NICE` (capabilities(7)).
    const SYS_NICE: u64 = 1 << 23;
    let status = read("/proc/self/status")?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    let (soft, _) = getrlimit(Resource::RLIMIT_RTPRIO).ok()?;
    let by_limit = i32::try_from(soft).map_or(true, |soft| soft >= packet_io::REALTIME_PRIORITY);
    Some(effective & SYS_NICE != 0 || by_limit)
}

fn locked_memory() -> Finding {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_MEMLOCK) else {
        return Finding::warning("memlock", "not known", "");
    };
    if soft >= LOCKED_OCTETS {
        return Finding::good("memlock", format!("{} KiB", soft >> 10));
    }
    Finding::warning(
        "memlock",
        format!("{} KiB", soft >> 10),
        "LimitMEMLOCK=64M in the unit: kernels before 5.12 count rings against it",
    )
}

fn buffer(name: &'static str, wanted: u64) -> Finding {
    let given = read(&format!("/proc/sys/net/core/{name}"));
    let Some(given) = given.and_then(|text| text.parse::<u64>().ok()) else {
        return Finding::warning(name, "not to be seen here", "");
    };
    if given >= wanted {
        return Finding::good(name, given.to_string());
    }
    Finding::warning(
        name,
        format!("{given} octets; we ask for {wanted}"),
        format!("sysctl -w net.core.{name}={wanted}: bursts are lost below it"),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Grade;
    use super::*;

    #[test]
    fn realtime_that_would_be_refused_is_said_before_the_node_starts() {
        assert_eq!(realtime(false, 1, Some(false)).grade, Grade::Good);
        assert_eq!(realtime(true, 2, Some(true)).grade, Grade::Good);
        let refused = realtime(true, 2, Some(false));
        assert_eq!(refused.grade, Grade::Warning);
        assert!(refused.advice.contains("CAP_SYS_NICE"), "{refused:?}");
        assert!(refused.advice.contains("LimitRTPRIO=10"), "{refused:?}");
        let alone = realtime(true, 1, Some(true));
        assert!(alone.found.contains("one core only"), "{alone:?}");
        assert!(may_be_realtime().is_some(), "this machine can say it");
        let text = "[media]\nrealtime = true\n";
        let config = Config::parse(Path::new("test.toml"), text).unwrap();
        let looked_at = examine(&config);
        let looked_at = looked_at.iter().find(|found| found.check == "realtime");
        assert_ne!(looked_at.unwrap().found, "not wanted");
    }

    #[test]
    fn what_bounds_the_calls_is_named_with_a_remedy() {
        let text = "[limits]\ncalls_max = 100000\n[media]\nports = \"10000-10007\"\n";
        let config = Config::parse(Path::new("test.toml"), text).unwrap();
        let findings = examine(&config);
        let capacity = findings.iter().find(|finding| finding.check == "capacity");
        let capacity = capacity.unwrap();
        assert_eq!(capacity.grade, Grade::Warning);
        assert!(capacity.advice.contains("media."), "{capacity:?}");
    }
}
