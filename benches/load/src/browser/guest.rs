//! A guest's browser: ICE, DTLS and SRTP by `str0m`, at a UDP port of its own.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::crypto::dtls::DtlsCert;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::rtp_packet::Sound;
use crate::rtp_port::{Port, Reader};

/// A payload, and when the kernel got its packet, nanoseconds of `CLOCK_REALTIME`.
pub(crate) type Heard = (Arc<[u8]>, u64);

/// What browsers share: making a certificate for each would be our time, not the gateway's.
pub(crate) struct Maker {
    certificate: DtlsCert,
    /// They offer a camera, too.
    has_pictures: bool,
}

/// A browser.
pub(crate) struct Guest {
    rtc: Rtc,
    port: Port,
    sound: Mid,
    picture: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    due: Instant,
    is_connected: bool,
    /// Why nothing goes any more.
    broken: Option<String>,
    heard: Vec<Heard>,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Guest")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Maker {
    /// # Errors
    /// The crypto library makes no certificate.
    pub(crate) fn new(has_pictures: bool) -> Result<Self> {
        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate();
        Ok(Self {
            certificate: certificate.context("a certificate of a browser")?,
            has_pictures,
        })
    }

    /// A browser that wants to call, and its offer.
    ///
    /// # Errors
    /// No port is left.
    pub(crate) fn make(&self) -> Result<(Guest, String)> {
        let (now, port) = (Instant::now(), Port::open()?);
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_dtls_cert(self.certificate.clone())
            .clear_codecs()
            .enable_opus(true, false)
            .enable_pcmu(true, false)
            .enable_h264(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(port.address().into(), Protocol::Udp)?);
        let mut changes = rtc.sdp_api();
        let mut add = |kind| changes.add_media(kind, Direction::SendRecv, None, None, None);
        let sound = add(MediaKind::Audio);
        let picture = self.has_pictures.then(|| add(MediaKind::Video));
        let (offer, pending) = changes.apply().context("nothing to offer")?;
        let guest = Guest {
            rtc,
            port,
            sound,
            picture,
            pending: Some(pending),
            due: now,
            is_connected: false,
            broken: None,
            heard: Vec::new(),
        };
        Ok((guest, offer.to_sdp_string()))
    }
}

impl Guest {
    /// The gateway's answer came.
    ///
    /// # Errors
    /// It is none, or none to our offer.
    pub(crate) fn accept(&mut self, answer: &str) -> Result<()> {
        let answer = SdpAnswer::from_sdp_string(answer).context("the gateway's answer")?;
        let pending = self.pending.take().context("an answer without an offer")?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.drain(Instant::now());
        Ok(())
    }

    /// Keys are there: what is sent goes.
    ///
    /// # Errors
    /// They will never be.
    pub(crate) fn is_connected(&self) -> Result<bool> {
        match &self.broken {
            Some(why) => bail!("a browser's connection broke: {why}"),
            None => Ok(self.is_connected),
        }
    }

    /// What its audio packets say they are.
    ///
    /// # Errors
    /// The gateway took no Opus.
    pub(crate) fn opus(&self) -> Result<Sound> {
        let payload_type = self.payload_type(self.sound, Codec::Opus);
        payload_type
            .map(|payload_type| Sound::opus(*payload_type))
            .context("the gateway answered a browser without Opus")
    }

    /// The payload type of its pictures.
    ///
    /// # Errors
    /// The gateway took no H.264.
    pub(crate) fn h264(&self) -> Result<Sound> {
        let payload_type = self
            .picture
            .and_then(|mid| self.payload_type(mid, Codec::H264));
        let payload_type = payload_type.context("the gateway answered a browser without H.264")?;
        Ok(Sound::picture(*payload_type))
    }

    fn payload_type(&self, mid: Mid, codec: Codec) -> Option<Pt> {
        let taken = self.rtc.media(mid)?.remote_pts();
        let known = self.rtc.codec_config().params();
        let of_codec = |pt: &&Pt| {
            known
                .iter()
                .any(|params| params.pt() == **pt && params.spec().codec == codec)
        };
        taken.iter().find(of_codec).copied()
    }

    /// Reads its port, and does what is due.
    pub(crate) fn look(&mut self, reader: &mut Reader) {
        loop {
            let is_more = reader.read(&self.port);
            let now = Instant::now();
            for (datagram, source, stamp_ns) in reader.taken() {
                self.take(datagram, source, stamp_ns, now);
            }
            if !is_more {
                if self.due <= now {
                    self.drain(now);
                }
                return;
            }
        }
    }

    fn take(&mut self, datagram: &[u8], source: SocketAddrV4, stamp_ns: u64, now: Instant) {
        let local = SocketAddr::from(self.port.address());
        let received = Receive::new(Protocol::Udp, source.into(), local, datagram);
        // What is none of RTP, DTLS and STUN is not of the gateway.
        let Ok(received) = received else { return };
        if let Err(error) = self.rtc.handle_input(Input::Receive(now, received)) {
            self.broken.get_or_insert_with(|| error.to_string());
        }
        let before = self.heard.len();
        self.drain(now);
        for (_, stamp) in self.heard.iter_mut().skip(before) {
            *stamp = stamp_ns;
        }
    }

    /// Sends a packet of its speech now. False: it could not.
    pub(crate) fn send(&mut self, payload: &[u8], number: u64, sound: Sound) -> bool {
        self.write(self.sound, payload, number, sound)
    }

    /// Sends a packet of a picture now. False: it could not.
    pub(crate) fn send_picture(&mut self, payload: &[u8], number: u64, sound: Sound) -> bool {
        self.picture
            .is_some_and(|mid| self.write(mid, payload, number, sound))
    }

    fn write(&mut self, mid: Mid, payload: &[u8], number: u64, sound: Sound) -> bool {
        let now = Instant::now();
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else {
            return false;
        };
        let payload_type = Pt::from(sound.payload_type);
        let packet = RtpWrite::new(
            payload_type,
            number.into(),
            sound.time(number),
            now,
            payload,
        );
        stream.write_rtp(packet.marker(true));
        self.drain(now)
    }

    /// What it heard since it was asked last.
    pub(crate) const fn heard(&mut self) -> &mut Vec<Heard> {
        &mut self.heard
    }

    /// Does what `str0m` wants done until it waits. True: something was sent, and all of it went.
    fn drain(&mut self, now: Instant) -> bool {
        let (mut sent, mut failed) = (false, false);
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) if at > now => {
                    self.due = at;
                    return sent && !failed;
                }
                Ok(Output::Timeout(_)) => {
                    if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
                        self.broken.get_or_insert_with(|| error.to_string());
                        return false;
                    }
                }
                Ok(Output::Transmit(packet)) => {
                    let SocketAddr::V4(to) = packet.destination else {
                        failed = true;
                        continue;
                    };
                    sent = true;
                    failed |= !self.port.send(&packet.contents, &to.into());
                }
                Ok(Output::Event(event)) => self.happened(event),
                Err(error) => {
                    self.broken.get_or_insert_with(|| error.to_string());
                    return false;
                }
            }
        }
    }

    fn happened(&mut self, event: Event) {
        if let Event::RtpPacket(packet) = event {
            // Stamped by who took the datagram that it came in.
            self.heard.push((packet.payload, 0));
        } else if matches!(event, Event::Connected) {
            self.is_connected = true;
        }
    }
}
