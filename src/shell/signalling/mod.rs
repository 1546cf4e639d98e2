//! The signalling thread: UDP sockets, messages of connections, words of other threads, deadlines; call
//! control in the middle.
//!
//! One turn: up to 32 datagrams a socket and as many messages of connections, then what others said,
//! then what is due; after each input call control is drained. Nothing here waits but the poll at the
//! end of a turn.

mod figures;
mod gathering;
mod link;
mod outputs;

pub use figures::{Figures, Messages};
pub use link::{Question, SignallingLink, Status, Word};

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use sip::event::{Flow, Transport};
use sip::message::SendBuffer;
use tokio::sync::mpsc;

use self::gathering::Gathering;
use super::asker::{self, COMMANDS_A_TURN_MAX, Commands, Waiting};
use super::guests::{self, Desk, GUEST_WORDS_A_TURN_MAX};
use super::media_link::MediaLink;
use super::panics::PanicWatch;
use super::tcp::{Heard, Streams};
use super::udp::{DATAGRAMS_A_TURN, UdpPort};
use super::wake::Wake;
use crate::call::browser::event::{BrowserInput, GuestKey};
use crate::call::control::CallControl;
use crate::call::event::{Input, Level, Now, Ticket};
use crate::cdr::record::Record;
use crate::health::BEAT_EVERY;
use crate::hep::Capture;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::storage::Store;

/// Words of control that signalling has not taken yet.
pub const WORDS_MAX: usize = 16_384;
/// Records that storage has not taken yet. Beyond this they are lost, counted and logged.
pub const RECORDS_MAX: usize = 262_144;
/// While storage or a worker takes nothing, they are tried again after this long.
const RETRY: Duration = Duration::from_millis(2);
/// How old published counters get.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// Everything the thread is made of.
#[derive(Debug)]
pub struct Parts {
    /// Call control.
    pub control: CallControl,
    /// Sockets with the address that messages name for each.
    pub sockets: Vec<(SocketAddr, UdpSocket)>,
    /// Connections.
    pub streams: Streams,
    /// The workers, by number.
    pub media: Vec<MediaLink>,
    /// To control.
    pub questions: mpsc::Sender<Question>,
    /// To storage.
    pub records: mpsc::Sender<Record>,
    /// Knows some links without waiting.
    pub store: Option<Store>,
    /// Ends this thread's sleep.
    pub wake: Arc<Wake>,
    /// Panics of all turns.
    pub panics: Arc<PanicWatch>,
    /// Copies messages to a capture server, where there is one.
    pub capture: Option<Capture>,
    /// How long a message may wait for others while they come thick; zero: never.
    pub gather: Duration,
}

/// Everything but the receiving sockets: what an input meets.
struct Core {
    control: CallControl,
    senders: Vec<(SocketAddr, UdpSocket)>,
    streams: Streams,
    media: Vec<MediaLink>,
    questions: mpsc::Sender<Question>,
    store: Option<Store>,
    records: mpsc::Sender<Record>,
    records_waiting: VecDeque<Record>,
    /// Inputs that outputs gave rise to: refused connects, failed sends, unanswerable questions.
    echoes: VecDeque<Echo>,
    buffer: SendBuffer,
    /// Askers who wait for the outcome of their command.
    waiting: Waiting,
    /// Guests who hear what becomes of their calls.
    guests: Desk,
    /// A send failed: perhaps by an ICMP error that the kernel keeps for us.
    send_failed: bool,
    status: Arc<Status>,
    panics: Arc<PanicWatch>,
    drained: bool,
    /// Something happened since the counters were published.
    dirty: bool,
    figures: Figures,
    /// Messages of this turn.
    heard: u32,
    capture: Option<Capture>,
}

enum Echo {
    ConnectRefused(media::command::PairKey),
    TransportFailed(Flow),
    Resolved(Ticket, Box<ResolvedLink>),
    Unresolved(Ticket),
    NoAliases,
    GuestGone(GuestKey),
}

