//! Any octets as a stream, whole and in pieces.

use crate::error::FrameError;
use crate::message::{self, MESSAGE_SIZE_MAX};
use crate::transport::stream::{Frame, Framer};

/// What one stream gave.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    messages: Vec<Vec<u8>>,
    pings: usize,
    error: Option<FrameError>,
}

/// Any bytes as a stream: the same messages, or the same error, however it is cut; what is a message
/// parses; the buffer is bounded; an error is for ever.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn stream_bytes(bytes: &[u8]) {
    let whole = cut(bytes, bytes.len());
    // Pieces of a size that the input itself chooses, and the smallest.
    let chosen = bytes.last().map_or(1, |last| usize::from(*last) + 1);
    for size in [chosen, 1] {
        let pieces = cut(bytes, size);
        assert!(
            pieces == whole,
            "pieces of {size}: {pieces:?}, whole: {whole:?}"
        );
    }
}

fn cut(bytes: &[u8], size: usize) -> Cut {
    let mut framer = Framer::default();
    let mut cut = Cut {
        messages: Vec::new(),
        pings: 0,
        error: None,
    };
    for piece in bytes.chunks(size.max(1)) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(message))) => {
                    assert!(message::parse(message).is_ok(), "a frame is a message");
                    cut.messages.push(message.to_vec());
                }
                Ok(Some(Frame::Ping)) => cut.pings += 1,
                Ok(Some(Frame::Pong)) => panic!("no pong was expected"),
                Ok(None) => break,
                Err(error) => {
                    framer.push(b"OPTIONS sip:a SIP/2.0\r\n\r\n");
                    assert!(framer.next_frame() == Err(error), "an error is for ever");
                    cut.error = Some(error);
                    return cut;
                }
            }
        }
        assert!(framer.held() <= MESSAGE_SIZE_MAX, "the buffer is bounded");
    }
    cut
}
