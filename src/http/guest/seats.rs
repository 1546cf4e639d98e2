//! How many WebSockets a client may hold, how many all may, and how often a client may load pages and
//! call. A client is an address; of IPv6 its /64.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::figures::{GuestFigures, GuestRefused};
use crate::http::tries::network;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestLimits {
    /// WebSockets at once.
    pub connections_max: u32,
    /// Of these, those of one client.
    pub connections_per_client_max: u32,
    /// Pages that one client may load a minute, and as many at once; calls that it may begin, likewise.
    pub loads_per_minute_max: u32,
}

/// Who sits where.
#[derive(Debug)]
pub(super) struct Seats {
    limits: GuestLimits,
    figures: Arc<GuestFigures>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    taken: u32,
    calls: u32,
    clients: HashMap<IpAddr, Client>,
}

#[derive(Debug)]
struct Client {
    taken: u32,
    calls: u32,
    loads: Bucket,
    begun: Bucket,
}

/// What happens at a rate, and as often at once as in a minute: when nothing of it will count any more.
#[derive(Debug, Clone, Copy)]
struct Bucket(Instant);

impl Bucket {
    /// One more.
    ///
    /// # Errors
    /// Too often; how long to wait.
    fn fill(&mut self, now: Instant, per_minute_max: u32) -> Result<(), Duration> {
        let filled = self.0.max(now) + MINUTE / per_minute_max.max(1);
        let over = filled.saturating_duration_since(now + MINUTE);
        if !over.is_zero() {
            return Err(over);
        }
        self.0 = filled;
        Ok(())
    }
}

/// A WebSocket's place; dropped, it is free.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    client: IpAddr,
}

/// A call's place; dropped, it is free.
#[derive(Debug)]
pub(super) struct CallSeat {
    seats: Arc<Seats>,
    client: IpAddr,
}

