//! Calls that somebody orders (PRODUCT §2): the first party is dialled like any other, over trunks
//! and past the guard; when it has answered it hears ringback, and the second party is dialled with
//! what the first accepted.
//!
//! Owned here: what an order needs to become a call. `first_party` dials and hears the first one,
//! `joining` brings in the second.

mod first_party;
mod joining;

use std::time::Duration;

use media::command::Target;
use sip::event::{CallKey, LegKey};
use sip::offer_answer::Codec;
use sip::table::Key;

use self::first_party::install_first_party;

use super::admission::Denied;
use super::command::{CommandOutcome, CommandRefusal, Party, PlaceCall, PlaceTo};
use super::control::CallControl;
use super::ending::closed_call;
use super::event::{Level, Now};
use super::extension::{Phones, Routes};
use super::media_plan::abilities;
use super::one_call::{Beginning, Call, Ending, Placed, WantedParty};
use crate::cdr::record::{CallOpened, Record};
use crate::fraud_guard::Way;
use crate::links::model::{Destination, LinkId};
use crate::links::resolve::ResolvedLink;
use crate::trunks::identity::Privacy;
use crate::trunks::select::Route;

/// The source of a placed call in its record; the token's id follows.
const SOURCE: &str = "api";
/// A leg that is not there yet.
const NO_LEG: LegKey = LegKey(Key {
    index: u32::MAX,
    generation: u32::MAX,
});

/// The second party as an order names it.
struct Second {
    request_path: String,
    link: Option<LinkId>,
    /// A trunk's party.
    wanted: Option<WantedParty>,
    /// Or one of ours.
    local_party: Option<Target>,
    /// What the first party sees of it, and the number that calls.
    shown: (String, String),
}

impl CallControl {
    /// Carries out an order: refused at once, or on its way with an id.
    pub(super) fn place_call(
        &mut self,
        now: Now,
        place: PlaceCall,
    ) -> Result<CommandOutcome, CommandRefusal> {
        if let Some(idempotency) = &place.idempotency {
            let token = &place.grant.token;
            if let Some(id) = self.orders.known(token, idempotency, now.instant)? {
                return self.repeat_order(&id);
            }
        }
        self.admit_order(now, &place)?;
        let domain = self.own_domain();
        let second = self.second_party(&place.to, &domain).map_err(unplaced)?;
        let mut from = first_party(&place.from, &second, &domain);
        let allowed = place.grant.trunks.as_deref();
        let codecs = names(&abilities::ours(&[], &[]));
        let (mut wanted, mut ways_on) = (second.wanted, Routes::new());
        if let Some(wanted) = &mut wanted {
            // Nobody is rung up for a party that cannot be reached.
            let ways = self.ways_to(now, wanted, &codecs, allowed);
            (_, ways_on) = ways.map_err(unplaced)?;
        }
        let (phones, routes) = self
            .ways_to(now, &mut from, &codecs, allowed)
            .map_err(unplaced)?;
        let rate = self.config.calls_per_second_max;
        self.offered_lately.count(now.instant, rate, None);
        let placed = Placed {
            token: place.grant.token.clone(),
            trunks: place.grant.trunks,
            client: place.client,
            request_path: second.request_path,
            from,
            local_party: second.local_party,
            routes,
            phones,
            leg: None,
        };
        let id = self.fresh_id(now);
        let source = format!("{SOURCE}:{}", placed.token);
        let beginning = Beginning::Placed(Box::new(placed));
        let mut call = Call::new(id, NO_LEG, beginning, source, now);
        (call.wanted, call.link) = (wanted, second.link);
        self.open_placed_record(now, &call);
        let key = self.begin_placed(now, call, ways_on.make_contiguous())?;
        let call = self.calls.get(&key).ok_or(CommandRefusal::Lost)?;
        let view = Box::new(call.view());
        if let Some(idempotency) = place.idempotency {
            let token = &place.grant.token;
            self.orders
                .remember(token, idempotency, &view.id, now.instant);
        }
        Ok(CommandOutcome::Placed {
            call: view,
            repeated: false,
        })
    }

