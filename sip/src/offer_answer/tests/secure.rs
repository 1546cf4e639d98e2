//! Keys in offers and answers: what is offered, taken, kept, changed and refused.

use super::super::crypto::{CryptoOffer, CryptoSuite, LineKeys};
use super::*;

const SHA1_80: &str = "AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHER: &str = "AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const SHA1_32: &str = "AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj";
const GCM_128: &str = "AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";
const GCM_256: &str = "AEAD_AES_256_GCM \
     inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=";

fn line_keys(seed: u8) -> LineKeys {
    let mut random = [seed; LineKeys::SIZE];
    for (place, octet) in random.iter_mut().enumerate() {
        *octet = octet.wrapping_mul(31) ^ u8::try_from(place).expect("few octets");
    }
    LineKeys::new(&random)
}

fn secured(policy: CryptoPolicy, offer: CryptoOffer) -> Session {
    let mut session = session();
    session.set_crypto(policy, offer, line_keys(1));
    session
}

fn required() -> Session {
    secured(CryptoPolicy::Required, CryptoOffer::Secure)
}

/// One audio line with these attributes under the tags 1, 2, ….
fn line(transport: &str, keys: &[&str]) -> SessionDescription {
    let mut lines = format!("m=audio 4000 {transport} 8\n");
    for (place, key) in keys.iter().enumerate() {
        lines.push_str(&format!("a=crypto:{} {key}\n", place + 1));
    }
    sdp(&lines)
}

fn taken(
    session: &mut Session,
    offer: &SessionDescription,
) -> Result<SessionDescription, Unusable> {
    session.accept(read_offer(offer, session.policy(), anywhere)?);
    session.answer(&codecs(&["PCMA"]), Direction::SendRecv, None)
}

fn offered(session: &mut Session) -> SessionDescription {
    session.offer(&codecs(&["PCMA"]), Direction::SendRecv, None)
}

/// Reads what was answered to `offer`, and lets it take effect.
fn completed(
    session: &mut Session,
    offer: &SessionDescription,
    answer: &SessionDescription,
) -> Result<(), Unusable> {
    let read = read_answer(offer, answer, session.policy(), anywhere)?;
    session.accept_answer(read);
    Ok(())
}

fn crypto(description: &SessionDescription) -> Vec<String> {
    let lines = description.media[0].crypto.iter();
    lines.map(|line| line.to_string()).collect()
}

fn suite(session: &Session) -> Option<CryptoSuite> {
    session
        .current()
        .agreed
        .as_ref()
        .map(|agreed| agreed.suite())
}

#[test]
fn an_answer_has_one_key_of_ours_under_the_tag_of_the_first_that_we_can_use() {
    let offer = line(
        "RTP/SAVP",
        &["F8_128_HMAC_SHA1_80 inline:x", SHA1_32, SHA1_80, GCM_128],
    );
    let mut session = required();
    let answer = taken(&mut session, &offer).expect("a key that we have");
    let keys = crypto(&answer);
    assert_eq!(keys.len(), 1);
    assert!(
        keys[0].starts_with("2 AES_CM_128_HMAC_SHA1_32 inline:"),
        "{keys:?}"
    );
    assert_eq!(&*answer.media[0].protocol, "RTP/SAVP");
    let key = keys[0].split("inline:").nth(1).expect("a key");
    assert!(!SHA1_32.contains(key), "never the offerer's own key");
    let agreed = session.current().agreed.as_ref().expect("keys");
    assert_ne!(agreed.send, agreed.receive);
    assert!(text(&answer).contains(&format!("a=crypto:{}\r\n", keys[0])));
}

