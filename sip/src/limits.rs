//! Every bound of this crate, each derived and checked before the program runs.
//!
//! Owns numbers. What happens at a bound is said where it is met: a refusal with a counter, never
//! growth and never a panic.

use std::time::Duration;

/// Calls an endpoint carries at once. The root of the other numbers of this file;
/// `EndpointConfig::calls_max` may be less, never more.
pub const CALLS_MAX: u32 = 20_000;

/// New calls a second that the tables are made for.
pub const CALLS_PER_SECOND_MAX: u32 = 2_000;

/// Legs that stand at once in one call: a B2BUA has two sides.
pub const LEGS_PER_CALL_MAX: u32 = 2;

/// Attempts that one call may make towards trunks.
pub const ATTEMPTS_PER_CALL_MAX: u32 = 16;

/// Seconds that a finished transaction stays: timers D, H, J, L and M are 64·T1 each.
pub const LINGER_S: u32 = 32;

/// Transactions alive at once: two per standing leg, what the last 32 s of set-ups leave
/// behind (timers H, J, L, M: 64·T1; K: 5 s), and the room of emergency calls.
#[must_use]
pub const fn transactions_max(calls_max: u32, rate: u32) -> u32 {
    2 * calls_max * LEGS_PER_CALL_MAX
        + set_ups_per_second(calls_max, rate) * (3 * LINGER_S + 5)
        + EMERGENCY_TRANSACTIONS_MAX
}

/// Calls that exist at once: the standing ones, and those that ended in the last 64·T1 and whose
/// transactions still swallow repetitions, plus 64·T1 for a BYE that nobody answers, and the room of
/// emergency calls.
#[must_use]
pub const fn call_entries_max(calls_max: u32, rate: u32) -> u32 {
    calls_max + set_ups_per_second(calls_max, rate) * 2 * LINGER_S + EMERGENCY_CALLS_MAX
}

/// Legs that exist at once: both of each call, and attempts that were left.
#[must_use]
pub const fn legs_max(calls_max: u32, rate: u32) -> u32 {
    2 * LEGS_PER_CALL_MAX * call_entries_max(calls_max, rate)
}

/// The rate that the tables are made for: what is asked, but at least a quarter of the calls a second
/// and ten, and never more than [`CALLS_PER_SECOND_MAX`].
const fn set_ups_per_second(calls_max: u32, rate: u32) -> u32 {
    let share = calls_max / 4 + 10;
    let wanted = if share < rate { rate } else { share };
    if wanted < CALLS_PER_SECOND_MAX {
        wanted
    } else {
        CALLS_PER_SECOND_MAX
    }
}

/// Room that is kept for emergency calls beside everybody's: calls of that kind that are taken when
/// every table is full for the others. One a second for as long as a call that failed stays.
pub const EMERGENCY_CALLS_MAX: u32 = LINGER_S;

/// Legs in that room: the caller's, an attempt, and two that were left.
pub const EMERGENCY_LEGS_MAX: u32 = 2 * LEGS_PER_CALL_MAX * EMERGENCY_CALLS_MAX;

/// Transactions in that room: the INVITE of each leg, a CANCEL or PRACK of each, and their BYE.
pub const EMERGENCY_TRANSACTIONS_MAX: u32 = 6 * EMERGENCY_CALLS_MAX;

/// Emergency calls without an answer that a caller may hold and still be let into that room, or be taken
/// in overload: whoever has more is no single caller in distress.
pub const EMERGENCY_UNSETTLED_MAX: u32 = 4;

/// A caller that is no trunk may hold so many times what is still free: three quarters of a table
/// where it is alone, half of it beside another one.
pub const SHARE_OF_FREE: u32 = 3;

/// The same for all callers of one group together: fifteen sixteenths, so that as many as four of them
/// that flood leave room for a fifth, and ten thousand for the other groups.
pub const GROUP_SHARE_OF_FREE: u32 = 15;

