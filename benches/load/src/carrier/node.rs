//! A node that runs: its sessions are calls, placed by SIP from a source to its trunk, or by HTTP to
//! two parties behind its trunk. Its media workers are what is measured.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};

use super::{Counter, Ends, OwnCount, Target, Ways};
use crate::machine::{monotonic_ns, sleep_until_ns};
use crate::report::progress;
use crate::resolve::Connection;
use crate::session_key::{EndKeys, SessionKey, Way};
use crate::sip_load::{Happened, SipLoad};
use crate::subject::Subject;

/// Where a node is and what of it is measured.
#[derive(Debug, Clone)]
pub(crate) struct NodePlace {
    /// SIP over UDP.
    pub(crate) sip: SocketAddr,
    /// HTTP; `None`: its own counters are not read.
    pub(crate) http: Option<SocketAddr>,
    /// Where its trunk's target listens.
    pub(crate) callee: SocketAddr,
    /// Request path to call.
    pub(crate) user: String,
    /// Its process.
    pub(crate) process: u32,
    /// Names of the threads that are measured begin with this; empty: all of them.
    pub(crate) thread: String,
}

/// A node whose calls come by SIP.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    place: NodePlace,
    calls: SipLoad,
    placed: u32,
}

impl Node {
    /// # Errors
    /// The callee's address is taken.
    pub(crate) fn new(name: &str, place: NodePlace) -> Result<Self> {
        let calls = SipLoad::new(place.sip, &place.user, place.callee, Vec::new())?;
        Ok(Self {
            name: name.to_owned(),
            place,
            calls,
            placed: 0,
        })
    }
}

impl Node {
    /// Another program that calls go through: all its threads count.
    ///
    /// # Errors
    /// The callee's address is taken.
    pub(crate) fn exchange(
        name: &str,
        sip: SocketAddr,
        callee: SocketAddr,
        process: u32,
    ) -> Result<Self> {
        let place = NodePlace {
            sip,
            http: None,
            callee,
            user: "bench".to_owned(),
            process,
            thread: String::new(),
        };
        Self::new(name, place)
    }

    /// Its callers offer keys and speak SRTP; whether its callees do is for its trunk to want.
    pub(crate) const fn secure_callers(&mut self) {
        self.calls.secure_caller = true;
    }

    /// Its calls have video, and the ways of a session are those of its pictures.
    pub(crate) const fn send_pictures(&mut self) {
        self.calls.pictures = true;
    }
}

impl Target for Node {
    fn name(&self) -> &str {
        &self.name
    }

    /// A call is placed once the one before has reached the callee, so that the ends of a session
    /// are told by their order.
    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        let count = ends.len();
        let first = self.placed;
        self.calls.extend_media(ends.iter().map(|ends| ends.callee));
        let (mut callers, mut callees) = (vec![None; count], vec![None; count]);
        let (mut answered, mut offered, mut placed) = (0, 0, 0);
        let before = usize::try_from(first)?;
        let start = monotonic_ns();
        let mut moved = start;
        while answered < count || offered < count {
            let now = monotonic_ns();
            let due = start + u64::try_from(placed)? * SETUP_INTERVAL_NS;
            if placed == offered
                && now >= due
                && let Some(ends) = ends.get(placed)
            {
                self.calls.invite(self.placed, ends.caller);
                self.placed += 1;
                placed += 1;
            }
            for happened in self.calls.look() {
                moved = now;
                match happened {
                    Happened::Answered {
                        call, media, key, ..
                    } => {
                        answered += 1;
                        let way = way(media, key, self.calls.caller_key(call));
                        set(&mut callers, usize::try_from(call - first)?, way);
                    }
                    Happened::Offered { media, key, .. } => {
                        let way = way(media, key, self.calls.callee_key(before + offered));
                        set(&mut callees, offered, way);
                        offered += 1;
                    }
                    Happened::Failed { call, status } => {
                        bail!("call {} of {count} failed with {status}", call - first + 1)
                    }
                    Happened::Ended { .. } => bail!("a call ended while others were set up"),
                }
            }
            if now - moved > PATIENCE_NS {
                bail!("{answered} of {count} calls were answered, then nothing came for 5 s");
            }
            sleep_until_ns(now + LOOK_NS);
        }
        ways(callers, callees)
    }

    fn subject(&self) -> Result<Subject> {
        Subject::find(self.place.process, &self.place.thread)
    }

    fn counter(&self) -> Option<Counter> {
        counter(self.place.http?)
    }

    fn finish(&mut self) {
        for call in 0..self.placed {
            self.calls.bye(call);
            self.calls.look();
            sleep_until_ns(monotonic_ns() + BYE_INTERVAL_NS);
        }
        let end = monotonic_ns() + PATIENCE_NS;
        while self.calls.alive() > 0 && monotonic_ns() < end {
            self.calls.look();
            sleep_until_ns(monotonic_ns() + LOOK_NS);
        }
        if self.calls.alive() > 0 {
            progress(&format!(
                "{}: {} calls did not end",
                self.name,
                self.calls.alive()
            ));
        }
        self.placed = 0;
    }
}

/// A node whose calls are ordered by HTTP: it dials both ends itself.
#[derive(Debug)]
pub(crate) struct NodeByHttp {
    place: NodePlace,
    orders: Connection,
    token: String,
    calls: SipLoad,
    /// Media addresses of INVITEs that came and were not yet taken.
    waiting: VecDeque<Option<SocketAddr>>,
}

