//! Trunks, their secrets, and the first import, on a real file.

use super::*;
use crate::config::load_trunks;
use crate::sources::model::{LinkAccess, Source};
use crate::trunks::names::Names;
use crate::trunks::names::tests::{die, serve, zone};
use crate::trunks::store::Applied;

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
async fn a_lost_node_key_costs_the_passwords_until_they_are_applied_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    fs::write(folder.path().join("secret"), "hush").unwrap();
    let file = folder.path().join("trunks.toml");
    let text = "[[trunk]]\nlabel = \"a\"\ntargets = [\"192.0.2.1:5060\"]\nusername = \"u\"\n\
                password_file = \"secret\"\n";
    fs::write(&file, text).unwrap();
    let apply = async |store| {
        crate::trunks::store::apply(store, load_trunks(&file).unwrap())
            .await
            .unwrap()
    };
    apply(&store).await;
    store.close().await;
    fs::remove_file(folder.path().join("data/node.key")).unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.snapshot().trunks[0].password, None);
    assert_eq!(apply(&store).await[0].applied, Applied::Changed);
    assert_eq!(
        store.snapshot().trunks[0]
            .password
            .as_ref()
            .unwrap()
            .expose(),
        "hush"
    );
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
async fn a_dead_name_server_takes_no_target_from_a_trunk() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(zone());
    let names = Names::asking(server.0);
    let store = Store::open_with(&options(folder.path()), names)
        .await
        .unwrap();
    let file = folder.path().join("trunks.toml");
    let text = "[[trunk]]\nlabel = \"a\"\ntargets = [\"192.0.2.7:5060\"]\n\
                [[trunk.target]]\naddress = \"sip.test\"\npriority = 5\n";
    fs::write(&file, text).unwrap();
    crate::trunks::store::apply(&store, load_trunks(&file).unwrap())
        .await
        .unwrap();
    let targets = || {
        let snapshot = store.snapshot();
        let targets = snapshot.trunks[0].targets.iter();
        let shown = targets.map(|one| (one.address.to_string(), one.priority, one.weight));
        shown.collect::<Vec<_>>()
    };
    let expected = [
        ("192.0.2.7:5060", 10, 1),
        ("192.0.2.1:5080", 5, 90),
        ("192.0.2.2:5070", 5, 10),
        ("192.0.2.3:5090", 6, 5),
    ]
    .map(|(address, priority, weight)| (address.to_owned(), priority, weight));
    assert_eq!(targets(), expected);
    die(server);
    store.refresh().await.unwrap();
    assert_eq!(targets(), expected);
}
