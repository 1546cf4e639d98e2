//! What call control wants done: messages sent, links looked up, records kept, lines logged.

use std::io;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use sip::event::{Flow, Transport};

use super::{Core, Echo, Question, RECORDS_MAX};
use crate::call::event::{Level, LogLine, Output, Ticket};
use crate::cdr::record::Record;
use crate::hep::Protocol;
use crate::shell::tcp::NotSent;

impl Core {
    pub(super) fn act(&mut self, output: Output) {
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
            Output::Browser { guest, output } => {
                if !self.guests.tell(guest, output) {
                    self.echoes.push_back(Echo::GuestGone(guest));
                }
            }
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
    pub(super) fn note_received(&mut self, flow: Flow, bytes: &[u8]) {
        self.figures.received.count(bytes);
        self.heard += 1;
        if let Some(capture) = &mut self.capture {
            let now = Timestamp::now();
            capture.copy(now, protocol(flow), flow.remote, flow.local, bytes);
        }
    }

    /// The message in the buffer goes, since `at`.
    fn note_sent(&mut self, flow: Flow, at: Option<Timestamp>) {
        self.figures.sent.count(self.buffer.as_bytes());
        if let (Some(capture), Some(at)) = (&mut self.capture, at) {
            let message = self.buffer.as_bytes();
            capture.copy(at, protocol(flow), flow.local, flow.remote, message);
        }
    }

    /// Now, where somebody captures: a copy is no later than what it is a copy of.
    fn time_of_copy(&self) -> Option<Timestamp> {
        self.capture.as_ref().map(|_| Timestamp::now())
    }

    fn send_by_stream(&mut self, flow: Flow) {
        self.note_sent(flow, self.time_of_copy());
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

    pub(super) fn send(&mut self, flow: Flow) {
        let sender = self.senders.iter().find(|(named, _)| *named == flow.local);
        let Some((_, socket)) = sender else {
            tracing::warn!(local = %flow.local, "a message for a socket that we do not have");
            self.echoes.push_back(Echo::TransportFailed(flow));
            return;
        };
        let at = self.time_of_copy();
        let mut sent = socket.send_to(self.buffer.as_bytes(), flow.remote);
        if matches!(&sent, Err(error) if error.kind() != io::ErrorKind::WouldBlock) {
            // Perhaps an ICMP error about another peer, which fails one call.
            self.send_failed = true;
            sent = socket.send_to(self.buffer.as_bytes(), flow.remote);
        }
        self.note_sent(flow, at);
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
    pub(super) fn flush(&mut self) -> bool {
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
}

const fn protocol(flow: Flow) -> Protocol {
    match flow.transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
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
