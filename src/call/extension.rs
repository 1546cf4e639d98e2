//! Extensions in calls: whoever calls from where phones register proves which extension it is, and a
//! call to an extension rings its phones, one after the other.
//!
//! An extension is dialled like a trunk: it stands in the snapshot as one that is never chosen by
//! priority, so that ports, identity, latching and the guard are those of every attempt.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sip::event::{CallKey, CallOffered, Flow, Refusal};
use sip::message::{HeaderName, Method, Scheme, StatusCode, Uri};

use super::admission::Denied;
use super::control::CallControl;
use super::event::Now;
use super::one_call::WantedParty;
use crate::fraud_guard::Way;
use crate::fraud_guard::number::looks_like_number;
use crate::registrar::model::Extension;
use crate::registrar::proof::{Claim, Proof, find};
use crate::sources::admission::Admitted;
use crate::trunks::identity;
use crate::trunks::model::{MediaLatch, Trunk};
use crate::trunks::select::Route;
use crate::trunks::shape::{StoredTrunk, TrunkShape};

/// Where an attempt goes, one after the other.
pub(super) type Routes = VecDeque<Route>;

/// The phones of an extension, and a route to each.
pub(super) type Phones = (Vec<Phone>, Routes);

/// A phone that shall ring.
#[derive(Debug, Clone)]
pub(super) struct Phone {
    pub(super) target: SocketAddr,
    /// Its Contact: the Request-URI.
    pub(super) uri: Uri,
    /// The way it registered by.
    pub(super) flow: Flow,
}

impl Phone {
    /// The Request-URI of a call to it: its Contact, without the headers that a Request-URI cannot have
    /// (RFC 3261 §19.1.1). Where that has a number for a user, it is the number that the guard has
    /// judged: a proxy between us and the phones could route by it. `None`: it is no address of a phone
    /// but a number by itself (`tel:`), or worse.
    pub(super) fn request_uri(&self, judged: &str) -> Option<Uri> {
        if !matches!(self.uri.scheme(), Scheme::Sip | Scheme::Sips) {
            return None;
        }
        let user = self.uri.user().unwrap_or_default();
        let number = user.split(';').next().unwrap_or_default();
        if user == judged || !looks_like_number(number) {
            return Uri::parse(self.uri.view().without_headers().as_bytes());
        }
        let written = Uri::sip(Some(judged), self.uri.host(), self.uri.port())?;
        let mut text = written.as_str().as_bytes().to_vec();
        text.extend_from_slice(self.uri.parameters().as_bytes());
        Uri::parse(&text)
    }
}

/// What is answered to a caller who has not proved anything.
#[derive(Debug)]
pub(super) struct Unproved {
    status: StatusCode,
    headers: Vec<(HeaderName, Box<[u8]>)>,
    retry_after: Option<Duration>,
    reason: &'static str,
    /// A password was tried: the transaction stays, so that a repetition is no second guess.
    is_guess: bool,
}

impl CallControl {
    /// The extension that calls; `None`: nobody has to prove anything at this source. Where phones
    /// register, everybody has to, so that an answer never tells which accounts there are.
    pub(super) fn prove_caller(
        &mut self,
        now: Now,
        source: Option<Admitted<'_>>,
        offered: &CallOffered,
    ) -> Result<Option<String>, Unproved> {
        if !matches!(source, Some(Admitted::Source(source)) if source.registers) {
            return Ok(None);
        }
        let account = offered.from.uri().user().unwrap_or_default();
        let claim = Claim {
            source: offered.flow.remote.ip(),
            account: &account,
            method: &Method::Invite,
            request_uri: &offered.request_uri,
            own_hosts: &self.own_names(offered.flow.local.ip()),
            authorization: &offered.authorization,
            realm: &self.realm(),
            offer: self.snapshot.settings.digest_offer,
        };
        let snapshot = Arc::clone(&self.snapshot);
        match self.prover.prove(&claim, &snapshot.extensions, now.instant) {
            Proof::Extension(name) => Ok(Some(name)),
            Proof::Challenge {
                headers,
                reason,
                is_guess,
            } if is_guess || self.challenges.admits(claim.source, now.instant) => Err(Unproved {
                status: StatusCode::UNAUTHORIZED,
                headers,
                retry_after: None,
                reason,
                is_guess,
            }),
            // Who asks so often asks for others, or not for a call.
            Proof::Challenge { .. } => Err(Unproved {
                status: StatusCode::SERVICE_UNAVAILABLE,
                headers: Vec::new(),
                retry_after: Some(Duration::from_secs(1)),
                reason: "challenges_max",
                is_guess: false,
            }),
            Proof::Locked { retry_after } => {
                self.note_lockout(offered.flow.remote.ip());
                Err(Unproved {
                    status: StatusCode::FORBIDDEN,
                    headers: Vec::new(),
                    retry_after: Some(retry_after),
                    reason: "register_locked_out",
                    is_guess: false,
                })
            }
        }
    }

