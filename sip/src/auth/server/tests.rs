//! Vectors, guesses, replays and answers of odd shape (reliability §5 groups 2 and 7).

use super::*;
use crate::auth::{Answering, Challenge, challenges, write_authorization};
use crate::message::parse;

const REALM: &str = "sluice";
const METHODS: [Algorithm; 2] = [Algorithm::Md5, Algorithm::Sha256];

fn nonces() -> Nonces {
    Nonces::new([5; 32])
}

/// The challenge as a client of ours reads it.
fn read(challenge: &[u8]) -> Challenge {
    let text = String::from_utf8(challenge.to_vec()).expect("text");
    let response = format!("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: {text}\r\n\r\n");
    let message = parse(response.as_bytes()).expect("a response");
    challenges(&message).first().cloned().expect("a challenge")
}

fn answer(challenge: &Challenge, username: &str, password: &str, count: u32) -> Vec<u8> {
    let answering = Answering {
        username,
        password,
        method: &Method::Register,
        uri: "sip:sluice.example",
        cnonce: "0a4f113b",
        nonce_count: count,
    };
    let mut buffer = SendBuffer::new();
    write_authorization(challenge, &answering, &mut buffer);
    buffer.as_bytes().to_vec()
}

/// User 100 has the password `right`, and nobody else exists.
fn lookup(user: &str, algorithm: Algorithm) -> Option<Box<str>> {
    (user == "100").then(|| algorithm.secret_of("100", REALM, "right"))
}

fn asked(uri: &[u8]) -> bool {
    uri == b"sip:sluice.example"
}

fn check(nonces: &mut Nonces, now_s: u64, text: &[u8]) -> Result<Box<str>, AuthFailure> {
    nonces.check(now_s, text, &Method::Register, &asked, &lookup)
}

#[test]
fn the_right_password_is_taken_with_both_hashes_and_the_count_must_rise() {
    for algorithm in METHODS {
        let mut nonces = nonces();
        let challenge = read(&nonces.challenge(1_000, REALM, algorithm, false));
        assert_eq!((challenge.algorithm, challenge.stale), (algorithm, false));
        let first = answer(&challenge, "100", "right", 1);
        assert_eq!(check(&mut nonces, 1_001, &first).as_deref(), Ok("100"));
        assert_eq!(
            check(&mut nonces, 1_001, &first),
            Err(AuthFailure::Replayed)
        );
        let third = answer(&challenge, "100", "right", 3);
        assert_eq!(check(&mut nonces, 1_002, &third).as_deref(), Ok("100"));
        let second = answer(&challenge, "100", "right", 2);
        assert_eq!(
            check(&mut nonces, 1_003, &second),
            Err(AuthFailure::Replayed)
        );
        assert!(AuthFailure::Replayed.is_stale());
        assert_eq!(nonces.count(), 1);
    }
}

/// svwar must see no difference (reliability §5 group 7): one failure, and one path to it.
#[test]
fn an_unknown_user_fails_as_a_wrong_password_does() {
    for algorithm in METHODS {
        let mut nonces = nonces();
        let challenge = read(&nonces.challenge(0, REALM, algorithm, false));
        for (user, password) in [("100", "wrong"), ("101", "right"), ("", "right")] {
            let found = check(&mut nonces, 1, &answer(&challenge, user, password, 1));
            let wanted = if user.is_empty() {
                AuthFailure::Malformed
            } else {
                AuthFailure::Credentials
            };
            assert_eq!(found, Err(wanted), "{user} {password}");
            assert_eq!(wanted.is_guess(), !user.is_empty());
        }
        // Not even somebody who sends the hash of our placeholder is nobody.
        assert_eq!(nonces.count(), 0, "a guess leaves nothing");
    }
}

#[test]
fn an_old_nonce_is_stale_only_for_who_knows_the_password() {
    let mut nonces = nonces();
    let challenge = read(&nonces.challenge(1_000, REALM, Algorithm::Sha256, false));
    let late = 1_000 + NONCE_AGE_S_MAX + 1;
    let right = answer(&challenge, "100", "right", 1);
    assert_eq!(check(&mut nonces, late, &right), Err(AuthFailure::Stale));
    let wrong = answer(&challenge, "100", "wrong", 1);
    assert_eq!(
        check(&mut nonces, late, &wrong),
        Err(AuthFailure::Credentials)
    );
    let again = nonces.challenge(late, REALM, Algorithm::Sha256, true);
    assert!(read(&again).stale);
    let right = answer(&read(&again), "100", "right", 1);
    check(&mut nonces, late + NONCE_AGE_S_MAX, &right).unwrap();
}

