//! The browser's end of a transport: checks of ICE, a handshake, packets under its keys.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use media::dtls::{Fingerprint, KeyExchange as _, KeyExchanging, Output, POLL_BUFFER_SIZE, Role};
use media::ice::stun::{Attribute, Class, MessageView, write_request};
use media::ingress::{Protocol, classify};
use media::srtp::{ReceiveContext, SendContext, SrtpPlan};

use super::description::{Answer, End};
use super::handshake::{self, GATEWAYS, Model};
use crate::peer::voice::Voice;
use crate::random::Generator;
use crate::time::{Base, SimTime};

/// How far its checks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// None was answered.
    No,
    /// One was; the next ones nominate.
    Answered,
    /// One that nominates was.
    Nominated,
}

/// One browser's.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Where it is now.
    pub(crate) at: SocketAddr,
    pub(super) certificate: [u8; 32],
    pub(super) end: End,
    pub(super) checked: Checked,
    /// The last valid answer of the gateway to a check.
    pub(super) answered_at: Option<SimTime>,
    base: Base,
    model: Model,
    gateway: Option<(End, SocketAddr)>,
    random: Generator,
    /// Checks that may still be answered, and whether they nominate.
    asked: VecDeque<([u8; 12], bool)>,
    handshake: Option<Box<dyn KeyExchanging>>,
    contexts: Option<(SendContext, ReceiveContext)>,
    buffer: Box<[u8; POLL_BUFFER_SIZE]>,
    /// Whose octets left, by what they were protected to.
    sent: BTreeMap<Vec<u8>, Voice>,
}

/// Checks whose answers are still waited for.
const ASKED_MAX: usize = 8;

impl Transport {
    pub(super) fn new(at: SocketAddr, mut random: Generator) -> Self {
        let certificate = random.seed_bytes();
        let end = fresh_end(&mut random);
        Self {
            at,
            certificate,
            end,
            checked: Checked::No,
            answered_at: None,
            base: Base::new(),
            model: Model::new(certificate),
            gateway: None,
            random,
            asked: VecDeque::new(),
            handshake: None,
            contexts: None,
            buffer: Box::new([0; POLL_BUFFER_SIZE]),
            sent: BTreeMap::new(),
        }
    }

    /// ICE begins anew with the next offer.
    pub(super) fn restart(&mut self) {
        self.end = fresh_end(&mut self.random);
    }

    /// An answer is there: another end of the gateway's is checked anew.
    pub(super) fn take(&mut self, answer: &Answer) {
        let gateway = (answer.end.clone(), answer.address);
        if self.gateway.as_ref() != Some(&gateway) {
            self.gateway = Some(gateway);
            self.checked = Checked::No;
            self.asked.clear();
        }
    }

    /// Where its packets go.
    pub(super) fn gateway(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(|(_, address)| *address)
    }

    pub(super) const fn has_keys(&self) -> bool {
        self.contexts.is_some()
    }

    /// The next check.
    pub(super) fn check(&mut self) -> Option<Vec<u8>> {
        let (theirs, _) = self.gateway.as_ref()?;
        let nominates = self.checked != Checked::No;
        let mut transaction = [0; 12];
        for (octet, drawn) in transaction.iter_mut().zip(self.random.seed_bytes()) {
            *octet = drawn;
        }
        self.asked.push_back((transaction, nominates));
        if self.asked.len() > ASKED_MAX {
            let _ = self.asked.pop_front();
        }
        let name = format!("{}:{}", theirs.ufrag, self.end.ufrag);
        let mut attributes: Vec<(u16, &[u8])> = vec![
            (Attribute::Username.number(), name.as_bytes()),
            (Attribute::IceControlling.number(), &[7; 8]),
            (Attribute::Priority.number(), &[0x6e, 0x7f, 0x1e, 0xff]),
        ];
        if nominates {
            attributes.push((Attribute::UseCandidate.number(), &[]));
        }
        let written = write_request::<400>(&transaction, &attributes, theirs.password.as_bytes());
        Some(written?.to_vec())
    }

