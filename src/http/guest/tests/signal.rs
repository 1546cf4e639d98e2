//! What pages may say by WebSocket, and what becomes of their calls.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;

async fn say(page: &mut Page, frame: &Value) {
    let text = frame.to_string();
    page.send(Message::text(text)).await.unwrap();
}

/// The next frame; `Null`: none comes any more.
async fn hear(page: &mut Page) -> Value {
    loop {
        match page.next().await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                return json!({ "closed": code });
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Value::Null,
        }
    }
}

async fn hello(world: &World, page: &mut Page, load: u8, path: &str) -> String {
    let token = world.token(load, path, unix_now());
    say(page, &json!({ "type": "hello", "token": token })).await;
    let welcome = hear(page).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let server = &welcome["ice_servers"][0];
    assert_eq!(server["urls"], json!(["turn:turn.example"]));
    assert!(server["credential"].as_str().unwrap().len() > 20);
    welcome["resume"].as_str().unwrap().to_owned()
}

/// A call that rings; its resume token.
async fn call(world: &World, page: &mut Page, load: u8) -> String {
    let resume = hello(world, page, load, "echo").await;
    say(page, &json!({ "type": "call", "sdp": SDP })).await;
    let ringing = json!({ "type": "state", "state": "ringing" });
    assert_eq!(hear(page).await, ringing);
    resume
}

#[tokio::test]
async fn a_page_calls_says_things_and_hangs_up() {
    let world = world().await;
    world
        .link("open", |draft| draft.allow_custom_caller_name = true)
        .await;
    let mut page = world.open().await;
    hello(&world, &mut page, 1, "open").await;
    let frame = json!({ "type": "call", "sdp": SDP, "name": "J\u{f6}rg <b>" });
    say(&mut page, &frame).await;
    assert_eq!(hear(&mut page).await["state"], "ringing");
    say(&mut page, &json!({ "type": "offer", "sdp": SDP })).await;
    let answer = hear(&mut page).await;
    assert_eq!(
        (&answer["type"], &answer["video"]),
        (&json!("answer"), &Value::Null)
    );
    assert_eq!(answer["no_video"], "policy");
    assert!(answer["sdp"].as_str().unwrap().starts_with("v=0\r\n"));
    say(&mut page, &json!({ "type": "dtmf", "digits": "12#" })).await;
    say(&mut page, &json!({ "type": "dtmf", "digits": "one" })).await;
    assert_eq!(hear(&mut page).await["code"], "bad_digits");
    say(&mut page, &json!({ "type": "offer", "sdp": "x" })).await;
    assert_eq!(hear(&mut page).await["code"], "bad_sdp");
    say(&mut page, &json!({ "type": "camera", "on": true })).await;
    say(&mut page, &json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut page).await["type"], "pong");
    say(&mut page, &json!({ "type": "leave" })).await;
    let ended = json!({ "type": "ended", "cause": "normal", "status": 200 });
    assert_eq!(hear(&mut page).await, ended);
    assert_eq!(hear(&mut page).await, json!({ "closed": 1000 }));
    let said = [
        "call open J\u{f6}rg <b> 127.0.0.1",
        "offer",
        "12#",
        "camera true",
        "hang up",
    ];
    assert_eq!(world.heard(5).await, said);
}

