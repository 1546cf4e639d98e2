//! The stock of open media ports (DECISIONS, Shape 4): what workers reported and no call has taken.
//!
//! Both legs of a call live on one worker, so pairs are taken two at a time from the worker that has
//! least to do: by the packets that it said it takes, and those that its newest legs will bring.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use media::command::PairKey;

use super::event::StockedPair;

/// Most workers of a node.
pub const WORKERS_MAX: usize = 256;

/// Pairs of a worker that only emergency calls get, where it has enough for that to be a small part.
pub const EMERGENCY_PAIRS: usize = 2;
/// As many as that.
const EMERGENCY_PAIRS_OF: usize = 16;

/// Packets a second that a leg will bring, as long as nobody has counted them.
const PACKETS_A_LEG: u32 = 50;

/// Pairs of a call for audio.
const AUDIO_PAIRS: usize = 2;

/// All pairs in stock, by worker.
#[derive(Debug, Default)]
pub struct Stock {
    workers: Vec<Shelf>,
    /// Every pair that is open, in stock or taken, by its RTP address.
    open: BTreeMap<SocketAddr, PairKey>,
    /// What they are bound to: the media addresses of the node, no more.
    hosts: BTreeSet<IpAddr>,
    /// Those that calls hold for video.
    video: BTreeSet<PairKey>,
    /// Those without ports of their own that guests hold.
    guests: BTreeSet<PairKey>,
}

#[derive(Debug, Default)]
struct Shelf {
    pairs: VecDeque<StockedPair>,
    /// Pairs of this worker that calls hold.
    taken: usize,
    /// Packets a second, as the worker said last.
    load: u32,
    /// Pairs taken since: their packets are not in it yet.
    taken_since: u32,
    /// Pairs for legs of browsers.
    browsers: VecDeque<PairKey>,
    /// The port of all of them.
    browser_port: Option<SocketAddr>,
}

impl Stock {
    fn shelf(&mut self, worker: u16) -> Option<&mut Shelf> {
        let worker = usize::from(worker);
        if worker >= WORKERS_MAX {
            return None;
        }
        if self.workers.len() <= worker {
            self.workers.resize_with(worker + 1, Shelf::default);
        }
        self.workers.get_mut(worker)
    }

    /// A worker has a pair for a leg of a browser, all of whose are at this port.
    pub fn add_browser(&mut self, stocked: StockedPair) {
        if let Some(shelf) = self.shelf(stocked.pair.worker) {
            shelf.browser_port = Some(stocked.rtp);
            shelf.browsers.push_back(stocked.pair);
        }
    }

    /// The worker for a call of a guest: as [`place`](Self::place), with `legs` for the browser beside.
    #[must_use]
    pub fn place_browser(&self, legs: usize, count: usize, like: IpAddr) -> Option<u16> {
        let shelves = self.workers.iter().enumerate();
        let (index, _) = shelves
            .filter(|(_, shelf)| {
                let has_ports = count == 0 || shelf.has(count + shelf.kept(), like);
                shelf.browsers.len() >= legs && has_ports
            })
            .min_by_key(|(_, shelf)| (shelf.expected_load(), shelf.taken))?;
        u16::try_from(index).ok()
    }

    /// A pair of this worker for a leg of a browser.
    pub fn take_browser(&mut self, worker: u16) -> Option<StockedPair> {
        let shelf = self.workers.get_mut(usize::from(worker))?;
        let (pair, rtp) = (shelf.browsers.pop_front()?, shelf.browser_port?);
        shelf.taken += 1;
        shelf.taken_since = shelf.taken_since.saturating_add(1);
        self.guests.insert(pair);
        Some(StockedPair { pair, rtp })
    }

    /// A pair that was taken, and that its worker has never heard of since: it is in stock as before.
    pub fn put_back(&mut self, stocked: StockedPair) {
        let is_browser = self.guests.contains(&stocked.pair);
        self.forget(stocked.pair, stocked.rtp);
        if is_browser {
            self.add_browser(stocked);
        } else {
            self.add(stocked);
        }
    }

    /// A worker has opened a pair.
    pub fn add(&mut self, stocked: StockedPair) {
        if self.shelf(stocked.pair.worker).is_none() {
            return;
        }
        if let Some(shelf) = self.workers.get_mut(usize::from(stocked.pair.worker)) {
            shelf.pairs.push_back(stocked);
            self.hosts.insert(stocked.rtp.ip());
            self.open.insert(stocked.rtp, stocked.pair);
        }
    }

