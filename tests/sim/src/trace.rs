//! What happened, in order: the last events for a failure, everything for `--trace`, and the hash
//! that says whether two runs were the same.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::random::{FNV_BASIS, fnv1a};
use crate::time::SimTime;

/// A SIP message on its way, for ladders.
#[derive(Debug, Clone)]
pub(crate) struct Rung {
    /// When it was sent.
    pub(crate) at: SimTime,
    /// From which node.
    pub(crate) source: String,
    /// To which.
    pub(crate) target: String,
    /// `INVITE (sdp)`, `200 INVITE (sdp)`, …
    pub(crate) summary: String,
    /// The number of the call in this world, where known.
    pub(crate) call: Option<u32>,
    /// What the network did to it.
    pub(crate) note: &'static str,
}

/// The record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    step: u64,
    kept: VecDeque<String>,
    kept_max: usize,
    rungs: Vec<Rung>,
}

/// Events shown with a failure.
const LAST_EVENTS: usize = 50;
/// Messages drawn in one ladder.
const LADDER_MAX: usize = 200;
/// Messages kept for ladders; a world that sends more is not drawn whole.
const RUNGS_MAX: usize = 200_000;

impl Trace {
    /// A record that keeps the last events, or all of them.
    pub(crate) const fn new(keep_all: bool) -> Self {
        let kept_max = if keep_all { usize::MAX } else { LAST_EVENTS };
        Self {
            hash: FNV_BASIS,
            step: 0,
            kept: VecDeque::new(),
            kept_max,
            rungs: Vec::new(),
        }
    }

    /// Octets that went from a node to a node belong to the hash.
    pub(crate) fn datagram(
        &mut self,
        at: SimTime,
        source: SocketAddr,
        target: SocketAddr,
        bytes: &[u8],
    ) {
        let hash = fnv1a(self.hash, &at.nanos().to_le_bytes());
        let hash = fnv1a(hash, &source.port().to_le_bytes());
        let hash = fnv1a(hash, &target.port().to_le_bytes());
        self.hash = fnv1a(hash, bytes);
    }

    /// A line.
    pub(crate) fn note(&mut self, at: SimTime, text: &str) {
        self.hash = fnv1a(self.hash, text.as_bytes());
        if self.kept.len() >= self.kept_max {
            let _ = self.kept.pop_front();
        }
        self.kept.push_back(format!("{at} #{} {text}", self.step));
    }

    /// A step ended.
    pub(crate) const fn advance(&mut self) {
        self.step += 1;
    }

    /// Steps so far.
    pub(crate) const fn step(&self) -> u64 {
        self.step
    }

    /// A SIP message was sent.
    pub(crate) fn rung(&mut self, rung: Rung) {
        let text = format!(
            "{} -> {}  {}  {}",
            rung.source, rung.target, rung.summary, rung.note
        );
        self.note(rung.at, text.trim_end());
        if self.rungs.len() < RUNGS_MAX {
            self.rungs.push(rung);
        }
    }

    /// Of everything so far.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines kept.
    pub(crate) fn last_events(&self) -> String {
        self.kept.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "  {line}");
            text
        })
    }

    /// The messages of a call between the nodes they ran between, or of all calls.
    pub(crate) fn ladder(&self, call: Option<u32>) -> String {
        let mut rungs: Vec<&Rung> = self
            .rungs
            .iter()
            .filter(|rung| call.is_none() || rung.call == call)
            .collect();
        // Without a call: what belongs to any call, and only the end of it.
        if call.is_none() && rungs.iter().any(|rung| rung.call.is_some()) {
            rungs.retain(|rung| rung.call.is_some());
        }
        let rungs = rungs.split_off(rungs.len().saturating_sub(LADDER_MAX));
        let mut nodes: Vec<&str> = Vec::new();
        for rung in &rungs {
            for node in [rung.source.as_str(), rung.target.as_str()] {
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
        }
        // The gateway stands in the middle: callers left of it, trunks right.
        nodes.sort_by_key(|node| {
            (
                if *node == "gw" {
                    1
                } else if node.starts_with("trunk") {
                    2
                } else {
                    0
                },
                *node,
            )
        });
        let mut text = format!("{:>12} ", "");
        for node in &nodes {
            let _ = write!(text, "{node:^COLUMN$}");
        }
        text.push('\n');
        for rung in rungs {
            let _ = writeln!(text, "{:>12} {}", rung.at.to_string(), draw(rung, &nodes));
        }
        text
    }
}

/// Width of a column of a ladder.
const COLUMN: usize = 28;

fn draw(rung: &Rung, nodes: &[&str]) -> String {
    let place = |node: &str| nodes.iter().position(|given| *given == node).unwrap_or(0);
    let (source, target) = (place(&rung.source), place(&rung.target));
    let (left, right) = (source.min(target), source.max(target));
    let width = ((right - left) * COLUMN).saturating_sub(1).max(COLUMN - 1);
    let label = if rung.note.is_empty() {
        rung.summary.clone()
    } else {
        format!("{} [{}]", rung.summary, rung.note)
    };
    let arrow = if source <= target {
        format!("{label:-^w$}>", w = width.saturating_sub(1))
    } else {
        format!("<{label:-^w$}", w = width.saturating_sub(1))
    };
    let mut line = String::new();
    for column in 0..nodes.len() {
        let middle = column * COLUMN + COLUMN / 2;
        if column < left || column > right {
            while line.chars().count() < middle {
                line.push(' ');
            }
            line.push('|');
        } else if column == left {
            while line.chars().count() < middle {
                line.push(' ');
            }
            line.push('|');
            line.push_str(&arrow);
            line.push('|');
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_draws_each_message_between_its_nodes() {
        let mut trace = Trace::new(false);
        for (source, target, summary) in [
            ("alice", "gw", "INVITE (sdp)"),
            ("gw", "trunk1", "INVITE (sdp)"),
            ("trunk1", "gw", "486 INVITE"),
        ] {
            trace.rung(Rung {
                at: SimTime::ZERO,
                source: source.to_owned(),
                target: target.to_owned(),
                summary: summary.to_owned(),
                call: Some(1),
                note: "",
            });
        }
        let ladder = trace.ladder(Some(1));
        assert!(ladder.contains("INVITE (sdp)"), "{ladder}");
        assert!(ladder.contains("<--") && ladder.contains("-->"), "{ladder}");
        assert_eq!(trace.ladder(Some(2)).lines().count(), 1);
    }

    #[test]
    fn only_the_last_events_are_kept() {
        let mut trace = Trace::new(false);
        for number in 0..100 {
            trace.note(SimTime::ZERO, &number.to_string());
        }
        assert_eq!(trace.last_events().lines().count(), LAST_EVENTS);
    }
}
