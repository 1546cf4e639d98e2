//! What is counted and remembered of orders for calls: how many a token gave within a minute, how
//! many of its calls are up, and which keys have been seen. Pure; time is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::command::{CommandRefusal, Grant, Idempotency};
use super::view::{CallState, CallView};

/// Tokens whose calls are counted. An idle one is forgotten when a new one needs its place.
pub(super) const TOKENS_MAX: usize = 4_096;
/// Keys remembered: at 100 octets each and their tables, 4 MiB.
pub(super) const KEYS_MAX: usize = 16_384;
/// How long a key stands for its order.
pub(super) const KEY_LIFE: Duration = Duration::from_secs(600);
/// Placed calls that are over and can still be asked for.
pub(super) const FORMER_MAX: usize = 1_024;
/// How long they can.
pub(super) const FORMER_LIFE: Duration = Duration::from_secs(600);

/// Seconds of a minute, and the one that runs: never more than the cap within any 60 s.
const BUCKETS: usize = 61;

/// All tokens, keys and calls that are over.
#[derive(Debug, Default)]
pub(super) struct Orders {
    tokens: BTreeMap<String, Usage>,
    keys: BTreeMap<(String, String), Known>,
    keys_by_age: VecDeque<(Instant, (String, String))>,
    former: VecDeque<(Instant, CallView)>,
}

#[derive(Debug)]
struct Usage {
    active: u32,
    began: Instant,
    /// The second that runs, since `began`.
    second: u64,
    orders: [u32; BUCKETS],
}

#[derive(Debug)]
struct Known {
    digest: [u8; 32],
    call: String,
}

impl Usage {
    const fn new(now: Instant) -> Self {
        Self {
            active: 0,
            began: now,
            second: 0,
            orders: [0; BUCKETS],
        }
    }

    /// Seconds that have passed are empty.
    fn turn(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.began).as_secs();
        let passed = second.saturating_sub(self.second);
        for ahead in 1..=passed.min(BUCKETS as u64) {
            if let Some(bucket) = self.orders.get_mut(bucket(self.second + ahead)) {
                *bucket = 0;
            }
        }
        self.second = second;
    }

    fn within_a_minute(&self) -> u32 {
        self.orders.iter().sum()
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.turn(now);
        self.active == 0 && self.within_a_minute() == 0
    }
}

fn bucket(second: u64) -> usize {
    usize::try_from(second % BUCKETS as u64).unwrap_or_default()
}

impl Orders {
    /// One more order of this token: counted where its caps let it through.
    pub(super) fn admit(&mut self, grant: &Grant, now: Instant) -> Result<(), CommandRefusal> {
        if self.tokens.len() >= TOKENS_MAX && !self.tokens.contains_key(&grant.token) {
            self.tokens.retain(|_, usage| !usage.is_idle(now));
            if self.tokens.len() >= TOKENS_MAX {
                return Err(CommandRefusal::Busy);
            }
        }
        let usage = self.tokens.entry(grant.token.clone());
        let usage = usage.or_insert_with(|| Usage::new(now));
        usage.turn(now);
        if grant
            .concurrent_calls
            .is_some_and(|cap| usage.active >= cap)
        {
            return Err(CommandRefusal::TokenConcurrentCalls);
        }
        let lately = usage.within_a_minute();
        if grant.calls_per_minute.is_some_and(|cap| lately >= cap) {
            return Err(CommandRefusal::TokenCallsPerMinute);
        }
        if let Some(orders) = usage.orders.get_mut(bucket(usage.second)) {
            *orders = orders.saturating_add(1);
        }
        Ok(())
    }

    /// A call of this token begins; it counts until [`Orders::end`].
    pub(super) fn begin(&mut self, token: &str) {
        if let Some(usage) = self.tokens.get_mut(token) {
            usage.active += 1;
        } else {
            debug_assert!(false, "an order was admitted");
        }
    }

    /// It is over.
    pub(super) fn end(&mut self, token: &str, view: CallView, now: Instant) {
        if let Some(usage) = self.tokens.get_mut(token) {
            debug_assert!(usage.active > 0, "ended once more than begun");
            usage.active = usage.active.saturating_sub(1);
        }
        self.forget_old(now);
        if self.former.len() >= FORMER_MAX {
            self.former.pop_front();
        }
        self.former.push_back((now, view));
    }

    /// Calls of all tokens that are up.
    pub(super) fn active(&self) -> usize {
        let active = |usage: &Usage| usize::try_from(usage.active).unwrap_or(usize::MAX);
        self.tokens.values().map(active).sum()
    }

    /// The call that this key stands for already.
    pub(super) fn known(
        &mut self,
        token: &str,
        idempotency: &Idempotency,
        now: Instant,
    ) -> Result<Option<String>, CommandRefusal> {
        self.forget_old(now);
        let key = (token.to_owned(), idempotency.key.clone());
        match self.keys.get(&key) {
            None if self.keys.len() >= KEYS_MAX => Err(CommandRefusal::Busy),
            None => Ok(None),
            Some(known) if known.digest == idempotency.digest => Ok(Some(known.call.clone())),
            Some(_) => Err(CommandRefusal::IdempotencyConflict),
        }
    }