/// MD5 where SHA-256 was asked for, another realm, another gateway's nonce, an invented one.
#[test]
fn a_nonce_fits_its_realm_its_algorithm_and_its_maker_only() {
    let mut nonces = nonces();
    let challenge = read(&nonces.challenge(0, REALM, Algorithm::Sha256, false));
    let with = |change: &dyn Fn(&mut Challenge)| {
        let mut changed = challenge.clone();
        change(&mut changed);
        answer(&changed, "100", "right", 1)
    };
    let elsewhere = read(&Nonces::new([6; 32]).challenge(0, REALM, Algorithm::Sha256, false));
    for text in [
        with(&|challenge| challenge.algorithm = Algorithm::Md5),
        with(&|challenge| challenge.realm = b"other".as_slice().into()),
        with(&|challenge| challenge.nonce = elsewhere.nonce.clone()),
        with(&|challenge| challenge.nonce = b"0".repeat(NONCE_DIGITS).into()),
        with(&|challenge| challenge.nonce = b"+".repeat(NONCE_DIGITS).into()),
    ] {
        let found = check(&mut nonces, 1, &text);
        assert_eq!(
            found,
            Err(AuthFailure::ForeignNonce),
            "{}",
            String::from_utf8_lossy(&text)
        );
    }
    check(&mut nonces, 1, &with(&|_| {})).unwrap();
}

#[test]
fn another_method_is_another_answer() {
    let mut nonces = nonces();
    let challenge = read(&nonces.challenge(0, REALM, Algorithm::Md5, false));
    let text = answer(&challenge, "100", "right", 1);
    let found = nonces.check(1, &text, &Method::Invite, &asked, &lookup);
    assert_eq!(found, Err(AuthFailure::Credentials));
}

/// CVE-2023-28098 (odd parameters), CVE-2022-24754 (a digest of another length), qop stripping.
#[test]
fn an_answer_of_odd_shape_is_malformed_and_nothing_worse() {
    let mut nonces = nonces();
    let challenge = read(&nonces.challenge(0, REALM, Algorithm::Sha256, false));
    let right = String::from_utf8(answer(&challenge, "100", "right", 1)).unwrap();
    let response = right.split("response=\"").nth(1).unwrap();
    let response = response.split('"').next().unwrap().to_owned();
    let long = "a".repeat(70_000);
    for text in [
        String::new(),
        "Digest".into(),
        "Digest ".into(),
        "Basic MTAwOnJpZ2h0".into(),
        right.replace("Digest ", "Digest"),
        right.replace(", qop=auth", ""),
        right.replace("qop=auth", "qop=auth-int"),
        right.replace("nc=00000001", "nc=1"),
        right.replace("nc=00000001", "nc=00000000"),
        right.replace("nc=00000001", "nc=-0000001"),
        right.replace("nc=00000001", "nc=000000010"),
        right.replace(", nc=00000001", ""),
        right.replace("cnonce=\"0a4f113b\"", "cnonce=\"\""),
        right.replace(", cnonce=\"0a4f113b\"", ""),
        right.replace(&response, response.get(1..).unwrap()),
        right.replace(&response, &format!("{response}0")),
        right.replace(&response, ""),
        right.replace(&response, &long),
        right.replace(&response, &"z".repeat(64)),
        right.replace("username=\"100\"", &format!("username=\"{long}\"")),
        right.replace("username=\"100\"", "username*=UTF-8''100"),
        right.replace("username=\"100\"", "username=\"100"),
        right.replace("username=\"100\"", "username=\"100\", username=\"101\""),
        right.replace("algorithm=SHA-256", "algorithm=SHA-512-256"),
        right.replace("algorithm=SHA-256", "algorithm=SHA-256-sess"),
        format!("{right}, userhash=true"),
        format!("{right}, ="),
        format!("{right},,,,"),
        format!("{right}, \"quoted"),
        right.replace("nonce=\"", "nonce=\"00"),
    ] {
        let found = check(&mut nonces, 1, text.as_bytes());
        assert_eq!(
            found,
            Err(AuthFailure::Malformed),
            "{}",
            text.get(..300).unwrap_or(&text)
        );
    }
    // What is odd and allowed: case, space, unknown parameters, no quotes, quotes around tokens.
    let odd = right
        .replace("Digest ", "DIGEST   ")
        .replace("realm=", "REALM = ")
        .replace("qop=auth", "qop=\"auth\"")
        .replace("username=\"100\"", "username=100, x-odd=\"a,b\\\"c\"");
    assert_eq!(check(&mut nonces, 1, odd.as_bytes()).as_deref(), Ok("100"));
}

