//! CDR rows on a real file.

use super::*;
use crate::cdr::record::{
    AttemptClosed, AttemptLeg, AttemptOpened, CallClosed, CallOpened, GuardWord, MediaFigures,
};
use crate::cdr::store::CdrMedia;

pub(super) fn opened(call: &str) -> Record {
    Record::CallOpened(CallOpened {
        call: call.to_owned(),
        at: at(100),
        source: "phones".to_owned(),
        source_address: "192.0.2.1:5060".to_owned(),
        call_id: "abc@192.0.2.1".to_owned(),
        request_path: "sales".to_owned(),
        caller: "alice".to_owned(),
    })
}

fn attempt(call: &str, number: u32) -> Record {
    Record::AttemptOpened(AttemptOpened {
        call: call.to_owned(),
        number,
        at: at(101),
        trunk: "tr_0123456789ab".to_owned(),
        destination: "610@pbx.example".to_owned(),
        caller_name: "Guest".to_owned(),
        caller_alias: "guest.7".to_owned(),
        dialed: true,
        leg: AttemptLeg::Callee,
        call_id: format!("out{number}@192.0.2.1"),
        guard: None,
    })
}

fn attempt_closed(call: &str, number: u32) -> Record {
    Record::AttemptClosed(AttemptClosed {
        call: call.to_owned(),
        number,
        at: at(110),
        ringing_at: Some(at(102)),
        answered_at: None,
        status: 486,
        outcome: "busy".to_owned(),
        q850: Some(17),
        media: MediaFigures::default(),
    })
}

fn closed(call: &str) -> Record {
    Record::CallClosed(CallClosed {
        call: call.to_owned(),
        at: at(120),
        answered_at: Some(at(105)),
        status: 200,
        released_by: "originating".to_owned(),
        cause: "normal".to_owned(),
        q850: Some(16),
        link: Some(7),
        media: MediaFigures {
            packets_received: 500,
            packets_sent: 499,
            packets_lost: 1,
            jitter_ms: 2.5,
            round_trip_ms: Some(31.5),
            mos: Some(4.32),
            peer_packets_lost: Some(3),
            peer_jitter_ms: Some(0.5),
            peer_mos: Some(4.29),
            srtp: Some("AES_CM_128_HMAC_SHA1_80".to_owned()),
        },
    })
}

#[tokio::test]
async fn a_call_is_one_row_with_one_more_for_each_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let records = store.records();
    for record in [
        opened("c1"),
        attempt("c1", 1),
        attempt_closed("c1", 1),
        attempt("c1", 2),
    ] {
        records.send(record).await.unwrap();
    }
    store.flush().await.unwrap();
    let open_calls = cdr::store::list(&store, 10).await.unwrap();
    assert_eq!(open_calls[0].closed_at, None);
    assert_eq!(open_calls[0].attempts[0].outcome.as_deref(), Some("busy"));
    assert_eq!(open_calls[0].attempts[0].ringing_at, Some(at(102)));
    assert_eq!(open_calls[0].attempts[1].closed_at, None);
    records.send(closed("c1")).await.unwrap();
    store.flush().await.unwrap();
    let calls = cdr::store::list(&store, 10).await.unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].closed_at, calls[0].answered_at),
        (Some(at(120)), Some(at(105)))
    );
    let media = CdrMedia {
        packets_received: Some(500),
        packets_sent: Some(499),
        packets_lost: Some(1),
        jitter_ms: Some(2.5),
        round_trip_ms: Some(31.5),
        mos: Some(4.32),
        peer_packets_lost: Some(3),
        peer_jitter_ms: Some(0.5),
        peer_mos: Some(4.29),
        srtp: Some("AES_CM_128_HMAC_SHA1_80".to_owned()),
    };
    assert_eq!(calls[0].media, media);
    assert_eq!(calls[0].link, Some(7));
}

#[tokio::test]
async fn each_attempt_says_who_released_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let ended = |number, word: &str| {
        let Record::AttemptClosed(closed) = attempt_closed("c1", number) else {
            panic!("another kind");
        };
        Record::AttemptClosed(AttemptClosed {
            outcome: word.to_owned(),
            q850: Some(17),
            ..closed
        })
    };
    let words = ["no_response", "refused", "trunk_at_cap", "answered"];
    store.records().send(opened("c1")).await.unwrap();
    for (number, word) in (1..).zip(words) {
        store.records().send(attempt("c1", number)).await.unwrap();
        store.records().send(ended(number, word)).await.unwrap();
    }
    store.flush().await.unwrap();
    let released = |calls: &[cdr::store::CdrCall]| -> Vec<Option<String>> {
        let attempts = calls[0].attempts.iter();
        attempts
            .map(|attempt| attempt.released_by.clone())
            .collect()
    };
    let some = |word: &str| Some(word.to_owned());
    let calls = cdr::store::list(&store, 1).await.unwrap();
    assert_eq!(
        released(&calls),
        [some("gateway"), some("terminating"), some("gateway"), None],
        "the call goes on"
    );
    store.records().send(closed("c1")).await.unwrap();
    store.flush().await.unwrap();
    let calls = cdr::store::list(&store, 1).await.unwrap();
    assert_eq!(released(&calls)[3], some("originating"));
}

