//! Links on a real file.

use super::*;
use crate::links::model::Link;
use crate::links::store::{self as links_store, LinkQuery};

#[tokio::test]
async fn a_request_path_is_looked_up_before_the_whole_address_and_both_before_ad_hoc() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let resolve = async |user: &str, host: Option<&str>| {
        store
            .resolve(user, host, at(0))
            .await
            .map(|resolved| resolved.destination.to_string())
    };
    assert_eq!(
        resolve("610", Some("a.example")).await,
        Err(ResolveRefusal::Unknown)
    );
    settings_set(&store, "ad_hoc.enabled", "true").await;
    assert_eq!(
        resolve("610", Some("a.example")).await.unwrap(),
        "610@gw.example"
    );
    links_store::create(&store, &custom("610@a.example", "second"))
        .await
        .unwrap();
    assert_eq!(
        resolve("610", Some("a.example")).await.unwrap(),
        "second@gw.example"
    );
    assert_eq!(
        resolve("610", Some("b.example")).await.unwrap(),
        "610@gw.example"
    );
    links_store::create(&store, &custom("610", "first"))
        .await
        .unwrap();
    assert_eq!(
        resolve("610", Some("a.example")).await.unwrap(),
        "first@gw.example"
    );
    // U+00F6, and the same letter in two pieces.
    links_store::create(&store, &custom("J\u{f6}rg", "third"))
        .await
        .unwrap();
    for spelling in ["J\u{f6}rg", "Jo\u{308}rg"] {
        let found = resolve(spelling, Some("a.example")).await;
        assert_eq!(found.as_deref(), Ok("third@gw.example"), "{spelling}");
    }
    assert_eq!(resolve("", None).await, Err(ResolveRefusal::Unknown));
    assert_eq!(
        resolve(&"a".repeat(256), None).await,
        Err(ResolveRefusal::Unknown)
    );
}

#[tokio::test]
async fn a_link_that_was_called_is_known_as_it_is_after_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let id = links_store::create(&store, &custom("a", "610"))
        .await
        .unwrap()
        .id;
    let known = |second| {
        let link = store.resolve_known("a", at(second))?;
        Some(format!("{} {}", link.destination, link.caller_name))
    };
    assert_eq!(known(0), None, "nobody has called it");
    let _clicked = store.resolve("a", None, at(0)).await.unwrap();
    assert_eq!(known(0), None, "a click is no call");
    let call = async || store.resolve("a", Some("gw.example"), at(0)).await;
    let called = call().await.unwrap();
    assert_eq!(store.resolve_known("a", at(0)), Some(called));
    assert_eq!(known(0).as_deref(), Some("610@gw.example Guest"));
    settings_set(&store, "links.default_caller_name", "Visitor").await;
    assert_eq!(known(0).as_deref(), Some("610@gw.example Visitor"));
    let closes = |link: &Link| {
        Ok(LinkDraft {
            valid_before: Some(at(1_000).to_string()),
            ..custom(&link.request_path, "611")
        })
    };
    links_store::update(&store, id, closes).await.unwrap();
    assert_eq!(known(0), None, "what it was is forgotten");
    let _called = call().await.unwrap();
    assert_eq!(known(999).as_deref(), Some("611@gw.example Visitor"));
    assert_eq!(known(1_000), None, "a refusal is the database's");
    links_store::delete(&store, id, |_| Ok(())).await.unwrap();
    assert_eq!(known(0), None);
}

#[tokio::test]
async fn a_link_that_another_process_deletes_is_not_known_any_longer() {
    let folder = tempfile::tempdir().unwrap();
    let node = open(folder.path()).await;
    let mut watch = node.watch();
    let follower = node.clone();
    let follow = tokio::spawn(async move { follower.follow().await });
    let other = open(folder.path()).await;
    let link = links_store::create(&other, &custom("a", "610"))
        .await
        .unwrap();
    let _called = node.resolve("a", Some("x"), at(0)).await.unwrap();
    assert!(node.resolve_known("a", at(0)).is_some());
    links_store::delete(&other, link.id, |_| Ok(()))
        .await
        .unwrap();
    // Whoever sees this change has seen the one before.
    settings_set(&other, "links.default_caller_name", "Visitor").await;
    watch.changed().await.unwrap();
    assert_eq!(node.resolve_known("a", at(0)), None);
    follow.abort();
}

#[tokio::test]
async fn a_taken_request_path_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    links_store::create(&store, &custom("a", "610"))
        .await
        .unwrap();
    let error = links_store::create(&store, &custom("a", "611"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StorageError::Duplicate {
                what: "request_path",
                ..
            }
        ),
        "{error}"
    );
    assert!(
        links_store::create(&store, &custom("A", "611"))
            .await
            .is_ok(),
        "case counts"
    );
}

#[tokio::test]
async fn lists_page_by_id_and_search_without_wildcards() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for path in ["a_b", "axb", "c%d", "ccd"] {
        links_store::create(&store, &custom(path, "610"))
            .await
            .unwrap();
    }
    let list = async |search: Option<&str>, after, rows| {
        let query = LinkQuery {
            search: search.map(str::to_owned),
            after,
            rows,
        };
        let (links, more) = links_store::list(&store, &query).await.unwrap();
        let paths: Vec<String> = links.into_iter().map(|link| link.request_path).collect();
        let total = links_store::count(&store, search).await.unwrap();
        (paths.join(" "), more, total)
    };
    assert_eq!(list(None, 0, 3).await, ("a_b axb c%d".to_owned(), true, 4));
    assert!(!list(None, 0, 4).await.1);
    assert_eq!(list(None, 3, 3).await, ("ccd".to_owned(), false, 4));
    assert_eq!(list(Some("a_"), 0, 9).await, ("a_b".to_owned(), false, 1));
    assert_eq!(list(Some("C%"), 0, 9).await, ("c%d".to_owned(), false, 1));
}

