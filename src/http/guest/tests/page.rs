//! Pages: what they say and what they never do, whoever asks and whatever stands in a link.

use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::*;
use crate::http::access::Origin;
use crate::http::router::router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};

/// An answer of the router to a request from somewhere.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The value of an attribute of the page, as a browser reads it.
    fn attribute(&self, name: &str) -> String {
        let (_, rest) = self.body.split_once(&format!(" {name}=\"")).unwrap();
        let raw = rest.split('"').next().unwrap();
        raw.replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    }
}

impl World {
    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask_from("198.51.100.7", method, target, headers).await
    }

    async fn ask_from(
        &self,
        client: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let state = HttpState {
            guests: Some(Arc::clone(&self.door)),
            trusted_proxies: ["127.0.0.1".parse().unwrap()].into(),
            ..HttpState::new(self.store.clone())
        };
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let origin = Origin::Network(client.parse().unwrap());
        request.extensions_mut().insert(origin);
        let router = TowerToHyperService::new(router(state));
        let response = router.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

const HOST: (&str, &str) = ("host", "gw.example");

#[tokio::test]
async fn a_page_names_whom_it_calls_and_calls_nobody() {
    let world = world().await;
    world
        .link("J\u{f6}rg", |draft| {
            draft.display_name = Some("J\u{f6}rg M\u{fc}ller".to_owned());
            draft.auto_call_after_s = Some(5);
            draft.video_policy = Some("recvonly_initially".to_owned());
            draft.allow_custom_caller_name = true;
        })
        .await;
    for method in ["GET", "HEAD"] {
        let target = "/call/J%C3%B6rg?callerName=Ann+Lee&utm_source=mail";
        let page = world.ask(method, target, &[HOST]).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        if method == "HEAD" {
            assert!(page.body.is_empty());
            continue;
        }
        assert!(page.body.contains(">J\u{f6}rg M\u{fc}ller</h1>"));
        assert!(
            page.body
                .contains("<title>Call J\u{f6}rg M\u{fc}ller</title>")
        );
        assert!(page.body.contains(">JM</div>"));
        assert_eq!(page.attribute("data-auto"), "5");
        assert_eq!(page.attribute("data-policy"), "recvonly_initially");
        assert_eq!(page.attribute("value"), "Ann Lee");
        assert!(!page.body.contains("{{"), "every place is filled");
    }
    // What nobody could be called by is no name.
    for name in ["Ann%0ALee", &"x".repeat(129)] {
        let target = format!("/call/J%C3%B6rg?callerName={name}");
        let page = world.ask("GET", &target, &[HOST]).await;
        assert_eq!(page.attribute("value"), "", "{name}");
    }
    assert!(world.heard(0).await.is_empty());
    let page = world.ask("GET", "/call/echo?callerName=Ann", &[HOST]).await;
    assert!(
        page.body.contains("class=\"field\" hidden"),
        "it names no guest"
    );
}

#[tokio::test]
async fn token_and_cookie_of_a_page_open_its_call() {
    let world = world().await;
    let page = world.ask("GET", "/call/echo", &[HOST]).await;
    let set = page.header("set-cookie");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    let pair = set.split(';').next().unwrap();
    let cookie = Cookie::find(pair, Jar::Plain).unwrap();
    let token = page.attribute("data-token");
    let read = world.door.tokens.read(&token, &cookie, unix_now()).unwrap();
    assert_eq!(read.request_path, "echo");
    // The next page keeps the cookie, so that the first one can still call; its load is another.
    let again = world
        .ask("GET", "/call/echo", &[HOST, ("cookie", pair)])
        .await;
    assert!(again.header("set-cookie").starts_with(pair));
    let other = again.attribute("data-token");
    let other = world.door.tokens.read(&other, &cookie, unix_now()).unwrap();
    assert_ne!(read.load, other.load);
    let secure = [HOST, ("x-forwarded-proto", "https")];
    let secure = world
        .ask_from("127.0.0.1", "GET", "/call/echo", &secure)
        .await;
    let set = secure.header("set-cookie");
    assert!(set.starts_with("__Host-sluice_guest="), "{set}");
    assert!(
        set.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"),
        "{set}"
    );
}

#[tokio::test]
async fn nothing_of_a_link_or_its_query_becomes_markup() {
    let world = world().await;
    let hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    world
        .link("x\"><b>'", |draft| {
            draft.display_name = Some(hostile.to_owned());
            draft.allow_custom_caller_name = true;
        })
        .await;
    let query = "callerName=%22%27%3E%3Cscript%3Ealert(2)%3C/script%3E";
    let target = format!("/call/x%22%3E%3Cb%3E'?{query}&widget=%22%3E%3Cb%3E");
    let page = world
        .ask("GET", &target, &[HOST, ("accept-language", "\"><b>")])
        .await;
    assert_eq!(page.status, 200);
    for tag in ["<script>", "<img", "<b>", "onerror=alert(1)>"] {
        assert!(!page.body.contains(tag), "{tag}");
    }
    assert_eq!(page.body.matches("<script ").count(), 2, "ours");
    assert!(page.attribute("value").contains("alert(2)"));
    let none = world
        .ask("GET", "/call/%3Cscript%3Ealert(1)", &[HOST])
        .await;
    assert_eq!(none.status, 404);
    assert!(!none.body.contains("alert(1)"));
    // Nor does a host become a policy.
    for host in ["x; script-src *", "x' 'unsafe-inline", "a b"] {
        let page = world.ask("GET", "/call/echo", &[("host", host)]).await;
        let policy = page.header("content-security-policy");
        assert!(
            !policy.contains("script-src *") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(policy.contains("connect-src 'self';"), "{policy}");
    }
}

#[tokio::test]
async fn a_page_runs_nothing_but_ours_and_stands_in_no_other() {
    let world = world().await;
    for target in ["/call/echo", "/call/echo?widget=true", "/call/none"] {
        let page = world.ask("GET", target, &[HOST]).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(
            page.header("permissions-policy")
                .contains("microphone=(self)")
        );
        for inline in ["style=\"", "onclick", "<style", "javascript:"] {
            assert!(!page.body.contains(inline), "{inline}");
        }
        for word in page.body.split(['"', '\'', ' ']) {
            let is_elsewhere = word.starts_with("http") || word.starts_with("//");
            let is_name = word == "http://www.w3.org/2000/svg" || word.starts_with("https://.");
            assert!(!is_elsewhere || is_name, "{word}");
        }
    }
    world
        .set(
            "links.embed_origins",
            "https://a.example, https://b.example:8443",
        )
        .await;
    let page = world.ask("GET", "/call/echo?widget=true", &[HOST]).await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-ancestors https://a.example https://b.example:8443;"));
    assert_eq!(page.header("x-frame-options"), "");
    assert_eq!(
        page.attribute("data-embed"),
        r#"["https://a.example","https://b.example:8443"]"#
    );
    let own = world.ask("GET", "/call/echo", &[HOST]).await;
    assert!(
        own.header("content-security-policy")
            .contains("frame-ancestors 'none'")
    );
    assert_eq!(own.attribute("data-embed"), "[]");
    let secure = [HOST, ("x-forwarded-proto", "https")];
    let secure = world
        .ask_from("127.0.0.1", "GET", "/call/echo?widget=true", &secure)
        .await;
    let set = secure.header("set-cookie");
    assert!(
        set.ends_with("; Secure; SameSite=None; Partitioned"),
        "{set}"
    );
}

#[test]
fn each_part_of_the_page_has_a_name_of_its_own() {
    let page = include_str!("../page/call.html");
    let name = |tag: &str| {
        let (_, rest) = tag
            .split_once("aria-label=\"")
            .unwrap_or_else(|| panic!("{tag}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let mut parts = Vec::new();
    for tag in page
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
    {
        let is_part =
            tag.starts_with("section") || tag.starts_with("nav") || tag.contains("role=\"group\"");
        if is_part {
            parts.push(name(tag));
        } else if tag.starts_with("video") {
            assert!(!name(tag).is_empty());
        }
    }
    let all = parts.len();
    parts.sort();
    parts.dedup();
    assert!(all >= 5 && parts.len() == all, "{parts:?}");
    // What a button shows is its name, where it shows more than a sign.
    for button in page.split("<button").skip(1) {
        let button = button.split("</button>").next().unwrap();
        let (tag, content) = button.split_once('>').unwrap();
        let says = content.contains("{{t.");
        let bare = content.trim();
        let is_digit = bare.len() == 1 && bare.bytes().all(|octet| octet.is_ascii_digit());
        assert!(
            says || is_digit || tag.contains("aria-label=\""),
            "{button}"
        );
    }
}

#[tokio::test]
async fn each_refusal_has_its_page_and_hidden_ones_are_all_the_same() {
    let world = world().await;
    world.link("off", |draft| draft.enabled = false).await;
    let later = Some("9000-01-01T00:00:00Z".to_owned());
    world
        .link("new", |draft| draft.valid_after.clone_from(&later))
        .await;
    for (path, status, title) in [
        ("", 404, "There is nothing to call here"),
        ("none", 404, "There is nothing to call here"),
        ("a/b", 404, "There is nothing to call here"),
        ("%ff", 404, "There is nothing to call here"),
        ("off", 410, "This link is no longer valid"),
        ("new", 403, "You are early"),
    ] {
        let page = world.ask("GET", &format!("/call/{path}"), &[HOST]).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.body.contains(&format!("<h1>{title}</h1>")), "{path}");
        assert_eq!(page.header("set-cookie"), "");
        assert_eq!(page.body.contains("9000-01-01T00:00:00Z"), path == "new");
    }
    world.set("links.hide_state", "true").await;
    let unknown = world.ask("GET", "/call/none", &[HOST]).await;
    for path in ["off", "new"] {
        let page = world.ask("GET", &format!("/call/{path}"), &[HOST]).await;
        assert_eq!((page.status, &page.body), (unknown.status, &unknown.body));
    }
}

#[tokio::test]
async fn who_loads_pages_without_end_waits_and_others_do_not() {
    let world = world_of(GuestLimits {
        loads_per_minute_max: 1,
        ..LIMITS
    })
    .await;
    let load = async |client: &str| {
        let headers = [HOST];
        world.ask_from(client, "GET", "/call/echo", &headers).await
    };
    assert_eq!(load("2001:db8::1").await.status, 200);
    let page = load("2001:db8::2").await;
    assert_eq!(page.status, 429);
    let wait: u64 = page.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    assert!(page.body.contains("<h1>One moment, please</h1>"));
    assert_eq!(load("2001:db8:0:1::1").await.status, 200);
    assert_eq!(world.refused("too_many_loads"), 1);
}

#[tokio::test]
async fn a_page_speaks_the_language_of_its_guest() {
    let world = world().await;
    for (accepted, html, word) in [
        (
            "de-DE,de;q=0.9",
            "<html lang=\"de\" dir=\"ltr\">",
            "Auflegen",
        ),
        (
            "ar",
            "<html lang=\"ar\" dir=\"rtl\">",
            "\u{625}\u{646}\u{647}\u{627}\u{621}",
        ),
        ("fr", "<html lang=\"en\" dir=\"ltr\">", "Hang up"),
    ] {
        let page = world
            .ask("GET", "/call/echo", &[HOST, ("accept-language", accepted)])
            .await;
        assert!(
            page.body.contains(html) && page.body.contains(word),
            "{accepted}"
        );
        assert!(page.header("vary").contains("accept-language"));
    }
}

#[tokio::test]
async fn pages_in_the_clear_are_found_by_https_but_on_this_machine_and_behind_proxies() {
    let mut world = world().await;
    world.door = Arc::new(spare(&world));
    let there = async |host: &str, more: &[(&'static str, &'static str)]| {
        let headers: Vec<_> = [("host", host)]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        let page = world
            .ask("GET", "/call/echo?callerName=A%22", &headers)
            .await;
        (page.status.as_u16(), page.header("location").to_owned())
    };
    let moved = |to: &str| (308, format!("https://{to}/call/echo?callerName=A%22"));
    assert_eq!(there("GW.example", &[]).await, moved("gw.example:8443"));
    assert_eq!(
        there("gw.example:8080", &[]).await,
        moved("gw.example:8443")
    );
    assert_eq!(
        there("[2001:db8::1]", &[]).await,
        moved("[2001:db8::1]:8443")
    );
    let page = (200, String::new());
    for host in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(there(host, &[]).await, page, "{host}");
    }
    for host in ["x y", "gw.example"] {
        // An address of a proxy that is not known as one.
        let proxied = [("x-forwarded-proto", "https")];
        let (status, location) = there(host, &proxied).await;
        assert_eq!((status, location.as_str()), (421, ""), "{host}");
    }
}

#[tokio::test]
async fn whoever_comes_in_the_clear_is_sent_to_the_address_that_guests_know() {
    let mut world = world().await;
    let names = Names::new(&["https://call.example".to_owned()], &[]);
    world.door = Arc::new(spare(&world).with_names(names));
    for (host, status, location) in [
        ("call.example:8080", 308, "https://call.example/call/echo"),
        ("192.0.2.1:8080", 308, "https://call.example/call/echo"),
        ("evil.example", 421, ""),
    ] {
        let page = world.ask("GET", "/call/echo", &[("host", host)]).await;
        let found = (page.status.as_u16(), page.header("location"));
        assert_eq!(found, (status, location), "{host}");
    }
    assert_eq!(world.refused("foreign_host"), 1);
}

#[tokio::test]
async fn a_name_that_somebody_points_at_us_gets_no_page() {
    let world = world().await;
    for (host, status) in [
        ("gw.example", 200),
        ("GW.example.:8443", 200),
        ("192.0.2.1:8080", 200),
        ("localhost", 200),
        ("evil.example", 421),
        ("gw.example.evil.example", 421),
        ("", 421),
    ] {
        let page = world.ask("GET", "/call/echo", &[("host", host)]).await;
        assert_eq!(page.status, status, "{host}");
        if status == 421 {
            assert!(
                page.body
                    .contains("<h1>This address does not lead here</h1>")
            );
            assert!(page.body.contains("data-cause=\"foreign_host\""));
            assert_eq!(page.header("set-cookie"), "");
        }
    }
    let proxied = [("host", "gw.example"), ("x-forwarded-host", "evil.example")];
    let page = world
        .ask_from("127.0.0.1", "GET", "/call/echo", &proxied)
        .await;
    assert_eq!(page.status, 421, "whichever way it came");
    assert_eq!(world.refused("foreign_host"), 4);
}

/// A door of the same node that knows of HTTPS.
fn spare(world: &World) -> GuestDoor {
    let guests = world.door.guests.clone();
    let door = GuestDoor::new(guests, Arc::default(), &world.store, None, LIMITS);
    door.unwrap().with_https(Some(8_443))
}

#[tokio::test]
async fn files_of_pages_are_kept_for_ever_under_a_name_that_changes_with_them() {
    let world = world().await;
    let page = world.ask("GET", "/call/echo", &[HOST]).await;
    let links = page
        .body
        .split('"')
        .filter(|word| word.starts_with("/call-assets/"));
    let links: Vec<&str> = links.collect();
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        let file = world.ask("GET", link, &[HOST]).await;
        assert_eq!(file.status, 200, "{link}");
        assert!(file.header("cache-control").contains("immutable"));
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        let other = link.replace(assets::FOLDER.as_str(), "/call-assets/0123456789abcdef");
        assert_eq!(world.ask("GET", &other, &[HOST]).await.status, 404);
    }
    let folder = assets::FOLDER.as_str();
    for name in ["../page.rs", "call.html", "%2e%2e%2fcall.html", ""] {
        let file = world.ask("GET", &format!("{folder}/{name}"), &[HOST]).await;
        assert_eq!(file.status, 404, "{name}");
    }
    // Scripts import each other by names that are there.
    let script = world
        .ask("GET", &format!("{folder}/call.js"), &[HOST])
        .await
        .body;
    for import in script.split("from \"./").skip(1) {
        let name = import.split('"').next().unwrap();
        let file = world.ask("GET", &format!("{folder}/{name}"), &[HOST]).await;
        assert_eq!(
            file.header("content-type"),
            "text/javascript; charset=utf-8",
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_page_with_everything_is_below_100_kilobytes_in_every_language() {
    let world = world().await;
    for language in ["en", "de", "ar"] {
        let page = world
            .ask("GET", "/call/echo", &[HOST, ("accept-language", language)])
            .await;
        let whole = page.body.len() + assets::octets();
        assert!(whole < 100_000, "{language}: {whole}");
    }
}
