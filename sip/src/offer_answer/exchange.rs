//! Who may offer now (RFC 3264 §4, §8; RFC 6337 §2).
//!
//! | state | send offer | receive offer | send answer | receive answer | reject |
//! |---|---|---|---|---|---|
//! | Fresh | `OfferSent` | `OfferReceived` | no offer | no offer | no offer |
//! | `OfferSent` | unanswered | glare | no offer | Stable | back |
//! | `OfferReceived` | unanswered | unanswered | Stable | no offer | back |
//! | Stable | `OfferSent` | `OfferReceived` | repeated | repeated | no offer |
//!
//! "Back" is `Stable` where an answer was ever exchanged, else `Fresh`: a refused offer leaves the
//! session as it was (RFC 3261 §14.1).

use crate::message::StatusCode;

/// The exchange of one dialog. `established`: an earlier offer was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exchange {
    /// Nothing was ever offered.
    #[default]
    Fresh,
    /// Ours is on its way; the peer owes the answer.
    OfferSent {
        /// An earlier offer was answered.
        established: bool,
    },
    /// Theirs is here; we owe the answer.
    OfferReceived {
        /// An earlier offer was answered.
        established: bool,
    },
    /// Answered; either side may offer.
    Stable,
}

/// An offer or answer at the wrong time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OutOfOrder {
    /// The peer offers while our offer is unanswered.
    #[error("both sides offer")]
    Glare,
    /// An offer is unanswered still.
    #[error("an offer is unanswered")]
    Unanswered,
    /// There is no offer that this could answer.
    #[error("no offer to answer")]
    NoOffer,
    /// The offer was answered before: a 200 that repeats the SDP of its 183. Read over it.
    #[error("answered before")]
    Repeated,
}

impl OutOfOrder {
    /// A stable label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Glare => "glare",
            Self::Unanswered => "offer_unanswered",
            Self::NoOffer => "no_offer",
            Self::Repeated => "answer_repeated",
        }
    }

    /// What a request with such an offer gets (RFC 3261 §14.2): 491 in glare, else 500 with a
    /// Retry-After of 0 to 10 s.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Glare => StatusCode::REQUEST_PENDING,
            Self::Unanswered | Self::NoOffer | Self::Repeated => StatusCode::SERVER_INTERNAL_ERROR,
        }
    }
}

impl Exchange {
    /// We send an offer.
    ///
    /// # Errors
    ///
    /// Where an offer is unanswered.
    pub const fn send_offer(self) -> Result<Self, OutOfOrder> {
        match self {
            Self::Fresh => Ok(Self::OfferSent { established: false }),
            Self::Stable => Ok(Self::OfferSent { established: true }),
            Self::OfferSent { .. } | Self::OfferReceived { .. } => Err(OutOfOrder::Unanswered),
        }
    }

    /// An offer comes in.
    ///
    /// # Errors
    ///
    /// Glare where ours is unanswered; else where an earlier one of theirs is.
    pub const fn receive_offer(self) -> Result<Self, OutOfOrder> {
        match self {
            Self::Fresh => Ok(Self::OfferReceived { established: false }),
            Self::Stable => Ok(Self::OfferReceived { established: true }),
            Self::OfferSent { .. } => Err(OutOfOrder::Glare),
            Self::OfferReceived { .. } => Err(OutOfOrder::Unanswered),
        }
    }

    /// We send the answer.
    ///
    /// # Errors
    ///
    /// Where we owe none.
    pub const fn send_answer(self) -> Result<Self, OutOfOrder> {
        match self {
            Self::OfferReceived { .. } => Ok(Self::Stable),
            Self::Stable => Err(OutOfOrder::Repeated),
            Self::Fresh | Self::OfferSent { .. } => Err(OutOfOrder::NoOffer),
        }
    }

    /// The answer comes in.
    ///
    /// # Errors
    ///
    /// Where we wait for none.
    pub const fn receive_answer(self) -> Result<Self, OutOfOrder> {
        match self {
            Self::OfferSent { .. } => Ok(Self::Stable),
            Self::Stable => Err(OutOfOrder::Repeated),
            Self::Fresh | Self::OfferReceived { .. } => Err(OutOfOrder::NoOffer),
        }
    }

    /// The open offer was refused, by either side.
    ///
    /// # Errors
    ///
    /// Where no offer is open.
    pub const fn reject(self) -> Result<Self, OutOfOrder> {
        match self {
            Self::OfferSent { established: true } | Self::OfferReceived { established: true } => {
                Ok(Self::Stable)
            }
            Self::OfferSent { established: false } | Self::OfferReceived { established: false } => {
                Ok(Self::Fresh)
            }
            Self::Fresh | Self::Stable => Err(OutOfOrder::NoOffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Exchange::{Fresh, OfferReceived, OfferSent, Stable};
    use OutOfOrder::{Glare, NoOffer, Repeated, Unanswered};

    type Step = fn(Exchange) -> Result<Exchange, OutOfOrder>;

    /// RFC 3264 §4 and §8, RFC 6337 §2.2: each state with each event.
    #[test]
    fn every_cell_of_the_table_holds() {
        let steps: [Step; 5] = [
            Exchange::send_offer,
            Exchange::receive_offer,
            Exchange::send_answer,
            Exchange::receive_answer,
            Exchange::reject,
        ];
        let sent = |established| Ok(OfferSent { established });
        let received = |established| Ok(OfferReceived { established });
        let no_offer = Err(NoOffer);
        let late = Err(Unanswered);
        let table = [
            (
                Fresh,
                [sent(false), received(false), no_offer, no_offer, no_offer],
            ),
            (
                OfferSent { established: false },
                [late, Err(Glare), no_offer, Ok(Stable), Ok(Fresh)],
            ),
            (
                OfferSent { established: true },
                [late, Err(Glare), no_offer, Ok(Stable), Ok(Stable)],
            ),
            (
                OfferReceived { established: false },
                [late, late, Ok(Stable), no_offer, Ok(Fresh)],
            ),
            (
                OfferReceived { established: true },
                [late, late, Ok(Stable), no_offer, Ok(Stable)],
            ),
            (
                Stable,
                [
                    sent(true),
                    received(true),
                    Err(Repeated),
                    Err(Repeated),
                    no_offer,
                ],
            ),
        ];
        for (state, row) in table {
            for (index, (step, wanted)) in steps.iter().zip(row).enumerate() {
                assert_eq!(step(state), wanted, "{state:?}, column {index}");
            }
        }
    }

    /// RFC 3261 §14.2.
    #[test]
    fn glare_is_answered_491_and_an_impatient_offer_500() {
        assert_eq!(Glare.status(), StatusCode::REQUEST_PENDING);
        assert_eq!(Unanswered.status(), StatusCode::SERVER_INTERNAL_ERROR);
    }
}