/// Starts the thread.
///
/// # Errors
/// A socket cannot be used, or there is no thread.
pub fn start(parts: Parts) -> io::Result<(SignallingLink, std::thread::JoinHandle<()>)> {
    let words = Arc::new(ArrayQueue::new(WORDS_MAX));
    let status = Arc::new(Status {
        streams: Arc::clone(&parts.streams.counters),
        ..Status::default()
    });
    let (asker, commands) = asker::pair(Arc::clone(&parts.wake));
    let (guests, desk) = guests::pair(Arc::clone(&parts.wake));
    let link = SignallingLink {
        words: Arc::clone(&words),
        wake: Arc::clone(&parts.wake),
        asker,
        guests,
        status: Arc::clone(&status),
    };
    let mut senders = Vec::new();
    for (named, socket) in &parts.sockets {
        senders.push((*named, socket.try_clone()?));
    }
    let Parts {
        control,
        sockets,
        streams,
        media,
        questions,
        records,
        store,
        wake,
        panics,
        capture,
        gather,
    } = parts;
    let core = move || Core {
        control,
        senders,
        streams,
        media,
        questions,
        store,
        records,
        records_waiting: VecDeque::new(),
        echoes: VecDeque::new(),
        buffer: SendBuffer::new(),
        waiting: Waiting::default(),
        guests: desk,
        send_failed: false,
        status,
        panics,
        drained: false,
        dirty: true,
        figures: Figures::default(),
        heard: 0,
        capture,
    };
    let thread = std::thread::Builder::new()
        .name("signalling".to_owned())
        .spawn(move || {
            if let Err(error) = packet_io::ask_for_short_turns() {
                tracing::debug!(%error, "signalling takes its turns as any thread");
            }
            let ports: io::Result<Vec<(SocketAddr, UdpPort)>> = sockets
                .into_iter()
                .map(|(named, socket)| UdpPort::new(socket).map(|port| (named, port)))
                .collect();
            match ports {
                Ok(ports) => run(core(), ports, &words, &commands, &wake, gather),
                Err(error) => tracing::error!(%error, "signalling cannot use its sockets"),
            }
        })?;
    Ok((link, thread))
}

