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
        self.pairs.insert(pair, Pair { record, bound });
    }

    /// The counters came. The pair is forgotten: where it was bound, and the record that waited.
    pub(super) fn disconnected(
        &mut self,
        pair: PairKey,
        counters: &LegCounters,
    ) -> Option<(SocketAddr, Option<Record>)> {
        let Pair { mut record, bound } = self.pairs.remove(&pair)?;
        let figures = figures(counters);
        match &mut record {
            Some(Record::AttemptClosed(closed)) => closed.media = figures,
            Some(Record::CallClosed(closed)) => closed.media = figures,
            Some(Record::CallOpened(_) | Record::AttemptOpened(_) | Record::GuardCounts(_))
            | None => {}
        }
        Some((bound, record))
    }

    /// The pair was never connected, so no counters will come: where it was bound, and the record
    /// that waited.
    pub(super) fn unused(&mut self, pair: PairKey) -> Option<(SocketAddr, Option<Record>)> {
        self.pairs
            .remove(&pair)
            .map(|Pair { record, bound }| (bound, record))
    }

    /// A record that has waited long enough. Its pair stays until the worker lets go of it.
    pub(super) fn poll_overdue(&mut self, now: Instant) -> Option<Record> {
        while let Some((at, pair)) = self.due.front().copied() {
            if at > now {
                return None;
            }
            self.due.pop_front();
            let waiting = self.pairs.get_mut(&pair);
            if let Some(record) = waiting.and_then(|pair| pair.record.take()) {
                return Some(record);
            }
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

fn figures(counters: &LegCounters) -> MediaFigures {
    MediaFigures {
        packets_received: counters.packets_received,
        packets_sent: counters.packets_sent,
        packets_lost: counters.packets_lost,
        jitter_ms: f64::from(counters.jitter_us) / 1_000.0,
    }
}
