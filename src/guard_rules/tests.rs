//! Rules and counts on a real file.

use std::path::Path;

use jiff::Timestamp;

use super::explain::{Asked, ExplanationShape, of_database, question};
use super::shape::RuleDraft;
use super::{counts, store};
use crate::cdr::record::Record;
use crate::fraud_guard::StoredCount;
use crate::fraud_guard::book::Key;
use crate::fraud_guard::rule::LIST_OCTETS_MAX;
use crate::storage::{StorageError, Store};
use crate::trunks::apply::TrunkTable;
use crate::trunks::shape::{TargetShape, TrunkShape};

async fn open(folder: &Path) -> Store {
    Store::of_test(folder).await
}

fn draft(name: &str, rest: &str) -> RuleDraft {
    serde_json::from_str(&format!(r#"{{"name":"{name}",{rest}}}"#)).unwrap()
}

async fn explain(store: &Store, asked: &Asked) -> Result<ExplanationShape, StorageError> {
    of_database(store, &question(store, asked).await?).await
}

fn names(store: &Store) -> Vec<String> {
    let snapshot = store.snapshot();
    let rules = snapshot.settings.guard.named.iter();
    rules.map(|rule| rule.name.clone()).collect()
}

#[tokio::test]
async fn rules_are_made_moved_changed_and_deleted_and_each_is_in_the_snapshot_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    for name in ["a", "b", "c"] {
        store::add(&db, &draft(name, r#""kind":"block","numbers":["*"]"#), None)
            .await
            .unwrap();
    }
    let (place, first) = store::add(
        &db,
        &draft("d", r#""kind":"calls_per_day","max":3"#),
        Some(1),
    )
    .await
    .unwrap();
    assert_eq!(
        (place, names(&db)),
        (0, ["d", "a", "b", "c"].map(str::to_owned).to_vec())
    );
    let (place, moved) = store::set(
        &db,
        "d",
        &draft("e", r#""kind":"calls_per_day","max":4"#),
        Some(3),
        Box::new(|_, _| Ok(())),
    )
    .await
    .unwrap();
    assert_eq!((place, &moved.rule.id), (2, &first.rule.id));
    assert_eq!(names(&db), ["a", "b", "e", "c"]);
    let taken = store::add(&db, &draft("a", r#""kind":"allow","numbers":["*"]"#), None).await;
    assert!(matches!(taken.unwrap_err(), StorageError::Duplicate { .. }));
    let objected = store::delete(&db, "b", Box::new(|_, _| Err(StorageError::Changed))).await;
    objected.unwrap_err();
    store::delete(&db, "b", Box::new(|_, _| Ok(())))
        .await
        .unwrap();
    let gone = store::delete(&db, "b", Box::new(|_, _| Ok(()))).await;
    let gone = gone.unwrap_err();
    assert_eq!(gone.to_string(), "no guard rule `b`");
    db.close().await;
    assert_eq!(names(&open(folder.path()).await), ["a", "e", "c"]);
}

#[tokio::test]
async fn counts_come_back_as_they_were_stored_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let count = |key: u128, age_h: i64, value| StoredCount {
        rule: "gr_1".to_owned(),
        key: Key(key),
        started_at_ms: now.as_millisecond() - age_h * 3_600_000,
        value,
    };
    let first = vec![count(u128::MAX, 1, 7), count(5, 2, 1), count(6, 100, 9)];
    let again = vec![count(5, 2, 2)];
    for counts in [first, again] {
        db.records()
            .send(Record::GuardCounts(counts))
            .await
            .unwrap();
    }
    db.flush().await.unwrap();
    let loaded = counts::load(&db, now).await.unwrap();
    assert_eq!(loaded, [count(u128::MAX, 1, 7), count(5, 2, 2)]);
    assert_eq!(counts::delete_over(&db, now).await.unwrap(), 1);
}

#[tokio::test]
async fn explain_names_the_rule_that_decides_and_counts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let shape = TrunkShape {
        label: "carrier".to_owned(),
        targets: vec![TargetShape {
            address: "192.0.2.1:5060".to_owned(),
            priority: 10,
            weight: 1,
        }],
        ..TrunkShape::default()
    };
    let table = TrunkTable {
        id: None,
        shape,
        password: None,
    };
    crate::trunks::store::apply(&db, vec![table]).await.unwrap();
    let (_, rule) = store::add(
        &db,
        &draft("no JM", r#""kind":"block","countries":["JM"]"#),
        None,
    )
    .await
    .unwrap();
    let asked = |number: &str, trunk: &str| Asked {
        number: number.to_owned(),
        trunk: Some(trunk.to_owned()),
        client: None,
        link: None,
        at: None,
        way: None,
    };
    let told = explain(&db, &asked("+1 876 555 0123", "carrier"))
        .await
        .unwrap();
    assert_eq!(told.decided_by.as_ref(), Some(&rule.rule.id));
    assert_eq!(told.reason.as_deref(), Some("guard_blocked"));
    assert_eq!(told.dialled.as_deref(), Some("+18765550123"));
    assert_eq!(
        (told.verdict.as_str(), told.country.as_deref()),
        ("refuse", Some("JM"))
    );
    let told = explain(&db, &asked("+442071838750", "carrier"))
        .await
        .unwrap();
    assert_eq!(told.decided_by.as_deref(), Some("guard.deny_unnamed"));
    let none = explain(&db, &asked("610", "other")).await.unwrap_err();
    assert_eq!(none.to_string(), "no trunk `other`");
}

#[tokio::test]
async fn lists_of_all_rules_have_a_bound_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let mut stored = 0;
    let refused = loop {
        let numbers: Vec<String> = (0..1_000)
            .map(|number| format!(r#""+44{stored:030}{number:030}""#))
            .collect();
        let rest = format!(r#""kind":"block","numbers":[{}]"#, numbers.join(","));
        match store::add(&db, &draft(&format!("r{stored}"), &rest), None).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
    };
    let StorageError::Invalid(errors) = refused else {
        panic!("{refused}");
    };
    assert_eq!(errors.fields(), ["numbers"]);
    assert_eq!(stored, LIST_OCTETS_MAX / 63_000);
}
