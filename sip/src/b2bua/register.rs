//! REGISTER as a client: our registrations with trunks (RFC 3261 §10.2, RFC 3608).
//!
//! Owns Call-ID and CSeq of each, and the one answer to 401, 407 and 423. When to register again,
//! and how long to wait after a refusal, is the affair of whoever registers.
//!
//! | state | `refresh` | 2xx | 401, 407 | 423 | other final | time |
//! |---|---|---|---|---|---|---|
//! | Idle | send, Pending | – | – | – | – | – |
//! | Pending, first | declined | Idle, Registered | send again | send again, longer | Idle, Refused | Idle, NoResponse |
//! | Pending, answered | declined | Idle, Registered | Idle, Refused; again where stale | send again, longer, once | Idle, Refused | Idle, NoResponse |

use std::time::{Duration, Instant};

use super::challenge::{self, Challenged};
use super::compose;
use super::core::{Core, Owner, User};
use crate::deadline::Token;
use crate::error::CommandError;
use crate::event::{Event, Register, RegisterKey, RegisterOutcome};
use crate::identifier::Identifier;
use crate::limits::{MAX_FORWARDS_DEFAULT, SERVICE_ROUTES_MAX};
use crate::message::{HeaderName, Message, MessageWriter, Method, NameAddrRef, StatusCode};
use crate::table::{Full, Key};
use crate::transaction::layer::{ClientIdentity, ClientKind, Packet};

/// The longest Min-Expires that we follow: a week.
const EXPIRES_S_MAX: u32 = 604_800;

/// A registration of ours.
#[derive(Debug)]
pub(crate) struct Registration {
    register: Register,
    /// Value of our Contact, without parameters.
    contact: Box<str>,
    call_id: Identifier,
    tag: Identifier,
    cseq: u32,
    pending: Option<Pending>,
    token: Option<Token>,
}

/// A REGISTER without a final response.
#[derive(Debug, Clone, Copy)]
struct Pending {
    transaction: Key,
    expires_s: u32,
    /// How many challenges were answered.
    authorized: u8,
    /// 423 was followed.
    is_lengthened: bool,
}

impl Registration {
    pub(super) const fn token(&self) -> Option<Token> {
        self.token
    }