    /// Refuses before there is a call, and so without a record of one: the caller asks again. What was
    /// no try of a password costs one datagram and leaves nothing behind.
    pub(super) fn refuse_unproved(&mut self, now: Now, key: CallKey, unproved: Unproved) {
        *self.counters.registers.entry(unproved.reason).or_default() += 1;
        let refusal = Refusal {
            headers: unproved.headers,
            retry_after: unproved.retry_after,
            ..Refusal::default()
        };
        let (endpoint, status) = (&mut self.endpoint, unproved.status);
        let told = if unproved.is_guess {
            endpoint.refuse(now.instant, key, status, &refusal)
        } else {
            endpoint.turn_away(now.instant, key, status, &refusal)
        };
        self.check(told);
    }

    /// What an extension reaches that no link names: another extension, or a number over the trunks
    /// that its account names.
    pub(super) fn accept_extension(&mut self, key: CallKey) -> Result<(), Denied> {
        let unknown = || Denied::new(StatusCode::NOT_FOUND, "link_unknown");
        let snapshot = Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or_else(unknown)?;
        let caller = call.extension.as_deref();
        let caller = caller.and_then(|name| find(&snapshot.extensions, name));
        let caller = caller.ok_or_else(unknown)?;
        let offered = call.offered().ok_or_else(unknown)?;
        let user = offered.request_uri.user().unwrap_or_default().into_owned();
        let reaches_phone = find(&snapshot.extensions, &user).is_some();
        if !reaches_phone && caller.trunks.is_empty() {
            return Err(unknown());
        }
        let domain = offered.request_uri.host().to_owned();
        let privacy = identity::asked_privacy(&offered.headers);
        call.wanted = Some(WantedParty {
            user,
            domain,
            caller_name: caller.display_name.clone(),
            caller_alias: caller.name.clone(),
            pinned: None,
            way: Way::Extension,
            named_by_link: reaches_phone,
            privacy,
            screened: true,
        });
        Ok(())
    }

    /// The phones of the extension that is wanted; `None`: it is no extension of ours.
    pub(super) fn extension_routes(
        &mut self,
        now: Now,
        key: CallKey,
    ) -> Result<Option<Routes>, Denied> {
        let Some(call) = self.calls.get(&key) else {
            return Ok(None);
        };
        let local = call.offered().map(|offered| offered.flow.local.ip());
        let Some(wanted) = call.wanted.clone() else {
            return Ok(None);
        };
        let Some((phones, routes)) = self.phones_of(now, &wanted, local)? else {
            return Ok(None);
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.phones = phones;
        }
        Ok(Some(routes))
    }

    /// The phones of a party that is an extension of ours, and the ways to them. `local`: the address
    /// of ours that the caller met.
    pub(super) fn phones_of(
        &self,
        now: Now,
        wanted: &WantedParty,
        local: Option<IpAddr>,
    ) -> Result<Option<Phones>, Denied> {
        if wanted.pinned.is_some() {
            return Ok(None);
        }
        let own = wanted.domain.is_empty() || self.is_own_name(&wanted.domain, local);
        let extension = find(&self.snapshot.extensions, &wanted.user);
        let Some(extension) = extension.filter(|_| own) else {
            return Ok(None);
        };
        let phones: Vec<Phone> = self
            .bindings
            .of(&extension.name, now.instant)
            .into_iter()
            .map(|binding| Phone {
                target: binding.flow.remote,
                uri: binding.uri.clone(),
                flow: binding.flow,
            })
            .collect();
        if phones.is_empty() {
            let status = StatusCode::TEMPORARILY_UNAVAILABLE;
            return Err(Denied::new(status, "extension_not_registered"));
        }
        let route = |phone: &Phone| Route {
            trunk: extension.id.clone(),
            target: phone.target,
        };
        let routes = phones.iter().map(route).collect();
        Ok(Some((phones, routes)))
    }

    /// An extension leaves by the trunks of its account only.
    pub(super) fn permitted(&self, key: CallKey, routes: Vec<Route>) -> Result<Vec<Route>, Denied> {
        let Some(call) = self.calls.get(&key) else {
            return Ok(routes);
        };
        let by_number = call
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.way == Way::Extension);
        let caller = call.extension.as_deref().filter(|_| by_number);
        let Some(caller) = caller.and_then(|name| find(&self.snapshot.extensions, name)) else {
            return Ok(routes);
        };
        let label = |id: &str| {
            let mut trunks = self.snapshot.trunks.iter();
            let trunk = trunks.find(|trunk| trunk.id == id);
            trunk.map_or("", |trunk| trunk.label.as_str())
        };
        let permitted: Vec<Route> = routes
            .into_iter()
            .filter(|route| caller.may_use(&route.trunk, label(&route.trunk)))
            .collect();
        if permitted.is_empty() {
            return Err(Denied::new(StatusCode::FORBIDDEN, "extension_no_trunk"));
        }
        Ok(permitted)
    }
}

/// An extension as a trunk that is never chosen: nothing points to it but its own calls.
pub(super) fn as_trunk(extension: &Extension) -> Trunk {
    let shape = TrunkShape {
        label: extension.name.clone(),
        enabled: extension.enabled,
        carries_terminating: false,
        carries_originating: false,
        media_latch: MediaLatch::Signalling,
        options_interval_up_s: Duration::ZERO,
        trusted: true,
        ..TrunkShape::default()
    };
    let stored = StoredTrunk {
        id: extension.id.clone(),
        shape,
        password: None,
    };
    stored.trunk(Vec::new())
}
