//! `PacketPool`: the buffers of one worker and who owns each. Knows neither ring nor socket: what
//! is lent to the kernel is only counted here.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::panic::catch_unwind;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::packet_buf::{HEADROOM_BYTES, PACKET_BUFFER_BYTES, PacketBuf};

/// The pool of one worker. Handles keep its memory alive, so it may be dropped before them.
pub struct PacketPool {
    core: Rc<PoolCore>,
}

/// Where the buffers of a pool are. The sum is the size of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolCounts {
    /// In the pool, to be taken.
    pub free: u32,
    /// In a [`PacketBuf`] somebody holds.
    pub held: u32,
    /// Offered to the kernel for reception, or queued to be sent.
    pub in_kernel: u32,
}

impl PacketPool {
    /// A pool of `buffers` (1 to [`PACKET_BUFFERS_MAX`]; out of range: the nearest), all free.
    #[must_use]
    pub fn new(buffers: u16) -> Self {
        let buffers = buffers.clamp(1, PACKET_BUFFERS_MAX);
        let slots = (0..buffers)
            .map(|_| Slot(UnsafeCell::new([0; PACKET_BUFFER_BYTES])))
            .collect();
        // The last is taken first, so that a fresh pool hands out 0, 1, 2…
        let free = (0..buffers).rev().map(Cell::new).collect();
        let owners = (0..buffers).map(|_| Cell::new(Owner::Free)).collect();
        let core = PoolCore {
            slots,
            owners,
            free,
            free_count: Cell::new(buffers),
            kernel_count: Cell::new(0),
        };
        Self {
            core: Rc::new(core),
        }
    }

    /// An empty packet with [`HEADROOM_BYTES`] before it; `None`: the pool is empty.
    #[must_use]
    pub fn take(&self) -> Option<PacketBuf> {
        let index = self.core.take(Owner::Held)?;
        Some(PacketBuf::new(Rc::clone(&self.core), index, START, 0))
    }

    /// Where the buffers are.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        let free = u32::from(self.core.free_count.get());
        let in_kernel = u32::from(self.core.kernel_count.get());
        PoolCounts {
            free,
            held: self.size() - free - in_kernel,
            in_kernel,
        }
    }

    /// What the handles share, for who lends buffers to the kernel.
    pub(crate) const fn core(&self) -> &Rc<PoolCore> {
        &self.core
    }

    /// Number of buffers.
    #[must_use]
    pub fn size(&self) -> u32 {
        u32::try_from(self.core.slots.len()).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for PacketPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(formatter)
    }
}

/// Who owns a buffer: `[one-owner]` as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Free,
    Held,
    Kernel,
}

/// What the handles share. One thread: `Cell`s, no locks.
pub(crate) struct PoolCore {
    slots: Box<[Slot]>,
    owners: Box<[Cell<Owner>]>,
    /// A stack of the free ones: the first `free_count` entries.
    free: Box<[Cell<u16>]>,
    free_count: Cell<u16>,
    kernel_count: Cell<u16>,
}

#[repr(align(64))]
struct Slot(UnsafeCell<[u8; PACKET_BUFFER_BYTES]>);

impl PoolCore {
    #[inline]
    pub(crate) const fn free_count(&self) -> u16 {
        self.free_count.get()
    }

    /// First octet of a buffer.
    #[inline]
    pub(crate) fn memory(&self, index: u16) -> NonNull<u8> {
        match self.slots.get(usize::from(index)) {
            Some(slot) => NonNull::from(&slot.0).cast(),
            None => abort_on_ownership(index, Owner::Free, Owner::Free),
        }
    }

    /// Takes any free buffer for `owner`.
    #[inline]
    pub(crate) fn take(&self, owner: Owner) -> Option<u16> {
        let count = self.free_count.get().checked_sub(1)?;
        let index = self.free.get(usize::from(count))?.get();
        self.pass(index, Owner::Free, owner);
        self.free_count.set(count);
        Some(index)
    }

    /// Held by a packet, from now on free.
    #[inline]
    pub(crate) fn release(&self, index: u16) {
        self.pass(index, Owner::Held, Owner::Free);
        let count = self.free_count.get();
        match self.free.get(usize::from(count)) {
            Some(top) => top.set(index),
            None => abort_on_ownership(index, Owner::Held, Owner::Free),
        }
        self.free_count.set(count + 1);
    }

    /// Changes the owner; the wrong one before is a broken `[one-owner]`: another call's media
    /// could be read or overwritten, so the process ends.
    #[inline]
    pub(crate) fn pass(&self, index: u16, from: Owner, to: Owner) {
        match self.owners.get(usize::from(index)) {
            Some(owner) if owner.get() == from => owner.set(to),
            Some(owner) => abort_on_ownership(index, owner.get(), to),
            None => abort_on_ownership(index, from, to),
        }
        if to == Owner::Kernel {
            self.kernel_count.set(self.kernel_count.get() + 1);
        }
        if from == Owner::Kernel {
            self.kernel_count.set(self.kernel_count.get() - 1);
        }
    }
}

/// Reports through the panic hook, then ends the process: nothing may run after this.
#[cold]
#[inline(never)]
fn abort_on_ownership(index: u16, was: Owner, to: Owner) -> ! {
    drop(catch_unwind(|| {
        panic!("packet buffer {index} of {was:?} cannot pass to {to:?}")
    }));
    std::process::abort()
}

/// Buffers of a pool of that size that reception leaves for `allocate`.
pub(crate) const fn allocation_reserve(buffers: u32) -> u32 {
    buffers / 8
}

/// Most buffers of a pool: what one provided-buffer ring can hold.
pub const PACKET_BUFFERS_MAX: u16 = 32_768;

const START: u16 = 64;
const _: () = assert!(START as usize == HEADROOM_BYTES);

#[cfg(test)]
mod tests;
