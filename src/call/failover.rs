//! What follows a failed attempt: the next trunk, or the end (PRODUCT §6). Pure.

use sip::b2bua::fork::towards_caller;
use sip::event::AttemptFailure;
use sip::message::StatusCode;

use crate::trunks::model::Trunk;

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next trunk, if there is one.
    Trunk,
    /// No other trunk is tried.
    Stop,
}

/// Next trunk on silence, no progress, transport failure and the trunk's list of codes. A phone
/// that rang and was not answered would ring again elsewhere, so that stops; 6xx always stops.
#[must_use]
pub fn next(trunk: &Trunk, failure: AttemptFailure) -> Next {
    match failure {
        AttemptFailure::NoResponse
        | AttemptFailure::NoProgress
        | AttemptFailure::TransportFailed => Next::Trunk,
        AttemptFailure::NoAnswer | AttemptFailure::Abandoned => Next::Stop,
        AttemptFailure::Refused(status) => {
            let listed = trunk.failover_codes.contains(&status.code());
            if listed && status.class() < 6 {
                Next::Trunk
            } else {
                Next::Stop
            }
        }
    }
}

/// Stable word for the CDR.
#[must_use]
pub const fn outcome(failure: AttemptFailure) -> &'static str {
    match failure {
        AttemptFailure::Refused(_) => "refused",
        AttemptFailure::NoResponse => "no_response",
        AttemptFailure::NoProgress => "no_progress",
        AttemptFailure::NoAnswer => "no_answer",
        AttemptFailure::TransportFailed => "transport_failed",
        AttemptFailure::Abandoned => "abandoned",
    }
}

/// The call's cause where it ends with this failure: what the trunk said, or how it kept silent.
#[must_use]
pub fn cause(best: AttemptFailure) -> &'static str {
    match best {
        AttemptFailure::Refused(_) => cause_of(towards_caller(best)),
        AttemptFailure::NoResponse
        | AttemptFailure::NoProgress
        | AttemptFailure::NoAnswer
        | AttemptFailure::TransportFailed
        | AttemptFailure::Abandoned => outcome(best),
    }
}

/// The record's word for what the caller heard.
const fn cause_of(status: StatusCode) -> &'static str {
    match status.code() {
        404 | 410 | 484 | 604 => "no_such_destination",
        408 => "no_answer",
        480 => "unavailable",
        486 | 600 => "busy",
        487 => "cancelled",
        488 | 606 => "not_acceptable",
        603 => "declined",
        _ => "trunk_failure",
    }
}

#[cfg(test)]
mod tests {
    use sip::b2bua::fork::best_failure;

    use super::*;
    use crate::trunks::model::tests::trunk;

    fn code(code: u16) -> StatusCode {
        StatusCode::new(code).unwrap()
    }

    #[test]
    fn each_failure_goes_on_or_stops_as_the_product_says() {
        let trunk = trunk("tr_1", "192.0.2.1:5060");
        for failure in [
            AttemptFailure::NoResponse,
            AttemptFailure::NoProgress,
            AttemptFailure::TransportFailed,
        ] {
            assert_eq!(next(&trunk, failure), Next::Trunk, "{failure:?}");
        }
        assert_eq!(next(&trunk, AttemptFailure::NoAnswer), Next::Stop);
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(
                next(&trunk, AttemptFailure::Refused(code(status))),
                Next::Trunk
            );
        }
        for status in [302, 401, 404, 407, 480, 486, 488, 501, 505, 600, 603] {
            assert_eq!(
                next(&trunk, AttemptFailure::Refused(code(status))),
                Next::Stop,
                "{status}"
            );
        }
    }

    #[test]
    fn decline_of_everybody_stops_whatever_the_list_says() {
        let mut eager = trunk("tr_1", "192.0.2.1:5060");
        eager.failover_codes = vec![486, 603];
        assert_eq!(
            next(&eager, AttemptFailure::Refused(code(486))),
            Next::Trunk
        );
        assert_eq!(next(&eager, AttemptFailure::Refused(code(603))), Next::Stop);
    }

    #[test]
    fn cause_tells_a_phone_that_rang_from_a_trunk_that_was_silent() {
        let refused = |number| AttemptFailure::Refused(code(number));
        for (failures, word) in [
            (vec![AttemptFailure::NoAnswer], "no_answer"),
            (vec![AttemptFailure::NoResponse], "no_response"),
            (
                vec![AttemptFailure::NoProgress, refused(503)],
                "no_progress",
            ),
            (vec![AttemptFailure::TransportFailed], "transport_failed"),
            (vec![AttemptFailure::NoResponse, refused(486)], "busy"),
            (vec![refused(503), refused(404)], "no_such_destination"),
            (vec![refused(302)], "unavailable"),
            (vec![refused(503)], "trunk_failure"),
        ] {
            assert_eq!(
                best_failure(&failures).map(cause),
                Some(word),
                "{failures:?}"
            );
        }
    }
}
