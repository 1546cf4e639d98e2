//! Commands from control to call control and their outcomes back.
//!
//! [`Asker::ask`] puts a command into a bounded queue, wakes signalling by its eventfd and waits for
//! the outcome without holding a thread. Neither side polls, blocks or locks: a full queue is a
//! refusal at once, an asker that is dropped leaves nothing, and when signalling ends, everybody
//! who waits is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use tokio::sync::oneshot;

use super::wake::Wake;
use crate::call::command::{Command, CommandOutcome, CommandRefusal};
use crate::call::event::Ticket;

/// Commands that signalling has not taken yet.
pub const COMMANDS_MAX: usize = 256;
/// Commands of one turn of signalling; datagrams are read between turns.
pub const COMMANDS_A_TURN_MAX: usize = 16;

/// Control's end. Cloned for everybody who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    queue: Arc<Queue>,
    wake: Arc<Wake>,
}

/// Signalling's end. When it is dropped, every question that waits is refused.
#[derive(Debug)]
pub(super) struct Commands {
    queue: Arc<Queue>,
}

/// A command and where its outcome goes.
#[derive(Debug)]
pub(super) struct Asked {
    command: Command,
    outcome: oneshot::Sender<Result<CommandOutcome, CommandRefusal>>,
}

#[derive(Debug)]
struct Queue {
    asked: ArrayQueue<Asked>,
    /// Nobody takes anything any more.
    closed: AtomicBool,
}

/// Both ends; `wake` ends signalling's sleep.
pub(super) fn pair(wake: Arc<Wake>) -> (Asker, Commands) {
    let queue = Arc::new(Queue {
        asked: ArrayQueue::new(COMMANDS_MAX),
        closed: AtomicBool::new(false),
    });
    let asker = Asker {
        queue: Arc::clone(&queue),
        wake,
    };
    (asker, Commands { queue })
}

impl Asker {
    /// Asks, and waits for what came of it.
    ///
    /// # Errors
    /// Call control refuses; too many commands wait ([`CommandRefusal::Busy`], at once); the node
    /// stops; a fault of ours swallowed the outcome.
    pub async fn ask(&self, command: Command) -> Result<CommandOutcome, CommandRefusal> {
        if self.queue.closed.load(Ordering::SeqCst) {
            return Err(CommandRefusal::Stopped);
        }
        let (outcome, answered) = oneshot::channel();
        if self.queue.asked.push(Asked { command, outcome }).is_err() {
            return Err(CommandRefusal::Busy);
        }
        self.wake.wake();
        // Signalling may have ended between the two lines above: then nobody else empties the queue.
        if self.queue.closed.load(Ordering::SeqCst) {
            self.queue.clear();
        }
        answered.await.unwrap_or_else(|_nobody| {
            Err(if self.queue.closed.load(Ordering::SeqCst) {
                CommandRefusal::Stopped
            } else {
                CommandRefusal::Lost
            })
        })
    }
}

impl Commands {
    /// The next command whose asker still waits.
    pub(super) fn poll(&self) -> Option<Asked> {
        while let Some(asked) = self.queue.asked.pop() {
            if !asked.outcome.is_closed() {
                return Some(asked);
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.asked.is_empty()
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.queue.closed.store(true, Ordering::SeqCst);
        self.queue.clear();
    }
}

impl Queue {
    /// Whoever waits hears it: the other end of each outcome goes away.
    fn clear(&self) {
        while let Some(asked) = self.asked.pop() {
            drop(asked);
        }
    }
}

/// Who waits for which ticket. As many as commands under way: one, while each is answered within
/// its turn.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    outcomes: BTreeMap<Ticket, oneshot::Sender<Result<CommandOutcome, CommandRefusal>>>,
    last: u64,
}

impl Waiting {
    pub(super) fn begin(&mut self, asked: Asked) -> (Ticket, Command) {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.outcomes.insert(ticket, asked.outcome);
        (ticket, asked.command)
    }

    pub(super) fn end(&mut self, ticket: Ticket, outcome: Result<CommandOutcome, CommandRefusal>) {
        if let Some(asker) = self.outcomes.remove(&ticket) {
            // An asker that has gone away does not want to know.
            asker.send(outcome).ok();
        }
    }

