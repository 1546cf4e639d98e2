//! Long bodies, piece by piece: lines that come in within bounds of length and time, and pieces that
//! go out as fast as they are taken.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};

use super::body::{BODY_OCTETS_MAX, BODY_TIME_MAX, slow};
use super::problem::Problem;

/// The lines of a body.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// Octets of `buffer` that hold no line end.
    searched: usize,
    ended: bool,
}

impl Lines {
    /// The lines of this body.
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
        }
    }

    /// Waits for the first octets. An answer that begins before them would take the place of the 100 that
    /// a client with `Expect: 100-continue` waits for (RFC 9110 §10.1.1): curl then waits for a second.
    ///
    /// # Errors
    /// The body breaks off, or nothing comes for too long.
    pub(super) async fn begin(&mut self) -> Result<(), Problem> {
        if self.buffer.is_empty() && !self.ended {
            self.fill().await?;
        }
        Ok(())
    }

    /// The next line, without its end; `None`: the body is over.
    ///
    /// # Errors
    /// A line is too long, the body breaks off, or nothing comes for too long.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(offset) = memchr(rest) {
                let end = self.searched + offset;
                let line = self.buffer.split_to(end + 1).freeze();
                self.searched = 0;
                return Ok(Some(line.slice(..end)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > BODY_OCTETS_MAX {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "line_too_long",
                    "A line is too long",
                )
                .with_detail(format!("At most {BODY_OCTETS_MAX} octets are read.")));
            }
            if self.ended {
                let line = self.buffer.split().freeze();
                return Ok((!line.is_empty()).then_some(line));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        match tokio::time::timeout(BODY_TIME_MAX, self.body.frame()).await {
            Err(_elapsed) => Err(slow()),
            Ok(None) => {
                self.ended = true;
                Ok(())
            }
            Ok(Some(Ok(frame))) => {
                if let Some(octets) = frame.data_ref() {
                    self.buffer.extend_from_slice(octets);
                }
                Ok(())
            }
            Ok(Some(Err(_broken))) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "broken_body",
                "The body ended before its end",
            )),
        }
    }
}

fn memchr(octets: &[u8]) -> Option<usize> {
    octets.iter().position(|octet| *octet == b'\n')
}

/// Where the pieces of an answer go.
#[derive(Debug)]
pub(super) struct Pieces(Sender<Bytes, BrokenOff>);

impl Pieces {
    /// Sends one piece, when the reader takes it. `false`: nobody reads any more.
    pub(super) async fn send(&mut self, piece: impl Into<Bytes>) -> bool {
        self.0.send_data(piece.into()).await.is_ok()
    }
}

impl Pieces {
    /// Breaks the answer off, so that nobody takes it for whole.
    pub(super) fn abort(self) {
        self.0.abort(BrokenOff);
    }
}

/// The answer could not be finished.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer could not be finished")]
pub(super) struct BrokenOff;

/// An answer that is made while it is read.
pub(super) fn streamed(kind: &'static str) -> (Pieces, Response) {
    let (sender, body) = Channel::new(PIECES_AHEAD);
    let mut response = Body::new(body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    (Pieces(sender), response)
}

/// Pieces that wait for the reader.
const PIECES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &'static [u8]) -> Vec<Bytes> {
        let mut lines = Lines::new(Body::from(text));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_are_cut_at_line_feeds_and_the_last_may_have_none() {
        assert_eq!(lines(b"a\n\nb").await, ["a", "", "b"]);
        assert_eq!(lines(b"a\n").await, ["a"]);
        assert!(lines(b"").await.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_refused() {
        let mut lines = Lines::new(Body::from(vec![b'a'; BODY_OCTETS_MAX + 1]));
        lines.next().await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_refused() {
        let (sender, body) = Channel::<Bytes, BrokenOff>::new(1);
        let mut lines = Lines::new(Body::new(body));
        let problem = serde_json::to_value(lines.next().await.unwrap_err()).unwrap();
        assert_eq!(problem["code"], "slow_body");
        drop(sender);
    }
}
