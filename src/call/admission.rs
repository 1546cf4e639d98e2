//! An INVITE arrives: may it be a call at all, and what does its Request-URI mean.
//!
//! Whoever reaches this point is a known source. What is decided here: are we meant, is there room,
//! can the offer be used; then the link store is asked, and its answer is held against the source
//! policy.

use std::time::Duration;

use sip::event::{CallKey, CallOffered, Flow, LegKey, Refusal};
use sip::message::{Scheme, StatusCode};
use sip::offer_answer::{Unusable, read_offer};

use super::callers::Caller;
use super::control::CallControl;
use super::crypto;
use super::event::{Level, LogLine, Now, Output, Ticket};
use super::invite::session_timer;
use super::one_call::{Beginning, Call, Side, WantedParty};
use crate::cdr::record::{CallOpened, Record};
use crate::fraud_guard::{Reason, Way};
use crate::links::model::Destination;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::sources::admission::{Admitted, admit_flow};
use crate::trunks::identity::{self, Privacy};

/// A refusal on its way: status, stable word, and what the response carries.
pub(super) struct Denied {
    status: StatusCode,
    cause: &'static str,
    refusal: Refusal,
    /// Whoever asked is told that there is no such link.
    hidden: bool,
}

impl Denied {
    pub(super) fn new(status: StatusCode, cause: &'static str) -> Self {
        Self {
            status,
            cause,
            refusal: Refusal::default(),
            hidden: false,
        }
    }

    pub(super) fn with_warning(mut self, text: &str) -> Self {
        self.refusal.warning = Some(text.into());
        self
    }

    pub(super) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.refusal.retry_after = retry_after;
        self
    }

    /// PRODUCT §1: guard 403 with a text, rate 480 with Retry-After; hidden, both are an unknown link.
    pub(super) fn by_guard(reason: Reason, hide_state: bool) -> Self {
        Self::of_code(reason.status(), reason.as_str())
            .with_retry_after(reason.retry_after())
            .with_warning(reason.text())
            .hidden(hide_state)
    }

    /// What the caller is told of it where states are hidden: that there is no such link. The record
    /// says what it was.
    fn hidden(self, hide_state: bool) -> Self {
        if !hide_state || self.status == StatusCode::SERVICE_UNAVAILABLE {
            return self;
        }
        Self {
            hidden: true,
            ..Self::new(StatusCode::NOT_FOUND, self.cause)
        }
    }

    /// Whoever asked is told that there is no such link.
    pub(super) const fn is_hidden(&self) -> bool {
        self.hidden
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) const fn cause(&self) -> &'static str {
        self.cause
    }

    pub(super) const fn retry_after(&self) -> Option<Duration> {
        self.refusal.retry_after
    }

    pub(super) fn of_code(code: u16, cause: &'static str) -> Self {
        Self::new(
            StatusCode::new(code).unwrap_or(StatusCode::FORBIDDEN),
            cause,
        )
    }
}

/// What the caller hears of an offer that cannot be taken.
const fn warning_of(unusable: Unusable) -> &'static str {
    match unusable {
        Unusable::NotSecure => "SRTP is required here (RTP/SAVP with a=crypto)",
        Unusable::NoUsableKey | Unusable::WrongTag | Unusable::ReusedKey => {
            "no a=crypto of a suite that is known here is offered"
        }
        Unusable::NoAudio
        | Unusable::SecureOnly
        | Unusable::NoAddress
        | Unusable::Forbidden(_)
        | Unusable::NoCommonCodec => "no plain RTP audio at a usable address is offered",
    }
}

/// What the opaque part of an emergency URN begins with (RFC 5031 §4.1).
const URN_SERVICE: &str = "service:";

/// A link store that has not answered by then does not: the caller gets 503.
pub(super) const RESOLVE_WITHIN: Duration = Duration::from_secs(4);

impl CallControl {
    pub(super) fn deny(&mut self, now: Now, key: CallKey, denied: &Denied) {
        let call = self.calls.get_mut(&key);
        if let Some(guest) = call.and_then(|call| call.guest_mut()) {
            guest.is_hidden = denied.hidden;
        }
        self.refuse(now, key, denied.status, denied.cause, &denied.refusal);
    }

