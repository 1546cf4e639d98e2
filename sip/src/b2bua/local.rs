//! A call whose caller is a party of this node: a browser, which comes by other ways than SIP.
//!
//! Owns the a-leg of such a call, which stands for that party from `begin` to the end of the call. It has no
//! dialog, so that nothing is sent or heard by it; the callees are dialled, answer and end as ever.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::call::Call;
use super::core::Core;
use super::leg::{Leg, Side, Stage};
use super::overload;
use crate::dialog::{Dialog, RouteSet};
use crate::error::CommandError;
use crate::event::{Flow, Transport};
use crate::message::Uri;
use crate::table::{Full, Key};

/// The `begin` command.
pub(crate) fn begin(core: &mut Core) -> Result<(Key, Key), CommandError> {
    if core.config.draining {
        return Err(CommandError::Draining);
    }
    if !overload::has_room_to_place(core) {
        return Err(CommandError::LimitReached);
    }
    let nobody = Uri::sip(None, "local.invalid", None).ok_or(CommandError::WrongState)?;
    let call = core
        .calls
        .insert(Call::new())
        .map_err(|Full| CommandError::LimitReached)?;
    let dialog = no_dialog(core, nobody);
    let tag = dialog.local_tag;
    let leg = Leg::new(call, Side::A, Stage::Local, dialog, "".into());
    let Ok(a_leg) = core.legs.insert(leg) else {
        core.calls.remove(call);
        return Err(CommandError::LimitReached);
    };
    core.active_calls += 1;
    // Nobody else knows of this call before the command is done.
    (core.touched, core.in_turn) = (Some(a_leg), true);
    let previous = core.tags.insert(tag, a_leg);
    debug_assert!(previous.is_none(), "a tag is used once");
    if let Some(entry) = core.calls.get_mut(call) {
        entry.a_leg = a_leg;
        entry.legs.push(a_leg);
    }
    core.step();
    core.counters.calls_placed += 1;
    Ok((call, a_leg))
}

/// The party leaves with its call.
pub(super) fn release(core: &mut Core, key: Key) {
    core.change(key, Leg::set_over);
}

/// What stands in the place of a dialog: no peer can name it, since nobody is told its tag.
fn no_dialog(core: &mut Core, nobody: Uri) -> Dialog {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let nothing: Arc<[u8]> = Arc::default();
    Dialog {
        call_id: Arc::clone(&nothing),
        local_tag: core.identifiers.tag(),
        remote_tag: Arc::clone(&nothing),
        local: Arc::clone(&nothing),
        remote: nothing,
        local_cseq: 0,
        remote_cseq: None,
        remote_target: nobody,
        route_set: RouteSet::default(),
        flow: Flow {
            transport: Transport::Udp,
            local: nowhere,
            remote: nowhere,
        },
        is_flow_open: false,
    }
}