#[tokio::test]
async fn only_our_own_pages_with_their_cookie_open_a_websocket() {
    let world = world().await;
    let own = format!("http://{}", world.address);
    let set = cookie().set(Jar::Plain);
    let pair = set.split(';').next().unwrap();
    for headers in [
        [("origin", "http://evil.example"), ("cookie", pair)],
        [("origin", "null"), ("cookie", pair)],
        [("referer", own.as_str()), ("cookie", pair)],
    ] {
        assert_eq!(world.open_with(&headers).await.unwrap_err(), 403);
    }
    // A page of another site whose name was pointed at us: all that a browser says fits.
    let evil = [
        ("x-forwarded-host", "evil.example"),
        ("origin", "http://evil.example"),
        ("cookie", pair),
    ];
    assert_eq!(world.open_with(&evil).await.unwrap_err(), 421);
    assert_eq!(world.refused("foreign_host"), 1);
    // Behind a proxy that says another host than the browser's.
    let named = [("origin", "https://gw.example"), ("cookie", pair)];
    let _named = world.open_with(&named).await.unwrap();
    // A page of ours is told, for its script sees no status.
    let headers = [("origin", own.as_str()), ("cookie", "sluice_guest=x")];
    let mut page = world.open_with(&headers).await.unwrap();
    assert_eq!(hear(&mut page).await["code"], "no_cookie");
    assert_eq!(hear(&mut page).await, json!({ "closed": 1008 }));
    assert_eq!(world.refused("foreign_origin"), 3);
    assert_eq!(world.refused("no_cookie"), 1);
}

#[tokio::test]
async fn a_client_has_few_websockets_and_all_together_have_a_bound() {
    let world = world().await;
    let mut pages = Vec::new();
    for _ in 0..4 {
        pages.push(world.open().await);
    }
    let own = format!("http://{}", world.address);
    let set = cookie().set(Jar::Plain);
    let pair = set.split(';').next().unwrap();
    let from = |client: &'static str| {
        [
            ("origin", own.clone()),
            ("cookie", pair.to_owned()),
            ("x-forwarded-for", client.to_owned()),
        ]
    };
    let open = async |client: &'static str| {
        let headers = from(client);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        world.open_with(&headers).await
    };
    let mut told = open("127.0.0.1").await.unwrap();
    assert_eq!(hear(&mut told).await["code"], "too_many_of_client");
    for client in ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"] {
        pages.push(open(client).await.unwrap());
    }
    let mut told = open("2001:db8::5").await.unwrap();
    assert_eq!(hear(&mut told).await["code"], "too_many_connections");
    assert_eq!(world.refused("too_many_of_client"), 1);
    assert_eq!(world.refused("too_many_connections"), 1);
    // Neither closes: these have places of their own, of which there is an end too.
    let mut waiting = Vec::new();
    let status = loop {
        match open("2001:db8::5").await {
            Ok(page) => waiting.push(page),
            Err(status) => break status,
        }
    };
    assert_eq!(status, 503);
    assert!(waiting.len() <= TURNED_AWAY_MAX);
}

#[tokio::test]
async fn each_wrong_beginning_has_its_word_and_ends_the_websocket() {
    let world = world().await;
    let now = unix_now();
    let good = world.token(1, "echo", now);
    let large = |octets| Message::text("x".repeat(octets));
    for (frame, code) in [
        (json!({ "type": "hello", "token": "x" }), "bad_token"),
        (
            json!({ "type": "hello", "token": format!("A{good}") }),
            "bad_token",
        ),
        (
            json!({ "type": "hello", "token": world.token(1, "echo", now - 3_600) }),
            "token_expired",
        ),
        (
            json!({ "type": "hello", "token": &good, "x": 1 }),
            "bad_frame",
        ),
        (json!({ "type": "call", "sdp": SDP }), "bad_frame"),
        (json!({ "type": "resume", "token": "x" }), "unknown_resume"),
        (json!("x"), "bad_frame"),
    ] {
        let mut page = world.open().await;
        let before = world.refused(code);
        say(&mut page, &frame).await;
        assert_eq!(
            hear(&mut page).await,
            json!({ "type": "error", "code": code })
        );
        assert_eq!(hear(&mut page).await, json!({ "closed": 1008 }));
        assert_eq!(world.refused(code), before + 1);
    }
    for (message, code) in [
        (large(65_536), "bad_frame"),
        (large(65_537), "frame_too_large"),
        (Message::binary(&b"x"[..]), "bad_frame"),
    ] {
        let mut page = world.open().await;
        page.send(message).await.unwrap();
        assert_eq!(hear(&mut page).await["code"], code);
        assert_eq!(hear(&mut page).await, json!({ "closed": 1008 }));
    }
    assert!(
        world.heard(0).await.is_empty(),
        "call control heard nothing"
    );
}

