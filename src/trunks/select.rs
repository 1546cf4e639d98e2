//! Which trunks can carry a call, and in which order they are tried (PRODUCT §6). Pure.
//!
//! "Can carry": enabled, direction allowed, pattern matches, a codec in common, not down, caps not
//! reached. Order: priority, then a weighted draw among equals; the same for a trunk's targets.

use std::net::SocketAddr;

use rand_core::RngCore;

use super::model::{Trunk, TrunkTarget};

/// Most attempts of one call, all trunks and targets together.
pub const ATTEMPTS_MAX: usize = 16;

/// A call that wants a trunk.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// User part of the destination, before any rewriting.
    pub user: &'a str,
    /// Domain of the destination.
    pub domain: &'a str,
    /// The trunk that must carry it, by id.
    pub pinned: Option<&'a str>,
    /// The trunk it came from, by id: going out again needs `transit` on both.
    pub came_from: Option<&'a Trunk>,
    /// Only these trunks may carry it, by id; `None`: any.
    pub allowed: Option<&'a [String]>,
    /// Codec names of the offer, without telephone-event.
    pub codecs: &'a [String],
}

/// One attempt to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The trunk, by id: a snapshot may replace the list meanwhile.
    pub trunk: String,
    /// Which of its addresses.
    pub target: SocketAddr,
}

/// Why no trunk takes the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unroutable {
    /// No trunk carries this destination. 404.
    NoTrunk,
    /// Trunks carry it, but not in any codec of the offer. 488.
    NoCodec,
    /// All trunks that carry it are down or at their cap. 503.
    Unavailable,
}

impl Unroutable {
    /// Stable word for the CDR and the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoTrunk => "no_trunk",
            Self::NoCodec => "no_common_codec",
            Self::Unavailable => "trunks_unavailable",
        }
    }

    /// SIP status towards the caller.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoTrunk => 404,
            Self::NoCodec => 488,
            Self::Unavailable => 503,
        }
    }
}

/// What the choice must know about a trunk beside its row.
pub trait Availability {
    /// The target answers pings, or is not pinged.
    fn is_up(&self, trunk: &Trunk, target: SocketAddr) -> bool;
    /// One more call that we send stays within its caps.
    fn has_room(&self, trunk: &Trunk) -> bool;
}

/// The attempts of a call, best first, at most [`ATTEMPTS_MAX`].
///
/// # Errors
/// [`Unroutable`] where the list would be empty.
pub fn routes(
    trunks: &[Trunk],
    wanted: &Wanted<'_>,
    availability: &impl Availability,
    random: &mut impl RngCore,
) -> Result<Vec<Route>, Unroutable> {
    let carrying: Vec<&Trunk> = trunks
        .iter()
        .filter(|trunk| carries(trunk, wanted))
        .collect();
    if carrying.is_empty() {
        return Err(Unroutable::NoTrunk);
    }
    let speaking: Vec<&Trunk> = carrying
        .into_iter()
        .filter(|trunk| has_common_codec(trunk, wanted.codecs))
        .collect();
    if speaking.is_empty() {
        return Err(Unroutable::NoCodec);
    }
    let open: Vec<&Trunk> = speaking
        .into_iter()
        .filter(|trunk| availability.has_room(trunk))
        .collect();
    let mut routes = Vec::new();
    for trunk in ordered(open, |trunk| (trunk.priority, trunk.weight), random) {
        let up: Vec<&TrunkTarget> = trunk
            .targets
            .iter()
            .filter(|target| availability.is_up(trunk, target.address))
            .collect();
        for target in ordered(up, |target| (target.priority, target.weight), random) {
            routes.push(Route {
                trunk: trunk.id.clone(),
                target: target.address,
            });
        }
    }
    routes.truncate(ATTEMPTS_MAX);
    if routes.is_empty() {
        Err(Unroutable::Unavailable)
    } else {
        Ok(routes)
    }
}