    /// True for an RTP or RTCP address of ours.
    #[must_use]
    pub fn owns(&self, address: SocketAddr) -> bool {
        let mut shelves = self.workers.iter();
        if shelves.any(|shelf| shelf.browser_port == Some(address)) {
            return true;
        }
        let below = address.port().checked_sub(1);
        let rtp = below.map(|port| SocketAddr::new(address.ip(), port));
        self.open.contains_key(&address) || rtp.is_some_and(|rtp| self.open.contains_key(&rtp))
    }

    /// True for the port of an RTP or RTCP address of ours that peers may know by this other host:
    /// loopback and the other family are never named so.
    #[must_use]
    pub fn owns_as(&self, advertised: SocketAddr) -> bool {
        let is_named =
            |host: &&IpAddr| !host.is_loopback() && host.is_ipv4() == advertised.is_ipv4();
        let mut hosts = self.hosts.iter().filter(is_named);
        hosts.any(|host| self.owns(SocketAddr::new(*host, advertised.port())))
    }

    /// One more pair of this worker may be taken, and leaves what emergency calls need.
    #[must_use]
    pub fn can_spare(&self, worker: u16, like: IpAddr) -> bool {
        let shelf = self.workers.get(usize::from(worker));
        shelf.is_some_and(|shelf| shelf.has(1 + shelf.kept(), like))
    }

    /// One more pair of this worker may be taken for video: `more` that the same call still needs are
    /// there too, and the next call finds its two for audio, beside what emergency calls need.
    #[must_use]
    pub fn can_spare_video(&self, worker: u16, more: usize, like: IpAddr) -> bool {
        let shelf = self.workers.get(usize::from(worker));
        shelf.is_some_and(|shelf| shelf.has(1 + more + AUDIO_PAIRS + shelf.kept(), like))
    }

    /// True where a call that is no emergency finds its two pairs.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let mut shelves = self.workers.iter();
        shelves.any(|shelf| shelf.pairs.len() >= 2 + shelf.kept())
    }

    /// What a worker has to do, in packets a second.
    pub fn loaded(&mut self, worker: u16, packets_per_second: u32) {
        if let Some(shelf) = self.workers.get_mut(usize::from(worker)) {
            (shelf.load, shelf.taken_since) = (packets_per_second, 0);
        }
    }

    /// The worker for a new call: the one with least to do among those with `count` pairs of the
    /// family of `like`, of equals that with fewer legs.
    #[must_use]
    pub fn place(&self, count: usize, like: IpAddr, is_emergency: bool) -> Option<u16> {
        let kept = |shelf: &Shelf| if is_emergency { 0 } else { shelf.kept() };
        let (index, _) = self
            .workers
            .iter()
            .enumerate()
            .filter(|(_, shelf)| shelf.has(count + kept(shelf), like))
            .min_by_key(|(_, shelf)| (shelf.expected_load(), shelf.taken))?;
        u16::try_from(index).ok()
    }

    /// A pair of this worker that a peer at `like` can reach, oldest first.
    pub fn take(&mut self, worker: u16, like: IpAddr) -> Option<StockedPair> {
        self.take_of(worker, |stocked| suits(stocked, like))
    }

    /// The same for video beside audio that is bound to `beside`: there too, if that can be.
    pub fn take_video(&mut self, worker: u16, like: IpAddr, beside: IpAddr) -> Option<StockedPair> {
        let stocked = self
            .take_of(worker, |stocked| stocked.rtp.ip() == beside)
            .or_else(|| self.take(worker, like))?;
        self.video.insert(stocked.pair);
        Some(stocked)
    }

    fn take_of(
        &mut self,
        worker: u16,
        suits: impl Fn(&StockedPair) -> bool,
    ) -> Option<StockedPair> {
        let shelf = self.workers.get_mut(usize::from(worker))?;
        let index = shelf.pairs.iter().position(suits)?;
        let stocked = shelf.pairs.remove(index)?;
        shelf.taken += 1;
        shelf.taken_since = shelf.taken_since.saturating_add(1);
        Some(stocked)
    }

    /// A pair that was taken is with its worker again (which reports it anew when it is in stock).
    pub fn forget(&mut self, pair: PairKey, rtp: SocketAddr) {
        if !self.guests.contains(&pair) && self.open.get(&rtp) == Some(&pair) {
            self.open.remove(&rtp);
        }
        self.video.remove(&pair);
        self.guests.remove(&pair);
        if let Some(shelf) = self.workers.get_mut(usize::from(pair.worker)) {
            debug_assert!(shelf.taken > 0, "a pair came back that nobody took");
            shelf.taken = shelf.taken.saturating_sub(1);
        }
    }

    /// Where an open pair is bound.
    #[must_use]
    pub fn bound(&self, pair: PairKey) -> Option<SocketAddr> {
        if self.guests.contains(&pair) {
            return self.workers.get(usize::from(pair.worker))?.browser_port;
        }
        let mut open = self.open.iter();
        open.find(|(_, open)| **open == pair).map(|(rtp, _)| *rtp)
    }

    /// Pairs in stock, all workers.
    #[must_use]
    pub fn available(&self) -> usize {
        self.workers.iter().map(|shelf| shelf.pairs.len()).sum()
    }

    /// Pairs that calls hold for video, all workers.
    #[must_use]
    pub fn taken_for_video(&self) -> usize {
        self.video.len()
    }

    /// Pairs that calls hold, all workers.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.workers.iter().map(|shelf| shelf.taken).sum()
    }
}

