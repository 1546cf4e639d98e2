//! A guest and a phone see each other in H.264, only the ways that the link allows.

use std::time::Duration;

use serde_json::{Value, json};

use crate::baresip::DESK;
use crate::browser::guest::{Guest, SOUND};
use crate::browser::page::Page;
use crate::browser::states::{expect_in_sight, look};
use crate::browser::{Engine, Options};
use crate::gateway::{SIP, at_once, link, trunk};
use crate::hold::Control;
use crate::party::Party;
use crate::picture::Codec;
use crate::tone;
use crate::world::{Process, until};

/// A guest before a link with this policy, and a phone with a camera behind it.
pub(crate) fn start(policy: &str) -> Option<(Process, Guest)> {
    let guest = Guest::start(&Options::new(Engine::Chromium), &tables(policy))?;
    if !Codec::H264.is_there() {
        return None;
    }
    let account = DESK.account(";video_codecs=H264");
    let sound = tone::wav(DESK.tone_hz, 20);
    let callee = DESK.start_with(
        &sound,
        &account,
        &Codec::H264.camera(),
        &guest.world,
        60,
        None,
    );
    Some((callee, guest))
}

fn tables(policy: &str) -> String {
    let policy = format!("\nvideo_policy = \"{policy}\"\n\n");
    trunk("desks", &DESK.address(), 10) + &link("support", "desk").replace("\n\n", &policy)
}