#[tokio::test]
async fn a_late_answer_changes_the_row_of_its_attempt_whenever_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let records = store.records();
    let left = |number| {
        let Record::AttemptClosed(closed) = attempt_closed("c1", number) else {
            panic!("another kind");
        };
        let media = MediaFigures {
            packets_received: 9,
            mos: Some(4.1),
            peer_packets_lost: Some(2),
            srtp: Some("none".to_owned()),
            ..MediaFigures::default()
        };
        Record::AttemptClosed(AttemptClosed { media, ..closed })
    };
    let late = |number| {
        let Record::AttemptClosed(closed) = attempt_closed("c1", number) else {
            panic!("another kind");
        };
        Record::AttemptClosed(AttemptClosed {
            at: at(130),
            answered_at: Some(at(130)),
            status: 200,
            outcome: cdr::record::LATE_ANSWER.to_owned(),
            q850: Some(17),
            ..closed
        })
    };
    records.send(opened("c1")).await.unwrap();
    for number in 1..=4 {
        records.send(attempt("c1", number)).await.unwrap();
    }
    // In one batch, in either order; then in two, in either order, after the call is closed.
    for record in [left(1), late(1), late(2), left(2), left(3), late(4)] {
        records.send(record).await.unwrap();
    }
    records.send(closed("c1")).await.unwrap();
    store.flush().await.unwrap();
    for record in [late(3), left(4)] {
        records.send(record).await.unwrap();
    }
    store.flush().await.unwrap();
    let calls = cdr::store::list(&store, 10).await.unwrap();
    assert_eq!(calls[0].attempts.len(), 4);
    for attempt in &calls[0].attempts {
        let number = attempt.number;
        assert_eq!(attempt.outcome.as_deref(), Some("late_answer"), "{number}");
        assert_eq!(attempt.status, Some(200), "{number}");
        assert_eq!(attempt.answered_at, Some(at(130)), "{number}");
        assert_eq!(attempt.closed_at, Some(at(130)), "{number}");
        assert_eq!(attempt.ringing_at, Some(at(102)), "{number}");
        assert_eq!(attempt.media.packets_received, Some(9), "{number}");
        let peer_lost = attempt.media.peer_packets_lost;
        assert_eq!((attempt.media.mos, peer_lost), (Some(4.1), Some(2)));
        assert_eq!(attempt.media.srtp.as_deref(), Some("none"), "{number}");
    }
}

#[tokio::test]
async fn a_batch_with_one_row_the_database_refuses_loses_only_that_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let records = store.records();
    for record in [opened("c1"), opened("c1"), opened("c2"), closed("c2")] {
        records.send(record).await.unwrap();
    }
    store.flush().await.unwrap();
    let calls = cdr::store::list(&store, 10).await.unwrap();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].cause.as_deref(), Some("normal"));
}

#[tokio::test]
async fn more_records_than_one_batch_holds_are_all_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let records = store.records();
    for index in 0..1_234 {
        records.send(opened(&format!("c{index}"))).await.unwrap();
        records.send(closed(&format!("c{index}"))).await.unwrap();
    }
    store.flush().await.unwrap();
    let calls = cdr::store::list(&store, 5_000).await.unwrap();
    assert_eq!(calls.len(), 1_234);
    assert!(
        calls
            .iter()
            .all(|call| call.cause.as_deref() == Some("normal"))
    );
}

#[tokio::test]
async fn rows_open_at_a_crash_are_closed_with_node_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.start_node(at(0)).await.unwrap(), 0);
    for record in [
        opened("done"),
        closed("done"),
        opened("open"),
        attempt("open", 1),
    ] {
        store.records().send(record).await.unwrap();
    }
    store.flush().await.unwrap();
    let copy = crash_copy(folder.path());
    let store = open(copy.path()).await;
    assert_eq!(store.start_node(at(500)).await.unwrap(), 1);
    let calls = cdr::store::list(&store, 10).await.unwrap();
    assert_eq!(calls[0].cause.as_deref(), Some("node_restart"));
    assert_eq!(calls[0].closed_at, Some(at(500)));
    assert_eq!(
        calls[0].attempts[0].outcome.as_deref(),
        Some("node_restart")
    );
    assert_eq!(
        calls[1].cause.as_deref(),
        Some("normal"),
        "a closed row stays as it was"
    );
}

#[tokio::test]
async fn a_record_tells_the_cause_of_each_side_the_leg_and_the_rule_that_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let row = |number, leg, guard| {
        let Record::AttemptOpened(opened) = attempt("c1", number) else {
            panic!("another kind");
        };
        Record::AttemptOpened(AttemptOpened {
            leg,
            guard,
            ..opened
        })
    };
    let Record::CallOpened(opened) = opened("c1") else {
        panic!("another kind");
    };
    let word = GuardWord {
        reason: "guard_blocked".to_owned(),
        rule: "gr_0123456789ab".to_owned(),
    };
    for record in [
        Record::CallOpened(CallOpened {
            call_id: String::new(),
            ..opened
        }),
        row(1, AttemptLeg::Caller, None),
        attempt_closed("c1", 1),
        row(2, AttemptLeg::Caller, None),
        row(3, AttemptLeg::Callee, Some(word)),
        closed("c1"),
    ] {
        store.records().send(record).await.unwrap();
    }
    store.flush().await.unwrap();
    let call = cdr::query::show(&store, "c1").await.unwrap();
    assert_eq!(call.q850, Some(16));
    assert_eq!(
        call.call_id, "out2@192.0.2.1",
        "of its first party, the last"
    );
    let seen: Vec<_> = call
        .attempts
        .iter()
        .map(|row| (row.leg.as_str(), row.q850, row.guard_rule.as_deref()))
        .collect();
    let expected = [
        ("caller", Some(17), None),
        ("caller", None, None),
        ("callee", None, Some("gr_0123456789ab")),
    ];
    assert_eq!(seen, expected);
    let reason = call.attempts[2].guard_reason.as_deref();
    assert_eq!(reason, Some("guard_blocked"));
}
