//! The words of flow lines and what they stand for in messages and sessions.

use std::fmt::Write as _;

use super::Attributes;
use crate::peer::manual::Said;
use crate::peer::session::{Direction, PCMA, PCMU, Session, TELEPHONE_EVENT, has_video, keys_of};
use crate::peer::text::{Text, user_of};

pub(super) fn payloads(word: &str) -> Vec<u8> {
    let known = |name: &str| match name {
        "pcma" => Some(PCMA),
        "pcmu" => Some(PCMU),
        "g722" => Some(9),
        "g729" => Some(18),
        "event" => Some(TELEPHONE_EVENT),
        _ => None,
    };
    word.split('+').filter_map(known).collect()
}

/// What a line that sends says: `offer=pcmu+sendonly at=2 header="Name: value"`.
pub(super) fn said(with: &Attributes) -> Said {
    let word = with.value("offer").or_else(|| with.value("answer"));
    let headers = with.iter().filter(|(key, _)| *key == "header");
    Said {
        session: word.is_some(),
        payloads: payloads(word.unwrap_or("")),
        direction: word.and_then(direction),
        video: word.and_then(video),
        key: with.value("key").and_then(|number| {
            let tag = with.value("tag").unwrap_or("1");
            Some((number.parse().ok()?, tag.parse().ok()?))
        }),
        at: with.value("at").and_then(|text| text.parse().ok()),
        headers: headers
            .filter_map(|(_, line)| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        other_body: with.value("body").map(|body| {
            let kind = with.value("type").unwrap_or("text/plain");
            (kind.to_owned(), body.replace("\\n", "\r\n"))
        }),
    }
}

fn direction(word: &str) -> Option<Direction> {
    word.split('+').find_map(|word| match word {
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::ReceiveOnly),
        "inactive" => Some(Direction::Inactive),
        "sendrecv" => Some(Direction::SendReceive),
        _ => None,
    })
}

fn video(word: &str) -> Option<bool> {
    word.split('+').find_map(|word| match word {
        "video" => Some(true),
        "novideo" => Some(false),
        _ => None,
    })
}

const fn video_word(has_video: Option<bool>) -> &'static str {
    match has_video {
        Some(true) => "+video",
        Some(false) => "+novideo",
        None => "",
    }
}

/// What a session is called in a flow: its direction where that is not both ways, else its codecs.
fn session_word(body: &str) -> Option<String> {
    let session = Session::read(body)?;
    let word = direction_word(&session).map_or_else(|| codec_words(&session), str::to_owned);
    Some(word + video_word(has_video(body)))
}

const fn direction_word(session: &Session) -> Option<&'static str> {
    match session.direction {
        Direction::SendOnly => Some("sendonly"),
        Direction::ReceiveOnly => Some("recvonly"),
        Direction::Inactive => Some("inactive"),
        Direction::SendReceive => None,
    }
}

fn codec_words(session: &Session) -> String {
    let names = session.payloads.iter().map(|payload| match *payload {
        PCMA => "pcma",
        PCMU => "pcmu",
        9 => "g722",
        18 => "g729",
        111 => "opus",
        102 => "event48",
        _ => "event",
    });
    names.collect::<Vec<_>>().join("+")
}

/// As the line has it: codecs and direction (`pcmu+sendonly`), or one of them.
fn session_as(body: &str, wanted: &str) -> Option<String> {
    let session = Session::read(body)?;
    let full = match direction_word(&session) {
        Some(direction) => format!("{}+{direction}", codec_words(&session)),
        None => codec_words(&session),
    };
    let full = full + video_word(has_video(body));
    // `full`: every codec of ours, both ways.
    if wanted == "full" && session.payloads.len() >= 5 && direction_word(&session).is_none() {
        return Some(wanted.to_owned());
    }
    if full == wanted {
        Some(full)
    } else {
        session_word(body)
    }
}

pub(super) fn compare(message: &Text, what: &str, with: &Attributes) -> Result<(), String> {
    let is = match message.status() {
        Some(status) => status.to_string(),
        None => message.about().to_owned(),
    };
    if is != what {
        return Err(format!("{} came", message.summary()));
    }
    for (key, value) in with.iter() {
        let from = message.header("From").unwrap_or("");
        let fact = match key {
            "offer" | "answer" => session_as(&message.body, value),
            "keys" => Some(keys_of(&message.body)),
            "header" => message.has_line(value).then(|| value.to_owned()),
            "noheader" => message.header(value).is_none().then(|| value.to_owned()),
            "body" => message.body.contains(value).then(|| value.to_owned()),
            "for" => Some(message.about().to_owned()),
            "user" => message.request_uri().map(|uri| user_of(uri).to_owned()),
            "name" => from.split('"').nth(1).map(str::to_owned),
            "alias" => crate::peer::text::uri_of(from).map(|uri| user_of(uri).to_owned()),
            "nosdp" => message.body.is_empty().then(String::new),
            "retry_after" => message.header("Retry-After").map(str::to_owned),
            _ => continue,
        };
        if fact.as_deref() != Some(value) {
            return Err(format!(
                "{key} is {}",
                fact.unwrap_or_else(|| "missing".to_owned())
            ));
        }
    }
    Ok(())
}

/// The line that would expect this message.
pub(super) fn describe(node: &str, message: &Text) -> String {
    let mut line = format!("gw -> {node:<7}");
    match message.status() {
        Some(status) => {
            let _ = write!(line, " {status}");
            if message.about() != "INVITE" {
                let _ = write!(line, "     for={}", message.about());
            }
            if let Some(word) = session_word(&message.body) {
                let _ = write!(line, "     answer={word}");
            }
        }
        None => {
            let _ = write!(line, " {}", message.about());
            if let Some(word) = session_word(&message.body) {
                let _ = write!(line, "  offer={word}");
            }
        }
    }
    line
}