    pub(super) fn handle_offered(
        &mut self,
        now: Now,
        key: CallKey,
        a_leg: LegKey,
        offered: Box<CallOffered>,
    ) {
        self.counters.calls_offered += 1;
        let id = self.fresh_id(now);
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let source = admit_flow(&snapshot.trunks, &snapshot.sources, offered.flow);
        let extension = match self.prove_caller(now, source, &offered) {
            Ok(extension) => extension,
            Err(unproved) => return self.refuse_unproved(now, key, unproved),
        };
        let name = source.map_or("unknown", Admitted::name);
        self.open_record(now, &id, source, &offered);
        self.live += 1;
        let age = self.live_calls.begin(&id, key);
        self.ladders.begin(age, &id);
        self.ladders.claim(age, offered.call_id.as_bytes());
        let beginning = Beginning::Offered(offered);
        let mut call = Call::new(id, a_leg, beginning, name.to_owned(), now);
        call.age = age;
        call.extension = extension;
        self.calls.insert(key, Box::new(call));
        match self.examine(now, key, source) {
            Ok((user, host)) => {
                self.set_callers_timer(key);
                let ticket = self.next_ticket(now, key);
                let source = name.to_owned();
                self.put(Output::Resolve {
                    ticket,
                    user,
                    host,
                    source,
                });
            }
            Err(denied) => self.deny(now, key, &denied),
        }
    }

    /// A trunk has settings of its own for its calls to us; zero switches the timer off.
    fn set_callers_timer(&mut self, key: CallKey) {
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if let Some(trunk) = call.trunk(Side::A, &snapshot) {
            let a_leg = call.a_leg;
            let told = self
                .endpoint
                .set_session_timer(key, a_leg, session_timer(trunk));
            self.check(told);
        }
    }

