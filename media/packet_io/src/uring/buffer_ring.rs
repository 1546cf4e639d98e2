//! `BufferRing`: the provided-buffer ring, by which the kernel is offered buffers to receive into
//! (`io_uring_register_buf_ring`). Owns the ring's page; the buffers are the pool's.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::packet_buf::{HEADROOM_BYTES, PACKET_BUFFER_BYTES, TAILROOM_BYTES};
use crate::packet_pool::{Owner, PoolCore};

/// The offers of one ring.
#[derive(Debug)]
pub(super) struct BufferRing {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    mask: u16,
    tail: u16,
    published: u16,
    /// Offered and not yet come back in a completion that we saw.
    offered: u16,
}

impl BufferRing {
    /// A ring that can hold `buffers` offers, registered as group [`GROUP`].
    pub(super) fn register(submitter: &Submitter<'_>, buffers: u16) -> io::Result<Self> {
        let count = buffers
            .max(1)
            .checked_next_power_of_two()
            .unwrap_or(COUNT_MAX)
            .min(COUNT_MAX);
        let bytes = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes.max(PAGE_BYTES), PAGE_BYTES)
            .map_err(|_too_large| io::ErrorKind::OutOfMemory)?;
        // SAFETY: the layout has a size of at least a page, so it is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(entries) = NonNull::new(memory.cast::<BufRingEntry>()) else {
            handle_alloc_error(layout)
        };
        let ring = Self {
            entries,
            layout,
            mask: count - 1,
            tail: 0,
            published: 0,
            offered: 0,
        };
        let address = entries.as_ptr().expose_provenance() as u64;
        // SAFETY: page-aligned memory of `count` entries that this value owns; its drop runs after
        // the ring's (`[pinned-pool]`: the field order of `Uring`), and that ends the registration.
        unsafe { submitter.register_buf_ring_with_flags(address, count, GROUP, 0) }?;
        Ok(ring)
    }

    /// Offers buffer `index`, which the pool counts as the kernel's already. Seen by the kernel
    /// after [`publish`](Self::publish).
    #[inline]
    pub(super) fn offer(&mut self, pool: &PoolCore, index: u16) {
        let place = usize::from(self.tail & self.mask);
        // SAFETY: `place` is below the number of entries the memory was allocated for.
        let mut entry = unsafe { self.entries.add(place) };
        // SAFETY: entries past the published tail belong to us: `[one-owner]` for the ring itself.
        // Zeroed memory is a valid entry, and no other reference to it exists.
        let entry = unsafe { entry.as_mut() };
        let first = pool.memory(index).as_ptr().expose_provenance() + HEADROOM_BYTES;
        entry.set_addr(first as u64);
        entry.set_len(OFFERED_BYTES);
        entry.set_bid(index);
        self.tail = self.tail.wrapping_add(1);
        self.offered += 1;
    }

    /// Shows the kernel what was offered since the last call.
    #[inline]
    pub(super) fn publish(&mut self) {
        if self.published == self.tail {
            return;
        }
        self.published = self.tail;
        // SAFETY: the first entry of the registered ring, initialised, page-aligned: what the
        // function asks for.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: two aligned octets inside the ring's memory, which lives as long as `self`; the
        // kernel only reads them, and we write them nowhere else.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// A completion brought buffer `index` back: it is the caller's.
    #[inline]
    pub(super) fn take_back(&mut self, pool: &PoolCore, index: u16) {
        pool.pass(index, Owner::Kernel, Owner::Held);
        self.offered = self.offered.saturating_sub(1);
    }

    /// Buffers the kernel can still receive into, as far as we know.
    pub(super) const fn offered(&self) -> u16 {
        self.offered
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this very layout, freed here only; the ring is gone
        // by now (`[pinned-pool]`), so the kernel reads it no more.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}

/// Our only buffer group.
pub(super) const GROUP: u16 = 0;

const PAGE_BYTES: usize = 4096;
const COUNT_MAX: u16 = 32_768;
#[expect(clippy::cast_possible_truncation, reason = "under 2048")]
const OFFERED_BYTES: u32 = (PACKET_BUFFER_BYTES - HEADROOM_BYTES - TAILROOM_BYTES) as u32;
