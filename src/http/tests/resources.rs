//! Links, settings, trunks, sources and CDRs, each by its story.

use axum::body::Body;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{World, world};
use crate::cdr::record::{CallClosed, CallOpened, MediaFigures, Record};

#[tokio::test]
async fn a_link_is_made_shown_changed_and_deleted() {
    let world = world().await;
    let draft = json!({"request_path": "sales", "destination": "610", "caller_name": "Web"});
    let made = world.ask_json("POST", "/api/v1/links", draft.clone()).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header("location"), "/api/v1/links/1");
    assert_eq!(made.json()["created_by"], "command line");
    let again = world.ask_json("POST", "/api/v1/links", draft).await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (409, "duplicate")
    );

    let shown = world.ask("GET", "/api/v1/links/sales").await;
    assert_eq!(shown.json(), made.json());
    let tag = shown.header("etag").to_owned();
    assert_eq!(tag, made.header("etag"));
    let unchanged = world
        .ask_with(
            "GET",
            "/api/v1/links/1",
            &[("if-none-match", &tag)],
            Body::empty(),
        )
        .await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));

    let change = json!({"destination": "611", "caller_name": null});
    let changed = world.ask_json("PATCH", "/api/v1/links/sales", change).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["destination"], "611");
    assert!(changed.json()["caller_name"].is_null());
    assert_eq!(changed.json()["request_path"], "sales");
    assert_ne!(changed.header("etag"), tag);

    assert_eq!(world.ask("DELETE", "/api/v1/links/1").await.status, 204);
    let gone = world.ask("GET", "/api/v1/links/sales").await;
    assert_eq!(
        (gone.status.as_u16(), gone.code().as_str()),
        (404, "not_found")
    );
}

#[tokio::test]
async fn every_field_of_a_link_that_may_change_is_changed_and_null_takes_its_default() {
    let world = world().await;
    let draft = json!({"request_path": "sales", "destination": "610"});
    let made = world.ask_json("POST", "/api/v1/links", draft).await.json();
    let fixed = [
        "id",
        "request_path",
        "created_by",
        "created_at",
        "updated_at",
    ];
    let changes = json!({
        "destination": "611@example.com",
        "display_name": "Sales",
        "caller_name": "Web guest",
        "caller_alias": "web",
        "unique_alias": true,
        "allow_custom_caller_name": true,
        "enabled": false,
        "valid_after": "2026-01-01T00:00:00Z",
        "valid_before": "9000-01-01T00:00:00Z",
        "trunk": null,
        "auto_call_after_s": 7,
        "video_policy": "inactive",
    });
    let fields = changes.as_object().unwrap();
    for name in made.as_object().unwrap().keys() {
        let may_change = !fixed.contains(&name.as_str());
        assert_eq!(fields.contains_key(name), may_change, "{name}");
    }
    for (name, value) in fields {
        let mut change = serde_json::Map::new();
        change.insert(name.clone(), value.clone());
        let changed = world
            .ask_json("PATCH", "/api/v1/links/sales", Value::Object(change))
            .await;
        assert_eq!(changed.status, 200, "{name}: {}", changed.json());
        assert_eq!(changed.json()[name], *value, "{name}");
    }
    let all = world.ask("GET", "/api/v1/links/sales").await.json();
    for (name, value) in fields {
        assert_eq!(all[name], *value, "{name} stays when others change");
    }
    for (name, value) in fields {
        if value.is_string() && name != "destination" || value.is_number() {
            let mut change = serde_json::Map::new();
            change.insert(name.clone(), Value::Null);
            let cleared = world
                .ask_json("PATCH", "/api/v1/links/sales", Value::Object(change))
                .await;
            assert!(cleared.json()[name].is_null(), "{name}");
        }
    }
    for name in fixed {
        let mut change = serde_json::Map::new();
        change.insert(name.to_owned(), made[name].clone());
        let refused = world
            .ask_json("PATCH", "/api/v1/links/sales", Value::Object(change))
            .await;
        assert_eq!(refused.status.as_u16() / 100, 4, "{name} never changes");
    }
}

