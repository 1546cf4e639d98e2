//! Both ends of many calls: a caller towards the gateway and the callee behind its trunk.
//!
//! Two UDP sockets, no retransmission of our own: over loopback nothing is lost, and a message
//! that is lost all the same is a failed call, which is reported.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::SockRef;

use crate::machine::monotonic_ns;
use crate::session_key::{SessionKey, secured};
use crate::sip_text::{
    contact_uri, cseq_method, h264_payload_type, has_to_tag, header, method, opus_payload_type,
    push_body, request_user, response, session_description, session_in_opus, status,
    stream_address, with_picture,
};

/// What happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    /// The caller got its 200; the gateway's RTP address, and how long it took.
    Answered {
        call: u32,
        media: Option<SocketAddr>,
        /// The gateway's key in the answer.
        key: Option<SessionKey>,
        after_ns: u64,
    },
    /// A final failure; 0: nothing came in time.
    Failed { call: u32, status: u16 },
    /// The caller's BYE was answered.
    Ended { call: u32 },
    /// The callee got an INVITE and answers it with its `number`-th media address.
    Offered {
        number: usize,
        media: Option<SocketAddr>,
        /// The gateway's key in the offer.
        key: Option<SessionKey>,
        /// The payload type of Opus, where the callee takes that.
        opus: Option<u8>,
        /// The payload type of H.264 in the offer.
        h264: Option<u8>,
        /// The Request-URI's user, where it is a number.
        user: Option<u32>,
        /// The kernel's arrival stamp, `CLOCK_REALTIME`.
        arrived_ns: u64,
    },
}

/// Where a call of ours stands.
#[derive(Debug)]
struct Outgoing {
    user: String,
    invited_at: u64,
    /// Set by the 200: Request-URI and To of what follows.
    confirmed: Option<(String, String)>,
    ending: bool,
}

/// The generator.
#[derive(Debug)]
pub(crate) struct SipLoad {
    calling: UdpSocket,
    called: UdpSocket,
    calling_address: SocketAddr,
    called_address: SocketAddr,
    gateway: SocketAddr,
    user: String,
    calls: HashMap<u32, Outgoing>,
    /// The 200 given to each INVITE by its Call-ID, for repeats.
    answers: HashMap<String, String>,
    /// Media addresses of the callee, by order of arrival; the last is used again.
    called_media: Vec<SocketAddr>,
    offered: usize,
    happened: Vec<Happened>,
    /// Both ends have video, and that is what their media addresses are of.
    pub(crate) pictures: bool,
    /// The caller offers keys.
    pub(crate) secure_caller: bool,
    /// The callee takes Opus where it is offered.
    pub(crate) in_opus: bool,
    /// Makes Call-IDs of one run unlike those of another.
    run: u64,
}

