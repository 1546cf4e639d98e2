//! The network between the nodes: what it does to a datagram, drawn from its own generator.
//!
//! Owns delay, order and loss. It knows addresses and octets, and nothing of SIP but where a copy
//! must be damaged so that nobody can take it for a message (`damaged`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::random::Generator;
use crate::time::SimTime;

/// What a datagram carries, as its sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SIP.
    Signalling,
    /// RTP or RTCP.
    Media,
}

/// A datagram under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// What it is.
    pub(crate) kind: Kind,
    /// Sender.
    pub(crate) source: SocketAddr,
    /// Receiver.
    pub(crate) target: SocketAddr,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    /// A damaged copy: its receiver must not make anything of it.
    pub(crate) damaged: bool,
}

/// The faults of a world, in events per thousand datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Shortest way.
    pub(crate) delay_min: Duration,
    /// Longest way without a fault.
    pub(crate) delay_max: Duration,
    /// Lost, one by one.
    pub(crate) loss: u32,
    /// A burst begins.
    pub(crate) burst: u32,
    /// Datagrams lost in a burst, at most.
    pub(crate) burst_length_max: u64,
    /// Arrives twice.
    pub(crate) duplicate: u32,
    /// Arrives later than what was sent after it.
    pub(crate) reorder: u32,
    /// A damaged copy arrives beside it.
    pub(crate) damage: u32,
}

impl Faults {
    /// A network that only takes time.
    pub(crate) const fn none(delay: Duration) -> Self {
        Self {
            delay_min: delay,
            delay_max: delay,
            loss: 0,
            burst: 0,
            burst_length_max: 0,
            duplicate: 0,
            reorder: 0,
            damage: 0,
        }
    }

    /// True where a datagram can vanish.
    pub(crate) const fn loses(&self) -> bool {
        self.loss > 0 || self.burst > 0
    }

    /// Each fault exists in some worlds only.
    pub(crate) fn draw(random: &mut Generator) -> Self {
        let delay_min = random.micros(100, 30_000);
        let mut some = |per_mille: u32, most: u64| {
            if random.chance(per_mille) {
                u32::try_from(1 + random.below(most)).unwrap_or(1)
            } else {
                0
            }
        };
        Self {
            delay_min,
            delay_max: delay_min,
            loss: some(300, 120),
            burst: some(150, 10),
            burst_length_max: 12,
            duplicate: some(350, 100),
            reorder: some(350, 100),
            damage: some(300, 60),
        }
        .with_jitter(random)
    }

    fn with_jitter(mut self, random: &mut Generator) -> Self {
        self.delay_max = self.delay_min + random.micros(0, 25_000);
        self
    }
}

/// A burst lasts no longer, or it would take every repetition of a BYE on a link that is idle else.
const BURST_MAX: Duration = Duration::from_secs(5);

/// What it did, for the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// One arrives.
    Carried,
    /// None arrives.
    Lost,
    /// Two arrive.
    Doubled,
}

/// All links of a world.
#[derive(Debug)]
pub(crate) struct Network {
    faults: Faults,
    random: Generator,
    /// How many datagrams are lost yet, and until when at most.
    bursts: BTreeMap<(SocketAddr, SocketAddr), (u64, SimTime)>,
    latest: BTreeMap<(SocketAddr, SocketAddr), SimTime>,
    perfect: bool,
}

impl Network {
    /// A network with these faults.
    pub(crate) const fn new(faults: Faults, random: Generator) -> Self {
        Self {
            faults,
            random,
            bursts: BTreeMap::new(),
            latest: BTreeMap::new(),
            perfect: false,
        }
    }

    /// From now on nothing is lost, doubled, reordered or damaged: a world that shall come to rest.
    pub(crate) const fn heal(&mut self) {
        self.perfect = true;
    }

    /// Takes a datagram; says when what arrives.
    pub(crate) fn carry(&mut self, now: SimTime, packet: Packet) -> (Fate, Vec<(SimTime, Packet)>) {
        let faults = if self.perfect {
            Faults::none(self.faults.delay_max)
        } else {
            self.faults
        };
        let link = (packet.source, packet.target);
        if self.is_lost(now, &faults, link) {
            return (Fate::Lost, Vec::new());
        }
        let mut arrivals = Vec::with_capacity(1);
        if self.random.chance(faults.damage) {
            let bytes = damaged(&packet, &mut self.random);
            // After the original: what comes of it must not depend on which of the two is first.
            let at = now + faults.delay_max + self.random.micros(1, 5_000);
            arrivals.push((
                at,
                Packet {
                    bytes,
                    damaged: true,
                    ..packet.clone()
                },
            ));
        }
        let mut fate = Fate::Carried;
        if self.random.chance(faults.duplicate) {
            fate = Fate::Doubled;
            let at = now + faults.delay_max + self.random.micros(0, 40_000);
            arrivals.push((at, packet.clone()));
        }
        let at = self.arrival(now, &faults, link);
        arrivals.push((at, packet));
        (fate, arrivals)
    }