    /// A datagram of the gateway: the voice in it, if it has some.
    pub(super) fn hear(&mut self, now: SimTime, bytes: &[u8]) -> Option<Voice> {
        match classify(bytes) {
            Protocol::Stun => self.hear_answer(now, bytes),
            Protocol::Dtls => {
                let now = self.base.instant(now);
                if let Some(handshake) = &mut self.handshake {
                    handshake.handle_packet(now, bytes);
                }
            }
            Protocol::Rtp => return self.unprotect(bytes),
            Protocol::Rtcp | Protocol::Other => {}
        }
        None
    }

    fn hear_answer(&mut self, now: SimTime, bytes: &[u8]) {
        let Some((theirs, _)) = &self.gateway else {
            return;
        };
        let Ok(view) = MessageView::parse(bytes) else {
            return;
        };
        let place = self
            .asked
            .iter()
            .position(|(it, _)| it == view.transaction());
        let is_sound = view.class() == Class::Success
            && view.expect_integrity(theirs.password.as_bytes()).is_ok()
            && view.xor_mapped_address() == Some(self.at);
        let Some((_, nominates)) = place.filter(|_| is_sound).map(|place| self.asked[place]) else {
            return;
        };
        self.answered_at = Some(now);
        if nominates {
            self.checked = Checked::Nominated;
        } else if self.checked == Checked::No {
            self.checked = Checked::Answered;
        }
        if nominates && self.handshake.is_none() {
            let expected = [Fingerprint::new(GATEWAYS)];
            let begun = self
                .model
                .begin(self.base.instant(now), Role::Client, &expected);
            self.handshake = Some(begun);
        }
    }

    fn unprotect(&mut self, bytes: &[u8]) -> Option<Voice> {
        let (_, receive) = self.contexts.as_mut()?;
        let mut plain = bytes.to_vec();
        let unprotected = receive.unprotect_rtp(&mut plain).ok()?;
        receive.accept(unprotected);
        Voice::read(plain.get(..unprotected.size)?)
    }

    /// Time passes for its handshake.
    pub(super) fn expire(&mut self, now: SimTime) {
        let now = self.base.instant(now);
        if let Some(handshake) = &mut self.handshake {
            handshake.handle_timeout(now);
        }
    }

    /// When that is due.
    pub(super) fn deadline(&self) -> Option<SimTime> {
        let deadline = self.handshake.as_ref()?.deadline()?;
        Some(self.base.time(deadline))
    }

    /// What its handshake wants to say, and the keys that it came to.
    pub(super) fn drain(&mut self) -> (Vec<Vec<u8>>, Option<SrtpPlan>) {
        let (mut said, mut keys) = (Vec::new(), None);
        let Self {
            handshake, buffer, ..
        } = self;
        let Some(handshake) = handshake else {
            return (said, keys);
        };
        while let Some(output) = handshake.poll(buffer) {
            match output {
                Output::Datagram(datagram) => said.push(datagram.to_vec()),
                Output::Keys(plan) => {
                    let send = SendContext::new(&plan.send).expect("a key of its suite");
                    let receive = ReceiveContext::new(&plan.receive).expect("a key of its suite");
                    self.contexts = Some((send, receive));
                    keys = Some(plan);
                }
                Output::Failed(_) | Output::Closed => {}
            }
        }
        (said, keys)
    }

    /// A packet as it leaves.
    pub(super) fn protect(&mut self, voice: &Voice) -> Option<Vec<u8>> {
        let (send, _) = self.contexts.as_mut()?;
        let mut bytes = voice.write();
        bytes.resize(bytes.len() + send.rtp_overhead(), 0);
        send.protect_rtp(&mut bytes).ok()?;
        let _ = self.sent.insert(bytes.clone(), *voice);
        Some(bytes)
    }

    /// What this browser sent as these octets.
    pub(crate) fn sent(&self, bytes: &[u8]) -> Option<Voice> {
        self.sent.get(bytes).copied()
    }

    /// Its session ends, with what it sends last.
    pub(super) fn close(&mut self) -> Vec<u8> {
        self.handshake = None;
        self.contexts = None;
        handshake::close(self.certificate)
    }
}

fn fresh_end(random: &mut Generator) -> End {
    End {
        ufrag: random.token().chars().take(4).collect(),
        password: format!("{}{}", random.token(), random.token()),
    }
}