impl Shelf {
    /// What was said, and a stream of 20 ms frames for each leg since.
    const fn expected_load(&self) -> u32 {
        let coming = self.taken_since.saturating_mul(PACKETS_A_LEG);
        self.load.saturating_add(coming)
    }

    /// So many pairs that a peer at `like` can reach.
    fn has(&self, count: usize, like: IpAddr) -> bool {
        let suited = self.pairs.iter().filter(|stocked| suits(stocked, like));
        suited.take(count).count() == count
    }

    /// What is kept for emergency calls.
    fn kept(&self) -> usize {
        if self.pairs.len() + self.taken < EMERGENCY_PAIRS_OF {
            0
        } else {
            EMERGENCY_PAIRS
        }
    }
}

/// Same family, and loopback only with loopback: a peer elsewhere cannot reach it.
fn suits(stocked: &StockedPair, like: IpAddr) -> bool {
    let own = stocked.rtp.ip();
    own.is_ipv4() == like.is_ipv4() && (!own.is_loopback() || like.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(worker: u16, slot: u32, address: &str) -> StockedPair {
        StockedPair {
            pair: PairKey {
                worker,
                slot,
                generation: 0,
            },
            rtp: address.parse().unwrap(),
        }
    }

    #[test]
    fn least_used_worker_with_two_pairs_gets_the_call() {
        let like = "192.0.2.9".parse().unwrap();
        let mut stock = Stock::default();
        assert_eq!(stock.place(2, like, false), None);
        for slot in 0..4 {
            stock.add(pair(0, slot, &format!("192.0.2.1:{}", 10_000 + 2 * slot)));
        }
        stock.add(pair(1, 0, "192.0.2.1:20000"));
        assert_eq!(
            stock.place(2, like, false),
            Some(0),
            "one pair is not enough"
        );
        stock.add(pair(1, 1, "192.0.2.1:20002"));
        let first = stock.take(0, like).unwrap();
        assert_eq!(first.pair.slot, 0);
        assert_eq!(stock.place(2, like, false), Some(1));
        stock.forget(first.pair, first.rtp);
        assert_eq!((stock.available(), stock.taken()), (5, 0));
        assert!(
            !stock.owns("192.0.2.1:10000".parse().unwrap()),
            "with its worker again"
        );
        assert!(
            stock.owns("192.0.2.1:10003".parse().unwrap()),
            "RTCP of a pair in stock"
        );
        assert!(!stock.owns("192.0.2.2:10002".parse().unwrap()));
    }

    #[test]
    fn calls_go_where_packets_are_few_and_legs_that_were_just_placed_count() {
        let like = "192.0.2.9".parse().unwrap();
        let mut stock = Stock::default();
        for worker in 0..2 {
            for slot in 0..8 {
                let port = 10_000 + 2_000 * u32::from(worker) + 2 * slot;
                stock.add(pair(worker, slot, &format!("192.0.2.1:{port}")));
            }
        }
        // One leg of video on the first weighs more than three legs of audio on the second.
        stock.take(0, like).unwrap();
        for _ in 0..3 {
            stock.take(1, like).unwrap();
        }
        assert_eq!(stock.place(2, like, false), Some(0), "nothing is known yet");
        stock.loaded(0, 400);
        stock.loaded(1, 150);
        assert_eq!(stock.place(2, like, false), Some(1));
        for _ in 0..5 {
            stock.take(1, like).unwrap();
        }
        stock.add(pair(1, 8, "192.0.2.1:12100"));
        stock.add(pair(1, 9, "192.0.2.1:12102"));
        assert_eq!(stock.place(2, like, false), Some(0), "150 and 250 to come");
        stock.loaded(0, 0);
        stock.loaded(7, 9);
        assert_eq!(stock.place(2, like, false), Some(0));
    }

    #[test]
    fn pair_that_the_peer_cannot_reach_is_not_taken() {
        let mut stock = Stock::default();
        stock.add(pair(0, 0, "127.0.0.1:10000"));
        assert_eq!(stock.take(0, "192.0.2.9".parse().unwrap()), None);
        assert_eq!(stock.take(0, "::1".parse().unwrap()), None);
        assert!(stock.take(0, "127.0.0.9".parse().unwrap()).is_some());
    }
}
