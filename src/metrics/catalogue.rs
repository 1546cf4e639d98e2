//! Every metric, once: its name, kind, unit, help and labels. `sluice metrics` prints this list.
//!
//! Names have base units (seconds, bytes). A label takes words of ours, a worker's number or a
//! trunk: never a number that was dialled, a name or an address of a caller.

/// What every name begins with.
pub const PREFIX: &str = "sluice";

/// What a figure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Kind {
    /// The word of the exposition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a figure is in, where it is no mere count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Octets.
    Bytes,
}

impl Unit {
    /// The last word of the name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Without prefix, unit and `_total`.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What it is in.
    pub unit: Option<Unit>,
    /// One line for people.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// As the exposition writes it.
    #[must_use]
    pub fn full_name(&self) -> String {
        let unit = self
            .unit
            .map_or(String::new(), |unit| format!("_{}", unit.as_str()));
        let total = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{PREFIX}_{}{unit}{total}", self.name)
    }

    const fn by(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    const fn in_unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }
}

const fn metric(kind: Kind, name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind,
        unit: None,
        help,
        labels: &[],
    }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    metric(Kind::Counter, name, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    metric(Kind::Gauge, name, help)
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    metric(Kind::Histogram, name, help)
}

// Calls.

/// INVITEs outside a dialog from a known source.
pub static CALLS_OFFERED: Metric = counter(
    "calls_offered",
    "INVITEs outside a dialog from a known source",
);
/// Calls that were answered.
pub static CALLS_ANSWERED: Metric = counter("calls_answered", "Calls that were answered");
/// Calls that ended, by the cause of their CDR.
pub static CALLS_ENDED: Metric =
    counter("calls_ended", "Calls that ended, by the cause of their CDR").by(&["cause"]);
/// Calls that the node itself refused or ended, by cause.
pub static CALLS_REFUSED: Metric = counter(
    "calls_refused",
    "Calls that the node itself refused or ended, by cause",
)
.by(&["cause"]);
/// Calls that were placed by order.
pub static CALLS_PLACED: Metric = counter("calls_placed", "Calls that were placed by order");
/// Calls that guests' browsers wanted.
pub static CALLS_OF_GUESTS: Metric =
    counter("calls_of_guests", "Calls that guests' browsers wanted");
/// Calls up or being set up.
pub static CALLS_ACTIVE: Metric = gauge("calls_active", "Calls up or being set up");
/// Calls at once; what binds stands in the label.
pub static CALLS_MAX: Metric = gauge(
    "calls_max",
    "Calls at once; what binds stands in the label (limits.calls_max, descriptors or media.ports)",
)
.by(&["bound_by"]);
/// Calls at once that can have video.
pub static VIDEO_CALLS_MAX: Metric = gauge(
    "video_calls_max",
    "Calls at once that can have video: with the port pairs that calls_max calls do not need for audio",
);
/// New calls a second; more are answered 503 without any work.
pub static CALLS_PER_SECOND_MAX: Metric = gauge(
    "calls_per_second_max",
    "New calls a second; more are answered 503 without any work",
);
/// Attempts that were dialled.
pub static ATTEMPTS: Metric = counter("attempts", "Attempts that were dialled");
/// Attempts that ended, by the outcome of their CDR.
pub static ATTEMPTS_ENDED: Metric = counter(
    "attempts_ended",
    "Attempts that ended, by the outcome of their CDR",
)
.by(&["outcome"]);
/// Attempts dialled on each trunk.
pub static TRUNK_ATTEMPTS: Metric =
    counter("trunk_attempts", "Attempts dialled on each trunk").by(&["trunk", "label"]);
/// Calls on each trunk now, both directions.
pub static TRUNK_CALLS: Metric =
    gauge("trunk_calls", "Calls on each trunk now, both directions").by(&["trunk", "label"]);
/// Cap of each trunk that has one, both directions.
pub static TRUNK_CALLS_MAX: Metric = gauge(
    "trunk_calls_max",
    "Cap of each trunk that has one, both directions",
)
.by(&["trunk", "label"]);
/// Addresses of each trunk.
pub static TRUNK_TARGETS: Metric =
    gauge("trunk_targets", "Addresses of each trunk").by(&["trunk", "label"]);
