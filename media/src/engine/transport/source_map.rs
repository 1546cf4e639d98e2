//! From a source address to the transport that it is nominated by: one look for each packet of a
//! browser. Open addressing over a fixed table, keyed, so that nobody who may choose an address
//! chooses its place.

use crate::ingress::PeerAddress;

/// Addresses of as many transports as it was made for, two each.
#[derive(Debug)]
pub(super) struct SourceMap {
    places: Box<[Option<(PeerAddress, u32)>]>,
    key: u64,
    len: usize,
    max: usize,
}

impl SourceMap {
    /// For this many addresses.
    pub(super) fn new(max: usize, key: u64) -> Self {
        let places = if max == 0 {
            0
        } else {
            (2 * max).next_power_of_two()
        };
        Self {
            places: vec![None; places].into_boxed_slice(),
            key,
            len: 0,
            max,
        }
    }

    /// Whose address it is.
    #[inline]
    pub(super) fn get(&self, source: &PeerAddress) -> Option<u32> {
        let mut at = self.home(source);
        loop {
            let (address, slot) = (*self.places.get(at)?)?;
            if address == *source {
                return Some(slot);
            }
            at = self.after(at);
        }
    }

    /// The address is that one's from now on. False: there is no room.
    pub(super) fn insert(&mut self, source: PeerAddress, slot: u32) -> bool {
        let mut at = self.home(&source);
        let mask = self.places.len().wrapping_sub(1);
        loop {
            match self.places.get_mut(at) {
                None => return false,
                Some(Some((address, owner))) if *address == source => {
                    *owner = slot;
                    return true;
                }
                Some(Some(_)) => at = (at + 1) & mask,
                Some(place) if self.len < self.max => {
                    *place = Some((source, slot));
                    self.len += 1;
                    return true;
                }
                Some(_) => return false,
            }
        }
    }

    /// The address is nobody's, if it was that one's.
    pub(super) fn remove(&mut self, source: &PeerAddress, slot: u32) {
        let mut at = self.home(source);
        loop {
            match self.places.get(at).copied().flatten() {
                None => return,
                Some((address, owner)) if address == *source => {
                    if owner == slot {
                        self.close(at);
                        self.len -= 1;
                    }
                    return;
                }
                Some(_) => at = self.after(at),
            }
        }
    }

    /// Who stands behind a place that became free moves up, so that a look may end at the first free one.
    fn close(&mut self, mut free: usize) {
        let mut at = self.after(free);
        while let Some(entry) = self.places.get(at).copied().flatten() {
            let mask = self.places.len().wrapping_sub(1);
            let from_home = at.wrapping_sub(self.home(&entry.0)) & mask;
            let from_free = at.wrapping_sub(free) & mask;
            if from_home >= from_free {
                self.set(free, Some(entry));
                free = at;
            }
            at = self.after(at);
        }
        self.set(free, None);
    }

    fn set(&mut self, at: usize, entry: Option<(PeerAddress, u32)>) {
        if let Some(place) = self.places.get_mut(at) {
            *place = entry;
        }
    }

    /// Every address with its owner.
    pub(super) fn entries(&self) -> impl Iterator<Item = (PeerAddress, u32)> {
        self.places.iter().copied().flatten()
    }

    #[inline]
    fn home(&self, source: &PeerAddress) -> usize {
        let [first, second, third] = source.words();
        let half = mix(first ^ self.key, second ^ ODD);
        let whole = mix(half ^ third, self.key.rotate_left(32) ^ ODD);
        let mask = self.places.len().wrapping_sub(1);
        usize::try_from(whole & u64::from(u32::MAX)).unwrap_or_default() & mask
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & self.places.len().wrapping_sub(1)
    }
}

/// Both halves of a product, one upon the other.
#[inline]
fn mix(one: u64, other: u64) -> u64 {
    let (low, high) = one.carrying_mul(other, 0);
    low ^ high
}

/// An odd number of many ones and zeros.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use super::*;
    use proptest::prelude::*;

    fn source(number: u16) -> PeerAddress {
        SocketAddr::from(([192, 0, 2, 7], number)).into()
    }

    #[test]
    fn a_map_of_nothing_finds_nothing() {
        let mut map = SourceMap::new(0, 1);
        assert_eq!(map.get(&source(1)), None);
        assert!(!map.insert(source(1), 1));
        map.remove(&source(1), 1);
        assert_eq!(map.entries().count(), 0);
    }

    proptest! {
        /// Against a sorted map, in a table that is full again and again.
        #[test]
        fn the_table_is_a_map(
            key in any::<u64>(),
            steps in proptest::collection::vec((0_u16..24, 0_u32..3, any::<bool>()), 0..300),
        ) {
            let mut map = SourceMap::new(8, key);
            let mut model = BTreeMap::new();
            for (number, slot, is_insert) in steps {
                if is_insert {
                    let has_room = model.len() < 8 || model.contains_key(&number);
                    prop_assert_eq!(map.insert(source(number), slot), has_room);
                    if has_room {
                        model.insert(number, slot);
                    }
                } else {
                    map.remove(&source(number), slot);
                    if model.get(&number) == Some(&slot) {
                        model.remove(&number);
                    }
                }
                for number in 0..24 {
                    prop_assert_eq!(map.get(&source(number)), model.get(&number).copied());
                }
                prop_assert_eq!(map.entries().count(), model.len());
            }
        }
    }
}