    /// True while a REGISTER has no final response.
    pub(super) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

/// The `register` command.
pub(crate) fn register(
    core: &mut Core,
    now: Instant,
    register: Register,
) -> Result<Key, CommandError> {
    debug_assert!(
        !register.timeout.is_zero(),
        "a registration waits for its answer"
    );
    debug_assert!(
        register.flow.local.is_ipv4() == register.flow.remote.is_ipv4(),
        "a socket reaches its own family"
    );
    let expires_s = seconds(register.expires);
    let registration = Registration {
        contact: compose::contact(Some(&register.contact_user), register.flow),
        call_id: core.identifiers.call_id(),
        tag: core.identifiers.tag(),
        cseq: core.identifiers.first_cseq(),
        pending: None,
        token: None,
        register,
    };
    let key = core
        .registrations
        .insert(registration)
        .map_err(|Full| CommandError::LimitReached)?;
    let pending = Pending {
        transaction: key,
        expires_s,
        authorized: 0,
        is_lengthened: false,
    };
    if send(core, now, key, pending, None).is_none() {
        core.registrations.remove(key);
        return Err(CommandError::LimitReached);
    }
    Ok(key)
}

/// The `refresh_register` command: the same registration, with the next CSeq (RFC 3261 §10.2.4).
pub(crate) fn refresh(
    core: &mut Core,
    now: Instant,
    key: Key,
    expires: Duration,
) -> Result<(), CommandError> {
    let registration = core
        .registrations
        .get_mut(key)
        .ok_or(CommandError::NoSuchRegister)?;
    if registration.pending.is_some() {
        return Err(CommandError::ExchangePending);
    }
    registration.register.expires = expires;
    let pending = Pending {
        transaction: key,
        expires_s: seconds(expires),
        authorized: 0,
        is_lengthened: false,
    };
    send(core, now, key, pending, None).ok_or(CommandError::LimitReached)
}

/// The `forget_register` command: nothing is sent, and nothing more is heard.
pub(crate) fn forget(core: &mut Core, key: Key) -> Result<(), CommandError> {
    stop_waiting(core, key);
    let taken = core.registrations.remove(key);
    taken.map(drop).ok_or(CommandError::NoSuchRegister)
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(EXPIRES_S_MAX)
}

fn send(
    core: &mut Core,
    now: Instant,
    key: Key,
    pending: Pending,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) -> Option<()> {
    let branch = core.identifiers.branch();
    let registration = core.registrations.get_mut(key)?;
    debug_assert!(registration.cseq < 1 << 31, "RFC 3261 §8.1.1.5");
    registration.cseq = registration.cseq.saturating_add(1);
    let (cseq, timeout) = (registration.cseq, registration.register.timeout);
    let flow = registration.register.flow;
    let packet = compose_register(core, key, &branch, pending.expires_s, authorization)?;
    let identity = ClientIdentity { branch, cseq };
    let user = User::Register(key);
    let sent = (flow, packet);
    let transaction = core
        .start_client(now, ClientKind::NonInvite, identity, sent, user)
        .ok()?;
    let registration = core.registrations.get_mut(key)?;
    debug_assert!(
        registration.pending.is_none(),
        "one REGISTER at a time (RFC 3261 §10.2)"
    );
    debug_assert!(!timeout.is_zero(), "a REGISTER waits for its answer");
    registration.pending = Some(Pending {
        transaction,
        ..pending
    });
    let at = Some(now + timeout);
    core.deadlines
        .set(&mut registration.token, Owner::Register(key), at);
    Some(())
}

fn compose_register(
    core: &mut Core,
    key: Key,
    branch: &Identifier,
    expires_s: u32,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) -> Option<Packet> {
    let registration = core.registrations.get(key)?;
    let register = &registration.register;
    let (aor, contact) = (&register.aor, &registration.contact);
    let uri = register.registrar.as_str();
    let mut writer = MessageWriter::request(&mut core.scratch, &Method::Register, uri);
    compose::write_via(&mut writer, register.flow, branch);
    writer
        .header_display(&HeaderName::MaxForwards, &MAX_FORWARDS_DEFAULT)
        .header_display(
            &HeaderName::From,
            &format_args!("<{aor}>;tag={}", registration.tag),
        )
        .header_display(&HeaderName::To, &format_args!("<{aor}>"))
        .header_display(&HeaderName::CallId, &registration.call_id)
        .header_display(
            &HeaderName::CSeq,
            &format_args!("{} REGISTER", registration.cseq),
        )
        .header_display(
            &HeaderName::Contact,
            &format_args!("{contact};expires={expires_s}"),
        )
        .header_display(&HeaderName::Expires, &expires_s)
        .header(&HeaderName::Allow, core.allow.as_bytes());
    if let Some((name, value)) = authorization {
        writer.header(&name, &value);
    }
    compose::write_product(&mut writer, &HeaderName::UserAgent, &core.config.product);
    writer.finish();
    Some(core.packet())
}

/// A response to our REGISTER (RFC 3261 §10.2.4 to §10.2.8).
pub(super) fn handle_response(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    if status.is_provisional() {
        return;
    }
    let Some(pending) = stop_waiting(core, key) else {
        return;
    };
    let again = again(core, key, &pending, response, status);
    if let Some((next, authorization)) = again
        && send(core, now, key, next, authorization).is_some()
    {
        return;
    }
    let outcome = if status.is_success() {
        RegisterOutcome::Registered {
            expires: granted(core, key, &pending, response),
            service_route: service_route_of(response),
        }
    } else {
        let wait = response.retry_after_s().map(u64::from);
        RegisterOutcome::Refused(status, wait.map(Duration::from_secs))
    };
    emit(core, key, outcome);
}

type Authorization = Option<(HeaderName, Box<[u8]>)>;

/// What is sent after this failure, where another try may help.
fn again(
    core: &mut Core,
    key: Key,
    pending: &Pending,
    response: &Message<'_>,
    status: StatusCode,
) -> Option<(Pending, Authorization)> {
    let next = *pending;
    if status == StatusCode::INTERVAL_TOO_BRIEF {
        let least = response.min_expires_s()?;
        let helps = !pending.is_lengthened
            && (pending.expires_s..=EXPIRES_S_MAX).contains(&least)
            && least > pending.expires_s;
        let next = Pending {
            expires_s: least,
            is_lengthened: true,
            // The nonce is used up: the next challenge is answered too.
            authorized: 0,
            ..next
        };
        return helps.then_some((next, None));
    }
    let registration = core.registrations.get(key)?;
    let challenged = Challenged {
        credentials: registration.register.credentials.as_ref()?,
        realm: None,
        method: &Method::Register,
        uri: registration.register.registrar.as_str(),
    };
    let client_nonce = core.identifiers.nonce();
    let answer = challenge::answer(&challenged, &client_nonce, response, status)?;
    // A second challenge is only worth an answer where the first one was too old (RFC 7616 §3.3).
    let may_answer = match pending.authorized {
        0 => true,
        1 => answer.is_stale,
        _ => false,
    };
    let next = Pending {
        authorized: pending.authorized.saturating_add(1),
        ..next
    };
    may_answer.then_some((next, Some((answer.name, answer.value))))
}

/// How long our Contact is bound: as its own parameter says, else Expires, else as we asked
/// (RFC 3261 §10.2.4).
fn granted(core: &Core, key: Key, pending: &Pending, response: &Message<'_>) -> Duration {
    let registration = core.registrations.get(key);
    let ours =
        registration.and_then(|registration| NameAddrRef::parse(registration.contact.as_bytes()));
    let mut only = None;
    let mut found = None;
    let mut count = 0;
    for address in response.addresses(&HeaderName::Contact) {
        count += 1;
        let expires = address.expires_s();
        only = expires;
        if ours.is_some_and(|ours| ours.uri().is_equivalent(address.uri())) {
            found = found.or(expires);
        }
    }
    // A registrar behind an address translator writes another address of ours.
    let only = only.filter(|_| count == 1);
    let expires_s = found
        .or(only)
        .or_else(|| response.expires_s())
        .unwrap_or(pending.expires_s);
    let granted = if pending.expires_s == 0 { 0 } else { expires_s };
    Duration::from_secs(granted.into())
}

fn service_route_of(response: &Message<'_>) -> Vec<Box<[u8]>> {
    response
        .elements(&HeaderName::ServiceRoute)
        .filter(|element| NameAddrRef::parse(element).is_some())
        .take(SERVICE_ROUTES_MAX)
        .map(Into::into)
        .collect()
}

/// The REGISTER that waited, if any; its time runs no more.
fn stop_waiting(core: &mut Core, key: Key) -> Option<Pending> {
    let registration = core.registrations.get_mut(key)?;
    let pending = registration.pending.take()?;
    core.deadlines
        .set(&mut registration.token, Owner::Register(key), None);
    debug_assert!(registration.token.is_none(), "its time runs no more");
    Some(pending)
}

fn emit(core: &mut Core, key: Key, outcome: RegisterOutcome) {
    core.emit(Event::RegisterEnded {
        register: RegisterKey(key),
        outcome,
    });
}

/// No final response came, or the transport failed.
pub(super) fn fail(core: &mut Core, key: Key, outcome: RegisterOutcome) {
    if stop_waiting(core, key).is_some() {
        emit(core, key, outcome);
    }
}

/// The time of the REGISTER is over.
pub(super) fn handle_deadline(core: &mut Core, key: Key) {
    let Some(registration) = core.registrations.get_mut(key) else {
        return;
    };
    registration.token = None;
    let transaction = registration.pending.as_ref().map(|wait| wait.transaction);
    debug_assert!(transaction.is_some(), "only what waits has a deadline");
    if let Some(user) = transaction.and_then(|transaction| core.transactions.remove(transaction)) {
        core.release_transaction(user);
    }
    fail(core, key, RegisterOutcome::NoResponse);
}
