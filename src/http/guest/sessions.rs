//! Which page has a call, and where a WebSocket with a resume token is awaited.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::figures::GuestRefused;
use super::line::Line;
use super::token::{Cookie, Load, text_of};

/// Calls that may be resumed. As many as WebSockets, and those whose WebSocket was lost a moment ago.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// One call at a time for each page; the digest of its resume token.
    loads: HashMap<Load, [u8; 32]>,
    /// By digest of the resume token: looking one up takes a time that says nothing of the others.
    waiting: HashMap<[u8; 32], Waiting>,
}

#[derive(Debug)]
struct Waiting {
    cookie: Cookie,
    /// Dropped: the page has given the call up.
    /// Boxed: a channel has room for 32 from the beginning.
    line: mpsc::Sender<Box<Line>>,
    /// No WebSocket carries it now.
    is_lost: bool,
}

/// A page's call, from `hello` to its end.
#[derive(Debug)]
pub(super) struct Claim {
    sessions: Arc<Sessions>,
    load: Load,
    /// For the page.
    pub(super) resume: String,
    /// WebSockets that take over.
    pub(super) lines: mpsc::Receiver<Box<Line>>,
}

impl Sessions {
    /// A page begins; `random` becomes its resume token. A call of its that no WebSocket carries it has given
    /// up: that one is over.
    ///
    /// # Errors
    /// It has a call already.
    pub(super) fn claim(
        self: &Arc<Self>,
        load: Load,
        cookie: Cookie,
        random: &[u8; RESUME_OCTETS],
    ) -> Result<Claim, GuestRefused> {
        let mut table = self.table();
        if let Some(before) = table.loads.get(&load).copied() {
            let waiting = table.waiting.get(&before);
            // One that waits in the channel is about to carry it.
            if !waiting.is_some_and(|waiting| waiting.is_lost && waiting.line.capacity() > 0) {
                return Err(GuestRefused::AlreadyOpen);
            }
            table.waiting.remove(&before);
        }
        let resume = text_of(random);
        let digest = digest(&resume);
        let (line, lines) = mpsc::channel(1);
        table.loads.insert(load, digest);
        let waiting = Waiting {
            cookie,
            line,
            is_lost: false,
        };
        table.waiting.insert(digest, waiting);
        drop(table);
        Ok(Claim {
            sessions: Arc::clone(self),
            load,
            resume,
            lines,
        })
    }

    /// Hands a WebSocket to the call that waits for it.
    ///
    /// # Errors
    /// None does, or it is another browser's: the WebSocket comes back.
    pub(super) fn resume(&self, token: &str, cookies: &[Cookie], line: Line) -> Result<(), Line> {
        let table = self.table();
        let waiting = table.waiting.get(&digest(token));
        match waiting.filter(|waiting| cookies.contains(&waiting.cookie)) {
            Some(waiting) => waiting
                .line
                .try_send(Box::new(line))
                .map_err(|unsent| *unsent.into_inner()),
            None => Err(line),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Whether no WebSocket carries the call now.
    pub(super) fn set_lost(&self, is_lost: bool) {
        let mut table = self.sessions.table();
        if let Some(waiting) = table.waiting.get_mut(&digest(&self.resume)) {
            waiting.is_lost = is_lost;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let digest = digest(&self.resume);
        let mut table = self.sessions.table();
        // A later call of the page may have it.
        if table.loads.get(&self.load) == Some(&digest) {
            table.loads.remove(&self.load);
        }
        table.waiting.remove(&digest);
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Octets of randomness of a resume token.
pub(super) const RESUME_OCTETS: usize = 24;