    /// The order is from cheap to dear, and from what concerns us to what concerns the call.
    fn examine(
        &mut self,
        now: Now,
        key: CallKey,
        source: Option<Admitted<'_>>,
    ) -> Result<(String, String), Denied> {
        let source = source.ok_or_else(|| Denied::new(StatusCode::FORBIDDEN, "source_gone"))?;
        if self.is_stopping() {
            return Err(Denied::new(StatusCode::SERVICE_UNAVAILABLE, "node_stopped"));
        }
        let gone = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "call_gone");
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let offered = call.offered().ok_or_else(gone)?;
        let (flow, is_emergency) = (offered.flow, offered.is_emergency);
        self.find_room(now, source, flow, is_emergency)?;
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let offered = call.offered().ok_or_else(gone)?;
        let (user, host) = self.wanted_of(offered)?;
        let signalling = offered.flow.remote.ip();
        let policy = self.crypto_policy(crypto::wanted_by(source))?;
        let read = offered
            .offer
            .as_deref()
            .map(|offer| {
                let forbids = |address| self.forbids(address, signalling);
                read_offer(offer, policy, forbids)
            })
            .transpose()
            .map_err(|unusable| {
                Denied::new(StatusCode::NOT_ACCEPTABLE_HERE, unusable.as_str())
                    .with_warning(warning_of(unusable))
            })?;
        let from_trunk = source.trunk().map(|trunk| trunk.id.clone());
        if let Some(trunk) = &from_trunk {
            self.loads.begin_received(trunk);
        }
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        call.srtp = policy;
        call.wants_offer = read.is_none();
        call.offer = read.map(Box::new);
        call.from_trunk = from_trunk;
        Ok((user, host))
    }

    /// Calls at once, calls a second, and the cap of the trunk it came from. An emergency call counts,
    /// and is held against none of them: the endpoint has room for it.
    fn find_room(
        &mut self,
        now: Now,
        source: Admitted<'_>,
        flow: Flow,
        is_emergency: bool,
    ) -> Result<(), Denied> {
        let unavailable = |cause| Denied::new(StatusCode::SERVICE_UNAVAILABLE, cause);
        let rate = self.config.calls_per_second_max;
        if !is_emergency {
            let limit = usize::try_from(self.config.endpoint.calls_max).unwrap_or(usize::MAX);
            if self.live > limit {
                return Err(unavailable("calls_max"));
            }
            if !self.offered_lately.admits(now.instant, rate) {
                let wait = Some(Duration::from_secs(1));
                return Err(unavailable("calls_per_second_max").with_retry_after(wait));
            }
            let trunk = source.trunk();
            if trunk.is_some_and(|trunk| !self.loads.has_room_to_receive(trunk)) {
                return Err(unavailable("trunk_at_cap"));
            }
        }
        let caller = Caller::of(flow, Some(source));
        self.offered_lately.count(now.instant, rate, caller);
        Ok(())
    }

    /// The request path and the host that are asked for. An emergency service is its name after
    /// `urn:service:` (RFC 5031), and always ours: `sos`, `sos.fire`.
    fn wanted_of(&self, offered: &CallOffered) -> Result<(String, String), Denied> {
        if let Some(service) = emergency_service(offered) {
            return Ok((service, self.own_domain()));
        }
        let uri = &offered.request_uri;
        let host = uri.host().to_owned();
        if !self.is_ours(&host, offered) {
            return Err(Denied::new(StatusCode::FORBIDDEN, "relay_denied"));
        }
        let user = uri.user().map(|user| user.into_owned()).unwrap_or_default();
        if user.is_empty() {
            return Err(Denied::new(StatusCode::NOT_FOUND, "no_user"));
        }
        Ok((user, host))
    }

    /// An own address, an own name, or the SIP domain. Anything else would make us a relay.
    fn is_ours(&self, host: &str, offered: &CallOffered) -> bool {
        if let Some(address) = offered.request_uri.host_address() {
            let own = self
                .config
                .sockets
                .iter()
                .chain(&self.config.listeners)
                .any(|socket| socket.ip() == address);
            if own || offered.flow.local.ip() == address {
                return true;
            }
        }
        self.is_own_name(host, Some(offered.flow.local.ip()))
    }

    /// A name or address by which we are called.
    pub(super) fn is_own_name(&self, host: &str, local: Option<std::net::IpAddr>) -> bool {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            let mut sockets = self.config.sockets.iter().chain(&self.config.listeners);
            return local == Some(address) || sockets.any(|socket| socket.ip() == address);
        }
        let domain = self.snapshot.settings.sip_domain.as_deref();
        let advertised = self.config.advertised_host.as_deref();
        domain
            .into_iter()
            .chain(advertised)
            .chain(self.config.own_hosts.iter().map(String::as_str))
            .any(|own| own.eq_ignore_ascii_case(host))
    }

    /// A question that the store may leave open for [`RESOLVE_WITHIN`].
    fn next_ticket(&mut self, now: Now, key: CallKey) -> Ticket {
        self.ticket_last += 1;
        let ticket = Ticket(self.ticket_last);
        self.tickets.insert(ticket, key);
        if let Some(call) = self.calls.get_mut(&key) {
            let at = now.instant + RESOLVE_WITHIN;
            call.ticket = Some(ticket);
            call.ends_at = Some(at);
            self.deadlines.insert((at, key));
        }
        ticket
    }

    pub(super) fn handle_resolved(
        &mut self,
        now: Now,
        ticket: Ticket,
        outcome: Result<ResolvedLink, ResolveRefusal>,
    ) {
        // The caller may have given up meanwhile.
        let Some(key) = self.tickets.remove(&ticket) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.ticket = None;
        if let Some(at) = call.ends_at.take() {
            self.deadlines.remove(&(at, key));
        }
        if call.over || call.ending.is_some() {
            return;
        }
        if outcome == Err(ResolveRefusal::Unknown)
            && let Some(service) = call.offered().and_then(emergency_service)
        {
            self.warn_of_emergency(key, &service);
            let denied = no_emergency_link().hidden(self.snapshot.settings.hide_state);
            return self.deny(now, key, &denied);
        }
        let accepted = match outcome {
            // Ad hoc is for sources: where an extension may call, its account says.
            Ok(link) if call.extension.is_some() && link.link.is_none() => {
                self.accept_extension(key).map(|()| None)
            }
            Ok(link) => self.accept_link(key, link).map(Some),
            Err(ResolveRefusal::Unknown) if call.extension.is_some() => {
                self.accept_extension(key).map(|()| None)
            }
            Err(refusal) => {
                let hide_state = self.snapshot.settings.hide_state;
                Err(unresolved(refusal, now).hidden(hide_state))
            }
        };
        match accepted {
            Ok(None | Some(Destination::Remote { .. })) => self.route(now, key),
            Ok(Some(Destination::Echo)) => {
                self.join_local_party(now, key, media::command::Target::Echo);
            }
            Ok(Some(Destination::Tone)) => {
                self.join_local_party(now, key, media::command::Target::Tone);
            }
            Err(denied) => self.deny(now, key, &denied),
        }
    }

    /// Whoever runs this node must hear of it: somebody has called for help in vain.
    fn warn_of_emergency(&mut self, key: CallKey, service: &str) {
        self.put(Output::Log(LogLine {
            level: Level::Warning,
            event: "emergency_call_refused",
            call: self.calls.get(&key).map(|call| call.id.clone()),
            detail: format!(
                "urn:service:{service} wants a link `{service}`, to an emergency number of a trunk's \
                 dial_plan, and a rule of the guard of kind emergency"
            ),
        }));
    }

    /// The link is held against the source's policy; then the call is accepted and gets its alias
    /// number: one per call, the same on every attempt.
    fn accept_link(&mut self, key: CallKey, link: ResolvedLink) -> Result<Destination, Denied> {
        let gone = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "call_gone");
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let flow = call.offered().ok_or_else(gone)?.flow;
        let remote = flow.remote;
        let is_extension = call.extension.is_some();
        debug_assert!(!is_extension || link.link.is_some(), "its account decides");
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let source = admit_flow(&snapshot.trunks, &snapshot.sources, flow)
            .ok_or_else(|| Denied::new(StatusCode::FORBIDDEN, "source_gone"))?;
        // Whoever proved to be an extension may call every link, wherever the phone stands.
        if !is_extension {
            source
                .may_reach(&link, remote.ip())
                .map_err(|not_admitted| {
                    Denied::of_code(not_admitted.status(), not_admitted.as_str())
                })?;
        }
        let caller_alias = self.alias_of(&link)?;
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        call.link = link.link;
        call.video_most = link.video_policy.on_sip();
        if let Destination::Remote { user, domain } = &link.destination {
            call.wanted = Some(WantedParty {
                user: user.clone(),
                domain: domain.clone().unwrap_or_default(),
                caller_name: link.caller_name,
                caller_alias,
                pinned: link.trunk,
                way: way_of(call.from_trunk.is_some(), link.named_by_link),
                named_by_link: link.named_by_link,
                privacy: call.offered().map_or(Privacy::OPEN, |offered| {
                    identity::asked_privacy(&offered.headers)
                }),
                screened: true,
            });
        }
        Ok(link.destination)
    }

    /// The number that a link's calls show, with the next of the unique numbers where it wants one.
    pub(super) fn alias_of(&mut self, link: &ResolvedLink) -> Result<String, Denied> {
        let is_remote = matches!(link.destination, Destination::Remote { .. });
        if !link.unique_alias || !is_remote {
            return Ok(link.caller_alias.clone());
        }
        let number = self
            .aliases
            .take()
            .ok_or_else(|| Denied::new(StatusCode::SERVICE_UNAVAILABLE, "alias_numbers_empty"))?;
        Ok(format!(
            "{}{}{number}",
            link.caller_alias, link.unique_alias_separator
        ))
    }

    fn open_record(
        &mut self,
        now: Now,
        id: &str,
        source: Option<Admitted<'_>>,
        offered: &CallOffered,
    ) {
        // A trunk may have the switchboard in From and the real caller elsewhere (F-12).
        let trunk = source.and_then(|source| source.trunk());
        let caller = identity::read(trunk, &offered.headers, Some(&offered.from));
        let caller = caller.map_or_else(String::new, |caller| caller.uri.as_str().to_owned());
        let source = source.map_or("unknown", Admitted::name);
        let user = || offered.request_uri.user().map(|user| user.into_owned());
        let request_path = emergency_service(offered).or_else(user).unwrap_or_default();
        self.put_record(Record::CallOpened(CallOpened {
            call: id.to_owned(),
            at: now.timestamp,
            source: source.to_owned(),
            source_address: offered.flow.remote.to_string(),
            call_id: offered.call_id.to_string(),
            request_path,
            caller,
        }));
        self.log_call((Level::Note, "call_offered"), id, |snapshot| {
            let source = snapshot.named(source);
            format!("source {source}, Call-ID {}", offered.call_id)
        });
    }
}

