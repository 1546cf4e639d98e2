//! The guard's routes: rules made, moved, changed and deleted, refused with every wrong field, asked
//! without counting, and the same guard as judges calls where a node runs.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{World, world, world_with};
use crate::call::tests::world::{World as Control, trunk};
use crate::shell::asker::answered_by;
use crate::trunks::apply::TrunkTable;
use crate::trunks::shape::{TargetShape, TrunkShape};

const RULES: &str = "/api/v1/guard/rules";

async fn with_trunk(world: &World) {
    let table = TrunkTable {
        id: None,
        shape: TrunkShape {
            label: "carrier".to_owned(),
            targets: vec![TargetShape {
                address: "192.0.2.1:5060".to_owned(),
                priority: 10,
                weight: 1,
            }],
            ..TrunkShape::default()
        },
        password: None,
    };
    crate::trunks::store::apply(&world.store, vec![table])
        .await
        .unwrap();
}

fn trunk_id(world: &World) -> String {
    world.store.snapshot().trunks[0].id.clone()
}

async fn names(world: &World) -> Vec<(u64, String)> {
    let list = world.ask("GET", RULES).await.json();
    let rules = list["rules"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            let name = rule["rule"]["name"].as_str().unwrap();
            (rule["position"].as_u64().unwrap(), name.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_rule_is_made_shown_moved_changed_and_deleted() {
    let world = world().await;
    let draft = json!({"name": "no JM", "kind": "block", "countries": ["JM"]});
    let made = world.ask_json("POST", RULES, draft.clone()).await;
    assert_eq!(made.status, 201, "{}", made.json());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let place = format!("{RULES}/{id}");
    assert_eq!(made.header("location"), place);
    assert_eq!(made.json()["reason"], "guard_blocked");
    assert_eq!(made.json()["rule"]["countries"], json!(["JM"]));

    let again = world.ask_json("POST", RULES, draft).await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (409, "duplicate")
    );

    let shown = world.ask("GET", &place).await;
    assert_eq!(shown.json(), made.json());
    let tag = [("if-none-match", shown.header("etag"))];
    let same = world.ask_with("GET", &place, &tag, "").await;
    assert_eq!(same.status, 304);
    let by_name = world.ask("GET", &format!("{RULES}/no%20JM")).await;
    assert_eq!(by_name.json(), made.json());

    let first = json!({"name": "cap", "kind": "calls_per_day", "max": 3});
    let path = format!("{RULES}?position=1");
    let first = world.ask_json("POST", &path, first).await;
    assert_eq!(first.json()["position"], 1);
    assert_eq!(
        names(&world).await,
        [(1, "cap".to_owned()), (2, "no JM".to_owned())]
    );

    let other = json!({"name": "no BB", "kind": "block", "countries": ["BB"], "enabled": false});
    let path = format!("{place}?position=1");
    let set = world.ask_json("PUT", &path, other).await;
    assert_eq!(set.status, 200, "{}", set.json());
    assert_eq!(
        (&set.json()["id"], &set.json()["position"]),
        (&json!(id), &json!(1))
    );
    assert_eq!(set.json()["rule"]["enabled"], false);
    let taken = json!({"name": "cap", "kind": "block", "numbers": ["*"]});
    assert_eq!(world.ask_json("PUT", &place, taken).await.status, 409);

    assert_eq!(world.ask("DELETE", &place).await.status, 204);
    for (method, body) in [("GET", None), ("DELETE", None), ("PUT", Some("x"))] {
        let gone = match body {
            None => world.ask(method, &place).await,
            Some(name) => {
                let draft = json!({"name": name, "kind": "block", "numbers": ["*"]});
                world.ask_json(method, &place, draft).await
            }
        };
        assert_eq!(
            (gone.status.as_u16(), gone.code().as_str()),
            (404, "not_found")
        );
    }
    assert_eq!(names(&world).await, [(1, "cap".to_owned())]);
}

#[tokio::test]
async fn every_wrong_field_of_a_rule_is_named_at_once_and_nothing_is_stored() {
    let world = world().await;
    with_trunk(&world).await;
    let wrong = json!({
        "name": "a\u{1}", "kind": "hours", "ways": ["fax"], "trunks": ["none"],
        "networks": ["10.0.0.0/33"], "numbers": ["x*y"], "countries": ["XX"], "zone": "Mars/Base",
        "days": ["mon", "moon"], "from": "25:00", "until": "8", "max": 3,
    });
    let fields = [
        "countries",
        "days",
        "from",
        "max",
        "name",
        "networks",
        "numbers",
        "trunks",
        "until",
        "ways",
        "zone",
    ];
    let kept = json!({"name": "kept", "kind": "block", "trunks": ["carrier"], "numbers": ["*"]});
    let kept = world.ask_json("POST", RULES, kept).await;
    assert_eq!(kept.json()["rule"]["trunks"], json!([trunk_id(&world)]));
    let place = format!("{RULES}/kept");
    for (method, path) in [("POST", RULES), ("PUT", place.as_str())] {
        let answer = world.ask_json(method, path, wrong.clone()).await;
        assert_eq!(answer.status, 422, "{method}");
        let mut named = answer.wrong_fields();
        named.dedup_by(|one, other| field_of(one) == field_of(other));
        let named: Vec<&str> = named.iter().map(|field| field_of(field)).collect();
        assert_eq!(named, fields, "{method}: {}", answer.json());
    }
    for (draft, field) in [
        (json!({"name": "a", "kind": "gate"}), "kind"),
        (json!({"name": "a", "kind": "block"}), "numbers"),
        (json!({"name": "a", "kind": "calls_per_day"}), "max"),
        (json!({"name": "a", "kind": "duration"}), "seconds"),
        (json!({"name": "a", "kind": "spend_per_day"}), "micros_max"),
    ] {
        let answer = world.ask_json("POST", RULES, draft).await;
        assert_eq!(answer.status, 422);
        let named = answer.wrong_fields();
        assert!(named.contains(&field.to_owned()), "{field}: {named:?}");
    }
    for (body, code) in [
        (
            json!({"name": "a", "kind": "block", "id": "gr_1"}),
            "bad_json",
        ),
        (json!({"kind": "block"}), "bad_json"),
    ] {
        let answer = world.ask_json("POST", RULES, body).await;
        assert_eq!(answer.status.as_u16() / 100, 4, "{code}");
    }
    let word = world
        .ask("GET", "/api/v1/guard/explain?number=1&nothing=1")
        .await;
    assert_eq!(
        (word.status.as_u16(), word.code().as_str()),
        (400, "bad_query")
    );
    assert_eq!(names(&world).await, [(1, "kept".to_owned())]);
}

/// `days` of `days[1]`.
fn field_of(named: &str) -> &str {
    named.split('[').next().unwrap_or(named)
}

async fn explained(world: &World, query: &str) -> Value {
    let path = format!("/api/v1/guard/explain?{query}");
    let answer = world.ask("GET", &path).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

#[tokio::test]
async fn explain_names_the_rule_that_decides_and_a_dry_run_says_so() {
    let world = world().await;
    with_trunk(&world).await;
    let draft = json!({"name": "no JM", "kind": "block", "countries": ["JM"]});
    let rule = world.ask_json("POST", RULES, draft).await.json();
    let draft = json!({"name": "desk", "kind": "allow", "networks": ["192.0.2.0/24"],
        "numbers": ["+44*"]});
    world.ask_json("POST", RULES, draft).await;
    let told = explained(&world, "number=%2B1%20876%20555%200123&trunk=carrier").await;
    assert_eq!(told["decided_by"], rule["id"]);
    assert_eq!(
        (&told["verdict"], &told["reason"], &told["country"]),
        (&json!("refuse"), &json!("guard_blocked"), &json!("JM"))
    );
    assert_eq!(told["dry_run"], false);
    let number = "number=%2B442071838750";
    let told = explained(&world, &format!("{number}&ip=192.0.2.7&way=ad_hoc")).await;
    assert_eq!(told["verdict"], "dial");
    let told = explained(&world, &format!("{number}&ip=198.51.100.7")).await;
    assert_eq!(told["decided_by"], "guard.deny_unnamed");

    let path = "/api/v1/settings/guard.dry_run";
    world.ask_json("PUT", path, json!({"value": true})).await;
    let told = explained(&world, number).await;
    assert_eq!(
        (&told["dry_run"], &told["verdict"]),
        (&json!(true), &json!("refuse"))
    );

    let service = "/api/v1/guard/explain?number=urn:service:sos";
    let refused = world.ask("GET", service).await;
    assert_eq!(refused.wrong_fields(), ["number"]);
    let told = refused.json()["errors"][0]["accepted"].to_string();
    assert!(told.contains("the link `sos`"), "{told}");
    let wrong = "/api/v1/guard/explain?number=1&ip=x&at=y&way=z";
    let wrong = world.ask("GET", wrong).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.wrong_fields(), ["at", "ip", "way"]);
    for none in ["number=1&trunk=none", "number=1&link=none"] {
        let path = format!("/api/v1/guard/explain?{none}");
        assert_eq!(world.ask("GET", &path).await.status, 404, "{none}");
    }
}

#[tokio::test]
async fn explain_asks_the_guard_of_the_running_node_with_the_calls_that_are_up() {
    let mut control = Control::new(vec![trunk(1)]);
    control.change(|snapshot| {
        snapshot.guard.unnamed_allowed = true;
        snapshot.guard.concurrent_calls = 2;
    });
    let control = Arc::new(Mutex::new(control));
    let behind = Arc::clone(&control);
    let asker = answered_by(move |command| behind.lock().unwrap().order(command));
    let world = world_with(Some(asker)).await;
    with_trunk(&world).await;
    let id = trunk_id(&world);
    control
        .lock()
        .unwrap()
        .change(|snapshot| snapshot.trunks[0].id.clone_from(&id));
    let question = "number=%2B442071838750&trunk=carrier";
    for _ in 0..3 {
        assert_eq!(explained(&world, question).await["verdict"], "dial");
    }
    {
        let mut control = control.lock().unwrap();
        control.change(|snapshot| snapshot.guard.concurrent_calls = 1);
        control.answered("c1");
    }
    let told = explained(&world, question).await;
    assert_eq!(told["decided_by"], "guard.concurrent_calls");
    assert_eq!(told["trunk"], json!(id));
}
