//! One answer to a challenge of the peer's: 401 and 407 (RFC 3261 §22.1 to §22.3).
//!
//! Owns the choice whether to answer and the header; the digest itself is in `auth`. Credentials go
//! to the trunk's own address only, and within a dialog to the realm of its first challenge: a callee
//! that answers with a challenge of its own gets none.

use super::core::Core;
use super::leg::Stage;
use crate::auth::Challenge;
use crate::dialog::Dialog;
use crate::event::Credentials;
use crate::message::{HeaderName, Message, Method, SendBuffer, StatusCode};
use crate::table::Key;

/// A request that met a challenge.
#[derive(Debug)]
pub(super) struct Challenged<'a> {
    pub(super) credentials: &'a Credentials,
    /// Only this realm is answered, beside what the credentials say.
    pub(super) realm: Option<&'a [u8]>,
    pub(super) method: &'a Method,
    /// The Request-URI, as written.
    pub(super) uri: &'a str,
}

/// The header that answers it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) name: HeaderName,
    pub(super) value: Box<[u8]>,
    pub(super) realm: Box<[u8]>,
    /// The answer before was right, and its nonce old.
    pub(super) is_stale: bool,
}

/// The answer to the challenge in `response`, where it is one that the credentials are for.
pub(super) fn answer(
    challenged: &Challenged<'_>,
    client_nonce: &str,
    response: &Message<'_>,
    status: StatusCode,
) -> Option<Answer> {
    let is_challenge =
        status == StatusCode::UNAUTHORIZED || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    if !is_challenge {
        return None;
    }
    let credentials = challenged.credentials;
    let challenges = crate::auth::challenges(response);
    let challenge = Challenge::strongest(&challenges, credentials.realm.as_deref())?;
    if challenged
        .realm
        .is_some_and(|realm| *realm != *challenge.realm)
    {
        return None;
    }
    debug_assert!(
        credentials
            .realm
            .as_deref()
            .is_none_or(|realm| *realm.as_bytes() == *challenge.realm),
        "credentials are for their realm"
    );
    let answering = crate::auth::Answering {
        username: &credentials.username,
        password: &credentials.password,
        method: challenged.method,
        uri: challenged.uri,
        cnonce: client_nonce,
        nonce_count: 1,
    };
    let mut buffer = SendBuffer::new();
    crate::auth::write_authorization(&challenge, &answering, &mut buffer);
    let name = if challenge.is_proxy {
        HeaderName::ProxyAuthorization
    } else {
        HeaderName::Authorization
    };
    Some(Answer {
        name,
        value: buffer.as_bytes().into(),
        realm: challenge.realm,
        is_stale: challenge.stale,
    })
}

/// The header that answers the challenge in `response`, where it is one and the leg has
/// credentials for it.
pub(super) fn authorization(
    core: &mut Core,
    key: Key,
    method: &Method,
    response: &Message<'_>,
    status: StatusCode,
) -> Option<(HeaderName, Box<[u8]>)> {
    let leg = core.legs.get(key)?;
    let dialog = leg.dialog.clone();
    // The first INVITE goes to the trunk, wherever its Request-URI points.
    let is_to_trunk = matches!(leg.stage, Stage::Attempting(_)) || is_to_trunk(&dialog);
    let uri = dialog.request_uri();
    is_to_trunk.then_some(())?;
    answer_of(core, key, method, uri, (response, status))
}

/// The same for a request within this dialog, confirmed or early.
pub(super) fn authorization_for(
    core: &mut Core,
    key: Key,
    method: &Method,
    dialog: &Dialog,
    (response, status): (&Message<'_>, StatusCode),
) -> Option<(HeaderName, Box<[u8]>)> {
    is_to_trunk(dialog).then_some(())?;
    answer_of(core, key, method, dialog.request_uri(), (response, status))
}

/// Within a dialog the peer's Contact may be anywhere.
fn is_to_trunk(dialog: &Dialog) -> bool {
    dialog.next_hop().remote.ip() == dialog.flow.remote.ip()
}

fn answer_of(
    core: &mut Core,
    key: Key,
    method: &Method,
    uri: &str,
    (response, status): (&Message<'_>, StatusCode),
) -> Option<(HeaderName, Box<[u8]>)> {
    let client_nonce = core.identifiers.nonce();
    let leg = core.legs.get_mut(key)?;
    let challenged = Challenged {
        credentials: leg.credentials.as_ref()?,
        realm: leg.realm.as_deref(),
        method,
        uri,
    };
    let answer = answer(&challenged, &client_nonce, response, status)?;
    leg.realm.get_or_insert(answer.realm);
    Some((answer.name, answer.value))
}