impl Seats {
    pub(super) fn new(limits: GuestLimits, figures: Arc<GuestFigures>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            figures,
            table: Mutex::default(),
        })
    }

    /// A place for a WebSocket.
    ///
    /// # Errors
    /// All are taken, or this client has its share.
    pub(super) fn take(
        self: &Arc<Self>,
        now: Instant,
        client: IpAddr,
    ) -> Result<Seat, GuestRefused> {
        let mut table = self.table();
        if table.taken >= self.limits.connections_max {
            return Err(GuestRefused::TooManyConnections);
        }
        let (client, entry) = table.client(now, client);
        if entry.taken >= self.limits.connections_per_client_max {
            return Err(GuestRefused::TooManyOfClient);
        }
        entry.taken += 1;
        table.taken += 1;
        self.publish(&table);
        drop(table);
        Ok(Seat {
            seats: Arc::clone(self),
            client,
        })
    }

    /// A place for a call. It has its own, for a call whose WebSocket is lost goes on, and another WebSocket
    /// must find a place to bring it back.
    ///
    /// # Errors
    /// As many calls as there may be WebSockets, of all or of this client; or this client begins them too
    /// fast. A call that is refused further on counts too, for it takes work.
    pub(super) fn call(
        self: &Arc<Self>,
        now: Instant,
        client: IpAddr,
    ) -> Result<CallSeat, GuestRefused> {
        let mut table = self.table();
        if table.calls >= self.limits.connections_max {
            return Err(GuestRefused::TooManyConnections);
        }
        let (client, entry) = table.client(now, client);
        if entry.calls >= self.limits.connections_per_client_max {
            return Err(GuestRefused::TooManyOfClient);
        }
        let begun = entry.begun.fill(now, self.limits.loads_per_minute_max);
        begun.map_err(|_wait| GuestRefused::TooManyCalls)?;
        entry.calls += 1;
        table.calls += 1;
        drop(table);
        Ok(CallSeat {
            seats: Arc::clone(self),
            client,
        })
    }

    /// A client loads a page.
    ///
    /// # Errors
    /// Too often; how long to wait.
    pub(super) fn load(&self, now: Instant, client: IpAddr) -> Result<(), Duration> {
        let mut table = self.table();
        let (_client, entry) = table.client(now, client);
        entry.loads.fill(now, self.limits.loads_per_minute_max)
    }

    fn publish(&self, table: &Table) {
        let taken = u64::from(table.taken);
        self.figures.connections.store(taken, Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn client(&mut self, now: Instant, address: IpAddr) -> (IpAddr, &mut Client) {
        let mut client = network(address);
        if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(&client) {
            self.clients.retain(|_, client| {
                let empty_at = client.loads.0.max(client.begun.0);
                client.taken + client.calls > 0 || empty_at > now
            });
            if self.clients.len() >= CLIENTS_MAX {
                // Whoever finds no place in the table shares the bounds of one client.
                client = OVERFLOW;
            }
        }
        let entry = self.clients.entry(client).or_insert(Client {
            taken: 0,
            calls: 0,
            loads: Bucket(now),
            begun: Bucket(now),
        });
        (client, entry)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.seats.table();
        table.taken = table.taken.saturating_sub(1);
        self.seats.publish(&table);
        if let Some(client) = table.clients.get_mut(&self.client) {
            client.taken = client.taken.saturating_sub(1);
        }
    }
}

impl Drop for CallSeat {
    fn drop(&mut self) {
        let mut table = self.seats.table();
        table.calls = table.calls.saturating_sub(1);
        if let Some(client) = table.clients.get_mut(&self.client) {
            client.calls = client.calls.saturating_sub(1);
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Clients that are told apart.
const CLIENTS_MAX: usize = 16_384;
/// One more entry than the bound.
const OVERFLOW: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GuestLimits = GuestLimits {
        connections_max: 3,
        connections_per_client_max: 2,
        loads_per_minute_max: 4,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_its_share_of_the_seats_and_gives_it_back() {
        let (seats, now) = (Seats::new(LIMITS, Arc::default()), Instant::now());
        let take = |client| seats.take(now, address(client));
        let one = take("2001:db8::1").unwrap();
        let _two = take("2001:db8::ffff:1").unwrap();
        assert_eq!(
            take("2001:db8::2").unwrap_err(),
            GuestRefused::TooManyOfClient
        );
        let three = take("2001:db8:0:1::1").unwrap();
        assert_eq!(
            take("192.0.2.1").unwrap_err(),
            GuestRefused::TooManyConnections
        );
        drop(one);
        let _four = take("2001:db8::3").unwrap();
        drop(three);
        assert_eq!(seats.figures.connections.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn loads_have_their_rate() {
        let (seats, now) = (Seats::new(LIMITS, Arc::default()), Instant::now());
        let one = address("192.0.2.1");
        for _ in 0..4 {
            seats.load(now, one).unwrap();
        }
        assert_eq!(seats.load(now, one), Err(Duration::from_secs(15)));
        seats.load(now, address("192.0.2.2")).unwrap();
        seats.load(now + Duration::from_secs(15), one).unwrap();
        seats.load(now + Duration::from_secs(15), one).unwrap_err();
    }

    #[test]
    fn calls_have_their_rate_beside_that_of_loads() {
        let (seats, now) = (Seats::new(LIMITS, Arc::default()), Instant::now());
        let one = address("192.0.2.1");
        for _ in 0..4 {
            seats.load(now, one).unwrap();
            // One that ends at once counts all the same.
            drop(seats.call(now, one).unwrap());
        }
        assert_eq!(
            seats.call(now, one).unwrap_err(),
            GuestRefused::TooManyCalls
        );
        let _other = seats.call(now, address("192.0.2.2")).unwrap();
        let _later = seats.call(now + Duration::from_secs(15), one).unwrap();
    }

    #[test]
    fn calls_have_the_bounds_of_websockets_beside_them() {
        let (seats, now) = (Seats::new(LIMITS, Arc::default()), Instant::now());
        let call = |client| seats.call(now, address(client));
        let one = call("192.0.2.1").unwrap();
        let _two = call("192.0.2.1").unwrap();
        assert_eq!(
            call("192.0.2.1").unwrap_err(),
            GuestRefused::TooManyOfClient
        );
        let _three = call("192.0.2.2").unwrap();
        assert_eq!(
            call("192.0.2.3").unwrap_err(),
            GuestRefused::TooManyConnections
        );
        let _websocket = seats.take(now, address("192.0.2.1")).unwrap();
        drop(one);
        let _four = call("192.0.2.1").unwrap();
    }

    #[test]
    fn who_has_a_seat_is_not_forgotten_for_others() {
        let (seats, now) = (Seats::new(LIMITS, Arc::default()), Instant::now());
        let one = address("198.51.100.1");
        let _seat = seats.take(now, one).unwrap();
        for number in 0..u32::try_from(CLIENTS_MAX).unwrap() {
            let client = std::net::Ipv4Addr::from_bits(number).into();
            seats.load(now, client).ok();
        }
        let later = now + MINUTE;
        seats.load(later, address("198.51.100.2")).unwrap();
        assert_eq!(seats.table().clients.len(), 2);
        let _second = seats.take(later, one).unwrap();
        let third = seats.take(later, one);
        assert_eq!(third.unwrap_err(), GuestRefused::TooManyOfClient);
    }

    #[test]
    fn however_many_clients_come_the_table_is_bounded() {
        let (seats, now) = (Seats::new(LIMITS, Arc::default()), Instant::now());
        for number in 0..u32::try_from(CLIENTS_MAX).unwrap() + 100 {
            let client = std::net::Ipv4Addr::from_bits(number).into();
            seats.load(now, client).ok();
        }
        assert_eq!(seats.table().clients.len(), CLIENTS_MAX + 1);
        let later = now + MINUTE;
        seats.load(later, address("198.51.100.1")).unwrap();
        assert_eq!(seats.table().clients.len(), 1);
    }
}
