//! Port pairs that were disconnected and whose final counters are still to come; their records wait
//! for them, but not for ever.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::command::{LegCounters, PairKey};

use crate::cdr::record::{MediaFigures, Record};

/// A record waits this long for its media counters.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(1_500);

#[derive(Debug)]
struct Pair {
    /// The row of a placed call's first party, before the call's.
    first: Option<Record>,
    record: Option<Record>,
    bound: SocketAddr,
}

/// All such pairs. As many as the workers have, at most.
#[derive(Debug, Default)]
pub(super) struct Draining {
    pairs: BTreeMap<PairKey, Pair>,
    due: VecDeque<(Instant, PairKey)>,
}

impl Draining {
    /// The pair was told to disconnect; `record` follows its counters.
    pub(super) fn begin(
        &mut self,
        pair: PairKey,
        bound: SocketAddr,
        record: Option<Record>,
        now: Instant,
    ) {
        if record.is_some() {
            self.due.push_back((now + WAIT_MAX, pair));
        }
        let first = None;
        self.pairs.insert(
            pair,
            Pair {
                first,
                record,
                bound,
            },
        );
    }

    /// The same for the first party of a placed call: two records follow its counters.
    pub(super) fn begin_placed(
        &mut self,
        pair: PairKey,
        bound: SocketAddr,
        (first, record): (Record, Record),
        now: Instant,
    ) {
        self.begin(pair, bound, Some(record), now);
        if let Some(pair) = self.pairs.get_mut(&pair) {
            pair.first = Some(first);
        }
    }

    /// The counters came. The pair is forgotten: where it was bound, and the records that waited.
    pub(super) fn disconnected(
        &mut self,
        pair: PairKey,
        counters: &LegCounters,
    ) -> Option<(SocketAddr, [Option<Record>; 2])> {
        let Pair {
            first,
            record,
            bound,
        } = self.pairs.remove(&pair)?;
        let mut records = [first, record];
        for record in records.iter_mut().flatten() {
            match record {
                Record::AttemptClosed(closed) => fill(&mut closed.media, counters),
                Record::CallClosed(closed) => fill(&mut closed.media, counters),
                Record::CallOpened(_)
                | Record::AttemptOpened(_)
                | Record::GuardCounts(_)
                | Record::Phones(_) => {}
            }
        }
        Some((bound, records))
    }

    /// The pair was never connected, so no counters will come: where it was bound, and the record
    /// that waited.
    pub(super) fn unused(&mut self, pair: PairKey) -> Option<(SocketAddr, [Option<Record>; 2])> {
        let removed = self.pairs.remove(&pair);
        removed.map(|pair| (pair.bound, [pair.first, pair.record]))
    }

    /// A record that has waited long enough. Its pair stays until the worker lets go of it.
    pub(super) fn poll_overdue(&mut self, now: Instant) -> Option<Record> {
        while let Some((at, pair)) = self.due.front().copied() {
            if at > now {
                return None;
            }
            let waiting = self.pairs.get_mut(&pair);
            if let Some(record) =
                waiting.and_then(|pair| pair.first.take().or_else(|| pair.record.take()))
            {
                return Some(record);
            }
            self.due.pop_front();
        }
        None
    }

    pub(super) fn poll_deadline(&self) -> Option<Instant> {
        self.due.front().map(|(at, _)| *at)
    }

    /// No record waits.
    pub(super) fn is_silent(&self) -> bool {
        self.pairs.values().all(|pair| pair.record.is_none())
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }
}

fn fill(figures: &mut MediaFigures, counters: &LegCounters) {
    *figures = MediaFigures {
        packets_received: counters.packets_received,
        packets_sent: counters.packets_sent,
        packets_lost: counters.packets_lost,
        jitter_ms: milliseconds(counters.jitter_us),
        round_trip_ms: counters.round_trip_us.map(milliseconds),
        mos: counters.score_hundredths.map(score),
        peer_packets_lost: counters.peer.map(|peer| peer.packets_lost),
        peer_jitter_ms: counters.peer.map(|peer| milliseconds(peer.jitter_us)),
        peer_mos: counters
            .peer
            .and_then(|peer| peer.score_hundredths)
            .map(score),
        srtp: figures.srtp.take(),
    };
}

fn milliseconds(microseconds: u32) -> f64 {
    f64::from(microseconds) / 1_000.0
}

fn score(hundredths: u16) -> f64 {
    f64::from(hundredths) / 100.0
}