/// Addresses of each trunk that are not known to be down.
pub static TRUNK_TARGETS_UP: Metric = gauge(
    "trunk_targets_up",
    "Addresses of each trunk that are not known to be down",
)
.by(&["trunk", "label"]);
/// Attempts that the fraud guard judged: allowed, or the reason of the refusal.
pub static GUARD_VERDICTS: Metric = counter(
    "guard_verdicts",
    "Attempts that the fraud guard judged: allowed, or the reason of the refusal",
)
.by(&["reason"]);
/// Commands to the SIP core that came after the end of their call.
pub static COMMANDS_DECLINED: Metric = counter(
    "commands_declined",
    "Commands to the SIP core that came after the end of their call",
);
/// Orders and questions to call control that were refused, by reason.
pub static COMMANDS_REFUSED: Metric = counter(
    "commands_refused",
    "Orders and questions to call control that were refused, by reason",
)
.by(&["reason"]);
/// SIP messages kept for whoever looks at a call.
pub static LADDER_BYTES: Metric =
    gauge("ladder", "SIP messages kept for whoever looks at a call").in_unit(Unit::Bytes);
/// SIP messages let go of before their time, for want of room.
pub static LADDER_MESSAGES_DROPPED: Metric = counter(
    "ladder_messages_dropped",
    "SIP messages let go of before their time, for want of room",
);
// SIP.

/// SIP requests received, repetitions included, by method.
pub static REQUESTS_RECEIVED: Metric = counter(
    "sip_requests_received",
    "SIP requests received, repetitions included, by method",
)
.by(&["method"]);
/// SIP requests sent, repetitions included, by method.
pub static REQUESTS_SENT: Metric = counter(
    "sip_requests_sent",
    "SIP requests sent, repetitions included, by method",
)
.by(&["method"]);
/// SIP responses received, repetitions included, by status.
pub static RESPONSES_RECEIVED: Metric = counter(
    "sip_responses_received",
    "SIP responses received, repetitions included, by status",
)
.by(&["status"]);
/// SIP responses sent, repetitions included, by status.
pub static RESPONSES_SENT: Metric = counter(
    "sip_responses_sent",
    "SIP responses sent, repetitions included, by status",
)
.by(&["status"]);
/// SIP messages sent again, because of a timer or a repetition of the peer.
pub static MESSAGES_REPEATED: Metric = counter(
    "sip_messages_repeated",
    "SIP messages sent again, because of a timer or a repetition of the peer",
);
/// Turns of the SIP endpoint that a panic cut short; each cost one call at most.
pub static TURNS_CUT_SHORT: Metric = counter(
    "sip_turns_cut_short",
    "Turns of the SIP endpoint that a panic cut short; each cost one call at most",
);
/// SIP messages that no call saw, by reason.
pub static MESSAGES_DROPPED: Metric = counter(
    "sip_messages_dropped",
    "SIP messages that no call saw, by reason",
)
.by(&["reason"]);
/// SIP messages that the kernel did not take.
pub static SENDS_FAILED: Metric = counter(
    "sip_sends_failed",
    "SIP messages that the kernel did not take",
);
/// Turns of the signalling thread that gathered messages for a while.
pub static TURNS_GATHERED: Metric = counter(
    "sip_turns_gathered",
    "Turns of the signalling thread that gathered messages for a while",
);
/// Links that calls asked for and that were known without the database.
pub static LINKS_KNOWN: Metric = counter(
    "links_known",
    "Links that calls asked for and that were known without the database",
);
/// Datagrams of sources that no policy knows; not parsed, not answered.
pub static UNKNOWN_SOURCE: Metric = counter(
    "sip_unknown_source",
    "Datagrams of sources that no policy knows; not parsed, not answered",
);
/// Entries of each table of the SIP core.
pub static TABLE_USED: Metric =
    gauge("sip_table_used", "Entries of each table of the SIP core").by(&["table"]);
/// Bound of each table of the SIP core.
pub static TABLE_MAX: Metric =
    gauge("sip_table_max", "Bound of each table of the SIP core").by(&["table"]);
