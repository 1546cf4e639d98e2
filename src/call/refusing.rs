//! We end a call, or refuse it: what the endpoint is told, and what the record will say.

use sip::event::{CallKey, Refusal};
use sip::message::StatusCode;

use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};
use super::one_call::Ending;

impl CallControl {
    /// We end the call: BYE where it is up, a final failure where it is not.
    pub(super) fn hang_up(&mut self, now: Now, key: CallKey, cause: &'static str) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.over || call.ending.is_some() {
            return;
        }
        if call.answered_at.is_none() {
            // Who ordered a call and takes it back has cancelled it.
            let status = match call.offered() {
                None => StatusCode::REQUEST_TERMINATED,
                Some(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            return self.refuse(now, key, status, cause, &Refusal::default());
        }
        call.ending = Some(Ending {
            released_by: "gateway",
            cause,
            status: 200,
        });
        self.counters.refuse(cause);
        let told = self.endpoint.hang_up(now.instant, key, &Refusal::default());
        self.check(told);
    }

    /// We refuse the call: a final failure towards the caller.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        key: CallKey,
        status: StatusCode,
        cause: &'static str,
        refusal: &Refusal,
    ) {
        self.counters.refuse(cause);
        let ending = Ending {
            released_by: "gateway",
            cause,
            status: status.code(),
        };
        self.refuse_as(now, key, status, ending, refusal);
    }

    pub(super) fn refuse_as(
        &mut self,
        now: Now,
        key: CallKey,
        status: StatusCode,
        ending: Ending,
        refusal: &Refusal,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.ending = Some(ending);
        if let Some(guest) = call.guest_mut() {
            guest.retry_after = refusal.retry_after;
        }
        let line = LogLine {
            level: Level::Note,
            event: "call_refused",
            call: Some(call.id.clone()),
            detail: format!("{} {}", status.code(), ending.cause),
        };
        self.put(Output::Log(line));
        let told = match self.calls.get(&key).and_then(|call| call.offered()) {
            Some(_) => self.endpoint.refuse(now.instant, key, status, refusal),
            // Nobody waits for a final response of ours.
            None => self.endpoint.hang_up(now.instant, key, refusal),
        };
        self.check(told);
    }
}
