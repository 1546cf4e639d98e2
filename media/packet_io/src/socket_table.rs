//! `SocketTable`: slots and generations, shared by the three implementations. A key of a closed
//! socket finds nothing, whoever has the slot now.

use crate::packet_io::SocketKey;

/// The open sockets of one implementation.
#[derive(Debug)]
pub(crate) struct SocketTable<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    slots_max: u32,
}

/// One cache line where `T` allows it: each packet touches two of these.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> SocketTable<T> {
    pub(crate) const fn new(slots_max: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            slots_max,
        }
    }

    /// The key the next `insert` will give; `None`: the table is full.
    pub(crate) fn next_key(&self) -> Option<SocketKey> {
        if let Some(&slot) = self.free.last() {
            return Some(SocketKey {
                slot,
                generation: self.generation(slot)?,
            });
        }
        let slot = u32::try_from(self.slots.len()).ok()?;
        (slot < self.slots_max).then_some(SocketKey {
            slot,
            generation: 0,
        })
    }

    /// Puts `value` under `next_key`.
    pub(crate) fn insert(&mut self, value: T) -> Option<SocketKey> {
        let key = self.next_key()?;
        if let Some(slot) = self.free.pop() {
            self.slots.get_mut(slot as usize)?.value = Some(value);
        } else {
            self.slots.push(Slot {
                generation: 0,
                value: Some(value),
            });
        }
        Some(key)
    }

    pub(crate) fn remove(&mut self, key: SocketKey) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, key: SocketKey) -> Option<&T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: SocketKey) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// Who has that slot now.
    pub(crate) fn key_of_slot(&self, slot: u32) -> Option<SocketKey> {
        let entry = self.slots.get(slot as usize)?;
        entry.value.as_ref().map(|_| SocketKey {
            slot,
            generation: entry.generation,
        })
    }

    /// Each open socket, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.value.as_mut())
    }

    /// The open sockets, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketKey, &T)> {
        (0..).zip(&self.slots).filter_map(|(slot, entry)| {
            let key = SocketKey {
                slot,
                generation: entry.generation,
            };
            entry.value.as_ref().map(|value| (key, value))
        })
    }

    fn generation(&self, slot: u32) -> Option<u32> {
        self.slots.get(slot as usize).map(|slot| slot.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_has_another_generation_and_the_old_key_finds_nothing() {
        let mut table = SocketTable::new(2);
        let first = table.insert('a').expect("room for two");
        let second = table.insert('b').expect("room for two");
        assert_eq!(table.insert('c'), None);
        assert_eq!(table.remove(first), Some('a'));
        assert_eq!(table.remove(first), None);
        let third = table.insert('c').expect("a slot is free");
        assert_eq!(third.slot, first.slot);
        assert_ne!(third.generation, first.generation);
        assert_eq!(table.get(first), None);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.get(third), Some(&'c'));
        assert_eq!(
            table.iter().map(|(key, _)| key).collect::<Vec<_>>(),
            [third, second]
        );
    }
}