/// Requests of ours that were sent without a transaction, because the table was full.
pub static WITHOUT_TRANSACTION: Metric = counter(
    "sip_sent_without_transaction",
    "Requests of ours that were sent without a transaction, because the table was full",
);
/// SIP connections that are open.
pub static TCP_CONNECTIONS: Metric = gauge("sip_tcp_connections", "SIP connections that are open");
/// SIP connections that peers may open.
pub static TCP_CONNECTIONS_MAX: Metric = gauge(
    "sip_tcp_connections_max",
    "SIP connections that peers may open",
);
/// SIP connections that peers opened.
pub static TCP_ACCEPTED: Metric = counter("sip_tcp_accepted", "SIP connections that peers opened");
/// SIP connections that we opened.
pub static TCP_CONNECTED: Metric = counter("sip_tcp_connected", "SIP connections that we opened");
/// SIP connections that ended or were not made, by reason.
pub static TCP_ENDED: Metric = counter(
    "sip_tcp_ended",
    "SIP connections that ended or were not made, by reason",
)
.by(&["reason"]);
/// Keep-alives of peers that were answered.
pub static TCP_PINGS_ANSWERED: Metric = counter(
    "sip_tcp_pings_answered",
    "Keep-alives of peers that were answered",
);
/// Keep-alives of ours.
pub static TCP_PINGS_SENT: Metric = counter("sip_tcp_pings_sent", "Keep-alives of ours");

// Media.

/// Datagrams taken from the kernel.
pub static MEDIA_PACKETS_RECEIVED: Metric =
    counter("media_packets_received", "Datagrams taken from the kernel").by(&["worker"]);
/// RTP packets sent on.
pub static MEDIA_PACKETS_SENT: Metric =
    counter("media_packets_sent", "RTP packets sent on").by(&["worker"]);
/// RTP octets sent on, header included.
pub static MEDIA_SENT: Metric = counter("media_sent", "RTP octets sent on, header included")
    .in_unit(Unit::Bytes)
    .by(&["worker"]);
/// Datagrams that were not sent on, by reason.
pub static MEDIA_PACKETS_DROPPED: Metric = counter(
    "media_packets_dropped",
    "Datagrams that were not sent on, by reason",
)
.by(&["worker", "reason"]);
/// What browsers' transports did.
pub static MEDIA_TRANSPORTS: Metric =
    counter("media_transports", "What browsers' transports did").by(&["worker", "event"]);
/// Checks of ICE that were not answered, by reason.
pub static MEDIA_CHECKS_REFUSED: Metric = counter(
    "media_checks_refused",
    "Checks of ICE that were not answered, by reason",
)
.by(&["worker", "reason"]);
/// Browsers' transports that came to nothing, by reason.
pub static MEDIA_TRANSPORTS_FAILED: Metric = counter(
    "media_transports_failed",
    "Browsers' transports that came to nothing, by reason",
)
.by(&["worker", "reason"]);
/// RTCP packets, by what they were.
pub static MEDIA_RTCP: Metric =
    counter("media_rtcp", "RTCP packets, by what they were").by(&["worker", "kind"]);
/// How the legs that ended sounded.
pub static MEDIA_QUALITY: Metric = counter(
    "media_quality",
    "Legs that ended, by how their packets came: up to the label, more than the one before",
)
.by(&["worker", "direction", "measure", "up_to"]);
/// Packets of ours that found no buffer.
pub static MEDIA_BUFFERS_MISSING: Metric = counter(
    "media_buffers_missing",
    "Packets of ours that found no buffer",
)
.by(&["worker"]);
/// Turns that found packets.
pub static MEDIA_TURNS: Metric =
    counter("media_turns_busy", "Turns that found packets").by(&["worker"]);
