//! `Waker`: ends a worker's wait from another thread. The eventfd is written only when somebody
//! sleeps on it: a wake-up of a running worker costs one atomic exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::eventfd::EventFd;

/// Ends the current wait of one [`PacketIo`](crate::PacketIo), or the next one.
#[derive(Debug, Clone)]
pub struct Waker {
    bed: Arc<Bed>,
}

impl Waker {
    pub(crate) const fn new(bed: Arc<Bed>) -> Self {
        Self { bed }
    }

    /// Wakes. Callable from any thread, any number of times; several before one wait are one.
    pub fn wake(&self) {
        if self.bed.state.swap(WOKEN, Ordering::AcqRel) != ASLEEP {
            return;
        }
        if let Some(eventfd) = &self.bed.eventfd {
            let is_full = eventfd.write(1).is_err();
            debug_assert!(!is_full, "one write a sleep");
        }
    }
}

/// What sleeper and wakers share.
#[derive(Debug)]
pub(crate) struct Bed {
    state: AtomicU8,
    eventfd: Option<EventFd>,
}

impl Bed {
    /// With `None` nobody ever sleeps: the twin.
    pub(crate) fn new(eventfd: Option<EventFd>) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(AWAKE),
            eventfd,
        })
    }

    pub(crate) const fn eventfd(&self) -> Option<&EventFd> {
        self.eventfd.as_ref()
    }

    /// Before a wait. False: somebody has called already, do not sleep.
    pub(crate) fn lie_down(&self) -> bool {
        self.state
            .compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// After a wait (or instead of one). True: somebody called.
    pub(crate) fn get_up(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == WOKEN
    }

    /// True: somebody called and nobody has got up since.
    pub(crate) fn is_woken(&self) -> bool {
        self.state.load(Ordering::Acquire) == WOKEN
    }
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const WOKEN: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_before_the_wait_forbids_sleep_once() {
        let bed = Bed::new(None);
        let waker = Waker::new(Arc::clone(&bed));
        waker.wake();
        waker.wake();
        assert!(!bed.lie_down());
        assert!(bed.get_up());
        assert!(bed.lie_down());
        assert!(!bed.get_up());
    }

    #[test]
    fn the_eventfd_is_written_only_for_a_sleeper() {
        let eventfd =
            EventFd::from_flags(nix::sys::eventfd::EfdFlags::EFD_NONBLOCK).expect("eventfd");
        let bed = Bed::new(Some(eventfd));
        let waker = Waker::new(Arc::clone(&bed));
        waker.wake();
        let read = || bed.eventfd().expect("made above").read();
        assert_eq!(read(), Err(nix::errno::Errno::EAGAIN));
        assert!(bed.get_up());
        assert!(bed.lie_down());
        waker.wake();
        waker.wake();
        assert_eq!(read(), Ok(1));
    }
}
