//! Waking the signalling thread: an eventfd that is written only while it sleeps (DECISIONS, Shape 3).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Shared by the sleeper and all who may wake it.
#[derive(Debug)]
pub struct Wake {
    event: EventFd,
    asleep: AtomicBool,
}

impl Wake {
    /// A sleeper that is awake.
    ///
    /// # Errors
    /// Where the process has no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self {
            event,
            asleep: AtomicBool::new(false),
        })
    }

    /// After putting something where the sleeper looks: wakes it, if it sleeps.
    pub fn wake(&self) {
        // Pairs with the fence in `prepare_to_sleep`: either we see the flag, or it sees our word.
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::Relaxed) {
            // It can only fail by overflow, and then the sleeper is awake.
            let _written = self.event.write(1);
        }
    }

    /// The sleeper says that it will sleep. It looks once more after this, then polls.
    pub fn prepare_to_sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper is awake again; `signalled`: `poll` said that the descriptor can be read. A write
    /// that comes after `poll` stays for the next one.
    pub fn awake(&self, signalled: bool) {
        self.asleep.store(false, Ordering::Relaxed);
        if signalled {
            let _count = self.event.read();
        }
    }

    /// For `poll`.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_readable(wake: &Wake) -> bool {
        let mut descriptors = [PollFd::new(wake.descriptor(), PollFlags::POLLIN)];
        poll(&mut descriptors, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn only_a_sleeper_is_written_to_and_only_once() {
        let wake = Wake::new().unwrap();
        wake.wake();
        assert!(!is_readable(&wake));
        wake.prepare_to_sleep();
        wake.wake();
        wake.wake();
        assert!(is_readable(&wake));
        wake.awake(true);
        assert!(!is_readable(&wake));
    }

    #[test]
    fn a_write_after_the_poll_stays_for_the_next_one() {
        let wake = Wake::new().unwrap();
        wake.prepare_to_sleep();
        wake.wake();
        wake.awake(false);
        assert!(is_readable(&wake));
        wake.awake(true);
        assert!(!is_readable(&wake));
    }
}
