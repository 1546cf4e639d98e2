//! A browser as a worker sees it: checks, a handshake, one protected stream of sound and one of pictures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use packet_io::{Faults, NoFaults};

use super::super::harness::{Harness, Sent, Stream, TestLeg, address, pictures, plan};
use super::model::Model;
use crate::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
    TransportPlan,
};
use crate::dtls::{Fingerprint, KeyExchange, KeyExchanging, Output, POLL_BUFFER_SIZE, Role};
use crate::engine::BrowserConfig;
use crate::ice::Credentials;
use crate::ice::stun::{Attribute, Class, MessageView, Response, write_request};
use crate::ingress::{Protocol, classify};
use crate::rtp::Ssrc;
use crate::srtp::{ReceiveContext, SendContext, SrtpPlan};

/// The port of all browsers.
pub(in crate::engine::tests) const PORT: &str = "192.0.2.100:9000";

/// Our end of handshakes, and the browser's.
pub(super) const OURS: Model = Model(0x11);
pub(super) const THEIRS: Model = Model(0x7a);

pub(super) const AUDIO: u8 = 111;
pub(super) const VIDEO: u8 = 96;

/// Sixteen legs of browsers, and handshakes that replay.
pub(in crate::engine::tests) fn harness() -> Harness {
    harness_with(NoFaults, Arc::new(OURS), 16)
}

pub(super) fn harness_with<F: Faults>(
    faults: F,
    endpoint: Arc<dyn KeyExchange>,
    legs_max: u32,
) -> Harness<F> {
    Harness::with(faults, |config| {
        config.browsers = Some(BrowserConfig {
            address: address(PORT),
            legs_max,
            receive_buffer_bytes: 0,
            endpoint,
        });
    })
}

/// Opus that is 111 here and 0 on the other side, events that are 126 and 101.
pub(super) fn audio_plan() -> LegPlan {
    let mapping = |received, sent, clock_rate_hz, is_telephone_event| PayloadMapping {
        received,
        sent,
        clock_rate_hz,
        is_telephone_event,
        sent_clock_hz: None,
    };
    LegPlan {
        remote_rtp: None,
        remote_rtcp: None,
        latch: LatchPolicy::Nominated,
        payloads: ArrayVec::from_iter([
            mapping(AUDIO, 0, 8_000, false),
            mapping(126, 101, 8_000, true),
        ]),
        ..plan("198.51.100.1:4000")
    }
}

/// Pictures that are 96 here and 97 on the other side.
pub(super) fn video_plan() -> LegPlan {
    LegPlan {
        kind: MediaKind::Video,
        payloads: pictures([(VIDEO, 97)]),
        ..audio_plan()
    }
}

pub(super) fn credentials(number: u32) -> Credentials {
    let fragment = format!("our{number:05}");
    Credentials::new(fragment.as_bytes(), &[b'p'; 24]).unwrap()
}

/// What the description of a browser names.
pub(super) fn peer_credentials(fragment: &[u8]) -> Credentials {
    Credentials::new(fragment, &[b'q'; 24]).unwrap()
}

/// A guest that hears a phone, and what the phone says.
pub(super) fn call() -> (Harness, TestLeg, Guest, Stream) {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    (harness, phone, guest, Stream::new(5))
}

/// Where the next packet of the phone goes.
pub(super) fn heard_at(
    harness: &mut Harness,
    phone: TestLeg,
    stream: &mut Stream,
) -> Option<SocketAddr> {
    let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
    left.first().map(|sent| sent.to)
}

pub(super) struct Guest {
    pub(super) at: SocketAddr,
    pub(super) audio: PairKey,
    pub(super) video: Option<PairKey>,
    pub(super) plan: TransportPlan,
    endpoint: Arc<dyn KeyExchange>,
    pub(super) handshake: Option<Box<dyn KeyExchanging>>,
    pub(super) keys: Option<SrtpPlan>,
    contexts: Option<(SendContext, ReceiveContext)>,
    pub(super) sound: Stream,
    pub(super) picture: Stream,
    transaction: u32,
    /// It answers what it is asked.
    pub(super) answers: bool,
    /// What reached it and was not DTLS or STUN.
    pub(super) heard: Vec<Sent>,
}

