//! The way out: which trunks can carry the call, ports for it, and one attempt after the other.
//!
//! Every attempt passes the fraud guard: `dial` takes the guard's [`Cleared`] and dials the user
//! part it names, and nothing else in this crate calls the endpoint's `dial`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use media::command::{Command, LatchPolicy, Target};
use rand_core::RngCore;
use sip::b2bua::fork;
use sip::event::{
    AttemptFailure, AttemptTimers, CallKey, Credentials, Dial, Flow, LegKey, RefreshBy, Refusal,
    Reliable, SessionTimer, Transport,
};
use sip::message::{HeaderName, NameAddr, StatusCode, Uri};
use sip::offer_answer::Codec;
use sip::sdp::{Direction, SessionDescription};

use super::admission::Denied;
use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};
use super::failover;
use super::media_plan::abilities;
use super::media_plan::leg::LegMedia;
use super::one_call::{Attempt, Ending, MAX_FORWARDS, Ports, Side, WantedParty};
use super::trunk_load::Present;
use crate::cdr::record::{
    AttemptClosed, AttemptLeg, AttemptOpened, GuardWord, MediaFigures, Record,
};
use crate::fraud_guard::{self, Cleared, Counter, Refused, Verdict};
use crate::trunks::identity::{self, Caller, Privacy, Written};
use crate::trunks::model::{self, MediaLatch, OfferMode, ReliableProvisional, Trunk};
use crate::trunks::select::{self, Route, Wanted};

/// An attempt that is thought of.
pub(super) struct Considered {
    /// Its call, by id.
    pub(super) call: String,
    /// Which attempt of the call, 1 and up.
    pub(super) number: u32,
    /// The side of the call that it is for.
    pub(super) leg: AttemptLeg,
    /// What has counted its call at this party already.
    pub(super) counted: Vec<Counter>,
    /// Where the wish came from.
    pub(super) client: Option<IpAddr>,
    /// The time in its row.
    pub(super) at: Timestamp,
}

/// What became of one entry of the route list.
pub(super) enum Tried {
    /// An INVITE is on its way.
    Dialled,
    /// Not this one, perhaps the next.
    Skipped,
    /// No attempt at all.
    Denied(Denied),
}

impl CallControl {
    /// Chooses trunks, takes ports for the a-leg, dials the first.
    pub(super) fn route(&mut self, now: Now, key: CallKey) {
        match self.plan_routes(now, key) {
            Ok(()) => self.dial_next(now, key),
            Err(denied) => self.deny(now, key, &denied),
        }
    }

