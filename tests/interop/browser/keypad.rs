//! Digits that a guest presses on its page: as events of the stream where the callee takes them, else by INFO.

use crate::baresip::DESK;
use crate::browser::guest::Guest;
use crate::browser::page::Page;
use crate::browser::{Engine, Options};
use crate::gateway::{SIP, link, trunk};
use crate::hold::Control;
use crate::party::{Machine, Party};
use crate::tone::Law;

const DIGITS: [&str; 4] = ["1", "5", "5", "#"];

/// Presses keys on a page in a call: the phone hears each of them.
pub(super) fn expect_keys_at(page: &Page<'_>, phone: &mut Control, case: &str) {
    page.click("#keypad-toggle");
    for digit in DIGITS {
        page.click(&format!("[data-key='{digit}']"));
    }
    let heard = DIGITS.map(|_| phone.event("CALL_DTMF_START")["param"].take());
    assert_eq!(heard, DIGITS, "{case}");
    assert_eq!(
        page.evaluate("return document.getElementById('keys').textContent"),
        "155#",
        "{case}"
    );
}

#[test]
fn keys_of_a_page_are_info_where_the_callee_takes_no_events() {
    let tables = trunk("desks", &DESK.address(), 10) + &link("support", "desk");
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &tables) else {
        return;
    };
    let mut callee = Party::new(&DESK.address(), SIP);
    let page = guest.open("support");
    page.click("#call");
    let invite = callee.expect_request("INVITE");
    let machine = Machine::new("10.70.0.1", DESK.tone_hz, Law::A, 7);
    callee.respond(&invite, "200 OK", "", &machine.session(1, "sendrecv"));
    let _ack = callee.expect_request("ACK");
    page.await_state(&["connected"]);
    page.click("#keypad-toggle");
    for digit in DIGITS {
        // By keyboard.
        page.press(digit);
        let info = callee.expect_request("INFO");
        assert!(info.contains("application/dtmf-relay"), "{info}");
        assert!(info.contains(&format!("Signal={digit}\r\n")), "{info}");
        callee.respond(&info, "200 OK", "", "");
    }
    page.log().expect_clean();
}
