//! One deadline a leg, in a binary heap that knows where each leg stands: moving a deadline moves
//! its entry, so the heap never holds more than one entry a leg.

/// The heap. Slots are those of the pair table.
#[derive(Debug)]
pub(super) struct DeadlineQueue {
    heap: Vec<Entry>,
    position: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at_us: u64,
    slot: u32,
}

/// A slot that is not in the heap.
const ABSENT: u32 = u32::MAX;

impl DeadlineQueue {
    pub(super) fn new(slots: u32) -> Self {
        let slots = slots as usize;
        Self {
            heap: Vec::with_capacity(slots),
            position: vec![ABSENT; slots],
        }
    }

    /// Sets or moves or (`None`) removes the deadline of a slot.
    pub(super) fn set(&mut self, slot: u32, at_us: Option<u64>) {
        let Some(position) = self.position.get(slot as usize).copied() else {
            return;
        };
        debug_assert!(
            position == ABSENT || (position as usize) < self.heap.len(),
            "a slot knows a place that there is"
        );
        match (at_us, position) {
            (None, ABSENT) => {}
            (None, position) => self.remove(position as usize),
            (Some(at_us), ABSENT) => {
                self.heap.push(Entry { at_us, slot });
                let last = self.heap.len() - 1;
                self.note(last);
                self.rise(last);
            }
            (Some(at_us), position) => {
                let position = position as usize;
                if let Some(entry) = self.heap.get_mut(position) {
                    entry.at_us = at_us;
                }
                self.rise(position);
                self.sink(self.position_of(slot));
            }
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<u64> {
        self.heap.first().map(|entry| entry.at_us)
    }

    /// Takes a slot whose deadline is due.
    pub(super) fn take_due(&mut self, now_us: u64) -> Option<u32> {
        let entry = *self.heap.first().filter(|entry| entry.at_us <= now_us)?;
        self.remove(0);
        debug_assert!(
            self.next().is_none_or(|next| next >= entry.at_us),
            "the earliest came first"
        );
        debug_assert!(
            self.position_of(entry.slot) == ABSENT as usize,
            "what was taken is not in the heap"
        );
        Some(entry.slot)
    }

    /// True if the order holds and every slot knows its place.
    pub(super) fn is_consistent(&self) -> bool {
        let in_order = (1..self.heap.len()).all(|at| !self.is_earlier(at, (at - 1) / 2));
        let known = self
            .heap
            .iter()
            .zip(0_usize..)
            .all(|(entry, at)| self.position_of(entry.slot) == at);
        let present = self
            .position
            .iter()
            .filter(|position| **position != ABSENT)
            .count();
        in_order && known && present == self.heap.len()
    }

    fn remove(&mut self, position: usize) {
        let last = self.heap.len().saturating_sub(1);
        debug_assert!(position <= last, "what is removed is in the heap");
        self.heap.swap(position, last);
        if let Some(removed) = self.heap.pop()
            && let Some(place) = self.position.get_mut(removed.slot as usize)
        {
            *place = ABSENT;
        }
        if position < self.heap.len() {
            self.note(position);
            self.rise(position);
            self.sink(position);
        }
    }

    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if !self.is_earlier(position, parent) {
                return;
            }
            self.exchange(position, parent);
            position = parent;
        }
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let (left, right) = (2 * position + 1, 2 * position + 2);
            let child = if right < self.heap.len() && self.is_earlier(right, left) {
                right
            } else {
                left
            };
            if child >= self.heap.len() || !self.is_earlier(child, position) {
                return;
            }
            self.exchange(position, child);
            position = child;
        }
    }

    fn exchange(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.note(one);
        self.note(other);
    }

    /// By slot among equals, so that a run replays.
    fn is_earlier(&self, one: usize, other: usize) -> bool {
        let key = |at: usize| self.heap.get(at).map(|entry| (entry.at_us, entry.slot));
        key(one) < key(other)
    }

    fn note(&mut self, position: usize) {
        if let Some(entry) = self.heap.get(position)
            && let Some(place) = self.position.get_mut(entry.slot as usize)
        {
            *place = u32::try_from(position).unwrap_or(ABSENT);
        }
    }

    fn position_of(&self, slot: u32) -> usize {
        self.position
            .get(slot as usize)
            .map_or(usize::MAX, |position| *position as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a sorted map: same order, whatever is set, moved and removed.
        #[test]
        fn the_heap_is_a_sorted_map(
            steps in proptest::collection::vec((0_u32..20, proptest::option::of(0_u64..100)), 0..200),
            now in 0_u64..100,
        ) {
            let mut queue = DeadlineQueue::new(20);
            let mut model = BTreeMap::new();
            for (slot, at) in steps {
                queue.set(slot, at);
                match at {
                    Some(at) => { model.insert(slot, at); }
                    None => { model.remove(&slot); }
                }
                prop_assert!(queue.is_consistent());
                prop_assert_eq!(queue.next(), model.values().min().copied());
            }
            let mut due: Vec<_> = model.iter().filter(|(_, at)| **at <= now).map(|(slot, at)| (*at, *slot)).collect();
            due.sort_unstable();
            let mut taken = Vec::new();
            while let Some(slot) = queue.take_due(now) {
                prop_assert!(queue.is_consistent());
                taken.push((model[&slot], slot));
            }
            prop_assert_eq!(taken, due);
        }
    }
}