    /// No outcome will come: the asker is told so.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.outcomes.remove(&ticket);
    }
}

/// Who asks is answered by this, in the order of asking.
#[cfg(test)]
pub(crate) fn answered_by(
    mut answer: impl FnMut(Command) -> Result<CommandOutcome, CommandRefusal> + Send + 'static,
) -> Asker {
    let wake = Arc::new(Wake::new().expect("an eventfd"));
    let (asker, commands) = pair(wake);
    tokio::spawn(async move {
        loop {
            while let Some(asked) = commands.poll() {
                asked.outcome.send(answer(asked.command)).ok();
            }
            tokio::task::yield_now().await;
        }
    });
    asker
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(call: &str) -> Command {
        Command::Show { call: call.into() }
    }

    fn ends() -> (Asker, Commands) {
        pair(Arc::new(Wake::new().unwrap()))
    }

    #[tokio::test]
    async fn outcome_goes_to_the_one_who_asked() {
        let (asker, commands) = ends();
        let other = asker.clone();
        let answer = async {
            tokio::task::yield_now().await;
            let mut waiting = Waiting::default();
            let mut tickets = Vec::new();
            while let Some(asked) = commands.poll() {
                tickets.push(waiting.begin(asked));
            }
            for (ticket, command) in tickets.into_iter().rev() {
                let is_one = matches!(&command, Command::Show { call } if call == "one");
                let outcome = if is_one {
                    Ok(CommandOutcome::Ended)
                } else {
                    Err(CommandRefusal::NoSuchCall)
                };
                waiting.end(ticket, outcome);
            }
            assert!(waiting.outcomes.is_empty());
        };
        let (one, two, ()) = tokio::join!(asker.ask(show("one")), other.ask(show("two")), answer);
        assert_eq!(one, Ok(CommandOutcome::Ended));
        assert_eq!(two, Err(CommandRefusal::NoSuchCall));
    }

    #[tokio::test]
    async fn full_queue_is_a_refusal_at_once_and_a_dropped_asker_leaves_nothing() {
        let (asker, commands) = ends();
        for _ in 0..COMMANDS_MAX {
            let mut asked = Box::pin(asker.ask(show("x")));
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(asked.as_mut().poll(context).is_pending())
            });
            assert!(polled.await, "it waits");
        }
        assert_eq!(asker.ask(show("y")).await, Err(CommandRefusal::Busy));
        assert!(commands.poll().is_none(), "nobody waits any more");
        assert!(commands.is_empty());
    }

    #[tokio::test]
    async fn node_that_stops_answers_those_who_wait_and_those_who_come_later() {
        let (asker, commands) = ends();
        let stop = async {
            tokio::task::yield_now().await;
            drop(commands);
        };
        let (waited, ()) = tokio::join!(asker.ask(show("x")), stop);
        assert_eq!(waited, Err(CommandRefusal::Stopped));
        assert_eq!(asker.ask(show("x")).await, Err(CommandRefusal::Stopped));
    }

    #[tokio::test]
    async fn outcome_that_a_fault_swallowed_is_told() {
        let (asker, commands) = ends();
        let lose = async {
            tokio::task::yield_now().await;
            let mut waiting = Waiting::default();
            let (ticket, _command) = waiting.begin(commands.poll().unwrap());
            waiting.forget(ticket);
        };
        let (lost, ()) = tokio::join!(asker.ask(show("x")), lose);
        assert_eq!(lost, Err(CommandRefusal::Lost));
    }

    #[tokio::test]
    async fn question_wakes_a_sleeper() {
        let wake = Arc::new(Wake::new().unwrap());
        let (asker, commands) = pair(Arc::clone(&wake));
        wake.prepare_to_sleep();
        let ask = asker.ask(show("x"));
        let look = async {
            tokio::task::yield_now().await;
            let polled = nix::poll::PollFd::new(wake.descriptor(), nix::poll::PollFlags::POLLIN);
            let ready = nix::poll::poll(&mut [polled], nix::poll::PollTimeout::ZERO);
            drop(commands);
            ready
        };
        let (_outcome, ready) = tokio::join!(ask, look);
        assert_eq!(ready, Ok(1));
    }
}
