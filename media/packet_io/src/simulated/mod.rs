//! The twin: `PacketIo` without a kernel. Nothing happens by itself: a test's network brings
//! datagrams with [`Simulated::deliver`], takes what was sent with [`Simulated::take_sent`], and
//! asks [`Simulated::waits`] when the worker wants its next turn. Same calls, same result.

mod faults;
mod network;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

pub use faults::{Faults, NoFaults, SendFault};
use network::Datagram;
pub use network::Delivery;

use crate::counters::IoCounters;
use crate::packet_buf::{DATAGRAM_BYTES_MAX, PacketBuf};
use crate::packet_io::{
    OpenRefused, PacketIo, Received, ReceivedBatch, SocketKey, SocketSpec, Wait,
};
use crate::packet_pool::{PacketPool, PoolCounts, allocation_reserve};
use crate::socket_table::SocketTable;
use crate::waker::{Bed, Waker};

/// Sizes of a twin.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedConfig {
    /// Buffers of the pool.
    pub buffers: u16,
    /// Most sockets open at a time.
    pub sockets_max: u32,
    /// Most datagrams that wait in one socket; further ones are lost, as in a full `SO_RCVBUF`.
    pub socket_queue_max: u32,
}

impl Default for SimulatedConfig {
    fn default() -> Self {
        Self {
            buffers: 1024,
            sockets_max: 4096,
            socket_queue_max: 256,
        }
    }
}

/// The twin of a kernel. `F` decides what goes wrong; [`NoFaults`] is nothing and costs nothing.
#[derive(Debug)]
pub struct Simulated<F: Faults = NoFaults> {
    faults: F,
    pool: PacketPool,
    sockets: SocketTable<Socket>,
    by_address: BTreeMap<SocketAddr, SocketKey>,
    /// In the sockets, in the order they were delivered.
    arrived: VecDeque<Datagram>,
    queued: Vec<Queued>,
    /// Has left, in the order of the sends.
    sent: VecDeque<Datagram>,
    /// Emptied vectors of delivered datagrams: a steady flow allocates nothing.
    spare: Vec<Vec<u8>>,
    bed: Arc<Bed>,
    waits: Option<Wait>,
    counters: IoCounters,
    reserve: u32,
    socket_queue_max: u32,
    next_port: u16,
}

#[derive(Debug)]
struct Socket {
    local: SocketAddr,
    peer: Option<SocketAddr>,
    waiting: u32,
    /// An ICMP error came: the next send fails once.
    has_error: bool,
}

#[derive(Debug)]
struct Queued {
    socket: SocketKey,
    from: SocketAddr,
    to: SocketAddr,
    packet: PacketBuf,
}

impl Simulated<NoFaults> {
    /// A twin in which nothing goes wrong.
    #[must_use]
    pub fn new(config: SimulatedConfig) -> Self {
        Self::with_faults(config, NoFaults)
    }
}

impl<F: Faults> Simulated<F> {
    /// A twin in which `faults` decides what goes wrong.
    #[must_use]
    pub fn with_faults(config: SimulatedConfig, faults: F) -> Self {
        let pool = PacketPool::new(config.buffers);
        let reserve = allocation_reserve(pool.size());
        Self {
            faults,
            pool,
            sockets: SocketTable::new(config.sockets_max),
            by_address: BTreeMap::new(),
            arrived: VecDeque::new(),
            queued: Vec::new(),
            sent: VecDeque::new(),
            spare: Vec::new(),
            bed: Bed::new(None),
            waits: None,
            counters: IoCounters::default(),
            reserve,
            socket_queue_max: config.socket_queue_max,
            next_port: EPHEMERAL_PORT_MIN,
        }
    }

    /// What the worker asked of its last `submit_and_wait`: its next turn is due when `want`
    /// packets are there, when `min_wait` has passed with one, at `until`, or when
    /// [`is_woken`](Self::is_woken). `None` before the first.
    #[must_use]
    pub const fn waits(&self) -> Option<Wait> {
        self.waits
    }

    /// True: a [`Waker`] was used and the worker has not looked since.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.bed.is_woken()
    }

    /// The faults, to change what goes wrong from now on.
    pub const fn faults_mut(&mut self) -> &mut F {
        &mut self.faults
    }

    /// Keys and addresses of the open sockets, by slot.
    pub fn sockets(&self) -> impl Iterator<Item = (SocketKey, SocketAddr)> {
        self.sockets.iter().map(|(key, socket)| (key, socket.local))
    }

    /// The bound address, with a port of our choosing where the caller left it open.
    fn address_to_bind(&mut self, local: SocketAddr) -> Result<SocketAddr, OpenRefused> {
        if local.port() != 0 {
            return if self.is_taken(local) {
                Err(OpenRefused::AddressInUse)
            } else {
                Ok(local)
            };
        }
        for _ in EPHEMERAL_PORT_MIN..=u16::MAX {
            let address = SocketAddr::new(local.ip(), self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(EPHEMERAL_PORT_MIN);
            if !self.is_taken(address) {
                return Ok(address);
            }
        }
        Err(OpenRefused::AddressInUse)
    }

    /// The wildcard address and any other of its family exclude each other on one port.
    fn is_taken(&self, address: SocketAddr) -> bool {
        let wildcard = wildcard_of(address);
        if address == wildcard {
            return self.by_address.keys().any(|other| {
                other.port() == address.port() && other.is_ipv4() == address.is_ipv4()
            });
        }
        self.by_address.contains_key(&address) || self.by_address.contains_key(&wildcard)
    }

    /// Takes a waiting datagram into a packet of the pool; `None` and counted if it must die.
    fn accept(&mut self, datagram: &Datagram) -> Option<Received> {
        let Some(socket) = self.sockets.get(datagram.socket) else {
            self.counters.stale_datagrams += 1;
            return None;
        };
        let source = match socket.peer {
            Some(peer) if peer != datagram.source => {
                self.counters.stranger_datagrams += 1;
                return None;
            }
            Some(_) => None,
            None => Some(datagram.source),
        };
        if datagram.bytes.is_empty() {
            self.counters.empty_datagrams += 1;
            return None;
        }
        if datagram.bytes.len() > DATAGRAM_BYTES_MAX {
            self.counters.truncated_datagrams += 1;
            return None;
        }
        let mut packet = self.pool.take()?;
        packet.copy_from(&datagram.bytes).ok()?;
        self.counters.packets_received += 1;
        Some(Received {
            socket: datagram.socket,
            source,
            packet,
        })
    }
}

