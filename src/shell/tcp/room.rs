//! How many connections there may be: in all, from one address, and from addresses that nobody knows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::counters::Reason;
use super::limits::{STRANGERS_MAX, TcpLimits};

/// The seats for connections that peers open.
#[derive(Debug)]
pub(super) struct Room {
    limits: TcpLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: u32,
    strangers: u32,
    of_source: BTreeMap<IpAddr, u32>,
}

/// A taken seat; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Arc<Room>,
    source: IpAddr,
    is_stranger: bool,
}

impl Room {
    pub(super) fn new(limits: TcpLimits) -> Self {
        Self {
            limits,
            taken: Mutex::default(),
        }
    }

    /// A seat, or why there is none.
    pub(super) fn take(
        self: &Arc<Self>,
        source: IpAddr,
        is_stranger: bool,
    ) -> Result<Seat, Reason> {
        let source = source.to_canonical();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if is_stranger && taken.strangers >= STRANGERS_MAX {
            return Err(Reason::StrangersFull);
        }
        if taken.total >= self.limits.connections_max {
            return Err(Reason::ConnectionsFull);
        }
        let of_source = taken.of_source.get(&source).copied().unwrap_or(0);
        if of_source >= self.limits.connections_per_source_max {
            return Err(Reason::SourceFull);
        }
        taken.of_source.insert(source, of_source + 1);
        taken.total += 1;
        taken.strangers += u32::from(is_stranger);
        drop(taken);
        Ok(Seat {
            room: Arc::clone(self),
            source,
            is_stranger,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let taken = self.room.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if self.is_stranger {
            taken.strangers = taken.strangers.saturating_sub(1);
        }
        let left = taken.of_source.get_mut(&self.source).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            taken.of_source.remove(&self.source);
        }
        debug_assert!(
            taken.total > 0 || taken.of_source.is_empty(),
            "without connections no address has any"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(connections_max: u32, connections_per_source_max: u32) -> Arc<Room> {
        Arc::new(Room::new(TcpLimits {
            connections_max,
            connections_per_source_max,
        }))
    }

    fn address(last: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + last).into()
    }

    #[test]
    fn one_address_does_not_take_every_seat() {
        let room = room(4, 2);
        let first = room.take(address(1), false).unwrap();
        let _second = room.take(address(1), false).unwrap();
        assert_eq!(
            room.take(address(1), false).unwrap_err(),
            Reason::SourceFull
        );
        let _third = room.take(address(2), false).unwrap();
        let _fourth = room.take(address(3), false).unwrap();
        let refused = room.take(address(4), false).unwrap_err();
        assert_eq!(refused, Reason::ConnectionsFull);
        drop(first);
        let _again = room.take(address(1), false).unwrap();
    }

    #[test]
    fn strangers_leave_room_and_are_forgotten() {
        let room = room(10_000, 64);
        let strangers: Vec<_> = (0..10_000)
            .filter_map(|last| room.take(address(last), true).ok())
            .collect();
        assert_eq!(strangers.len(), usize::try_from(STRANGERS_MAX).unwrap());
        let refused = room.take(address(0), true).unwrap_err();
        assert_eq!(refused, Reason::StrangersFull);
        let _honest = room.take(address(20_000), false).unwrap();
        drop(strangers);
        let taken = room.taken.lock().unwrap();
        assert_eq!(
            (taken.total, taken.strangers, taken.of_source.len()),
            (1, 0, 1)
        );
    }
}