#[tokio::test]
async fn deleting_says_when_there_is_none_and_leaves_what_is_objected_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let one = links_store::create(&store, &custom("one", "610"))
        .await
        .unwrap();
    let objected = links_store::delete(&store, one.id, |_| Err(StorageError::Changed)).await;
    objected.unwrap_err();
    assert_eq!(links_store::get(&store, "1").await.unwrap(), one);
    links_store::delete(&store, one.id, |_| Ok(()))
        .await
        .unwrap();
    let error = links_store::delete(&store, one.id, |_| Ok(()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "no link `1`");
}

#[tokio::test]
async fn a_path_that_is_another_links_number_is_neither_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let draft = custom("one", "610");
    let first = links_store::create(&store, &draft).await.unwrap();
    let path = first.id.to_string();
    let second = links_store::create(&store, &custom(&path, "611"))
        .await
        .unwrap();
    let refused = links_store::get(&store, &path).await.unwrap_err();
    assert!(matches!(refused, StorageError::Invalid(_)), "{refused}");
    let get = async |named: String| links_store::get(&store, &named).await.unwrap();
    assert_eq!(get(format!("#{path}")).await, first);
    assert_eq!(get(format!("/{path}")).await, second);
    assert_eq!(get(second.id.to_string()).await, second);
    assert_eq!(get("/one".to_owned()).await, first);
}

#[tokio::test]
async fn an_import_stores_the_good_and_names_the_bad_and_the_double() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let drafts = vec![
        custom("a", "610"),
        custom("a/b", "610"),
        custom("a", "611"),
        custom("c", ""),
        custom("d", "612"),
    ];
    let imported = links_store::import(&store, drafts).await.unwrap();
    assert_eq!(imported.stored, 2);
    let refused: Vec<(usize, &str)> = imported
        .refused
        .iter()
        .map(|(position, errors)| (*position, errors.fields()[0]))
        .collect();
    assert_eq!(
        refused,
        [(1, "request_path"), (2, "request_path"), (3, "destination")]
    );
    assert_eq!(
        links_store::get(&store, "a")
            .await
            .unwrap()
            .destination
            .to_string(),
        "610"
    );
}

#[tokio::test]
async fn expired_links_go_after_their_days_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut draft = custom("old", "610");
    draft.valid_before = Some("2026-01-01T00:00:00Z".to_owned());
    links_store::create(&store, &draft).await.unwrap();
    links_store::create(&store, &custom("kept", "610"))
        .await
        .unwrap();
    let after = |days: i64| {
        let end: Timestamp = "2026-01-01T00:00:01Z".parse().unwrap();
        at(end.as_second() + days * 86_400)
    };
    assert_eq!(
        links_store::delete_expired(&store, after(100))
            .await
            .unwrap(),
        0,
        "0: for ever"
    );
    settings_set(&store, "links.expiry_days", "7").await;
    assert_eq!(
        links_store::delete_expired(&store, after(6)).await.unwrap(),
        0
    );
    assert_eq!(
        links_store::delete_expired(&store, after(7)).await.unwrap(),
        1
    );
    links_store::get(&store, "kept").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_expired_links_go_without_blocking_a_call() {
    const LINKS: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.expect_many_rows().await.unwrap();
    for chunk in 0..LINKS / 10_000 {
        let drafts = (0..10_000).map(|number| {
            let mut draft = custom(&format!("old-{chunk}-{number}"), "610");
            draft.valid_before = Some("2026-01-01T00:00:00Z".to_owned());
            draft
        });
        links_store::import(&store, drafts.collect()).await.unwrap();
    }
    links_store::create(&store, &custom("live", "610"))
        .await
        .unwrap();
    settings_set(&store, "links.expiry_days", "1").await;
    let later = "2026-02-01T00:00:00Z".parse().unwrap();
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { links_store::delete_expired(&store, later).await.unwrap() }
    });
    // What a call needs: a link, and numbers for its alias from the same writer.
    for _ in 0..50 {
        store.resolve("live", None, later).await.unwrap();
        store.reserve_alias_block(1).await.unwrap();
    }
    assert!(
        !deleting.is_finished(),
        "a call waits for one piece at most, and there are four hundred"
    );
    assert_eq!(deleting.await.unwrap(), 100_000);
    store.resolve("live", None, later).await.unwrap();
}

#[tokio::test]
async fn with_hidden_state_every_call_asks_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    links_store::create(&store, &custom("a", "610"))
        .await
        .unwrap();
    store.resolve("a", Some("gw.example"), at(0)).await.unwrap();
    assert!(store.resolve_known("a", at(0)).is_some());
    settings_set(&store, "links.hide_state", "true").await;
    assert_eq!(store.resolve_known("a", at(0)), None);
    settings_set(&store, "links.hide_state", "false").await;
    assert!(store.resolve_known("a", at(0)).is_some());
}