/// Turns that found packets, by how many: up to the label, more than the one before.
pub static MEDIA_BATCHES: Metric = counter(
    "media_batches",
    "Turns that found packets, by how many: up to the label, more than the one before",
)
.by(&["worker", "packets"]);
/// Packets that a worker waits for together at the present rate.
pub static MEDIA_WANT: Metric = gauge(
    "media_want",
    "Packets that a worker waits for together at the present rate",
)
.by(&["worker"]);
/// What the kernel boundary of a worker counted: system calls, wake-ups, packets lost there.
pub static MEDIA_KERNEL: Metric = counter(
    "media_kernel",
    "What the kernel boundary of a worker counted: kernel_entries are its system calls",
)
.by(&["worker", "event"]);
/// How late a worker was at work that was due.
pub static MEDIA_LATENESS: Metric = histogram(
    "media_lateness",
    "How late a worker was at work that was due",
)
.in_unit(Unit::Seconds)
.by(&["worker"]);
/// Legs connected.
pub static MEDIA_LEGS: Metric = counter("media_legs_connected", "Legs connected").by(&["worker"]);
/// Legs whose source was locked, or moved.
pub static MEDIA_LATCHES: Metric =
    counter("media_latches", "Legs whose source was locked, or moved").by(&["worker"]);
/// Sockets connected to their peer.
pub static MEDIA_SOCKETS_CONNECTED: Metric =
    counter("media_sockets_connected", "Sockets connected to their peer").by(&["worker"]);
/// Legs that fell silent for longer than `media.timeout_s`.
pub static MEDIA_SILENT: Metric = counter(
    "media_legs_silent",
    "Legs that fell silent for longer than media.timeout_s",
)
.by(&["worker"]);
/// Port pairs opened for the stock.
pub static MEDIA_PAIRS_OPENED: Metric =
    counter("media_pairs_opened", "Port pairs opened for the stock").by(&["worker"]);
/// Ports that could not be bound and were passed over.
pub static MEDIA_PORTS_REFUSED: Metric = counter(
    "media_ports_refused",
    "Ports that could not be bound and were passed over",
)
.by(&["worker"]);
/// Times the stock was not filled for want of descriptors or memory.
pub static MEDIA_OPENS_REFUSED: Metric = counter(
    "media_opens_refused",
    "Times the stock was not filled for want of descriptors or memory",
)
.by(&["worker"]);
/// Commands for a pair that is not what they took it for.
pub static MEDIA_COMMANDS_STALE: Metric = counter(
    "media_commands_stale",
    "Commands for a pair that is not what they took it for",
)
.by(&["worker"]);
/// Port pairs open for calls to come.
pub static MEDIA_STOCK: Metric =
    gauge("media_pairs_stock", "Port pairs open for calls to come").by(&["worker"]);
/// Port pairs that a worker may have.
pub static MEDIA_PAIRS_MAX: Metric =
    gauge("media_pairs_max", "Port pairs that a worker may have").by(&["worker"]);
/// Port pairs that calls hold, all workers.
pub static MEDIA_PAIRS_TAKEN: Metric = gauge(
    "media_pairs_taken",
    "Port pairs that calls hold, all workers",
);
/// Port pairs that signalling has in stock, all workers.
pub static MEDIA_PAIRS_AVAILABLE: Metric = gauge(
    "media_pairs_available",
    "Port pairs that signalling has in stock, all workers",
);
/// 1 for how packets meet the kernel.
pub static MEDIA_IO: Metric = gauge(
    "media_io",
    "1 for how packets meet the kernel: uring, uring_no_min_wait or epoll",
)
.by(&["step"]);
// Queues between threads.

/// What waits between two threads.
pub static QUEUE_USED: Metric =
    gauge("queue_used", "What waits between two threads").by(&["queue"]);
/// How much may wait there.
pub static QUEUE_MAX: Metric = gauge("queue_max", "How much may wait there").by(&["queue"]);
// Storage and CDRs.

/// Time of one write transaction, waiting for the disk included.
pub static STORAGE_WRITE: Metric = histogram(
    "storage_write",
    "Time of one write transaction, waiting for the disk included",
)
.in_unit(Unit::Seconds);
/// 1 while the database takes no call records.
pub static STORAGE_FAILING: Metric = gauge(
    "storage_failing",
    "1 while the database takes no call records",
);
/// Writes of call records that the database did not take.
pub static STORAGE_FAILURES: Metric = counter(
    "storage_failures",
    "Writes of call records that the database did not take",
);
/// Call records that the database has.
pub static RECORDS_WRITTEN: Metric =
    counter("cdr_records_written", "Call records that the database has");
