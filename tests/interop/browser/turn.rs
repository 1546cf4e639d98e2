//! A guest whose network lets nothing out but to the page and to a relay (TURN, RFC 8656): coturn, with
//! credentials that our page hands out. And one that has no relay to go by.

use std::process::Command;
use std::time::Duration;

use crate::baresip::DESK;
use crate::browser::ends::talk;
use crate::browser::guest::{Guest, SOUND};
use crate::browser::network::{GATEWAY, Network};
use crate::browser::page::Page;
use crate::browser::states::look;
use crate::browser::{Engine, Options};
use crate::gateway::{at_once, link, trunk};
use crate::world::{Process, World, find, is_listening, is_listening_tcp, not_run, until};

/// By UDP, by TCP, by TLS where web pages come from.
#[test]
fn by_a_relay_alone_a_guest_hears_itself() {
    if find("turnserver").is_none() || find("openssl").is_none() {
        return not_run("coturn or openssl missing").unwrap_or_default();
    }
    let ways = [
        ("turn", 3478, "udp", "udp"),
        ("turn", 3478, "tcp", "tcp"),
        ("turns", 443, "tcp", "tls"),
    ];
    at_once(ways, |(scheme, port, transport, relay)| {
        let tables = format!(
            "[browser]\nturn = [\"{scheme}:{GATEWAY}:{port}?transport={transport}\"]\n\
             turn_secret_file = \"turn-secret\"\n\n"
        );
        let options = Options {
            microphone_hz: Some(660.0),
            ..Options::new(Engine::Chromium)
        };
        let tables = tables + &link("echo", "local:echo");
        let mut server = None;
        let write = |world: &World| {
            world.write("turn-secret", SECRET);
            server = Some(start_relay(world));
        };
        let Some(guest) = Guest::start_after(&options, &tables, write) else {
            return;
        };
        guest.network.let_out(Some((transport, port)));
        let page = guest.open("echo");
        page.evaluate(KEPT);
        page.click("#call");
        page.await_state(&["connected"]);
        page.await_tone(SOUND, 660.0);
        let pair = page.statistics()[0]["pair"].clone();
        assert_eq!(pair["local"]["type"], "relay", "{pair}");
        assert_eq!(pair["local"]["relay"], relay, "{pair}");
        page.log().expect_clean();
        if transport == "udp" {
            comes_back_by_the_same_credentials(&page);
            asks_for_others_where_these_do_not_help(&page);
            // Whoever comes back to a relay after its ten minutes needs other credentials.
            let before = page.evaluate(USER);
            page.evaluate(TEN_MINUTES_LATER);
            drop(server.take());
            page.await_state(&["reconnecting"]);
            let _again = start_relay(&guest.world);
            page.await_state(&["connected"]);
            page.await_tone(SOUND, 660.0);
            let after = page.evaluate(USER);
            assert!(
                before.is_string() && after.is_string() && before != after,
                "{after}"
            );
        }
    });
}

/// The WebSocket is as well as before.
fn comes_back_by_the_same_credentials(page: &Page<'_>) {
    let looked = || [USER, SOCKETS].map(|what| page.evaluate(what));
    let (before, way) = (looked(), page.evaluate(WAY));
    page.evaluate(&format!("{BREAK} fail();"));
    until("another way", PATIENCE, || page.evaluate(WAY) != way);
    page.evaluate(AS_IT_IS);
    page.await_state(&["connected"]);
    page.await_tone(SOUND, 660.0);
    assert_eq!(looked(), before);
}

fn asks_for_others_where_these_do_not_help(page: &Page<'_>) {
    let (user, way) = (page.evaluate(USER), page.evaluate(WAY));
    page.evaluate(&format!("{BREAK} fail(); fail();"));
    until("other credentials", PATIENCE, || {
        page.evaluate(USER) != user
    });
    until("another way", PATIENCE, || page.evaluate(WAY) != way);
    page.evaluate(AS_IT_IS);
    page.await_state(&["connected"]);
    page.await_tone(SOUND, 660.0);
    assert_eq!(page.evaluate(SOCKETS), 2);
}

/// The callee answers while no way has been found: the guest is told why nothing is heard long before the call is given up.
#[test]
fn a_guest_whose_network_lets_no_sound_through_is_told_so() {
    let tables = trunk("desks", &DESK.address(), 10) + &link("support", "desk");
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &tables) else {
        return;
    };
    guest.network.let_out(None);
    let page = guest.open("support");
    let mut callee = talk(&page);
    until("a hint", Duration::from_secs(30), || {
        page.text().contains("No sound comes through yet")
    });
    page.await_selector("#quality[data-level='1']");
    look(&page, "desktop-no-way");
    let bye = callee.expect_request_within(Duration::from_secs(60), "BYE");
    callee.respond(&bye, "200 OK", "", "");
    page.await_state(&["ended"]);
    page.await_text("Your network lets no sound through.");
    let said = page.evaluate("return document.getElementById('app').dataset.reason");
    assert_eq!(said, "network", "{}", page.text());
    look(&page, "desktop-network");
    let call = guest.gateway.closed_calls(1).remove(0);
    assert_eq!(call["cause"], "ice_no_source", "{call:#}");
}