/// G-03: "SRTP Ciphers" of a call manager: all with GCM first, only the strongest, only GCM; G-04: an
/// Expressway without GCM.
#[test]
fn each_setting_of_a_call_manager_and_an_expressway_finds_its_suite_in_ours() {
    use CryptoSuite::{AeadAes128Gcm, AeadAes256Gcm, AesCm128HmacSha1_32, AesCm128HmacSha1_80};
    for (keys, expected) in [
        (&[GCM_256, GCM_128, SHA1_80, SHA1_32][..], AeadAes256Gcm),
        (&[GCM_256], AeadAes256Gcm),
        (&[GCM_128, GCM_256], AeadAes128Gcm),
        (&[SHA1_80, SHA1_32], AesCm128HmacSha1_80),
        (&[SHA1_32], AesCm128HmacSha1_32),
    ] {
        let mut session = required();
        taken(&mut session, &line("RTP/SAVP", keys)).expect("one of four suites");
        assert_eq!(suite(&session), Some(expected));
        // The same the other way round: it answers our offer with what it has.
        let mut session = required();
        let offer = offered(&mut session);
        let name = expected.as_str();
        let ours = crypto(&offer);
        let ours = ours
            .iter()
            .find(|line| line.contains(name))
            .expect("all four");
        let tag = ours.split(' ').next().expect("a tag");
        let key = keys
            .iter()
            .find(|key| key.starts_with(name))
            .expect("its key");
        let answer = sdp(&format!("m=audio 4000 RTP/SAVP 8\na=crypto:{tag} {key}\n"));
        completed(&mut session, &offer, &answer).expect("an answer");
        assert_eq!(suite(&session), Some(expected));
    }
}

#[test]
fn a_secure_offer_names_all_four_suites_under_savp() {
    let offer = offered(&mut required());
    assert_eq!(&*offer.media[0].protocol, "RTP/SAVP");
    let keys = crypto(&offer);
    assert_eq!(keys.len(), 4);
    assert!(keys[0].starts_with("1 AEAD_AES_256_GCM inline:"));
    assert!(
        keys.iter()
            .any(|key| key.contains(" AES_CM_128_HMAC_SHA1_80 "))
    );
    let effort = offered(&mut secured(
        CryptoPolicy::Preferred,
        CryptoOffer::BestEffort,
    ));
    assert_eq!(
        (&*effort.media[0].protocol, crypto(&effort).len()),
        ("RTP/AVP", 4)
    );
    let plain = offered(&mut secured(CryptoPolicy::Preferred, CryptoOffer::Plain));
    assert_eq!(
        (&*plain.media[0].protocol, crypto(&plain).len()),
        ("RTP/AVP", 0)
    );
}

/// Each answer to a secure offer that is none.
#[test]
fn an_answer_without_a_key_of_our_offer_is_refused_by_name() {
    let mut session = required();
    let offer = offered(&mut session);
    let ours = crypto(&offer);
    let echoed = ours.iter().map(|line| format!("a=crypto:{line}\n"));
    let echoed: String = echoed.collect();
    for (lines, refusal) in [
        (
            "m=audio 4000 RTP/SAVP 8\n".to_owned(),
            Unusable::NoUsableKey,
        ),
        ("m=audio 4000 RTP/AVP 8\n".to_owned(), Unusable::NotSecure),
        (
            format!("m=audio 4000 RTP/SAVP 8\na=crypto:1 {SHA1_80}\n"),
            Unusable::WrongTag,
        ),
        (
            format!("m=audio 4000 RTP/SAVP 8\na=crypto:5 {SHA1_80}\n"),
            Unusable::WrongTag,
        ),
        (
            format!("m=audio 4000 RTP/SAVP 8\na=crypto:3 {SHA1_80}|2^31|1:1\n"),
            Unusable::NoUsableKey,
        ),
        (
            format!("m=audio 4000 RTP/SAVP 8\n{echoed}"),
            Unusable::ReusedKey,
        ),
        (
            format!("m=audio 4000 UDP/TLS/RTP/SAVP 8\na=crypto:3 {SHA1_80}\n"),
            Unusable::SecureOnly,
        ),
    ] {
        assert_eq!(
            completed(&mut session, &offer, &sdp(&lines)),
            Err(refusal),
            "{lines}"
        );
        assert!(session.current().agreed.is_none() && session.current().waits_for_keys());
    }
}