impl SipLoad {
    /// A generator that calls `user` at `gateway`, with its callee at `called` (the trunk's target).
    ///
    /// # Errors
    /// The callee's address is taken.
    pub(crate) fn new(
        gateway: SocketAddr,
        user: &str,
        called: SocketAddr,
        called_media: Vec<SocketAddr>,
    ) -> Result<Self> {
        let calling = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let called = UdpSocket::bind(called).with_context(|| format!("callee at {called}"))?;
        setsockopt(&called, sockopt::ReceiveTimestampns, &true)?;
        for socket in [&calling, &called] {
            socket.set_nonblocking(true)?;
            SockRef::from(socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        }
        Ok(Self {
            calling_address: calling.local_addr()?,
            called_address: called.local_addr()?,
            calling,
            called,
            gateway,
            user: user.to_owned(),
            calls: HashMap::new(),
            answers: HashMap::new(),
            called_media,
            offered: 0,
            happened: Vec::new(),
            pictures: false,
            secure_caller: false,
            in_opus: false,
            run: monotonic_ns(),
        })
    }

    /// The callee's media addresses for the calls that come after those that have one.
    pub(crate) fn extend_media(&mut self, media: impl IntoIterator<Item = SocketAddr>) {
        self.called_media.extend(media);
    }

    /// Calls that are not over.
    pub(crate) fn alive(&self) -> usize {
        self.calls.len()
    }

    /// Calls that the callee has answered, and that nobody has ended.
    pub(crate) fn callee_alive(&self) -> usize {
        self.answers.len()
    }

    /// Sends an INVITE for the generator's user, with an SDP that names `media`.
    pub(crate) fn invite(&mut self, call: u32, media: SocketAddr) {
        let user = self.user.clone();
        self.invite_to(call, &user, media);
    }

    /// Sends an INVITE for `user`, with an SDP that names `media`.
    pub(crate) fn invite_to(&mut self, call: u32, user: &str, media: SocketAddr) {
        let uri = format!("sip:{user}@{}", self.gateway);
        let to = format!("<{uri}>");
        let mut body = self.description(media, None);
        if self.secure_caller {
            body = secured(&body, self.caller_key(call), 1);
        }
        let text = self.request(("INVITE", "INVITE"), &uri, call, &to, 1, &body);
        self.send(&text);
        let outgoing = Outgoing {
            user: user.to_owned(),
            invited_at: monotonic_ns(),
            confirmed: None,
            ending: false,
        };
        self.calls.insert(call, outgoing);
    }

    fn description(&self, media: SocketAddr, opus: Option<u8>) -> String {
        let sound = match opus {
            Some(payload_type) => session_in_opus(media, payload_type),
            None => session_description(media),
        };
        if self.pictures {
            with_picture(&sound, media)
        } else {
            sound
        }
    }

    const fn kind(&self) -> &'static str {
        if self.pictures { "video" } else { "audio" }
    }

    /// What the caller of a call sends under.
    pub(crate) fn caller_key(&self, call: u32) -> SessionKey {
        SessionKey::made(self.run.wrapping_add(2 * u64::from(call)))
    }

    /// What the callee sends under in the `number`-th call that is offered with a key.
    pub(crate) fn callee_key(&self, number: usize) -> SessionKey {
        let number = u64::try_from(number).unwrap_or_default();
        SessionKey::made(self.run.wrapping_add(2 * number + 1))
    }

    /// Sends a BYE on an answered call.
    pub(crate) fn bye(&mut self, call: u32) {
        let Some(Outgoing {
            confirmed: Some((uri, to)),
            ending,
            ..
        }) = self.calls.get_mut(&call)
        else {
            return;
        };
        *ending = true;
        let (uri, to) = (uri.clone(), to.clone());
        let text = self.request(("BYE", "BYE"), &uri, call, &to, 2, "");
        self.send(&text);
    }

    /// Reads both sockets until they are empty, or for `LOOKS` messages, and says what happened.
    pub(crate) fn look(&mut self) -> Vec<Happened> {
        let mut buffer = [0; 4096];
        for _ in 0..LOOKS {
            let mut idle = true;
            if let Ok((length, _)) = self.calling.recv_from(&mut buffer) {
                idle = false;
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                self.caller_received(&text);
            }
            if let Some((length, source, stamp)) = receive_stamped(&self.called, &mut buffer) {
                idle = false;
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                self.callee_received(&text, source, stamp);
            }
            if idle {
                break;
            }
        }
        std::mem::take(&mut self.happened)
    }

    /// Gives up calls that were not answered, or not ended, in time.
    pub(crate) fn expire(&mut self, patience: Duration) {
        let now = monotonic_ns();
        let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let happened = &mut self.happened;
        self.calls.retain(|call, outgoing| {
            let waiting = outgoing.confirmed.is_none() || outgoing.ending;
            let keep = !waiting || now - outgoing.invited_at < patience;
            if !keep {
                happened.push(Happened::Failed {
                    call: *call,
                    status: 0,
                });
            }
            keep
        });
    }

