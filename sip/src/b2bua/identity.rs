//! Who is connected at the other end, as call control has it written to a leg: Remote-Party-ID,
//! P-Asserted-Identity and Privacy on each 18x, 2xx, re-INVITE and UPDATE from then on.
//!
//! What they say and who may read it is call control's affair.

use std::time::Instant;

use super::compose::{self, RequestParts};
use super::core::{Core, User};
use crate::error::CommandError;
use crate::event::RefreshBy;
use crate::limits::IDENTITY_HEADERS_MAX;
use crate::message::{HeaderName, Method};
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// The `set_connected` command.
pub(crate) fn set(
    core: &mut Core,
    call: Key,
    key: Key,
    mut headers: Vec<(HeaderName, Box<[u8]>)>,
) -> Result<(), CommandError> {
    core.living_leg(call, key)?;
    headers.truncate(IDENTITY_HEADERS_MAX);
    core.change(key, |leg| leg.identity = headers);
    Ok(())
}

/// The `tell_connected` command: an UPDATE without an offer (RFC 3311 §5.1). A peer whose Allow does
/// not name UPDATE hears of it with the next re-INVITE.
pub(crate) fn tell(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
) -> Result<RefreshBy, CommandError> {
    let leg = core.living_leg(call, key)?;
    if !leg.is_confirmed() {
        return Err(CommandError::WrongState);
    }
    if !leg.allows_update {
        return Ok(RefreshBy::Invite);
    }
    let leg = core.legs.get_mut(key).ok_or(CommandError::NoSuchLeg)?;
    debug_assert!(
        leg.identity.len() <= IDENTITY_HEADERS_MAX,
        "the bound holds"
    );
    let (contact, headers) = (leg.contact.clone(), leg.identity.clone());
    let cseq = leg.dialog.next_local_cseq();
    let dialog = leg.dialog.clone();
    let branch = core.identifiers.branch();
    let parts = RequestParts {
        contact: Some(&contact),
        headers: &headers,
        ..RequestParts::new(&Method::Update, cseq, &branch)
    };
    let sent = compose::request_within(core, &dialog, &parts);
    let identity = ClientIdentity { branch, cseq };
    core.start_client(
        now,
        ClientKind::NonInvite,
        identity,
        sent,
        User::Errand(key),
    )
    .map_err(|_full| CommandError::LimitReached)?;
    Ok(RefreshBy::Update)
}

/// As the headers of a response.
pub(super) fn shown(headers: &[(HeaderName, Box<[u8]>)]) -> Vec<(HeaderName, &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.clone(), &**value))
        .collect()
}