/// How an INVITE that came to us leaves again.
const fn way_of(from_trunk: bool, named_by_link: bool) -> Way {
    match (from_trunk, named_by_link) {
        (true, _) => Way::Transit,
        (false, true) => Way::Link,
        (false, false) => Way::AdHoc,
    }
}

/// The service that is called, where it is one by its URN: `sos`, `sos.fire` (RFC 5031 §4.1).
fn emergency_service(offered: &CallOffered) -> Option<String> {
    let uri = &offered.request_uri;
    let is_urn = uri.scheme() == Scheme::Other && offered.is_emergency;
    let service = uri.view().opaque().get(URN_SERVICE.len()..);
    service
        .filter(|_| is_urn)
        .map(|service| service.to_ascii_lowercase())
}

/// No link says where calls to an emergency service go.
fn no_emergency_link() -> Denied {
    Denied::new(StatusCode::NOT_FOUND, "emergency_link_unknown")
        .with_warning(Reason::Emergency.text())
}

/// PRODUCT §1, refusals of SIP.
fn unresolved(refusal: ResolveRefusal, now: Now) -> Denied {
    match refusal {
        ResolveRefusal::Unknown => Denied::new(StatusCode::NOT_FOUND, "link_unknown"),
        ResolveRefusal::Dead => Denied::new(StatusCode::GONE, "link_dead"),
        ResolveRefusal::NotYetValid(from) => {
            let seconds = from
                .as_second()
                .saturating_sub(now.timestamp.as_second())
                .max(1);
            let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
            Denied::new(StatusCode::TEMPORARILY_UNAVAILABLE, "link_not_yet_valid")
                .with_retry_after(Some(wait))
        }
        ResolveRefusal::Unavailable => {
            Denied::new(StatusCode::SERVICE_UNAVAILABLE, "links_unavailable")
        }
    }
}
