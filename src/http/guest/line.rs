//! One WebSocket (RFC 6455): frames in and out within their bounds, pings, and what its end means.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::time::{Instant, sleep_until, timeout};

use super::figures::GuestRefused;
use super::frames::{ClientFrame, FRAME_OCTETS_MAX, ServerFrame};
use super::seats::Seat;

/// A WebSocket, its place, and how it behaved so far.
#[derive(Debug)]
pub(super) struct Line {
    /// Goes from hand to hand, and is large.
    socket: Box<WebSocket>,
    /// `None`: it is told why it has none, and ends.
    _seat: Option<Seat>,
    /// When anything came last.
    heard: Instant,
    ping: Instant,
    /// When the bucket of its frames will be empty again.
    empty_at: Instant,
}

/// What came.
#[derive(Debug)]
pub(super) enum Heard {
    /// A frame.
    Frame(ClientFrame),
    /// The page has left, or has hung up by closing.
    Left,
    /// The WebSocket ended in another way, or nothing comes any more.
    Lost,
    /// What no page of ours says.
    Refused(GuestRefused),
}

impl Line {
    pub(super) fn new(socket: WebSocket, seat: Option<Seat>) -> Self {
        let now = Instant::now();
        Self {
            socket: Box::new(socket),
            _seat: seat,
            heard: now,
            ping: now + PING_EVERY,
            empty_at: now,
        }
    }

    /// What comes next. May be dropped and called again: nothing is lost.
    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            let silent = self.heard + SILENT_MAX;
            let message = tokio::select! {
                message = self.socket.recv() => message,
                () = sleep_until(silent) => return Heard::Lost,
                () = sleep_until(self.ping) => {
                    self.ping = Instant::now() + PING_EVERY;
                    if self.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                        return Heard::Lost;
                    }
                    continue;
                }
            };
            let now = Instant::now();
            self.heard = now;
            let text = match message {
                // Pings are answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                Some(Ok(Message::Text(text))) => Some(text),
                Some(Ok(Message::Binary(_))) => return Heard::Refused(GuestRefused::BadFrame),
                Some(Ok(Message::Close(frame))) => return ended(frame.as_ref()),
                Some(Err(_)) | None => return Heard::Lost,
            };
            if !self.is_within_rate(now) {
                return Heard::Refused(GuestRefused::TooManyFrames);
            }
            let Some(text) = text else { continue };
            if text.len() > FRAME_OCTETS_MAX {
                return Heard::Refused(GuestRefused::FrameTooLarge);
            }
            return match ClientFrame::parse(text.as_str()) {
                Some(frame) => Heard::Frame(frame),
                None => Heard::Refused(GuestRefused::BadFrame),
            };
        }
    }

    fn is_within_rate(&mut self, now: Instant) -> bool {
        let filled = self.empty_at.max(now) + PER_FRAME;
        let fits = filled <= now + PER_FRAME * FRAMES_AT_ONCE;
        if fits {
            self.empty_at = filled;
        }
        fits
    }

    /// # Errors
    /// The page takes nothing any more.
    pub(super) async fn say(&mut self, frame: &ServerFrame) -> Result<(), LineLost> {
        self.send(Message::Text(frame.text().into())).await
    }

    /// Says why it ends, and ends.
    pub(super) async fn refuse(mut self, why: GuestRefused) {
        let code = why.as_str();
        let last = ServerFrame::Error { code, frame: None };
        if self.say(&last).await.is_ok() {
            self.close(close_code::POLICY, code).await;
        }
    }

    /// The last word has been said.
    pub(super) async fn end(self) {
        self.close(close_code::NORMAL, "").await;
    }

    /// Another WebSocket has the call now.
    pub(super) async fn replace(self) {
        self.close(REPLACED, "replaced").await;
    }

    async fn close(mut self, code: u16, reason: &'static str) {
        let reason = reason.into();
        let frame = CloseFrame { code, reason };
        if self.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        // What was sent before must reach the page: a connection that is closed while its input waits is reset.
        let until_closed = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        timeout(CLOSE_TIME_MAX, until_closed).await.ok();
    }

    async fn send(&mut self, message: Message) -> Result<(), LineLost> {
        match timeout(SEND_TIME_MAX, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(LineLost),
        }
    }
}

/// The page takes nothing any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineLost;

/// RFC 6455 §7.4.1: a page that is closed says 1001, one that has hung up 1000.
fn ended(frame: Option<&CloseFrame>) -> Heard {
    match frame.map(|frame| frame.code) {
        Some(close_code::NORMAL | close_code::AWAY) => Heard::Left,
        Some(_) | None => Heard::Lost,
    }
}

/// Between two pings.
const PING_EVERY: Duration = Duration::from_secs(4);
/// A WebSocket by which nothing came for so long, not even a pong, is lost.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// A page that takes nothing for so long is lost.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);
/// From our close to the page's.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// Frames that may come at once.
const FRAMES_AT_ONCE: u32 = 64;
/// Later ones may come this often: a keypad under two thumbs is slower.
const PER_FRAME: Duration = Duration::from_millis(50);
/// Ours: the call goes on elsewhere (RFC 6455 §7.4.2, private use).
const REPLACED: u16 = 4_001;

const _: () = assert!(
    SILENT_MAX.as_secs() > 2 * PING_EVERY.as_secs(),
    "one pong may be late"
);
