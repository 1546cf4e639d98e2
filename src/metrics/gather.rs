//! Takes the figures from where they are counted. One function for each part of the node.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use media::command::TransportFailure;
use media::drop_reason::DropReason;
use media::ice::Refusal;

use super::catalogue as c;
use super::process::Process;
use super::samples::Samples;
use crate::cdr::spool::SPOOL_OCTETS_MAX;
use crate::health::{Node, Phase};
use crate::shell::media_link::{self, MediaStatus};
use crate::shell::signalling::{self, Status};
use crate::storage::{JOBS_QUEUE_MAX, RECORDS_QUEUE_MAX, Store};

/// Everything that a node counts.
#[must_use]
pub fn node(node: &Node, now: Instant) -> Samples {
    let mut to = Samples::default();
    let parts = &node.parts;
    let limits = &parts.limits;
    to.whole(
        &c::CALLS_MAX,
        &[limits.binding],
        u64::from(limits.calls_max),
    );
    let with_video = u64::from(limits.video_calls_max());
    to.whole(&c::VIDEO_CALLS_MAX, &[], with_video);
    to.whole(
        &c::CALLS_PER_SECOND_MAX,
        &[],
        u64::from(parts.calls_per_second_max),
    );
    calls(&parts.signalling, &mut to);
    messages(&parts.signalling, &mut to);
    connections(node, &mut to);
    for (number, status) in parts.media.iter().enumerate() {
        let worker = number.to_string();
        media(&worker, status, &mut to);
        let pairs = u64::from(limits.pairs_a_worker);
        to.whole(&c::MEDIA_PAIRS_MAX, &[&worker], pairs);
    }
    queues(node, &mut to);
    storage(&parts.store, &mut to);
    to.whole(
        &c::RECORDS_LOST,
        &[],
        parts.signalling.records_lost.load(Relaxed),
    );
    spool(node, &mut to);
    itself(node, now, &mut to);
    process(&mut to);
    to
}

fn calls(status: &Status, to: &mut Samples) {
    let counters = status.counters.load();
    to.whole(&c::CALLS_OFFERED, &[], counters.calls_offered);
    to.whole(&c::CALLS_PLACED, &[], counters.calls_placed);
    to.whole(&c::CALLS_OF_GUESTS, &[], counters.calls_of_guests);
    to.whole(&c::CALLS_ANSWERED, &[], counters.calls_answered);
    to.whole(&c::CALLS_ACTIVE, &[], counters.calls_active);
    to.whole(&c::ATTEMPTS, &[], counters.attempts);
    to.whole(&c::COMMANDS_DECLINED, &[], counters.commands_declined);
    to.whole(&c::UNKNOWN_SOURCE, &[], counters.unknown_source);
    to.whole(&c::MEDIA_PAIRS_TAKEN, &[], counters.stock_taken);
    to.whole(&c::MEDIA_PAIRS_AVAILABLE, &[], counters.stock_available);
    for (cause, count) in &counters.refused {
        to.whole(&c::CALLS_REFUSED, &[cause], *count);
    }
    for (reason, count) in &counters.commands_refused {
        to.whole(&c::COMMANDS_REFUSED, &[reason], *count);
    }
    to.whole(&c::LADDER_BYTES, &[], counters.ladder_octets);
    let dropped = counters.ladder_messages_dropped;
    to.whole(&c::LADDER_MESSAGES_DROPPED, &[], dropped);
    for (reason, count) in &counters.guard {
        to.whole(&c::GUARD_VERDICTS, &[reason], *count);
    }
    let figures = status.figures.load();
    for (cause, count) in &figures.calls_ended {
        to.whole(&c::CALLS_ENDED, &[cause], *count);
    }
    for (outcome, count) in &figures.attempts_ended {
        to.whole(&c::ATTEMPTS_ENDED, &[outcome], *count);
    }
    for trunk in &counters.trunks {
        let labels = [trunk.id.as_str(), trunk.label.as_str()];
        to.whole(&c::TRUNK_CALLS, &labels, u64::from(trunk.calls));
        if let Some(max) = trunk.calls_max {
            to.whole(&c::TRUNK_CALLS_MAX, &labels, u64::from(max));
        }
        to.whole(&c::TRUNK_TARGETS, &labels, u64::from(trunk.targets));
        to.whole(&c::TRUNK_TARGETS_UP, &labels, u64::from(trunk.targets_up));
        let attempts = figures.trunk_attempts.get(&trunk.id).copied();
        to.whole(&c::TRUNK_ATTEMPTS, &labels, attempts.unwrap_or(0));
    }
}

