//! One answer to a challenge of the peer's: 401 and 407 (RFC 3261 §22.1 to §22.3).
//!
//! Owns the choice whether to answer and the header; the digest itself is in `auth`.

use super::core::Core;
use crate::message::{HeaderName, Message, Method, SendBuffer, StatusCode};
use crate::table::Key;

/// The header that answers the challenge in `response`, where it is one and the leg has
/// credentials for it.
pub(super) fn authorization(
    core: &mut Core,
    leg: Key,
    method: &Method,
    response: &Message<'_>,
    status: StatusCode,
) -> Option<(HeaderName, Box<[u8]>)> {
    let uri = core.legs.get(leg)?.dialog.request_uri().to_owned();
    authorization_for(core, leg, method, &uri, response, status)
}

/// The same for a request to `uri`, which an early dialog has of its own.
pub(super) fn authorization_for(
    core: &mut Core,
    leg: Key,
    method: &Method,
    uri: &str,
    response: &Message<'_>,
    status: StatusCode,
) -> Option<(HeaderName, Box<[u8]>)> {
    let is_challenge =
        status == StatusCode::UNAUTHORIZED || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    if !is_challenge {
        return None;
    }
    let leg = core.legs.get(leg)?;
    let credentials = leg.credentials.as_ref()?;
    let challenges = crate::auth::challenges(response);
    let realm = credentials.realm.as_deref();
    let challenge = crate::auth::Challenge::strongest(&challenges, realm)?;
    let client_nonce = core.identifiers.nonce();
    let answering = crate::auth::Answering {
        username: &credentials.username,
        password: &credentials.password,
        method,
        uri,
        cnonce: &client_nonce,
        nonce_count: 1,
    };
    let mut buffer = SendBuffer::new();
    crate::auth::write_authorization(&challenge, &answering, &mut buffer);
    let name = if challenge.is_proxy {
        HeaderName::ProxyAuthorization
    } else {
        HeaderName::Authorization
    };
    Some((name, buffer.as_bytes().into()))
}
