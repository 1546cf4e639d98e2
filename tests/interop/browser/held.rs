//! A guest that waits: held by the callee, and between two networks.

use std::time::Duration;

use crate::baresip::DESK;
use crate::browser::guest::{Guest, SOUND};
use crate::browser::network::Way;
use crate::browser::{Engine, Options};
use crate::gateway::{at_once, link, trunk};
use crate::hold::Control;
use crate::world::until;

fn start(engine: Engine) -> Option<Guest> {
    let tables = trunk("desks", &DESK.address(), 10) + &link("support", "desk");
    Guest::start(&Options::new(engine), &tables)
}

#[test]
fn a_guest_that_is_held_is_told_and_comes_back() {
    at_once(Engine::ALL, |engine| {
        let Some(guest) = start(engine) else {
            return;
        };
        let _callee = DESK.start(&guest.world, 60, None);
        let mut phone = Control::open(&DESK);
        let page = guest.call("support");
        page.await_tone(SOUND, DESK.tone_hz);
        // An estimate of the network that changes is no other network: nobody is told anything.
        page.evaluate("navigator.connection?.dispatchEvent(new Event('change')); return true");
        phone.order("hold");
        page.await_state(&["held"]);
        page.await_silence(SOUND);
        phone.order("resume");
        page.await_state(&["connected"]);
        page.await_tone(SOUND, DESK.tone_hz);
        page.log().expect_clean();
        let states = page.states();
        let is_told = states.iter().any(|(state, _)| state == "reconnecting");
        assert!(!is_told, "{engine:?}: {states:?}");
        phone.order("hangup");
        page.await_state(&["ended"]);
    });
}

#[test]
fn a_call_goes_on_when_its_guest_walks_into_another_network() {
    at_once(Engine::ALL, |engine| {
        let Some(guest) = start(engine) else {
            return;
        };
        let _callee = DESK.start(&guest.world, 90, None);
        let mut phone = Control::open(&DESK);
        let page = guest.call("support");
        page.await_tone(SOUND, DESK.tone_hz);
        let way = || page.statistics()[0]["pair"]["local"]["address"].clone();
        // A browser with two ways takes either.
        let (taken, other) = match way() {
            address if address == Way::Wifi.address() => (Way::Wifi, Way::Mobile),
            address => {
                assert_eq!(address, Way::Mobile.address());
                (Way::Mobile, Way::Wifi)
            }
        };
        guest.network.leave(taken);
        until("another way", Duration::from_secs(30), || {
            way() == other.address()
        });
        page.await_state(&["connected"]);
        page.await_tone(SOUND, DESK.tone_hz);
        phone.order("hangup");
        page.await_state(&["ended"]);
        let calls = guest.gateway.closed_calls(1);
        assert_eq!(calls.len(), 1, "the same call");
        assert_eq!(calls[0]["status"], 200, "{calls:?}");
        assert_eq!(calls[0]["released_by"], "terminating", "{calls:?}");
    });
}

/// Refuses the first frame of each of these kinds, as a node without room does, and keeps what is sent later.
const REFUSE: &str = "const send = WebSocket.prototype.send; \
    window.refused = []; \
    window.again = []; \
    WebSocket.prototype.send = function (text) { \
        const { type } = JSON.parse(text); \
        if (!['camera', 'offer'].includes(type)) return send.call(this, text); \
        if (refused.includes(type)) { \
            again.push(type); \
            return send.call(this, text); \
        } \
        refused.push(type); \
        const frame = { type: 'error', code: 'too_busy', frame: type }; \
        setTimeout(() => this.onmessage({ data: JSON.stringify(frame) })); \
    }; \
    window.dispatchEvent(new Event('online')); \
    return true";

#[test]
fn what_a_node_had_no_room_for_is_said_again_and_the_call_goes_on() {
    at_once(Engine::ALL, |engine| {
        let unseen = link("echo", "local:echo")
            .replace("\n\n", "\nvideo_policy = \"recvonly_initially\"\n\n");
        let Some(guest) = Guest::start(&Options::new(engine), &unseen) else {
            return;
        };
        let page = guest.call("echo");
        page.await_tone(SOUND, 440.0);
        // Another WebSocket: the page says how its camera is, and makes an offer.
        page.evaluate(REFUSE);
        until("two refusals", Duration::from_secs(10), || {
            page.evaluate("return refused.length === 2") == true
        });
        until("the same again", Duration::from_secs(10), || {
            page.evaluate("return ['camera', 'offer'].every((type) => again.includes(type))")
                == true
        });
        until("an answer", Duration::from_secs(10), || {
            page.statistics()[0]["signalling"] == "stable"
        });
        page.await_state(&["connected"]);
        page.await_tone(SOUND, 440.0);
        page.click("#hangup");
        let calls = guest.gateway.closed_calls(1);
        assert_eq!(calls.len(), 1, "the same call");
        assert_eq!(calls[0]["status"], 200, "{engine:?}: {calls:?}");
    });
}