fn messages(status: &Status, to: &mut Samples) {
    let figures = status.figures.load();
    for (method, count) in figures.received.requests() {
        to.whole(&c::REQUESTS_RECEIVED, &[method], count);
    }
    for (method, count) in figures.sent.requests() {
        to.whole(&c::REQUESTS_SENT, &[method], count);
    }
    for (code, count) in figures.received.responses() {
        to.whole(&c::RESPONSES_RECEIVED, &[code], count);
    }
    for (code, count) in figures.sent.responses() {
        to.whole(&c::RESPONSES_SENT, &[code], count);
    }
    to.whole(&c::SENDS_FAILED, &[], figures.sends_failed);
    to.whole(&c::TURNS_GATHERED, &[], figures.turns_gathered);
    to.whole(&c::LINKS_KNOWN, &[], figures.links_known);
    let counters = status.counters.load();
    let endpoint = &counters.endpoint;
    to.whole(&c::MESSAGES_REPEATED, &[], endpoint.messages_repeated);
    to.whole(&c::TURNS_CUT_SHORT, &[], endpoint.turns_cut_short);
    to.whole(
        &c::WITHOUT_TRANSACTION,
        &[],
        endpoint.sent_without_transaction,
    );
    for (reason, count) in endpoint.dropped_by_reason() {
        to.whole(&c::MESSAGES_DROPPED, &[reason], count);
    }
    for table in &counters.tables {
        to.whole(&c::TABLE_USED, &[table.name], u64::from(table.used));
        to.whole(&c::TABLE_MAX, &[table.name], u64::from(table.max));
    }
}

fn connections(node: &Node, to: &mut Samples) {
    let counters = &node.parts.connections;
    to.whole(&c::TCP_CONNECTIONS, &[], counters.open.load(Relaxed));
    let max = u64::from(node.parts.connections_max);
    to.whole(&c::TCP_CONNECTIONS_MAX, &[], max);
    to.whole(&c::TCP_ACCEPTED, &[], counters.accepted.load(Relaxed));
    to.whole(&c::TCP_CONNECTED, &[], counters.connected.load(Relaxed));
    for (reason, count) in counters.ended_by_reason() {
        to.whole(&c::TCP_ENDED, &[reason], count);
    }
    let answered = counters.pings_answered.load(Relaxed);
    to.whole(&c::TCP_PINGS_ANSWERED, &[], answered);
    to.whole(&c::TCP_PINGS_SENT, &[], counters.pings_sent.load(Relaxed));
}