impl<F: Faults> PacketIo for Simulated<F> {
    fn open(&mut self, spec: SocketSpec) -> Result<SocketKey, OpenRefused> {
        if let Some(refused) = self.faults.refuse_open(spec.local) {
            return Err(refused);
        }
        if self.sockets.next_key().is_none() {
            return Err(OpenRefused::SocketLimit);
        }
        let local = self.address_to_bind(spec.local)?;
        let socket = Socket {
            local,
            peer: None,
            waiting: 0,
            has_error: false,
        };
        let key = self
            .sockets
            .insert(socket)
            .ok_or(OpenRefused::SocketLimit)?;
        self.by_address.insert(local, key);
        Ok(key)
    }

    fn connect(&mut self, socket: SocketKey, peer: Option<SocketAddr>) {
        let Some(entry) = self.sockets.get_mut(socket) else {
            self.counters.connects_failed += 1;
            return;
        };
        entry.has_error = false;
        let is_possible = peer.is_none_or(|peer| peer.is_ipv4() == entry.local.is_ipv4());
        entry.peer = if is_possible { peer } else { None };
        if !is_possible {
            self.counters.connects_failed += 1;
        }
    }

    fn close(&mut self, socket: SocketKey) {
        let Some(entry) = self.sockets.remove(socket) else {
            return;
        };
        self.by_address.remove(&entry.local);
        let spare = &mut self.spare;
        self.arrived.retain_mut(|datagram| {
            let stays = datagram.socket != socket;
            if !stays {
                spare.push(std::mem::take(&mut datagram.bytes));
            }
            stays
        });
    }

    fn local(&self, socket: SocketKey) -> Option<SocketAddr> {
        self.sockets.get(socket).map(|entry| entry.local)
    }

    fn receive(&mut self, received: &mut ReceivedBatch) {
        while !received.is_full() && !self.arrived.is_empty() {
            if self.pool.counts().free <= self.reserve || self.faults.starve_reception() {
                self.counters.receive_buffers_empty += 1;
                return;
            }
            let Some(datagram) = self.arrived.pop_front() else {
                return;
            };
            if let Some(socket) = self.sockets.get_mut(datagram.socket) {
                socket.waiting = socket.waiting.saturating_sub(1);
            }
            if let Some(packet) = self.accept(&datagram) {
                received.packets.push(packet);
            }
            self.spare.push(datagram.bytes);
        }
    }

    fn send(&mut self, packet: PacketBuf, socket: SocketKey, to: Option<SocketAddr>) {
        let Some(entry) = self.sockets.get(socket) else {
            self.counters.sends_to_closed_socket += 1;
            return;
        };
        let Some(to) = to.or(entry.peer) else {
            self.counters.sends_without_peer += 1;
            return;
        };
        if packet.is_empty() {
            self.counters.sends_empty += 1;
            return;
        }
        self.counters.packets_sent += 1;
        packet.lend();
        self.queued.push(Queued {
            socket,
            from: entry.local,
            to,
            packet,
        });
    }

    fn submit_and_wait(&mut self, _now: Instant, wait: Wait) {
        self.waits = Some(wait);
        self.counters.kernel_entries += 1;
        self.submit();
        if self.bed.get_up() {
            self.counters.wakes += 1;
        }
    }

    fn allocate(&mut self) -> Option<PacketBuf> {
        let packet = if self.faults.refuse_allocation() {
            None
        } else {
            self.pool.take()
        };
        if packet.is_none() {
            self.counters.allocations_refused += 1;
        }
        packet
    }

    fn waker(&self) -> Waker {
        Waker::new(Arc::clone(&self.bed))
    }

    fn pool_counts(&self) -> PoolCounts {
        self.pool.counts()
    }

    fn counters(&self) -> &IoCounters {
        &self.counters
    }
}

impl<F: Faults> Drop for Simulated<F> {
    /// What was sent and not submitted comes back: the kernel that holds it is this one.
    fn drop(&mut self) {
        for queued in &self.queued {
            queued.packet.reclaim();
        }
    }
}

fn wildcard_of(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, address.port()).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, address.port()).into(),
    }
}

const EPHEMERAL_PORT_MIN: u16 = 32_768;