/// Call records that the database refused for good.
pub static RECORDS_REFUSED: Metric = counter(
    "cdr_records_refused",
    "Call records that the database refused for good",
);
/// Call records that were lost, because storage stood still and the spool was full.
pub static RECORDS_LOST: Metric = counter(
    "cdr_records_lost",
    "Call records that were lost, because storage stood still and the spool was full",
);
/// Call records in the spool.
pub static SPOOL_RECORDS: Metric = gauge("cdr_spool_records", "Call records in the spool");
/// Octets of the spool.
pub static SPOOL_USED: Metric = gauge("cdr_spool_used", "Octets of the spool").in_unit(Unit::Bytes);
/// Octets that the spool may have.
pub static SPOOL_MAX: Metric =
    gauge("cdr_spool_max", "Octets that the spool may have").in_unit(Unit::Bytes);
/// Calls written to the files of cdr.folder.
pub static EXPORTED: Metric = counter("cdr_exported", "Calls written to the files of cdr.folder");
/// Calls that could not be written to the files of cdr.folder.
pub static EXPORT_FAILURES: Metric = counter(
    "cdr_export_failures",
    "Calls that could not be written to the files of cdr.folder",
);
// HTTP.

/// HTTP requests answered, by the first digit of the status.
pub static HTTP_REQUESTS: Metric = counter(
    "http_requests",
    "HTTP requests answered, by the first digit of the status",
)
.by(&["status"]);
/// HTTP connections now.
pub static HTTP_CONNECTIONS: Metric = gauge("http_connections", "HTTP connections now");
/// HTTP connections closed at once, by reason.
pub static HTTP_CONNECTIONS_REFUSED: Metric = counter(
    "http_connections_refused",
    "HTTP connections closed at once, by reason",
)
.by(&["reason"]);
/// TLS handshakes of HTTPS that failed, or took too long.
pub static HTTPS_HANDSHAKES_FAILED: Metric = counter(
    "https_handshakes_failed",
    "TLS handshakes of HTTPS that failed, or took too long",
);
/// When the certificate that https.listen shows ends, since 1970.
pub static HTTPS_CERTIFICATE_END: Metric = gauge(
    "https_certificate_end",
    "When the certificate that https.listen shows ends, since 1970",
)
.in_unit(Unit::Seconds);
/// Certificates that were asked of an authority and not given.
pub static ACME_ORDERS_FAILED: Metric = counter(
    "acme_orders_failed",
    "Certificates that were asked of https.acme_directory and not given",
);
/// Tokens that were not looked at, by reason.
pub static HTTP_TOKENS_REFUSED: Metric = counter(
    "http_tokens_refused",
    "Tokens that were not looked at, by reason: token_in_the_clear came by HTTP though there is HTTPS",
)
.by(&["reason"]);
/// WebSocket connections of guests now.
pub static GUEST_CONNECTIONS: Metric = gauge("guest_connections", "WebSockets of guests now");
/// Pages given out from which a call can be made.
pub static GUEST_PAGES: Metric = counter(
    "guest_pages",
    "Pages given out from which a call can be made",
);
/// Calls of guests that went on over another WebSocket.
pub static GUEST_RESUMED: Metric = counter(
    "guest_resumed",
    "Calls of guests that went on over another WebSocket",
);
/// Pages, WebSockets and frames of guests refused, by reason.
pub static GUEST_REFUSED: Metric = counter(
    "guest_refused",
    "Pages, WebSockets and frames of guests refused, by reason",
)
.by(&["reason"]);
/// HTTP connections at once on each listener.
pub static HTTP_CONNECTIONS_MAX: Metric = gauge(
    "http_connections_max",
    "HTTP connections at once on each listener",
);
// The node.