#[tokio::test]
async fn a_number_that_is_one_links_id_and_anothers_path_is_refused() {
    let world = world().await;
    for (path, destination) in [("2", "first"), ("610", "second")] {
        let draft = json!({"request_path": path, "destination": destination});
        world.ask_json("POST", "/api/v1/links", draft).await;
    }
    let shown = async |name: &str| {
        let answer = world.ask("GET", &format!("/api/v1/links/{name}")).await;
        answer.json()["destination"].clone()
    };
    let delete = world.ask("DELETE", "/api/v1/links/2").await;
    assert_eq!(
        (delete.status.as_u16(), delete.wrong_fields()),
        (422, vec!["id".to_owned()])
    );
    assert_eq!(shown("%232").await, "second");
    assert_eq!(shown("%2F2").await, "first");
    assert_eq!(shown("610").await, "second");
    let by_path = world
        .ask("GET", "/api/v1/links?request_path=2")
        .await
        .json();
    assert_eq!(by_path["links"][0]["destination"], "first");
}

#[tokio::test]
async fn a_request_path_never_changes_and_read_only_fields_are_refused_by_name() {
    let world = world().await;
    world
        .ask_json(
            "POST",
            "/api/v1/links",
            json!({"request_path": "a", "destination": "610"}),
        )
        .await;
    let change = json!({"request_path": "b", "id": 7, "created_at": "2026-01-01T00:00:00Z"});
    let answer = world.ask_json("PATCH", "/api/v1/links/a", change).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.wrong_fields(), ["created_at", "id", "request_path"]);
}

#[tokio::test]
async fn every_wrong_field_of_a_link_is_named_at_once() {
    let world = world().await;
    let draft = json!({
        "request_path": "a/b", "destination": "6 1 0", "caller_alias": "not an alias",
        "valid_after": "soon", "trunk": "none", "display_name": "a\u{0}b",
    });
    let answer = world.ask_json("POST", "/api/v1/links", draft).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (422, "invalid_fields")
    );
    let wrong = answer.wrong_fields();
    let expected = [
        "caller_alias",
        "destination",
        "display_name",
        "request_path",
        "trunk",
        "valid_after",
    ];
    assert_eq!(wrong, expected);
}

#[tokio::test]
async fn of_two_who_change_the_same_the_second_is_told() {
    let world = world().await;
    world
        .ask_json(
            "POST",
            "/api/v1/links",
            json!({"request_path": "a", "destination": "610"}),
        )
        .await;
    let trunk = json!({"label": "t", "targets": ["192.0.2.1:5060"]});
    world.ask_json("POST", "/api/v1/trunks", trunk).await;
    let phone = json!({"name": "610", "password": "a long password"});
    world.ask_json("POST", "/api/v1/extensions", phone).await;
    let rule = |number: &str| json!({"name": "r", "kind": "block", "numbers": [number]});
    world
        .ask_json("POST", "/api/v1/guard/rules", rule("+1876*"))
        .await;
    for (path, method, change) in [
        (
            "/api/v1/extensions/610",
            "PATCH",
            json!({"display_name": "Desk"}),
        ),
        ("/api/v1/guard/rules/r", "PUT", rule("+1658*")),
        ("/api/v1/links/a", "PATCH", json!({"destination": "611"})),
        ("/api/v1/trunks/t", "PATCH", json!({"priority": 7})),
        (
            "/api/v1/settings/links.expiry_days",
            "PUT",
            json!({"value": 7}),
        ),
    ] {
        let tag = world.ask("GET", path).await.header("etag").to_owned();
        let headers = [
            ("content-type", "application/json"),
            ("if-match", tag.as_str()),
        ];
        let first = world
            .ask_with(method, path, &headers, change.to_string())
            .await;
        assert_eq!(first.status, 200, "{path}");
        let second = world
            .ask_with(method, path, &headers, change.to_string())
            .await;
        assert_eq!(
            (second.status.as_u16(), second.code().as_str()),
            (412, "changed")
        );
        let delete = world
            .ask_with("DELETE", path, &headers[1..], Body::empty())
            .await;
        assert_eq!(delete.status, 412, "{path}");
        let tag = first.header("etag").to_owned();
        let delete = world
            .ask_with("DELETE", path, &[("if-match", &tag)], Body::empty())
            .await;
        assert_eq!(delete.status, 204, "{path}");
    }
}