fn carries(trunk: &Trunk, wanted: &Wanted<'_>) -> bool {
    let pinned = wanted.pinned.is_none_or(|pinned| pinned == trunk.id);
    let allowed = wanted
        .allowed
        .is_none_or(|allowed| allowed.contains(&trunk.id));
    let transit = wanted
        .came_from
        .is_none_or(|from| from.transit && trunk.transit);
    let open = trunk.enabled && trunk.carries_terminating && trunk.outbound_cap() != Some(0);
    // A pin names the trunk whatever its patterns say: the link was made for it.
    let covers = wanted.pinned.is_some() || trunk.covers(wanted.user, wanted.domain);
    pinned && allowed && transit && open && covers
}

fn has_common_codec(trunk: &Trunk, codecs: &[String]) -> bool {
    codecs.iter().any(|codec| trunk.takes_codec(codec))
}

/// By priority, lowest first; among equals drawn by weight without putting back (RFC 2782's rule:
/// weight zero stands behind all others).
fn ordered<T: Copy>(
    mut items: Vec<T>,
    rank: impl Fn(T) -> (u16, u16),
    random: &mut impl RngCore,
) -> Vec<T> {
    items.sort_by_key(|item| rank(*item).0);
    let mut ordered = Vec::with_capacity(items.len());
    while let Some(first) = items.first() {
        let priority = rank(*first).0;
        let equals = items
            .iter()
            .take_while(|item| rank(**item).0 == priority)
            .count();
        let total: u64 = items
            .iter()
            .take(equals)
            .map(|item| u64::from(rank(*item).1))
            .sum();
        let mut drawn = if total == 0 {
            0
        } else {
            random.next_u64() % total
        };
        let mut chosen = 0;
        for (index, item) in items.iter().take(equals).enumerate() {
            let weight = u64::from(rank(*item).1);
            if drawn < weight {
                chosen = index;
                break;
            }
            drawn -= weight;
        }
        ordered.push(items.remove(chosen));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::super::model::{NumberPattern, tests::trunk};
    use super::*;

    struct World {
        down: Vec<SocketAddr>,
        full: Vec<&'static str>,
    }

    impl Availability for World {
        fn is_up(&self, _trunk: &Trunk, target: SocketAddr) -> bool {
            !self.down.contains(&target)
        }
        fn has_room(&self, trunk: &Trunk) -> bool {
            !self.full.contains(&trunk.id.as_str())
        }
    }

    fn open() -> World {
        World {
            down: Vec::new(),
            full: Vec::new(),
        }
    }

    fn wanted<'a>(user: &'a str, codecs: &'a [String]) -> Wanted<'a> {
        Wanted {
            user,
            domain: "example.com",
            pinned: None,
            came_from: None,
            allowed: None,
            codecs,
        }
    }

    fn choose(
        trunks: &[Trunk],
        wanted: &Wanted<'_>,
        world: &World,
    ) -> Result<Vec<String>, Unroutable> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        routes(trunks, wanted, world, &mut random)
            .map(|routes| routes.into_iter().map(|route| route.trunk).collect())
    }

    #[test]
    fn priority_orders_and_what_cannot_carry_is_left_out() {
        let codecs = ["PCMU".to_owned()];
        let mut first = trunk("first", "192.0.2.1:5060");
        first.priority = 1;
        let mut off = trunk("off", "192.0.2.2:5060");
        off.enabled = false;
        let mut incoming = trunk("incoming", "192.0.2.3:5060");
        incoming.carries_terminating = false;
        let mut elsewhere = trunk("elsewhere", "192.0.2.4:5060");
        elsewhere.patterns = vec![NumberPattern::Prefix("+33".into())];
        let mut opus = trunk("opus", "192.0.2.5:5060");
        opus.codecs = vec!["opus".into()];
        let last = trunk("last", "192.0.2.6:5060");
        let trunks = [last, opus, elsewhere, incoming, off, first];
        let chosen = choose(&trunks, &wanted("610", &codecs), &open());
        assert_eq!(chosen, Ok(vec!["first".to_owned(), "last".to_owned()]));
    }

    #[test]
    fn reasons_are_told_apart() {
        let codecs = ["PCMU".to_owned()];
        let mut only = trunk("only", "192.0.2.1:5060");
        let call = wanted("610", &codecs);
        assert_eq!(choose(&[], &call, &open()), Err(Unroutable::NoTrunk));
        let down = World {
            down: vec!["192.0.2.1:5060".parse().unwrap()],
            full: Vec::new(),
        };
        assert_eq!(
            choose(&[only.clone()], &call, &down),
            Err(Unroutable::Unavailable)
        );
        let full = World {
            down: Vec::new(),
            full: vec!["only"],
        };
        assert_eq!(
            choose(&[only.clone()], &call, &full),
            Err(Unroutable::Unavailable)
        );
        only.codecs = vec!["G722".into()];
        assert_eq!(choose(&[only], &call, &open()), Err(Unroutable::NoCodec));
    }

    #[test]
    fn pinned_trunk_never_falls_back() {
        let codecs = ["PCMU".to_owned()];
        let trunks = [trunk("a", "192.0.2.1:5060"), trunk("b", "192.0.2.2:5060")];
        let call = Wanted {
            pinned: Some("b"),
            ..wanted("610", &codecs)
        };
        assert_eq!(choose(&trunks, &call, &open()), Ok(vec!["b".to_owned()]));
        let down = World {
            down: vec!["192.0.2.2:5060".parse().unwrap()],
            full: Vec::new(),
        };
        assert_eq!(choose(&trunks, &call, &down), Err(Unroutable::Unavailable));
        let gone = Wanted {
            pinned: Some("c"),
            ..call
        };
        assert_eq!(choose(&trunks, &gone, &open()), Err(Unroutable::NoTrunk));
    }

    #[test]
    fn transit_needs_the_word_of_both_trunks() {
        let codecs = ["PCMU".to_owned()];
        let mut from = trunk("from", "192.0.2.1:5060");
        let mut to = trunk("to", "192.0.2.2:5060");
        to.transit = true;
        let call = Wanted {
            came_from: Some(&from),
            ..wanted("610", &codecs)
        };
        assert_eq!(
            choose(&[to.clone()], &call, &open()),
            Err(Unroutable::NoTrunk)
        );
        from.transit = true;
        let call = Wanted {
            came_from: Some(&from),
            ..wanted("610", &codecs)
        };
        assert_eq!(choose(&[to], &call, &open()), Ok(vec!["to".to_owned()]));
    }

    #[test]
    fn weights_share_the_first_attempt_three_to_one() {
        let codecs = ["PCMU".to_owned()];
        let mut heavy = trunk("heavy", "192.0.2.1:5060");
        heavy.weight = 3;
        let light = trunk("light", "192.0.2.2:5060");
        let trunks = [heavy, light];
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let first_heavy = (0..4000)
            .filter(|_| {
                let routes =
                    routes(&trunks, &wanted("610", &codecs), &open(), &mut random).unwrap();
                assert_eq!(routes.len(), 2);
                routes[0].trunk == "heavy"
            })
            .count();
        assert!((2850..3150).contains(&first_heavy), "{first_heavy}");
    }

    #[test]
    fn targets_of_a_trunk_follow_their_own_priority_and_are_bounded() {
        let codecs = ["PCMU".to_owned()];
        let mut many = trunk("many", "192.0.2.1:5060");
        many.targets = (1..40)
            .map(|last| TrunkTarget {
                address: format!("192.0.2.{last}:5060").parse().unwrap(),
                priority: 100 - last,
                weight: 0,
            })
            .collect();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let routes = routes(&[many], &wanted("610", &codecs), &open(), &mut random).unwrap();
        assert_eq!(routes.len(), ATTEMPTS_MAX);
        assert_eq!(routes[0].target, "192.0.2.39:5060".parse().unwrap());
    }
}