/// 1; the version stands in the label.
pub static BUILD: Metric = gauge("build", "1; the version stands in the label").by(&["version"]);
/// 1 for what the node does: starting, ready, draining or stopping.
pub static PHASE: Metric = gauge(
    "phase",
    "1 for what the node does: starting, ready, draining or stopping",
)
.by(&["phase"]);
/// Time since each thread last turned.
pub static HEART_AGE: Metric = gauge("heart_age", "Time since each thread last turned")
    .in_unit(Unit::Seconds)
    .by(&["thread"]);
/// Panics that were caught around a turn.
pub static PANICS: Metric = counter("panics", "Panics that were caught around a turn");
/// Configuration files read again: done or refused.
pub static RELOADS: Metric =
    counter("reloads", "Configuration files read again: done or refused").by(&["outcome"]);
/// Log lines written, by level.
pub static LOG_LINES: Metric = counter("log_lines", "Log lines written, by level").by(&["level"]);
/// Log lines left out, because the same came too often.
pub static LOG_SUPPRESSED: Metric = counter(
    "log_lines_suppressed",
    "Log lines left out, because the same came too often",
);
/// Log lines that could not be written.
pub static LOG_LOST: Metric = counter("log_lines_lost", "Log lines that could not be written");
/// Messages copied to the HEP collector.
pub static CAPTURE_SENT: Metric =
    counter("hep_packets_sent", "Messages copied to the HEP collector");
/// Messages that the HEP collector did not take.
pub static CAPTURE_DROPPED: Metric = counter(
    "hep_packets_dropped",
    "Messages that the HEP collector did not take",
);
/// Memory of the process.
pub static PROCESS_RESIDENT: Metric =
    gauge("process_resident", "Memory of the process").in_unit(Unit::Bytes);
/// Processor time of the process.
pub static PROCESS_CPU: Metric =
    counter("process_cpu", "Processor time of the process").in_unit(Unit::Seconds);
/// Open descriptors.
pub static PROCESS_DESCRIPTORS: Metric = gauge("process_descriptors", "Open descriptors");
/// Descriptors that the process may have.
pub static PROCESS_DESCRIPTORS_MAX: Metric = gauge(
    "process_descriptors_max",
    "Descriptors that the process may have",
);
/// Threads.
pub static PROCESS_THREADS: Metric = gauge("process_threads", "Threads");
/// When the process started, since 1970.
pub static PROCESS_START: Metric =
    gauge("process_start", "When the process started, since 1970").in_unit(Unit::Seconds);

