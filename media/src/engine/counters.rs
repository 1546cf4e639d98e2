//! What a worker counts. Plain numbers of one thread; who publishes them is the shell's business.

use crate::drop_reason::DropCounters;

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
}

/// RTCP packets by what they were. A compound packet holds several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtcpCounters {
    /// Compound packets accepted.
    pub compounds_received: u64,
    /// Sender reports in them.
    pub sender_reports_received: u64,
    /// Receiver reports in them.
    pub receiver_reports_received: u64,
    /// Source descriptions in them.
    pub source_descriptions_received: u64,
    /// BYE packets in them: taken in, never passed on.
    pub byes_received: u64,
    /// Feedback in them: PLI, FIR, NACK, REMB, arrivals, others.
    pub feedback_received: u64,
    /// APP, XR and unknown packets in them.
    pub others_received: u64,
    /// Sender reports passed on, rewritten.
    pub sender_reports_sent: u64,
    /// Receiver reports of our own.
    pub receiver_reports_sent: u64,
    /// Feedback passed on, rewritten.
    pub feedback_sent: u64,
    /// Keyframe requests among it.
    pub keyframe_requests_sent: u64,
    /// Feedback that was not passed on, alone or beside what was.
    pub feedback_refused: u64,
    /// Keyframe requests among that which came too soon after another.
    pub keyframe_requests_limited: u64,
    /// BYE packets of our own.
    pub byes_sent: u64,
}
