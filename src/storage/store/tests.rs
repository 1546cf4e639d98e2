//! The store on a real file: what survives, what is refused, what never waits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::cdr::record::{
    AttemptClosed, AttemptOpened, CallClosed, CallOpened, MediaFigures, Record,
};
use crate::config::load_trunks;
use crate::links::draft::{LinkDraft, RequestPath};
use crate::links::store::LinkQuery;
use crate::settings::model::SettingError;
use crate::sources::model::{LinkAccess, Source};
use crate::storage::Sync;
use crate::trunks::store::Applied;

fn options(folder: &Path) -> StorageOptions {
    StorageOptions {
        path: folder.join("data/sluice.db"),
        sync: Sync::Normal,
        sip_domain: "gw.example".to_owned(),
    }
}

async fn open(folder: &Path) -> Store {
    Store::open(&options(folder)).await.unwrap()
}

fn custom(path: &str, destination: &str) -> LinkDraft {
    LinkDraft::new(RequestPath::Custom(path.to_owned()), destination)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[tokio::test]
async fn the_data_folder_is_made_and_links_survive_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let made = links::store::create(&store, &custom("sales", "610"))
        .await
        .unwrap();
    store.close().await;
    let store = open(folder.path()).await;
    assert_eq!(
        links::store::get(&store, "sales").await.unwrap().id,
        made.id
    );
    let resolved = store.resolve("sales", None, at(0)).await.unwrap();
    assert_eq!(resolved.destination.to_string(), "610@gw.example");
}

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
    links::store::create(&store, &custom("610@a.example", "second"))
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
    links::store::create(&store, &custom("610", "first"))
        .await
        .unwrap();
    assert_eq!(
        resolve("610", Some("a.example")).await.unwrap(),
        "first@gw.example"
    );
    assert_eq!(resolve("", None).await, Err(ResolveRefusal::Unknown));
    assert_eq!(
        resolve(&"a".repeat(256), None).await,
        Err(ResolveRefusal::Unknown)
    );
}

async fn settings_set(store: &Store, key: &str, value: &str) {
    crate::settings::store::set(store, key, value)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_taken_request_path_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    links::store::create(&store, &custom("a", "610"))
        .await
        .unwrap();
    let error = links::store::create(&store, &custom("a", "611"))
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
        links::store::create(&store, &custom("A", "611"))
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
        links::store::create(&store, &custom(path, "610"))
            .await
            .unwrap();
    }
    let list = async |search: Option<&str>, after, rows| {
        let query = LinkQuery {
            search: search.map(str::to_owned),
            after,
            rows,
        };
        let (links, total) = links::store::list(&store, &query).await.unwrap();
        let paths: Vec<String> = links.into_iter().map(|link| link.request_path).collect();
        (paths.join(" "), total)
    };
    assert_eq!(list(None, 0, 3).await, ("a_b axb c%d".to_owned(), 4));
    assert_eq!(list(None, 3, 3).await, ("ccd".to_owned(), 4));
    assert_eq!(list(Some("a_"), 0, 9).await, ("a_b".to_owned(), 1));
    assert_eq!(list(Some("C%"), 0, 9).await, ("c%d".to_owned(), 1));
}

#[tokio::test]
async fn deleting_takes_a_path_or_an_id_and_says_when_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let one = links::store::create(&store, &custom("one", "610"))
        .await
        .unwrap();
    links::store::create(&store, &custom("two", "610"))
        .await
        .unwrap();
    links::store::delete(&store, &one.id.to_string())
        .await
        .unwrap();
    links::store::delete(&store, "two").await.unwrap();
    let error = links::store::delete(&store, "two").await.unwrap_err();
    assert_eq!(error.to_string(), "no link `two`");
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
    let imported = links::store::import(&store, drafts).await.unwrap();
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
        links::store::get(&store, "a")
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
    links::store::create(&store, &draft).await.unwrap();
    links::store::create(&store, &custom("kept", "610"))
        .await
        .unwrap();
    let after = |days: i64| {
        let end: Timestamp = "2026-01-01T00:00:01Z".parse().unwrap();
        at(end.as_second() + days * 86_400)
    };
    assert_eq!(
        links::store::delete_expired(&store, after(100))
            .await
            .unwrap(),
        0,
        "0: for ever"
    );
    settings_set(&store, "links.expiry_days", "7").await;
    assert_eq!(
        links::store::delete_expired(&store, after(6))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        links::store::delete_expired(&store, after(7))
            .await
            .unwrap(),
        1
    );
    links::store::get(&store, "kept").await.unwrap();
}