fn media(worker: &str, status: &MediaStatus, to: &mut Samples) {
    let figures = status.figures.load();
    let counters = &figures.counters;
    let mut put = |metric, value| to.whole(metric, &[worker], value);
    put(&c::MEDIA_PACKETS_RECEIVED, counters.packets_received);
    put(&c::MEDIA_PACKETS_SENT, counters.packets_sent);
    put(&c::MEDIA_SENT, counters.octets_sent);
    put(&c::MEDIA_BUFFERS_MISSING, counters.buffers_missing);
    put(&c::MEDIA_TURNS, counters.turns_busy);
    put(&c::MEDIA_LEGS, counters.legs_connected);
    put(&c::MEDIA_LATCHES, counters.latches);
    put(&c::MEDIA_SOCKETS_CONNECTED, counters.sockets_connected);
    put(&c::MEDIA_SILENT, counters.legs_silent);
    put(&c::MEDIA_PAIRS_OPENED, counters.pairs_opened);
    put(&c::MEDIA_PORTS_REFUSED, counters.ports_refused);
    put(&c::MEDIA_OPENS_REFUSED, counters.opens_refused);
    put(&c::MEDIA_COMMANDS_STALE, counters.commands_stale);
    put(&c::MEDIA_STOCK, u64::from(figures.stocked));
    put(&c::MEDIA_WANT, u64::from(figures.want));
    for (packets, count) in counters.batches.each() {
        to.whole(&c::MEDIA_BATCHES, &[worker, &packets.to_string()], count);
    }
    figures
        .io
        .each(|event, count| to.whole(&c::MEDIA_KERNEL, &[worker, event], count));
    to.buckets(&c::MEDIA_LATENESS, &[worker], figures.lateness);
    for reason in DropReason::ALL {
        let labels = [worker, reason.as_str()];
        to.whole(
            &c::MEDIA_PACKETS_DROPPED,
            &labels,
            counters.drops.of(reason),
        );
    }
    let transports = &counters.transport;
    transports.each(|event, count| to.whole(&c::MEDIA_TRANSPORTS, &[worker, event], count));
    for refusal in Refusal::ALL {
        let labels = [worker, refusal.as_str()];
        let count = counters.checks_refused.of(refusal);
        to.whole(&c::MEDIA_CHECKS_REFUSED, &labels, count);
    }
    for failure in TransportFailure::ALL {
        let labels = [worker, failure.as_str()];
        let count = counters.transports_failed.of(failure);
        to.whole(&c::MEDIA_TRANSPORTS_FAILED, &labels, count);
    }
    let rtcp = &counters.rtcp;
    rtcp.each(|kind, count| to.whole(&c::MEDIA_RTCP, &[worker, kind], count));
    for (direction, quality) in [
        ("received", &counters.quality_received),
        ("sent", &counters.quality_sent),
    ] {
        quality.each(|measure, bound, count| {
            let bound = bound.map_or_else(|| "max".to_owned(), |bound| bound.to_string());
            let labels = [worker, direction, measure, &bound];
            to.whole(&c::MEDIA_QUALITY, &labels, count);
        });
    }
}

fn queues(node: &Node, to: &mut Samples) {
    let figures = node.parts.signalling.figures.load();
    let (jobs, records) = node.parts.store.waiting();
    let mut queue = |name: &str, used: u64, max: usize| {
        to.whole(&c::QUEUE_USED, &[name], used);
        to.whole(&c::QUEUE_MAX, &[name], whole(max));
    };
    queue("words", figures.words_waiting, signalling::WORDS_MAX);
    queue(
        "records_kept",
        figures.records_waiting,
        signalling::RECORDS_MAX,
    );
    queue("records", whole(records), RECORDS_QUEUE_MAX);
    queue("storage_jobs", whole(jobs), JOBS_QUEUE_MAX);
    for (number, status) in node.parts.media.iter().enumerate() {
        let (commands, reports) = status.waiting();
        let max = media_link::QUEUE_MAX;
        queue(&format!("media_{number}_commands"), whole(commands), max);
        queue(&format!("media_{number}_reports"), whole(reports), max);
    }
}

fn storage(store: &Store, to: &mut Samples) {
    let figures = store.figures();
    to.buckets(&c::STORAGE_WRITE, &[], figures.write.buckets());
    to.truth(&c::STORAGE_FAILING, &[], figures.failing.load(Relaxed));
    to.whole(&c::STORAGE_FAILURES, &[], figures.failures.load(Relaxed));
    to.whole(
        &c::RECORDS_WRITTEN,
        &[],
        figures.records_written.load(Relaxed),
    );
    to.whole(
        &c::RECORDS_REFUSED,
        &[],
        figures.records_refused.load(Relaxed),
    );
}

fn spool(node: &Node, to: &mut Samples) {
    let figures = node.parts.store.figures();
    to.whole(&c::SPOOL_RECORDS, &[], figures.spool_records.load(Relaxed));
    to.whole(&c::SPOOL_USED, &[], figures.spool_octets.load(Relaxed));
    to.whole(&c::SPOOL_MAX, &[], SPOOL_OCTETS_MAX);
    let exported = &node.parts.exported;
    to.whole(&c::EXPORTED, &[], exported.calls.load(Relaxed));
    to.whole(&c::EXPORT_FAILURES, &[], exported.failures.load(Relaxed));
}