    fn plan_routes(&mut self, now: Now, key: CallKey) -> Result<(), Denied> {
        let gone = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "call_gone");
        if let Some(routes) = self.extension_routes(now, key)? {
            self.take_a_ports(key, 2)?;
            let call = self.calls.get_mut(&key).ok_or_else(gone)?;
            call.routes = routes;
            return Ok(());
        }
        let snapshot = Arc::clone(&self.snapshot);
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let wanted = call.wanted.as_ref().ok_or_else(gone)?;
        let came_from = call.from_trunk.as_ref();
        let came_from =
            came_from.and_then(|id| snapshot.trunks.iter().find(|trunk| trunk.id == *id));
        let named = match &call.offer {
            Some(offer) => offer.codecs.clone(),
            None => abilities::ours(came_from.map_or(&[], |trunk| &trunk.codecs), &[]),
        };
        let codecs: Vec<String> = named
            .iter()
            .filter(|codec| codec.is_speech())
            .map(|codec| codec.name.to_string())
            .collect();
        let wanted = wanted.clone();
        let routes = self.find_routes(now, &wanted, &codecs, came_from, None)?;
        let routes = self.permitted(key, routes)?;
        let routes = self.shared(key, routes)?;
        self.take_a_ports(key, 2)?;
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        call.routes = routes.into();
        Ok(())
    }

    /// The trunks that can carry a call to `wanted`, best first. `allowed`: only these.
    pub(super) fn find_routes(
        &mut self,
        now: Now,
        wanted: &WantedParty,
        codecs: &[String],
        came_from: Option<&Trunk>,
        allowed: Option<&[String]>,
    ) -> Result<Vec<Route>, Denied> {
        let snapshot = Arc::clone(&self.snapshot);
        let wanted = Wanted {
            user: &wanted.user,
            domain: &wanted.domain,
            pinned: wanted.pinned.as_deref(),
            came_from,
            allowed,
            codecs,
        };
        let present = Present {
            loads: &self.loads,
            health: &self.health,
            registrations: &self.registrations,
            now: now.instant,
        };
        select::routes(&snapshot.trunks, &wanted, &present, &mut self.random)
            .map_err(|unroutable| Denied::of_code(unroutable.status(), unroutable.as_str()))
    }

    /// Ports for the a-leg, on a worker that has `count` pairs: both legs live on one.
    pub(super) fn take_a_ports(&mut self, key: CallKey, count: usize) -> Result<(), Denied> {
        let empty = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "media_stock_empty");
        let call = self.calls.get(&key).ok_or_else(empty)?;
        let signalling = call.a_address().ok_or_else(empty)?.ip();
        let is_emergency = call.is_emergency();
        let snapshot = Arc::clone(&self.snapshot);
        let trunk = call.from_trunk.as_ref();
        let trunk = trunk.and_then(|id| snapshot.trunks.iter().find(|trunk| trunk.id == *id));
        let worker = self
            .stock
            .place(count, signalling, is_emergency)
            .ok_or_else(empty)?;
        let offered_rtp = call.offer.as_ref().and_then(|offer| offer.rtp);
        let latch = latch(trunk, signalling, offered_rtp);
        let mut ports = self
            .take_ports(worker, signalling, trunk, latch)
            .ok_or_else(empty)?;
        let call = self.calls.get_mut(&key).ok_or_else(empty)?;
        if let Some(offer) = call.offer.take() {
            ports.leg.accept_offer(offer);
        }
        let pair = ports.leg.pair;
        let plan = ports.leg.plan(None, self.snapshot.settings.media_timeout);
        call.a_media = Some(ports);
        self.pairs.insert(pair, key);
        self.send_media(Command::Connect {
            pair,
            plan,
            target: Target::Nowhere,
        });
        Ok(())
    }

    pub(super) fn take_ports(
        &mut self,
        worker: u16,
        signalling: IpAddr,
        trunk: Option<&Trunk>,
        latch: LatchPolicy,
    ) -> Option<Ports> {
        let stocked = self.stock.take(worker, signalling)?;
        let own = trunk.and_then(|trunk| trunk.advertised_media_address);
        // Peers on this machine meet a loopback port at its own address.
        let reachable = |address: &IpAddr| {
            !stocked.rtp.ip().is_loopback() && address.is_ipv4() == stocked.rtp.is_ipv4()
        };
        let advertised = own
            .or(self.snapshot.settings.advertised_media)
            .filter(reachable);
        let named = SocketAddr::new(
            advertised.unwrap_or_else(|| stocked.rtp.ip()),
            stocked.rtp.port(),
        );
        // RFC 8866 §5.2 wants a number; 62 bits stay readable for signed arithmetic everywhere.
        let session_id = self.random.next_u64() >> 2;
        let leg = LegMedia::new(stocked.pair, named, latch, session_id);
        Some(Ports {
            leg,
            connected: None,
            bound: stocked.rtp,
            signalling,
        })
    }

    /// Dials the next route that lets itself be dialled; without one the caller hears the best
    /// failure.
    pub(super) fn dial_next(&mut self, now: Now, key: CallKey) {
        loop {
            let Some(call) = self.calls.get_mut(&key) else {
                return;
            };
            debug_assert!(call.attempt.is_none(), "one attempt at a time");
            let Some(route) = call.routes.pop_front() else {
                break;
            };
            match self.try_route(now, key, &route) {
                Tried::Dialled => return,
                Tried::Skipped => {}
                Tried::Denied(denied) => return self.deny(now, key, &denied),
            }
        }
        self.give_up(now, key);
    }

    fn try_route(&mut self, now: Now, key: CallKey, route: &Route) -> Tried {
        let snapshot = Arc::clone(&self.snapshot);
        // A snapshot may have taken the trunk away since the list was made.
        let Some(trunk) = snapshot.trunk(&route.trunk) else {
            return Tried::Skipped;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return Tried::Skipped;
        };
        let Some(wanted) = call.wanted.clone() else {
            return Tried::Skipped;
        };
        call.attempts += 1;
        let considered = Considered {
            call: call.id.clone(),
            number: call.attempts,
            leg: AttemptLeg::Callee,
            counted: call.counted.clone(),
            client: call.client(),
            at: call.time(now),
        };
        match self.consider(now, &considered, &wanted, trunk, route.target) {
            Ok((cleared, opened)) => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.counted.extend_from_slice(cleared.counted());
                }
                let target = route.target;
                self.dial(now, key, trunk, target, &wanted, cleared, opened)
            }
            Err(tried) => tried,
        }
    }

    /// Whether an attempt at `wanted` over `trunk` may be made: caps, health, and the guard's word
    /// for what would be dialled. Where not, its row is closed.
    pub(super) fn consider(
        &mut self,
        now: Now,
        considered: &Considered,
        wanted: &WantedParty,
        trunk: &Trunk,
        target: SocketAddr,
    ) -> Result<(Cleared, AttemptOpened), Tried> {
        let mut opened = undialled(considered, wanted, trunk);
        if let Some(outcome) = self.closed_way(now, trunk, target) {
            return Err(self.skip(opened, outcome));
        }
        let user = trunk.rewrite(&wanted.user);
        let attempt = judged(considered, wanted, trunk, &user, now);
        match self.guard.verdict(&attempt, now.instant) {
            Verdict::Allow(cleared) => {
                if let Some(refused) = cleared.overruled() {
                    opened.guard = Some(word_of(refused));
                    self.note_guard("guard_dry_run", &opened);
                }
                Ok((cleared, opened))
            }
            Verdict::Refuse(refused) => Err(Tried::Denied(self.refuse_by_guard(opened, &refused))),
        }
    }

    /// Why nothing goes this way now; `None`: it is open.
    fn closed_way(&self, now: Now, trunk: &Trunk, target: SocketAddr) -> Option<&'static str> {
        if !trunk.enabled || !self.loads.has_room_to_send(trunk, now.instant) {
            return Some("trunk_at_cap");
        }
        if !self.registrations.permits(&trunk.id, now.instant) {
            return Some("trunk_not_registered");
        }
        (!self.health.is_up(&trunk.id, target)).then_some("trunk_down")
    }

    /// The guard's word on an attempt that will be made later, if all goes well: the first way that
    /// is open decides, as it will then. Where the word is no, its row is closed.
    pub(super) fn foresee(
        &mut self,
        now: Now,
        considered: &Considered,
        wanted: &WantedParty,
        routes: &[Route],
    ) -> Result<(), Denied> {
        let snapshot = Arc::clone(&self.snapshot);
        let open = routes.iter().find_map(|route| {
            let trunk = snapshot.trunk(&route.trunk)?;
            let closed = self.closed_way(now, trunk, route.target);
            closed.is_none().then_some(trunk)
        });
        let Some(trunk) = open else { return Ok(()) };
        let user = trunk.rewrite(&wanted.user);
        let attempt = judged(considered, wanted, trunk, &user, now);
        let foreseen = self.guard.preview(&attempt, now.instant);
        foreseen
            .map_err(|refused| self.refuse_by_guard(undialled(considered, wanted, trunk), &refused))
    }

    /// The row of an attempt that the guard refuses, a line in the log, and the caller's answer.
    fn refuse_by_guard(&mut self, mut opened: AttemptOpened, refused: &Refused) -> Denied {
        opened.guard = Some(word_of(refused));
        self.note_guard("guard_refused", &opened);
        let reason = refused.reason;
        self.close_undialled(opened, reason.status(), reason.as_str());
        Denied::by_guard(reason, self.snapshot.settings.hide_state)
    }

    /// Dials the second party: what the guard cleared, as the trunk wants it written. (The first
    /// party of a placed call is dialled in `place`, by a `Cleared` just so.)
    #[expect(
        clippy::too_many_arguments,
        reason = "an INVITE is made of this many things"
    )]
    fn dial(
        &mut self,
        now: Now,
        key: CallKey,
        trunk: &Trunk,
        target: SocketAddr,
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
        let Some(mut media) = self.take_b_ports(key, trunk, target.ip()) else {
            self.guard.release(cleared, now.instant);
            self.close_undialled(opened, 503, "media_stock_empty");
            return Tried::Denied(Denied::of_code(503, "media_stock_empty"));
        };
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
        let pair = media.leg.pair;
        let plan = media.leg.plan(None, self.snapshot.settings.media_timeout);
        self.pairs.insert(pair, key);
        // The receive side is open before the SDP that names it leaves.
        self.send_media(Command::Connect {
            pair,
            plan,
            target: Target::Nowhere,
        });
        match self.endpoint.dial(now.instant, key, dial) {
            Ok(leg) => {
                self.loads.begin_sent(trunk, now.instant);
                self.counters.attempts += 1;
                opened.dialed = true;
                opened.call_id = self.call_id_of(leg);
                self.note_attempt(&opened, target);
                let (number, destination) = (opened.number, opened.destination.clone());
                self.put_record(Record::AttemptOpened(opened));
                if let Some(call) = self.calls.get_mut(&key) {
                    call.attempt = Some(Attempt {
                        number,
                        leg,
                        trunk: trunk.id.clone(),
                        target,
                        destination,
                        cleared,
                        media,
                        ringing_at: None,
                        answered_at: None,
                        owes_answer: false,
                        reason: None,
                    });
                }
                Tried::Dialled
            }
            Err(_declined) => {
                self.guard.release(cleared, now.instant);
                self.release_ports(now, &media, None);
                self.close_undialled(opened, 503, "dial_declined");
                Tried::Denied(Denied::of_code(503, "dial_declined"))
            }
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
            .is_some_and(|call| call.placed().is_some());
        let offer = (trunk.offer == OfferMode::Early || placed).then(|| {
            let (codecs, direction, ptime_ms) = self.offered_codecs(key, trunk);
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

    /// What the guard has against an attempt, and by which rule.
    fn note_guard(&mut self, event: &'static str, opened: &AttemptOpened) {
        let Some(guard) = &opened.guard else { return };
        let level = match event {
            "guard_dry_run" => Level::Warning,
            _ => Level::Note,
        };
        let detail = format!(
            "{} by {} trunk {} attempt {}",
            guard.reason, guard.rule, opened.trunk, opened.number
        );
        let call = Some(opened.call.clone());
        self.put(Output::Log(LogLine {
            level,
            event,
            call,
            detail,
        }));
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
        self.put(Output::Log(LogLine {
            level: Level::Debug,
            event: "attempt",
            call: Some(opened.call.clone()),
            detail: format!("{} trunk {} target {target}", opened.number, opened.trunk),
        }));
    }

    /// Fresh ports for each attempt, on the worker of the a-leg.
    fn take_b_ports(&mut self, key: CallKey, trunk: &Trunk, target: IpAddr) -> Option<Ports> {
        let call = self.calls.get(&key)?;
        let worker = call.a_media.as_ref()?.leg.pair.worker;
        if !call.is_emergency() && !self.stock.can_spare(worker, target) {
            return None;
        }
        self.take_ports(
            worker,
            target,
            Some(trunk),
            latch(Some(trunk), target, None),
        )
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
        let codecs = remote
            .codecs
            .iter()
            .filter(|codec| !codec.is_speech() || trunk.takes_codec(&codec.name))
            .cloned()
            .collect();
        (codecs, remote.direction, remote.ptime_ms)
    }

    /// No route is left: the best failure goes back, or that all that could carry it are busy.
    fn give_up(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let Some(best) = fork::best_failure(&call.failures) else {
            let unavailable = Denied::new(StatusCode::SERVICE_UNAVAILABLE, "trunks_unavailable");
            return self.deny(now, key, &unavailable);
        };
        let status = fork::towards_caller(best);
        let refused = matches!(best, AttemptFailure::Refused(_));
        let ending = Ending {
            released_by: if refused { "terminating" } else { "gateway" },
            cause: failover::cause(best),
            status: status.code(),
        };
        let said = call.failures.iter().position(|failure| *failure == best);
        let reason = said.and_then(|place| call.reasons.get(place).copied().flatten());
        let refusal = Refusal {
            q850_cause: reason.map(|reason| reason.0),
            ..Refusal::default()
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.reason = reason;
        }
        self.refuse_as(now, key, status, ending, &refusal);
    }

    pub(super) fn skip(&mut self, opened: AttemptOpened, outcome: &'static str) -> Tried {
        self.counters.refuse(outcome);
        self.close_undialled(opened, 503, outcome);
        Tried::Skipped
    }

    /// An attempt that was decided against: its row is opened and closed at once.
    pub(super) fn close_undialled(
        &mut self,
        opened: AttemptOpened,
        status: u16,
        outcome: &'static str,
    ) {
        let closed = AttemptClosed {
            call: opened.call.clone(),
            number: opened.number,
            at: opened.at,
            ringing_at: None,
            answered_at: None,
            status,
            outcome: outcome.to_owned(),
            q850: None,
            media: MediaFigures::default(),
        };
        self.put_record(Record::AttemptOpened(opened));
        self.put_record(Record::AttemptClosed(closed));
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

/// The row of an attempt before an INVITE has left.
fn undialled(considered: &Considered, wanted: &WantedParty, trunk: &Trunk) -> AttemptOpened {
    let (user, host) = (trunk.rewrite(&wanted.user), host_of(trunk, wanted));
    AttemptOpened {
        call: considered.call.clone(),
        number: considered.number,
        at: considered.at,
        trunk: trunk.id.clone(),
        destination: format!("{user}@{host}"),
        caller_name: wanted.caller_name.clone(),
        caller_alias: wanted.caller_alias.clone(),
        dialed: false,
        leg: considered.leg,
        call_id: String::new(),
        guard: None,
    }
}

/// The attempt as the guard sees it; `user`: as the trunk would have it dialled.
fn judged<'a>(
    considered: &'a Considered,
    wanted: &WantedParty,
    trunk: &'a Trunk,
    user: &'a str,
    now: Now,
) -> fraud_guard::Attempt<'a> {
    fraud_guard::Attempt {
        user,
        way: wanted.way,
        trunk: &trunk.id,
        dial_plan: &trunk.dial_plan,
        client: considered.client,
        at: now.timestamp,
        named_by_link: wanted.named_by_link,
        counted: &considered.counted,
    }
}

fn word_of(refused: &Refused) -> GuardWord {
    GuardWord {
        reason: refused.reason.as_str().to_owned(),
        rule: refused.rule.clone(),
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

/// How a source is learnt: the trunk says; a peer behind NAT that names a private address while its
/// signalling comes from a public one is met where its signalling is.
pub(super) fn latch(
    trunk: Option<&Trunk>,
    signalling: IpAddr,
    named: Option<SocketAddr>,
) -> LatchPolicy {
    match trunk.map(|trunk| trunk.media_latch) {
        Some(MediaLatch::Sdp) => LatchPolicy::Sdp,
        Some(MediaLatch::Signalling) => LatchPolicy::Signalling(signalling),
        Some(MediaLatch::Any) => LatchPolicy::Any,
        None => {
            let hidden = named.is_some_and(|named| is_private(named.ip()));
            if hidden && !is_private(signalling) && !signalling.is_loopback() {
                LatchPolicy::Signalling(signalling)
            } else {
                LatchPolicy::Sdp
            }
        }
    }
}

const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ipv4) => ipv4.is_private() || ipv4.is_link_local(),
        IpAddr::V6(ipv6) => ipv6.is_unique_local() || ipv6.is_unicast_link_local(),
    }
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