    /// The same order again: the call that it became, as it is now.
    fn repeat_order(&self, id: &str) -> Result<CommandOutcome, CommandRefusal> {
        let live = self.live_calls.find(id);
        let live = live
            .and_then(|key| self.calls.get(&key))
            .map(|call| call.view());
        let call = live.or_else(|| self.orders.former(id).cloned());
        Ok(CommandOutcome::Placed {
            call: Box::new(call.ok_or(CommandRefusal::NoSuchCall)?),
            repeated: true,
        })
    }

    /// What must hold before anything is looked up: ours first, then the token's.
    fn admit_order(&mut self, now: Now, place: &PlaceCall) -> Result<(), CommandRefusal> {
        if self.is_stopping() {
            return Err(CommandRefusal::Stopped);
        }
        if self.is_draining {
            return Err(CommandRefusal::Draining);
        }
        let pin = match &place.to {
            PlaceTo::Link(link) => link.trunk.as_ref(),
            PlaceTo::Party { trunk, .. } => trunk.as_ref(),
        };
        let allowed = place.grant.trunks.as_ref();
        if let (Some(pin), Some(allowed)) = (pin, allowed)
            && !allowed.contains(pin)
        {
            return Err(CommandRefusal::TokenTrunk);
        }
        self.orders.admit(&place.grant, now.instant)?;
        let limit = usize::try_from(self.config.endpoint.calls_max).unwrap_or(usize::MAX);
        let full = |cause, retry_after| CommandRefusal::Unplaced {
            status: 503,
            cause,
            retry_after,
        };
        if self.live >= limit {
            return Err(full("calls_max", None));
        }
        let rate = self.config.calls_per_second_max;
        if !self.offered_lately.admits(now.instant, rate) {
            return Err(full("calls_per_second_max", Some(Duration::from_secs(1))));
        }
        Ok(())
    }

    fn second_party(&mut self, to: &PlaceTo, domain: &str) -> Result<Second, Denied> {
        match to {
            PlaceTo::Link(link) => self.linked_party(link, domain),
            PlaceTo::Party {
                party,
                trunk,
                caller_name,
                caller_alias,
            } => {
                let wanted = WantedParty {
                    user: party.user.clone(),
                    domain: party.domain.clone().unwrap_or_else(|| domain.to_owned()),
                    caller_name: caller_name.clone(),
                    caller_alias: caller_alias.clone(),
                    pinned: trunk.clone(),
                    way: Way::Api,
                    named_by_link: false,
                    privacy: Privacy::OPEN,
                    screened: true,
                };
                Ok(Second {
                    request_path: format!("{}@{}", wanted.user, wanted.domain),
                    link: None,
                    shown: (wanted.user.clone(), caller_alias.clone()),
                    wanted: Some(wanted),
                    local_party: None,
                })
            }
        }
    }

    /// What a link reaches. Its alias takes its number here, once for all attempts at both parties.
    fn linked_party(&mut self, link: &ResolvedLink, domain: &str) -> Result<Second, Denied> {
        let caller_alias = self.alias_of(link)?;
        let shown = (link.request_path.clone(), caller_alias.clone());
        let (wanted, local_party) = match &link.destination {
            Destination::Remote { user, domain: own } => {
                let wanted = WantedParty {
                    user: user.clone(),
                    domain: own.clone().unwrap_or_else(|| domain.to_owned()),
                    caller_name: link.caller_name.clone(),
                    caller_alias,
                    pinned: link.trunk.clone(),
                    way: Way::Api,
                    named_by_link: link.named_by_link,
                    privacy: Privacy::OPEN,
                    screened: true,
                };
                (Some(wanted), None)
            }
            Destination::Echo => (None, Some(Target::Echo)),
            Destination::Tone => (None, Some(Target::Tone)),
        };
        Ok(Second {
            request_path: link.request_path.clone(),
            link: link.link,
            wanted,
            local_party,
            shown,
        })
    }

