//! How many connections a listener has at once, and how many of them one client may hold: a client is an
//! address, of IPv6 its /64.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::tries::network;
use crate::trunks::model::Network;

/// The seats of one listener.
#[derive(Debug)]
pub(in crate::http) struct Room {
    max: u32,
    seats: Arc<Semaphore>,
    /// Of each client that holds any: as many entries as there are seats, at most.
    held: Mutex<HashMap<IpAddr, u32>>,
    /// Who has no share, for many come by it.
    unshared: Vec<Network>,
}

/// A seat; dropped, it is free.
#[derive(Debug)]
pub(super) struct Seat {
    room: Arc<Room>,
    /// Whose share it counts in.
    client: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

/// This client holds its share already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShareHeld;

impl Room {
    pub(in crate::http) fn new(max: u32, unshared: Vec<Network>) -> Arc<Self> {
        let seats = usize::try_from(max).unwrap_or(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            max,
            seats: Arc::new(Semaphore::new(seats)),
            held: Mutex::default(),
            unshared,
        })
    }

    /// Waits for a seat; `None`: the room is closed.
    pub(super) async fn seat(self: &Arc<Self>) -> Option<Seat> {
        let permit = Arc::clone(&self.seats).acquire_owned().await.ok()?;
        Some(Seat {
            room: Arc::clone(self),
            client: None,
            _permit: permit,
        })
    }

    /// Waits until every seat is free.
    pub(super) async fn empty(&self) {
        self.seats.acquire_many(self.max).await.ok();
    }

    /// What one client may hold.
    const fn share(&self) -> u32 {
        let share = self.max / SHARES;
        if share == 0 { 1 } else { share }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// It is this peer's from now on.
    ///
    /// # Errors
    /// This peer's client holds its share.
    pub(super) fn given_to(mut self, peer: IpAddr) -> Result<Self, ShareHeld> {
        let peer = peer.to_canonical();
        if self.room.unshared.iter().any(|of| of.contains(peer)) {
            return Ok(self);
        }
        let client = network(peer);
        let mut held = self.room.held();
        let count = held.entry(client).or_default();
        if *count >= self.room.share() {
            return Err(ShareHeld);
        }
        *count += 1;
        drop(held);
        self.client = Some(client);
        Ok(self)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut held = self.room.held();
        if let Some(count) = held.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&client);
            }
        }
    }
}

/// By whom many come: proxies that are trusted, and this machine, where others may stand.
pub(super) fn unshared(trusted: &[Network]) -> Vec<Network> {
    let here = LOOPBACK.iter().filter_map(|text| text.parse().ok());
    here.chain(trusted.iter().copied()).collect()
}

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// A client may hold this part of the seats.
const SHARES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &str = "198.51.100.0/24";

    async fn given(room: &Arc<Room>, peer: &str) -> Result<Seat, ShareHeld> {
        let seat = room.seat().await.unwrap();
        seat.given_to(peer.parse().unwrap())
    }

    #[tokio::test]
    async fn a_client_holds_its_share_and_gives_it_back() {
        let room = Room::new(8, unshared(&[PROXIES.parse().unwrap()]));
        let one = given(&room, "2001:db8::1").await.unwrap();
        let _two = given(&room, "2001:db8::ffff:1").await.unwrap();
        given(&room, "2001:db8::2").await.unwrap_err();
        let _other = given(&room, "2001:db8:0:1::1").await.unwrap();
        let _plain = given(&room, "192.0.2.1").await.unwrap();
        let _mapped = given(&room, "::ffff:192.0.2.1").await.unwrap();
        given(&room, "192.0.2.1").await.unwrap_err();
        assert_eq!(room.seats.available_permits(), 3, "who is refused has none");
        drop(one);
        given(&room, "2001:db8::3").await.unwrap();
    }

    #[tokio::test]
    async fn proxies_and_this_machine_may_hold_every_seat() {
        for peer in ["198.51.100.7", "::ffff:198.51.100.7", "127.0.0.1", "::1"] {
            let room = Room::new(8, unshared(&[PROXIES.parse().unwrap()]));
            let mut seats = Vec::new();
            for _ in 0..8 {
                seats.push(given(&room, peer).await.unwrap());
            }
            assert_eq!(room.seats.available_permits(), 0);
        }
    }

    #[tokio::test]
    async fn nobody_is_remembered_without_a_seat() {
        let room = Room::new(1_024, Vec::new());
        for last in 1..=200 {
            given(&room, &format!("192.0.2.{last}")).await.unwrap();
        }
        assert!(room.held().is_empty());
    }
}