impl Guest {
    /// A leg of sound and a transport, as call control begins them.
    pub(super) fn begin<F: Faults>(harness: &mut Harness<F>, number: u32, target: Target) -> Self {
        let fingerprint = THEIRS.fingerprint();
        Self::begin_as(harness, number, target, Arc::new(THEIRS), fingerprint)
    }

    pub(super) fn begin_as<F: Faults>(
        harness: &mut Harness<F>,
        number: u32,
        target: Target,
        endpoint: Arc<dyn KeyExchange>,
        fingerprint: Fingerprint,
    ) -> Self {
        let (audio, at) = harness.browser_stock.remove(0);
        assert_eq!(at, address(PORT));
        let port = 40_000 + u16::try_from(number).unwrap();
        let stream = |ssrc, payload_type| Stream {
            payload_type,
            ..Stream::new(ssrc)
        };
        let guest = Self {
            at: SocketAddr::from(([203, 0, 113, 9], port)),
            audio,
            video: None,
            plan: TransportPlan {
                ours: credentials(number),
                peer: peer_credentials(b"peer"),
                fingerprints: ArrayVec::from_iter([fingerprint]),
                role: Role::Server,
                ssrcs: [Ssrc(1_000 + number), Ssrc(2_000_000 + number)],
                bitrate_max_bps: None,
            },
            endpoint,
            handshake: None,
            keys: None,
            contexts: None,
            sound: stream(70_000 + number, AUDIO),
            picture: stream(80_000 + number, VIDEO),
            transaction: number << 8,
            answers: true,
            heard: Vec::new(),
        };
        let plan = audio_plan();
        harness.command(Command::Connect {
            pair: audio,
            plan,
            target,
        });
        guest.command(harness);
        guest
    }

    /// A guest that is nominated and has keys.
    pub(super) fn up<F: Faults>(harness: &mut Harness<F>, number: u32, target: Target) -> Self {
        let mut guest = Self::begin(harness, number, target);
        guest.nominate(harness);
        guest.shake(harness);
        guest.expect_up(harness);
        guest
    }

    /// The last report is that of its keys.
    pub(super) fn expect_up<F: Faults>(&self, harness: &mut Harness<F>) {
        let last = harness.reports.pop();
        assert!(
            matches!(last, Some(Report::TransportUp { pair, .. }) if pair == self.audio),
            "{last:?}"
        );
    }

    /// A camera, whose pictures go there.
    pub(super) fn add_video<F: Faults>(&mut self, harness: &mut Harness<F>, target: Target) {
        let (pair, _) = harness.browser_stock.remove(0);
        harness.command(Command::Connect {
            pair,
            plan: video_plan(),
            target,
        });
        self.video = Some(pair);
        self.command(harness);
    }

    pub(super) fn command<F: Faults>(&self, harness: &mut Harness<F>) {
        harness.command(Command::Transport {
            pair: self.audio,
            video: self.video,
            plan: Box::new(self.plan.clone()),
        });
    }

    pub(super) fn check(&mut self, use_candidate: bool) -> Vec<u8> {
        self.transaction += 1;
        let mut transaction = *b"transaction!";
        transaction[..4].copy_from_slice(&self.transaction.to_be_bytes());
        let name = [self.plan.ours.fragment(), b":", self.plan.peer.fragment()].concat();
        let priority = 1_853_824_767_u32.to_be_bytes();
        let mut attributes: Vec<(u16, &[u8])> = vec![
            (Attribute::Username.number(), &name),
            (Attribute::IceControlling.number(), &[7; 8]),
            (Attribute::Priority.number(), &priority),
        ];
        if use_candidate {
            attributes.push((Attribute::UseCandidate.number(), &[]));
        }
        let password = self.plan.ours.password();
        let written: ArrayVec<u8, 400> =
            write_request(&transaction, &attributes, password).unwrap();
        written.to_vec()
    }

    /// A check of every second: its ways stay open, and it never falls silent.
    pub(super) fn check_on<F: Faults>(&mut self, harness: &mut Harness<F>, seconds: u32) {
        for _ in 0..seconds {
            harness.pass_ms(1_000);
            let check = self.check(false);
            self.exchange(harness, &check);
        }
    }

