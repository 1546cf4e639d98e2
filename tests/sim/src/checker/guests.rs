//! What leaves for browsers: nothing in the clear, no index twice, and nothing to where no guest is.

use std::collections::BTreeMap;

use media::ingress::{Protocol, classify};
use media::srtp::{ReceiveContext, SrtpPlan};

use super::Violation;
use crate::peer::voice::Voice;

/// One guest, as it is seen at the gateway's edge.
#[derive(Debug)]
struct Watched {
    call: u32,
    /// Of each handshake that came to keys, the newest last.
    keys: Vec<ReceiveContext>,
    /// It was told that its call is over.
    ended: bool,
}

/// All guests of a world.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    watched: BTreeMap<u32, Watched>,
    /// Packets that left under keys.
    protected: u64,
}

impl Guests {
    /// A guest will call.
    pub(crate) fn add(&mut self, guest: u32, call: u32) {
        let watched = Watched {
            call,
            keys: Vec::new(),
            ended: false,
        };
        let _ = self.watched.insert(guest, watched);
    }

    /// Its handshake came to these keys.
    pub(crate) fn keyed(&mut self, guest: u32, plan: &SrtpPlan) {
        let receive = ReceiveContext::new(&plan.receive).expect("a key of its suite");
        if let Some(watched) = self.watched.get_mut(&guest) {
            watched.keys.push(receive);
        }
    }

    /// It is told something; `is_last`: that its call is over.
    pub(crate) fn told(&mut self, guest: u32, is_last: bool) -> Result<(), Violation> {
        let Some(watched) = self.watched.get_mut(&guest) else {
            return Err(Violation::of_world("a word for a guest that nobody is"));
        };
        if watched.ended {
            let text = "a guest is told something after its call is over";
            return Err(Violation::of_call(watched.call, text));
        }
        watched.ended = is_last;
        Ok(())
    }

    /// True once it was told that its call is over.
    pub(crate) fn has_ended(&self, guest: u32) -> bool {
        self.watched.get(&guest).is_some_and(|it| it.ended)
    }

    /// A datagram leaves for it: the voice in it, if it has some.
    pub(crate) fn leaves(&mut self, guest: u32, bytes: &[u8]) -> Result<Option<Voice>, Violation> {
        let Some(watched) = self.watched.get_mut(&guest) else {
            return Ok(None);
        };
        let wrong = |text: &str| Err(Violation::of_call(watched.call, text));
        let is_rtcp = match classify(bytes) {
            Protocol::Stun | Protocol::Dtls => return Ok(None),
            Protocol::Rtp if watched.ended => return wrong("RTP to a guest whose call is over"),
            Protocol::Rtp => false,
            Protocol::Rtcp => true,
            Protocol::Other => return wrong("octets that no browser reads"),
        };
        if Voice::read(bytes).is_some() {
            return wrong("RTP in the clear to a browser");
        }
        for receive in watched.keys.iter_mut().rev() {
            let mut packet = bytes.to_vec();
            let read = if is_rtcp {
                receive.unprotect_rtcp(&mut packet)
            } else {
                receive.unprotect_rtp(&mut packet)
            };
            if let Ok(unprotected) = read {
                receive.accept(unprotected);
                self.protected += 1;
                return Ok(packet.get(..unprotected.size).and_then(Voice::read));
            }
        }
        wrong("a packet that no key of a browser authenticates, or an index twice")
    }

    /// Packets that left under keys.
    pub(crate) const fn protected(&self) -> u64 {
        self.protected
    }
}

#[cfg(test)]
mod tests {
    use media::srtp::{MasterKey, SendContext, Suite};

    use super::*;
    use crate::peer::voice::Stamp;

    fn voice(sequence: u16) -> Vec<u8> {
        Voice {
            payload_type: 8,
            marker: false,
            sequence,
            timestamp: 160,
            ssrc: 9,
            stamp: Stamp { leg: 1, counter: 1 },
        }
        .write()
    }

    fn refused<T>(outcome: Result<T, Violation>, expected: &str) {
        let text = outcome.err().expect(expected).text;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn what_is_in_the_clear_or_comes_twice_or_after_the_end_is_caught() {
        let key = |octet| MasterKey::new(Suite::AesCm128HmacSha1_80, &[octet; 30]).unwrap();
        let (send, receive) = (key(1), key(2));
        let mut guests = Guests::default();
        guests.add(1, 7);
        let mut gateway = SendContext::new(&receive).unwrap();
        let mut packet = voice(3);
        packet.resize(packet.len() + gateway.rtp_overhead(), 0);
        gateway.protect_rtp(&mut packet).unwrap();
        refused(guests.leaves(1, &packet), "no key");
        guests.keyed(1, &SrtpPlan { send, receive });
        let read = guests.leaves(1, &packet).unwrap();
        assert_eq!(read, Voice::read(&voice(3)));
        refused(guests.leaves(1, &packet), "twice");
        refused(guests.leaves(1, &voice(4)), "in the clear");
        refused(guests.leaves(1, &[0x80, 200, 0, 1, 0, 0, 0, 9]), "no key");
        guests.told(1, true).unwrap();
        refused(guests.leaves(1, &packet), "call is over");
        refused(guests.told(1, false), "after its call is over");
        refused(guests.told(2, false), "nobody");
    }
}