#[tokio::test]
async fn a_page_has_one_call_and_who_floods_has_none() {
    let world = world().await;
    let mut page = world.open().await;
    call(&world, &mut page, 1).await;
    let mut twin = world.open().await;
    let token = world.token(1, "echo", unix_now());
    say(&mut twin, &json!({ "type": "hello", "token": token })).await;
    assert_eq!(hear(&mut twin).await["code"], "already_open");
    for _ in 0..100 {
        page.feed(Message::text(r#"{"type":"ping"}"#))
            .await
            .unwrap();
    }
    page.flush().await.unwrap();
    let mut last = Value::Null;
    for _ in 0..100 {
        last = hear(&mut page).await;
        if last["type"] != "pong" {
            break;
        }
    }
    assert_eq!(last["code"], "too_many_frames");
    assert_eq!(
        world.heard(2).await,
        ["call echo Guest 127.0.0.1", "hang up"]
    );
    assert_eq!(hear(&mut page).await, json!({ "closed": 1008 }));
    drop(page);
    let mut again = world.open().await;
    hello(&world, &mut again, 1, "echo").await;
}

#[tokio::test]
async fn a_frame_that_finds_no_room_is_refused_and_its_call_goes_on() {
    let world = world().await;
    let mut page = world.open().await;
    let resume = call(&world, &mut page, 1).await;
    world.is_awake.store(false, Ordering::SeqCst);
    let crowd = world
        .door
        .guests
        .call(crate::shell::guests::tests::call())
        .unwrap();
    while crowd.say(BrowserInput::Camera(true)).is_ok() {}
    for (frame, name) in [
        (json!({ "type": "offer", "sdp": SDP }), "offer"),
        (json!({ "type": "dtmf", "digits": "1" }), "dtmf"),
        (json!({ "type": "camera", "on": true }), "camera"),
    ] {
        say(&mut page, &frame).await;
        let refused = json!({ "type": "error", "code": "too_busy", "frame": name });
        assert_eq!(hear(&mut page).await, refused);
    }
    assert_eq!(world.refused("too_busy"), 3);
    // What must be heard waits: this page is lost, and comes back.
    drop(page);
    let mut page = world.open().await;
    say(&mut page, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut page).await["type"], "welcome");
    assert_eq!(hear(&mut page).await["state"], "ringing");
    world.is_awake.store(true, Ordering::SeqCst);
    let said = world.heard_of(|said| said == "resumed").await;
    assert!(!said.contains(&"1".to_owned()), "it was refused");
    say(&mut page, &json!({ "type": "dtmf", "digits": "2" })).await;
    world.heard_of(|said| said == "2").await;
    // And so does a hang-up.
    world.is_awake.store(false, Ordering::SeqCst);
    while crowd.say(BrowserInput::Camera(true)).is_ok() {}
    say(&mut page, &json!({ "type": "leave" })).await;
    say(&mut page, &json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut page).await["type"], "pong");
    world.is_awake.store(true, Ordering::SeqCst);
    assert_eq!(hear(&mut page).await["type"], "ended");
    assert_eq!(hear(&mut page).await, json!({ "closed": 1000 }));
    drop(crowd);
}

#[tokio::test]
async fn a_link_that_may_not_be_called_ends_the_call_by_its_word() {
    let world = world().await;
    world.link("off", |draft| draft.enabled = false).await;
    let later = Some("9000-01-01T00:00:00Z".to_owned());
    world
        .link("new", |draft| draft.valid_after.clone_from(&later))
        .await;
    let mut load = 10;
    let mut ended = async |path: &str| {
        load += 1;
        let mut page = world.open().await;
        hello(&world, &mut page, load, path).await;
        say(&mut page, &json!({ "type": "call", "sdp": SDP })).await;
        let ended = hear(&mut page).await;
        (
            ended["cause"].as_str().unwrap().to_owned(),
            ended["status"].clone(),
        )
    };
    for (path, cause, status) in [
        ("none", "unknown_link", 404),
        ("off", "dead_link", 410),
        ("new", "not_yet_valid", 403),
    ] {
        assert_eq!(ended(path).await, (cause.to_owned(), json!(status)));
    }
    world.set("links.hide_state", "true").await;
    for path in ["none", "off", "new"] {
        assert_eq!(ended(path).await, ("unknown_link".to_owned(), json!(404)));
    }
}