/// The page's row of video, `received` or `sent`.
pub(crate) fn row(page: &Page<'_>, way: &str) -> Value {
    let statistics = page.statistics();
    let rows = statistics[0][way].as_array().cloned().unwrap_or_default();
    let video = rows.into_iter().find(|row| row["kind"] == "video");
    video.unwrap_or(Value::Null)
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The page shows what the phone's camera sees, and goes on doing so.
pub(crate) fn sees(page: &Page<'_>) {
    until("a picture of the phone", Duration::from_secs(10), || {
        page.picture("#remote")["spread"].as_f64() > Some(1.0)
    });
    let before = number(&row(page, "received")["frames_decoded"]);
    until("further frames", Duration::from_secs(10), || {
        number(&row(page, "received")["frames_decoded"]) > before + 10
    });
    assert_eq!(row(page, "received")["codec"], "video/H264");
}

const ARRIVES: &str = "incoming rtp for 'video' established";
const DECODES: &str = "video: receiving with resolution";

fn is_seen(callee: &Process) -> bool {
    let said = callee.said();
    said.contains(ARRIVES) && said.contains(DECODES)
}

/// The lines of video in the INVITE that the callee got.
fn offered(callee: &Process) -> String {
    let said = callee.said();
    let invite = said.split("INVITE sip:desk@").nth(1).expect("an INVITE");
    let body = invite.split("m=video").nth(1).unwrap_or_default();
    let lines = body.lines().take_while(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_guest_and_a_phone_see_and_hear_each_other() {
    let Some((callee, guest)) = start("sendrecv") else {
        return;
    };
    let page = guest.call("support");
    page.await_tone(SOUND, DESK.tone_hz);
    sees(&page);
    until("the guest's picture", Duration::from_secs(10), || {
        is_seen(&callee)
    });
    page.await_selector("#self");
    look(&page, "desktop-connected-video");
    page.click("#keypad-toggle");
    look(&page, "desktop-keypad-video");
    for selector in ["#hangup", "[data-key=\"0\"]"] {
        expect_in_sight(&page, selector, "keypad and video");
    }
    page.click("#keypad-toggle");
    // Over the whole screen, with what is pressed in a call.
    page.click("#full");
    page.await_selector("#full[aria-pressed='true']");
    let is_whole = "return document.fullscreenElement.id === 'app' \
                    && document.getElementById('stage').clientHeight > innerHeight / 2";
    assert_eq!(page.evaluate(is_whole), true);
    look(&page, "desktop-full-screen");
    for selector in ["#hangup", "#self"] {
        expect_in_sight(&page, selector, "full screen");
    }
    page.click("#full");
    page.await_selector("#full[aria-pressed='false']");
    page.log().expect_clean();
}

#[test]
fn a_hold_of_the_callee_leaves_the_camera_to_its_guest() {
    let Some((_callee, guest)) = start("sendrecv") else {
        return;
    };
    let mut phone = Control::open(&DESK);
    let page = guest.call("support");
    sees(&page);
    phone.order("hold");
    page.await_state(&["held"]);
    phone.order("resume");
    page.await_state(&["connected"]);
    page.await_selector("#video[aria-pressed='true']:not([hidden])");
    let before = number(&row(&page, "sent")["packets"]);
    until("packets of the camera", Duration::from_secs(10), || {
        number(&row(&page, "sent")["packets"]) > before + 50
    });
    page.log().expect_clean();
}

#[test]
fn video_goes_only_the_ways_that_its_link_allows() {
    at_once(["recvonly", "inactive", "recvonly_initially"], |policy| {
        let Some((callee, guest)) = start(policy) else {
            return;
        };
        let page = guest.call("support");
        page.await_tone(SOUND, DESK.tone_hz);
        let offered = offered(&callee);
        match policy {
            "inactive" => {
                assert!(
                    offered.is_empty() || offered.starts_with(" 0 "),
                    "{offered}"
                );
                assert_eq!(
                    page.evaluate("return document.getElementById('remote').hidden"),
                    true
                );
                assert_eq!(number(&row(&page, "received")["packets"]), 0);
                assert_eq!(number(&row(&page, "sent")["packets"]), 0);
            }
            "recvonly" => {
                assert!(offered.contains("a=recvonly"), "{offered}");
                sees(&page);
                assert_eq!(number(&row(&page, "sent")["packets"]), 0);
                assert_eq!(
                    page.evaluate("return document.getElementById('video').hidden"),
                    true
                );
            }
            _ => {
                sees(&page);
                // A page that sends without a word to us is not seen.
                page.probe("send_camera", &json!({}));
                until("packets of the camera", Duration::from_secs(10), || {
                    number(&row(&page, "sent")["packets"]) > 100
                });
                assert!(!callee.said().contains(ARRIVES), "{}", callee.said());
                page.click("#video");
                until("the guest's picture", Duration::from_secs(10), || {
                    is_seen(&callee)
                });
                return;
            }
        }
        assert!(
            !callee.said().contains(ARRIVES),
            "{policy}: {}",
            callee.said()
        );
        page.log().expect_clean();
    });
}

/// The page of somebody who changed it: its camera is in each offer, and whatever the answer says of video, its
/// browser reads that it is taken.
const LAWLESS: &str = r"
    const { createOffer, setRemoteDescription } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.createOffer = async function () {
        const isVideo = ({ receiver }) => receiver.track.kind === 'video';
        const video = this.getTransceivers().find(isVideo) ?? this.addTransceiver('video');
        video.direction = 'sendrecv';
        const stream = await navigator.mediaDevices.getUserMedia({ video: true });
        await video.sender.replaceTrack(stream.getVideoTracks()[0]);
        return createOffer.call(this);
    };
    RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
        const [others, video] = sdp.split(/^(?=m=video)/m);
        window.answered = video;
        const taken = video.replace(/^a=(sendonly|inactive)\r$/m, 'a=sendrecv\r');
        return setRemoteDescription.call(this, { type, sdp: others + taken });
    };
    return true";

#[test]
fn a_page_that_sends_what_its_link_does_not_allow_is_not_seen() {
    at_once(["recvonly", "inactive"], |policy| {
        let Some((callee, guest)) = start(policy) else {
            return;
        };
        let page = guest.open("support");
        page.evaluate(LAWLESS);
        page.click("#call");
        page.await_state(&["connected"]);
        page.await_tone(SOUND, DESK.tone_hz);
        until("packets of the camera", Duration::from_secs(10), || {
            number(&row(&page, "sent")["packets"]) > 100
        });
        let answered = page.evaluate("return window.answered");
        let answered = answered.as_str().unwrap_or_default();
        let said = callee.said();
        assert!(!said.contains(ARRIVES), "{policy}: {said}");
        if policy == "recvonly" {
            assert!(answered.contains("a=sendonly"), "{answered}");
            sees(&page);
        } else {
            assert!(answered.contains("a=inactive"), "{answered}");
            assert_eq!(number(&row(&page, "received")["packets"]), 0);
        }
        // What was thrown away has harmed nobody.
        page.await_tone(SOUND, DESK.tone_hz);
        page.click("#hangup");
        page.await_state(&["ended"]);
    });
}

/// Firefox has no H.264 unless it was fetched from elsewhere, and a phone has no VP8.
#[test]
fn a_guest_with_no_codec_of_the_phones_is_told_when_they_talk_that_it_is_audio_only() {
    let engine = Options::new(Engine::Firefox);
    let Some(guest) = Guest::start(&engine, &tables("sendrecv")) else {
        return;
    };
    let page = guest.open("support");
    let mut callee = Party::new(&DESK.address(), SIP);
    page.click("#call");
    let invite = callee.expect_request("INVITE");
    callee.respond(&invite, "180 Ringing", "", "");
    page.await_state(&["ringing"]);
    // It has H.264, and is asked for nothing that this guest would not see.
    assert!(!invite.contains("m=video"), "{invite}");
    // What was said before anybody was there does not count.
    page.evaluate("document.getElementById('hint').textContent = ''; return true");
    // What the page has by now is what the phone takes: nothing is agreed again, and said again with that.
    let mut lines = invite
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:"));
    let opus = lines.find_map(|line| line.strip_suffix(" opus/48000/2"));
    let opus = opus.expect("Opus");
    let session = format!(
        "v=0\r\no=- 7 1 IN IP4 10.70.0.1\r\ns=-\r\nc=IN IP4 10.70.0.1\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP {opus}\r\na=rtpmap:{opus} opus/48000/2\r\n"
    );
    callee.respond(&invite, "200 OK", "", &session);
    let _ack = callee.expect_request("ACK");
    page.await_state(&["connected"]);
    page.await_text("Audio only: the other side has no video that works here.");
    look(&page, "desktop-no-video");
    assert_eq!(number(&row(&page, "received")["packets"]), 0);
    page.log().expect_clean();
}