    fn caller_received(&mut self, text: &str) {
        let call = header(text, "Call-ID").and_then(|id| call_of(id, self.run));
        let Some(status) = status(text) else {
            self.answer_plainly(text, self.gateway, &self.calling, self.calling_address);
            // The gateway ends a call that we have not.
            if let Some(call) = call.filter(|_| method(text) == Some("BYE"))
                && self.calls.remove(&call).is_some()
            {
                self.happened.push(Happened::Failed { call, status: 0 });
            }
            return;
        };
        let Some(call) = call else {
            return;
        };
        match (cseq_method(text), status) {
            (Some("INVITE"), 100..200) => {}
            (Some("INVITE"), 200..300) => self.answered(call, text),
            (Some("INVITE"), _) => {
                let to = header(text, "To").unwrap_or_default();
                let user = self
                    .calls
                    .get(&call)
                    .map_or(&*self.user, |call| &*call.user);
                let uri = format!("sip:{user}@{}", self.gateway);
                // The ACK of a failure belongs to the INVITE's transaction (RFC 3261 §17.1.1.3).
                let text = self.request(("ACK", "INVITE"), &uri, call, to, 1, "");
                self.send(&text);
                if self.calls.remove(&call).is_some() {
                    self.happened.push(Happened::Failed { call, status });
                }
            }
            (Some("BYE"), 200..) if self.calls.remove(&call).is_some() => {
                self.happened.push(match status {
                    200..300 => Happened::Ended { call },
                    // The gateway knows of no such call any more, or did not end it.
                    _ => Happened::Failed { call, status },
                });
            }
            _ => {}
        }
    }

    fn answered(&mut self, call: u32, text: &str) {
        let to = header(text, "To").unwrap_or_default().to_owned();
        let uri = contact_uri(text).unwrap_or_default().to_owned();
        let acknowledgement = self.request(("ACK", "ACK"), &uri, call, &to, 1, "");
        self.send(&acknowledgement);
        let kind = self.kind();
        let Some(outgoing) = self.calls.get_mut(&call) else {
            return;
        };
        if outgoing.confirmed.replace((uri, to)).is_none() {
            let after_ns = monotonic_ns() - outgoing.invited_at;
            let media = stream_address(text, kind);
            let key = SessionKey::described(text).map(|(_, key)| key);
            self.happened.push(Happened::Answered {
                call,
                media,
                key,
                after_ns,
            });
        }
    }

    fn callee_received(&mut self, text: &str, source: SocketAddr, arrived_ns: u64) {
        let id = header(text, "Call-ID").unwrap_or_default();
        match method(text) {
            Some("INVITE") if !has_to_tag(text) => {
                if let Some(answer) = self.answers.get(id) {
                    drop(self.called.send_to(answer.as_bytes(), source));
                    return;
                }
                let number = self.offered;
                let media = self
                    .called_media
                    .get(number)
                    .or_else(|| self.called_media.last());
                let opus = opus_payload_type(text).filter(|_| self.in_opus);
                let mut body = media
                    .map(|media| self.description(*media, opus))
                    .unwrap_or_default();
                let offered = SessionKey::described(text);
                if let Some((tag, _)) = offered {
                    body = secured(&body, self.callee_key(number), tag);
                }
                let tag = format!("callee{number}");
                let ringing = response(text, "180 Ringing", &tag, self.called_address, "");
                let answer = response(text, "200 OK", &tag, self.called_address, &body);
                drop(self.called.send_to(ringing.as_bytes(), source));
                drop(self.called.send_to(answer.as_bytes(), source));
                self.answers.insert(id.to_owned(), answer);
                self.offered += 1;
                self.happened.push(Happened::Offered {
                    number,
                    media: stream_address(text, self.kind()),
                    key: offered.map(|(_, key)| key),
                    opus,
                    h264: h264_payload_type(text),
                    user: request_user(text).and_then(|user| user.parse().ok()),
                    arrived_ns,
                });
            }
            Some("BYE") => {
                self.answers.remove(id);
                self.answer_plainly(text, source, &self.called, self.called_address);
            }
            Some("ACK") | None => {}
            Some(_) => self.answer_plainly(text, source, &self.called, self.called_address),
        }
    }

    /// 200 to a request that needs no thought: OPTIONS, BYE, INFO.
    fn answer_plainly(&self, text: &str, to: SocketAddr, from: &UdpSocket, contact: SocketAddr) {
        if method(text).is_some_and(|method| method != "ACK") {
            let answer = response(text, "200 OK", "plain", contact, "");
            drop(from.send_to(answer.as_bytes(), to));
        }
    }