#[tokio::test]
async fn a_page_that_is_closed_hangs_up_and_one_that_is_lost_may_come_back() {
    let world = world().await;
    let mut page = world.open().await;
    call(&world, &mut page, 1).await;
    page.close(Some(CloseFrame {
        code: CloseCode::Away,
        reason: "".into(),
    }))
    .await
    .unwrap();
    assert_eq!(
        world.heard(2).await,
        ["call echo Guest 127.0.0.1", "hang up"]
    );
    let mut page = world.open().await;
    let resume = call(&world, &mut page, 2).await;
    drop(page);
    assert_eq!(world.heard(4).await[3], "lost");
    let mut page = world.open().await;
    say(&mut page, &json!({ "type": "resume", "token": resume })).await;
    let welcome = hear(&mut page).await;
    assert_eq!(
        (&welcome["type"], &welcome["resume"]),
        (&json!("welcome"), &json!(resume))
    );
    assert_eq!(hear(&mut page).await["state"], "ringing", "what it missed");
    assert_eq!(world.heard(5).await[4], "resumed");
    // And while nobody has noticed that the first one is lost.
    let mut third = world.open().await;
    say(&mut third, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut third).await["type"], "welcome");
    assert_eq!(hear(&mut page).await, json!({ "closed": 4001 }));
    say(&mut third, &json!({ "type": "leave" })).await;
    assert_eq!(hear(&mut third).await["state"], "ringing");
    assert_eq!(hear(&mut third).await["type"], "ended");
    let said = world.heard(7).await;
    assert_eq!(
        said.get(5..),
        Some(&["resumed".to_owned(), "hang up".to_owned()][..])
    );
    assert_eq!(world.door.figures.resumed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn calls_hold_no_server_up_that_ends_and_go_on_while_call_control_does() {
    let mut world = world().await;
    let mut page = world.open().await;
    call(&world, &mut page, 1).await;
    world.stop.take().unwrap().send(()).unwrap();
    world.served.take().unwrap().await.unwrap();
    TcpStream::connect(world.address).await.unwrap_err();
    say(&mut page, &json!({ "type": "leave" })).await;
    assert_eq!(hear(&mut page).await["type"], "ended");
}

#[tokio::test]
async fn a_resume_token_is_good_for_its_browser_only() {
    let world = world().await;
    let mut page = world.open().await;
    let resume = call(&world, &mut page, 1).await;
    let own = format!("http://{}", world.address);
    let other = Cookie::new([2; COOKIE_OCTETS]).set(Jar::Plain);
    let pair = other.split(';').next().unwrap();
    let headers = [("origin", own.as_str()), ("cookie", pair)];
    let mut thief = world.open_with(&headers).await.unwrap();
    say(&mut thief, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut thief).await["code"], "unknown_resume");
    say(&mut page, &json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut page).await["type"], "pong");
}

#[tokio::test]
async fn of_several_cookies_the_one_of_the_page_counts() {
    let world = world().await;
    let own = format!("https://{}", world.address);
    let value = |cookie: Cookie, jar| {
        let set = cookie.set(jar);
        set.split(';').next().unwrap().to_owned()
    };
    let other = value(Cookie::new([2; COOKIE_OCTETS]), Jar::Secure);
    let both = format!("{other}; {}", value(cookie(), Jar::Embedded));
    let headers = [
        ("origin", own.as_str()),
        ("cookie", both.as_str()),
        ("x-forwarded-proto", "https"),
    ];
    let mut page = world.open_with(&headers).await.unwrap();
    let resume = call(&world, &mut page, 1).await;
    drop(page);
    let mut page = world.open_with(&headers).await.unwrap();
    say(&mut page, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut page).await["type"], "welcome");
}

