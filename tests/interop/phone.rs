//! A phone of our own, for what sipp cannot do: send RTP and look at every packet that comes back,
//! or fall silent in the middle of a call.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::gateway::SIP;

/// A phone with one call.
#[derive(Debug)]
pub(crate) struct Phone {
    signalling: UdpSocket,
    media: UdpSocket,
    call_id: String,
    /// Contact of the 200 and its To.
    dialog: Option<(String, String)>,
}

impl Phone {
    pub(crate) fn new(address: &str) -> Self {
        let signalling = UdpSocket::bind((address, 0)).expect("a port");
        let media = UdpSocket::bind((address, 0)).expect("a port");
        for socket in [&signalling, &media] {
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        let call_id = format!("{}@phone", signalling.local_addr().expect("bound"));
        Self {
            signalling,
            media,
            call_id,
            dialog: None,
        }
    }

    /// Sends an INVITE for a request path.
    pub(crate) fn invite(&self, user: &str) {
        let media = self.media.local_addr().expect("bound");
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\n\
             a=rtpmap:0 PCMU/8000\r\n",
            media.ip(),
            media.port()
        );
        let uri = format!("sip:{user}@{SIP}");
        self.send("INVITE", &uri, &format!("<{uri}>"), "1 INVITE", &body);
    }

    /// Sends a request that needs no dialog.
    pub(crate) fn options(&self) {
        let uri = format!("sip:{SIP}");
        self.send("OPTIONS", &uri, &format!("<{uri}>"), "7 OPTIONS", "");
    }

    /// The next response that is final, with its status; `None` in time.
    pub(crate) fn final_response(&self) -> Option<(u16, String)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let text = self.receive()?;
            let status = text
                .strip_prefix("SIP/2.0 ")
                .and_then(|rest| rest.get(..3)?.parse().ok());
            if let Some(status) = status.filter(|status: &u16| *status >= 200) {
                return Some((status, text));
            }
        }
        None
    }

    /// Calls a request path and acknowledges; gives where to send RTP.
    pub(crate) fn call(&mut self, user: &str) -> SocketAddr {
        self.invite(user);
        let (status, text) = self.final_response().expect("a final response");
        assert_eq!(status, 200, "{text}");
        let contact = header(&text, "Contact").expect("a Contact");
        let uri = contact
            .split(['<', '>'])
            .nth(1)
            .unwrap_or(&contact)
            .to_owned();
        let to = header(&text, "To").expect("a To");
        self.send("ACK", &uri, &to, "1 ACK", "");
        self.dialog = Some((uri, to));
        audio_address(&text)
    }

    /// Hangs up and waits for the answer.
    pub(crate) fn hang_up(&mut self) {
        let (uri, to) = self.dialog.take().expect("a call");
        self.send("BYE", &uri, &to, "2 BYE", "");
        assert_eq!(self.final_response().map(|(status, _)| status), Some(200));
    }

    /// Sends `count` RTP packets, one every 20 ms, and gives the payloads that came back, until as
    /// many have come or nothing comes any more.
    pub(crate) fn exchange(&self, target: SocketAddr, count: u16) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        let start = Instant::now();
        let mut sent = 0;
        self.media
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("a timeout");
        let mut last = Instant::now();
        while heard.len() < usize::from(count) && last.elapsed() < PATIENCE {
            if sent < count && start.elapsed() >= Duration::from_millis(20) * u32::from(sent) {
                self.media.send_to(&rtp_packet(sent), target).expect("sent");
                sent += 1;
                last = Instant::now();
            }
            let mut buffer = [0; 2048];
            if let Ok((length, source)) = self.media.recv_from(&mut buffer) {
                assert_eq!(source, target, "RTP comes from the port that the SDP names");
                heard.push(buffer[12..length].to_vec());
                last = Instant::now();
            }
        }
        heard
    }

    /// The next message.
    pub(crate) fn receive(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let (length, _) = self.signalling.recv_from(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// True when nothing has come yet.
    pub(crate) fn has_heard_nothing(&self) -> bool {
        self.signalling.set_nonblocking(true).expect("a socket");
        let nothing = self.receive().is_none();
        self.signalling.set_nonblocking(false).expect("a socket");
        nothing
    }

    fn send(&self, method: &str, uri: &str, to: &str, cseq: &str, body: &str) {
        let local = self.signalling.local_addr().expect("bound");
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{}{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:phone@{local}>;tag=p\r\nTo: {to}\r\n\
             Call-ID: {}\r\nCSeq: {cseq}\r\nContact: <sip:phone@{local}>\r\n{content}\
             Content-Length: {}\r\n\r\n{body}",
            local.port(),
            self.call_id,
            body.len()
        );
        self.signalling.send_to(text.as_bytes(), SIP).expect("sent");
    }
}

/// The payload of packet `number`: none like another.
pub(crate) fn payload(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut payload = vec![0xd5; 160];
    payload[..2].copy_from_slice(&[high, low]);
    payload
}

fn rtp_packet(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 160).to_be_bytes());
    packet.extend(0x1234_5678_u32.to_be_bytes());
    packet.extend(payload(number));
    packet
}

fn header(text: &str, name: &str) -> Option<String> {
    let prefix = format!("{name}:");
    text.lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .map(|value| value.trim().to_owned())
}

fn audio_address(text: &str) -> SocketAddr {
    let find = |prefix: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(prefix))
            .expect(prefix)
    };
    let port = find("m=audio ").split(' ').next().expect("a port");
    format!("{}:{port}", find("c=IN IP4 ").trim())
        .parse()
        .expect("an address")
}

const PATIENCE: Duration = Duration::from_secs(5);