/// Keeps the page's connection where a test finds it, and counts its WebSockets.
const KEPT: &str = "const Native = RTCPeerConnection; \
                    window.RTCPeerConnection = class extends Native { \
                      constructor(...given) { super(...given); window.kept = this; } \
                    }; \
                    const Socket = WebSocket; \
                    window.sockets = 0; \
                    window.WebSocket = class extends Socket { \
                      constructor(...given) { super(...given); window.sockets += 1; } \
                    }";
const SOCKETS: &str = "return window.sockets";
/// By what the way that was agreed on last is known.
const WAY: &str = r"return /^a=ice-ufrag:(\S+)/m.exec(window.kept.currentLocalDescription.sdp)[1]";
/// The browser says that no way is left, though there is one.
const BREAK: &str = "const { kept } = window; \
                     const fail = () => { \
                       Object.defineProperty(kept, 'connectionState', { configurable: true, get: () => 'failed' }); \
                       kept.onconnectionstatechange(); \
                       delete kept.connectionState; \
                     };";
/// It says what is true.
const AS_IT_IS: &str = "window.kept.onconnectionstatechange()";
const TEN_MINUTES_LATER: &str = "const { now } = Date; Date.now = () => now.call(Date) + 600000";
const PATIENCE: Duration = Duration::from_secs(20);
const USER: &str = "return window.kept.getConfiguration().iceServers[0].username";

/// Who has credentials of ours has no way into the operator's network. Of the gateway every UDP port is reached, that of
/// SIP like the one here: coturn asks for no port of a peer, hence the firewall that its sample wants.
#[test]
fn a_relay_passes_on_to_the_gateway_and_to_nobody_else() {
    let tools = [
        "ip",
        "openssl",
        "turnserver",
        "turnutils_uclient",
        "turnutils_peer",
    ];
    let Some(world) = World::open(&tools) else {
        return;
    };
    let network = Network::new();
    let _relay = start_relay(&world);
    let beside = BESIDE;
    let _peers = [GATEWAY, beside].map(|address| {
        let mut command = Command::new("turnutils_peer");
        let peer = world.start(address, command.args(["-L", address, "-p", PEER_PORT]));
        until("a peer", Duration::from_secs(10), || {
            is_listening(&format!("{address}:{PEER_PORT}"))
        });
        peer
    });
    let send_to = |address: &str| {
        let mut command = Command::new("turnutils_uclient");
        command.args(["-c", "-n", "3", "-W", SECRET, "-u", "guest"]);
        command.args(["-e", address, "-r", PEER_PORT, GATEWAY]);
        let output = network.inside(|| command.output().expect("turnutils_uclient"));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let heard = send_to(GATEWAY);
    assert!(heard.contains("tot_recv_msgs=3"), "{heard}");
    let refused = send_to(beside);
    assert!(refused.contains("403 (Forbidden IP)"), "{refused}");
    assert!(!refused.contains("tot_recv_msgs=3"), "{refused}");
}

/// coturn by the sample that operators copy, with the addresses of the test.
fn start_relay(world: &World) -> Process {
    certify(world);
    let mut text = include_str!("../../../conf/turnserver.conf.example").to_owned();
    for (of_the_sample, of_the_test) in [
        ("198.51.100.30", GATEWAY),
        ("192.0.2.10", GATEWAY),
        ("/etc/coturn/fullchain.pem", "relay.crt"),
        ("/etc/coturn/privkey.pem", "relay.key"),
        (
            "a-long-random-word-that-browser.turn_secret_file-holds-too",
            SECRET,
        ),
    ] {
        assert!(text.contains(of_the_sample), "{of_the_sample}");
        text = text.replace(of_the_sample, of_the_test);
    }
    world.write("relay.conf", &text);
    let mut command = Command::new("turnserver");
    command.args(["-c", "relay.conf", "--pidfile=relay.pid"]);
    command.args(["--log-file=stdout", "--simple-log"]);
    let relay = world.start("relay", &mut command);
    for port in [3478, 443] {
        until("the relay", Duration::from_secs(10), || {
            is_listening_tcp(&format!("{GATEWAY}:{port}"))
        });
    }
    relay
}

/// A certificate of the relay's own.
fn certify(world: &World) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=relay",
            "-keyout",
            "relay.key",
            "-out",
            "relay.crt",
        ])
        .args(["-addext", &format!("subjectAltName=IP:{GATEWAY}")])
        .current_dir(world.file(""))
        .output();
    let made = made.expect("openssl");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// Another address of the machine of gateway and relay.
const BESIDE: &str = "10.70.1.1";
/// Where a peer of the relay answers.
const PEER_PORT: &str = "3480";
const SECRET: &str = "a-secret-of-the-relay-and-of-the-gateway";
