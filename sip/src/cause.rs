//! Q.850 causes, and what they are in SIP (RFC 3398 §7.2.4.1 and §8.2.6.1, RFC 3326).
//!
//! Owns the two tables and the type. Where a cause comes from and goes to is the affair of `b2bua`.

use std::fmt;

use crate::message::StatusCode;

/// A cause of ITU-T Q.850, as it stands in a Reason header (RFC 3326 §2): 1 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Q850(pub u8);

impl Q850 {
    /// 16: normal call clearing.
    pub const NORMAL_CLEARING: Self = Self(16);
    /// 17: user busy.
    pub const USER_BUSY: Self = Self(17);
    /// 19: no answer from the user, who was alerted.
    pub const NO_ANSWER: Self = Self(19);
    /// 26: another user took the call.
    pub const NON_SELECTED_USER: Self = Self(26);
    /// 31: normal, unspecified.
    pub const NORMAL_UNSPECIFIED: Self = Self(31);
    /// 34: no circuit or channel available.
    pub const NO_CIRCUIT: Self = Self(34);
    /// 102: recovery on timer expiry.
    pub const TIMER_EXPIRY: Self = Self(102);
    /// 127: interworking, unspecified.
    pub const INTERWORKING: Self = Self(127);

    /// `None` outside 1 to 127, which a peer may write and nobody can use.
    #[must_use]
    pub const fn new(cause: u8) -> Option<Self> {
        if cause >= 1 && cause <= 127 {
            Some(Self(cause))
        } else {
            None
        }
    }

    /// What a SIP failure is in Q.850 (RFC 3398 §8.2.6.1). A 200 stands in the Reason of a CANCEL
    /// whose call was taken elsewhere (RFC 3326 §3.1).
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let code = status.code();
        debug_assert!((100..700).contains(&code), "a status has its range");
        let found = CAUSE_OF_STATUS.iter().find(|(known, _)| *known == code);
        match (found, status.class()) {
            (Some((_, cause)), _) => Self(*cause),
            (None, 2) => Self::NON_SELECTED_USER,
            (None, 5) => Self(41),
            (None, 6) => Self(21),
            (None, _) => Self::NORMAL_UNSPECIFIED,
        }
    }

    /// The SIP failure that says the same to a caller (RFC 3398 §7.2.4.1). Causes without a line of
    /// their own become 500, the class of normal events (1 to 31) 480.
    #[must_use]
    pub fn status(self) -> StatusCode {
        let found = STATUS_OF_CAUSE.iter().find(|(known, _)| *known == self.0);
        let status = match (found, self.0) {
            (Some((_, status)), _) => *status,
            (None, ..32) => StatusCode::TEMPORARILY_UNAVAILABLE,
            (None, _) => StatusCode::SERVER_INTERNAL_ERROR,
        };
        debug_assert!(status.is_failure(), "a cause ends a call");
        status
    }
}

impl fmt::Display for Q850 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// RFC 3398 §8.2.6.1, and the codes of later RFCs beside their nearest.
const CAUSE_OF_STATUS: &[(u16, u8)] = &[
    (400, 41),
    (401, 21),
    (402, 21),
    (403, 21),
    (404, 1),
    (405, 63),
    (406, 79),
    (407, 21),
    (408, 102),
    (410, 22),
    (413, 127),
    (414, 127),
    (415, 79),
    (416, 127),
    (420, 127),
    (421, 127),
    (422, 127),
    (423, 127),
    (433, 21),
    (480, 18),
    (481, 41),
    (482, 25),
    (483, 25),
    (484, 28),
    (485, 1),
    (486, 17),
    (487, 16),
    (488, 65),
    (500, 41),
    (501, 79),
    (502, 38),
    (503, 41),
    (504, 102),
    (505, 127),
    (513, 127),
    (580, 47),
    (600, 17),
    (603, 21),
    (604, 1),
    (606, 65),
    (607, 21),
];

