//! The deadline queue: which owner must be woken next.
//!
//! Owns one entry an owner, kept by a token that dies with it: a stale timer cannot fire on a
//! reused slot, and moving a deadline leaves nothing behind. It knows no clock; equal instants come
//! out in the order in which they were set.

use std::time::Instant;

use crate::table::usize_of;

/// A scheduled deadline; dies when the deadline fires or is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    slot: u32,
    generation: u32,
}

/// A binary heap whose entries can be moved and taken out by token.
#[derive(Debug)]
pub struct DeadlineQueue<O> {
    heap: Vec<Entry<O>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<O> {
    at: Instant,
    sequence: u64,
    slot: u32,
    owner: O,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    generation: u32,
    position: Option<usize>,
}

impl<O> Default for DeadlineQueue<O> {
    fn default() -> Self {
        Self {
            heap: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            sequence: 0,
        }
    }
}

impl<O: Copy> DeadlineQueue<O> {
    /// Makes `token` mean `at`, or nothing: schedules, moves or cancels as needed.
    pub fn set(&mut self, token: &mut Option<Token>, owner: O, at: Option<Instant>) {
        if let (Some(current), Some(at)) = (*token, at)
            && let Some(position) = self.position(current)
            && let Some(entry) = self.heap.get_mut(position)
        {
            if entry.at != at {
                self.sequence += 1;
                entry.at = at;
                entry.sequence = self.sequence;
                self.settle(position);
            }
            return;
        }
        if let Some(current) = token.take() {
            self.cancel(current);
        }
        *token = at.and_then(|at| self.schedule(at, owner));
        debug_assert_eq!(token.is_some(), at.is_some(), "armed exactly where asked");
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.at)
    }

