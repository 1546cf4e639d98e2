//! What follows a failed attempt: the next trunk, or the end (PRODUCT §6). Pure.

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

/// The status an attempt's failure counts as.
#[must_use]
pub const fn status(failure: AttemptFailure) -> StatusCode {
    match failure {
        AttemptFailure::Refused(status) => status,
        AttemptFailure::NoResponse | AttemptFailure::NoProgress => StatusCode::REQUEST_TIMEOUT,
        AttemptFailure::NoAnswer => StatusCode::TEMPORARILY_UNAVAILABLE,
        AttemptFailure::TransportFailed => StatusCode::SERVICE_UNAVAILABLE,
        AttemptFailure::Abandoned => StatusCode::REQUEST_TERMINATED,
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

/// What the caller hears of the best failure: what concerns only us and the trunk is kept here (401,
/// 407, 3xx; a lone 503 becomes 500).
#[must_use]
pub fn towards_caller(best: AttemptFailure) -> StatusCode {
    match status(best) {
        StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::UNAUTHORIZED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => StatusCode::SERVER_INTERNAL_ERROR,
        redirected if redirected.class() == 3 => StatusCode::TEMPORARILY_UNAVAILABLE,
        other => other,
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

/// The best failure of a call (RFC 3261 §16.7 step 6): 6xx first, else the lowest class; within 4xx
/// those that tell the caller something.
#[must_use]
pub fn best(failures: &[AttemptFailure]) -> Option<AttemptFailure> {
    let rank = |failure: &AttemptFailure| {
        let status = status(*failure);
        match (status.class(), status.code()) {
            (6, _) => 0,
            (4, 401 | 407 | 415 | 420 | 484) => 2,
            (4, 408) => 4,
            (4, _) => 1,
            (3, _) => 3,
            (_, 503) => 6,
            (_, _) => 5,
        }
    };
    failures.iter().min_by_key(|failure| rank(failure)).copied()
}

#[cfg(test)]
mod tests {
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
    fn caller_hears_the_best_failure() {
        let heard = |codes: &[u16]| {
            let failures: Vec<_> = codes
                .iter()
                .map(|number| AttemptFailure::Refused(code(*number)))
                .collect();
            best(&failures).map(|best| towards_caller(best).code())
        };
        assert_eq!(heard(&[503]), Some(500), "a lone 503 becomes 500");
        assert_eq!(heard(&[503, 486]), Some(486));
        assert_eq!(heard(&[486, 603]), Some(603));
        assert_eq!(heard(&[500, 404]), Some(404));
        assert_eq!(heard(&[408, 486]), Some(486));
        assert_eq!(heard(&[503, 408]), Some(408));
        assert_eq!(
            heard(&[407]),
            Some(500),
            "a trunk's challenge never reaches the caller"
        );
        assert_eq!(heard(&[302]), Some(480), "nor its redirection");
        assert_eq!(heard(&[]), None);
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
            assert_eq!(best(&failures).map(cause), Some(word), "{failures:?}");
        }
    }
}
