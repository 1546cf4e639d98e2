//! The store on a real file: what survives, what is refused, what never waits.

mod full;
mod links;
mod phones;
mod records;
mod trunks;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::links::draft::{LinkDraft, RequestPath};
use crate::settings::model::SettingError;
use crate::storage::Sync;

fn options(folder: &Path) -> StorageOptions {
    StorageOptions {
        path: folder.join("data/sluice.db"),
        sync: Sync::Normal,
        sip_domain: "gw.example".to_owned(),
    }
}

impl Store {
    /// One in this folder, as a node that nobody has configured has it.
    pub(crate) async fn of_test(folder: &Path) -> Self {
        Self::open(&options(folder)).await.unwrap()
    }
}

async fn open(folder: &Path) -> Store {
    Store::of_test(folder).await
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
    let made = crate::links::store::create(&store, &custom("sales", "610"))
        .await
        .unwrap();
    store.close().await;
    let store = open(folder.path()).await;
    assert_eq!(
        crate::links::store::get(&store, "sales").await.unwrap(),
        made
    );
    let resolved = store.resolve("sales", None, at(0)).await.unwrap();
    assert_eq!(resolved.destination.to_string(), "610@gw.example");
}

async fn settings_set(store: &Store, key: &str, value: &str) {
    crate::settings::store::set(store, key, value)
        .await
        .unwrap();
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
    crate::links::store::create(&store, &custom("sales", "610"))
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
    store.records().try_send(records::opened("c1")).unwrap();
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
async fn work_that_waits_together_is_committed_together_and_the_failed_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
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
    let tasks: Vec<_> = (0..100)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                let path = if index % 10 == 9 {
                    "same".to_owned()
                } else {
                    format!("p{index}")
                };
                let made = crate::links::store::create(&store, &custom(&path, "610")).await;
                made.map(|link| link.id)
            })
        })
        .collect();
    let alias = tokio::spawn({
        let store = store.clone();
        async move { store.reserve_alias_block(7).await }
    });
    release.send(()).unwrap();
    stall.await.unwrap().unwrap();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.unwrap().is_ok());
    }
    assert_eq!(alias.await.unwrap().unwrap(), 1);
    assert_eq!(made, 91, "of ten with the same path one was made");
    assert_eq!(crate::links::store::count(&store, None).await.unwrap(), 91);
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