/// RFC 3398 §7.2.4.1.
const STATUS_OF_CAUSE: &[(u8, StatusCode)] = &[
    (1, StatusCode::NOT_FOUND),
    (2, StatusCode::NOT_FOUND),
    (3, StatusCode::NOT_FOUND),
    (16, StatusCode::TEMPORARILY_UNAVAILABLE),
    (17, StatusCode::BUSY_HERE),
    (18, StatusCode::REQUEST_TIMEOUT),
    (19, StatusCode::TEMPORARILY_UNAVAILABLE),
    (20, StatusCode::TEMPORARILY_UNAVAILABLE),
    (21, StatusCode::FORBIDDEN),
    (22, StatusCode::GONE),
    (23, StatusCode::GONE),
    (26, StatusCode::NOT_FOUND),
    (27, StatusCode::BAD_GATEWAY),
    (28, StatusCode::ADDRESS_INCOMPLETE),
    (29, StatusCode::NOT_IMPLEMENTED),
    (31, StatusCode::TEMPORARILY_UNAVAILABLE),
    (34, StatusCode::SERVICE_UNAVAILABLE),
    (38, StatusCode::SERVICE_UNAVAILABLE),
    (41, StatusCode::SERVICE_UNAVAILABLE),
    (42, StatusCode::SERVICE_UNAVAILABLE),
    (47, StatusCode::SERVICE_UNAVAILABLE),
    (55, StatusCode::FORBIDDEN),
    (57, StatusCode::FORBIDDEN),
    (58, StatusCode::SERVICE_UNAVAILABLE),
    (65, StatusCode::NOT_ACCEPTABLE_HERE),
    (70, StatusCode::NOT_ACCEPTABLE_HERE),
    (79, StatusCode::NOT_IMPLEMENTED),
    (87, StatusCode::FORBIDDEN),
    (88, StatusCode::SERVICE_UNAVAILABLE),
    (102, StatusCode::SERVER_TIME_OUT),
    (111, StatusCode::SERVER_INTERNAL_ERROR),
    (127, StatusCode::SERVER_INTERNAL_ERROR),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3398 §8.2.6.1 and §7.2.4.1, the rows that carriers look at.
    #[test]
    fn the_tables_of_rfc_3398_are_followed() {
        for (status, cause) in [
            (404, 1),
            (480, 18),
            (486, 17),
            (484, 28),
            (503, 41),
            (408, 102),
            (603, 21),
            (600, 17),
            (482, 25),
            (502, 38),
            (504, 102),
        ] {
            assert_eq!(
                Q850::of_status(StatusCode::new(status).unwrap()),
                Q850(cause),
                "{status}"
            );
        }
        for (cause, status) in [
            (1, 404),
            (17, 486),
            (18, 408),
            (19, 480),
            (21, 403),
            (22, 410),
            (27, 502),
            (28, 484),
            (34, 503),
            (42, 503),
            (57, 403),
            (65, 488),
            (79, 501),
            (102, 504),
            (127, 500),
        ] {
            assert_eq!(Q850(cause).status().code(), status, "{cause}");
        }
    }

    /// Whatever stands in a Reason header, there is a failure for it, and for each failure a cause.
    #[test]
    fn every_cause_and_every_failure_has_its_counterpart() {
        for cause in 1..=127 {
            let status = Q850::new(cause).expect("in range").status();
            assert!(
                status.is_failure() && status.class() != 3,
                "{cause}: {status}"
            );
        }
        assert_eq!((Q850::new(0), Q850::new(128)), (None, None));
        for code in 300..700 {
            let cause = Q850::of_status(StatusCode::new(code).unwrap());
            assert_eq!(Q850::new(cause.0), Some(cause), "{code}");
        }
        assert_eq!(Q850::of_status(StatusCode::OK), Q850::NON_SELECTED_USER);
    }

    #[test]
    fn each_row_stands_once_and_in_order() {
        assert!(CAUSE_OF_STATUS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(STATUS_OF_CAUSE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
