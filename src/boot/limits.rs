//! How many calls this machine can carry: computed at start, with the name of what binds.

use std::ops::RangeInclusive;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use packet_io::PacketIoConfig;

use crate::config::{Config, MediaBackend};
use crate::shell::tcp::TcpLimits;

/// Descriptors that are not media: listeners, the database, logs, event descriptors.
pub const DESCRIPTORS_RESERVED: u64 = 1_000;
/// Connections of SIP that are within [`DESCRIPTORS_RESERVED`]; more take from the calls.
pub const CONNECTIONS_RESERVED: u64 = 512;
/// Legs of a call, each with a port pair.
const LEGS_A_CALL: u64 = 2;

/// The capacity of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once.
    pub calls_max: u32,
    /// What binds: `limits.calls_max`, `descriptors` or `media.ports`.
    pub binding: &'static str,
    /// Media workers.
    pub workers: u16,
    /// Port pairs of each worker, stock included.
    pub pairs_a_worker: u32,
    /// Port pairs that calls may hold for video, at two a call: what `calls_max` calls do not need for audio.
    pub video_pairs_max: u32,
    /// Ports of each worker, none twice.
    pub ports: Vec<RangeInclusive<u16>>,
}

/// Raises the soft limit of descriptors to the hard one; what it is then.
#[must_use]
pub fn raise_descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1_024;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// What this machine allows now.
#[must_use]
pub fn of_this_machine(config: &Config) -> Limits {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    derive(config, raise_descriptors(), cores)
}

/// Derives everything from the configuration, the descriptors and the cores.
#[must_use]
pub fn derive(config: &Config, descriptors: u64, cores: usize) -> Limits {
    let workers = match config.media.workers {
        0 => cores.saturating_sub(1).max(1),
        given => given,
    };
    let workers = u16::try_from(workers.min(crate::call::stock::WORKERS_MAX))
        .unwrap_or(1)
        .max(1);
    let ports = split(&config.media.ports, workers);
    let port_pairs: u64 = ports.iter().map(pairs_in).sum();
    let addresses = u64::try_from(config.media.addresses.len().max(1)).unwrap_or(1);
    let reserved = DESCRIPTORS_RESERVED
        + u64::from(config.sip.connections_max).saturating_sub(CONNECTIONS_RESERVED);
    let by_descriptors = descriptors.saturating_sub(reserved) / sockets_a_call(config);
    let by_ports = port_pairs * addresses / 2;
    let (calls, binding) = [
        (u64::from(config.limits.calls_max), "limits.calls_max"),
        (by_descriptors, "descriptors"),
        (by_ports, "media.ports"),
    ]
    .into_iter()
    .min_by_key(|(calls, _)| *calls)
    .unwrap_or((1, "descriptors"));
    let calls_max = u32::try_from(calls.max(1)).unwrap_or(u32::MAX);
    // What calls hold, what waits in stock, and as much again for ports that rest after a call.
    let wanted = u64::from(calls_max) * 4 / u64::from(workers) + 2 * u64::from(config.media.stock);
    let sockets = sockets_a_pair(config) * u64::from(workers);
    let allowed = descriptors.saturating_sub(reserved / 2) / sockets;
    let smallest = ports.iter().map(pairs_in).min().unwrap_or(1) * addresses;
    let pairs = wanted.min(allowed).min(smallest).max(2);
    // Video never costs a call: it has what is left when each call has its two pairs for audio.
    let for_audio = LEGS_A_CALL * u64::from(calls_max);
    let left = (pairs * u64::from(workers)).saturating_sub(for_audio);
    let video_pairs_max = u32::try_from(left.min(for_audio)).unwrap_or(u32::MAX);
    Limits {
        calls_max,
        binding,
        workers,
        pairs_a_worker: u32::try_from(pairs).unwrap_or(u32::MAX),
        video_pairs_max,
        ports,
    }
}

impl Limits {
    /// Calls at once that can have video.
    #[must_use]
    pub fn video_calls_max(&self) -> u32 {
        self.video_pairs_max / u32::try_from(LEGS_A_CALL).unwrap_or(2)
    }
}

/// Sockets that a call holds.
#[must_use]
pub fn sockets_a_call(config: &Config) -> u64 {
    LEGS_A_CALL * sockets_a_pair(config)
}

/// RTP, and RTCP where it has a port of its own.
fn sockets_a_pair(config: &Config) -> u64 {
    1 + u64::from(config.media.rtcp_ports)
}

