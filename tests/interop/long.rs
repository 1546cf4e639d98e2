//! What takes most of a minute and waits all the while. `cargo interop` runs it beside the others.

use std::time::Duration;

use jiff::SignedDuration;

use crate::gateway::{Gateway, SIP, attempt_statuses, link, trunk};
use crate::sipp::{CALLER, FIRST, PATIENCE};
use crate::trace::{Noted, messages_of, tracing};
use crate::world::{World, is_listening, until};

/// Half of the least interval there may be (RFC 4028 §5).
const HALF: SignedDuration = SignedDuration::from_secs(45);
const INTERVAL: Duration = Duration::from_secs(90);

/// M.6, D-05, D-07: a session of 90 seconds, on both sides ours to refresh, is refreshed by re-INVITE at half
/// time with the description that was said before.
#[test]
fn sessions_of_both_sides_are_refreshed_by_us_at_half_time_with_the_same_description() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let first = trunk("first", FIRST, 10);
    let tables =
        first.replace("targets", "session_expires_s = 90\ntargets") + &link("desk", "1000");
    let gateway = Gateway::start(&world, &tables);
    // After `sipp`'s own 30 s: the last word counts.
    let patient = ["-timeout", "80s"];
    let mut callee = tracing(&world, "callee_refreshed", FIRST, &patient);
    until("the callee's port", PATIENCE, || is_listening(FIRST));
    let arguments = [&[SIP, "-s", "desk"][..], &patient].concat();
    let mut caller = tracing(&world, "caller_refreshed", CALLER, &arguments);
    caller.succeed(INTERVAL);
    callee.succeed(PATIENCE);
    let invites = requests(messages_of(&world, "callee_refreshed"));
    let (first, refresh) = (&invites[0], invites.last().expect("a refresh"));
    assert!(refresh.at.duration_since(first.at) >= HALF, "{invites:?}");
    assert_eq!(description(refresh), description(first));
    let messages = messages_of(&world, "caller_refreshed");
    let answer = messages
        .iter()
        .find(|it| it.octets.starts_with("SIP/2.0 200"));
    let answer = description(answer.expect("an answer")).to_owned();
    let refreshes = requests(messages);
    let refresh = refreshes.last().expect("a refresh");
    assert_eq!(description(refresh), answer);
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["released_by"], "originating", "{calls:?}");
    assert_eq!(attempt_statuses(&calls[0]), [200], "{calls:?}");
}

/// The INVITEs that came.
fn requests(mut messages: Vec<Noted>) -> Vec<Noted> {
    messages.retain(|message| !message.is_sent && message.octets.starts_with("INVITE "));
    messages
}

fn description(message: &Noted) -> &str {
    let (_, body) = message.octets.split_once("\r\n\r\n").expect("a body");
    assert!(body.starts_with("v=0"), "{message:?}");
    body
}
