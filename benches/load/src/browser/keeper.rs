//! Keeps the connections of guests that talk: who does not answer its pings is taken for gone.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::unistd::gettid;

use super::page::Line;
use crate::machine::make_ordinary;
use crate::report::progress;

/// A thread with their connections.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// `None`: it has been told to end.
    lines: Option<Sender<Line>>,
    thread: Option<JoinHandle<usize>>,
}

impl Keeper {
    /// Without any yet.
    pub(crate) fn begin() -> Self {
        let (lines, new) = channel();
        let thread = std::thread::spawn(move || {
            // In what time the load leaves of its core.
            make_ordinary(gettid());
            keep(&new)
        });
        Self {
            lines: Some(lines),
            thread: Some(thread),
        }
    }

    /// One more.
    pub(crate) fn keep(&self, line: Line) {
        if let Some(lines) = &self.lines {
            // The thread ends when it is told to, and not before.
            lines.send(line).ok();
        }
    }

    /// All of them hang up. How many had ended before.
    pub(crate) fn finish(&mut self) -> usize {
        self.lines = None;
        let thread = self.thread.take();
        thread.map_or(0, |thread| thread.join().unwrap_or_default())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}

fn keep(new: &Receiver<Line>) -> usize {
    let (mut lines, mut ended): (Vec<Line>, usize) = (Vec::new(), 0);
    loop {
        match new.recv_timeout(LOOK) {
            Ok(line) => {
                lines.push(line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        lines.retain_mut(|line| {
            let is_there = heard_all(line);
            ended += usize::from(!is_there);
            is_there
        });
    }
    if ended > 0 {
        progress(&format!(
            "browser: {ended} calls of guests ended by themselves"
        ));
    }
    for mut line in lines {
        // Who cannot hang up any more has no call.
        line.leave().ok();
        std::thread::sleep(BETWEEN);
    }
    ended
}

/// Takes what waits. False: the WebSocket has ended.
fn heard_all(line: &mut Line) -> bool {
    loop {
        match line.hear() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Well below the time after which a gateway misses a pong.
const LOOK: Duration = Duration::from_millis(500);
/// Guests that leave one after the other.
const BETWEEN: Duration = Duration::from_micros(500);