#[tokio::test]
async fn lists_are_read_page_by_page_without_a_gap() {
    let world = world().await;
    for index in 0..25 {
        let draft = json!({"request_path": format!("p{index}"), "destination": "610"});
        world.ask_json("POST", "/api/v1/links", draft).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .ask("GET", &format!("/api/v1/links?limit=10&total=true{cursor}"))
            .await
            .json();
        assert_eq!(page["total"], 25);
        let links = page["links"].as_array().unwrap();
        seen.extend(links.iter().map(|link| link["id"].as_i64().unwrap()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=25).collect::<Vec<i64>>());
    let found = world.ask("GET", "/api/v1/links?search=P24").await.json();
    assert_eq!(found["links"].as_array().unwrap().len(), 1);
    for query in ["limit=0", "limit=1001", "cursor=x", "cursor=-1"] {
        let answer = world.ask("GET", &format!("/api/v1/links?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.wrong_fields().len()),
            (422, 1),
            "{query}"
        );
    }
}

#[tokio::test]
async fn what_is_exported_is_imported_and_bad_lines_are_named() {
    let world = world().await;
    let mut lines = String::new();
    for index in 0..1_500 {
        lines.push_str(&format!(
            "{{\"request_path\": \"p{index}\", \"destination\": \"610\"}}\n"
        ));
    }
    lines.push_str("\n{\"request_path\": \"p7\", \"destination\": \"610\"}\nnot json\n");
    lines.push_str("{\"destination\": \"6 1\", \"created_by\": \"me\", \"enabled\": 1}");
    let ndjson = [("content-type", "application/x-ndjson")];
    let answer = world
        .ask_with("POST", "/api/v1/import/links", &ndjson, lines)
        .await;
    assert_eq!(answer.status, 200);
    let reports: Vec<Value> = answer
        .body
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let refused: Vec<(u64, Value)> = reports
        .iter()
        .filter(|report| report["state"] == "refused")
        .map(|report| {
            (
                report["line"].as_u64().unwrap(),
                report["errors"][0]["field"].clone(),
            )
        })
        .collect();
    assert_eq!(refused[0], (1_502, json!("request_path")));
    assert_eq!(refused[1], (1_503, json!("")));
    assert_eq!(refused[2].0, 1_504);
    let last = reports.last().unwrap();
    assert_eq!(
        (&last["state"], &last["stored"], &last["refused"]),
        (&json!("done"), &json!(1_500), &json!(3))
    );
    let exported = world.ask("GET", "/api/v1/export/links").await.body;
    assert_eq!(
        exported.iter().filter(|octet| **octet == b'\n').count(),
        1_500
    );
    let other = super::world().await;
    let answer = other
        .ask_with("POST", "/api/v1/import/links", &ndjson, exported.clone())
        .await;
    assert!(String::from_utf8_lossy(&answer.body).contains("\"stored\":1500,\"refused\":0"));
    assert_eq!(
        other.ask("GET", "/api/v1/export/links").await.body,
        exported
    );
}

#[tokio::test]
async fn settings_are_listed_with_everything_changed_and_reset() {
    let world = world().await;
    let all = world.ask("GET", "/api/v1/settings").await.json();
    for setting in all["settings"].as_array().unwrap() {
        assert_eq!(setting["value"], setting["default"], "{setting}");
        assert!(setting["accepted"].as_str().unwrap().len() > 5, "{setting}");
    }
    let path = "/api/v1/settings/links.hide_state";
    let set = world.ask_json("PUT", path, json!({"value": true})).await;
    assert_eq!(set.json()["value"], true);
    assert!(world.store.snapshot().settings.hide_state);
    assert_eq!(set.json()["is_default"], false);
    for value in [json!("perhaps"), json!([true]), json!(null), json!(7)] {
        let answer = world.ask_json("PUT", path, json!({ "value": value })).await;
        assert_eq!(answer.status, 422, "{value}");
    }
    assert_eq!(world.ask("DELETE", path).await.status, 204);
    assert!(!world.store.snapshot().settings.hide_state);
    let unknown = world.ask("GET", "/api/v1/settings/links.hide").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code().as_str()),
        (404, "unknown_setting")
    );
    assert!(
        unknown.json()["detail"]
            .as_str()
            .unwrap()
            .contains("links.hide_state")
    );
}

