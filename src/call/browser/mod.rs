//! Calls of guests whose caller is a browser: no dialog of SIP, but the same guard, trunks, attempts and
//! records.

pub mod event;

use self::event::{BrowserInput, BrowserOutput, GuestKey};
use super::control::CallControl;
use super::event::{Now, Output};

impl CallControl {
    pub(super) fn handle_browser(&mut self, _now: Now, guest: GuestKey, _input: BrowserInput) {
        let output = BrowserOutput::Ended {
            cause: "browser_calls_off",
            status: 503,
            retry_after: None,
        };
        self.put(Output::Browser { guest, output });
    }
}
