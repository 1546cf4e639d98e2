//! Which failure goes back to the caller when every attempt has failed (RFC 3261 §16.7 step 6).
//!
//! Owns the choice only. A code that only means something between us and the trunk never reaches
//! the caller: 401 and 407 (our credentials) become 500, a 3xx (an address of the trunk's) 480, and
//! a lone 503 becomes 500, because it would say that we are overloaded.

use crate::event::AttemptFailure;
use crate::message::StatusCode;

/// The best of the failures: 6xx, else the lowest class; within 4xx those by which the caller can
/// help itself come first, silence last, and among equals the attempt that was made first.
#[must_use]
pub fn best_failure(failures: &[AttemptFailure]) -> Option<AttemptFailure> {
    failures
        .iter()
        .copied()
        .min_by_key(|failure| rank(*failure))
}

/// What an attempt counts as: its final response, or what stands for none (RFC 3261 §16.7, §16.9).
#[must_use]
pub const fn status_of(failure: AttemptFailure) -> StatusCode {
    match failure {
        AttemptFailure::Refused(status) => status,
        AttemptFailure::NoResponse | AttemptFailure::NoProgress => StatusCode::REQUEST_TIMEOUT,
        // It rang, and nobody came: 480 tells the caller more than 408.
        AttemptFailure::NoAnswer => StatusCode::TEMPORARILY_UNAVAILABLE,
        AttemptFailure::TransportFailed => StatusCode::SERVICE_UNAVAILABLE,
        AttemptFailure::Abandoned => StatusCode::REQUEST_TERMINATED,
    }
}

/// What the caller hears where this failure is the best.
#[must_use]
pub fn towards_caller(best: AttemptFailure) -> StatusCode {
    let heard = match status_of(best) {
        StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::UNAUTHORIZED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => StatusCode::SERVER_INTERNAL_ERROR,
        redirected if redirected.class() == 3 => StatusCode::TEMPORARILY_UNAVAILABLE,
        other => other,
    };
    debug_assert!(heard.is_failure(), "a failure is no answer");
    debug_assert!(
        heard.class() != 3,
        "a redirection stays between us and the trunk"
    );
    heard
}

/// The smaller, the better. What is kept from the caller ranks as what it hears instead.
fn rank(failure: AttemptFailure) -> (u16, u16) {
    let class = match towards_caller(failure).class() {
        6 => 0,
        class => class,
    };
    let within = match status_of(failure).code() {
        415 | 420 | 484 => 0,
        300..400 | 503 => 2,
        // An attempt of our own ending says least of the callee.
        408 | 487 => 3,
        _ => 1,
    };
    (class, within)
}

#[cfg(test)]
mod tests {
    use AttemptFailure::{Abandoned, NoAnswer, NoResponse, Refused, TransportFailed};

    use super::*;

    fn best(failures: &[AttemptFailure]) -> u16 {
        best_failure(failures).map_or(0, |best| towards_caller(best).code())
    }

    fn refused(code: u16) -> AttemptFailure {
        Refused(StatusCode::new(code).unwrap())
    }

    /// RFC 3261 §16.7 step 6.
    #[test]
    fn six_hundreds_win_then_the_lowest_class() {
        assert_eq!(best(&[refused(486), refused(603), refused(503)]), 603);
        assert_eq!(best(&[refused(503), refused(486)]), 486);
        assert_eq!(best(&[refused(500), refused(404)]), 404);
    }

    #[test]
    fn the_caller_can_act_on_some_codes() {
        assert_eq!(best(&[refused(404), refused(484)]), 484);
        assert_eq!(best(&[refused(415), refused(486)]), 415);
    }

    /// RFC 3261 §16.7: a 503 is not forwarded as such.
    #[test]
    fn a_lone_503_becomes_500() {
        assert_eq!(best(&[refused(503)]), 500);
        assert_eq!(best(&[TransportFailed]), 500);
        assert_eq!(best(&[TransportFailed, refused(502)]), 502);
        assert_eq!(best_failure(&[]), None);
    }

    #[test]
    fn what_is_between_us_and_the_trunk_stays_there() {
        for (code, heard) in [(300, 480), (302, 480), (401, 500), (407, 500)] {
            assert_eq!(best(&[refused(code)]), heard);
            assert_eq!(best(&[refused(code), refused(486)]), 486);
        }
    }

    #[test]
    fn silence_counts_as_408_and_says_less_than_an_answer() {
        assert_eq!(best(&[NoResponse]), 408);
        assert_eq!(best(&[NoResponse, refused(480)]), 480);
        assert_eq!(best(&[NoAnswer, NoResponse]), 480);
        assert_eq!(best(&[Abandoned, refused(503)]), 487);
    }
}
