//! Guests' browsers and call control: what a page says goes to signalling, what it is told comes back.
//!
//! A [`Guest`] is one page's wish for a call. What it says lies in one bounded queue for all, whose
//! eventfd ends signalling's sleep; what it is told lies in a bounded channel of its own. Neither side
//! polls, blocks or locks: a full queue is a refusal at once, a page that takes nothing any more hangs
//! up, and so does one that is dropped. When signalling ends, every page is told so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use tokio::sync::mpsc;

use super::wake::Wake;
use crate::call::browser::event::{BrowserCall, BrowserInput, BrowserOutput, GuestKey};

/// Guests at once, from their first word until signalling has noticed that they are gone.
pub const GUESTS_MAX: usize = 8_192;
/// Words of guests that signalling has not taken yet.
pub const GUEST_WORDS_MAX: usize = 4_096;
/// Words of guests in one turn of signalling; datagrams are read between turns.
pub const GUEST_WORDS_A_TURN_MAX: usize = 32;
/// What a guest may be told before it takes the first of it: a whole call is fewer words.
pub const TOLD_MAX: usize = 32;

/// Why a guest's word did not reach call control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuestRefusal {
    /// Too many guests, or too many words of theirs wait. Try again later.
    #[error("too many guests at once")]
    Busy,
    /// The node stops.
    #[error("this node stops")]
    Stopped,
}

/// Control's end: where guests begin. Cloned for everybody who has some.
#[derive(Debug, Clone)]
pub struct Guests {
    queue: Arc<Queue>,
    wake: Arc<Wake>,
}

/// One guest. When it is dropped, its call ends.
#[derive(Debug)]
pub struct Guest {
    key: GuestKey,
    told: mpsc::Receiver<BrowserOutput>,
    guests: Guests,
}

/// Signalling's end. When it is dropped, every guest is told.
#[derive(Debug)]
pub(super) struct Desk {
    queue: Arc<Queue>,
    /// Who hears what call control says; until its last word, or until nobody listens.
    listeners: BTreeMap<GuestKey, mpsc::Sender<BrowserOutput>>,
}

#[derive(Debug)]
struct Queue {
    said: ArrayQueue<Said>,
    /// Guests that were dropped. As many places as there may be guests: it is never full.
    gone: ArrayQueue<GuestKey>,
    /// Guests that are not taken from `gone` yet.
    guests: AtomicUsize,
    last: AtomicU64,
    /// Nobody takes anything any more.
    closed: AtomicBool,
}

#[derive(Debug)]
struct Said {
    guest: GuestKey,
    input: BrowserInput,
    /// With the first word.
    listener: Option<mpsc::Sender<BrowserOutput>>,
}

/// Both ends; `wake` ends signalling's sleep.
pub(super) fn pair(wake: Arc<Wake>) -> (Guests, Desk) {
    let queue = Arc::new(Queue {
        said: ArrayQueue::new(GUEST_WORDS_MAX),
        gone: ArrayQueue::new(GUESTS_MAX),
        guests: AtomicUsize::new(0),
        last: AtomicU64::new(0),
        closed: AtomicBool::new(false),
    });
    let guests = Guests {
        queue: Arc::clone(&queue),
        wake,
    };
    let desk = Desk {
        queue,
        listeners: BTreeMap::new(),
    };
    (guests, desk)
}

impl Guests {
    /// A page wants a call.
    ///
    /// # Errors
    /// There is no room for another guest, or the node stops; call control hears nothing of it.
    pub fn call(&self, call: BrowserCall) -> Result<Guest, GuestRefusal> {
        let queue = &self.queue;
        let taken = queue
            .guests
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |guests| {
                (guests < GUESTS_MAX).then_some(guests + 1)
            });
        if taken.is_err() {
            return Err(GuestRefusal::Busy);
        }
        let (listener, told) = mpsc::channel(TOLD_MAX);
        // From here on its end gives the place back.
        let guest = Guest {
            key: GuestKey(queue.last.fetch_add(1, Ordering::SeqCst) + 1),
            told,
            guests: self.clone(),
        };
        let input = BrowserInput::Call(Box::new(call));
        self.put(guest.key, input, Some(listener))?;
        Ok(guest)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.queue.guests.load(Ordering::Relaxed)
    }

    fn put(
        &self,
        guest: GuestKey,
        input: BrowserInput,
        listener: Option<mpsc::Sender<BrowserOutput>>,
    ) -> Result<(), GuestRefusal> {
        if self.queue.closed.load(Ordering::SeqCst) {
            return Err(GuestRefusal::Stopped);
        }
        let said = Said {
            guest,
            input,
            listener,
        };
        if self.queue.said.push(said).is_err() {
            return Err(GuestRefusal::Busy);
        }
        self.wake.wake();
        // Signalling may have ended between the lines above: then nobody else empties the queue.
        if self.queue.closed.load(Ordering::SeqCst) {
            self.queue.clear();
            return Err(GuestRefusal::Stopped);
        }
        Ok(())
    }
}

