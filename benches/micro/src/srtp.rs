//! One relayed packet of a call whose legs have different keys, without the sockets: unprotect,
//! replay check, a new place in the stream, protect.

use media::rtp::{RtpViewMut, SequenceNumber, Ssrc};
use media::srtp::{Contexts, MasterKey, SendContext, SrtpPlan, Suite};

/// Octets of the packet that both peers see: 20 ms of G.711.
pub const PACKET_SIZE: usize = 172;

const ROOM: usize = PACKET_SIZE + 16;

/// A packet as it comes, with the room that a buffer has.
pub type Packet = [u8; ROOM];

/// Both legs, and the peer that sends.
#[derive(Debug)]
pub struct Relay {
    peer: SendContext,
    from: Contexts,
    to: Contexts,
    tag_size: usize,
    sequence: u16,
    sent: u16,
}

impl Relay {
    /// `None`: the cipher refuses a key.
    #[must_use]
    pub fn new(suite: Suite) -> Option<Self> {
        let key =
            |seed: u8| MasterKey::new(suite, &vec![seed; suite.key_size() + suite.salt_size()]);
        let plan = |send, receive| {
            Some(SrtpPlan {
                send: key(send)?,
                receive: key(receive)?,
            })
        };
        Some(Self {
            peer: SendContext::new(&key(1)?)?,
            from: Contexts::new(&plan(2, 1)?)?,
            to: Contexts::new(&plan(3, 4)?)?,
            tag_size: suite.rtp_tag_size(),
            sequence: 0,
            sent: 9,
        })
    }

    /// The next packet of the peer; not part of what is measured.
    pub fn packet(&mut self) -> Option<Packet> {
        let mut packet = [0x5a; ROOM];
        let size = PACKET_SIZE + self.tag_size;
        let header = packet.first_chunk_mut::<12>()?;
        let [high, low] = self.sequence.to_be_bytes();
        *header = [0x80, 0, high, low, 0, 0, 0, 1, 0, 0, 0, 7];
        self.sequence = self.sequence.wrapping_add(1);
        self.peer.protect_rtp(packet.get_mut(..size)?).ok()?;
        Some(packet)
    }

    /// What a worker does with it between receiving and sending.
    pub fn pass(&mut self, packet: &mut Packet) -> Option<usize> {
        let size = PACKET_SIZE + self.tag_size;
        let octets = packet.get_mut(..size)?;
        let unprotected = self.from.unprotect_rtp(octets).ok()?;
        self.from.accept(unprotected);
        let mut view = RtpViewMut::parse(octets.get_mut(..unprotected.size)?).ok()?;
        let (payload_type, timestamp) = (view.payload_type(), view.timestamp());
        self.sent = self.sent.wrapping_add(1);
        let sequence = SequenceNumber(self.sent);
        view.set(false, payload_type, sequence, timestamp, Ssrc(8));
        self.to.send_mut().protect_rtp(octets).ok()?;
        Some(size)
    }
}