    /// The phones of an extension, which the guard knows as named, or the trunks that carry a party.
    pub(super) fn ways_to(
        &mut self,
        now: Now,
        wanted: &mut WantedParty,
        codecs: &[String],
        allowed: Option<&[String]>,
    ) -> Result<Phones, Denied> {
        if let Some((phones, routes)) = self.phones_of(now, wanted, None)? {
            wanted.named_by_link = true;
            return Ok((phones, routes));
        }
        let routes = self.find_routes(now, wanted, codecs, None, allowed)?;
        Ok((Vec::new(), routes.into()))
    }

    /// The SIP domain, or our first address.
    pub(in crate::call) fn own_domain(&self) -> String {
        let configured = self.snapshot.settings.sip_domain.clone();
        configured.unwrap_or_else(|| {
            let socket = self.config.sockets.first();
            socket.map_or_else(String::new, |socket| self.own_host(*socket))
        })
    }

    /// The first INVITE leaves, and the call is one of those that are up. Where none can leave, its
    /// record is closed. Who would be refused at once is foreseen before the first party is counted,
    /// and again with it.
    fn begin_placed(
        &mut self,
        now: Now,
        mut call: Call,
        ways_on: &[Route],
    ) -> Result<CallKey, CommandRefusal> {
        let foreseen = self.foresee_second_party(now, &mut call, ways_on);
        let begun = foreseen.and_then(|()| self.dial_first_party(now, &mut call, ways_on));
        let begun = match begun {
            Ok(begun) => begun,
            Err(denied) => {
                self.close_unplaced(now, &call, &denied);
                return Err(unplaced(denied));
            }
        };
        let key = begun.key;
        if let Some(placed) = call.placed() {
            self.orders.begin(&placed.token);
        }
        self.counters.calls_placed += 1;
        self.live += 1;
        call.age = self.live_calls.begin(&call.id, key);
        self.ladders.begin(call.age, &call.id);
        install_first_party(&mut call, begun);
        self.calls.insert(key, Box::new(call));
        self.touch(Some(key));
        Ok(key)
    }

    fn close_unplaced(&mut self, now: Now, call: &Call, denied: &Denied) {
        let ending = Ending {
            released_by: "gateway",
            cause: denied.cause(),
            status: denied.status().code(),
        };
        let closed = closed_call(call, now, ending);
        self.put_record(Record::CallClosed(closed));
    }

    fn open_placed_record(&mut self, now: Now, call: &Call) {
        let Some(placed) = call.placed() else { return };
        let client = placed.client.map(|client| client.to_string());
        self.put_record(Record::CallOpened(CallOpened {
            call: call.id.clone(),
            at: now.timestamp,
            source: call.source.clone(),
            source_address: client.unwrap_or_default(),
            // Each attempt at the first party has one of its own.
            call_id: String::new(),
            request_path: placed.request_path.clone(),
            caller: format!("{}@{}", placed.from.user, placed.from.domain),
        }));
        self.log_call((Level::Note, "call_placed"), &call.id, |_| {
            format!("source {}", call.source)
        });
    }
}

/// The first party sees whom it will talk to, under the number that calls both.
fn first_party(party: &Party, second: &Second, domain: &str) -> WantedParty {
    let (caller_name, caller_alias) = second.shown.clone();
    WantedParty {
        user: party.user.clone(),
        domain: party.domain.clone().unwrap_or_else(|| domain.to_owned()),
        caller_name,
        caller_alias,
        pinned: None,
        way: Way::Api,
        named_by_link: false,
        privacy: Privacy::OPEN,
        screened: true,
    }
}

/// Names of the codecs for speech.
pub(super) fn names(codecs: &[Codec]) -> Vec<String> {
    let speech = codecs.iter().filter(|codec| codec.is_speech());
    speech.map(|codec| codec.name.to_string()).collect()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where map_err wants a function"
)]
fn unplaced(denied: Denied) -> CommandRefusal {
    if denied.is_hidden() {
        return CommandRefusal::UnknownLink;
    }
    CommandRefusal::Unplaced {
        status: denied.status().code(),
        cause: denied.cause(),
        retry_after: denied.retry_after(),
    }
}