#[test]
fn each_policy_takes_what_it_says_of_an_offer() {
    use CryptoPolicy::{Off, Preferred, Required};
    let plain = line("RTP/AVP", &[]);
    let effort = line("RTP/AVP", &[SHA1_80]);
    let secure = line("RTP/SAVP", &[SHA1_80]);
    let feedback = line("RTP/SAVPF", &[SHA1_80]);
    let keyless = line("RTP/SAVP", &["F8_128_HMAC_SHA1_80 inline:x"]);
    let browser = line("UDP/TLS/RTP/SAVPF", &[SHA1_80]);
    for (policy, offer, expected) in [
        (Off, &plain, Ok(false)),
        (Off, &effort, Ok(false)),
        (Off, &secure, Err(Unusable::SecureOnly)),
        (Off, &keyless, Err(Unusable::SecureOnly)),
        (Preferred, &plain, Ok(false)),
        (Preferred, &effort, Ok(true)),
        (Preferred, &secure, Ok(true)),
        (Preferred, &feedback, Ok(true)),
        (Preferred, &keyless, Err(Unusable::NoUsableKey)),
        (Preferred, &browser, Err(Unusable::SecureOnly)),
        (Required, &plain, Err(Unusable::NotSecure)),
        (Required, &effort, Ok(true)),
        (Required, &secure, Ok(true)),
        (Required, &keyless, Err(Unusable::NoUsableKey)),
    ] {
        let mut session = secured(policy, CryptoOffer::Plain);
        let answered = taken(&mut session, offer).map(|answer| {
            assert_eq!(answer.media[0].protocol, offer.media[0].protocol);
            !answer.media[0].crypto.is_empty()
        });
        assert_eq!(answered, expected, "{policy:?} {:?}", offer.media[0]);
        assert_eq!(session.current().agreed.is_some(), expected == Ok(true));
    }
}

/// C-14: alternatives of one stream: the one with keys wherever keys are taken.
#[test]
fn of_savp_and_avp_the_line_with_keys_is_taken_in_either_order() {
    let plain = "m=audio 4000 RTP/AVP 8\n";
    let secure = format!("m=audio 4000 RTP/SAVP 8\na=crypto:1 {SHA1_80}\n");
    for (lines, expected) in [
        (format!("{plain}{secure}"), [0, 10_000]),
        (format!("{secure}{plain}"), [10_000, 0]),
    ] {
        for policy in [CryptoPolicy::Preferred, CryptoPolicy::Required] {
            let mut session = secured(policy, CryptoOffer::Plain);
            let answer = taken(&mut session, &sdp(&lines)).expect("keys");
            let ports: Vec<u16> = answer.media.iter().map(|media| media.port).collect();
            assert_eq!(ports, expected);
        }
    }
}

/// G-07, D-07: what does not change on the peer's side changes nothing on ours.
#[test]
fn a_refresh_and_a_hold_keep_the_keys_and_only_other_words_raise_the_version() {
    let mut session = required();
    let offer = line("RTP/SAVP", &[SHA1_80, SHA1_32]);
    let first = taken(&mut session, &offer).expect("keys");
    let agreed = session.current().agreed.clone();
    let again = taken(&mut session, &offer).expect("keys");
    assert_eq!(first, again, "a refresh: the same words");
    let held = sdp(&format!(
        "m=audio 4000 RTP/SAVP 8\na=crypto:1 {SHA1_80}\na=crypto:2 {SHA1_32}\na=sendonly\n"
    ));
    let answer = taken(&mut session, &held).expect("keys");
    assert_eq!(crypto(&answer), crypto(&first));
    assert_eq!(answer.origin.version, first.origin.version + 1);
    // Our own offer in the same dialog: all suites, the one in use first under the same key.
    let ours = offered(&mut session);
    let (said, before) = (crypto(&ours), crypto(&first));
    assert_eq!(said.len(), 4);
    let key_of = |line: &str| line.split("inline:").nth(1).map(str::to_owned);
    assert_eq!(key_of(&said[0]), key_of(&before[0]));
    assert_eq!(session.current().agreed, agreed, "until it is answered");
    let answer = sdp(&format!("m=audio 4000 RTP/SAVP 8\na=crypto:3 {SHA1_80}\n"));
    completed(&mut session, &ours, &answer).expect("an answer");
    assert_eq!(session.current().agreed, agreed);
}

/// E-10: a new key of the peer is a new receive key; ours stays.
#[test]
fn a_key_that_the_peer_changes_is_its_alone() {
    let mut session = required();
    taken(&mut session, &line("RTP/SAVP", &[SHA1_80])).expect("keys");
    let before = session.current().agreed.clone().expect("keys");
    taken(&mut session, &line("RTP/SAVP", &[OTHER])).expect("keys");
    let after = session.current().agreed.clone().expect("keys");
    assert_eq!(after.send, before.send);
    assert_ne!(after.receive, before.receive);
    session.take_spare_keys(line_keys(2), line_keys(3));
    let mut moved = line("RTP/SAVP", &[SHA1_80]);
    moved.media[0].port = 4444;
    taken(&mut session, &moved).expect("keys");
    let moved = session.current().agreed.clone().expect("keys");
    assert_ne!(
        moved.send, before.send,
        "only where the peer is another one"
    );
}

