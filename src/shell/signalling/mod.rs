//! The signalling thread: UDP sockets, messages of connections, words of other threads, deadlines; call
//! control in the middle.
//!
//! One turn: up to 32 datagrams a socket and as many messages of connections, then what others said,
//! then what is due; after each input call control is drained. Nothing here waits but the poll at the
//! end of a turn.

mod figures;

pub use figures::{Figures, Messages};

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use sip::event::{Flow, Transport};
use sip::message::SendBuffer;
use tokio::sync::{Notify, mpsc};

use super::asker::{self, Asker, COMMANDS_A_TURN_MAX, Commands, Waiting};
use super::media_link::MediaLink;
use super::panics::PanicWatch;
use super::tcp::{self, Heard, NotSent, Streams};
use super::udp::{DATAGRAMS_A_TURN, UdpPort};
use super::wake::Wake;
use crate::call::control::CallControl;
use crate::call::counters::Counters;
use crate::call::event::{Input, Level, LogLine, Now, Output, Ticket};
use crate::call::snapshot::Snapshot;
use crate::cdr::record::Record;
use crate::fraud_guard::StoredCount;
use crate::health::{BEAT_EVERY, Heart};
use crate::hep::{Capture, Protocol};
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::registrar::kept::KeptPhones;
use crate::storage::Store;

/// Words of control that signalling has not taken yet.
pub const WORDS_MAX: usize = 16_384;
/// Records that storage has not taken yet. Beyond this they are lost, counted and logged.
pub const RECORDS_MAX: usize = 262_144;
/// While storage or a worker takes nothing, they are tried again after this long.
const RETRY: Duration = Duration::from_millis(2);
/// How old published counters get.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// What control says to signalling.
#[derive(Debug)]
pub enum Word {
    /// The answer to [`Question::Resolve`].
    Resolved {
        /// The question.
        ticket: Ticket,
        /// The link, or why there is none.
        outcome: Box<Result<ResolvedLink, ResolveRefusal>>,
    },
    /// The answer to [`Question::ReserveAliases`].
    AliasBlock {
        /// The first number.
        first: u64,
        /// How many; 0: it failed.
        count: u32,
    },
    /// What the fraud guard counted in the last run.
    GuardCounts(Vec<StoredCount>),
    /// Where phones were in the last run.
    Phones(Vec<KeptPhones>),
    /// Trunks, sources, settings.
    Snapshot(Arc<Snapshot>),
    /// Take no new calls.
    Drain,
    /// End all calls.
    Stop,
}

/// What signalling asks control.
#[derive(Debug)]
pub enum Question {
    /// What does this request path mean.
    Resolve {
        /// The question.
        ticket: Ticket,
        /// User part of the Request-URI.
        user: String,
        /// Its host.
        host: String,
    },
    /// A block of alias numbers.
    ReserveAliases {
        /// How many.
        count: u32,
    },
}

/// Control's end.
#[derive(Debug, Clone)]
pub struct SignallingLink {
    words: Arc<ArrayQueue<Word>>,
    wake: Arc<Wake>,
    asker: Asker,
    /// What signalling publishes of itself.
    pub status: Arc<Status>,
}

/// What signalling publishes of itself.
#[derive(Debug, Default)]
pub struct Status {
    /// Calls up or being set up.
    pub calls_active: AtomicU64,
    /// After [`Word::Drain`]: no new call is taken, and `calls_active` is of a moment after that.
    pub draining: AtomicBool,
    /// After [`Word::Stop`]: nothing is left to do.
    pub stopped: AtomicBool,
    /// Totals, half a second old at most.
    pub counters: ArcSwap<Counters>,
    /// Records that were lost because storage stood still.
    pub records_lost: AtomicU64,
    /// Connections: how many, and why each ended.
    pub streams: Arc<tcp::Counters>,
    /// What the thread itself counts, as old as `counters`.
    pub figures: ArcSwap<Figures>,
    /// Beaten once a turn.
    pub heart: Heart,
    /// Told after each change of the above but the heart.
    pub changed: Notify,
}

impl Status {
    /// Waits until what is published says so.
    pub async fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // What changes from here on is not missed.
            changed.as_mut().enable();
            if is_so(self) {
                return;
            }
            changed.await;
        }
    }
}

impl SignallingLink {
    /// Says something.
    ///
    /// # Errors
    /// The word, when too many wait already.
    pub fn say(&self, word: Word) -> Result<(), Word> {
        let said = self.words.push(word);
        self.wake.wake();
        said
    }

    /// For whoever asks or orders.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }
}

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
    /// A send failed: perhaps by an ICMP error that the kernel keeps for us.
    send_failed: bool,
    status: Arc<Status>,
    panics: Arc<PanicWatch>,
    drained: bool,
    /// Something happened since the counters were published.
    dirty: bool,
    figures: Figures,
    capture: Option<Capture>,
}