/// What connections that peers open may be.
#[must_use]
pub const fn tcp(config: &Config) -> TcpLimits {
    TcpLimits {
        connections_max: config.sip.connections_max,
        connections_per_source_max: config.sip.connections_per_source_max,
    }
}

/// The kernel boundary of each worker.
#[must_use]
pub fn packet_io(config: &Config, limits: &Limits) -> PacketIoConfig {
    PacketIoConfig {
        sockets_max: limits
            .pairs_a_worker
            .saturating_mul(u32::try_from(sockets_a_pair(config)).unwrap_or(2))
            // The one for all browsers.
            .saturating_add(1),
        ladder_limit: match config.media.backend {
            MediaBackend::Auto | MediaBackend::IoUring => packet_io::KernelStep::Full,
            MediaBackend::Epoll => packet_io::KernelStep::Epoll,
        },
        ..PacketIoConfig::default()
    }
}

/// Equal parts that begin on an even port: RTP is even, RTCP the next (RFC 3550 §11).
fn split(ports: &RangeInclusive<u16>, parts: u16) -> Vec<RangeInclusive<u16>> {
    let first = u32::from(*ports.start()).next_multiple_of(2);
    let pairs = (u32::from(*ports.end()) + 1).saturating_sub(first) / 2;
    let each = (pairs / u32::from(parts)).max(1);
    (0..u32::from(parts))
        .filter_map(|part| {
            let start = first + part * each * 2;
            let end = start + each * 2 - 1;
            Some(u16::try_from(start).ok()?..=u16::try_from(end).ok()?)
        })
        .collect()
}

fn pairs_in(ports: &RangeInclusive<u16>) -> u64 {
    (u64::from(*ports.end()) + 1).saturating_sub(u64::from(*ports.start())) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(calls_max: u32) -> Config {
        let text = format!("[limits]\ncalls_max = {calls_max}\n");
        Config::parse(std::path::Path::new("test.toml"), &text).unwrap()
    }

    #[test]
    fn parts_of_the_port_range_begin_even_and_do_not_overlap() {
        let parts = split(&(10_001..=10_020), 3);
        assert_eq!(parts, [10_002..=10_007, 10_008..=10_013, 10_014..=10_019]);
        assert_eq!(split(&(10_000..=10_001), 1), [10_000..=10_001]);
    }

    #[test]
    fn the_smallest_limit_binds_and_is_named() {
        let by_setting = derive(&config(100), 20_000, 2);
        assert_eq!(
            (by_setting.calls_max, by_setting.binding),
            (100, "limits.calls_max")
        );
        let by_descriptors = derive(&config(100_000), 5_000, 2);
        assert_eq!(
            (by_descriptors.calls_max, by_descriptors.binding),
            (1_000, "descriptors")
        );
        let by_ports = derive(&config(100_000), 1_000_000, 2);
        assert_eq!(
            (by_ports.calls_max, by_ports.binding),
            (5_692, "media.ports")
        );
    }

    #[test]
    fn without_rtcp_ports_descriptors_carry_twice_as_many_calls() {
        let mut config = config(100_000);
        config.media.rtcp_ports = false;
        let limits = derive(&config, 5_000, 2);
        assert_eq!((limits.calls_max, limits.binding), (2_000, "descriptors"));
        let io = packet_io(&config, &limits);
        let for_browsers = 1;
        assert_eq!(io.sockets_max, limits.pairs_a_worker + for_browsers);
    }

    #[test]
    fn video_has_the_ports_that_calls_do_not_need_for_audio() {
        // As many as have audio, where nothing but the setting binds.
        let all = derive(&config(2_000), 100_000, 4);
        assert_eq!((all.calls_max, all.video_calls_max()), (2_000, 2_000));
        let some = derive(&config(4_000), 100_000, 2);
        assert_eq!((some.calls_max, some.video_calls_max()), (4_000, 1_692));
        let none = derive(&config(100_000), 1_000_000, 2);
        assert_eq!((none.binding, none.video_calls_max()), ("media.ports", 0));
        for limits in [all, some, none] {
            let pairs = limits.pairs_a_worker * u32::from(limits.workers);
            assert!(2 * limits.calls_max + limits.video_pairs_max <= pairs);
        }
    }

    #[test]
    fn one_core_still_gets_a_worker() {
        assert_eq!(derive(&config(10), 20_000, 1).workers, 1);
        assert_eq!(derive(&config(10), 20_000, 8).workers, 7);
    }
}
