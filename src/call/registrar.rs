//! REGISTER of phones: whose it is, and where they are from now on (RFC 3261 §10.3).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rand_core::RngCore as _;
use sip::event::{RegisterOffered, RegisterRequestKey, Transport};
use sip::message::{HeaderName, Method, NameAddr, SendBuffer, StatusCode};

use super::command::{ListPhones, PAGE_PHONES_MAX, PhonePage, PhoneState};
use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};
use crate::cdr::record::Record;
use crate::registrar::bindings::{Contacts, EXPIRES_S_MIN, Wanted, seconds_left};
use crate::registrar::kept::KeptPhones;
use crate::registrar::proof::{Claim, Proof, find};
use crate::sources::admission::{Admitted, admit};

/// Extensions of one record: with all their phones some hundred kilobytes.
const EXTENSIONS_OF_RECORD_MAX: usize = 50;
/// Seconds after which a phone asks again that was one of too many, and over how many that is spread.
const RETRY_S_MIN: u32 = 2;
const RETRY_S_SPREAD: u32 = 30;
/// Octets of a User-Agent that are kept.
const USER_AGENT_OCTETS_MAX: usize = 128;

/// The answer to a REGISTER.
struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, Box<[u8]>)>,
    /// For the counter.
    reason: &'static str,
    /// Nothing was tried and nothing has changed: the request may be judged again, and costs no room
    /// until then.
    is_idle: bool,
}

impl Answer {
    const fn plain(status: StatusCode, reason: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            reason,
            is_idle: false,
        }
    }

    fn turned_away(status: StatusCode, reason: &'static str) -> Self {
        Self {
            is_idle: true,
            ..Self::plain(status, reason)
        }
    }
}

impl CallControl {
    pub(super) fn handle_register_offered(
        &mut self,
        now: Now,
        request: RegisterRequestKey,
        offered: &RegisterOffered,
    ) {
        let answer = self.judge_register(now, offered);
        *self.counters.registers.entry(answer.reason).or_default() += 1;
        let (endpoint, status) = (&mut self.endpoint, answer.status);
        let told = if answer.is_idle {
            endpoint.turn_away_register(now.instant, request, status, &answer.headers)
        } else {
            endpoint.answer_register(now.instant, request, status, &answer.headers)
        };
        self.check(told);
    }

    fn judge_register(&mut self, now: Now, offered: &RegisterOffered) -> Answer {
        let snapshot = Arc::clone(&self.snapshot);
        let source = admit(&snapshot.trunks, &snapshot.sources, offered.flow.remote);
        if !matches!(source, Some(Admitted::Source(source)) if source.registers) {
            return Answer::turned_away(StatusCode::FORBIDDEN, "register_not_from_here");
        }
        if !self.is_own_name(offered.request_uri.host(), Some(offered.flow.local.ip())) {
            return Answer::turned_away(StatusCode::NOT_FOUND, "register_other_domain");
        }
        let account = offered.aor.user().unwrap_or_default();
        let claim = Claim {
            source: offered.flow.remote.ip(),
            account: &account,
            method: &Method::Register,
            request_uri: &offered.request_uri,
            own_hosts: &self.own_names(offered.flow.local.ip()),
            authorization: &offered.authorization,
            realm: &self.realm(),
            offer: self.snapshot.settings.digest_offer,
        };
        let name = match self.prover.prove(&claim, &snapshot.extensions, now.instant) {
            Proof::Extension(name) => name,
            Proof::Challenge {
                headers,
                reason,
                is_guess,
            } if is_guess || self.register_challenges.admits(claim.source, now.instant) => {
                return Answer {
                    status: StatusCode::UNAUTHORIZED,
                    headers,
                    reason,
                    is_idle: !is_guess,
                };
            }
            // Who asks so often asks for others, which costs whoever has the address a short answer; or
            // there are many phones behind it, and they do not come back all at once.
            Proof::Challenge { .. } => {
                let wait = RETRY_S_MIN + self.random.next_u32() % RETRY_S_SPREAD;
                let wait = wait.to_string().into_bytes();
                return Answer {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    headers: vec![(HeaderName::RetryAfter, wait.into())],
                    reason: "challenges_max",
                    is_idle: true,
                };
            }
            Proof::Locked { retry_after } => {
                self.note_lockout(offered.flow.remote.ip());
                let value = retry_after.as_secs().to_string().into_bytes();
                return Answer {
                    status: StatusCode::FORBIDDEN,
                    headers: vec![(HeaderName::RetryAfter, value.into())],
                    reason: "register_locked_out",
                    is_idle: true,
                };
            }
        };
        let contacts_max = find(&snapshot.extensions, &name).map_or(0, |one| one.contacts_max);
        self.bind(now, &name, contacts_max, offered)
    }