impl Guest {
    /// Says something.
    ///
    /// # Errors
    /// Too many words wait, or the node stops: it was not said.
    pub fn say(&self, input: BrowserInput) -> Result<(), GuestRefusal> {
        self.guests.put(self.key, input, None)
    }

    /// What it is told next. `None`: nothing more comes, because the last word was
    /// [`BrowserOutput::Ended`], because it was not taken for too long, or because the node stops.
    pub async fn hear(&mut self) -> Option<BrowserOutput> {
        self.told.recv().await
    }

    /// Its name, for the log.
    #[must_use]
    pub const fn key(&self) -> GuestKey {
        self.key
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.told.close();
        let kept = self.guests.queue.gone.push(self.key);
        debug_assert!(kept.is_ok(), "a place for each guest");
        self.guests.wake.wake();
        if self.guests.queue.closed.load(Ordering::SeqCst) {
            self.guests.queue.clear();
        }
    }
}

impl Desk {
    /// The next word of a guest that still listens.
    pub(super) fn poll(&mut self) -> Option<(GuestKey, BrowserInput)> {
        while let Some(said) = self.queue.said.pop() {
            match said.listener {
                Some(listener) if listener.is_closed() => continue,
                Some(listener) => {
                    self.listeners.insert(said.guest, listener);
                }
                None if !self.listeners.contains_key(&said.guest) => continue,
                None => {}
            }
            return Some((said.guest, said.input));
        }
        None
    }

    /// The next guest that is gone, and whose call must end.
    pub(super) fn poll_gone(&mut self) -> Option<GuestKey> {
        while let Some(guest) = self.queue.take_gone() {
            // Without a listener its call is over, or never began.
            if self.listeners.remove(&guest).is_some() {
                return Some(guest);
            }
        }
        None
    }

    /// Tells a guest. `false`: it takes nothing any more, and its call must end.
    pub(super) fn tell(&mut self, guest: GuestKey, output: BrowserOutput) -> bool {
        let is_last = matches!(output, BrowserOutput::Ended { .. });
        let Some(listener) = self.listeners.get(&guest) else {
            return true;
        };
        let told = listener.try_send(output).is_ok();
        if is_last || !told {
            self.listeners.remove(&guest);
        }
        told || is_last
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.said.is_empty() && self.queue.gone.is_empty()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.queue.closed.store(true, Ordering::SeqCst);
        self.queue.clear();
    }
}

impl Queue {
    /// Whoever listens hears it: the other end of each channel goes away.
    fn clear(&self) {
        while let Some(said) = self.said.pop() {
            drop(said);
        }
        while self.take_gone().is_some() {}
    }

    fn take_gone(&self) -> Option<GuestKey> {
        let guest = self.gone.pop()?;
        self.guests.fetch_sub(1, Ordering::SeqCst);
        Some(guest)
    }
}

/// What a guest says is answered by this, which returns what it is told; while this is so, else everything waits.
#[cfg(test)]
pub(crate) fn answered_while(
    is_awake: Arc<AtomicBool>,
    mut answer: impl FnMut(GuestKey, BrowserInput) -> Vec<BrowserOutput> + Send + 'static,
) -> Guests {
    let (guests, mut desk) = pair(Arc::new(Wake::new().expect("an eventfd")));
    tokio::spawn(async move {
        loop {
            if !is_awake.load(Ordering::SeqCst) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                continue;
            }
            while let Some((guest, input)) = desk.poll() {
                for output in answer(guest, input) {
                    desk.tell(guest, output);
                }
            }
            while let Some(guest) = desk.poll_gone() {
                answer(guest, BrowserInput::HangUp);
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    guests
}

#[cfg(test)]
pub(crate) mod tests;
