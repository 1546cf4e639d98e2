//! Payload types of events on the wire: each side has its own, and may change it in the middle (H-02, M.12).

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::gateway::{Gateway, SIP, link, trunk};
use crate::party::{Party, audio};
use crate::world::World;

const CALLED: &str = "127.0.0.21:5080";
const PATIENCE: Duration = Duration::from_secs(5);
/// RFC 4733 §2.3: digit 5, volume 10, 160 samples long.
const DIGIT: [u8; 4] = [5, 10, 0, 160];

/// One side's media: PCMA, and events under a number of its own.
struct Ear {
    socket: UdpSocket,
    sent: u8,
}

impl Ear {
    fn new(address: &str) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, sent: 0 }
    }

    fn session(&self, version: u32, events: u8) -> String {
        let local = self.socket.local_addr().expect("bound");
        format!(
            "v=0\r\no=script 1 {version} IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n\
             m=audio {1} RTP/AVP 8 {events}\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\na=sendrecv\r\n",
            local.ip(),
            local.port()
        )
    }

    fn send(&mut self, to: SocketAddr, payload_type: u8, payload: &[u8]) {
        self.sent += 1;
        let head = [0x80, payload_type, 0, self.sent, 0, 0, 4, 0, 1, 2, 3, 4];
        let packet = [&head[..], payload].concat();
        self.socket.send_to(&packet, to).expect("sent");
    }

    /// Payload type of the next packet with this payload.
    fn number_of(&self, payload: &[u8]) -> u8 {
        let mut packet = [0; 512];
        loop {
            let length = self.socket.recv(&mut packet).expect("a packet in time");
            if packet.get(12..length) == Some(payload) {
                return packet[1] & 127;
            }
        }
    }
}

/// Says a digit from one side and gives the number under which it comes at the other. Voice goes first: it
/// opens the way.
fn digit(from: &mut Ear, gateway: SocketAddr, number: u8, to: &Ear) -> u8 {
    let voice = [0xd5; 160];
    from.send(gateway, 8, &voice);
    assert_eq!(to.number_of(&voice), 8);
    from.send(gateway, number, &DIGIT);
    to.number_of(&DIGIT)
}

#[test]
fn each_side_has_its_own_number_for_events_and_may_change_it() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let tables = trunk("called", CALLED, 10) + &link("desk", "1000");
    let gateway = Gateway::start(&world, &tables);
    let (mut caller, mut called) = (Party::new("127.0.0.1:5400", SIP), Party::new(CALLED, SIP));
    let (mut here, mut there) = (Ear::new("127.0.0.1"), Ear::new("127.0.0.21"));
    caller.call("desk", "", &here.session(1, 101));
    let invite = called.expect_request("INVITE");
    assert!(
        invite.contains("a=rtpmap:101 telephone-event/8000"),
        "{invite}"
    );
    called.respond(&invite, "200 OK", "", &there.session(1, 96));
    let _ack = called.expect_request("ACK");
    let ok = caller.expect(200);
    caller.acknowledge("");
    let (to_us, from_us) = (audio(&ok), audio(&invite));
    // The callee answered with 96, and sends what our offer said.
    assert_eq!(digit(&mut here, to_us, 101, &there), 96);
    assert_eq!(digit(&mut there, from_us, 101, &here), 101);

    caller.ask("INVITE", &here.session(2, 110));
    let asked = called.expect_request("INVITE");
    called.respond(&asked, "200 OK", "", &there.session(2, 97));
    let _ack = called.expect_request("ACK");
    let ok = caller.expect(200);
    caller.acknowledge("");
    assert!(ok.contains("a=rtpmap:110 telephone-event/8000"), "{ok}");
    let offered = if asked.contains("a=rtpmap:110 telephone-event") {
        110
    } else {
        101
    };
    assert_eq!(digit(&mut here, audio(&ok), 110, &there), 97);
    assert_eq!(digit(&mut there, audio(&asked), offered, &here), 110);

    caller.ask("BYE", "");
    let bye = called.expect_request("BYE");
    called.respond(&bye, "200 OK", "", "");
    let _ok = caller.expect(200);
    assert_eq!(gateway.closed_calls(1)[0]["cause"], "normal");
}