    /// A request of the caller; `branch` names the transaction that it belongs to.
    fn request(
        &self,
        (method, branch): (&str, &str),
        uri: &str,
        call: u32,
        to: &str,
        sequence: u32,
        body: &str,
    ) -> String {
        let (local, run) = (self.calling_address, self.run);
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK{run}x{call}x{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: \"Bench\" <sip:bench@{local}>;tag=caller{call}\r\nTo: {to}\r\n\
             Call-ID: {call}-{run}@bench\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:bench@{local}>\r\n"
        );
        push_body(&mut text, body);
        text
    }

    fn send(&self, text: &str) {
        drop(self.calling.send_to(text.as_bytes(), self.gateway));
    }
}

/// A datagram, where it came from and when the kernel got it.
fn receive_stamped(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr, u64)> {
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut slices = [std::io::IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )
    .ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|one| {
        let ControlMessageOwned::ScmTimestampns(time) = one else {
            return None;
        };
        u64::try_from(Duration::from(time).as_nanos()).ok()
    });
    let source = message
        .address
        .map(|address| SocketAddr::V4(address.into()))?;
    Some((message.bytes, source, stamp.unwrap_or_default()))
}

/// The call that a Call-ID of ours names.
fn call_of(call_id: &str, run: u64) -> Option<u32> {
    let (call, rest) = call_id.split_once('-')?;
    (rest.strip_suffix("@bench")? == run.to_string()).then(|| call.parse().ok())?
}

const LOOKS: u32 = 64;
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Turns both ends until `done`, at most five seconds.
    fn until(load: &mut SipLoad, done: impl Fn(&[Happened]) -> bool) -> Vec<Happened> {
        let end = monotonic_ns() + 5_000_000_000;
        let mut all = Vec::new();
        while !done(&all) && monotonic_ns() < end {
            all.extend(load.look());
        }
        all
    }

    #[test]
    fn caller_and_callee_set_up_and_end_a_call_without_a_gateway() {
        let probe = UdpSocket::bind(local(0)).expect("a port");
        let callee = probe.local_addr().expect("bound");
        drop(probe);
        let mut load = SipLoad::new(callee, "x", callee, vec![local(5000)]).expect("sockets");
        load.invite(3, local(4000));
        let seen = until(&mut load, |all| all.len() >= 2);
        let Happened::Offered {
            number: 0,
            media,
            key: None,
            opus: None,
            h264: None,
            user: None,
            arrived_ns,
        } = seen[0]
        else {
            panic!("{seen:?}");
        };
        assert_eq!(media, Some(local(4000)));
        assert!(arrived_ns > 0 && arrived_ns <= crate::machine::realtime_ns());
        assert!(
            matches!(seen[1], Happened::Answered { call: 3, media: Some(media), .. } if media == local(5000))
        );
        load.bye(3);
        let seen = until(&mut load, |all| !all.is_empty());
        assert_eq!(seen, [Happened::Ended { call: 3 }]);
        assert_eq!(load.alive(), 0);
    }

    #[test]
    fn a_call_that_the_gateway_has_lost_or_ends_itself_has_failed() {
        let mut load = SipLoad::new(local(9), "x", local(0), vec![local(5000)]).expect("sockets");
        for call in [1, 2] {
            load.invite(call, local(4000));
        }
        let run = load.run;
        load.caller_received(&format!(
            "SIP/2.0 481 Gone\r\nCall-ID: 1-{run}@bench\r\nCSeq: 2 BYE\r\n\r\n"
        ));
        load.caller_received(&format!(
            "BYE sip:bench@127.0.0.1 SIP/2.0\r\nCall-ID: 2-{run}@bench\r\nCSeq: 1 BYE\r\n\r\n"
        ));
        let failed = |call, status| Happened::Failed { call, status };
        assert_eq!(load.happened, [failed(1, 481), failed(2, 0)]);
        assert_eq!(load.alive(), 0);
    }

    #[test]
    fn a_call_id_of_another_run_is_not_ours() {
        assert_eq!(call_of("12-77@bench", 77), Some(12));
        assert_eq!(call_of("12-78@bench", 77), None);
        assert_eq!(call_of("12@bench", 77), None);
    }
}
