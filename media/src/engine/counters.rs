//! What a worker counts. Plain numbers of one thread; who publishes them is the shell's business.

use crate::drop_reason::DropCounters;
use crate::engine::quality_counters::QualityCounters;
use crate::engine::rtcp_counters::RtcpCounters;
use crate::engine::transport::{FailureCounters, RefusalCounters, TransportCounters};

/// Counts since the start of one worker. Never reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerCounters {
    /// Datagrams taken from the kernel.
    pub packets_received: u64,
    /// RTP packets sent on.
    pub packets_sent: u64,
    /// Their octets, RTP header included.
    pub octets_sent: u64,
    /// Datagrams that died here, by reason.
    pub drops: DropCounters,
    /// RTCP, by kind.
    pub rtcp: RtcpCounters,
    /// Turns that found packets.
    pub turns_busy: u64,
    /// Of these, how many found so many packets.
    pub batches: BatchSizes,
    /// Legs connected.
    pub legs_connected: u64,
    /// Legs whose source was locked, or moved.
    pub latches: u64,
    /// Sockets connected to their peer.
    pub sockets_connected: u64,
    /// Legs reported as silent.
    pub legs_silent: u64,
    /// Port pairs opened for the stock.
    pub pairs_opened: u64,
    /// Ports that could not be bound and were passed over.
    pub ports_refused: u64,
    /// Times the stock was not filled for want of descriptors or memory.
    pub opens_refused: u64,
    /// Commands for a pair that is not what they take it for.
    pub commands_stale: u64,
    /// Panics that were caught around a turn.
    pub panics: u64,
    /// Packets of ours that found no buffer.
    pub buffers_missing: u64,
    /// What browsers' transports did.
    pub transport: TransportCounters,
    /// Checks of theirs that were not answered, by reason.
    pub checks_refused: RefusalCounters,
    /// Transports that came to nothing, by reason.
    pub transports_failed: FailureCounters,
    /// How what came by the legs that ended sounded.
    pub quality_received: QualityCounters,
    /// How what was sent by them did, as their peers reported.
    pub quality_sent: QualityCounters,
}

/// How many packets turns found together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchSizes([u64; BATCH_BOUNDS.len()]);

/// Upper bounds of the sizes that are told apart. A turn never takes more than the last.
pub const BATCH_BOUNDS: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

impl BatchSizes {
    /// One more turn, which found `packets`; one that found none counts nowhere.
    pub(super) fn count(&mut self, packets: usize) {
        let place = packets.next_power_of_two().trailing_zeros() as usize;
        let place = place.min(BATCH_BOUNDS.len() - 1);
        if packets > 0
            && let Some(count) = self.0.get_mut(place)
        {
            *count += 1;
        }
    }

    /// Each upper bound with the turns that found no more than that, and more than the one before.
    pub fn each(&self) -> impl Iterator<Item = (u32, u64)> {
        BATCH_BOUNDS.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_counts_once_and_by_its_size() {
        let mut sizes = BatchSizes::default();
        for packets in [0, 1, 2, 3, 4, 5, 512, 9_000] {
            sizes.count(packets);
        }
        let found: Vec<_> = sizes.each().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [(1, 1), (2, 1), (4, 2), (8, 1), (512, 2)]);
    }
}
