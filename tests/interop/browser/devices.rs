//! Devices that change while a guest talks: another one is chosen, or the one in use is pulled out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::guest::{Guest, SOUND};
use crate::browser::page::Page;
use crate::browser::states::look;
use crate::browser::{Engine, Options};
use crate::gateway::link;
use crate::world::until;

/// What the guest says.
const GUEST_HZ: f64 = 660.0;

fn start(cameras: u8) -> Option<Guest> {
    let options = Options {
        microphone_hz: Some(GUEST_HZ),
        cameras,
        ..Options::new(Engine::Chromium)
    };
    Guest::start(&options, &link("echo", "local:echo"))
}

/// What goes out of this kind.
fn sent(page: &Page<'_>, kind: &str) -> Value {
    let senders = page.probe("senders", &json!({}));
    let senders = senders.as_array().cloned().unwrap_or_default();
    let found = senders.into_iter().find(|sender| sender["kind"] == kind);
    found.unwrap_or(Value::Null)
}

/// Chooses the last device of a list that is not in use; the choice.
fn choose_another(page: &Page<'_>, select: &str) -> Value {
    page.evaluate(&format!(
        "const select = document.getElementById('{select}'); \
         select.value = [...select.options].map(({{ value }}) => value).findLast((id) => id !== select.value); \
         select.dispatchEvent(new Event('change')); \
         return select.value"
    ))
}

/// Everything that is heard comes by this speaker, the call and the tones of the page; and the list says which.
fn await_speaker(page: &Page<'_>, device: &Value, listed: &Value) {
    let speaks = "return [document.getElementById('sound').sinkId, window.tones?.sinkId ?? null, \
                  document.getElementById('speaker').value]";
    let wanted = json!([device, device, listed]);
    until(&wanted.to_string(), Duration::from_secs(10), || {
        page.evaluate(speaks) == wanted
    });
}

/// Keeps what makes the tones of a page where a test finds it.
const TONES: &str = "const { setSinkId } = AudioContext.prototype; \
                     AudioContext.prototype.setSinkId = function (id) { \
                       window.tones = this; \
                       return setSinkId.call(this, id); \
                     }";

/// The echo sends back what comes: a picture is there and moves.
fn await_own_picture(page: &Page<'_>) {
    until("the echo of the camera", Duration::from_secs(15), || {
        page.picture("#remote")["motion"].as_f64() > Some(0.0)
    });
}

#[test]
fn another_device_takes_its_place_in_a_call_without_a_word_to_the_other_side() {
    // The second one of this browser sees depth, which nobody encodes.
    let Some(guest) = start(3) else {
        return;
    };
    let page = guest.call("echo");
    page.evaluate(TONES);
    page.await_tone(SOUND, GUEST_HZ);
    await_own_picture(&page);
    let agreed = page.probe("descriptions", &json!({}));
    page.click("#settings");
    page.await_selector("#microphone");
    look(&page, "desktop-connected-devices");
    page.click("#mute");
    for (select, kind) in [("microphone", "audio"), ("camera", "video")] {
        let before = sent(&page, kind);
        let chosen = choose_another(&page, select);
        assert_ne!(chosen, before["device"], "{select}: there is one only");
        until("the other device", Duration::from_secs(10), || {
            let sender = sent(&page, kind);
            sender["device"] == chosen && sender["is_live"] == true
        });
    }
    assert_eq!(sent(&page, "audio")["is_on"], false, "who was mute is mute");
    page.await_silence(SOUND);
    page.click("#mute");
    let chosen = choose_another(&page, "speaker");
    await_speaker(&page, &chosen, &chosen);
    // One that cannot be used: what was in use goes on, in the list as well.
    page.evaluate(
        "document.getElementById('sound').setSinkId = async () => { throw new DOMException('', 'NotFoundError'); }",
    );
    choose_another(&page, "speaker");
    page.await_text("That device cannot be used.");
    await_speaker(&page, &chosen, &chosen);
    page.await_tone(SOUND, GUEST_HZ);
    await_own_picture(&page);
    assert_eq!(page.probe("descriptions", &json!({})), agreed);
    assert_eq!(page.await_state(&["connected", "ended"]), "connected");
    page.log().expect_clean();
}

#[test]
fn a_device_that_is_pulled_out_gives_its_place_to_another_and_its_guest_is_told() {
    let Some(guest) = start(2) else {
        return;
    };
    let page = guest.call("echo");
    page.evaluate(TONES);
    let first = page.evaluate("return document.getElementById('speaker').options[0].value");
    page.click("#settings");
    page.await_selector("#speaker");
    let chosen = choose_another(&page, "speaker");
    await_speaker(&page, &chosen, &chosen);
    page.probe("unplug", &json!({ "device": chosen }));
    page.await_text("Your speaker was unplugged: the sound comes from the default one.");
    await_speaker(&page, &json!(""), &first);
    page.await_tone(SOUND, GUEST_HZ);
    for (kind, said) in [
        ("audio", "Your microphone was unplugged. Now in use: "),
        ("video", "Your camera was unplugged. Now in use: "),
    ] {
        let before = sent(&page, kind);
        page.probe("unplug", &json!({ "kind": kind }));
        page.await_text(said);
        let after = sent(&page, kind);
        assert_ne!(after["device"], before["device"], "{kind}");
        assert_eq!(after["is_live"], true, "{kind}");
    }
    page.await_tone(SOUND, GUEST_HZ);
    page.probe("unplug", &json!({ "kind": "video" }));
    page.await_text("Your camera was unplugged.");
    assert_eq!(sent(&page, "video"), Value::Null);
    page.await_selector("#video[aria-pressed='false']");
    page.probe("unplug", &json!({ "kind": "audio", "all": true }));
    page.await_text("nobody hears you until you connect one");
    look(&page, "desktop-connected-no-microphone");
    page.probe("plug_in", &json!({}));
    page.await_text("You can be heard again: ");
    page.await_tone(SOUND, GUEST_HZ);
    assert_eq!(page.await_state(&["connected", "ended"]), "connected");
}
