//! A running node as its own surface shows it: metrics, health, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Heart;
use super::readiness::{self, Readiness};
use crate::boot::limits::Limits;
use crate::cdr::export::ExportFigures;
use crate::hep::CaptureFigures;
use crate::http::{CertificateFigures, GuestFigures};
use crate::metrics::{exposition, gather};
use crate::shell::media_link::MediaStatus;
use crate::shell::panics::PanicWatch;
use crate::shell::signalling::Status;
use crate::shell::tcp;
use crate::storage::Store;

/// What the node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Threads and sockets are being made.
    Starting,
    /// Calls are taken.
    Ready,
    /// New calls are refused, those that are up go on.
    Draining,
    /// Calls are being ended.
    Stopping,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::Stopping];

    /// A stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// What HTTP counts.
#[derive(Debug, Default)]
pub struct HttpFigures {
    /// Answers by the first digit of their status, 1 to 5.
    pub answers: [AtomicU64; 5],
    /// Connections now.
    pub connections: AtomicI64,
    /// Connections closed at once, for their client had its share.
    pub connections_refused: AtomicU64,
    /// TLS handshakes that did not end well.
    pub handshakes_failed: AtomicU64,
    /// Tokens that came in the clear though there is HTTPS.
    pub tokens_refused: AtomicU64,
    /// What the door for guests counts.
    pub guests: Arc<GuestFigures>,
}

impl HttpFigures {
    /// One answer more.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(answers) = self.answers.get(class) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a node is made of, for those who look at it.
#[derive(Debug)]
pub struct NodeParts {
    /// The database.
    pub store: Store,
    /// What signalling publishes.
    pub signalling: Arc<Status>,
    /// What each media worker publishes, by number.
    pub media: Vec<Arc<MediaStatus>>,
    /// Panics of all turns.
    pub panics: Arc<PanicWatch>,
    /// What the machine carries.
    pub limits: Limits,
    /// `limits.calls_per_second_max`.
    pub calls_per_second_max: u32,
    /// What connections of SIP count.
    pub connections: Arc<tcp::Counters>,
    /// Connections that peers may open.
    pub connections_max: u32,
    /// What became of copies for the capture server.
    pub copies: Arc<CaptureFigures>,
    /// Calls written to files.
    pub exported: Arc<ExportFigures>,
    /// What is counted of certificates; `None`: there is no HTTPS.
    pub certificate: Option<Arc<CertificateFigures>>,
    /// How packets meet the kernel.
    pub media_io: &'static str,
}

#[cfg(test)]
impl NodeParts {
    /// Of a node whose database is in this folder, and whose threads never began.
    pub(crate) async fn of_test(folder: &std::path::Path) -> Self {
        let text = format!("[node]\ndata = \"{}\"\n", folder.display());
        let config = crate::config::Config::parse(std::path::Path::new("test.toml"), &text);
        let config = config.unwrap();
        Self {
            store: Store::open(&config.storage).await.unwrap(),
            signalling: Arc::default(),
            media: Vec::new(),
            panics: Arc::default(),
            limits: crate::boot::limits::derive(&config, 20_000, 2),
            calls_per_second_max: 1,
            connections: Arc::default(),
            connections_max: 1,
            copies: Arc::default(),
            exported: Arc::default(),
            certificate: None,
            media_io: "none",
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    pub(crate) parts: NodeParts,
    /// What HTTP counts.
    pub http: HttpFigures,
    /// Configuration files read again: done, refused.
    pub reloads: [AtomicU64; 2],
    phase: AtomicU8,
    drain: watch::Sender<bool>,
}

impl Node {
    /// A node that starts.
    #[must_use]
    pub fn new(parts: NodeParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            http: HttpFigures::default(),
            reloads: Default::default(),
            phase: AtomicU8::new(0),
            drain: watch::Sender::new(false),
        })
    }

    /// What it does now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let index = usize::from(self.phase.load(Ordering::Acquire));
        Phase::ALL.get(index).copied().unwrap_or(Phase::Stopping)
    }

    /// It goes on to this.
    pub fn enter(&self, phase: Phase) {
        let index = Phase::ALL.iter().position(|known| *known == phase);
        let index = index.and_then(|index| u8::try_from(index).ok());
        self.phase.store(index.unwrap_or(0), Ordering::Release);
        tracing::debug!(phase = phase.as_str(), "phase");
    }

    /// Asks it to drain and end, as SIGTERM does. False: it was asked before.
    pub fn ask_to_drain(&self) -> bool {
        !self.drain.send_replace(true)
    }

    /// Waits until somebody has asked.
    pub async fn asked_to_drain(&self) {
        let mut asked = self.drain.subscribe();
        // The sender lives as long as `self`.
        let _gone = asked.wait_for(|asked| *asked).await;
    }

    /// Threads that must turn, with the time since they did.
    pub fn hearts(&self, now: Instant) -> impl Iterator<Item = (String, Duration)> {
        let signalling = (
            "signalling".to_owned(),
            self.parts.signalling.heart.age(now),
        );
        let media = self.parts.media.iter().enumerate();
        std::iter::once(signalling).chain(
            media.map(move |(number, status)| (format!("media-{number}"), status.heart.age(now))),
        )
    }

    /// Every thread turns. What a watchdog asks.
    #[must_use]
    pub fn is_alive(&self, now: Instant) -> bool {
        let still = |heart: &Heart| !heart.beats(now);
        !still(&self.parts.signalling.heart)
            && !self.parts.media.iter().any(|status| still(&status.heart))
    }

    /// Whether it may be sent calls, and why not.
    pub async fn readiness(&self) -> Readiness {
        readiness::of(self).await
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        exposition::text(gather::node(self, Instant::now()))
    }
}
