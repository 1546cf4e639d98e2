//! The INVITE of an attempt: what the guard cleared, as the trunk wants it written, with the media that
//! it offers.
//!
//! `dial` takes the guard's [`Cleared`] and dials the user part it names; beside it only the first
//! party of a placed call is dialled, in `place`, by a `Cleared` just so.

use std::net::SocketAddr;

use sip::event::{
    AttemptTimers, CallKey, Credentials, Dial, Flow, LegKey, RefreshBy, Reliable, SessionTimer,
    Transport,
};
use sip::message::{HeaderName, NameAddr, Uri};
use sip::offer_answer::Codec;
use sip::sdp::{Direction, SessionDescription};

use super::admission::Denied;
use super::browser;
use super::control::CallControl;
use super::crypto;
use super::event::{Level, Now};
use super::media_plan::abilities;
use super::one_call::{Attempt, MAX_FORWARDS, Ports, Side, WantedParty};
use super::route::Tried;
use super::video;
use crate::cdr::record::{AttemptOpened, Record};
use crate::fraud_guard::Cleared;
use crate::trunks::identity::{self, Caller, Privacy, Written};
use crate::trunks::model::{self, OfferMode, ReliableProvisional, Trunk};

impl CallControl {
    /// Dials the second party: what the guard cleared, as the trunk wants it written. (The first
    /// party of a placed call is dialled in `place`, by a `Cleared` just so.)
    pub(super) fn dial(
        &mut self,
        now: Now,
        key: CallKey,
        (trunk, target, refused_keys): (&Trunk, SocketAddr, bool),
        wanted: &WantedParty,
        cleared: Cleared,
        mut opened: AttemptOpened,
    ) -> Tried {
        let host = host_of(trunk, wanted);
        let flow = self.path_to(trunk, target);
        let local = flow.local;
        let caller = Caller {
            name: &wanted.caller_name,
            alias: &wanted.caller_alias,
            privacy: wanted.privacy,
            screened: wanted.screened,
        };
        let own_host = self.own_host(local);
        let written = identity::write(trunk, &caller, &own_host).map(|mut written| {
            let diverted = self.diversions(key, trunk, wanted, &own_host);
            written.headers.extend(diverted);
            written
        });
        let phone = self.calls.get(&key).and_then(|call| {
            let mut phones = call.phones.iter();
            phones.find(|phone| phone.target == target).cloned()
        });
        let uri = match &phone {
            Some(phone) => phone.request_uri(cleared.user()),
            None => Uri::sip(Some(cleared.user()), host, None),
        };
        let (Some(written), Some(uri)) = (written, uri) else {
            self.guard.release(cleared, now.instant);
            return self.skip(opened, "unwritable_uri");
        };
        let srtp = self.srtp_of(trunk, phone.as_ref());
        let Ok(policy) = self.crypto_policy(srtp) else {
            self.guard.release(cleared, now.instant);
            return self.skip(opened, crypto::NEEDS_TLS);
        };
        let Some(mut media) = self.take_b_ports(key, trunk, target.ip()) else {
            self.guard.release(cleared, now.instant);
            self.close_undialled(opened, 503, "media_stock_empty");
            return Tried::Denied(Denied::of_code(503, "media_stock_empty"));
        };
        self.secure(
            &mut media,
            policy,
            crypto::first_offer(policy, refused_keys),
        );
        opened.destination = format!("{}@{host}", cleared.user());
        opened.caller_name.clone_from(&written.name);
        let flow = phone.map_or(flow, |phone| phone.flow);
        let dial = self.invite_callee(key, trunk, flow, uri, written, &mut media);
        let attempt = (cleared, media, opened);
        self.send_invite(now, key, trunk, target, dial, attempt)
    }