#[tokio::test]
async fn a_hundred_reservations_at_once_never_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let tasks: Vec<_> = (0..100_u32)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                let count = index % 7 + 1;
                (
                    store.reserve_alias_block(count).await.unwrap(),
                    u64::from(count),
                )
            })
        })
        .collect();
    let mut blocks = Vec::new();
    for task in tasks {
        blocks.push(task.await.unwrap());
    }
    blocks.sort_unstable();
    assert_eq!(blocks[0].0, 1);
    for pair in blocks.windows(2) {
        assert_eq!(
            pair[0].0 + pair[0].1,
            pair[1].0,
            "no overlap, no gap: {pair:?}"
        );
    }
}

#[tokio::test]
async fn a_block_taken_before_a_crash_is_never_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = store.reserve_alias_block(1_000).await.unwrap();
    // The files as a process leaves them that dies now: nothing closed, nothing checkpointed.
    let copy = crash_copy(folder.path());
    let store_after = open(copy.path()).await;
    assert_eq!(
        store_after.reserve_alias_block(1).await.unwrap(),
        first + 1_000
    );
    drop(store);
}

/// Copies the database and its log while it is open.
fn crash_copy(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("data")).unwrap();
    for entry in fs::read_dir(folder.join("data")).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(
                entry.path(),
                copy.path().join("data").join(entry.file_name()),
            )
            .unwrap();
        }
    }
    copy
}

fn opened(call: &str) -> Record {
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
        link: Some(7),
        media: MediaFigures {
            packets_received: 500,
            packets_sent: 499,
            packets_lost: 1,
            jitter_ms: 2.5,
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
    assert_eq!(calls[0].media.packets_received, Some(500));
    assert_eq!(calls[0].link, Some(7));
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
async fn a_second_node_on_the_same_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).await;
    first.start_node(at(0)).await.unwrap();
    let second = open(folder.path()).await;
    let error = second.start_node(at(0)).await.unwrap_err();
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    drop(first);
    second.start_node(at(0)).await.unwrap();
}

#[tokio::test]
async fn resolving_goes_on_while_the_writer_is_stalled() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    links::store::create(&store, &custom("sales", "610"))
        .await
        .unwrap();
    let (started, has_started) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let stalled = store.clone();
    let stall = tokio::spawn(async move {
        stalled
            .write(move |_connection| {
                work(async move {
                    started.send(()).unwrap();
                    released.await.unwrap();
                    Ok(())
                })
            })
            .await
    });
    has_started.await.unwrap();
    store.records().try_send(opened("c1")).unwrap();
    store.resolve("sales", None, at(0)).await.unwrap();
    assert_eq!(
        store.resolve("other", None, at(0)).await,
        Err(ResolveRefusal::Unknown)
    );
    release.send(()).unwrap();
    stall.await.unwrap().unwrap();
}

#[tokio::test]
async fn work_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let outcome: Result<(), StorageError> = store
        .write(|connection| {
            work(async move {
                sqlx::query("DELETE FROM sequences")
                    .execute(connection)
                    .await?;
                Err(StorageError::NotFound {
                    what: "thing",
                    value: String::new(),
                })
            })
        })
        .await;
    outcome.unwrap_err();
    assert_eq!(store.reserve_alias_block(1).await.unwrap(), 1);
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let written = sqlx::query("DELETE FROM links")
        .execute(store.readers())
        .await;
    written.unwrap_err();
}

