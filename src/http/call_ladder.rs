//! The messages of a call as somebody reads them: text with arrows, or JSON. Masked, both.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::call::ladder::{LadderMessage, LadderView, Way};

/// The messages of a call.
#[derive(Debug, Serialize)]
pub(super) struct LadderShape {
    call: String,
    /// Messages that were let go of: the oldest.
    dropped: u32,
    messages: Vec<MessageShape>,
}

#[derive(Debug, Serialize)]
struct MessageShape {
    at: Timestamp,
    direction: &'static str,
    peer: String,
    /// Method, or status.
    what: String,
    /// CSeq number and method.
    cseq: Option<String>,
    /// Start line, headers and body, masked.
    message: String,
    /// Only its beginning was kept.
    cut: bool,
}

impl LadderShape {
    pub(super) fn new(ladder: &LadderView) -> Self {
        Self {
            call: ladder.call.clone(),
            dropped: ladder.dropped,
            messages: ladder.messages.iter().map(MessageShape::new).collect(),
        }
    }
}

impl MessageShape {
    fn new(message: &LadderMessage) -> Self {
        let text = message.redacted();
        Self {
            at: message.at(),
            direction: direction(message),
            peer: message.peer().to_string(),
            what: what(&text),
            cseq: cseq(&text),
            message: text,
            cut: message.is_cut(),
        }
    }
}

/// One arrow a message, then the messages.
pub(super) fn text(ladder: &LadderView) -> String {
    let shapes: Vec<MessageShape> = ladder.messages.iter().map(MessageShape::new).collect();
    let mut text = format!("call {}\n", ladder.call);
    if ladder.dropped > 0 {
        writeln!(text, "{} older messages are gone", ladder.dropped).ok();
    }
    for shape in &shapes {
        let arrow = if shape.direction == "sent" {
            "->"
        } else {
            "<-"
        };
        let cseq = shape.cseq.as_deref().unwrap_or("-");
        let MessageShape { at, peer, what, .. } = shape;
        writeln!(text, "{at} {arrow} {peer} {what} ({cseq})").ok();
    }
    for shape in &shapes {
        let MessageShape {
            at,
            direction,
            peer,
            message,
            ..
        } = shape;
        let cut = if shape.cut { " (cut)" } else { "" };
        writeln!(text, "\n{at} {direction} {peer}{cut}\n").ok();
        // Control characters of a peer do nothing to a terminal.
        let shown = message.replace("\r\n", "\n");
        let quiet = |character: char| {
            if character.is_control() && character != '\n' {
                '\u{fffd}'
            } else {
                character
            }
        };
        text.extend(shown.trim_end().chars().map(quiet));
        text.push('\n');
    }
    text
}

fn direction(message: &LadderMessage) -> &'static str {
    match message.way() {
        Way::Received => "received",
        Way::Sent => "sent",
    }
}

fn what(message: &str) -> String {
    let mut words = message.split([' ', '\r', '\n']);
    let first = words.next().unwrap_or_default();
    if first == "SIP/2.0" {
        words.next().unwrap_or_default().to_owned()
    } else {
        first.to_owned()
    }
}

fn cseq(message: &str) -> Option<String> {
    let mut lines = message.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_cseq = name.trim().eq_ignore_ascii_case("cseq");
        is_cseq.then(|| value.trim().to_owned())
    })
}
