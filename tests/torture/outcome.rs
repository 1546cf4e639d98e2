//! What we make of one datagram, as text.

use std::fmt::Write as _;

use sip::message::{self, HeaderName, Message, NameAddrRef, StartLine};
use sip::sdp::SessionDescription;

/// Verdict first, then what was read, a line each.
pub(crate) fn outcome(datagram: &[u8]) -> String {
    let message = match message::parse(datagram) {
        Ok(message) => message,
        Err(error) => return format!("verdict: dropped, no message: {}\n", error.as_str()),
    };
    let mut text = match message.validate() {
        Ok(()) => "verdict: accepted\n".to_owned(),
        Err(invalid) => match invalid.answer {
            Some(status) => {
                format!("verdict: answered {status} {}\n", invalid.defect.reason())
            }
            None => format!("verdict: dropped: {}\n", invalid.defect.as_str()),
        },
    };
    describe(&message, &mut text).expect("writing into text");
    text
}

fn describe(message: &Message<'_>, text: &mut String) -> std::fmt::Result {
    match message.start_line() {
        StartLine::Request { method, uri, .. } => {
            writeln!(text, "request: {} {}", shown(method), shown(uri))?;
        }
        StartLine::Response { status, reason, .. } => {
            writeln!(text, "response: {status} {}", shown(reason))?;
        }
    }
    writeln!(text, "headers: {}", message.header_count())?;
    address("from", message.from(), text)?;
    address("to", message.to(), text)?;
    if let Some(call_id) = message.call_id() {
        writeln!(text, "call-id: {}", shown(call_id))?;
    }
    if let Some(cseq) = message.cseq() {
        writeln!(text, "cseq: {} {}", cseq.number, cseq.method)?;
    }
    if let Some(via) = message.top_via() {
        let branch = via.branch().map(shown).unwrap_or_default();
        writeln!(
            text,
            "via: {} {} port={:?} branch={branch} received={:?} rport={} of {}",
            shown(via.transport()),
            via.host(),
            via.port(),
            via.received(),
            via.has_rport(),
            message.elements(&HeaderName::Via).count(),
        )?;
    }
    for contact in message.addresses(&HeaderName::Contact) {
        address("contact", Some(contact), text)?;
    }
    for name in [HeaderName::Route, HeaderName::RecordRoute] {
        for element in message.elements(&name) {
            writeln!(text, "{name}: {}", shown(element))?;
        }
    }
    writeln!(text, "body: {}", message.body().len())?;
    if let Some(sdp) = message.sdp() {
        match SessionDescription::parse(sdp) {
            Ok(description) => writeln!(text, "sdp: {} media", description.media.len())?,
            Err(error) => writeln!(text, "sdp: {}", error.as_str())?,
        }
    }
    Ok(())
}

fn address(label: &str, found: Option<NameAddrRef<'_>>, text: &mut String) -> std::fmt::Result {
    let Some(found) = found else { return Ok(()) };
    write!(text, "{label}: {}", short(found.uri().as_str()))?;
    if let Some(name) = found.display_name() {
        write!(text, " name={}", short(&format!("{name:?}")))?;
    }
    if let Some(tag) = found.tag() {
        write!(text, " tag={}", short(&shown(tag)))?;
    }
    writeln!(text)
}

fn shown(bytes: &[u8]) -> String {
    short(&bytes.escape_ascii().to_string())
}

fn short(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((end, _)) => format!(
            "{}… ({} octets)",
            text.get(..end).unwrap_or_default(),
            text.len()
        ),
        None => text.to_owned(),
    }
}