/// Transactions of a call that nobody has answered: the INVITE of each side, and a CANCEL.
pub const UNSETTLED_TRANSACTIONS: u32 = 3;

/// Callers that are remembered because they acknowledged an answer: an address that can be spoofed did
/// not. Twice as many where they change quickly.
pub const PROVEN_CALLERS_MAX: usize = 8_192;

/// OPTIONS requests of ours that wait for an answer: one a trunk target.
pub const PINGS_MAX: u32 = 4_096;

/// Early dialogs kept for one INVITE; a fork beyond this is heard only if it answers.
pub const EARLY_DIALOGS_MAX: usize = 8;

/// Differing early media that one caller is told of, each by a dialog of its own: one an attempt.
pub const EARLY_ANSWERS_MAX: u8 = 16;

/// Later answers of a forked INVITE that are remembered, so that their 2xx is acknowledged again.
pub const FORKED_ANSWERS_MAX: usize = 8;

/// Entries of a route set. A dialog with more is refused: nothing real comes near.
pub const ROUTES_MAX: usize = 16;

/// How often a re-INVITE that met 491 is tried again before call control hears of it.
pub const GLARE_RETRIES_MAX: u8 = 3;

/// Longest `Retry-After` of a refused offer that we wait for before it is tried again: RFC 3311 §5.2
/// names ten seconds.
pub const RETRY_AFTER_S_MAX: u32 = 10;

/// Identity headers that call control has written to a leg: three mechanisms, two lines each.
pub const IDENTITY_HEADERS_MAX: usize = 6;

/// Headers of an INVITE that call control sees in `CallOffered`.
pub const OFFERED_HEADERS_MAX: usize = 16;

/// Octets of one such header.
pub const OFFERED_HEADER_BYTES_MAX: usize = 1_024;

/// Credentials of one request that are looked at.
pub const AUTHORIZATIONS_MAX: usize = 4;

/// Octets of an INFO body that is taken: a DTMF relay has 30, media control 500.
pub const INFO_BODY_SIZE_MAX: usize = 4_096;

/// INFO requests of ours that wait for their answers on one leg.
pub const INFOS_PENDING_MAX: u8 = 8;

/// Registrations that we keep with trunks: one a trunk.
pub const REGISTERS_MAX: u32 = 1_024;

/// REGISTER requests of extensions that wait for `answer_register`.
pub const REGISTER_REQUESTS_MAX: u32 = 1_024;

/// Contacts of one REGISTER that are looked at; more are refused.
pub const REGISTERED_CONTACTS_MAX: usize = 16;

/// Values of Service-Route that are kept of one registration.
pub const SERVICE_ROUTES_MAX: usize = 8;

/// How often an INVITE is sent again with a longer session interval (RFC 4028 §7.4): once for each
/// of two proxies and the callee.
pub const SESSION_INTERVAL_TRIES_MAX: u8 = 3;

/// Headers of one message that name a connected party.
pub const CONNECTED_HEADERS_MAX: usize = 6;

/// Octets of a start line and headers on a stream: half of the largest message, so that one without
/// an end is known as such before it costs as much as a whole one.
pub const STREAM_HEADER_SIZE_MAX: usize = 32_768;

/// A request larger than this goes by TCP where it can (RFC 3261 §18.1.1).
pub const DATAGRAM_REQUEST_SIZE_MAX: usize = 1_300;

/// How long a peer that took no connection for such a request is not asked for one again: each time
/// costs a caller the wait for it.
pub const NO_TCP_FOR: Duration = Duration::from_secs(300);

/// Peers that are remembered to take none. Trunks and their targets are few.
pub const NO_TCP_MAX: usize = 256;

/// Max-Forwards of a request that names none (RFC 3261 §16.6 step 3).
pub const MAX_FORWARDS_DEFAULT: u8 = 70;

