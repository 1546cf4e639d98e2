//! Bounded tables with generational keys, and the one map of this crate.
//!
//! Owns storage and nothing else: a full table is a value for the caller to answer, a key of an
//! entry that is gone finds nothing, and no iteration order can leak into what is sent.

use std::hash::Hash;

use foldhash::quality::FixedState;

/// A place in a table, and which of its tenants is meant: a key outlives its entry harmlessly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The slot.
    pub index: u32,
    /// Grows by one each time the slot is freed.
    pub generation: u32,
}

/// The table holds as many entries as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A slab of at most `capacity` entries. Memory grows with use, never past the bound.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    capacity: u32,
    count: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

impl<T> Table<T> {
    /// An empty table that refuses the entry after `capacity`.
    #[must_use]
    pub const fn new(capacity: u32) -> Self {
        debug_assert!(capacity > 0, "a table that holds nothing is none");
        debug_assert!(capacity < u32::MAX, "every index has a successor");
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            capacity,
            count: 0,
        }
    }

    /// How many entries it holds.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Entries at most.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// True when nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True when the next `insert` is refused.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count >= self.capacity
    }

    /// Stores an entry.
    ///
    /// # Errors
    /// `Full` when the bound is reached; the entry is dropped.
    pub fn insert(&mut self, entry: T) -> Result<Key, Full> {
        if self.is_full() {
            return Err(Full);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).map_err(|_too_many| Full)?;
                self.slots.push(Slot {
                    generation: 0,
                    entry: None,
                });
                index
            }
        };
        let Some(slot) = self.slots.get_mut(usize_of(index)) else {
            return Err(Full);
        };
        debug_assert!(slot.entry.is_none(), "a free slot is empty");
        slot.entry = Some(entry);
        let key = Key {
            index,
            generation: slot.generation,
        };
        self.count += 1;
        debug_assert!(self.count <= self.capacity, "the bound holds");
        debug_assert_eq!(
            self.slots.len() - self.free.len(),
            usize_of(self.count),
            "every slot is free or counted"
        );
        Ok(key)
    }

    /// The entry of a key, while it lives.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(usize_of(key.index))?;
        if slot.generation == key.generation {
            slot.entry.as_ref()
        } else {
            None
        }
    }

    /// The entry of a key, to change it.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(usize_of(key.index))?;
        if slot.generation == key.generation {
            slot.entry.as_mut()
        } else {
            None
        }
    }

    /// Takes the entry out; its key and all copies of it are dead from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(usize_of(key.index))?;
        if slot.generation != key.generation {
            return None;
        }
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        debug_assert!(self.count > 0, "what is taken out was counted");
        self.count -= 1;
        debug_assert!(
            self.free.len() <= self.slots.len(),
            "no slot is freed twice"
        );
        Some(entry)
    }

    /// All entries in the order of their slots, which the same inputs always reproduce.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            let entry = slot.entry.as_ref()?;
            Some((
                Key {
                    index,
                    generation: slot.generation,
                },
                entry,
            ))
        })
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| {
                let key = Key {
                    index: u32::try_from(index).ok()?,
                    generation: slot.generation,
                };
                Some((key, slot.entry.as_mut()?))
            })
    }

    /// Panics in debug builds where the table contradicts itself.
    pub fn check_invariants(&self) {
        debug_assert!(self.count <= self.capacity, "the bound holds");
        debug_assert_eq!(
            self.slots.len() - self.free.len(),
            usize_of(self.count),
            "every slot is free or counted"
        );
        if cfg!(debug_assertions) {
            let taken = self.slots.iter().filter(|slot| slot.entry.is_some());
            debug_assert_eq!(
                taken.count(),
                usize_of(self.count),
                "what is counted is there"
            );
            for index in &self.free {
                let slot = self.slots.get(usize_of(*index));
                debug_assert!(
                    slot.is_some_and(|slot| slot.entry.is_none()),
                    "a free slot exists and is empty"
                );
            }
        }
    }
}

/// Widening that cannot fail on the platforms this crate supports.
#[must_use]
pub(crate) fn usize_of(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// A map without iteration, hashed with a seed of this endpoint, so that a peer cannot choose
/// colliding keys and an order cannot escape into the trace.
#[derive(Debug)]
pub struct KeyedMap<K, V> {
    #[expect(
        clippy::disallowed_types,
        reason = "this is the crate's keyed map; it never iterates"
    )]
    map: std::collections::HashMap<K, V, FixedState>,
}

impl<K: Hash + Eq, V> KeyedMap<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        #[expect(clippy::disallowed_types, reason = "this is the crate's keyed map")]
        let map = std::collections::HashMap::with_hasher(FixedState::with_seed(seed));
        Self { map }
    }

    /// How many entries it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// True when nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.get_mut(key)
    }

    /// Stores a value, and gives back the one it replaces.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.map.insert(key, value)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// Takes a value out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_of_a_freed_slot_finds_nothing() {
        let mut table = Table::new(2);
        let first = table.insert('a').unwrap();
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b').unwrap();
        assert_eq!(second.index, first.index);
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&'b'));
    }

    #[test]
    fn full_is_a_value() {
        let mut table = Table::new(1);
        let key = table.insert(1).unwrap();
        assert_eq!(table.insert(2), Err(Full));
        assert_eq!(table.remove(key), Some(1));
        assert_eq!(table.insert(3).unwrap().index, key.index);
    }

    proptest! {
        /// The table against a plain list of (key, value).
        #[test]
        fn table_agrees_with_a_model(operations in prop::collection::vec((any::<bool>(), 0_usize..8), 0..200)) {
            let mut table = Table::new(5);
            let mut model: Vec<(Key, usize)> = Vec::new();
            for (number, (add, choice)) in operations.into_iter().enumerate() {
                if add {
                    match table.insert(number) {
                        Ok(key) => model.push((key, number)),
                        Err(Full) => prop_assert_eq!(model.len(), 5),
                    }
                } else if !model.is_empty() {
                    let (key, value) = model.remove(choice % model.len());
                    prop_assert_eq!(table.remove(key), Some(value));
                    prop_assert_eq!(table.get(key), None);
                }
                table.check_invariants();
                prop_assert_eq!(usize_of(table.count()), model.len());
                for (key, value) in &model {
                    prop_assert_eq!(table.get(*key), Some(value));
                }
            }
        }
    }
}