    /// A check that nominates, and its answer.
    pub(super) fn nominate<F: Faults>(&mut self, harness: &mut Harness<F>) {
        let check = self.check(true);
        let left = self.exchange(harness, &check);
        let answers = left
            .iter()
            .filter(|sent| classify(&sent.bytes) == Protocol::Stun);
        let answers: Vec<_> = answers.collect();
        assert_eq!(answers.len(), 1, "a check has one answer");
        let view = MessageView::parse(&answers[0].bytes).unwrap();
        assert_eq!(view.class(), Class::Success);
        assert_eq!(view.xor_mapped_address(), Some(self.at));
        assert_eq!(view.expect_integrity(self.plan.ours.password()), Ok(()));
    }

    /// One datagram from where it is, and what reached it that it does not answer.
    pub(super) fn exchange<F: Faults>(
        &self,
        harness: &mut Harness<F>,
        datagram: &[u8],
    ) -> Vec<Sent> {
        let mut left = harness.exchange(address(PORT), self.at, datagram);
        left.retain(|sent| sent.to == self.at);
        assert!(left.iter().all(|sent| sent.from == address(PORT)));
        let asks = left.extract_if(.., |sent| is_ask(sent));
        let asks: Vec<Sent> = asks.filter(|_| self.answers).collect();
        for ask in asks {
            let answer = self.answer(&ask);
            harness.deliver(address(PORT), self.at, &answer);
            harness.turn();
        }
        left
    }

    /// What it says to a request of ours, which is as it must be.
    pub(super) fn answer(&self, ask: &Sent) -> Vec<u8> {
        let view = MessageView::parse(&ask.bytes).unwrap();
        let password = self.plan.peer.password();
        assert_eq!(view.expect_binding_request(), Ok(()));
        assert_eq!(view.expect_integrity(password), Ok(()));
        let names = (self.plan.peer.fragment(), self.plan.ours.fragment());
        assert_eq!(view.user_fragments(), Ok(names));
        assert!(view.fixed::<8>(Attribute::IceControlled).unwrap().is_some());
        assert!(view.priority().unwrap().is_some());
        assert_eq!(view.use_candidate(), Ok(false), "nobody is nominated");
        let success = Response::Success(ask.from);
        success.write(view.transaction(), password).to_vec()
    }

    /// A handshake, from its first datagram to keys or until nothing moves any more.
    pub(super) fn shake<F: Faults>(&mut self, harness: &mut Harness<F>) {
        if self.plan.role == Role::Server {
            let ours = [
                OURS.fingerprint(),
                crate::dtls::tests::endpoint().fingerprint(),
            ];
            let handshake = self.endpoint.begin(harness.now, Role::Client, &ours);
            self.handshake = Some(handshake);
        }
        self.go_on(harness);
    }

    /// Carries what the handshake wants until it wants nothing.
    pub(super) fn go_on<F: Faults>(&mut self, harness: &mut Harness<F>) {
        for _ in 0..40 {
            let sent = self.drain();
            if sent.is_empty() {
                return;
            }
            for datagram in sent {
                harness.deliver(address(PORT), self.at, &datagram);
            }
            for _ in 0..4 {
                harness.turn();
            }
            self.hear(harness);
        }
        panic!("a handshake ends");
    }

    /// Takes what reached it.
    pub(super) fn hear<F: Faults>(&mut self, harness: &mut Harness<F>) {
        let now = harness.now;
        let mut left = harness.sent();
        left.retain(|sent| sent.to == self.at);
        for sent in left {
            match (classify(&sent.bytes), &mut self.handshake) {
                (Protocol::Dtls, Some(handshake)) => handshake.handle_packet(now, &sent.bytes),
                (Protocol::Stun, _) => {}
                _ => self.heard.push(sent),
            }
        }
    }

