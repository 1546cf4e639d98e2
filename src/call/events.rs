//! What an event of the endpoint means: for each the module that is named after it.

use sip::event::Event;

use super::control::CallControl;
use super::event::Now;

impl CallControl {
    pub(super) fn handle_event(&mut self, now: Now, event: Event) {
        self.touch(event.call());
        match event {
            Event::CallOffered {
                call,
                a_leg,
                offered,
            } => self.handle_offered(now, call, a_leg, offered),
            Event::Progress {
                call,
                leg,
                status,
                answer,
                connected,
                ..
            } => {
                self.note_peer(call, leg, &connected);
                self.handle_progress(now, call, leg, status, answer.as_deref());
            }
            Event::Answered {
                call,
                leg,
                answered,
            } => {
                self.note_peer(call, leg, &answered.connected);
                self.handle_answered(now, call, leg, &answered);
            }
            Event::AttemptFailed {
                call,
                leg,
                failure,
                reason,
            } => self.handle_attempt_failed(now, call, leg, failure, reason),
            Event::LateAnswer { call, leg } => self.handle_late_answer(now, call, leg),
            Event::Confirmed { call: _ } => {}
            Event::Ended {
                call,
                by,
                cause,
                reason,
            } => self.handle_ended(now, call, by, cause, reason),
            Event::CallGone { call } => self.handle_gone(now, call),
            Event::PingEnded { ping, status } => self.handle_ping_ended(now, ping, status),
            Event::RegisterEnded { register, outcome } => {
                self.handle_register_ended(now, register, outcome);
            }
            Event::RegisterOffered { request, offered } => {
                self.handle_register_offered(now, request, &offered);
            }
            Event::Dropped { flow: _, reason } => self.counters.drop_message(reason.as_str()),
            Event::Reoffered { .. }
            | Event::ReofferCancelled { .. }
            | Event::ReofferCompleted { .. }
            | Event::ReofferAnswered { .. }
            | Event::Refreshed { .. }
            | Event::ReofferRefused { .. }
            | Event::ConnectedChanged { .. }
            | Event::InfoReceived { .. } => self.handle_event_in_dialog(now, event),
        }
    }

    /// What one side says while the call is up.
    fn handle_event_in_dialog(&mut self, now: Now, event: Event) {
        match event {
            Event::Reoffered {
                call,
                leg,
                offer,
                connected,
            } => {
                self.handle_connected_changed(now, call, leg, &connected);
                self.handle_reoffered(now, call, leg, offer);
            }
            Event::ReofferCancelled { call, leg } => self.handle_reoffer_cancelled(call, leg),
            Event::ReofferCompleted { call, leg, answer } => {
                let answer = answer.as_deref().map_err(|fault| fault.as_str());
                self.handle_reoffer_completed(now, call, leg, answer);
            }
            Event::ReofferAnswered { call, leg, answer } => {
                self.handle_reoffer_answered(now, call, leg, answer.as_deref());
            }
            Event::Refreshed { call, leg, answer } => {
                self.handle_refreshed(now, call, leg, &answer);
            }
            Event::ReofferRefused { call, leg, status } => {
                self.handle_reoffer_refused(now, call, leg, status);
            }
            Event::ConnectedChanged {
                call,
                leg,
                connected,
            } => self.handle_connected_changed(now, call, leg, &connected),
            Event::InfoReceived {
                call,
                leg,
                content_type,
                body,
            } => self.handle_informed(now, call, leg, &content_type, &body),
            Event::CallOffered { .. }
            | Event::Progress { .. }
            | Event::Answered { .. }
            | Event::AttemptFailed { .. }
            | Event::LateAnswer { .. }
            | Event::Confirmed { .. }
            | Event::Ended { .. }
            | Event::CallGone { .. }
            | Event::PingEnded { .. }
            | Event::RegisterEnded { .. }
            | Event::RegisterOffered { .. }
            | Event::Dropped { .. } => debug_assert!(false, "not said within a dialog"),
        }
    }
}
