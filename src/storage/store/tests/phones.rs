//! Where phones are, on a real file.

use super::*;
use crate::cdr::record::Record;
use crate::cdr::spool::Spool;
use crate::registrar::keeping::load;
use crate::registrar::kept::{KeptPhone, KeptPhones};

fn phone(port: u16, expires_at: i64) -> KeptPhone {
    KeptPhone {
        contact: format!("sip:610@192.0.2.9:{port}"),
        by_tcp: port == 5_070,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: ([192, 0, 2, 9], port).into(),
        user_agent: "Phone 1.0".to_owned(),
        call_id: "x@192.0.2.9".to_owned(),
        cseq: u32::MAX,
        refreshed_at_ms: 7,
        expires_at_ms: at(expires_at).as_millisecond(),
    }
}

fn kept(extension: &str, phones: Vec<KeptPhone>) -> KeptPhones {
    KeptPhones {
        extension: extension.to_owned(),
        phones,
    }
}

async fn write(store: &Store, changes: Vec<KeptPhones>) {
    let record = Record::Phones(changes);
    store.records().send(record).await.unwrap();
    store.flush().await.unwrap();
}

#[tokio::test]
async fn phones_survive_a_kill_and_those_that_left_or_are_over_do_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let two = kept("610", vec![phone(5_061, 600), phone(5_070, 500)]);
    write(
        &store,
        vec![
            two.clone(),
            kept("611", vec![phone(5_062, 600)]),
            kept("612", vec![phone(5_063, 100)]),
        ],
    )
    .await;
    // 611 says goodbye: Expires 0.
    write(&store, vec![kept("611", Vec::new())]).await;
    // Killed: nothing is closed.
    let copy = crash_copy(folder.path());
    let store = open(copy.path()).await;
    assert_eq!(load(&store, at(200)).await.unwrap(), [two]);
    let one = kept("610", vec![phone(5_061, 600)]);
    assert_eq!(load(&store, at(500)).await.unwrap(), [one]);
    assert_eq!(load(&store, at(600)).await.unwrap(), []);
}

#[tokio::test]
async fn an_extension_is_written_whole_and_the_last_word_of_a_batch_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = kept("610", vec![phone(5_061, 600), phone(5_062, 600)]);
    let last = kept("610", vec![phone(5_063, 700)]);
    write(&store, vec![first.clone()]).await;
    let doubled = kept("610", vec![phone(5_064, 600), phone(5_064, 600)]);
    write(&store, vec![first, doubled, last.clone()]).await;
    assert_eq!(load(&store, at(0)).await.unwrap(), [last]);
    let many: Vec<KeptPhones> = (0..2_500)
        .map(|number| kept(&format!("n{number:04}"), vec![phone(5_061, 600)]))
        .collect();
    write(&store, many.clone()).await;
    let mut read = load(&store, at(0)).await.unwrap();
    assert_eq!(read.remove(0).extension, "610");
    assert_eq!(read, many);
}

#[test]
fn phones_wait_in_the_spool_while_the_disk_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&folder.path().join("s"), (0, 0)).unwrap();
    let record = Record::Phones(vec![kept("610", vec![phone(5_061, 600)])]);
    spool.append(std::slice::from_ref(&record), 1).unwrap();
    drop(spool);
    let spool = Spool::open(&folder.path().join("s"), (0, 0)).unwrap();
    assert_eq!(spool.size().0, 1);
}