#[tokio::test]
async fn a_trunk_never_shows_its_password_and_is_kept_while_links_need_it() {
    let world = world().await;
    let draft = json!({
        "label": "carrier", "preset": "carrier", "targets": ["192.0.2.1:5060"],
        "username": "u", "password": "correct-horse",
    });
    let made = world
        .ask_json("POST", "/api/v1/trunks", draft.clone())
        .await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let trunk = made.json();
    assert_eq!(trunk["has_password"], true);
    assert_eq!(
        made.header("location"),
        format!("/api/v1/trunks/{}", trunk["id"].as_str().unwrap())
    );
    assert_eq!(
        world.ask_json("POST", "/api/v1/trunks", draft).await.status,
        409
    );
    let changed = world
        .ask_json("PATCH", "/api/v1/trunks/carrier", json!({"priority": 3}))
        .await;
    assert_eq!(changed.json()["priority"], 3);
    assert_eq!(
        changed.json()["identity"],
        "pai",
        "the preset's value stays"
    );
    let password = |world: &World| world.store.snapshot().trunks[0].password.clone();
    assert_eq!(password(&world).unwrap().expose(), "correct-horse");
    for path in ["/api/v1/trunks", "/api/v1/trunks/carrier"] {
        let body = world.ask("GET", path).await.body;
        assert!(!String::from_utf8_lossy(&body).contains("horse"));
    }
    let wrong = json!({"password_file": "/etc/shadow", "weight": 0, "id": "tr_1", "password": 7});
    let answer = world
        .ask_json("PATCH", "/api/v1/trunks/carrier", wrong)
        .await;
    assert_eq!(
        answer.wrong_fields(),
        ["id", "password", "password_file", "weight"]
    );
    assert!(!String::from_utf8_lossy(&answer.body).contains("root"));
    let gone = world
        .ask_json("PATCH", "/api/v1/trunks/carrier", json!({"password": null}))
        .await;
    assert_eq!(gone.json()["has_password"], false);

    let link = json!({"request_path": "pinned", "destination": "610", "trunk": "carrier"});
    world.ask_json("POST", "/api/v1/links", link).await;
    let refused = world.ask("DELETE", "/api/v1/trunks/carrier").await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (409, "in_use")
    );
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("pinned")
    );
    assert_eq!(
        world
            .ask("DELETE", "/api/v1/trunks/carrier?force")
            .await
            .status,
        204
    );
    let patched = world
        .ask_json("PATCH", "/api/v1/links/pinned", json!({"enabled": false}))
        .await;
    assert_eq!(
        patched.status, 200,
        "a pin to a trunk that is gone does not hinder"
    );
}

#[tokio::test]
async fn many_trunks_are_applied_all_or_none() {
    let world = world().await;
    let two = json!({"trunks": [
        {"label": "a", "targets": ["192.0.2.1:5060"]},
        {"label": "b", "targets": ["192.0.2.2:5060"], "weight": 0},
    ]});
    let answer = world
        .ask_json("POST", "/api/v1/apply/trunks", two.clone())
        .await;
    assert_eq!(answer.wrong_fields(), ["trunks[1].weight"]);
    assert!(world.store.snapshot().trunks.is_empty());
    let mut good = two;
    good["trunks"][1]["weight"] = json!(2);
    for result in ["created", "unchanged"] {
        let answer = world
            .ask_json("POST", "/api/v1/apply/trunks", good.clone())
            .await;
        for applied in answer.json()["applied"].as_array().unwrap() {
            assert_eq!(applied["result"], result);
        }
    }
}

