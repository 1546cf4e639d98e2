//! Which page has a call, and where a WebSocket with a resume token is awaited.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::figures::GuestRefused;
use super::line::Line;
use super::token::{Cookie, Load, text_of};

/// Calls that may be resumed. As many as sockets, and those whose WebSocket was lost a moment ago.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// One call at a time for each page.
    loads: HashSet<Load>,
    /// By digest of the resume token: looking one up takes a time that says nothing of the others.
    waiting: HashMap<[u8; 32], Waiting>,
}

#[derive(Debug)]
struct Waiting {
    cookie: Cookie,
    line: mpsc::Sender<Line>,
}

/// A page's call, from `hello` to its end.
#[derive(Debug)]
pub(super) struct Claim {
    sessions: Arc<Sessions>,
    load: Load,
    /// For the page.
    pub(super) resume: String,
    /// sockets that take over.
    pub(super) lines: mpsc::Receiver<Line>,
}

impl Sessions {
    /// A page begins; `random` becomes its resume token.
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
        if !table.loads.insert(load) {
            return Err(GuestRefused::AlreadyOpen);
        }
        let resume = text_of(random);
        let (line, lines) = mpsc::channel(1);
        table
            .waiting
            .insert(digest(&resume), Waiting { cookie, line });
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
    pub(super) fn resume(&self, token: &str, cookie: &Cookie, line: Line) -> Result<(), Line> {
        let table = self.table();
        let waiting = table.waiting.get(&digest(token));
        match waiting.filter(|waiting| waiting.cookie == *cookie) {
            Some(waiting) => waiting
                .line
                .try_send(line)
                .map_err(mpsc::error::TrySendError::into_inner),
            None => Err(line),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        table.loads.remove(&self.load);
        table.waiting.remove(&digest(&self.resume));
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Octets of randomness of a resume token.
pub(super) const RESUME_OCTETS: usize = 24;