fn itself(node: &Node, now: Instant, to: &mut Samples) {
    to.whole(&c::BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    for phase in Phase::ALL {
        to.truth(&c::PHASE, &[phase.as_str()], phase == node.phase());
    }
    for (thread, age) in node.hearts(now) {
        to.real(&c::HEART_AGE, &[&thread], age.as_secs_f64());
    }
    to.whole(&c::MEDIA_IO, &[node.parts.media_io], 1);
    let copies = &node.parts.copies;
    to.whole(&c::CAPTURE_SENT, &[], copies.sent.load(Relaxed));
    to.whole(&c::CAPTURE_DROPPED, &[], copies.dropped.load(Relaxed));
    let log = crate::log::figures();
    for (level, count) in crate::log::LEVELS.into_iter().zip(&log.lines) {
        to.whole(&c::LOG_LINES, &[level], count.load(Relaxed));
    }
    to.whole(&c::LOG_SUPPRESSED, &[], log.suppressed.load(Relaxed));
    to.whole(&c::LOG_LOST, &[], log.lost.load(Relaxed));
    to.whole(&c::PANICS, &[], node.parts.panics.total());
    for (outcome, count) in ["done", "refused"].into_iter().zip(&node.reloads) {
        to.whole(&c::RELOADS, &[outcome], count.load(Relaxed));
    }
    for (class, count) in ["1", "2", "3", "4", "5"]
        .into_iter()
        .zip(&node.http.answers)
    {
        to.whole(&c::HTTP_REQUESTS, &[class], count.load(Relaxed));
    }
    let failed = node.http.handshakes_failed.load(Relaxed);
    to.whole(&c::HTTPS_HANDSHAKES_FAILED, &[], failed);
    if let Some(figures) = &node.parts.certificate {
        let end_s = figures.end_s.load(Relaxed);
        to.whole(&c::HTTPS_CERTIFICATE_END, &[], end_s);
        let failed = figures.orders_failed.load(Relaxed);
        to.whole(&c::ACME_ORDERS_FAILED, &[], failed);
    }
    let refused = node.http.tokens_refused.load(Relaxed);
    let reason = crate::http::TOKEN_IN_THE_CLEAR;
    to.whole(&c::HTTP_TOKENS_REFUSED, &[reason], refused);
    let guests = &node.http.guests;
    to.whole(&c::GUEST_CONNECTIONS, &[], guests.connections.load(Relaxed));
    to.whole(&c::GUEST_PAGES, &[], guests.pages.load(Relaxed));
    to.whole(&c::GUEST_RESUMED, &[], guests.resumed.load(Relaxed));
    for (reason, count) in guests.refused() {
        to.whole(&c::GUEST_REFUSED, &[reason], count);
    }
    let connections = node.http.connections.load(Relaxed);
    to.whole(
        &c::HTTP_CONNECTIONS,
        &[],
        u64::try_from(connections).unwrap_or(0),
    );
    let refused = node.http.connections_refused.load(Relaxed);
    let reason = crate::http::TOO_MANY_OF_CLIENT;
    to.whole(&c::HTTP_CONNECTIONS_REFUSED, &[reason], refused);
    let max = u64::from(crate::http::CONNECTIONS_MAX);
    to.whole(&c::HTTP_CONNECTIONS_MAX, &[], max);
}

fn process(to: &mut Samples) {
    let process = Process::now();
    to.whole(&c::PROCESS_RESIDENT, &[], process.resident_bytes);
    to.real(&c::PROCESS_CPU, &[], process.cpu_s);
    to.whole(&c::PROCESS_DESCRIPTORS, &[], process.descriptors);
    to.whole(&c::PROCESS_DESCRIPTORS_MAX, &[], process.descriptors_max);
    to.whole(&c::PROCESS_THREADS, &[], process.threads);
    to.real(&c::PROCESS_START, &[], process.start_s);
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