    /// From now on this key stands for this call.
    pub(super) fn remember(
        &mut self,
        token: &str,
        idempotency: Idempotency,
        call: &str,
        now: Instant,
    ) {
        let key = (token.to_owned(), idempotency.key);
        let known = Known {
            digest: idempotency.digest,
            call: call.to_owned(),
        };
        self.keys.insert(key.clone(), known);
        self.keys_by_age.push_back((now, key));
        debug_assert_eq!(self.keys.len(), self.keys_by_age.len(), "each key is once");
    }

    /// A placed call that is over.
    pub(super) fn former(&self, call: &str) -> Option<&CallView> {
        let mut former = self.former.iter().rev();
        let found = former.find(|(_, view)| view.id == call);
        found.map(|(_, view)| view).inspect(|view| {
            debug_assert_eq!(view.state, CallState::Ended, "what is over is over");
        })
    }

    fn forget_old(&mut self, now: Instant) {
        let old = |since: Instant, life| now.saturating_duration_since(since) >= life;
        while let Some((_, key)) = self
            .keys_by_age
            .pop_front_if(|(since, _)| old(*since, KEY_LIFE))
        {
            self.keys.remove(&key);
        }
        while self
            .former
            .pop_front_if(|(since, _)| old(*since, FORMER_LIFE))
            .is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(calls_per_minute: Option<u32>, concurrent_calls: Option<u32>) -> Grant {
        Grant {
            calls_per_minute,
            concurrent_calls,
            ..Grant::unlimited("one")
        }
    }

    #[test]
    fn never_more_than_the_cap_within_any_minute() {
        let start = Instant::now();
        let mut orders = Orders::default();
        let capped = grant(Some(3), None);
        let mut admitted = Vec::new();
        for step in 0..1_000_u32 {
            let now = start + Duration::from_millis(370) * step;
            if orders.admit(&capped, now).is_ok() {
                admitted.push(now);
            }
        }
        assert!(admitted.len() >= 15, "it goes on: {}", admitted.len());
        for four in admitted.windows(4) {
            let within = four[3].duration_since(four[0]);
            assert!(within >= Duration::from_secs(60), "{within:?}");
        }
        let other = Grant::unlimited("two");
        assert_eq!(orders.admit(&other, start), Ok(()), "each token by itself");
    }

    #[test]
    fn calls_at_once_count_until_they_end() {
        let now = Instant::now();
        let mut orders = Orders::default();
        let capped = grant(None, Some(1));
        assert_eq!(orders.admit(&capped, now), Ok(()));
        orders.begin("one");
        assert_eq!(
            orders.admit(&capped, now),
            Err(CommandRefusal::TokenConcurrentCalls)
        );
        orders.end("one", CallView::ended("c1"), now);
        assert_eq!(orders.admit(&capped, now), Ok(()));
        assert!(orders.former("c1").is_some());
        assert!(orders.former("c2").is_none());
    }

    #[test]
    fn key_stands_for_its_order_for_ten_minutes() {
        let now = Instant::now();
        let mut orders = Orders::default();
        let key = |digest| Idempotency {
            key: "k".into(),
            digest: [digest; 32],
        };
        assert_eq!(orders.known("one", &key(1), now), Ok(None));
        orders.remember("one", key(1), "c1", now);
        assert_eq!(orders.known("one", &key(1), now), Ok(Some("c1".into())));
        assert_eq!(
            orders.known("one", &key(2), now),
            Err(CommandRefusal::IdempotencyConflict)
        );
        assert_eq!(orders.known("two", &key(2), now), Ok(None), "each its own");
        let later = now + KEY_LIFE;
        assert_eq!(orders.known("one", &key(2), later), Ok(None));
        assert!(orders.keys.is_empty() && orders.keys_by_age.is_empty());
    }

    #[test]
    fn tables_are_bounded() {
        let now = Instant::now();
        let mut orders = Orders::default();
        for number in 0..TOKENS_MAX {
            let grant = Grant::unlimited(number.to_string());
            assert_eq!(orders.admit(&grant, now), Ok(()));
        }
        let one_more = Grant::unlimited("more");
        assert_eq!(orders.admit(&one_more, now), Err(CommandRefusal::Busy));
        let later = now + Duration::from_secs(62);
        assert_eq!(orders.admit(&one_more, later), Ok(()));
        assert_eq!(orders.tokens.len(), 1, "the idle ones are forgotten");
        for number in 0..2 * FORMER_MAX {
            orders.begin("more");
            orders.end("more", CallView::ended(&number.to_string()), later);
        }
        assert_eq!(orders.former.len(), FORMER_MAX);
        for number in 0..KEYS_MAX {
            let idempotency = Idempotency {
                key: number.to_string(),
                digest: [0; 32],
            };
            assert_eq!(orders.known("more", &idempotency, later), Ok(None));
            orders.remember("more", idempotency, "c", later);
        }
        let idempotency = Idempotency {
            key: "more".into(),
            digest: [0; 32],
        };
        let refused = orders.known("more", &idempotency, later);
        assert_eq!(refused, Err(CommandRefusal::Busy));
    }
}
