//! Directions of an answer (RFC 3264 §6.1, §8.4).

use crate::sdp::Direction;

/// The direction as the other side sees it.
#[must_use]
pub(super) const fn reversed(direction: Direction) -> Direction {
    Direction::new(direction.receives(), direction.sends())
}

/// What we answer to `offered`, where `wanted` is what we would like, from our side. An answer
/// never sends what the offerer will not receive, and never receives what it will not send.
#[must_use]
pub(super) const fn answer_direction(offered: Direction, wanted: Direction) -> Direction {
    let allowed = reversed(offered);
    Direction::new(
        allowed.sends() && wanted.sends(),
        allowed.receives() && wanted.receives(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};

    /// RFC 3264 §6.1, every cell: rows what was offered, columns what we want.
    #[test]
    fn an_answer_is_the_intersection_of_the_mirrored_offer_and_our_wish() {
        let wishes = [SendRecv, SendOnly, RecvOnly, Inactive];
        let table = [
            (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive]),
            (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive]),
            (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive]),
            (Inactive, [Inactive, Inactive, Inactive, Inactive]),
        ];
        for (offered, answers) in table {
            for (wanted, answer) in wishes.into_iter().zip(answers) {
                assert_eq!(
                    answer_direction(offered, wanted),
                    answer,
                    "{offered:?} {wanted:?}"
                );
            }
        }
    }

    #[test]
    fn mirroring_twice_changes_nothing() {
        for direction in [SendRecv, SendOnly, RecvOnly, Inactive] {
            assert_eq!(reversed(reversed(direction)), direction);
        }
    }
}
