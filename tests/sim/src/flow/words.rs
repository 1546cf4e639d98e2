//! The words of flow lines and what they stand for in messages and sessions.

use std::fmt::Write as _;

use super::Attributes;
use crate::peer::session::{Direction, PCMA, PCMU, Session, TELEPHONE_EVENT};
use crate::peer::text::{Text, user_of};

pub(super) fn payloads(word: &str) -> Vec<u8> {
    let known = |name: &str| match name {
        "pcma" => Some(PCMA),
        "pcmu" => Some(PCMU),
        "event" => Some(TELEPHONE_EVENT),
        _ => None,
    };
    let payloads: Vec<u8> = word.split('+').filter_map(known).collect();
    if payloads.is_empty() {
        vec![PCMA]
    } else {
        payloads
    }
}

pub(super) fn direction(with: &Attributes) -> Direction {
    match with.value("offer") {
        Some("sendonly") => Direction::SendOnly,
        Some("recvonly") => Direction::ReceiveOnly,
        Some("inactive") => Direction::Inactive,
        Some(_) | None => Direction::SendReceive,
    }
}

/// What a session is called in a flow: its direction where that is not both ways, else its codecs.
fn session_word(body: &str) -> Option<String> {
    let session = Session::read(body)?;
    let word = match session.direction {
        Direction::SendOnly => "sendonly",
        Direction::ReceiveOnly => "recvonly",
        Direction::Inactive => "inactive",
        Direction::SendReceive => {
            let names = session.payloads.iter().map(|payload| match *payload {
                PCMA => "pcma",
                PCMU => "pcmu",
                9 => "g722",
                _ => "event",
            });
            return Some(names.collect::<Vec<_>>().join("+"));
        }
    };
    Some(word.to_owned())
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
            "offer" | "answer" => session_word(&message.body),
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