    /// Takes out the earliest owner whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<O> {
        let first = self.heap.first()?;
        if first.at > now {
            return None;
        }
        let (owner, at) = (first.owner, first.at);
        self.remove_at(0);
        debug_assert!(at <= now, "nothing fires early");
        debug_assert!(
            self.next().is_none_or(|next| next >= at),
            "the earliest came first"
        );
        Some(owner)
    }

    /// How many deadlines are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True when nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// True where this token has a deadline.
    #[must_use]
    pub fn has(&self, token: Option<Token>) -> bool {
        token.and_then(|token| self.position(token)).is_some()
    }

    /// Cancels what is not wanted any more.
    pub fn retain(&mut self, is_wanted: impl Fn(O, Token) -> bool) {
        let unwanted: Vec<Token> = self
            .heap
            .iter()
            .filter_map(|entry| {
                let generation = self.slots.get(usize_of(entry.slot))?.generation;
                let token = Token {
                    slot: entry.slot,
                    generation,
                };
                (!is_wanted(entry.owner, token)).then_some(token)
            })
            .collect();
        let kept = self.len().saturating_sub(unwanted.len());
        for token in unwanted {
            debug_assert!(self.has(Some(token)), "what is cancelled was there");
            self.cancel(token);
        }
        debug_assert_eq!(self.len(), kept, "only those went");
    }

    fn schedule(&mut self, at: Instant, owner: O) -> Option<Token> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot {
                    generation: 0,
                    position: None,
                });
                slot
            }
        };
        let position = self.heap.len();
        self.sequence += 1;
        self.heap.push(Entry {
            at,
            sequence: self.sequence,
            slot,
            owner,
        });
        let state = self.slots.get_mut(usize_of(slot))?;
        debug_assert!(state.position.is_none(), "a free slot has no place");
        state.position = Some(position);
        let token = Token {
            slot,
            generation: state.generation,
        };
        self.settle(position);
        debug_assert!(self.position(token).is_some(), "a new token lives");
        Some(token)
    }

    fn cancel(&mut self, token: Token) {
        if let Some(position) = self.position(token) {
            self.remove_at(position);
        }
    }

    fn position(&self, token: Token) -> Option<usize> {
        let slot = self.slots.get(usize_of(token.slot))?;
        if slot.generation == token.generation {
            slot.position
        } else {
            None
        }
    }

    fn remove_at(&mut self, position: usize) {
        let Some(last) = self.heap.len().checked_sub(1) else {
            return;
        };
        self.swap(position, last);
        let Some(entry) = self.heap.pop() else { return };
        debug_assert!(position <= last, "what is taken out was in");
        debug_assert_eq!(self.heap.len(), last, "one entry goes");
        if let Some(slot) = self.slots.get_mut(usize_of(entry.slot)) {
            slot.position = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(entry.slot);
        }
        if position < self.heap.len() {
            self.settle(position);
        }
    }

    /// Moves the entry at `position` to where it belongs.
    fn settle(&mut self, position: usize) {
        let mut here = position;
        while here > 0 && self.is_before(here, (here - 1) / 2) {
            self.swap(here, (here - 1) / 2);
            here = (here - 1) / 2;
        }
        loop {
            let mut least = here;
            for child in [2 * here + 1, 2 * here + 2] {
                if child < self.heap.len() && self.is_before(child, least) {
                    least = child;
                }
            }
            if least == here {
                return;
            }
            self.swap(here, least);
            here = least;
        }
    }

    fn is_before(&self, left: usize, right: usize) -> bool {
        match (self.heap.get(left), self.heap.get(right)) {
            (Some(left), Some(right)) => (left.at, left.sequence) < (right.at, right.sequence),
            (None, _) | (_, None) => false,
        }
    }

    fn swap(&mut self, left: usize, right: usize) {
        self.heap.swap(left, right);
        for position in [left, right] {
            if let Some(entry) = self.heap.get(position)
                && let Some(slot) = self.slots.get_mut(usize_of(entry.slot))
            {
                slot.position = Some(position);
            }
        }
    }

    /// Panics in debug builds where the heap and its tokens disagree.
    pub fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            for (position, entry) in self.heap.iter().enumerate() {
                debug_assert!(
                    position == 0 || !self.is_before(position, (position - 1) / 2),
                    "a parent is never later than its child"
                );
                let slot = self
                    .slots
                    .get(usize_of(entry.slot))
                    .map(|slot| slot.position);
                debug_assert_eq!(slot, Some(Some(position)), "a token knows its place");
            }
            debug_assert_eq!(
                self.slots.len(),
                self.free.len() + self.heap.len(),
                "no slot is lost"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
    fn base() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_token_of_a_fired_deadline_is_dead() {
        let start = base();
        let mut queue = DeadlineQueue::default();
        let mut first = None;
        queue.set(&mut first, 'a', Some(start));
        assert_eq!(queue.pop_due(start), Some('a'));
        let mut second = None;
        queue.set(&mut second, 'b', Some(start));
        queue.set(&mut first, 'a', None);
        assert_eq!(queue.pop_due(start), Some('b'));
    }

    #[test]
    fn equal_instants_fire_in_the_order_they_were_set() {
        let start = base();
        let mut queue = DeadlineQueue::default();
        for owner in 0..20 {
            queue.set(&mut None, owner, Some(start));
        }
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop_due(start)).collect();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }

    proptest! {
        /// Sets, moves and cancellations in any order: what is due is what a plain list says.
        #[test]
        fn queue_agrees_with_a_model(operations in prop::collection::vec((0_usize..8, prop::option::of(0_u64..50)), 1..200)) {
            let start = base();
            let mut queue = DeadlineQueue::default();
            let mut tokens = [None; 8];
            let mut model: [Option<u64>; 8] = [None; 8];
            for (owner, at) in operations {
                queue.set(&mut tokens[owner], owner, at.map(|at| start + Duration::from_millis(at)));
                model[owner] = at;
                queue.check_invariants();
                let least = model.iter().flatten().min().map(|at| start + Duration::from_millis(*at));
                prop_assert_eq!(queue.next(), least);
            }
            let mut due = Vec::new();
            while let Some(owner) = queue.pop_due(start + Duration::from_millis(25)) {
                queue.check_invariants();
                due.push(owner);
            }
            due.sort_unstable();
            let expected: Vec<usize> = (0..8).filter(|owner| model[*owner].is_some_and(|at| at <= 25)).collect();
            prop_assert_eq!(due, expected);
        }
    }
}