fn run(
    mut core: Core,
    mut ports: Vec<(SocketAddr, UdpPort)>,
    words: &ArrayQueue<Word>,
    commands: &Commands,
    wake: &Wake,
    gather: Duration,
) {
    let mut published = Instant::now();
    let mut gathering = Gathering::new(gather, published);
    core.feed(Input::Expired);
    while !core.status.stopped.load(Ordering::Relaxed) {
        let began = Instant::now();
        let more = core.receive(&mut ports) | core.receive_streams();
        while let Some(word) = words.pop() {
            core.hear(word);
        }
        core.obey(commands);
        core.hear_guests();
        core.take_reports();
        core.expire();
        core.settle();
        let quiet = core.flush();
        let now = Instant::now();
        core.status.heart.beat(now);
        core.figures.words_waiting = u64::try_from(words.len()).unwrap_or(0);
        if core.dirty && now.saturating_duration_since(published) >= PUBLISH_EVERY {
            published = now;
            core.publish();
        }
        gathering.count(std::mem::take(&mut core.heard));
        if !more && !core.status.stopped.load(Ordering::Relaxed) {
            match gathering.next_turn(began, now) {
                // Who would wake us need not: the next turn looks everywhere.
                Some(due) => {
                    core.figures.turns_gathered += 1;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                None => core.sleep(&ports, words, commands, wake, quiet),
            }
        }
    }
    core.publish();
    core.flush();
    for record in core.records_waiting {
        if core.records.blocking_send(record).is_err() {
            core.status.records_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Core {
    fn receive(&mut self, ports: &mut [(SocketAddr, UdpPort)]) -> bool {
        let mut more = false;
        let send_failed = std::mem::take(&mut self.send_failed);
        for (named, port) in ports {
            let local = *named;
            if send_failed {
                self.take_unreachable(local, port);
            }
            let received = port.receive(|remote, bytes| {
                let flow = Flow {
                    transport: Transport::Udp,
                    local,
                    remote,
                };
                self.note_received(flow, bytes);
                self.feed(Input::Datagram { flow, bytes });
            });
            match received {
                Ok(there_is_more) => more |= there_is_more,
                // Datagrams wait behind an ICMP error.
                Err(_) if self.take_unreachable(local, port) => more = true,
                Err(error) => tracing::warn!(%local, %error, "a SIP socket cannot be read"),
            }
        }
        more
    }

    /// What came by connections. Each is as dear as a datagram, and gets no more of a turn.
    fn receive_streams(&mut self) -> bool {
        for _ in 0..DATAGRAMS_A_TURN {
            match self.streams.poll() {
                Some(Heard::Message(flow, bytes)) => {
                    let bytes = &bytes;
                    self.note_received(flow, bytes);
                    self.feed(Input::Datagram { flow, bytes });
                }
                Some(Heard::Failed(flow)) => self.feed(Input::TransportFailed { flow }),
                None => return false,
            }
        }
        !self.streams.is_quiet()
    }

    /// What ICMP says of our peers (RFC 3261 §18.4): requests that one has not heard need not wait
    /// for their timers. True where there was any error.
    fn take_unreachable(&mut self, local: SocketAddr, port: &UdpPort) -> bool {
        let taken = port.unreachable(|remote| {
            let flow = Flow {
                transport: Transport::Udp,
                local,
                remote,
            };
            self.echoes.push_back(Echo::TransportFailed(flow));
        });
        taken.unwrap_or(false)
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Resolved { ticket, outcome } => {
                self.feed(Input::Resolved {
                    ticket,
                    outcome: *outcome,
                });
            }
            Word::AliasBlock { first, count } => self.feed(Input::AliasBlock { first, count }),
            Word::GuardCounts(counts) => self.feed(Input::GuardCounts(counts)),
            Word::Phones(kept) => self.feed(Input::Phones(kept)),
            Word::Snapshot(snapshot) => self.feed(Input::Snapshot(snapshot)),
            Word::Drain => {
                self.feed(Input::Drain);
                // Whoever waits for the last call must not read numbers of before it began.
                self.publish();
                self.status.draining.store(true, Ordering::Release);
                self.status.changed.notify_waiters();
            }
            Word::Stop => self.feed(Input::Stop),
        }
    }

    /// Commands of this turn. More wait for the next: calls come first.
    fn obey(&mut self, commands: &Commands) {
        for _ in 0..COMMANDS_A_TURN_MAX {
            let Some(asked) = commands.poll() else { return };
            let (ticket, command) = self.waiting.begin(asked);
            self.feed(Input::Command { ticket, command });
            // An outcome that a panic swallowed never comes.
            self.waiting.forget(ticket);
        }
    }

    /// What guests say, this turn; more waits for the next. Who is gone hangs up.
    fn hear_guests(&mut self) {
        for _ in 0..GUEST_WORDS_A_TURN_MAX {
            let Some((guest, input)) = self.guests.poll() else {
                break;
            };
            self.feed(Input::Browser { guest, input });
        }
        for _ in 0..GUEST_WORDS_A_TURN_MAX {
            let Some(guest) = self.guests.poll_gone() else {
                break;
            };
            self.hang_up(guest);
        }
    }

    fn hang_up(&mut self, guest: GuestKey) {
        let input = BrowserInput::HangUp;
        self.feed(Input::Browser { guest, input });
    }

    fn take_reports(&mut self) {
        for index in 0..self.media.len() {
            while let Some(report) = self.media.get(index).and_then(MediaLink::poll_report) {
                self.feed(Input::Report { report });
            }
        }
    }

    fn expire(&mut self) {
        if self
            .control
            .poll_deadline()
            .is_some_and(|at| at <= Instant::now())
        {
            self.feed(Input::Expired);
        }
        if self.panics.is_fatal() && !self.drained {
            self.drained = true;
            tracing::error!("a second panic within a minute: this node takes no new calls");
            self.feed(Input::Drain);
        }
    }

    /// What outputs gave rise to.
    fn settle(&mut self) {
        while let Some(echo) = self.echoes.pop_front() {
            match echo {
                Echo::ConnectRefused(pair) => self.feed(Input::ConnectRefused { pair }),
                Echo::TransportFailed(flow) => self.feed(Input::TransportFailed { flow }),
                Echo::Resolved(ticket, link) => {
                    let outcome = Ok(*link);
                    self.feed(Input::Resolved { ticket, outcome });
                }
                Echo::Unresolved(ticket) => {
                    let outcome = Err(ResolveRefusal::Unavailable);
                    self.feed(Input::Resolved { ticket, outcome });
                }
                Echo::GuestGone(guest) => self.hang_up(guest),
                Echo::NoAliases => self.feed(Input::AliasBlock { first: 0, count: 0 }),
            }
        }
    }

    /// One input, and everything that follows from it. A panic ends here, and ends its call.
    fn feed(&mut self, input: Input<'_>) {
        self.dirty = true;
        self.control.set_least_level(least_level());
        let now = Now {
            instant: Instant::now(),
            timestamp: Timestamp::now(),
        };
        let survived = self.survives(|core| core.control.handle_input(now, input));
        if !survived && !self.survives(|core| core.control.handle_panic(now)) {
            tracing::error!("the call of a turn that panicked could not be ended");
        }
    }

    /// One step of call control and what it wants done; `false`: it panicked, which is counted.
    fn survives(&mut self, step: impl FnOnce(&mut Self)) -> bool {
        let turned = catch_unwind(AssertUnwindSafe(|| {
            step(self);
            while let Some(output) = self.control.poll_output(&mut self.buffer) {
                self.act(output);
            }
        }));
        if turned.is_err() {
            self.panics.count(Instant::now());
        }
        turned.is_ok()
    }

    fn publish(&mut self) {
        self.dirty = false;
        let counters = self.control.counters();
        self.status
            .calls_active
            .store(counters.calls_active, Ordering::Relaxed);
        self.status.counters.store(Arc::new(counters));
        self.figures.records_waiting = u64::try_from(self.records_waiting.len()).unwrap_or(0);
        self.status.figures.store(Arc::new(self.figures.clone()));
        self.status.changed.notify_waiters();
    }

    fn sleep(
        &self,
        ports: &[(SocketAddr, UdpPort)],
        words: &ArrayQueue<Word>,
        commands: &Commands,
        wake: &Wake,
        quiet: bool,
    ) {
        wake.prepare_to_sleep();
        let is_quiet = self.streams.is_quiet() && self.media.iter().all(MediaLink::is_quiet);
        let is_asked = !commands.is_empty() || !self.guests.is_empty();
        if !words.is_empty() || is_asked || !is_quiet {
            wake.awake(false);
            return;
        }
        let now = Instant::now();
        let due = self
            .control
            .poll_deadline()
            .map(|at| at.saturating_duration_since(now));
        let publish = self.dirty.then_some(PUBLISH_EVERY);
        let retry = (!quiet).then_some(RETRY);
        let wait = [due, publish, retry, Some(BEAT_EVERY)]
            .into_iter()
            .flatten()
            .min()
            .map(TimeSpec::from_duration);
        let mut descriptors: Vec<PollFd<'_>> = ports
            .iter()
            .map(|(_, port)| PollFd::new(port.descriptor(), PollFlags::POLLIN))
            .chain([PollFd::new(wake.descriptor(), PollFlags::POLLIN)])
            .collect();
        // Interrupted or not: the next turn looks everywhere.
        let _ready = ppoll(&mut descriptors, wait, None);
        let signalled = descriptors.last().and_then(PollFd::any);
        wake.awake(signalled == Some(true));
    }
}

/// What is quieter than this, no subscriber takes at present.
fn least_level() -> Level {
    let most = tracing::level_filters::LevelFilter::current();
    if most >= tracing::level_filters::LevelFilter::DEBUG {
        Level::Debug
    } else if most >= tracing::level_filters::LevelFilter::INFO {
        Level::Note
    } else {
        Level::Warning
    }
}

#[cfg(test)]
mod tests;