#[tokio::test]
async fn a_change_by_another_process_becomes_a_new_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let node = open(folder.path()).await;
    let mut watch = node.watch();
    let follower = node.clone();
    let follow = tokio::spawn(async move { follower.follow().await });
    let other = open(folder.path()).await;
    settings_set(&other, "links.default_caller_name", "Visitor").await;
    watch.changed().await.unwrap();
    assert_eq!(node.snapshot().settings.default_caller_name, "Visitor");
    follow.abort();
}

#[tokio::test]
async fn a_change_of_our_own_is_in_the_snapshot_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    settings_set(&store, "guard.max_duration_s", "60").await;
    assert_eq!(
        store.snapshot().settings.guard.duration_max,
        Duration::from_secs(60)
    );
    let error = crate::settings::store::set(&store, "guard.none", "1")
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        StorageError::Setting(SettingError::Unknown { .. })
    ));
}

#[tokio::test]
async fn two_settings_that_do_not_fit_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    settings_set(&store, "ad_hoc.unique_alias", "true").await;
    let set = crate::settings::store::set(&store, "links.default_caller_alias", "4930").await;
    set.unwrap_err();
    settings_set(&store, "ad_hoc.unique_alias", "false").await;
    settings_set(&store, "links.default_caller_alias", "4930").await;
}

#[tokio::test]
async fn applying_trunks_creates_changes_and_leaves_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let file = folder.path().join("trunks.toml");
    let apply = async |text: &str| {
        fs::write(&file, text).unwrap();
        let applied = crate::trunks::store::apply(&store, load_trunks(&file).unwrap()).await?;
        Ok::<_, StorageError>(
            applied
                .into_iter()
                .map(|trunk| trunk.applied)
                .collect::<Vec<_>>(),
        )
    };
    fs::write(folder.path().join("secret"), "hush").unwrap();
    let a = "[[trunk]]\nlabel = \"a\"\ntargets = [\"192.0.2.1:5060\"]\nusername = \"u\"\n\
             password_file = \"secret\"\nlinks = [\"sales\"]\ncarries_originating = true\n";
    let b = "[[trunk]]\nlabel = \"b\"\ntargets = [\"localhost:5062\"]\npriority = 1\n";
    assert_eq!(apply(a).await.unwrap(), [Applied::Created]);
    assert_eq!(
        apply(&format!("{a}{b}")).await.unwrap(),
        [Applied::Unchanged, Applied::Created]
    );
    let changed = apply(&format!("{a}priority = 3\n")).await.unwrap();
    assert_eq!(changed, [Applied::Changed]);
    fs::write(folder.path().join("secret"), "other").unwrap();
    assert_eq!(
        apply(&format!("{a}priority = 3\n")).await.unwrap(),
        [Applied::Changed]
    );
    let snapshot = store.snapshot();
    let [b, a] = snapshot.trunks.as_slice() else {
        panic!("{:?}", snapshot.trunks)
    };
    assert_eq!((a.label.as_str(), a.priority), ("a", 3));
    assert_eq!(a.password.as_ref().unwrap().expose(), "other");
    assert!(
        b.targets
            .iter()
            .all(|target| target.address.ip().is_loopback())
    );
    assert!(!b.targets.is_empty(), "a name is looked up");
    let sources: Vec<&Source> = snapshot.sources.iter().collect();
    assert_eq!(sources[0].links, LinkAccess::None);
    assert_eq!(
        sources[1].links,
        LinkAccess::Listed(vec!["sales".to_owned()])
    );
    // By id, the label may change; another trunk's label may not be taken.
    let rename = |label: &str| {
        let id = &a.id;
        format!("[[trunk]]\nid = \"{id}\"\nlabel = \"{label}\"\ntargets = [\"192.0.2.1:5060\"]\n")
    };
    assert_eq!(apply(&rename("c")).await.unwrap(), [Applied::Changed]);
    assert!(matches!(
        apply(&rename("b")).await,
        Err(StorageError::Duplicate { .. })
    ));
}