/// All, in the order of the exposition.
pub static ALL: &[&Metric] = &[
    &CALLS_OFFERED,
    &CALLS_PLACED,
    &CALLS_OF_GUESTS,
    &CALLS_ANSWERED,
    &CALLS_ENDED,
    &CALLS_REFUSED,
    &CALLS_ACTIVE,
    &CALLS_MAX,
    &VIDEO_CALLS_MAX,
    &CALLS_PER_SECOND_MAX,
    &ATTEMPTS,
    &ATTEMPTS_ENDED,
    &TRUNK_ATTEMPTS,
    &TRUNK_CALLS,
    &TRUNK_CALLS_MAX,
    &TRUNK_TARGETS,
    &TRUNK_TARGETS_UP,
    &GUARD_VERDICTS,
    &COMMANDS_DECLINED,
    &COMMANDS_REFUSED,
    &LADDER_BYTES,
    &LADDER_MESSAGES_DROPPED,
    &REQUESTS_RECEIVED,
    &REQUESTS_SENT,
    &RESPONSES_RECEIVED,
    &RESPONSES_SENT,
    &MESSAGES_REPEATED,
    &TURNS_CUT_SHORT,
    &MESSAGES_DROPPED,
    &SENDS_FAILED,
    &TURNS_GATHERED,
    &LINKS_KNOWN,
    &UNKNOWN_SOURCE,
    &TABLE_USED,
    &TABLE_MAX,
    &WITHOUT_TRANSACTION,
    &TCP_CONNECTIONS,
    &TCP_CONNECTIONS_MAX,
    &TCP_ACCEPTED,
    &TCP_CONNECTED,
    &TCP_ENDED,
    &TCP_PINGS_ANSWERED,
    &TCP_PINGS_SENT,
    &MEDIA_PACKETS_RECEIVED,
    &MEDIA_PACKETS_SENT,
    &MEDIA_SENT,
    &MEDIA_PACKETS_DROPPED,
    &MEDIA_TRANSPORTS,
    &MEDIA_CHECKS_REFUSED,
    &MEDIA_TRANSPORTS_FAILED,
    &MEDIA_RTCP,
    &MEDIA_QUALITY,
    &MEDIA_BUFFERS_MISSING,
    &MEDIA_TURNS,
    &MEDIA_BATCHES,
    &MEDIA_WANT,
    &MEDIA_KERNEL,
    &MEDIA_LATENESS,
    &MEDIA_LEGS,
    &MEDIA_LATCHES,
    &MEDIA_SOCKETS_CONNECTED,
    &MEDIA_SILENT,
    &MEDIA_PAIRS_OPENED,
    &MEDIA_PORTS_REFUSED,
    &MEDIA_OPENS_REFUSED,
    &MEDIA_COMMANDS_STALE,
    &MEDIA_STOCK,
    &MEDIA_PAIRS_MAX,
    &MEDIA_PAIRS_TAKEN,
    &MEDIA_PAIRS_AVAILABLE,
    &MEDIA_IO,
    &QUEUE_USED,
    &QUEUE_MAX,
    &STORAGE_WRITE,
    &STORAGE_FAILING,
    &STORAGE_FAILURES,
    &RECORDS_WRITTEN,
    &RECORDS_REFUSED,
    &RECORDS_LOST,
    &SPOOL_RECORDS,
    &SPOOL_USED,
    &SPOOL_MAX,
    &EXPORTED,
    &EXPORT_FAILURES,
    &HTTP_REQUESTS,
    &HTTP_CONNECTIONS,
    &HTTP_CONNECTIONS_REFUSED,
    &HTTPS_HANDSHAKES_FAILED,
    &HTTPS_CERTIFICATE_END,
    &ACME_ORDERS_FAILED,
    &HTTP_TOKENS_REFUSED,
    &GUEST_CONNECTIONS,
    &GUEST_PAGES,
    &GUEST_RESUMED,
    &GUEST_REFUSED,
    &HTTP_CONNECTIONS_MAX,
    &BUILD,
    &PHASE,
    &HEART_AGE,
    &PANICS,
    &RELOADS,
    &LOG_LINES,
    &LOG_SUPPRESSED,
    &LOG_LOST,
    &CAPTURE_SENT,
    &CAPTURE_DROPPED,
    &PROCESS_RESIDENT,
    &PROCESS_CPU,
    &PROCESS_DESCRIPTORS,
    &PROCESS_DESCRIPTORS_MAX,
    &PROCESS_THREADS,
    &PROCESS_START,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words_and_each_is_there_once() {
        for (index, metric) in ALL.iter().enumerate() {
            let plain = |text: &str| {
                text.bytes()
                    .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
            };
            assert!(plain(metric.name), "{}", metric.name);
            assert!(metric.labels.iter().all(|label| plain(label)));
            assert!(!metric.name.ends_with("_total") && !metric.help.ends_with('.'));
            let before = ALL.iter().take(index);
            assert!(
                !before.clone().any(|other| other.name == metric.name),
                "{} twice",
                metric.name
            );
        }
    }

    #[test]
    fn no_label_can_name_a_person() {
        let known = [
            "bound_by",
            "cause",
            "direction",
            "event",
            "kind",
            "label",
            "level",
            "measure",
            "method",
            "outcome",
            "phase",
            "queue",
            "packets",
            "reason",
            "status",
            "step",
            "table",
            "thread",
            "trunk",
            "up_to",
            "version",
            "worker",
        ];
        for metric in ALL {
            for label in metric.labels {
                assert!(known.contains(label), "{}: {label}", metric.name);
            }
        }
    }

    #[test]
    fn a_full_name_ends_with_its_unit_and_counters_with_total() {
        assert_eq!(PROCESS_CPU.full_name(), "sluice_process_cpu_seconds_total");
        assert_eq!(CALLS_ACTIVE.full_name(), "sluice_calls_active");
    }
}
