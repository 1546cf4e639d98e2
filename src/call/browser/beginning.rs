//! A guest's call begins: may it be a call at all, whom does it reach, by which ways.

use std::collections::VecDeque;
use std::time::Duration;

use rand_core::RngCore;
use sip::event::CallKey;
use sip::message::StatusCode;
use sip::offer_answer::browser::{BrowserOffer, BrowserSession, Streams, read_browser_offer};

use super::super::admission::Denied;
use super::super::callers::{Caller, SHARE_WAIT};
use super::super::control::CallControl;
use super::super::event::{Level, Now, Output};
use super::super::local_party;
use super::super::one_call::{Beginning, Call, WantedParty};
use super::super::place::names;
use super::event::{BrowserCall, BrowserOutput, GuestKey, KeypadWay};
use super::guest::{Exchange, Guest, video_of};
use crate::cdr::record::{CallOpened, Record};
use crate::fraud_guard::Way;
use crate::links::model::{Destination, VideoPolicy};
use crate::links::resolve::ResolvedLink;
use crate::trunks::identity::Privacy;

/// The source of a guest's call in its record.
const SOURCE: &str = "browser";

impl CallControl {
    pub(super) fn begin_guest_call(&mut self, now: Now, guest: GuestKey, wish: BrowserCall) {
        if self.guests.contains_key(&guest) {
            return;
        }
        let BrowserCall {
            link,
            offer,
            client,
        } = wish;
        let caller = Caller::of_guest(client);
        let admitted = self.admit_guest(now, caller).and_then(|()| {
            let offer = read_browser_offer(&offer);
            let offer = offer.map_err(|refusal| Denied::of_code(488, refusal.as_str()))?;
            let rate = self.config.calls_per_second_max;
            self.offered_lately.count(now.instant, rate, Some(caller));
            let begun = self.endpoint.begin();
            let (key, a_leg) = begun.map_err(|_full| unavailable("calls_max"))?;
            Ok((key, a_leg, offer))
        });
        let (key, a_leg, offer) = match admitted {
            Ok(admitted) => admitted,
            Err(denied) => return self.turn_guest_away(guest, &denied),
        };
        let guest = self.new_guest(guest, client, &link, offer);
        let id = self.fresh_id(now);
        let beginning = Beginning::Browser(Box::new(guest));
        let mut call = Call::new(id, a_leg, beginning, SOURCE.to_owned(), now);
        self.counters.calls_of_guests += 1;
        self.live += 1;
        call.age = self.live_calls.begin(&call.id, key);
        self.ladders.begin(call.age, &call.id);
        (call.link, call.video_most) = (link.link, link.video_policy.on_sip());
        self.open_guest_record(now, &call, &link);
        if let Some(guest) = call.guest() {
            self.guests.insert(guest.key, key);
            self.ringing_guests.begin(caller);
        }
        self.calls.insert(key, Box::new(call));
        self.touch(Some(key));
        if let Err(denied) = self.join_guest_with(now, key, link) {
            self.deny(now, key, &denied);
        }
    }

    /// Ours first: the node may stop, be full, or have no place for browsers. Then what this guest's
    /// network leaves to others, of the table and of the second.
    fn admit_guest(&mut self, now: Now, caller: Caller) -> Result<(), Denied> {
        if self.is_stopping() {
            return Err(unavailable("node_stopped"));
        }
        if self.is_draining {
            return Err(unavailable("draining"));
        }
        if self.config.browser.is_none() {
            return Err(unavailable("browser_calls_off"));
        }
        let limit = usize::try_from(self.config.endpoint.calls_max).unwrap_or(usize::MAX);
        if self.live >= limit {
            return Err(unavailable("calls_max"));
        }
        let free = u32::try_from(limit - self.live).unwrap_or(u32::MAX);
        if !self.ringing_guests.may_begin(free, caller) {
            return Err(unavailable("caller_share").with_retry_after(Some(SHARE_WAIT)));
        }
        let rate = self.config.calls_per_second_max;
        let wait = Some(Duration::from_secs(1));
        if !self.offered_lately.admits(now.instant, rate) {
            return Err(unavailable("calls_per_second_max").with_retry_after(wait));
        }
        if self
            .offered_lately
            .is_too_fast(now.instant, rate, caller, false)
        {
            return Err(unavailable("caller_rate").with_retry_after(wait));
        }
        Ok(())
    }

    /// There is no call yet that could end.
    pub(in super::super) fn turn_guest_away(&mut self, guest: GuestKey, denied: &Denied) {
        self.counters.refuse(denied.cause());
        let output = BrowserOutput::Ended {
            cause: denied.cause(),
            status: denied.status().code(),
            retry_after: denied.retry_after(),
        };
        self.put(Output::Browser { guest, output });
    }