#[tokio::test]
async fn a_password_is_sealed_in_the_file_and_comes_back_after_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    fs::write(folder.path().join("secret"), "correct-horse-battery").unwrap();
    let file = folder.path().join("trunks.toml");
    let text = "[[trunk]]\nlabel = \"a\"\ntargets = [\"192.0.2.1:5060\"]\nusername = \"u\"\n\
                password_file = \"secret\"\n";
    fs::write(&file, text).unwrap();
    crate::trunks::store::apply(&store, load_trunks(&file).unwrap())
        .await
        .unwrap();
    store.close().await;
    for entry in fs::read_dir(folder.path().join("data")).unwrap() {
        let octets = fs::read(entry.unwrap().path()).unwrap();
        assert!(!octets.windows(13).any(|window| window == b"correct-horse"));
    }
    let store = open(folder.path()).await;
    let trunk = store.snapshot().trunks[0].clone();
    assert_eq!(trunk.password.unwrap().expose(), "correct-horse-battery");
}

#[tokio::test]
async fn tables_of_the_file_are_imported_at_the_first_start_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let text = "[[trunk]]\nlabel=\"a\"\ntargets=[\"192.0.2.1:5060\"]\n\
                [[source]]\nname=\"s\"\nnetworks=[\"192.0.2.0/24\"]\nlinks=[\"x\"]\n\
                [[link]]\nrequest_path=\"x\"\ndestination=\"610\"\ntrunk=\"a\"\n";
    let config = crate::config::Config::parse(Path::new("a.toml"), text).unwrap();
    let first = config.import_first(&store).await.unwrap();
    assert_eq!((first.trunks, first.sources, first.links), (1, 1, 1));
    let again = config.import_first(&store).await.unwrap();
    assert_eq!((again.trunks, again.sources, again.links), (0, 0, 0));
    let snapshot = store.snapshot();
    assert_eq!(snapshot.sources[0], config.sources[0]);
    assert_eq!(snapshot.sources[1].name, "trunk a");
    let resolved = store.resolve("x", None, at(0)).await.unwrap();
    assert_eq!(
        resolved.trunk.as_deref(),
        Some(snapshot.trunks[0].id.as_str())
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    fs::create_dir_all(options.path.parent().unwrap()).unwrap();
    fs::write(
        &options.path,
        "this is a shopping list, and a long one at that".repeat(100),
    )
    .unwrap();
    let error = Store::open(&options).await.unwrap_err();
    assert!(
        matches!(error, StorageError::NotADatabase { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_database_of_a_newer_program_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let text = "INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) VALUES (9999, 'x', 1, x'00', 0)";
    store
        .write(move |connection| {
            work(async move {
                sqlx::query(text).execute(connection).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    store.close().await;
    let error = Store::open(&options(folder.path())).await.unwrap_err();
    assert!(
        matches!(error, StorageError::NewerSchema { found: 9999, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("data"),
        "a file where the folder should be",
    )
    .unwrap();
    let error = Store::open(&options(folder.path())).await.unwrap_err();
    assert!(
        matches!(error, StorageError::NotWritable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("data"), "{error}");
}

#[tokio::test]
async fn a_node_key_open_to_others_keeps_the_store_closed() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.close().await;
    let key = folder.path().join("data/node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Store::open(&options(folder.path())).await.unwrap_err();
    assert!(matches!(error, StorageError::NodeKey { .. }), "{error:?}");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.close().await;
    assert!(matches!(
        store.reserve_alias_block(1).await,
        Err(StorageError::Closed)
    ));
    assert_eq!(
        store.resolve("a", None, at(0)).await,
        Err(ResolveRefusal::Unavailable)
    );
}
