//! Vectors of the RFCs, and challenges of odd peers.

use super::*;
use crate::message::{Method, SendBuffer, parse};

fn response_with(headers: &str) -> String {
    format!("SIP/2.0 401 Unauthorized\r\n{headers}\r\nContent-Length: 0\r\n\r\n")
}

fn challenges_of(headers: &str) -> Vec<Challenge> {
    let text = response_with(headers);
    let message = parse(text.as_bytes()).expect("a response");
    challenges(&message).into_iter().collect()
}

fn authorization(challenge: &Challenge, answering: &Answering<'_>) -> String {
    let mut buffer = SendBuffer::new();
    write_authorization(challenge, answering, &mut buffer);
    String::from_utf8(buffer.as_bytes().to_vec()).expect("text")
}

fn mufasa<'a>(password: &'a str, method: &'a Method, cnonce: &'a str) -> Answering<'a> {
    Answering {
        username: "Mufasa",
        password,
        method,
        uri: "/dir/index.html",
        cnonce,
        nonce_count: 1,
    }
}

/// RFC 2617 §3.5.
#[test]
fn the_vector_of_rfc_2617_comes_out() {
    let found = challenges_of(
        "WWW-Authenticate: Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    );
    let get = Method::Other("GET".into());
    let answering = mufasa("Circle Of Life", &get, "0a4f113b");
    let text = authorization(&found[0], &answering);
    assert!(
        text.contains("response=\"6629fae49393a05397450978507c4ef1\""),
        "{text}"
    );
    assert!(text.contains("qop=auth, nc=00000001"), "{text}");
    assert!(
        text.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""),
        "{text}"
    );
    assert!(!text.contains("algorithm"), "none was named: {text}");
}

/// RFC 7616 §3.9.1: both hashes are offered, the stronger one is answered.
#[test]
fn the_vectors_of_rfc_7616_come_out_and_sha_256_is_preferred() {
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
    let one = |algorithm| {
        format!(
            "WWW-Authenticate: Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
             algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"{opaque}\""
        )
    };
    let found = challenges_of(&format!("{}\r\n{}", one("MD5"), one("SHA-256")));
    let get = Method::Other("GET".into());
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let answering = mufasa("Circle of Life", &get, cnonce);
    let md5 = authorization(&found[0], &answering);
    assert!(
        md5.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""),
        "{md5}"
    );
    let best = Challenge::strongest(&found, None).expect("one");
    assert_eq!(best.algorithm, Algorithm::Sha256);
    let sha = authorization(&best, &answering);
    let wanted = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    assert!(sha.contains(wanted), "{sha}");
    assert!(sha.contains("algorithm=SHA-256"), "{sha}");
}

/// RFC 2069 style, with the challenge of RFC 3665 §2.1 (whose own response is only an example).
#[test]
fn a_challenge_without_qop_is_answered_without_cnonce() {
    let found = challenges_of(
        "WWW-Authenticate: Digest realm=\"atlanta.example.com\", nonce=\"ea9c8e88df84f1cec4341ae6cbe5a359\", \
         opaque=\"\", stale=FALSE, algorithm=MD5",
    );
    let register = Method::Register;
    let answering = Answering {
        username: "bob",
        password: "zanzibar",
        method: &register,
        uri: "sips:ss2.biloxi.example.com",
        cnonce: "unused",
        nonce_count: 1,
    };
    let text = authorization(&found[0], &answering);
    assert!(!text.contains("cnonce") && !text.contains("qop"), "{text}");
    // Computed apart: MD5(MD5(bob:atlanta.example.com:zanzibar):nonce:MD5(REGISTER:sips:…)).
    assert!(
        text.contains("response=\"b5f508175c6cccc6f0600285b4391fbf\""),
        "{text}"
    );
}

#[test]
fn several_challenges_in_one_header_are_told_apart() {
    let found = challenges_of(
        "WWW-Authenticate: Basic realm=\"x, y\", Digest realm=\"a, \\\"b\\\"\", nonce=n1, \
         Digest realm=\"c\", nonce=\"n2\", algorithm=SHA-256-sess, qop=auth, stale=true",
    );
    assert_eq!(found.len(), 2);
    assert_eq!(&*found[0].realm, b"a, \\\"b\\\"");
    assert_eq!(
        (found[0].algorithm, found[0].protection),
        (Algorithm::Md5, Protection::Legacy)
    );
    assert_eq!(
        (found[1].algorithm, found[1].stale),
        (Algorithm::Sha256Sess, true)
    );
    assert_eq!(
        Challenge::strongest(&found, Some("c")).map(|best| best.stale),
        Some(true)
    );
    assert_eq!(Challenge::strongest(&found, Some("elsewhere")), None);
    let first = Challenge::strongest(&found, None).expect("the first realm");
    assert_eq!(&*first.realm, b"a, \\\"b\\\"");
}

#[test]
fn challenges_that_cannot_be_answered_are_read_over() {
    for header in [
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
        "WWW-Authenticate: Digest realm=\"r\"",
        "WWW-Authenticate: Digest nonce=\"n\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"\"",
        "WWW-Authenticate: Digest realm=\"r, nonce=\"n\"",
        "WWW-Authenticate: Digest realm=\"r\", realm=\"s\", nonce=\"n\"",
        "WWW-Authenticate: NTLM",
        "WWW-Authenticate: ,,,",
        "WWW-Authenticate:",
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"",
    ] {
        assert_eq!(challenges_of(header), Vec::new(), "{header}");
    }
}

#[test]
fn more_challenges_than_the_bound_are_not_kept() {
    let header = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n".repeat(CHALLENGES_MAX + 3);
    assert_eq!(challenges_of(header.trim_end()).len(), CHALLENGES_MAX);
}

#[test]
fn a_quote_in_a_user_name_is_escaped_and_line_ends_never_leave() {
    let found = challenges_of("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=auth");
    let invite = Method::Invite;
    let answering = Answering {
        username: "a\"b\r\nX: y",
        password: "p",
        method: &invite,
        uri: "sip:x\r\nEvil: 1",
        cnonce: "c",
        nonce_count: 0x1f,
    };
    let text = authorization(&found[0], &answering);
    assert!(!text.contains('\r') && !text.contains('\n'), "{text}");
    assert!(text.contains("username=\"a\\\"bX: y\""), "{text}");
    assert!(text.contains("nc=0000001f"), "{text}");
}

#[test]
fn debug_never_shows_the_password() {
    let answering = mufasa("Circle of Life", &Method::Invite, "c");
    assert!(!format!("{answering:?}").contains("Circle"));
}
