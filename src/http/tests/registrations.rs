//! Who is registered: phones here, and we at trunks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{World, world, world_with};
use crate::call::command::{
    Command, CommandOutcome, ListPhones, PhonePage, PhoneState, RegistrationState, TrunkState,
};
use crate::registration::Standing;
use crate::shell::asker::answered_by;
use crate::trunks::apply::TrunkTable;
use crate::trunks::shape::{TargetShape, TrunkShape};
use jiff::Timestamp;
use sip::event::{Flow, Transport};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn phone(extension: &str, port: u16) -> PhoneState {
    PhoneState {
        extension: extension.to_owned(),
        contact: format!("sip:{extension}@192.0.2.9:{port}"),
        flow: Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: ([192, 0, 2, 9], port).into(),
        },
        user_agent: "Phone 1.0".to_owned(),
        refreshed_at: at(0),
        expires_at: at(3_600),
    }
}

/// Answers with two pages, and keeps what was asked.
async fn node() -> (World, Arc<Mutex<Vec<ListPhones>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let asker = answered_by(move |command| {
        let Command::ListPhones(list) = command else {
            panic!("another command");
        };
        let first = list.after.is_empty() && list.extension.is_none();
        seen.lock().unwrap().push(list);
        Ok(CommandOutcome::Phones(PhonePage {
            phones: vec![phone(if first { "610" } else { "611" }, 5_061)],
            next: first.then(|| "610".to_owned()),
            total: 2,
        }))
    });
    (world_with(Some(asker)).await, asked)
}

#[tokio::test]
async fn phones_are_listed_by_page_and_by_extension() {
    let (world, asked) = node().await;
    let page = world.ask("GET", "/api/v1/registrations?limit=1").await;
    let expected = json!({
        "registrations": [{
            "extension": "610",
            "contact": "sip:610@192.0.2.9:5061",
            "address": "192.0.2.9:5061",
            "transport": "udp",
            "user_agent": "Phone 1.0",
            "refreshed_at": at(0).to_string(),
            "expires_at": at(3_600).to_string(),
        }],
        "next": "610",
        "total": 2,
    });
    assert_eq!(page.json(), expected);
    let next = world.ask("GET", "/api/v1/registrations?cursor=610").await;
    assert_eq!(next.json()["next"], Value::Null);
    let draft = json!({"name": "611", "password": "correct horse battery"});
    let made = world.ask_json("POST", "/api/v1/extensions", draft).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for named in ["611", &id] {
        let path = format!("/api/v1/registrations?extension={named}");
        assert_eq!(world.ask("GET", &path).await.json()["total"], 2);
    }
    let seen: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|list| (list.after.clone(), list.limit, list.extension.clone()))
        .collect();
    let one = |extension: &str| (String::new(), 100, Some(extension.to_owned()));
    let first = (String::new(), 1, None);
    let second = ("610".to_owned(), 100, None);
    assert_eq!(seen, [first, second, one("611"), one("611")]);
}

#[tokio::test]
async fn a_list_of_phones_names_what_is_wrong_and_needs_its_scope_and_a_node() {
    let (world, asked) = node().await;
    for (query, status) in [
        ("limit=0", 422),
        ("limit=1001", 422),
        ("limit=x", 400),
        ("password=1", 400),
        ("extension=nobody", 404),
    ] {
        let path = format!("/api/v1/registrations?{query}");
        assert_eq!(world.ask("GET", &path).await.status, status, "{query}");
    }
    let other = world.token(&["extensions:write", "cdr:read"]).await;
    let refused = world
        .with_token(&other, "GET", "/api/v1/registrations")
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (403, "missing_scope")
    );
    assert!(asked.lock().unwrap().is_empty(), "nobody was asked");
    let own = world.token(&["extensions:read"]).await;
    let shown = world.with_token(&own, "GET", "/api/v1/registrations").await;
    assert_eq!(shown.status, 200);
    let alone = self::world().await;
    let none = alone.ask("GET", "/api/v1/registrations").await;
    assert_eq!(
        (none.status.as_u16(), none.code().as_str()),
        (503, "node_stopped")
    );
}