impl NodeByHttp {
    /// # Errors
    /// The callee's address is taken, or nobody listens for HTTP.
    pub(crate) fn new(place: NodePlace, token: String) -> Result<Self> {
        let http = place.http.context("the node's HTTP address")?;
        Ok(Self {
            calls: SipLoad::new(place.sip, &place.user, place.callee, Vec::new())?,
            orders: Connection::open(http)?,
            place,
            token,
            waiting: VecDeque::new(),
        })
    }
}

impl Target for NodeByHttp {
    fn name(&self) -> &str {
        "node, by HTTP"
    }

    /// One order after the other: the first end that is dialled is the caller.
    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        self.calls
            .extend_media(ends.iter().flat_map(|ends| [ends.caller, ends.callee]));
        let (mut callers, mut callees) = (vec![None; ends.len()], vec![None; ends.len()]);
        let body = format!(r#"{{"from":"{ORDERED}","link":"{}"}}"#, self.place.user);
        for place in 0..ends.len() {
            self.orders
                .post("/api/v1/calls", &self.token, &body, "201")
                .with_context(|| format!("order {} of {}", place + 1, ends.len()))?;
            for side in [&mut callers, &mut callees] {
                let media = self
                    .offered()
                    .with_context(|| format!("call {} of {}", place + 1, ends.len()))?;
                set(side, place, media.map(|to| Way { to, keys: None }));
            }
            sleep_until_ns(monotonic_ns() + ORDER_INTERVAL_NS);
        }
        ways(callers, callees)
    }

    fn subject(&self) -> Result<Subject> {
        Subject::find(self.place.process, &self.place.thread)
    }

    fn counter(&self) -> Option<Counter> {
        counter(self.place.http?)
    }
}

impl NodeByHttp {
    /// The media address of the next INVITE that the node sends.
    fn offered(&mut self) -> Result<Option<SocketAddr>> {
        let end = monotonic_ns() + PATIENCE_NS;
        while monotonic_ns() < end {
            for happened in self.calls.look() {
                if let Happened::Offered { media, .. } = happened {
                    self.waiting.push_back(media);
                }
            }
            if let Some(media) = self.waiting.pop_front() {
                return Ok(media);
            }
            sleep_until_ns(monotonic_ns() + LOOK_NS);
        }
        bail!("the node did not dial for 5 s")
    }
}

/// The way to where the node receives; with its key, under that and ours.
fn way(media: Option<SocketAddr>, key: Option<SessionKey>, ours: SessionKey) -> Option<Way> {
    let keys = key.map(|receive| EndKeys {
        send: ours,
        receive,
    });
    media.map(|to| Way { to, keys })
}

fn set(ways: &mut [Option<Way>], index: usize, way: Option<Way>) {
    if let Some(place) = ways.get_mut(index) {
        *place = way;
    }
}

fn ways(callers: Vec<Option<Way>>, callees: Vec<Option<Way>>) -> Result<Vec<Ways>> {
    let pairs = callers.into_iter().zip(callees);
    pairs
        .map(|(caller, callee)| {
            Ok(Ways {
                caller: caller.context("an answer without an audio address")?,
                callee: callee.context("an offer without an audio address")?,
            })
        })
        .collect()
}

/// What the node's workers counted, from `/metrics`.
pub(super) fn counter(http: SocketAddr) -> Option<Counter> {
    Some(Box::new(move || {
        let page = Connection::open(http).ok()?.page("/metrics").ok()?;
        counted(&page)
    }))
}

fn counted(page: &str) -> Option<OwnCount> {
    let mut sums: HashMap<&str, u64> = HashMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse::<u64>() else {
            continue;
        };
        let name = series.split('{').next().unwrap_or(series);
        if name.ends_with("media_packets_sent_total") {
            *sums.entry("packets").or_default() += value;
        }
        if name.ends_with("media_kernel_total") && series.contains("event=\"kernel_entries\"") {
            *sums.entry("entries").or_default() += value;
        }
    }
    Some(OwnCount {
        kernel_entries: sums.get("entries").copied()?,
        packets: sums.get("packets").copied()?,
    })
}

/// Whom orders by HTTP dial first; the trunk takes it wherever it is.
const ORDERED: &str = "1000";
/// The node opens ports ahead of calls, and no faster than they are wanted.
const SETUP_INTERVAL_NS: u64 = 2_500_000;
const ORDER_INTERVAL_NS: u64 = 5_000_000;
const BYE_INTERVAL_NS: u64 = 400_000;
const LOOK_NS: u64 = 100_000;
const PATIENCE_NS: u64 = 5_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_workers_are_one() {
        let page = "# TYPE x counter\n\
            sluice_media_packets_sent_total{worker=\"0\"} 5\n\
            sluice_media_packets_sent_total{worker=\"1\"} 6\n\
            sluice_media_kernel_total{worker=\"0\",event=\"kernel_entries\"} 2\n\
            sluice_media_kernel_total{worker=\"0\",event=\"wakes\"} 100\n\
            sluice_media_kernel_total{worker=\"1\",event=\"kernel_entries\"} 1\n";
        let count = OwnCount {
            kernel_entries: 3,
            packets: 11,
        };
        assert_eq!(counted(page), Some(count));
        assert_eq!(
            counted("sluice_media_packets_sent_total{worker=\"0\"} 5\n"),
            None
        );
    }
}
