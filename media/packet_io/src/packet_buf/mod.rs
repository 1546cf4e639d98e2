//! `PacketBuf`: the one handle to a pool buffer. Owns the bytes between its start and its end;
//! knows neither sockets nor the kernel.

use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use thiserror::Error;

use crate::packet_pool::{Owner, PoolCore};

/// A datagram in a pool buffer, with room to grow on both sides.
///
/// One owner: it cannot be cloned, does not leave its thread, and its drop returns the buffer to
/// the pool. Octets that come into view by growing are zero, never an older packet's.
pub struct PacketBuf {
    memory: NonNull<u8>,
    pool: Rc<PoolCore>,
    index: u16,
    start: u16,
    len: u16,
}

/// The packet cannot grow that far in its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the packet does not fit its buffer")]
pub struct NoRoom;

impl PacketBuf {
    /// The caller owns `index` (`Owner::Held`), and `start + len` lies within the buffer.
    pub(crate) fn new(pool: Rc<PoolCore>, index: u16, start: u16, len: u16) -> Self {
        debug_assert!(usize::from(start) + usize::from(len) <= PACKET_BUFFER_BYTES);
        let memory = pool.memory(index);
        Self {
            memory,
            pool,
            index,
            start,
            len,
        }
    }

    /// The datagram.
    #[inline]
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        // SAFETY: start and start + len never exceed the buffer's size, and `[pinned-pool]` keeps
        // its memory in place for as long as `pool` counts this handle.
        let first = unsafe { self.memory.add(self.start as usize) };
        // SAFETY: `[one-owner]` makes this handle the only way to these octets, all of them
        // initialised when the pool was made; the shared borrow of it forbids writing.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), self.len as usize) }
    }

    /// The datagram, to be rewritten in place.
    #[inline]
    #[must_use]
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for reading, start is inside the buffer that `[pinned-pool]` keeps in place.
        let first = unsafe { self.memory.add(self.start as usize) };
        // SAFETY: `[one-owner]` and the exclusive borrow of the handle: nobody else, the kernel
        // included, reads or writes these octets meanwhile.
        unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), self.len as usize) }
    }

    /// Octets of the datagram.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// True for what `allocate` returns; never for what was received.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets the datagram can have without moving its start: what follows its end is at least
    /// [`TAILROOM_BYTES`] for any packet received.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> usize {
        PACKET_BUFFER_BYTES - self.start as usize
    }

    /// Octets that can be put before the datagram.
    #[inline]
    #[must_use]
    pub const fn headroom(&self) -> usize {
        self.start as usize
    }

    /// Cuts or grows at the end; what is grown is zero.
    ///
    /// # Errors
    /// [`NoRoom`] beyond [`capacity`](Self::capacity); the packet is as before.
    pub fn set_len(&mut self, len: usize) -> Result<(), NoRoom> {
        let before = self.len();
        self.set_received_len(len)?;
        if let Some(grown) = self.bytes_mut().get_mut(before..) {
            grown.fill(0);
        }
        Ok(())
    }

    /// Cuts at the end; longer than the packet is: nothing happens.
    pub fn truncate(&mut self, len: usize) {
        if let Ok(len) = u16::try_from(len) {
            self.len = self.len.min(len);
        }
    }

    /// Grows at the front, by zeros.
    ///
    /// # Errors
    /// [`NoRoom`] beyond [`headroom`](Self::headroom); the packet is as before.
    pub fn extend_front(&mut self, octets: usize) -> Result<(), NoRoom> {
        let octets = u16::try_from(octets).map_err(|_too_long| NoRoom)?;
        self.start = self.start.checked_sub(octets).ok_or(NoRoom)?;
        self.len += octets;
        if let Some(grown) = self.bytes_mut().get_mut(..usize::from(octets)) {
            grown.fill(0);
        }
        Ok(())
    }

    /// Cuts at the front; more than there is leaves an empty packet.
    pub fn remove_front(&mut self, octets: usize) {
        let octets = u16::try_from(octets).unwrap_or(u16::MAX).min(self.len);
        self.start += octets;
        self.len -= octets;
    }

    /// Makes `datagram` the content.
    ///
    /// # Errors
    /// [`NoRoom`] beyond [`capacity`](Self::capacity); the packet is as before.
    pub fn copy_from(&mut self, datagram: &[u8]) -> Result<(), NoRoom> {
        self.set_received_len(datagram.len())?;
        self.bytes_mut().copy_from_slice(datagram);
        Ok(())
    }

    /// Number of the buffer in its pool: a stable name for invariants and traces.
    #[must_use]
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// The kernel holds it from now on; the handle is kept only to be dropped after `reclaim`.
    pub(crate) fn lend(&self) {
        self.pool.pass(self.index, Owner::Held, Owner::Kernel);
    }

    /// The kernel has given back what `lend` lent.
    pub(crate) fn reclaim(&self) {
        self.pool.pass(self.index, Owner::Kernel, Owner::Held);
    }

    /// Sets the length to what the kernel wrote: nothing is cleared.
    pub(crate) fn set_received_len(&mut self, len: usize) -> Result<(), NoRoom> {
        if len > self.capacity() {
            return Err(NoRoom);
        }
        self.len = u16::try_from(len).map_err(|_too_long| NoRoom)?;
        Ok(())
    }
}

impl Drop for PacketBuf {
    #[inline]
    fn drop(&mut self) {
        self.pool.release(self.index);
    }
}

impl fmt::Debug for PacketBuf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PacketBuf")
            .field("index", &self.index)
            .field("start", &self.start)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Size of every pool buffer, rooms included.
pub const PACKET_BUFFER_BYTES: usize = 2048;

/// At least this much is free before a received or allocated packet.
pub const HEADROOM_BYTES: usize = 64;

/// At least this much is free after a received packet: the longest SRTP tag and its key index.
pub const TAILROOM_BYTES: usize = 32;

/// What the kernel writes before a datagram of an unconnected socket: lengths and the source.
pub(crate) const SOURCE_BYTES: usize = 48;

/// Longest datagram that is received. A longer one is counted as truncated and dropped.
pub const DATAGRAM_BYTES_MAX: usize =
    PACKET_BUFFER_BYTES - HEADROOM_BYTES - TAILROOM_BYTES - SOURCE_BYTES;

const _: () = assert!(PACKET_BUFFER_BYTES <= u16::MAX as usize);

#[cfg(test)]
mod tests;