    fn is_lost(&mut self, now: SimTime, faults: &Faults, link: (SocketAddr, SocketAddr)) -> bool {
        if self.perfect {
            return false;
        }
        if let Some((left, until)) = self.bursts.get_mut(&link)
            && *left > 0
            && now < *until
        {
            *left -= 1;
            return true;
        }
        if self.random.chance(faults.burst) {
            let length = self.random.below(faults.burst_length_max);
            let _ = self.bursts.insert(link, (length, now + BURST_MAX));
            return true;
        }
        self.random.chance(faults.loss)
    }

    fn arrival(
        &mut self,
        now: SimTime,
        faults: &Faults,
        link: (SocketAddr, SocketAddr),
    ) -> SimTime {
        let spread = u64::try_from((faults.delay_max - faults.delay_min).as_micros()).unwrap_or(0);
        let at = now + faults.delay_min + self.random.micros(0, spread);
        if self.random.chance(faults.reorder) {
            return at + self.random.micros(1_000, 60_000);
        }
        let latest = self.latest.entry(link).or_insert(at);
        *latest = at.max(*latest);
        *latest
    }
}

/// A copy that no receiver can take for a message of its sender: noise, a stub, or a message whose
/// Via is overwritten (an answer to it could not be addressed).
fn damaged(packet: &Packet, random: &mut Generator) -> Vec<u8> {
    let mut bytes = packet.bytes.clone();
    match packet.kind {
        Kind::Media => {
            let keep = random.index(12);
            bytes.truncate(keep.max(1));
        }
        Kind::Signalling => match random.below(3) {
            0 => {
                for byte in &mut bytes {
                    *byte = u8::try_from(random.below(256)).unwrap_or(0);
                }
            }
            1 => bytes.truncate(1 + random.index(24)),
            _ => {
                let start = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
                for byte in bytes.iter_mut().skip(start + 1).take(160) {
                    *byte = 0xff;
                }
            }
        },
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u8) -> Packet {
        Packet {
            kind: Kind::Media,
            source: "10.0.0.1:1000".parse().unwrap(),
            target: "10.0.0.2:2000".parse().unwrap(),
            bytes: vec![number; 20],
            damaged: false,
        }
    }

    fn run(faults: Faults, seed: u64) -> Vec<(SimTime, Packet)> {
        let mut network = Network::new(faults, Generator::new(seed, "network"));
        let mut arrivals = Vec::new();
        for number in 0..200 {
            let now = SimTime::ZERO + Duration::from_millis(20 * u64::from(number));
            arrivals.extend(network.carry(now, packet(number)).1);
        }
        arrivals.sort_by_key(|(at, _)| *at);
        arrivals
    }

    #[test]
    fn without_faults_all_arrive_once_and_in_order() {
        let arrivals = run(Faults::none(Duration::from_millis(10)), 1);
        assert_eq!(arrivals.len(), 200);
        assert!(arrivals.is_sorted_by_key(|(_, packet)| packet.bytes[0]));
    }

    #[test]
    fn each_fault_does_what_its_name_says() {
        let none = Faults::none(Duration::from_millis(10));
        assert!(run(Faults { loss: 200, ..none }, 1).len() < 200);
        assert!(
            run(
                Faults {
                    burst: 20,
                    burst_length_max: 9,
                    ..none
                },
                1
            )
            .len()
                < 195
        );
        assert!(
            run(
                Faults {
                    duplicate: 200,
                    ..none
                },
                1
            )
            .len()
                > 200
        );
        let reordered = run(
            Faults {
                reorder: 200,
                ..none
            },
            1,
        );
        assert_eq!(reordered.len(), 200);
        assert!(!reordered.is_sorted_by_key(|(_, packet)| packet.bytes[0]));
        let damaged = run(
            Faults {
                damage: 200,
                ..none
            },
            1,
        );
        assert!(
            damaged
                .iter()
                .any(|(_, packet)| packet.damaged && packet.bytes.len() < 12)
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        let faults = Faults::draw(&mut Generator::new(9, "faults"));
        assert_eq!(run(faults, 3), run(faults, 3));
    }
}