enum Echo {
    ConnectRefused(media::command::PairKey),
    TransportFailed(Flow),
    Resolved(Ticket, Box<ResolvedLink>),
    Unresolved(Ticket),
    NoAliases,
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
    let link = SignallingLink {
        words: Arc::clone(&words),
        wake: Arc::clone(&parts.wake),
        asker,
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
        send_failed: false,
        status,
        panics,
        drained: false,
        dirty: true,
        figures: Figures::default(),
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
                Ok(ports) => run(core(), ports, &words, &commands, &wake),
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
) {
    let mut published = Instant::now();
    core.feed(Input::Expired);
    while !core.status.stopped.load(Ordering::Relaxed) {
        let more = core.receive(&mut ports) | core.receive_streams();
        while let Some(word) = words.pop() {
            core.hear(word);
        }
        core.obey(commands);
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
        if !more && !core.status.stopped.load(Ordering::Relaxed) {
            core.sleep(&ports, words, commands, wake, quiet);
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

    fn act(&mut self, output: Output) {
        match output {
            Output::Send { flow } => match flow.transport {
                Transport::Udp => self.send(flow),
                Transport::Tcp => self.send_by_stream(flow),
            },
            Output::Close { flow } => self.streams.close(flow),
            Output::Media { worker, command } => {
                let Some(link) = self.media.get_mut(usize::from(worker)) else {
                    return;
                };
                if let Err(pair) = link.send(command) {
                    self.echoes.push_back(Echo::ConnectRefused(pair));
                }
            }
            Output::Resolve {
                ticket,
                user,
                host,
                source: _,
            } => self.resolve(ticket, user, host),
            Output::ReserveAliases { count } => {
                if self
                    .questions
                    .try_send(Question::ReserveAliases { count })
                    .is_err()
                {
                    self.echoes.push_back(Echo::NoAliases);
                }
            }
            Output::Record(record) => self.record(record),
            Output::CommandDone { ticket, outcome } => self.waiting.end(ticket, outcome),
            Output::Log(line) => log(&line),
            Output::Stopped => {
                self.status.stopped.store(true, Ordering::Release);
                self.status.changed.notify_waiters();
            }
        }
    }

    /// Looks a link up: at once where it is known, else by the database.
    fn resolve(&mut self, ticket: Ticket, user: String, host: String) {
        let store = self.store.as_ref();
        let known = store.and_then(|store| store.resolve_known(&user, Timestamp::now()));
        if let Some(link) = known {
            self.figures.links_known += 1;
            self.echoes
                .push_back(Echo::Resolved(ticket, Box::new(link)));
            return;
        }
        let question = Question::Resolve { ticket, user, host };
        if self.questions.try_send(question).is_err() {
            self.echoes.push_back(Echo::Unresolved(ticket));
        }
    }

    /// A message has come: counted, and copied where somebody captures.
    fn note_received(&mut self, flow: Flow, bytes: &[u8]) {
        self.figures.received.count(bytes);
        if let Some(capture) = &mut self.capture {
            let now = Timestamp::now();
            capture.copy(now, protocol(flow), flow.remote, flow.local, bytes);
        }
    }

    /// The message in the buffer goes.
    fn note_sent(&mut self, flow: Flow) {
        self.figures.sent.count(self.buffer.as_bytes());
        if let Some(capture) = &mut self.capture {
            let (now, message) = (Timestamp::now(), self.buffer.as_bytes());
            capture.copy(now, protocol(flow), flow.local, flow.remote, message);
        }
    }

    fn send_by_stream(&mut self, flow: Flow) {
        self.note_sent(flow);
        match self.streams.send(flow, self.buffer.as_bytes()) {
            Ok(()) => {}
            // The connection's own end says so.
            Err(NotSent::Closed | NotSent::Full) => {}
            Err(NotSent::NoRoom) => {
                tracing::warn!(remote = %flow.remote, "no more SIP connections can be opened");
                self.echoes.push_back(Echo::TransportFailed(flow));
            }
        }
    }

    fn send(&mut self, flow: Flow) {
        let sender = self.senders.iter().find(|(named, _)| *named == flow.local);
        let Some((_, socket)) = sender else {
            tracing::warn!(local = %flow.local, "a message for a socket that we do not have");
            self.echoes.push_back(Echo::TransportFailed(flow));
            return;
        };
        let mut sent = socket.send_to(self.buffer.as_bytes(), flow.remote);
        if matches!(&sent, Err(error) if error.kind() != io::ErrorKind::WouldBlock) {
            // Perhaps an ICMP error about another peer, which fails one call.
            self.send_failed = true;
            sent = socket.send_to(self.buffer.as_bytes(), flow.remote);
        }
        self.note_sent(flow);
        match sent {
            // A full socket buffer is a loss, as the network's would be: timers repeat.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(remote = %flow.remote, %error, "a message could not be sent");
                self.figures.sends_failed += 1;
                self.echoes.push_back(Echo::TransportFailed(flow));
            }
        }
    }

    fn record(&mut self, record: Record) {
        self.figures.record(&record);
        if !self.records_waiting.is_empty() {
            return self.keep_record(record);
        }
        if let Err(refused) = self.records.try_send(record) {
            self.keep_record(refused.into_inner());
        }
    }

    fn keep_record(&mut self, record: Record) {
        if self.records_waiting.len() < RECORDS_MAX {
            self.records_waiting.push_back(record);
        } else if self.status.records_lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!("storage stands still: call records are lost");
        }
    }

    /// Sends what waits. True: nothing waits any more.
    fn flush(&mut self) -> bool {
        let mut quiet = true;
        for link in &mut self.media {
            quiet &= link.flush();
        }
        while let Some(record) = self.records_waiting.pop_front() {
            if let Err(refused) = self.records.try_send(record) {
                self.records_waiting.push_front(refused.into_inner());
                quiet = false;
                break;
            }
        }
        quiet && self.echoes.is_empty()
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
        if !words.is_empty() || !commands.is_empty() || !is_quiet {
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

const fn protocol(flow: Flow) -> Protocol {
    match flow.transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
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

fn log(line: &LogLine) {
    let LogLine {
        level,
        event,
        call,
        detail,
    } = line;
    let call = call.as_deref().unwrap_or("-");
    match level {
        Level::Debug => tracing::debug!(call, event, "{detail}"),
        Level::Note => tracing::info!(call, event, "{detail}"),
        Level::Warning => tracing::warn!(call, event, "{detail}"),
    }
}

#[cfg(test)]
mod tests;