    /// The INVITE leaves, and the attempt is one of the call's; or everything goes back.
    fn send_invite(
        &mut self,
        now: Now,
        key: CallKey,
        trunk: &Trunk,
        target: SocketAddr,
        dial: Dial,
        (cleared, media, mut opened): (Cleared, Ports, AttemptOpened),
    ) -> Tried {
        self.hold_pairs(key, &media);
        self.open_ports(&media);
        self.in_hand = Some((cleared, None));
        let dialled = self.endpoint.dial(now.instant, key, dial);
        match (dialled, self.in_hand.take()) {
            (Ok(leg), Some((cleared, _))) => {
                self.loads.begin_sent(trunk, now.instant);
                self.counters.attempts += 1;
                opened.dialed = true;
                opened.call_id = self.call_id_of(leg);
                self.note_attempt(&opened, target);
                let (number, destination) = (opened.number, opened.destination.clone());
                self.put_record(Record::AttemptOpened(opened));
                if let Some(call) = self.calls.get_mut(&key) {
                    call.attempt = Some(Box::new(Attempt {
                        number,
                        leg,
                        trunk: trunk.id.clone(),
                        target,
                        destination,
                        cleared,
                        media,
                        is_alerting: false,
                        is_heard: false,
                        ringing_at: None,
                        answered_at: None,
                        owes_answer: false,
                        reason: None,
                    }));
                }
                Tried::Dialled
            }
            (Ok(_) | Err(_), in_hand) => {
                self.put_down(now, in_hand);
                self.release_ports(now, &media, None);
                self.close_undialled(opened, 503, "dial_declined");
                Tried::Denied(Denied::of_code(503, "dial_declined"))
            }
        }
    }

    /// Nothing was dialled: it goes back.
    pub(super) fn put_down(&mut self, now: Now, in_hand: Option<(Cleared, Option<Ports>)>) {
        let Some((cleared, media)) = in_hand else {
            return;
        };
        self.guard.release(cleared, now.instant);
        if let Some(media) = media {
            self.release_ports(now, &media, None);
        }
    }

    fn invite_callee(
        &self,
        key: CallKey,
        trunk: &Trunk,
        flow: Flow,
        uri: Uri,
        written: Written,
        media: &mut Ports,
    ) -> Dial {
        let placed = self
            .calls
            .get(&key)
            .is_some_and(|call| call.offered().is_none());
        let offer = (trunk.offer == OfferMode::Early || placed).then(|| {
            let (codecs, direction, ptime_ms) = self.offered_codecs(key, trunk);
            if let Some(call) = self.calls.get(&key) {
                video::wish_of_callee(call, media, trunk, &self.snapshot);
            }
            media.leg.offer(&codecs, direction, ptime_ms)
        });
        let call = self.calls.get(&key);
        let max_forwards = call.map_or(MAX_FORWARDS, |call| call.max_forwards());
        let written = self.by_service_route(trunk, written);
        invite(trunk, flow, uri, written, max_forwards, offer)
    }

    /// RFC 3608 §6: what the registrar answered is the way of what we send through it.
    pub(super) fn by_service_route(&self, trunk: &Trunk, mut written: Written) -> Written {
        let service_route = self.registrations.service_route(&trunk.id).iter();
        let routes = service_route.map(|value| (HeaderName::Route, value.clone()));
        written.headers.extend(routes);
        written
    }

    /// Who was called before: a trunk says it, and a trunk hears it (F-10).
    fn diversions(
        &self,
        key: CallKey,
        trunk: &Trunk,
        wanted: &WantedParty,
        own_host: &str,
    ) -> Vec<(HeaderName, Box<[u8]>)> {
        let call = self.calls.get(&key);
        let Some(call) = call.filter(|call| call.from_trunk.is_some()) else {
            return Vec::new();
        };
        let private = wanted.privacy != Privacy::OPEN;
        let headers = call.offered().map_or(&[][..], |offered| &offered.headers);
        identity::diversions(headers, trunk, private, own_host)
    }

    pub(super) fn call_id_of(&self, leg: LegKey) -> String {
        let call_id = self.endpoint.call_id(leg).unwrap_or_default();
        String::from_utf8_lossy(call_id).into_owned()
    }

    pub(super) fn note_attempt(&mut self, opened: &AttemptOpened, target: SocketAddr) {
        self.log_call((Level::Debug, "attempt"), &opened.call, |snapshot| {
            let (number, trunk) = (opened.number, snapshot.named(&opened.trunk));
            format!("{number} trunk {trunk} target {target}")
        });
    }