/// However many users answer: the table is bounded, and what it forgot cannot be replayed.
#[test]
fn a_forgotten_nonce_is_stale_and_never_new() {
    let mut nonces = nonces();
    let first = read(&nonces.challenge(0, REALM, Algorithm::Md5, false));
    let replayed = answer(&first, "100", "right", 1);
    check(&mut nonces, 0, &replayed).unwrap();
    let unused = read(&nonces.challenge(0, REALM, Algorithm::Md5, false));
    for _ in 0..NONCE_COUNTS_MAX {
        let challenge = read(&nonces.challenge(1, REALM, Algorithm::Md5, false));
        check(&mut nonces, 1, &answer(&challenge, "100", "right", 1)).unwrap();
        assert!(nonces.count() <= NONCE_COUNTS_MAX);
    }
    assert_eq!(check(&mut nonces, 1, &replayed), Err(AuthFailure::Stale));
    let more = answer(&first, "100", "right", 9);
    assert_eq!(check(&mut nonces, 1, &more), Err(AuthFailure::Stale));
    // One that was made in between and is used only now is as good as new, or stale: never replayable.
    let late = answer(&unused, "100", "right", 1);
    let outcome = check(&mut nonces, 1, &late);
    assert!(outcome.is_ok() || outcome == Err(AuthFailure::Stale));
    check(&mut nonces, 1, &late).unwrap_err();
    // Time empties the table.
    let now_s = NONCE_AGE_S_MAX + 100;
    let challenge = read(&nonces.challenge(now_s, REALM, Algorithm::Md5, false));
    check(&mut nonces, now_s, &answer(&challenge, "100", "right", 1)).unwrap();
    assert_eq!(nonces.count(), 1);
}

/// RFC 7616 §3.9.1: the stored half and the response that comes of it, with the RFC's own values.
#[test]
fn the_vectors_of_rfc_7616_are_checked_as_a_server() {
    for (algorithm, wanted) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ] {
        let secret = algorithm.secret_of("Mufasa", "http-auth@example.org", "Circle of Life");
        let answer = Answer {
            username: b"Mufasa",
            realm: b"http-auth@example.org",
            nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            uri: b"/dir/index.html",
            response: b"",
            algorithm,
            cnonce: b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            count_text: b"00000001",
            count: 1,
        };
        assert_eq!(
            answer.response_with(&secret, &Method::Other("GET".into())),
            wanted
        );
    }
}

#[test]
fn a_realm_with_a_quote_comes_back_as_it_was() {
    let mut nonces = nonces();
    let realm = "our \"gateway\"\\";
    let challenge = read(&nonces.challenge(0, realm, Algorithm::Sha256, false));
    let text = answer(&challenge, "100", "right", 1);
    let found = check(&mut nonces, 0, &text);
    // The nonce is ours; the secret of another realm is another one.
    assert_eq!(found, Err(AuthFailure::Credentials));
}

#[test]
fn debug_shows_no_secret() {
    let text = format!("{:?}", Nonces::new([7; 32]));
    assert!(!text.contains("7, 7"), "{text}");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let mut nonces = nonces();
        proptest::prop_assert!(check(&mut nonces, 0, &bytes).is_err());
        let text = [b"Digest username=\"100\", ", &bytes[..]].concat();
        proptest::prop_assert!(check(&mut nonces, 0, &text).is_err());
    }
}

/// RFC 7616 §3.4.6: an answer is for one Request-URI, and another one is no guess at a password.
#[test]
fn an_answer_for_another_request_is_none() {
    for algorithm in METHODS {
        let mut nonces = nonces();
        let challenge = read(&nonces.challenge(0, REALM, algorithm, false));
        for password in ["right", "wrong"] {
            let text = answer(&challenge, "100", password, 1);
            let found = nonces.check(1, &text, &Method::Register, &|_| false, &lookup);
            assert_eq!(found, Err(AuthFailure::ForeignUri));
        }
        assert!(!AuthFailure::ForeignUri.is_guess() && !AuthFailure::ForeignUri.is_stale());
        let text = answer(&challenge, "100", "right", 1);
        assert_eq!(check(&mut nonces, 1, &text).as_deref(), Ok("100"));
    }
}