#[tokio::test]
async fn sources_keep_their_order() {
    let world = world().await;
    let names = async || {
        let list = world.ask("GET", "/api/v1/sources").await.json();
        let names: Vec<String> = list["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|source| source["name"].as_str().unwrap().to_owned())
            .collect();
        names.join(" ")
    };
    for name in ["a", "b c", "d"] {
        let source = json!({"name": name, "networks": ["192.0.2.0/24"], "links": "all"});
        let made = world.ask_json("POST", "/api/v1/sources", source).await;
        assert_eq!(made.status, 201);
        let shown = world.ask("GET", made.header("location")).await;
        assert_eq!(shown.json()["name"], name);
    }
    let first = json!({"name": "e", "networks": ["10.0.0.0/8"], "position": 1});
    world
        .ask_json("POST", "/api/v1/sources", first.clone())
        .await;
    assert_eq!(names().await, "e a b c d");
    let again = world.ask_json("POST", "/api/v1/sources", first).await;
    assert_eq!(again.status, 409);
    world
        .ask_json(
            "PATCH",
            "/api/v1/sources/e",
            json!({"position": 9, "links": ["x"]}),
        )
        .await;
    assert_eq!(names().await, "a b c d e");
    let moved = world.ask("GET", "/api/v1/sources/e").await.json();
    assert_eq!(
        (&moved["links"], &moved["position"]),
        (&json!(["x"]), &json!(4))
    );
    assert_eq!(
        world.ask("DELETE", "/api/v1/sources/b%20c").await.status,
        204
    );
    assert_eq!(names().await, "a d e");
    let list = world.ask("GET", "/api/v1/sources").await.json();
    let same = world.ask_json("PUT", "/api/v1/sources", list.clone()).await;
    assert_eq!(same.json(), list, "a list may be sent back as it was read");
    let wrong = json!({"sources": [{"name": "x", "networks": ["10.0.0.0/33"]}]});
    let answer = world.ask_json("PUT", "/api/v1/sources", wrong).await;
    assert_eq!(answer.wrong_fields(), ["sources[0].networks"]);
    assert_eq!(names().await, "a d e");
}

async fn call(world: &World, name: &str, at: &str, caller: &str, cause: &str) {
    let records = world.store.records();
    let at: Timestamp = at.parse().unwrap();
    let opened = CallOpened {
        call: name.to_owned(),
        at,
        source: "office".to_owned(),
        source_address: "192.0.2.7:5060".to_owned(),
        call_id: format!("{name}@x"),
        request_path: "sales".to_owned(),
        caller: caller.to_owned(),
    };
    records.send(Record::CallOpened(opened)).await.unwrap();
    let closed = CallClosed {
        call: name.to_owned(),
        at,
        answered_at: None,
        status: 486,
        released_by: "terminating".to_owned(),
        cause: cause.to_owned(),
        link: Some(1),
        q850: None,
        media: MediaFigures::default(),
    };
    records.send(Record::CallClosed(closed)).await.unwrap();
    world.store.flush().await.unwrap();
}

#[tokio::test]
async fn cdrs_are_filtered_paged_and_exported_without_formulas() {
    let world = world().await;
    for (index, (caller, cause)) in [
        ("Ann", "busy"),
        ("=cmd|' /C calc'!A0", "normal"),
        ("Eve", "busy"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = format!("2026-01-0{}T00:00:00Z", index + 1);
        call(&world, &format!("c{index}"), &at, caller, cause).await;
    }
    let names = async |query: &str| {
        let list = world
            .ask("GET", &format!("/api/v1/cdrs?{query}"))
            .await
            .json();
        let calls = list["calls"]
            .as_array()
            .unwrap_or_else(|| panic!("{list}"))
            .clone();
        let names: Vec<String> = calls
            .iter()
            .map(|call| call["call"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), list["next"].clone())
    };
    assert_eq!(names("").await, ("c2 c1 c0".to_owned(), Value::Null));
    assert_eq!(names("cause=busy").await.0, "c2 c0");
    assert_eq!(
        names("from=2026-01-02T00:00:00Z&to=2026-01-03T00:00:00Z")
            .await
            .0,
        "c1"
    );
    assert_eq!(names("link=2").await.0, "");
    assert_eq!(names("trunk=tr_0123456789ab").await.0, "", "it may be gone");
    for unknown in ["nix", "tr_", "tr_0123456789xy", "tr_0123456789abc"] {
        for path in ["cdrs", "export/cdrs"] {
            let path = format!("/api/v1/{path}?trunk={unknown}");
            let refused = world.ask("GET", &path).await;
            assert_eq!(refused.status, 422, "{path}");
            assert_eq!(refused.wrong_fields(), ["trunk"]);
        }
    }
    let (first, next) = names("limit=2").await;
    assert_eq!(first, "c2 c1");
    let second = names(&format!("limit=2&cursor={}", next.as_str().unwrap())).await;
    assert_eq!(second, ("c0".to_owned(), Value::Null));
    assert_eq!(
        world.ask("GET", "/api/v1/cdrs/c1").await.json()["cause"],
        "normal"
    );
    assert_eq!(world.ask("GET", "/api/v1/cdrs/none").await.status, 404);
    let wrong = world.ask("GET", "/api/v1/cdrs?from=x&to=y").await;
    assert_eq!(wrong.wrong_fields(), ["from", "to"]);

    let export = world.ask("GET", "/api/v1/export/cdrs").await;
    let text = String::from_utf8(export.body.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains(",'=cmd|' /C calc'!A0,"), "{text}");
}

#[tokio::test]
async fn old_calls_are_deleted_after_the_days_of_the_setting() {
    let world = world().await;
    call(&world, "old", "2026-01-01T00:00:00Z", "Ann", "busy").await;
    call(&world, "new", "2026-01-09T00:00:00Z", "Ann", "busy").await;
    let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
    let deleted = async || {
        crate::cdr::query::delete_old(&world.store, now)
            .await
            .unwrap()
    };
    assert_eq!(deleted().await, 0, "0 days keep them for ever");
    let path = "/api/v1/settings/cdr.retention_days";
    world.ask_json("PUT", path, json!({"value": 5})).await;
    assert_eq!(deleted().await, 1);
    assert_eq!(world.ask("GET", "/api/v1/cdrs/old").await.status, 404);
    assert_eq!(world.ask("GET", "/api/v1/cdrs/new").await.status, 200);
}