#[tokio::test]
async fn calls_whose_websocket_is_lost_count_and_their_pages_can_still_come_back() {
    let world = world().await;
    let mut resumes = Vec::new();
    for load in 1..=4 {
        let mut page = world.open().await;
        resumes.push(call(&world, &mut page, load).await);
        drop(page);
        world.heard(2 * usize::from(load)).await;
    }
    let mut fifth = world.open().await;
    hello(&world, &mut fifth, 5, "echo").await;
    say(&mut fifth, &json!({ "type": "call", "sdp": SDP })).await;
    assert_eq!(hear(&mut fifth).await["code"], "too_many_of_client");
    let mut page = world.open().await;
    let resume = resumes.first().unwrap();
    say(&mut page, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut page).await["type"], "welcome");
    assert_eq!(hear(&mut page).await["state"], "ringing");
    say(&mut page, &json!({ "type": "leave" })).await;
    assert_eq!(hear(&mut page).await["type"], "ended");
    assert_eq!(hear(&mut page).await, json!({ "closed": 1000 }));
    let mut sixth = world.open().await;
    call(&world, &mut sixth, 6).await;
}

#[tokio::test]
async fn a_page_that_begins_anew_ends_its_call_that_was_lost() {
    let world = world().await;
    let mut page = world.open().await;
    let resume = call(&world, &mut page, 1).await;
    drop(page);
    world.heard(2).await;
    let mut page = world.open().await;
    call(&world, &mut page, 1).await;
    let said = world.heard(4).await;
    assert!(said.contains(&"hang up".to_owned()), "{said:?}");
    let mut late = world.open().await;
    say(&mut late, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut late).await["code"], "unknown_resume");
    let mut twin = world.open().await;
    let token = world.token(1, "echo", unix_now());
    say(&mut twin, &json!({ "type": "hello", "token": token })).await;
    assert_eq!(hear(&mut twin).await["code"], "already_open");
}

#[tokio::test]
async fn last_word_waits_for_a_page_that_is_lost() {
    let world = world().await;
    let mut page = world.open().await;
    let resume = call(&world, &mut page, 1).await;
    say(&mut page, &json!({ "type": "dtmf", "digits": "9" })).await;
    world.heard(2).await;
    drop(page);
    assert_eq!(world.heard(3).await[2], "lost", "and the call is over");
    let mut page = world.open().await;
    say(&mut page, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut page).await["type"], "welcome");
    assert_eq!(hear(&mut page).await["type"], "ended");
    assert_eq!(hear(&mut page).await, json!({ "closed": 1000 }));
    let mut late = world.open().await;
    say(&mut late, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut late).await["code"], "unknown_resume");
}

#[tokio::test]
async fn call_control_says_how_long_a_lost_page_is_waited_for() {
    let world = world().await;
    let mut page = world.open().await;
    let resume = call(&world, &mut page, 1).await;
    drop(page);
    assert_eq!(world.heard(2).await[1], "lost");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::time::resume();
    let mut page = world.open().await;
    say(&mut page, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut page).await["type"], "welcome");
    assert_eq!(world.heard(3).await[2], "resumed");
    say(&mut page, &json!({ "type": "dtmf", "digits": "9" })).await;
    world.heard(4).await;
    drop(page);
    world.heard(5).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    let mut late = world.open().await;
    say(&mut late, &json!({ "type": "resume", "token": resume })).await;
    assert_eq!(hear(&mut late).await["code"], "unknown_resume");
}

#[tokio::test]
async fn a_page_that_says_nothing_at_all_loses_its_place() {
    let world = world().await;
    let mut silent = world.open().await;
    let mut waiting = world.open().await;
    hello(&world, &mut waiting, 1, "echo").await;
    tokio::time::pause();
    let (silent, waiting) = tokio::join!(hear(&mut silent), hear(&mut waiting));
    assert_eq!(
        (&silent["code"], &waiting["code"]),
        (&json!("late"), &json!("late"))
    );
    assert_eq!(world.refused("late"), 2);
}
