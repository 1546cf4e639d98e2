//! Over real loopback sockets: statuses, headers, bounds.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::health::NodeParts;
use crate::links::draft::{LinkDraft, RequestPath};
use crate::links::rules;
use crate::storage::Store;
use crate::tokens::draft::TokenDraft;
use crate::tokens::store::add;
use crate::{links, settings};

struct World {
    address: SocketAddr,
    store: Store,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn world(resolve_open: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::of_test(folder.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let state = HttpState {
        resolve_open,
        ..HttpState::new(store.clone())
    };
    let served = tokio::spawn(serve(Listener::Tcp(listener), state, async {
        stopped.await.ok();
    }));
    World {
        address,
        store,
        stop,
        served,
        _folder: folder,
    }
}

impl World {
    async fn link(&self, path: &str, change: impl FnOnce(&mut LinkDraft)) {
        let mut draft = LinkDraft::new(RequestPath::Custom(path.to_owned()), "610");
        change(&mut draft);
        links::store::create(&self.store, &draft).await.unwrap();
    }

    /// The head and the body of an answer to one request on a connection of its own.
    async fn request(&self, method: &str, target: &str) -> (String, String) {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = self.raw(text.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    async fn raw(&self, octets: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok(); // A reset after the answer is fine.
        String::from_utf8(answer).unwrap()
    }

    async fn resolve(&self, path: &str) -> (String, serde_json::Value) {
        let (head, body) = self
            .request("GET", &format!("/api/v1/resolve/{path}"))
            .await;
        (head, serde_json::from_str(&body).unwrap())
    }
}

fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn a_live_link_is_answered_with_what_a_call_to_it_is() {
    let world = world(true).await;
    world
        .link("J\u{f6}rg", |draft| {
            draft.caller_name = Some("Web \"guest\"".to_owned());
            draft.valid_before = Some("9000-01-01T00:00:00Z".to_owned());
        })
        .await;
    let (head, body) = world.resolve("Jo%CC%88rg").await;
    assert_eq!(status(&head), "200");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!(body["request_path"], "J\u{f6}rg");
    assert_eq!(body["destination"], "610@gw.example");
    assert_eq!(body["destination_uri"], "sip:610@gw.example");
    assert_eq!(body["caller_name"], "Web \"guest\"");
    assert_eq!(body["caller_alias"], "guest");
    assert_eq!(body["valid_before"], "9000-01-01T00:00:00Z");
    assert_eq!(body["link"], 1);
    assert!(body["trunk"].is_null());
}

#[tokio::test]
async fn a_guest_names_itself_where_the_link_allows_it_and_in_a_name_that_people_read() {
    let world = world(true).await;
    let own = |draft: &mut LinkDraft| {
        draft.caller_name = Some("Web".to_owned());
    };
    world.link("closed", own).await;
    world
        .link("open", |draft| {
            own(draft);
            draft.allow_custom_caller_name = true;
        })
        .await;
    let long = "%C3%B6".repeat(rules::DISPLAY_CHARS_MAX);
    let too_long = format!("{long}x");
    for (query, name) in [
        ("callerName=Ann", "Ann"),
        ("callerName=Ann+Lee", "Ann Lee"),
        (
            "callerName=Jo%CC%88rg%20%26%20%22Co%22",
            "J\u{f6}rg & \"Co\"",
        ),
        ("callerName=%E6%9D%8E&", "\u{674e}"),
        ("callerName=%20Ann%20", "Ann"),
        ("callerName=", "Web"),
        ("callerName=%20", "Web"),
        ("callerName=a%0d%0aX:%201", "Web"),
        ("callerName=a%00", "Web"),
        ("callerName=a%C2%85b", "Web"),
        ("callerName=%ff", "Web"),
        ("callerName=%4", "Web"),
        ("", "Web"),
        (
            &format!("callerName={long}"),
            &"\u{f6}".repeat(rules::DISPLAY_CHARS_MAX),
        ),
        (&format!("callerName={too_long}"), "Web"),
    ] {
        let (head, body) = world.resolve(&format!("open?{query}")).await;
        assert_eq!(status(&head), "200", "{query}");
        assert_eq!(body["caller_name"], name, "{query}");
        assert_eq!(body["named_by_guest"], name != "Web", "{query}");
        assert_eq!(body["request_path"], "open", "{query}");
        let (_, body) = world.resolve(&format!("closed?{query}")).await;
        assert_eq!(body["caller_name"], "Web", "{query}");
        assert_eq!(body["named_by_guest"], false, "{query}");
    }
}

#[tokio::test]
async fn each_refusal_has_its_status_and_its_word() {
    let world = world(true).await;
    world.link("off", |draft| draft.enabled = false).await;
    world
        .link("old", |draft| {
            draft.valid_before = Some("2001-01-01T00:00:00Z".to_owned())
        })
        .await;
    world
        .link("new", |draft| {
            draft.valid_after = Some("9000-01-01T00:00:00Z".to_owned())
        })
        .await;
    for (path, expected, code) in [
        ("none", "404", "unknown_link"),
        ("a%2Fb", "404", "unknown_link"),
        ("a/b", "404", "unknown_link"),
        ("off", "410", "dead_link"),
        ("old", "410", "dead_link"),
        ("new", "403", "not_yet_valid"),
        ("%ff", "400", "bad_request_path"),
    ] {
        let (head, body) = world.resolve(path).await;
        assert_eq!(
            (status(&head), body["code"].as_str().unwrap()),
            (expected, code),
            "{path}"
        );
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert_eq!(body["status"].as_u64().unwrap().to_string(), expected);
    }
    assert_eq!(
        world.resolve("new").await.1["valid_after"],
        "9000-01-01T00:00:00Z"
    );
    settings::store::set(&world.store, "links.hide_state", "true")
        .await
        .unwrap();
    let unknown = world.resolve("none").await.1;
    for path in ["off", "old", "new"] {
        assert_eq!(world.resolve(path).await.1, unknown, "{path}");
    }
}

#[tokio::test]
async fn without_a_token_a_closed_resolver_answers_nobody() {
    let world = world(false).await;
    world.link("a", |_| {}).await;
    for path in ["a", "none"] {
        let (head, body) = world.resolve(path).await;
        assert_eq!(status(&head), "401");
        assert!(head.contains("www-authenticate: Bearer"), "{head}");
        assert_eq!(body["code"], "unauthorized");
    }
}

#[tokio::test]
async fn head_is_a_get_without_body_and_other_methods_are_named() {
    let world = world(true).await;
    world.link("a", |_| {}).await;
    let (head, body) = world.request("HEAD", "/api/v1/resolve/a").await;
    assert_eq!((status(&head), body.as_str()), ("200", ""));
    let (head, _) = world.request("POST", "/api/v1/resolve/a").await;
    assert_eq!(status(&head), "405");
    assert!(head.contains("allow: GET"), "{head}");
    let (head, body) = world.request("GET", "/elsewhere").await;
    assert_eq!(status(&head), "404");
    assert!(body.contains("no_such_page"), "{body}");
    assert_eq!(world.request("GET", "/healthz").await.1, "ok\n");
}

#[tokio::test]
async fn two_requests_on_one_connection_are_both_answered() {
    let world = world(true).await;
    world.link("a", |_| {}).await;
    let one = "GET /api/v1/resolve/a HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /api/v1/resolve/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = world.raw(format!("{one}{last}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let world = world(true).await;
    let large = "a".repeat(HEADER_OCTETS_MAX + 1);
    let answer = world
        .raw(format!("GET /{large} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let fields = "x: y\r\n".repeat(HEADERS_MAX + 1);
    let answer = world
        .raw(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused_and_the_server_goes_on() {
    let world = world(true).await;
    let answer = world
        .raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    assert_eq!(status(&world.request("GET", "/healthz").await.0), "200");
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off() {
    let world = world(true).await;
    tokio::time::pause();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    // The clock is virtual: it jumps to the deadline as soon as nobody has anything to do.
    stream.read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"));
}

/// curl sends it with bodies of some size, and waits for a second where nobody says 100.
#[tokio::test]
async fn an_import_that_waits_for_100_gets_it_before_its_answer() {
    let world = world(true).await;
    let draft = TokenDraft {
        label: "test".to_owned(),
        scopes: vec!["links:write".to_owned()],
        ..TokenDraft::default()
    };
    let token = add(&world.store, &draft, "test", None).await.unwrap().1;
    let line = "{\"destination\":\"610\",\"request_path\":\"a\"}\n";
    let head = format!(
        "POST /api/v1/import/links HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\n\r\n",
        line.len()
    );
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; CONTINUE.len()];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(interim, *CONTINUE, "{}", String::from_utf8_lossy(&interim));
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"stored\":1"), "{answer}");
}

const CONTINUE: &[u8; 25] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[tokio::test]
async fn shutdown_ends_idle_connections_and_the_server() {
    let World {
        address,
        stop,
        served,
        ..
    } = world(true).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut octets = [0; 12];
    stream.read_exact(&mut octets).await.unwrap();
    assert_eq!(&octets, b"HTTP/1.1 200");
    stop.send(()).unwrap();
    served.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn while_one_address_holds_its_share_the_next_client_gets_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let node = NodeParts::of_test(folder.path()).await;
    let store = node.store.clone();
    let state = HttpState {
        node: Some(Node::new(node)),
        ..HttpState::new(store)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let next = "127.0.0.1/32".parse().unwrap();
    let (room, never) = (Room::new(8, vec![next]), std::future::pending());
    tokio::spawn(serve_in(room, Listener::Tcp(listener), state, never));
    let mut silent = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    next.read_to_string(&mut answer).await.unwrap();
    for said in [
        "sluice_http_connections_refused_total{reason=\"too_many_of_client\"} 6",
        "sluice_http_connections 3",
    ] {
        assert!(answer.contains(&format!("\n{said}\n")), "{said}: {answer}");
    }
    let (held, refused) = silent.split_at_mut(2);
    for stream in refused {
        assert_eq!(stream.read(&mut [0]).await.ok(), Some(0), "closed");
    }
    for stream in held {
        let read = stream.try_read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Err(io::ErrorKind::WouldBlock), "still open");
    }
}
