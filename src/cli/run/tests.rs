//! The command line through its library functions: arguments in, text and outcome out.

use std::fs;

use clap::{CommandFactory as _, Parser as _};

use super::*;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        world.configure("");
        world
    }

    fn configure(&self, more: &str) {
        let data = self.folder.path().join("data");
        let text = format!("[node]\ndata = {data:?}\n{more}");
        fs::write(self.folder.path().join("sluice.toml"), text).unwrap();
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Outcome, results, errors.
    fn run(&self, words: &[&str]) -> (Outcome, String, String) {
        let config = self.folder.path().join("sluice.toml");
        let mut line = vec!["sluice", "--config", config.to_str().unwrap()];
        line.extend(words);
        run_line(&line)
    }

    fn done(&self, words: &[&str]) -> String {
        let (outcome, results, errors) = self.run(words);
        assert_eq!(outcome, Outcome::Done, "{words:?}: {errors}");
        results
    }
}

fn run_line(line: &[&str]) -> (Outcome, String, String) {
    let arguments = Arguments::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    let json = arguments.json;
    let outcome = run(
        &arguments,
        &mut Output::new(&mut results, &mut errors, json),
    );
    (
        outcome,
        String::from_utf8(results).unwrap(),
        String::from_utf8(errors).unwrap(),
    )
}

#[test]
fn the_arguments_hold_together() {
    Arguments::command().debug_assert();
}

#[test]
fn help_has_a_commands_own_options_before_those_of_all() {
    let mut command = Arguments::command();
    command.build();
    let list = command
        .find_subcommand_mut("links")
        .and_then(|links| links.find_subcommand_mut("list"))
        .unwrap();
    let help = list.render_long_help().to_string();
    let (own, common) = help.split_once("Options of every command:").unwrap();
    assert!(
        own.contains("--search") && own.contains("--after"),
        "{help}"
    );
    assert!(
        common.contains("--config") && common.contains("--token"),
        "{help}"
    );
    assert!(
        !own.contains("--url") && !common.contains("--rows"),
        "{help}"
    );
}

#[test]
fn doctor_finds_a_fresh_database_private_and_every_line_readable() {
    let world = World::new();
    world.done(&["links", "add", "a", "--destination", "610"]);
    let (_, results, _) = world.run(&["doctor"]);
    let database = results
        .lines()
        .find(|line| line.contains("database"))
        .unwrap();
    assert!(database.starts_with("good"), "{results}");
    assert!(!results.contains("\\n"), "{results}");
}

#[test]
fn limits_name_what_binds_and_how_media_meets_the_kernel() {
    let world = World::new();
    world.configure("[limits]\ncalls_max = 7\n[media]\nbackend = \"epoll\"\n");
    let table = world.done(&["limits"]);
    for words in [
        "calls at once, bound by limits.calls_max",
        "no io_uring: switched off by configuration",
    ] {
        assert!(table.contains(words), "{words} in\n{table}");
    }
    let sheet: serde_json::Value =
        serde_json::from_str(&world.done(&["limits", "--json"])).unwrap();
    assert_eq!(sheet["calls_max"], 7);
    assert_eq!(sheet["media_io"], "epoll");
    let bounds = sheet["bounds"].as_array().unwrap();
    let value = |name: &str| {
        let bound = bounds.iter().find(|bound| bound["name"] == name);
        bound.unwrap_or_else(|| panic!("{name}"))["value"].as_u64()
    };
    assert!(value("sip.calls_max") > Some(7));
    assert!(value("media.browser_legs_max") >= Some(2));
    assert_eq!(value("browser.connections_per_client_max"), Some(32));
    let (outcome, _, errors) = run_line(&["sluice", "--config", "/none", "limits"]);
    assert_eq!(outcome, Outcome::Misconfigured);
    assert!(errors.contains("no such file"), "{errors}");
}

