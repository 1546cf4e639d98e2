//! What a guest of `local:tone` hears and sees: a tone, and a moving test picture where its link allows video.

use std::time::Duration;

use serde_json::Value;

use crate::browser::guest::{Guest, SOUND};
use crate::browser::page::Page;
use crate::browser::{Engine, Options};
use crate::gateway::{at_once, link};
use crate::world::until;

/// What the tone is, and the microphone of nobody here.
const TONE_HZ: f64 = 440.0;
const GUEST_HZ: f64 = 660.0;

fn start(engine: Engine, policy: &str) -> Option<Guest> {
    let options = Options {
        microphone_hz: Some(GUEST_HZ),
        ..Options::new(engine)
    };
    let policy = format!("\nvideo_policy = \"{policy}\"\n\n");
    let tables = link("tone", "local:tone").replace("\n\n", &policy);
    Guest::start(&options, &tables)
}

/// Red, green and blue in the middle of each block of 16 pixels of a row, from the left: `w` where all are
/// bright, `.` where none is, else the letters of those that are. Empty: there is no such picture.
fn row(page: &Page<'_>, row: u32) -> Vec<String> {
    let seen = page.evaluate(&format!(
        "const video = document.querySelector('#remote');
         if (video.videoWidth !== 320 || video.videoHeight !== 240) return [];
         const canvas = Object.assign(document.createElement('canvas'), {{ width: 320, height: 240 }});
         const paper = canvas.getContext('2d');
         paper.drawImage(video, 0, 0);
         const {{ data }} = paper.getImageData(0, {}, 320, 1);
         return Array.from({{ length: 20 }}, (_, at) => Array.from(data.slice(64 * at + 32, 64 * at + 35)));",
        16 * row + 8
    ));
    let bright = |value: &Value| value.as_u64() > Some(180);
    let dark = |value: &Value| value.as_u64() < Some(70);
    let word = |colour: &Value| {
        let values = colour.as_array().cloned().unwrap_or_default();
        assert!(
            values.iter().all(|value| bright(value) || dark(value)),
            "{seen}"
        );
        let lit = values
            .iter()
            .zip(["r", "g", "b"])
            .filter(|(value, _)| bright(value));
        match &*lit.map(|(_, letter)| letter).collect::<String>() {
            "rgb" => "w".to_owned(),
            "" => ".".to_owned(),
            other => other.to_owned(),
        }
    };
    seen.as_array().into_iter().flatten().map(word).collect()
}

/// White, yellow, cyan, green, magenta, red, blue, and beneath them a block that walks.
fn sees(page: &Page<'_>) {
    until("the bars", Duration::from_secs(10), || {
        !row(page, 3).is_empty()
    });
    let mut bars = row(page, 3);
    bars.dedup();
    assert_eq!(bars, ["w", "rg", "gb", "g", "rb", "r", "b"]);
    let place = || row(page, 14).iter().position(|block| block == "w");
    let first = place().expect("a block");
    until("the block elsewhere", Duration::from_secs(10), || {
        place().is_some_and(|place| place != first)
    });
}

#[test]
fn a_guest_hears_a_tone_and_sees_a_test_picture_where_the_link_allows_video() {
    at_once(["sendrecv", "recvonly", "inactive"], |policy| {
        let Some(guest) = start(Engine::Chromium, policy) else {
            return;
        };
        let page = guest.call("tone");
        page.await_tone(SOUND, TONE_HZ);
        let statistics = || page.statistics()[0].clone();
        let of = |way: &str| {
            let rows = statistics()[way].as_array().cloned().unwrap_or_default();
            rows.into_iter().find(|row| row["kind"] == "video")
        };
        if policy == "inactive" {
            assert_eq!(row(&page, 3), [""; 0]);
            assert!(of("received").is_none_or(|row| row["packets"] == 0));
            assert_eq!(
                page.evaluate("return document.getElementById('remote').hidden"),
                true
            );
        } else {
            sees(&page);
            let received = of("received").expect("pictures");
            assert_eq!(received["codec"], "video/H264");
            assert_eq!(
                (&received["lost"], &received["picture_losses"]),
                (&0.into(), &0.into())
            );
            // Nobody looks at the guest.
            assert!(
                of("sent").is_none_or(|row| row["packets"] == 0),
                "{:#}",
                statistics()
            );
        }
        page.log().expect_clean();
    });
}

/// It has no H.264 unless it was fetched from elsewhere.
#[test]
fn a_guest_whose_browser_has_no_common_codec_hears_the_tone() {
    let Some(guest) = start(Engine::Firefox, "sendrecv") else {
        return;
    };
    let page = guest.call("tone");
    page.await_tone(SOUND, TONE_HZ);
    assert_eq!(row(&page, 3), [""; 0]);
    page.log().expect_clean();
}
