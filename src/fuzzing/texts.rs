//! What pages and callees say, as octets choose it.

use media::fuzzing::Script;
use serde_json::json;

/// The text frame that a page's call begins with.
pub(super) fn beginning(script: &mut Script<'_>) -> String {
    json!({ "type": "call", "sdp": offer(script) }).to_string()
}

/// Another text frame of a page.
pub(super) fn frame(script: &mut Script<'_>) -> String {
    let frame = match script.below(8) {
        0..=2 => json!({ "type": "offer", "sdp": offer(script) }),
        3 => {
            let digits = script.one_of(&["1", "*#09", "ABCD", "x", ""]);
            json!({ "type": "dtmf", "digits": digits })
        }
        4 => json!({ "type": "camera", "on": script.octet().is_multiple_of(2) }),
        5 => json!({ "type": "leave" }),
        6 => json!({ "type": "ping" }),
        _ => {
            let size = usize::from(script.octet());
            return String::from_utf8_lossy(script.take(size)).into_owned();
        }
    };
    frame.to_string()
}

/// What a browser offers, with some of it another, and now and then octets of it changed.
fn offer(script: &mut Script<'_>) -> String {
    let ufrag = script.one_of(&["aaaa", "bbbb", "cccc"]).unwrap_or_default();
    let setup = script.one_of(&["actpass", "actpass", "active", "passive"]);
    let digest = ["AB", "CD"].map(|octet| [octet; 32].join(":"));
    let digest = script.one_of(&digest).unwrap_or_default();
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n\
         a=fingerprint:sha-256 {digest}\r\na=setup:{}\r\na=rtcp-mux\r\n",
        setup.unwrap_or_default()
    );
    let formats = ["111 9 0 8 110 126", "8 126", "0", "111", "18"];
    let formats = script.one_of(&formats).unwrap_or_default();
    let direction = any_direction(script);
    let mut text = format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\n{transport}a=mid:0\r\na={direction}\r\n\
         a=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=rtpmap:126 telephone-event/8000\r\n"
    );
    if script.octet().is_multiple_of(2) {
        let direction = any_direction(script);
        text.push_str(&format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 103\r\n{transport}a=mid:1\r\na={direction}\r\n\
             a=rtpmap:96 VP8/90000\r\na=rtpmap:103 H264/90000\r\n\
             a=fmtp:103 packetization-mode=1;profile-level-id=42e01f\r\n"
        ));
    }
    if !script.octet().is_multiple_of(8) {
        return text;
    }
    let mut octets = text.into_bytes();
    for _ in 0..script.below(4) {
        let place = usize::from(script.octet()) << 2;
        let value = script.octet();
        if let Some(octet) = octets.get_mut(place) {
            *octet = value;
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn any_direction(script: &mut Script<'_>) -> &'static str {
    let all = ["sendrecv", "sendrecv", "sendonly", "recvonly", "inactive"];
    script.one_of(&all).unwrap_or_default()
}

/// What a callee answers or offers.
pub(super) fn session(script: &mut Script<'_>) -> String {
    let port = script.one_of(&[6_000, 6_000, 6_000, 0]).unwrap_or_default();
    let formats = ["111 101", "8 101", "0", "8 0 101", "18"];
    let formats = script.one_of(&formats).unwrap_or_default();
    let (version, direction) = (script.octet(), any_direction(script));
    let mut text = format!(
        "v=0\r\no=- 9 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\na=rtpmap:111 opus/48000/2\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    );
    if script.octet().is_multiple_of(2) {
        let port = script.one_of(&[6_002, 0]).unwrap_or_default();
        text.push_str(&format!(
            "m=video {port} RTP/AVP 103\r\na=rtpmap:103 H264/90000\r\n\
             a=fmtp:103 packetization-mode=1;profile-level-id=42e01f\r\n"
        ));
    }
    text
}
