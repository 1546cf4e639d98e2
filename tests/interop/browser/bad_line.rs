//! A guest on a line that loses what it carries, both ways and from before the handshake on.

use std::time::Duration;

use crate::baresip::DESK;
use crate::browser::guest::SOUND;
use crate::browser::video::{number, row, sees, start};
use crate::operation::metric;
use crate::world::{find, not_run, until};

/// What is seen of a line, and shown of it, comes in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_guest_that_loses_one_packet_of_twenty_sees_its_callee_and_how_good_the_line_is() {
    sees_on_a_line_that_loses(5);
}

#[test]
fn a_guest_that_loses_one_packet_of_five_sees_its_callee_and_how_good_the_line_is() {
    sees_on_a_line_that_loses(20);
}

fn sees_on_a_line_that_loses(percent: u32) {
    if find("tc").is_none() {
        return not_run("tc missing").unwrap_or_default();
    }
    let Some((_callee, guest)) = start("sendrecv") else {
        return;
    };
    let page = guest.open("support");
    guest.network.lose(percent);
    page.click("#call");
    page.await_state(&["connected"]);
    until("a picture", PATIENCE, || {
        page.picture("#remote")["spread"].as_f64() > Some(1.0)
    });
    let level = || page.evaluate("return document.getElementById('quality').dataset.level");
    until("a mark of a bad line", PATIENCE, || {
        let level = level();
        level == "1" || level == "2"
    });
    // What was lost is asked for and comes again, so that the picture goes on.
    sees(&page);
    let before = repeats_sent();
    until("lost packets that were asked for", PATIENCE, || {
        number(&row(&page, "received")["nacks"]) > 0
    });
    until("lost packets that came again", PATIENCE, || {
        repeats_sent() > before
    });
    sees(&page);

    guest.network.lose(0);
    until("a mark of a good line", PATIENCE, || level() == "3");
    page.await_tone(SOUND, DESK.tone_hz);
    sees(&page);
    page.log().expect_clean();
}

/// Of all workers of the gateway.
fn repeats_sent() -> u64 {
    let of = |worker: u32| {
        metric(&format!(
            "sluice_media_transports_total{{worker=\"{worker}\",event=\"repeats_sent\"}}"
        ))
    };
    (0..).map_while(of).sum()
}
