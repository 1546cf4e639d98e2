//! Tests of the configuration file.

use super::*;
use crate::links::draft::RequestPath;
use crate::sources::model::LinkAccess;
use crate::trunks::model::{IdentityProfile, NumberPattern};

fn problems(text: &str) -> Vec<(usize, String)> {
    let errors = Config::parse(Path::new("test.toml"), text).unwrap_err();
    errors
        .problems
        .into_iter()
        .map(|problem| (problem.line, problem.key))
        .collect()
}

fn parse(text: &str) -> Config {
    Config::parse(Path::new("test.toml"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[test]
fn the_documented_file_says_what_the_defaults_are() {
    let documented = Config::load(&repository("conf/sluice.toml")).unwrap();
    assert_eq!(
        Config {
            file: PathBuf::from("test.toml"),
            ..documented
        },
        parse("")
    );
}

#[test]
fn every_key_of_the_documented_file_is_known_and_the_commented_ones_too() {
    let text = fs::read_to_string(repository("conf/sluice.toml")).unwrap();
    let is_key = |line: &str| {
        let name = line.split(['=', ' ']).next().unwrap_or_default();
        line.starts_with("[")
            || (line.contains(" = ") && name.bytes().all(|o| o.is_ascii_lowercase() || o == b'_'))
    };
    let uncommented: String = text
        .lines()
        .map(
            |line| match line.strip_prefix("# ").filter(|rest| is_key(rest)) {
                Some(rest) if !rest.starts_with("password_file") && !rest.starts_with("turn") => {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            },
        )
        .collect();
    let config = parse(&uncommented);
    assert_eq!(
        (
            config.trunks.len(),
            config.sources.len(),
            config.links.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(config.trunks[0].shape.targets.len(), 2);
    assert_eq!(config.sip.domain.as_deref(), Some("example.com"));
    assert!(text.contains("# password_file = "));
    assert!(text.contains("# turn_secret_file = "));
}

#[test]
fn each_known_key_is_in_the_documented_file() {
    let text = fs::read_to_string(repository("conf/sluice.toml")).unwrap();
    let unknown = "[node]\nx1=1\n[sip]\nx1=1\n[http]\nx1=1\n[media]\nx1=1\n[limits]\nx1=1\n\
                   [storage]\nx1=1\n[[source]]\nx1=1\n[[link]]\nx1=1\n[[trunk]]\nx1=1\n\
                   [[trunk.target]]\nx1=1\n[trunk.dial_plan]\nx1=1\n";
    let errors = Config::parse(Path::new("test.toml"), unknown).unwrap_err();
    let lists: Vec<&str> = errors
        .problems
        .iter()
        .filter(|problem| problem.found == "an unknown key")
        .filter_map(|problem| problem.accepted.strip_prefix("the keys "))
        .collect();
    assert_eq!(lists.len(), 11);
    for key in lists
        .iter()
        .flat_map(|list| list.split(", "))
        .filter(|key| !["target", "dial_plan"].contains(key))
    {
        assert!(
            text.lines().any(|line| line
                .trim_start_matches("# ")
                .starts_with(&format!("{key} = "))),
            "{key} is not in conf/sluice.toml"
        );
    }
    assert!(text.contains("[[trunk.target]]"));
    assert!(text.contains("[trunk.dial_plan]"));
}

#[test]
fn the_other_files_of_the_repository_are_good() {
    let demo = Config::load(&repository("conf/demo.toml")).unwrap();
    assert!(demo.http.resolve_open);
    assert_eq!(demo.node.drain, Duration::ZERO);
    assert_eq!(demo.storage.path, Path::new("data/demo/sluice.db"));
    assert_eq!(demo.links.len(), 2);
    assert_eq!(demo.sources[0].links, LinkAccess::All);
    let minimal = Config::load(&repository("conf/sluice.minimal.toml")).unwrap();
    assert_eq!(minimal.trunks[0].shape.identity, IdentityProfile::Pai);
}

/// Whoever copies them has a file that is taken.
#[test]
fn configurations_of_the_readme_are_good() {
    let text = fs::read_to_string(repository("README.md")).unwrap();
    let between = |from: &str, to: &str| {
        let (_, text) = text.split_once(from).unwrap();
        text.split_once(to).unwrap().0.to_owned()
    };
    let tour = parse(&between("<<'END'\n", "END\n"));
    let https = tour.https.listen.first().unwrap();
    assert_eq!(tour.browser.urls, [format!("https://{https}")]);
    let lines = between("```toml\n", "```");
    let guests = parse(&lines);
    assert!(guests.https.acme.is_some(), "{lines}");
}

#[test]
fn a_certificate_and_its_key_come_together_and_an_open_resolver_stays_on_loopback() {
    for (lines, line, key) in [
        ("[https]\nkey = \"k.pem\"", 2, "https.key"),
        ("[https]\ncertificate = \"c.pem\"", 2, "https.certificate"),
        (
            "[http]\nresolve_open = true\n[https]\nlisten = [\"0.0.0.0:443\"]",
            4,
            "https.listen",
        ),
    ] {
        assert_eq!(problems(lines), [(line, key.to_owned())], "{lines}");
    }
    let both = "[https]\nlisten = [\"0.0.0.0:443\"]\ncertificate = \"c.pem\"\nkey = \"k.pem\"";
    let https = parse(both).https;
    assert_eq!(https.certificate, Some(("c.pem".into(), "k.pem".into())));
    assert_eq!((https.listen.len(), https.strict_days), (1, 365));
}

/// Without a word it would ask nobody.
#[test]
fn names_for_an_authority_come_with_a_listener_that_shows_its_certificate() {
    let names = "[https]\nacme_domains = [\"call.example.com\"]";
    assert_eq!(problems(names), [(2, "https.acme_domains".to_owned())]);
    let listens = format!("{names}\nlisten = [\"0.0.0.0:443\"]");
    assert!(parse(&listens).https.acme.is_some());
}

#[test]
fn addresses_of_pages_are_origins_by_tls() {
    let urls = |url: &str| {
        let text = format!("[browser]\nurls = [\"{url}\"]");
        Config::parse(Path::new("test.toml"), &text).map(|config| config.browser.urls)
    };
    for url in ["https://call.example", "https://192.0.2.1:8444"] {
        assert_eq!(urls(url).unwrap(), [url]);
    }
    for url in [
        "http://call.example",
        "https://call.example/",
        "https://Call.example",
        "call.example",
    ] {
        urls(url).unwrap_err();
    }
}

#[test]
fn relays_of_browsers_come_with_their_secret_and_as_browsers_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sluice.toml");
    fs::write(folder.path().join("secret"), "hush\n").unwrap();
    let turn = |url: &str, rest: &str| {
        let text = format!("[browser]\nturn = [\"{url}\"]\n{rest}");
        Config::parse(&file, &text).map(|config| config.browser)
    };
    let secret = "turn_secret_file = \"secret\"";
    for url in [
        "turn:turn.example",
        "turns:[2001:db8::1]:443?transport=tcp",
        "turn:192.0.2.1:3478?transport=udp",
    ] {
        let browser = turn(url, secret).unwrap();
        assert_eq!(browser.turn, [url]);
        assert_eq!(browser.turn_secret.unwrap().expose(), "hush");
    }
    for url in [
        "",
        "stun:x",
        "turn:",
        "turn:a b",
        "turn:x?transport=sctp",
        "https://x",
    ] {
        turn(url, secret).unwrap_err();
    }
    turn("turn:x", "").unwrap_err();
    turn("turn:x", "turn_secret_file = \"none\"").unwrap_err();
    let alone = format!("[browser]\n{secret}");
    Config::parse(&file, &alone).unwrap_err();
}

#[test]
fn eight_errors_are_reported_at_once_with_their_lines() {
    let text = r#"[node]
drain_s = "soon"
[sip]
listen = ["127.0.0.1:5060", "everywhere"]
lisen = []
[http]
listen = ["192.0.2.1:80"]
resolve_open = true
[media]
ports = "5-1"
stock = 0
[limits]
calls_max = 1.5
[[link]]
destination = "sip:610@example.com"
"#;
    let expected = [
        (2, "node.drain_s"),
        (4, "sip.listen"),
        (5, "sip.lisen"),
        (8, "http.resolve_open"),
        (10, "media.ports"),
        (11, "media.stock"),
        (13, "limits.calls_max"),
        (15, "link[1].destination"),
    ];
    let expected: Vec<(usize, String)> = expected
        .into_iter()
        .map(|(line, key)| (line, key.to_owned()))
        .collect();
    assert_eq!(problems(text), expected);
}

#[test]
fn a_message_names_file_line_key_found_and_accepted() {
    let errors = Config::parse(Path::new("a.toml"), "[media]\n\nbackend = \"kqueue\"\n")
        .unwrap_err()
        .to_string();
    assert_eq!(
        errors,
        "a.toml:3: media.backend: found \"kqueue\", accepted: auto, io_uring or epoll"
    );
}

#[test]
fn an_unknown_key_is_answered_with_its_nearest_neighbour() {
    let message = |text| {
        Config::parse(Path::new("a.toml"), text)
            .unwrap_err()
            .to_string()
    };
    assert!(message("[htp]\n").contains("http (did you mean that?)"));
    assert!(message("[sip]\nlisten_on = []").contains("the keys listen, listen_tcp"));
    assert!(message("[[trunk]]\nlabel=\"a\"\ntargets=[\"a:1\"]\nweigth=1").contains("weight (did"));
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line_and_the_rest_is_still_judged() {
    let found = problems("[media]\nstock = = 3\nbackend = \"x\"\n");
    assert_eq!(found[0].0, 2);
    assert!(
        found.contains(&(3, "media.backend".to_owned())),
        "{found:?}"
    );
}

#[test]
fn a_missing_file_is_an_error_that_says_what_to_do() {
    let error = Config::load(Path::new("no/such/file.toml"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("no/such/file.toml: found ") && error.contains("conf/sluice.toml"));
}

#[test]
fn open_resolving_is_taken_on_loopback_only() {
    assert!(
        parse("[http]\nresolve_open = true\nlisten = [\"[::1]:80\"]")
            .http
            .resolve_open
    );
    for listener in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80"] {
        let text = format!("[http]\nresolve_open = true\nlisten = [\"{listener}\"]");
        assert_eq!(
            problems(&text),
            [(2, "http.resolve_open".to_owned())],
            "{listener}"
        );
    }
}

#[test]
fn a_wildcard_socket_needs_an_advertised_address() {
    assert_eq!(
        problems("[sip]\nlisten = [\"0.0.0.0:5060\"]"),
        [(2, "sip.listen".to_owned())]
    );
    let config = parse("[sip]\nlisten = [\"0.0.0.0:5060\"]\nadvertised = \"192.0.2.1\"");
    assert_eq!(config.storage.sip_domain, "192.0.2.1");
}

#[test]
fn a_trunk_table_takes_preset_then_its_own_keys() {
    let config = parse(
        "[[trunk]]\nlabel = \"a\"\npreset = \"carrier\"\ntargets = [\"192.0.2.1:5060\"]\n\
         patterns = [\"+49*\", \"610\", \"@b.example\"]\nresponse_timeout_s = 0.25\n\
         [[trunk.target]]\naddress = \"sip.example.com:5070\"\npriority = 20\n",
    );
    let shape = &config.trunks[0].shape;
    assert_eq!(shape.identity, IdentityProfile::Pai);
    assert_eq!(shape.response_timeout_s, Duration::from_millis(250));
    assert_eq!(
        shape.patterns,
        [
            NumberPattern::Prefix("+49".to_owned()),
            NumberPattern::Exact("610".to_owned()),
            NumberPattern::Domain("b.example".to_owned())
        ]
    );
    let targets: Vec<(&str, u16)> = shape
        .targets
        .iter()
        .map(|target| (target.address.as_str(), target.priority))
        .collect();
    assert_eq!(
        targets,
        [("192.0.2.1:5060", 10), ("sip.example.com:5070", 20)]
    );
}

#[test]
fn a_trunk_without_label_or_target_is_refused() {
    let found = problems("\n[[trunk]]\npriority = 1\n");
    let expected = [
        (2, "trunk[1].label".to_owned()),
        (2, "trunk[1].targets".to_owned()),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_password_comes_from_a_file_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "hush\n").unwrap();
    let table = "[[trunk]]\nlabel=\"a\"\ntargets=[\"192.0.2.1:5060\"]\nusername=\"u\"\n";
    let file = folder.path().join("trunks.toml");
    fs::write(&file, format!("{table}password_file = \"secret\"\n")).unwrap();
    let trunks = load_trunks(&file).unwrap();
    assert_eq!(trunks[0].password.as_ref().unwrap().expose(), "hush");
    assert!(!format!("{trunks:?}").contains("hush"));
    fs::write(&file, format!("{table}password_file = \"missing\"\n")).unwrap();
    assert_eq!(load_trunks(&file).unwrap_err().problems[0].line, 5);
    fs::write(&file, "[sip]\n").unwrap();
    assert_eq!(load_trunks(&file).unwrap_err().problems[0].key, "sip");
}

#[test]
fn links_of_the_file_are_judged_with_the_trunks_of_the_file() {
    let trunk = "[[trunk]]\nlabel=\"a\"\ntargets=[\"192.0.2.1:5060\"]\n";
    let config = parse(&format!(
        "{trunk}[[link]]\ndestination=\"610\"\ntrunk=\"a\"\n"
    ));
    assert_eq!(config.links[0].request_path, RequestPath::Random);
    let found = problems(&format!(
        "{trunk}[[link]]\ndestination=\"610\"\ntrunk=\"b\"\nrequest_path=\"a/b\"\n\
         valid_before=\"x\"\n"
    ));
    let keys: Vec<&str> = found.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "link[1].trunk",
            "link[1].request_path",
            "link[1].valid_before"
        ]
    );
}

#[test]
fn two_trunks_never_share_a_label() {
    let trunk = "[[trunk]]\nlabel=\"a\"\ntargets=[\"192.0.2.1:5060\"]\n";
    assert_eq!(problems(&format!("{trunk}{trunk}"))[0].1, "trunk");
}

#[test]
fn tcp_listens_beside_udp_unless_the_file_says_otherwise() {
    let sip = |text: &str| Config::parse(Path::new("a.toml"), text).unwrap().sip;
    assert_eq!(sip("").listen_tcp, None);
    assert_eq!(sip("[sip]\nlisten_tcp = []").listen_tcp, Some(Vec::new()));
    let here = sip("[sip]\nlisten_tcp = [\"127.0.0.1:5065\"]").listen_tcp;
    assert_eq!(here, Some(vec!["127.0.0.1:5065".parse().unwrap()]));
    let everywhere = Config::parse(
        Path::new("a.toml"),
        "[sip]\nlisten_tcp = [\"0.0.0.0:5060\"]",
    );
    let error = everywhere.unwrap_err().to_string();
    assert!(error.contains("sip.listen_tcp"), "{error}");
}