#[test]
fn a_link_is_added_listed_shown_and_deleted() {
    let world = World::new();
    world.done(&[
        "links",
        "add",
        "sales",
        "-d",
        "610@pbx.example",
        "--caller-name",
        "Web guest",
    ]);
    let list = world.done(&["links", "list"]);
    assert!(
        list.contains("sales") && list.contains("610@pbx.example"),
        "{list}"
    );
    let shown = world.done(&["links", "show", "sales", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["caller_name"], "Web guest");
    assert_eq!(shown["created_by"], "command line");
    assert_eq!(
        world.done(&["links", "delete", "1"]),
        "deleted link 1 (sales)\n"
    );
    let (outcome, _, errors) = world.run(&["links", "show", "sales"]);
    assert_eq!(
        (outcome, errors.as_str()),
        (Outcome::Refused, "no link `sales`\n")
    );
}

#[test]
fn a_request_path_can_be_random_or_the_destination() {
    let world = World::new();
    let random = world.done(&["links", "add", "-d", "610", "--json"]);
    let random: serde_json::Value = serde_json::from_str(&random).unwrap();
    assert_eq!(random["request_path"].as_str().unwrap().len(), 22);
    let same = world.done(&[
        "links",
        "add",
        "--path-from-destination",
        "-d",
        "611",
        "--json",
    ]);
    let same: serde_json::Value = serde_json::from_str(&same).unwrap();
    assert_eq!(
        (&same["request_path"], &same["destination"]),
        (&"611".into(), &"611".into())
    );
    for words in [&["links", "add"][..], &["links", "add", "only-a-path"]] {
        let line: Vec<&str> = ["sluice"].iter().chain(words).copied().collect();
        Arguments::try_parse_from(line).unwrap_err();
    }
}

#[test]
fn a_bad_link_is_refused_with_every_wrong_field() {
    let world = World::new();
    let (outcome, _, errors) = world.run(&[
        "links",
        "add",
        "a/b",
        "-d",
        "a b",
        "--trunk",
        "none",
        "--valid-after",
        "soon",
    ]);
    assert_eq!(outcome, Outcome::Refused);
    for field in ["request_path:", "destination:", "trunk:", "valid_after:"] {
        assert!(errors.contains(field), "{errors}");
    }
    world.done(&["links", "add", "a", "-d", "610"]);
    let (_, _, errors) = world.run(&["links", "add", "a", "-d", "610"]);
    assert_eq!(errors, "request_path `a` is there already\n");
}

#[test]
fn an_import_names_the_lines_it_refuses() {
    let world = World::new();
    let mut text = String::new();
    for index in 0..2_500 {
        text.push_str(&format!(
            "{{\"request_path\": \"p{index}\", \"destination\": \"610\"}}\n"
        ));
    }
    text.push_str("\n{\"request_path\": \"p7\", \"destination\": \"610\"}\n");
    text.push_str("{\"request_path\": \"x/y\", \"destination\": \"6 1\"}\nnot json\n");
    text.push_str("{\"destination\": \"610\", \"colour\": \"red\"}\n");
    let file = world.file("links.jsonl", &text);
    let (outcome, results, errors) = world.run(&["links", "import", &file]);
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(results, "2500 links stored, 4 lines refused\n");
    for start in [
        "line 2502: request_path: found `p7`, accepted: ",
        "line 2503: destination",
        "line 2504: ",
        "line 2505: ",
    ] {
        assert!(
            errors.lines().any(|line| line.starts_with(start)),
            "{start} is not in {errors}"
        );
    }
    let list = world.done(&["links", "list", "--json", "--rows", "2"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (
            list["total"].as_i64(),
            list["links"].as_array().unwrap().len()
        ),
        (Some(2_500), 2)
    );
    let (outcome, _, errors) = world.run(&["links", "import", "no/such/file"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.starts_with("no/such/file: "), "{errors}");
}

#[test]
fn settings_are_shown_and_changed_and_unknown_ones_are_answered_with_all_keys() {
    let world = World::new();
    assert!(
        world
            .done(&["settings", "show"])
            .contains("guard.deny_unnamed")
    );
    world.done(&["settings", "set", "links.default_caller_name", "Visitor"]);
    let shown = world.done(&["settings", "show", "links.default_caller_name"]);
    assert!(shown.contains("Visitor"), "{shown}");
    let (outcome, _, errors) = world.run(&["settings", "set", "links.name", "x"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("links.default_caller_name"), "{errors}");
    let (outcome, _, errors) = world.run(&["settings", "set", "links.expiry_days", "-1"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("0 to 36500"), "{errors}");
}

#[test]
fn trunks_are_applied_and_listed_without_their_password() {
    let world = World::new();
    world.file("secret", "correct-horse");
    let file = world.file(
        "trunks.toml",
        "[[trunk]]\nlabel = \"carrier\"\npreset = \"carrier\"\ntargets = [\"192.0.2.1:5060\"]\n\
         username = \"u\"\npassword_file = \"secret\"\n",
    );
    let applied = world.done(&["trunks", "apply", &file]);
    assert!(applied.starts_with("created carrier (tr_"), "{applied}");
    assert!(
        world
            .done(&["trunks", "apply", &file])
            .starts_with("unchanged carrier")
    );
    for words in [&["trunks", "list"][..], &["trunks", "list", "--json"]] {
        let list = world.done(words);
        assert!(
            list.contains("192.0.2.1:5060") && !list.contains("horse"),
            "{list}"
        );
    }
    world.done(&["links", "add", "a", "-d", "610", "--trunk", "carrier"]);
    let bad = world.file(
        "bad.toml",
        "[[trunk]]\nlabel = \"x\"\ntargets = [\"nowhere\"]\n",
    );
    let (outcome, _, errors) = world.run(&["trunks", "apply", &bad]);
    assert_eq!(outcome, Outcome::Misconfigured);
    assert!(errors.contains("bad.toml:3: trunk[1].targets"), "{errors}");
}

#[test]
fn sources_are_replaced_as_a_whole_and_listed_in_order() {
    let world = World::new();
    world.configure("[[source]]\nname = \"old\"\nnetworks = [\"10.0.0.0/8\"]\n");
    assert!(world.done(&["sources", "list"]).contains("10.0.0.0/8"));
    let file = world.file(
        "sources.toml",
        "[[source]]\nname = \"b\"\nnetworks = [\"192.0.2.1\"]\nlinks = \"all\"\n\
         [[source]]\nname = \"a\"\nnetworks = [\"192.0.2.0/24\"]\nlinks = [\"x\"]\n",
    );
    let list = world.done(&["sources", "apply", &file]);
    let names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["NAME", "b", "a"]);
    assert_eq!(world.done(&["sources", "list"]), list);
    let twice = "[[source]]\nname = \"a\"\nnetworks = [\"192.0.2.1\"]\n".repeat(2);
    let (outcome, _, errors) = world.run(&["sources", "apply", &world.file("twice.toml", &twice)]);
    assert_eq!(
        (outcome, errors.as_str()),
        (Outcome::Refused, "source `a` is there already\n")
    );
    assert_eq!(world.done(&["sources", "list"]), list);
}

#[test]
fn check_config_says_good_or_every_problem() {
    let world = World::new();
    assert!(world.done(&["check-config"]).contains(": good ("));
    let carrier =
        "[[trunk]]\nlabel = \"out\"\ntargets = [\"192.0.2.1:5060\"]\npreset = \"carrier\"\n";
    let named = format!("{carrier}[trunk.dial_plan]\nregion = \"GB\"\n");
    for (text, warns) in [(carrier, true), (&named, false)] {
        let file = world.file("carrier.toml", text);
        let told = world.done(&["check-config", &file]);
        assert_eq!(told.contains("warning: trunk `out`"), warns, "{told}");
    }
    let bad = world.file(
        "bad.toml",
        "[sip]\nlisten = [\"x\"]\n[media]\nbackend = \"y\"\n",
    );
    let (outcome, _, errors) = world.run(&["check-config", &bad]);
    assert_eq!(outcome.exit_code(), 2);
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert!(
        !world.folder.path().join("data").exists(),
        "nothing was started or made"
    );
}

#[test]
fn without_a_configuration_file_the_error_says_what_to_do() {
    let (outcome, _, errors) = run_line(&["sluice", "--config", "no/such/file", "links", "list"]);
    assert_eq!(outcome, Outcome::Misconfigured);
    assert!(errors.contains("--config FILE"), "{errors}");
}

#[test]
fn the_first_command_brings_the_tables_of_the_file_along() {
    let world = World::new();
    world.configure("[[link]]\nrequest_path = \"echo\"\ndestination = \"local:echo\"\n");
    world.done(&["links", "add", "a", "-d", "610"]);
    let list = world.done(&["links", "list"]);
    assert!(list.contains("local:echo"), "{list}");
}

#[test]
fn no_calls_are_an_empty_list() {
    let world = World::new();
    assert_eq!(world.done(&["cdr", "list", "--json"]), "[]\n");
    assert_eq!(world.done(&["cdr", "list"]).lines().count(), 1);
    let (outcome, _, refused) = world.run(&["cdr", "list", "--trunk", "nix"]);
    assert_ne!(outcome, Outcome::Done);
    assert!(refused.contains("trunk: found `nix`"), "{refused}");
}

#[test]
fn a_link_is_changed_and_all_are_exported_as_they_are_imported() {
    let world = World::new();
    world.done(&["links", "add", "a", "-d", "610", "--caller-name", "Web"]);
    world.done(&["links", "add", "610", "-d", "611"]);
    let words = [
        "links",
        "set",
        "a",
        "-d",
        "612",
        "--caller-name",
        "",
        "--enabled",
        "false",
    ];
    let shown = world.done(&words);
    assert!(shown.contains("612") && !shown.contains("Web"), "{shown}");
    let shown = world.done(&["links", "show", "610"]);
    assert!(
        shown.contains("611"),
        "a path is found before an id: {shown}"
    );
    let exported = world.done(&["links", "export"]);
    assert_eq!(
        exported.lines().next(),
        Some("{\"destination\":\"612\",\"request_path\":\"a\",\"enabled\":false}")
    );
    let other = World::new();
    let file = other.file("links.jsonl", &exported);
    assert_eq!(
        other.done(&["links", "import", &file]),
        "2 links stored, 0 lines refused\n"
    );
    assert_eq!(other.done(&["links", "export"]), exported);
}

#[test]
fn a_setting_is_shown_with_what_it_takes_and_reset() {
    let world = World::new();
    world.done(&["settings", "set", "links.expiry_days", "7"]);
    let shown = world.done(&["settings", "show", "links.expiry_days"]);
    assert!(shown.contains("0 to 36500"), "{shown}");
    let reset = world.done(&["settings", "reset", "links.expiry_days", "--json"]);
    assert_eq!(reset, "{\n  \"links.expiry_days\": 0\n}\n");
}

#[test]
fn a_trunk_is_shown_changed_and_kept_while_links_need_it() {
    let world = World::new();
    let file = world.file(
        "trunks.toml",
        "[[trunk]]\nlabel = \"carrier\"\npreset = \"carrier\"\ntargets = [\"192.0.2.1:5060\"]\n",
    );
    world.done(&["trunks", "apply", &file]);
    let secret = world.file("secret", "correct-horse\n");
    let words = [
        "trunks",
        "set",
        "carrier",
        "priority=7",
        "patterns=+49*,610",
        "enabled=false",
        "failover_codes=500,503",
        "from_host=gw.example",
        "username=u",
        "--password-file",
        &secret,
    ];
    let shown = world.done(&words);
    for line in ["priority", "+49* 610", "500 503", "gw.example"] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    assert!(!shown.contains("horse"), "{shown}");
    let shown = world.done(&["trunks", "set", "carrier", "from_host="]);
    assert!(!shown.contains("gw.example"), "{shown}");
    let (outcome, _, errors) = world.run(&["trunks", "set", "carrier", "weight=0", "colour=red"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(
        errors.contains("weight: ") && errors.contains("colour: "),
        "{errors}"
    );
    let (outcome, _, _) = world.run(&["trunks", "set", "carrier", "weight"]);
    assert_eq!(outcome, Outcome::Misconfigured);
    world.done(&["links", "add", "pinned", "-d", "610", "--trunk", "carrier"]);
    let (outcome, _, errors) = world.run(&["trunks", "delete", "carrier"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("pinned"), "{errors}");
    world.done(&["trunks", "delete", "carrier", "--force"]);
    assert_eq!(world.done(&["trunks", "list"]).lines().count(), 1);
}

#[test]
fn the_guard_explains_by_the_label_it_was_asked_with() {
    let world = World::new();
    let file = world.file(
        "trunks.toml",
        "[[trunk]]\nlabel = \"cucm\"\ntargets = [\"192.0.2.20:5060\"]\n",
    );
    world.done(&["trunks", "apply", &file]);
    let told = world.done(&["guard", "explain", "610", "--trunk", "cucm"]);
    assert!(told.starts_with("dialled   610 on cucm (tr_"), "{told}");
}

#[test]
fn sources_are_added_moved_and_deleted() {
    let world = World::new();
    let words = [
        "sources",
        "add",
        "b",
        "--network",
        "192.0.2.0/24",
        "--links",
        "x,y",
    ];
    assert!(world.done(&words).contains("x y"));
    world.done(&[
        "sources",
        "add",
        "a",
        "--network",
        "10.0.0.0/8",
        "--position",
        "1",
    ]);
    world.done(&["sources", "set", "b", "--links", "all", "--ad-hoc", "true"]);
    let list = world.done(&["sources", "list"]);
    let names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["NAME", "a", "b"]);
    world.done(&["sources", "delete", "a"]);
    assert_eq!(world.done(&["sources", "list"]).lines().count(), 2);
}

#[test]
fn a_token_is_printed_alone_and_once() {
    let world = World::new();
    let (outcome, token, errors) =
        world.run(&["tokens", "add", "portal", "--scope", "links:read,resolve"]);
    assert_eq!(outcome, Outcome::Done, "{errors}");
    assert_eq!((token.trim_end().len(), token.lines().count()), (46, 1));
    assert!(errors.contains("links:read"), "{errors}");
    let list = world.done(&["tokens", "list"]);
    assert!(list.contains("portal") && !list.contains("sl_"), "{list}");
    let (outcome, _, errors) = world.run(&["tokens", "add", "x", "--scope", "links:erase"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("links:write"), "{errors}");
    world.done(&["tokens", "revoke", "1"]);
    assert_eq!(world.done(&["tokens", "list"]).lines().count(), 1);
}

#[test]
fn a_node_that_is_not_reached_is_exit_code_3_and_no_http_url_is_2() {
    // The discard port of a machine that has no such service.
    let words = [
        "sluice",
        "--url",
        "http://127.0.0.1:9",
        "--token",
        "x",
        "links",
        "list",
    ];
    let (outcome, _, errors) = run_line(&words);
    assert_eq!(outcome.exit_code(), 3);
    assert!(errors.contains("127.0.0.1:9 cannot be reached"), "{errors}");
    let (outcome, _, errors) = run_line(&["sluice", "--url", "https://x", "links", "list"]);
    assert_eq!(outcome.exit_code(), 2);
    assert!(errors.contains("https"), "{errors}");
}

#[test]
fn commands_reach_a_node_by_its_socket_and_by_url_with_a_token() {
    use crate::http::{HttpState, Listener, serve};
    use crate::storage::Store;

    let world = World::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = Config::load(&world.folder.path().join("sluice.toml")).unwrap();
    let (store, address) = runtime.block_on(async {
        let store = Store::open(&config.storage).await.unwrap();
        let unix = tokio::net::UnixListener::bind(config.http.socket.as_ref().unwrap()).unwrap();
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        for listener in [Listener::Unix(unix), Listener::Tcp(tcp)] {
            let state = HttpState::new(store.clone());
            tokio::spawn(serve(listener, state, std::future::pending()));
        }
        (store, address)
    });
    world.done(&["settings", "set", "links.default_caller_name", "Visitor"]);
    let name = store.snapshot().settings.default_caller_name.clone();
    assert_eq!(name, "Visitor", "the node that runs knows it at once");
    let token = world.done(&["tokens", "add", "x", "--scope", "links:read"]);
    let url = format!("http://{address}");
    let ask = |words: &[&str]| {
        let mut line = vec!["sluice", "--url", &url, "--token", token.trim_end()];
        line.extend(words);
        run_line(&line)
    };
    let (outcome, list, errors) = ask(&["links", "list"]);
    assert_eq!(outcome, Outcome::Done, "{errors}");
    assert!(list.starts_with("ID"), "{list}");
    let (outcome, _, errors) = ask(&["links", "add", "a", "-d", "610"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("links:write"), "{errors}");
    let (_, _, errors) = run_line(&["sluice", "--url", &url, "links", "list"]);
    assert!(errors.contains("SLUICE_TOKEN"), "{errors}");
}

#[test]
fn calls_are_placed_listed_shown_and_ended() {
    use crate::call::tests::world::{World as Control, trunk};
    use crate::http::{HttpState, Listener, serve};
    use crate::shell::asker::answered_by;
    use crate::storage::Store;

    let world = World::new();
    let refused = world.run(&["calls", "list"]);
    assert_eq!(refused.0, Outcome::Refused, "no node runs: {}", refused.2);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = Config::load(&world.folder.path().join("sluice.toml")).unwrap();
    runtime.block_on(async {
        let mut control = Control::new(vec![trunk(1)]);
        control.change(|snapshot| snapshot.guard.unnamed_allowed = true);
        let asker = answered_by(move |command| control.order(command));
        let unix = tokio::net::UnixListener::bind(config.http.socket.as_ref().unwrap()).unwrap();
        let state = HttpState {
            calls: Some(asker),
            ..HttpState::new(Store::open(&config.storage).await.unwrap())
        };
        tokio::spawn(serve(Listener::Unix(unix), state, std::future::pending()));
    });
    let place = ["calls", "place", "--from", "610@example.com", "--json"];
    let placed = world.done(&[&place[..], &["--to", "tel:+33123"]].concat());
    let placed: serde_json::Value = serde_json::from_str(&placed).unwrap();
    let id = placed["id"].as_str().unwrap();
    let list = world.done(&["calls", "list", "--state", "calling"]);
    assert!(list.contains(id) && list.contains("+33123"), "{list}");
    assert_eq!(
        world.done(&["calls", "list", "--json", "--state", "connected"]),
        "[]\n"
    );
    let shown = world.done(&["calls", "show", id]);
    assert!(shown.contains("legs[1].party"), "{shown}");
    let ladder = world.done(&["calls", "ladder", id]);
    assert!(ladder.contains("-> 192.0.2.1:5060 INVITE"), "{ladder}");
    let ladder = world.done(&["calls", "ladder", id, "--json"]);
    assert!(ladder.contains("\"direction\": \"sent\""), "{ladder}");
    assert_eq!(
        world.done(&["calls", "end", id]),
        format!("ended call {id}\n")
    );
    let (outcome, _, errors) = world.run(&["calls", "end", "none"]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("No such call"), "{errors}");
    let (outcome, _, errors) = world.run(&[&place[..], &["--to", "6 1"]].concat());
    assert_eq!(outcome, Outcome::Refused);
    assert!(errors.contains("to: found `6 1`"), "{errors}");
}

#[test]
fn call_is_placed_to_a_link_or_a_party_never_both_or_none() {
    let place = ["sluice", "calls", "place", "--from", "610"];
    for (more, good) in [
        (&["--link", "a"][..], true),
        (&["--to", "611", "--trunk", "x"], true),
        (&[], false),
        (&["--link", "a", "--to", "611"], false),
        (&["--link", "a", "--trunk", "x"], false),
        (&["--link", "a", "--caller-name", "x"], false),
    ] {
        let line = [&place[..], more].concat();
        assert_eq!(Arguments::try_parse_from(line).is_ok(), good, "{more:?}");
    }
}

#[test]
fn an_order_carries_its_idempotency_key_and_a_bad_one_is_not_sent() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let node = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut piece) = (Vec::new(), [0; 4_096]);
        while !request.ends_with(b"}") {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "the whole order comes");
            request.extend_from_slice(&piece[..read]);
        }
        let refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    let mut line = vec!["sluice", "--url", &url, "--token", "t", "calls", "place"];
    line.extend(["--from", "610", "--to", "611", "--idempotency-key"]);
    for bad in ["", "a b", "\u{e4}", &"x".repeat(129)] {
        let mut line = line.clone();
        line.push(bad);
        let refused = Arguments::try_parse_from(line).unwrap_err().to_string();
        assert!(refused.contains("visible ASCII"), "{refused}");
    }
    line.push("order-7");
    let (outcome, _, errors) = run_line(&line);
    assert_eq!(outcome, Outcome::Refused, "{errors}");
    let request = node.join().unwrap();
    assert!(request.starts_with("POST /api/v1/calls "), "{request}");
    assert!(
        request.contains("\r\nidempotency-key: order-7\r\n"),
        "{request}"
    );
}

#[test]
fn an_empty_word_takes_the_default_of_a_link_again_a_number_too() {
    let world = World::new();
    let shown = |words: &[&str]| -> serde_json::Value {
        let mut line = words.to_vec();
        line.push("--json");
        serde_json::from_str(&world.done(&line)).unwrap()
    };
    let added = shown(&[
        "links",
        "add",
        "sales",
        "-d",
        "610",
        "--auto-call-after-s",
        "7",
        "--caller-name",
        "Web",
        "--video-policy",
        "inactive",
    ]);
    assert_eq!(added["auto_call_after_s"], 7);
    let set = shown(&[
        "links",
        "set",
        "sales",
        "--auto-call-after-s",
        "",
        "--caller-name",
        "",
        "--enabled",
        "false",
    ]);
    assert!(set["auto_call_after_s"].is_null() && set["caller_name"].is_null());
    assert_eq!(
        (&set["video_policy"], &set["enabled"]),
        (&serde_json::json!("inactive"), &serde_json::json!(false))
    );
    let bad = [
        "sluice",
        "links",
        "set",
        "sales",
        "--auto-call-after-s",
        "soon",
    ];
    Arguments::try_parse_from(bad).unwrap_err();
}