const _: () = {
    assert!(LEGS_PER_CALL_MAX >= 2, "a B2BUA has two sides");
    assert!(
        transactions_max(CALLS_MAX, 0) <= 1 << 20,
        "transactions fit the memory of a small host"
    );
    assert!(legs_max(CALLS_MAX, 0) >= call_entries_max(CALLS_MAX, 0) * LEGS_PER_CALL_MAX);
    assert!(
        call_entries_max(1, 0) > 1,
        "the smallest endpoint can end a call and take the next"
    );
    assert!(EARLY_DIALOGS_MAX >= 2, "a fork has two branches");
    assert!(
        FORKED_ANSWERS_MAX >= EARLY_DIALOGS_MAX,
        "each fork that rang may answer"
    );
    assert!(
        transactions_max(1, 0) >= 2 * LEGS_PER_CALL_MAX,
        "the smallest endpoint has a request of each side and its CANCEL"
    );
    assert!(
        transactions_max(CALLS_MAX, 0) > call_entries_max(CALLS_MAX, 0),
        "no call is without a transaction for its end"
    );
    assert!(
        set_ups_per_second(CALLS_MAX, 0) == CALLS_PER_SECOND_MAX,
        "the largest endpoint takes the full rate"
    );
    assert!(
        set_ups_per_second(1, 0) >= 10 && set_ups_per_second(1, 9_999) <= CALLS_PER_SECOND_MAX,
        "the smallest one takes ten"
    );
    assert!(
        EMERGENCY_CALLS_MAX > 0 && EMERGENCY_CALLS_MAX < CALLS_MAX / 100,
        "the room for emergencies is there, and takes next to nothing from the others"
    );
    assert!(
        EMERGENCY_LEGS_MAX >= LEGS_PER_CALL_MAX * EMERGENCY_CALLS_MAX
            && EMERGENCY_TRANSACTIONS_MAX >= UNSETTLED_TRANSACTIONS * EMERGENCY_CALLS_MAX,
        "an emergency call in its room can be set up and ended"
    );
    assert!(SHARE_OF_FREE >= 1, "who is alone has at least half");
    assert!(
        GROUP_SHARE_OF_FREE > SHARE_OF_FREE,
        "one caller does not take what its group may have"
    );
    assert!(ATTEMPTS_PER_CALL_MAX >= 2, "there is a next trunk");
    assert!(
        ROUTES_MAX < crate::message::HEADERS_MAX
            && OFFERED_HEADERS_MAX < crate::message::HEADERS_MAX,
        "what is kept of a message fits into one"
    );
    assert!(
        OFFERED_HEADERS_MAX * OFFERED_HEADER_BYTES_MAX <= crate::message::MESSAGE_SIZE_MAX,
        "what call control sees is no more than what came"
    );
    assert!(
        INFO_BODY_SIZE_MAX < crate::message::MESSAGE_SIZE_MAX / 8,
        "what is kept of a message fits into one"
    );
    assert!(
        REGISTERS_MAX + REGISTER_REQUESTS_MAX < transactions_max(CALLS_MAX, 0),
        "registrations leave room for calls"
    );
    assert!(
        SERVICE_ROUTES_MAX <= ROUTES_MAX,
        "a route set holds the service route"
    );
    assert!(CONNECTED_HEADERS_MAX <= OFFERED_HEADERS_MAX);
    assert!(
        STREAM_HEADER_SIZE_MAX < crate::message::MESSAGE_SIZE_MAX,
        "a header leaves room for a body"
    );
    assert!(
        DATAGRAM_REQUEST_SIZE_MAX == 1_300,
        "RFC 3261 §18.1.1: 200 octets below the MTU of an Ethernet"
    );
    assert!(MAX_FORWARDS_DEFAULT == 70, "RFC 3261 §8.1.1.6");
    assert!(LINGER_S == 32, "64·T1 of 500 ms");
    assert!(
        GLARE_RETRIES_MAX >= 1,
        "RFC 3261 §14.1 asks for another try"
    );
    assert!(
        PINGS_MAX < transactions_max(CALLS_MAX, 0),
        "pings leave room for calls"
    );
};
