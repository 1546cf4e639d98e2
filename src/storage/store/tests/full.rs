//! A database without room, and with room again.

use std::sync::atomic::Ordering;

use super::records::opened;
use super::*;

const CALLS: usize = 300;

/// SQLite's own bound on the file: beyond it every write ends as on a full disk.
async fn pages_max(store: &Store, pages: u32) {
    let set = store.write(move |connection| {
        work(async move {
            let text = format!("PRAGMA max_page_count = {pages}");
            sqlx::query(sqlx::AssertSqlSafe(text))
                .execute(connection)
                .await?;
            Ok(())
        })
    });
    set.await.unwrap();
}

#[tokio::test]
async fn what_a_full_database_does_not_take_is_written_once_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.start_node(at(0)).await.unwrap();
    // Less than it has: it stays as large as it is.
    pages_max(&store, 1).await;
    let records = store.records();
    for number in 0..CALLS {
        records
            .send(opened(&format!("call {number}")))
            .await
            .unwrap();
    }
    store.flush().await.unwrap();
    let figures = store.figures();
    assert!(figures.failing.load(Ordering::Relaxed));
    let waiting = figures.spool_records.load(Ordering::Relaxed);
    let written = figures.records_written.load(Ordering::Relaxed);
    assert!(waiting > 0);
    assert_eq!(usize::try_from(waiting + written).unwrap(), CALLS);
    // Work that others ask for is refused, and does no harm to what follows.
    let made = crate::links::store::create(&store, &custom("big", &"6".repeat(60))).await;
    drop(made);
    assert!(
        store.resolve("sales", None, at(0)).await.is_err(),
        "readers answer"
    );
    pages_max(&store, 1 << 20).await;
    store.flush().await.unwrap();
    assert!(!figures.failing.load(Ordering::Relaxed));
    assert_eq!(figures.spool_records.load(Ordering::Relaxed), 0);
    let calls = cdr::store::list(&store, 1_000).await.unwrap();
    assert_eq!(calls.len(), CALLS);
    assert_eq!(figures.records_refused.load(Ordering::Relaxed), 0);
    crate::links::store::create(&store, &custom("again", "610"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_spool_of_the_last_run_is_written_before_open_calls_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.start_node(at(0)).await.unwrap();
    pages_max(&store, 1).await;
    let records = store.records();
    for number in 0..CALLS {
        records
            .send(opened(&format!("call {number}")))
            .await
            .unwrap();
    }
    store.flush().await.unwrap();
    assert!(store.figures().spool_records.load(Ordering::Relaxed) > 0);
    store.close().await;
    drop(store);
    let store = open(folder.path()).await;
    let closed = store.start_node(at(500)).await.unwrap();
    assert_eq!(
        usize::try_from(closed).unwrap(),
        CALLS,
        "all were open, and are known"
    );
    assert!(!folder.path().join("data/sluice.spool").exists());
}
