//! Via of a request we received: `received` and `rport`, and where its responses go.
//!
//! Owns RFC 3261 §18.2.1 and §18.2.2 with RFC 3581, and the Via of ours that changes its transport
//! (§18.1.1). `maddr` is not honoured: it would let a peer point our responses at a third party.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::event::{Flow, Transport};
use crate::message::{Elements, HeaderName, Message, MessageWriter, Via};

/// The port where sent-by names none (RFC 3261 §18.2.2).
pub(crate) const PORT_DEFAULT: u16 = 5060;

/// Where the responses of a request go: by its connection, or to the address it came from, and the
/// port that `rport` or sent-by says (RFC 3261 §18.2.2, RFC 3581 §4).
#[must_use]
pub fn response_flow(flow: Flow, via: &Via<'_>) -> Flow {
    if flow.transport.is_reliable() {
        return flow;
    }
    let port = if via.has_rport() {
        flow.remote.port()
    } else {
        via.port().unwrap_or(PORT_DEFAULT)
    };
    Flow {
        remote: SocketAddr::new(flow.remote.ip(), port),
        ..flow
    }
}

/// Where they go when the connection is gone: a new one to the same address, at the port of sent-by
/// (RFC 3261 §18.2.2).
#[must_use]
pub const fn without_connection(flow: Flow, sent_by_port: u16) -> Flow {
    Flow {
        transport: flow.transport,
        local: flow.local,
        remote: SocketAddr::new(flow.remote.ip(), sent_by_port),
    }
}

/// A message of ours with another transport in its topmost Via (RFC 3261 §18.1.1). `None`: it has no
/// Via of ours.
#[must_use]
pub fn with_transport(message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    const START: &[u8] = b"\r\nVia: SIP/2.0/";
    let word = memchr::memmem::find(message, START)? + START.len();
    let (before, rest) = message.split_at_checked(word)?;
    let after = rest.get(Transport::Udp.as_str().len()..)?;
    debug_assert!(
        after.starts_with(b" "),
        "all our transports have three letters"
    );
    Some([before, transport.as_str().as_bytes(), after].concat())
}

/// True where sent-by is this address of ours.
#[must_use]
pub fn is_sent_by(via: &Via<'_>, local: SocketAddr) -> bool {
    via.host_address() == Some(local.ip()) && via.port().unwrap_or(PORT_DEFAULT) == local.port()
}

/// Copies every Via of the request; the topmost gets `received` and the value of `rport`
/// (RFC 3261 §18.2.1, RFC 3581 §4).
pub fn copy(writer: &mut MessageWriter<'_>, request: &Message<'_>, flow: Flow) {
    let mut top = true;
    for line in request.lines(&HeaderName::Via) {
        if !top {
            writer.copy_line(&line);
            continue;
        }
        for element in Elements::new(line.value()) {
            match Via::parse(element) {
                Some(via) if top => {
                    writer.header(&HeaderName::Via, &with_source(&via, flow.remote));
                    top = false;
                }
                Some(_) | None => {
                    writer.header(&HeaderName::Via, element);
                }
            }
        }
    }
}

fn with_source(via: &Via<'_>, source: SocketAddr) -> Vec<u8> {
    let text = via.as_bytes();
    let parameters = via.parameters().as_bytes();
    let sent_by = text
        .len()
        .checked_sub(parameters.len())
        .and_then(|end| text.get(..end));
    let mut value = Vec::with_capacity(text.len() + 64);
    value.extend_from_slice(sent_by.unwrap_or(text).trim_ascii_end());
    for parameter in via.parameters() {
        if parameter.name.eq_ignore_ascii_case(b"received") {
            continue;
        }
        value.push(b';');
        value.extend_from_slice(parameter.name);
        if parameter.name.eq_ignore_ascii_case(b"rport") {
            value.push(b'=');
            push_display(&mut value, &source.port());
        } else if let Some(text) = parameter.value {
            value.push(b'=');
            value.extend_from_slice(text);
        }
    }
    if via.has_rport() || via.host_address() != Some(source.ip()) {
        value.extend_from_slice(b";received=");
        push_display(&mut value, &source.ip());
    }
    value
}

fn push_display(value: &mut Vec<u8>, shown: &impl std::fmt::Display) {
    // Memory takes whatever is written.
    write!(value, "{shown}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Transport;
    use crate::message::{self, SendBuffer, StatusCode};

    /// RFC 3261 §18.1.1 and §18.2.2.
    #[test]
    fn responses_by_tcp_go_by_the_connection_and_then_to_sent_by() {
        let by_tcp = Flow {
            transport: Transport::Tcp,
            ..flow()
        };
        let via = Via::parse(b"SIP/2.0/TCP x:5070;rport").unwrap();
        assert_eq!(response_flow(by_tcp, &via), by_tcp);
        let remote = without_connection(by_tcp, 5070).remote;
        assert_eq!(remote.to_string(), "198.51.100.7:5070");
    }

    #[test]
    fn only_the_topmost_via_changes_its_transport() {
        let message = b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=b\r\nX: SIP/2.0/UDP\r\n";
        assert_eq!(
            with_transport(message, Transport::Tcp).unwrap(),
            b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=b\r\nX: SIP/2.0/UDP\r\n"
        );
        assert_eq!(
            with_transport(b"INVITE sip:a SIP/2.0\r\n", Transport::Tcp),
            None
        );
    }

    fn flow() -> Flow {
        Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "198.51.100.7:40000".parse().unwrap(),
        }
    }

    fn copied(vias: &str) -> String {
        let text = format!("OPTIONS sip:a SIP/2.0\r\n{vias}\r\n\r\n");
        let request = message::parse(text.as_bytes()).unwrap();
        let mut buffer = SendBuffer::new();
        let mut writer = MessageWriter::response(&mut buffer, StatusCode::OK);
        copy(&mut writer, &request, flow());
        writer.finish();
        String::from_utf8(buffer.as_bytes().to_vec()).unwrap()
    }

    /// RFC 3581 §4.
    #[test]
    fn rport_gets_the_source_port_and_received_the_source_address() {
        let text = copied("v: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKa");
        assert!(
            text.contains(
                "Via: SIP/2.0/UDP 10.0.0.1;rport=40000;branch=z9hG4bKa;received=198.51.100.7\r\n"
            ),
            "{text}"
        );
    }

    /// RFC 3261 §18.2.1: only where sent-by differs; a `received` of the peer's own is not kept.
    #[test]
    fn received_replaces_what_the_peer_claimed_and_lower_vias_stay() {
        let text = copied(
            "Via: SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bKa;received=1.2.3.4, SIP/2.0/UDP b\r\n\
             Via: SIP/2.0/TCP c",
        );
        assert!(
            text.contains(
                "Via: SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bKa\r\n\
                 Via: SIP/2.0/UDP b\r\nVia: SIP/2.0/TCP c\r\n"
            ),
            "{text}"
        );
    }

    /// RFC 3261 §18.2.2: the source address always, the port of sent-by unless `rport` asks.
    #[test]
    fn responses_go_to_the_source_address() {
        let with = |text: &'static [u8]| response_flow(flow(), &Via::parse(text).unwrap()).remote;
        assert_eq!(
            with(b"SIP/2.0/UDP x;rport").to_string(),
            "198.51.100.7:40000"
        );
        assert_eq!(with(b"SIP/2.0/UDP x:5070").to_string(), "198.51.100.7:5070");
        assert_eq!(
            with(b"SIP/2.0/UDP x;maddr=203.0.113.1").to_string(),
            "198.51.100.7:5060"
        );
    }
}