/// A suite that is in use is kept where it is still offered, whatever stands before it.
#[test]
fn the_suite_in_use_is_kept_while_it_is_offered() {
    let mut session = required();
    taken(&mut session, &line("RTP/SAVP", &[SHA1_80])).expect("keys");
    taken(&mut session, &line("RTP/SAVP", &[GCM_256, OTHER])).expect("keys");
    assert_eq!(suite(&session), Some(CryptoSuite::AesCm128HmacSha1_80));
    taken(&mut session, &line("RTP/SAVP", &[SHA1_32])).expect("keys");
    assert_eq!(suite(&session), Some(CryptoSuite::AesCm128HmacSha1_32));
}

/// RFC 3261 §14.1.
#[test]
fn a_refused_offer_brings_the_keys_back() {
    let mut session = required();
    taken(&mut session, &line("RTP/SAVP", &[SHA1_80])).expect("keys");
    let before = session.current().clone();
    taken(&mut session, &line("RTP/SAVP", &[GCM_128])).expect("keys");
    assert_ne!(session.current().agreed, before.agreed);
    session.restore(before.clone());
    assert_eq!(session.current().agreed, before.agreed);
    assert_eq!(session.current().crypto, before.crypto);
}

/// A peer that sends our own key back as its own has none: the same key for both directions is what a
/// key must never be used for.
#[test]
fn a_key_of_ours_that_comes_back_in_an_offer_is_none() {
    let mut session = required();
    let ours = crypto(&offered(&mut session));
    let lines = format!("m=audio 4000 RTP/SAVP 8\na=crypto:{}\n", ours[0]);
    assert_eq!(
        taken(&mut session, &sdp(&lines)),
        Err(Unusable::NoUsableKey)
    );
    let beside = format!("{lines}a=crypto:9 {SHA1_80}\n");
    let answer = taken(&mut session, &sdp(&beside)).expect("the other one");
    assert!(crypto(&answer)[0].starts_with("9 "));
}

/// Best effort: who does not know keys answers without.
/// With a master key identifier, or without encryption, as some phones write it: what follows is SRTP
/// that nobody here can read, and would be noise.
#[test]
fn an_answer_whose_key_cannot_be_read_is_none_under_a_plain_profile_too() {
    for more in ["|2^31|1:1", " UNENCRYPTED_SRTCP"] {
        let mut session = secured(CryptoPolicy::Preferred, CryptoOffer::BestEffort);
        let offer = offered(&mut session);
        let answer = format!("m=audio 4000 RTP/AVP 8\na=crypto:3 {SHA1_80}{more}\n");
        assert_eq!(
            completed(&mut session, &offer, &sdp(&answer)),
            Err(Unusable::NoUsableKey),
            "{more}"
        );
    }
}

#[test]
fn plain_answers_are_taken_by_a_policy_that_takes_either() {
    for offer in [CryptoOffer::BestEffort, CryptoOffer::Secure] {
        let mut session = secured(CryptoPolicy::Preferred, offer);
        let ours = offered(&mut session);
        assert!(session.current().waits_for_keys());
        completed(&mut session, &ours, &line("RTP/AVP", &[])).expect("plain");
        assert!(session.current().agreed.is_none() && !session.current().waits_for_keys());
    }
    let mut session = secured(CryptoPolicy::Preferred, CryptoOffer::BestEffort);
    let ours = offered(&mut session);
    let answer = sdp(&format!("m=audio 4000 RTP/AVP 8\na=crypto:3 {SHA1_80}\n"));
    completed(&mut session, &ours, &answer).expect("keys");
    assert_eq!(suite(&session), Some(CryptoSuite::AesCm128HmacSha1_80));
    let again = offered(&mut session);
    assert_eq!(
        (&*again.media[0].protocol, crypto(&again).len()),
        ("RTP/AVP", 4)
    );
}
