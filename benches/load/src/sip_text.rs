//! As much SIP text as a call generator needs: headers by name, addresses in SDP, messages from
//! templates. Not a parser: it reads only what a gateway under test writes.

use std::net::{IpAddr, SocketAddr};

/// Status code of a response.
pub(crate) fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// Method of a request.
pub(crate) fn method(message: &str) -> Option<&str> {
    let first = message.lines().next()?;
    if first.starts_with("SIP/2.0 ") {
        None
    } else {
        first.split(' ').next()
    }
}

/// User part of the Request-URI.
pub(crate) fn request_user(message: &str) -> Option<&str> {
    let uri = message.lines().next()?.split(' ').nth(1)?;
    uri.strip_prefix("sip:")?
        .split_once('@')
        .map(|(user, _)| user)
}

/// Values of a header, in order, one per line of it.
pub(crate) fn headers<'a>(message: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    message
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .filter(move |(found, _)| found.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// First value of a header.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    headers(message, name).next()
}

/// Method in `CSeq`.
pub(crate) fn cseq_method(message: &str) -> Option<&str> {
    header(message, "CSeq")?.split_whitespace().nth(1)
}

/// The URI of Contact, without brackets and parameters.
pub(crate) fn contact_uri(message: &str) -> Option<&str> {
    let value = header(message, "Contact")?;
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next(),
        None => value.split(';').next(),
    }
}

/// True if the To header has a tag.
pub(crate) fn has_to_tag(message: &str) -> bool {
    header(message, "To").is_some_and(|to| to.contains(";tag="))
}

/// Address of the first stream of this kind (`audio`, `video`) in the body; `None`: it is refused, too.
pub(crate) fn stream_address(message: &str, kind: &str) -> Option<SocketAddr> {
    let (_, body) = message.split_once("\r\n\r\n")?;
    described(body, kind)
}

/// Address of the first audio stream of a description.
pub(crate) fn described_audio(body: &str) -> Option<SocketAddr> {
    described(body, "audio")
}

fn described(body: &str, kind: &str) -> Option<SocketAddr> {
    let find = |prefix: &str| body.lines().find_map(|line| line.strip_prefix(prefix));
    let address: IpAddr = find("c=IN IP4 ")?.trim().parse().ok()?;
    let port = find(&format!("m={kind} "))?.split(' ').next()?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(SocketAddr::new(address, port))
}

/// An SDP with one PCMU stream at `media`.
pub(crate) fn session_description(media: SocketAddr) -> String {
    let (address, port) = (media.ip(), media.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// The payload type that a description gives to Opus.
pub(crate) fn opus_payload_type(message: &str) -> Option<u8> {
    payload_type(message, "opus/48000")
}

/// The first that it gives to H.264.
pub(crate) fn h264_payload_type(message: &str) -> Option<u8> {
    payload_type(message, "h264/90000")
}

fn payload_type(message: &str, codec: &str) -> Option<u8> {
    message.lines().find_map(|line| {
        let (payload_type, named) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        let is_it = named.to_ascii_lowercase().starts_with(codec);
        payload_type.parse().ok().filter(|_| is_it)
    })
}

/// An SDP with one Opus stream at `media`.
pub(crate) fn session_in_opus(media: SocketAddr, payload_type: u8) -> String {
    let (address, port) = (media.ip(), media.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} opus/48000/2\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    )
}

/// A description with H.264 at `media` as well.
pub(crate) fn with_picture(sound: &str, media: SocketAddr) -> String {
    let port = media.port();
    format!(
        "{sound}m=video {port} RTP/AVP 97\r\nb=TIAS:2000000\r\na=rtpmap:97 H264/90000\r\n\
         a=fmtp:97 profile-level-id=42e01f;packetization-mode=1\r\na=sendrecv\r\n"
    )
}

/// A response to `request`: its own headers back, with `to_tag` where it had none.
pub(crate) fn response(
    request: &str,
    status_line: &str,
    to_tag: &str,
    contact: SocketAddr,
    body: &str,
) -> String {
    let mut text = format!("SIP/2.0 {status_line}\r\n");
    for via in headers(request, "Via") {
        text.push_str(&format!("Via: {via}\r\n"));
    }
    for route in headers(request, "Record-Route") {
        text.push_str(&format!("Record-Route: {route}\r\n"));
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let value = header(request, name).unwrap_or_default();
        let tag = if name == "To" && !has_to_tag(request) && !status_line.starts_with("100") {
            format!(";tag={to_tag}")
        } else {
            String::new()
        };
        text.push_str(&format!("{name}: {value}{tag}\r\n"));
    }
    text.push_str(&format!("Contact: <sip:bench@{contact}>\r\n"));
    push_body(&mut text, body);
    text
}

/// Ends the headers and adds the body.
pub(crate) fn push_body(text: &mut String, body: &str) {
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:x@h SIP/2.0\r\nVia: a\r\nvia: b\r\nFrom: <sip:f>;tag=1\r\nTo: <sip:x@h>\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: \"n\" <sip:me@1.2.3.4:5>;expires=1\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn a_response_repeats_what_matches_it() {
        let media = "127.0.0.1:4000".parse().expect("an address");
        let text = response(INVITE, "200 OK", "t", media, &session_description(media));
        assert_eq!(status(&text), Some(200));
        assert_eq!(headers(&text, "Via").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(header(&text, "to"), Some("<sip:x@h>;tag=t"));
        assert_eq!(cseq_method(&text), Some("INVITE"));
        assert_eq!(stream_address(&text, "audio"), Some(media));
    }

    #[test]
    fn a_picture_is_found_beside_the_sound_unless_it_is_refused() {
        let media = "127.0.0.1:4000".parse().expect("an address");
        let body = with_picture(&session_description(media), media);
        let text = response(INVITE, "200 OK", "t", media, &body);
        assert_eq!(stream_address(&text, "video"), Some(media));
        assert_eq!(stream_address(&text, "audio"), Some(media));
        assert_eq!(h264_payload_type(&text), Some(97));
        let refused = text.replace("m=video 4000", "m=video 0");
        assert_eq!(stream_address(&refused, "video"), None);
    }

    #[test]
    fn opus_is_found_whatever_number_it_has() {
        let media = "127.0.0.1:4000".parse().expect("an address");
        let body = session_in_opus(media, 96);
        assert_eq!(opus_payload_type(&body), Some(96));
        assert_eq!(described_audio(&body), Some(media));
        assert_eq!(opus_payload_type(&session_description(media)), None);
    }

    #[test]
    fn contact_gives_the_uri_alone() {
        assert_eq!(contact_uri(INVITE), Some("sip:me@1.2.3.4:5"));
        assert_eq!(method(INVITE), Some("INVITE"));
        assert_eq!(request_user(INVITE), Some("x"));
        assert_eq!(status(INVITE), None);
        assert!(!has_to_tag(INVITE));
    }
}