    fn new_guest(
        &mut self,
        key: GuestKey,
        client: std::net::IpAddr,
        link: &ResolvedLink,
        offer: BrowserOffer,
    ) -> Guest {
        let audio = self.random.next_u32();
        let mut video = self.random.next_u32();
        while video == audio {
            video = self.random.next_u32();
        }
        let (cname, stream) = (self.random.next_u64(), self.random.next_u64());
        Guest {
            key,
            client,
            request_path: link.request_path.clone(),
            policy: video_of(link.video_policy),
            is_dark: link.video_policy == VideoPolicy::RecvOnlyInitially,
            session: BrowserSession::new(self.random.next_u64() >> 2),
            streams: Streams {
                cname: format!("{cname:016x}").into(),
                stream: format!("{stream:016x}").into(),
                audio: audio.max(1),
                video: video.max(2),
            },
            offer,
            former_offer: None,
            answered: None,
            transport: None,
            exchange: Exchange::Settled,
            state: None,
            keypad: KeypadWay::None,
            lost_at: None,
            given_up_at: None,
            is_silent: true,
            is_hidden: false,
            retry_after: None,
        }
    }

    fn open_guest_record(&mut self, now: Now, call: &Call, link: &ResolvedLink) {
        let Some(guest) = call.guest() else { return };
        self.put_record(Record::CallOpened(CallOpened {
            call: call.id.clone(),
            at: now.timestamp,
            source: call.source.clone(),
            source_address: guest.client.to_string(),
            call_id: String::new(),
            request_path: guest.request_path.clone(),
            caller: link.caller_name.clone(),
        }));
        self.log_call((Level::Note, "call_of_guest"), &call.id, |_| {
            format!("client {}", guest.client)
        });
    }

    /// Whom its link reaches: a party of ours, or one behind trunks.
    fn join_guest_with(
        &mut self,
        now: Now,
        key: CallKey,
        link: ResolvedLink,
    ) -> Result<(), Denied> {
        let caller_alias = self.alias_of(&link)?;
        match link.destination {
            Destination::Echo => self.join_guest_locally(now, key, media::command::Target::Echo),
            Destination::Tone => self.join_guest_locally(now, key, media::command::Target::Tone),
            Destination::Remote { user, domain } => {
                let way = if link.named_by_link {
                    Way::Link
                } else {
                    Way::AdHoc
                };
                let wanted = WantedParty {
                    user,
                    domain: domain.unwrap_or_else(|| self.own_domain()),
                    caller_name: link.caller_name,
                    caller_alias,
                    pinned: link.trunk,
                    way,
                    named_by_link: link.named_by_link,
                    privacy: Privacy::OPEN,
                    screened: !link.named_by_guest,
                };
                self.route_guest(now, key, wanted)
            }
        }
    }

    /// Answers the guest at once.
    fn join_guest_locally(
        &mut self,
        now: Now,
        key: CallKey,
        party: media::command::Target,
    ) -> Result<(), Denied> {
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        call.local_party = Some(party);
        self.take_guest_ports(key, None)?;
        self.answer_guest(key)
            .map_err(|_refusal| Denied::of_code(488, "local_party_codec"))?;
        self.mark_answered(now, key, local_party::DURATION_MAX);
        self.update_media(key);
        self.tell_guest_state(key);
        Ok(())
    }

    /// The transport is made at once, with what the first trunk takes; then that is dialled.
    fn route_guest(
        &mut self,
        now: Now,
        key: CallKey,
        mut wanted: WantedParty,
    ) -> Result<(), Denied> {
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let offered = call.guest().map(|guest| names(&guest.offer.audio.codecs));
        let codecs = offered.unwrap_or_default();
        let (phones, routes) = self.ways_to(now, &mut wanted, &codecs, None)?;
        let routes = VecDeque::from(self.shared(key, routes.into())?);
        let target = routes.front().map(|route| route.target.ip());
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        (call.wanted, call.phones) = (Some(wanted), phones);
        call.routes = routes;
        self.take_guest_ports(key, target)?;
        self.answer_guest(key)
            .map_err(|refusal| Denied::of_code(488, refusal.as_str()))?;
        self.update_media(key);
        self.tell_guest_state(key);
        self.dial_next(now, key);
        Ok(())
    }
}

fn unavailable(cause: &'static str) -> Denied {
    Denied::new(StatusCode::SERVICE_UNAVAILABLE, cause)
}

fn gone() -> Denied {
    unavailable("call_gone")
}