#[tokio::test]
async fn the_state_of_a_trunk_says_how_our_registration_with_it_is() {
    let registration = RegistrationState {
        standing: Standing::Waiting { failures: 2 },
        expires_at: None,
        next_at: Some(at(0) + Duration::from_secs(45)),
        failures: 2,
        last_refusal: Some((at(0), Some(403))),
    };
    let asker = answered_by(move |_| {
        let state = |id: &str, registration| TrunkState {
            id: id.to_owned(),
            label: id.to_owned(),
            enabled: true,
            up: true,
            targets: Vec::new(),
            calls_sent: 0,
            calls_received: 0,
            registration,
        };
        Ok(CommandOutcome::TrunkStates(vec![
            state("pbx", Some(registration.clone())),
            state("other", None),
        ]))
    });
    let world = world_with(Some(asker)).await;
    apply(&world, &["pbx", "other"]).await;
    let state = world.ask("GET", "/api/v1/trunks/pbx/state").await;
    let expected = json!({
        "state": "waiting",
        "expires_at": null,
        "next_at": at(45).to_string(),
        "failures": 2,
        "last_refusal": "403",
        "last_refused_at": at(0).to_string(),
    });
    assert_eq!(state.json()["registration"], expected);
    let state = world.ask("GET", "/api/v1/trunks/other/state").await;
    assert_eq!(state.json()["registration"], Value::Null);
}

async fn apply(world: &World, labels: &[&str]) {
    let table = |label: &&str| TrunkTable {
        id: None,
        shape: TrunkShape {
            label: (*label).to_owned(),
            targets: vec![TargetShape {
                // Nothing listens there (tcpmux, RFC 7805: historic).
                address: "127.0.0.1:1".to_owned(),
                priority: 10,
                weight: 1,
            }],
            ..TrunkShape::default()
        },
        password: None,
    };
    let tables = labels.iter().map(table).collect();
    crate::trunks::store::apply(&world.store, tables)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_trunk_that_is_tested_is_asked_by_the_node_too() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let asker = answered_by(move |command| {
        seen.lock().unwrap().push(format!("{command:?}"));
        Ok(CommandOutcome::TrunkPinged)
    });
    let world = world_with(Some(asker)).await;
    apply(&world, &["pbx"]).await;
    let id = world.ask("GET", "/api/v1/trunks/pbx").await.json()["id"].clone();
    let tested = world.ask("POST", "/api/v1/trunks/pbx/test").await;
    assert_eq!(tested.status, 200);
    assert_eq!(tested.json()["up"], false);
    assert_eq!(tested.json()["advice"], Value::Null);
    let expected = format!("PingTrunk {{ trunk: {id} }}");
    assert_eq!(*asked.lock().unwrap(), [expected]);
}

/// G-06: whoever tests it learns why it carries nothing, although its targets answer.
#[tokio::test]
async fn a_trunk_that_cannot_have_its_keys_is_told_so_by_its_test() {
    let world = world_with(None).await;
    apply(&world, &["pbx"]).await;
    let path = "/api/v1/trunks/pbx";
    let wrong = world
        .ask_json("PATCH", path, json!({ "srtp": "always" }))
        .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong
            .json()
            .to_string()
            .contains("off, preferred or required")
    );
    let changed = world
        .ask_json("PATCH", path, json!({ "srtp": "required" }))
        .await;
    assert_eq!(changed.json()["srtp"], "required");
    let tested = world.ask("POST", "/api/v1/trunks/pbx/test").await;
    let advice = tested.json()["advice"].to_string();
    assert!(
        advice.contains("sip.srtp_over_clear_signalling"),
        "{advice}"
    );
}