    fn bind(
        &mut self,
        now: Now,
        name: &str,
        contacts_max: u8,
        offered: &RegisterOffered,
    ) -> Answer {
        let call_id = String::from_utf8_lossy(&offered.call_id);
        let user_agent = user_agent(offered);
        let contacts = if offered.star {
            Contacts::All
        } else {
            let each = offered.contacts.iter();
            Contacts::Listed(
                each.map(|contact| (&contact.uri, contact.expires.or(offered.expires)))
                    .collect(),
            )
        };
        let wanted = Wanted {
            flow: offered.flow,
            call_id: &call_id,
            cseq: offered.cseq,
            user_agent: &user_agent,
            contacts,
        };
        if let Err(refused) = self
            .bindings
            .apply(name, &wanted, contacts_max, now.instant)
        {
            let status = StatusCode::new(refused.status()).unwrap_or(StatusCode::FORBIDDEN);
            let mut answer = Answer::plain(status, refused.as_str());
            if refused.status() == 423
                && let Some(header) = HeaderName::from_bytes(b"Min-Expires")
            {
                let value = EXPIRES_S_MIN.to_string().into_bytes();
                answer.headers.push((header, value.into()));
            }
            return answer;
        }
        let headers = self
            .bindings
            .of(name, now.instant)
            .into_iter()
            .map(|binding| {
                let left = seconds_left(binding, now.instant).to_string();
                let contact =
                    NameAddr::new(binding.uri.clone()).with_parameter("expires", Some(&left));
                let mut buffer = SendBuffer::new();
                contact.write(&mut buffer);
                (HeaderName::Contact, buffer.as_bytes().into())
            })
            .collect();
        Answer {
            status: StatusCode::OK,
            headers,
            reason: "registered",
            is_idle: false,
        }
    }

    /// A page of the phones that are registered.
    pub(super) fn list_phones(&self, now: Now, list: &ListPhones) -> PhonePage {
        let limit = list.limit.clamp(1, PAGE_PHONES_MAX);
        let mut page = PhonePage {
            total: self.bindings.len(),
            ..PhonePage::default()
        };
        if let Some(extension) = &list.extension {
            page.phones = self.phone_states(now, extension);
            return page;
        }
        let mut last = None;
        for (extension, _) in self.bindings.after(&list.after) {
            if page.phones.len() >= limit {
                page.next = last.map(str::to_owned);
                break;
            }
            page.phones.extend(self.phone_states(now, extension));
            last = Some(extension);
        }
        page
    }

    fn phone_states(&self, now: Now, extension: &str) -> Vec<PhoneState> {
        let phones = self.bindings.of(extension, now.instant).into_iter();
        phones
            .map(|binding| PhoneState {
                extension: extension.to_owned(),
                contact: binding.uri.as_str().to_owned(),
                flow: binding.flow,
                user_agent: binding.user_agent.to_string(),
                refreshed_at: now.wall(binding.refreshed_at),
                expires_at: now.wall(binding.expires_at),
            })
            .collect()
    }

    /// What the last run has kept.
    pub(super) fn restore_phones(&mut self, now: Now, kept: Vec<KeptPhones>) {
        let (sockets, listeners) = (&self.config.sockets, &self.config.listeners);
        let is_ours = |transport: Transport, local: SocketAddr| match transport {
            Transport::Udp => sockets.contains(&local),
            Transport::Tcp => listeners.contains(&local),
        };
        self.bindings
            .restore(kept, now.instant, now.timestamp, is_ours);
    }

    /// Phones that moved, came or left, in pieces.
    pub(super) fn store_phones(&mut self, phones: Vec<KeptPhones>) {
        let mut phones = phones.into_iter().peekable();
        while phones.peek().is_some() {
            let piece = phones.by_ref().take(EXTENSIONS_OF_RECORD_MAX).collect();
            self.put_record(Record::Phones(piece));
        }
    }

    pub(super) fn note_lockout(&mut self, source: IpAddr) {
        self.put(Output::Log(LogLine {
            level: Level::Warning,
            event: "registrar_locked_out",
            call: None,
            detail: format!("source {source}"),
        }));
    }

    /// Names and addresses by which we are called, without brackets. `local`: the address that was met.
    pub(super) fn own_names(&self, local: IpAddr) -> Vec<String> {
        let domain = self.snapshot.settings.sip_domain.iter();
        let sockets = self.config.sockets.iter().chain(&self.config.listeners);
        domain
            .chain(&self.config.advertised_host)
            .chain(&self.config.own_hosts)
            .cloned()
            .chain(sockets.map(|socket| socket.ip().to_string()))
            .chain([local.to_string()])
            .collect()
    }

    /// The realm of our challenges.
    pub(super) fn realm(&self) -> String {
        let domain = self.snapshot.settings.sip_domain.as_deref();
        let host = self.config.advertised_host.as_deref();
        domain.or(host).unwrap_or("sluice").to_owned()
    }
}

/// What a phone calls itself, as one line and no more than is kept.
fn user_agent(offered: &RegisterOffered) -> String {
    let mut headers = offered.headers.iter();
    let named = headers.find(|(name, _)| *name == HeaderName::UserAgent);
    let value = named.map_or(&[][..], |(_, value)| value);
    let text = String::from_utf8_lossy(value);
    let mut kept = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if kept.len() + character.len_utf8() > USER_AGENT_OCTETS_MAX {
            break;
        }
        kept.push(character);
    }
    kept
}
