//! `RtcpCounters`: RTCP packets by what they were.

packet_io::counters! {
    /// RTCP packets by what they were. A compound packet holds several.
    pub struct RtcpCounters;

    /// Compound packets accepted.
    compounds_received,
    /// Sender reports in them.
    sender_reports_received,
    /// Receiver reports in them.
    receiver_reports_received,
    /// Source descriptions in them.
    source_descriptions_received,
    /// BYE packets in them: taken in, never passed on.
    byes_received,
    /// Feedback in them: PLI, FIR, NACK, REMB, arrivals, others.
    feedback_received,
    /// APP, XR and unknown packets in them.
    others_received,
    /// Sender reports passed on, rewritten.
    sender_reports_sent,
    /// Receiver reports of our own.
    receiver_reports_sent,
    /// Feedback passed on, rewritten.
    feedback_sent,
    /// Keyframe requests among it.
    keyframe_requests_sent,
    /// Feedback that was not passed on, alone or beside what was.
    feedback_refused,
    /// Keyframe requests among that which came too soon after another.
    keyframe_requests_limited,
    /// BYE packets of our own.
    byes_sent,
}
