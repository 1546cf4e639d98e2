//! Whether a node may be sent calls (`/readyz`), with every reason why not.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::node::{Node, Phase};

/// How long the database may take to answer.
const STORAGE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Media pairs that one call takes.
const PAIRS_A_CALL: u64 = 2;

/// Why a node should not be sent calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unready {
    /// It is not up yet.
    Starting,
    /// It takes no new calls.
    Draining,
    /// A thread has not turned for five seconds.
    ThreadStands,
    /// The database does not answer.
    StorageSilent,
    /// There are trunks, and none is up.
    TrunksDown,
    /// No media ports in stock.
    NoMediaPorts,
}

/// What `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// It may be sent calls.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<Unready>,
}

pub(super) async fn of(node: &Node) -> Readiness {
    let counters = node.parts.signalling.counters.load_full();
    let storage = tokio::time::timeout(STORAGE_ANSWERS_WITHIN, node.parts.store.answers());
    let storage_answers = matches!(storage.await, Ok(Ok(())));
    let reasons: Vec<Unready> = [
        (node.phase() == Phase::Starting, Unready::Starting),
        (
            matches!(node.phase(), Phase::Draining | Phase::Stopping),
            Unready::Draining,
        ),
        (!node.is_alive(Instant::now()), Unready::ThreadStands),
        (!storage_answers, Unready::StorageSilent),
        (
            !counters.trunks.is_empty()
                && counters.trunks.iter().all(|trunk| trunk.targets_up == 0),
            Unready::TrunksDown,
        ),
        (
            counters.stock_available < PAIRS_A_CALL,
            Unready::NoMediaPorts,
        ),
    ]
    .into_iter()
    .filter_map(|(holds, reason)| holds.then_some(reason))
    .collect();
    Readiness {
        ready: reasons.is_empty(),
        reasons,
    }
}