    pub(super) fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = [0; POLL_BUFFER_SIZE];
        let mut sent = Vec::new();
        while let Some(handshake) = &mut self.handshake {
            match handshake.poll(&mut buffer) {
                Some(Output::Datagram(datagram)) => sent.push(datagram.to_vec()),
                Some(Output::Keys(keys)) => {
                    let send = SendContext::of_kind(&keys.send, MediaKind::Video).unwrap();
                    let receive = ReceiveContext::of_kind(&keys.receive, MediaKind::Video);
                    self.contexts = Some((send, receive.unwrap()));
                    self.keys = Some(keys);
                }
                Some(Output::Failed(_) | Output::Closed) => {}
                None => break,
            }
        }
        sent
    }

    pub(super) fn protect(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let (send, _) = self.contexts.as_mut().unwrap();
        packet.resize(packet.len() + send.rtp_overhead(), 0);
        send.protect_rtp(&mut packet).unwrap();
        packet
    }

    /// Anything as RTP or RTCP under its keys; `None`: it has not even the head of either.
    pub(super) fn try_protect(&mut self, mut packet: Vec<u8>) -> Option<Vec<u8>> {
        let is_rtcp = classify(&packet) == Protocol::Rtcp;
        let (send, _) = self.contexts.as_mut()?;
        let overhead = if is_rtcp {
            send.rtcp_overhead()
        } else {
            send.rtp_overhead()
        };
        packet.resize(packet.len() + overhead, 0);
        let protected = if is_rtcp {
            send.protect_rtcp(&mut packet)
        } else {
            send.protect_rtp(&mut packet)
        };
        protected.ok().map(|()| packet)
    }

    /// One datagram from where it is; how many left, to whomever.
    pub(super) fn exchange_any<F: Faults>(
        &self,
        harness: &mut Harness<F>,
        datagram: &[u8],
    ) -> usize {
        harness.exchange(address(PORT), self.at, datagram).len()
    }

    pub(super) fn protect_rtcp(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let (send, _) = self.contexts.as_mut().unwrap();
        packet.resize(packet.len() + send.rtcp_overhead(), 0);
        send.protect_rtcp(&mut packet).unwrap();
        packet
    }

    pub(super) fn unprotect(&mut self, sent: &Sent) -> Option<Vec<u8>> {
        let (_, receive) = self.contexts.as_mut()?;
        let mut octets = sent.bytes.clone();
        let unprotected = if classify(&octets) == Protocol::Rtcp {
            receive.unprotect_rtcp(&mut octets)
        } else {
            receive.unprotect_rtp(&mut octets)
        }
        .ok()?;
        receive.accept(unprotected);
        octets.truncate(unprotected.size);
        Some(octets)
    }

    /// The next packet of sound, 20 ms after the last; gives what left, to whomever.
    pub(super) fn speak<F: Faults>(&mut self, harness: &mut Harness<F>) -> Vec<Sent> {
        let plain = self.sound.next();
        let packet = self.protect(plain);
        harness.now += Duration::from_millis(20);
        harness.exchange(address(PORT), self.at, &packet)
    }

    /// The next packet of a picture likewise.
    pub(super) fn show<F: Faults>(&mut self, harness: &mut Harness<F>) -> Vec<Sent> {
        let plain = self.picture.next();
        self.show_packet(harness, plain)
    }

    /// The next packet of a picture, of 1,000 octets.
    pub(super) fn show_large<F: Faults>(&mut self, harness: &mut Harness<F>) -> Vec<Sent> {
        let mut plain = self.picture.next();
        plain.resize(1_000, 0);
        self.show_packet(harness, plain)
    }

    fn show_packet<F: Faults>(&mut self, harness: &mut Harness<F>, plain: Vec<u8>) -> Vec<Sent> {
        let packet = self.protect(plain);
        harness.now += Duration::from_millis(20);
        harness.exchange(address(PORT), self.at, &packet)
    }
}

/// A request of ours.
pub(super) fn is_ask(sent: &Sent) -> bool {
    let view = MessageView::parse(&sent.bytes);
    view.is_ok_and(|view| view.class() == Class::Request)
}

/// What left as RTP.
pub(super) fn rtp(left: Vec<Sent>) -> Vec<Sent> {
    let is_rtp = |sent: &Sent| classify(&sent.bytes) == Protocol::Rtp;
    left.into_iter().filter(is_rtp).collect()
}