    /// What the trunk is offered: the caller's codecs that it takes. Events go along with
    /// any.
    fn offered_codecs(&self, key: CallKey, trunk: &Trunk) -> (Vec<Codec>, Direction, Option<u32>) {
        let remote = self
            .calls
            .get(&key)
            .and_then(|call| call.a_media.as_ref())
            .and_then(|ports| ports.leg.remote());
        let Some(remote) = remote else {
            // The caller wants our offer: the callee is offered what both may speak.
            let codecs = abilities::ours(&trunk.codecs, self.policy(key, Side::A));
            return (codecs, Direction::SendRecv, None);
        };
        if self.is_guest(key) {
            let mut codecs = browser::led(&remote.codecs, &trunk.codecs);
            browser::with_events(&mut codecs);
            return (codecs, remote.direction, remote.ptime_ms);
        }
        let codecs = remote
            .codecs
            .iter()
            .filter(|codec| !codec.is_speech() || trunk.takes_codec(&codec.name))
            .cloned()
            .collect();
        (codecs, remote.direction, remote.ptime_ms)
    }

    /// The path to a target of this trunk: by its transport, from the port of ours that it knows.
    pub(super) fn path_to(&self, trunk: &Trunk, target: SocketAddr) -> Flow {
        let (transport, sockets) = match trunk.transport {
            model::Transport::Udp => (Transport::Udp, &self.config.sockets),
            model::Transport::Tcp => (Transport::Tcp, &self.config.listeners),
        };
        Flow {
            transport,
            local: local_for(sockets, trunk.local_port, target),
            remote: target,
        }
    }

    pub(super) fn own_host(&self, local: SocketAddr) -> String {
        self.config
            .advertised_host
            .clone()
            .unwrap_or_else(|| local.ip().to_string())
    }
}

/// Host of the Request-URI.
pub(super) fn host_of<'a>(trunk: &'a Trunk, wanted: &'a WantedParty) -> &'a str {
    trunk.request_host.as_deref().unwrap_or(&wanted.domain)
}

/// An INVITE as this trunk wants it.
pub(super) fn invite(
    trunk: &Trunk,
    flow: Flow,
    uri: Uri,
    written: Written,
    max_forwards: u8,
    offer: Option<SessionDescription>,
) -> Dial {
    Dial {
        flow,
        request_uri: uri.clone(),
        from: written.from,
        to: NameAddr::new(uri),
        contact_user: written.contact_user,
        headers: written.headers,
        max_forwards,
        offer,
        reliable: reliable(trunk),
        credentials: credentials(trunk),
        session_timer: Some(session_timer(trunk)).filter(|timer| !timer.expires.is_zero()),
        timers: AttemptTimers {
            response: trunk.response_timeout,
            progress: trunk.progress_timeout,
            ring: trunk.ring_timeout,
        },
    }
}

/// The socket towards a target: of its address family, of its reach, at the port it knows us by. A
/// port that we do not listen on is no reason not to call.
fn local_for(sockets: &[SocketAddr], port: Option<u16>, target: SocketAddr) -> SocketAddr {
    let rank = |socket: &&SocketAddr| {
        (
            socket.is_ipv4() != target.is_ipv4(),
            socket.ip().is_loopback() != target.ip().is_loopback(),
            port.is_some_and(|port| port != socket.port()),
        )
    };
    sockets.iter().min_by_key(rank).copied().unwrap_or(target)
}

/// RFC 4028 §7.1; an interval of zero asks for none.
pub(super) const fn session_timer(trunk: &Trunk) -> SessionTimer {
    SessionTimer {
        expires: trunk.session_expires,
        min: trunk.session_min,
        refresh_by: match trunk.refresh_by {
            model::RefreshBy::Invite => RefreshBy::Invite,
            model::RefreshBy::Update => RefreshBy::Update,
        },
    }
}

const fn reliable(trunk: &Trunk) -> Reliable {
    match trunk.reliable_provisional {
        ReliableProvisional::Off => Reliable::Off,
        ReliableProvisional::Supported => Reliable::Supported,
        ReliableProvisional::Required => Reliable::Required,
    }
}

pub(super) fn credentials(trunk: &Trunk) -> Option<Credentials> {
    Some(Credentials {
        username: trunk.username.as_deref()?.into(),
        password: trunk.password.as_ref()?.expose().into(),
        realm: trunk.realm.as_deref().map(Into::into),
    })
}
