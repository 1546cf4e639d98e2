//! The table of rules for drafts.

use super::*;

fn judge(draft: &LinkDraft) -> Result<Link, FieldErrors> {
    draft.judge(&DraftWorld {
        now: Timestamp::UNIX_EPOCH,
        random: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        default_caller_alias: "guest",
        trunks: &[("tr_0123456789ab".to_owned(), "carrier".to_owned())],
    })
}

fn custom(path: &str) -> LinkDraft {
    LinkDraft::new(RequestPath::Custom(path.to_owned()), "610")
}

#[test]
fn good_request_paths_are_taken() {
    for path in [
        "sales",
        "a@b.c",
        "Jörg",
        "x.y-z_1+2",
        "%41",
        "a b",
        &"a".repeat(255),
    ] {
        assert_eq!(judge(&custom(path)).unwrap().request_path, path);
    }
}

#[test]
fn bad_request_paths_are_named() {
    for path in [
        "",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a\nb",
        "room-1",
        "local:echo",
        &"a".repeat(256),
        "a\u{0}",
    ] {
        assert_eq!(
            judge(&custom(path)).unwrap_err().fields(),
            ["request_path"],
            "{path:?}"
        );
    }
}

#[test]
fn request_paths_are_kept_in_nfc_and_case() {
    assert_eq!(judge(&custom("Jo\u{308}rg")).unwrap().request_path, "Jörg");
}

#[test]
fn the_length_of_a_request_path_counts_octets_after_normalisation() {
    let longer_when_decomposed = "o\u{308}".repeat(120);
    assert_eq!(
        judge(&custom(&longer_when_decomposed))
            .unwrap()
            .request_path
            .len(),
        240
    );
}

#[test]
fn a_random_request_path_holds_128_bits_in_the_url_safe_alphabet() {
    let path = judge(&LinkDraft::new(RequestPath::Random, "610"))
        .unwrap()
        .request_path;
    assert_eq!(path.len(), 22);
    assert!(
        path.bytes()
            .all(|o| o.is_ascii_alphanumeric() || o == b'-' || o == b'_')
    );
    assert_ne!(random_path(1), random_path(1 << 127));
    assert_ne!(random_path(u128::MAX), random_path(u128::MAX >> 1));
}

#[test]
fn the_destination_can_be_the_request_path_unless_it_is_local() {
    let link = judge(&LinkDraft::new(RequestPath::Destination, "610@pbx.example")).unwrap();
    assert_eq!(link.request_path, "610@pbx.example");
    let refused = judge(&LinkDraft::new(RequestPath::Destination, "local:echo")).unwrap_err();
    assert_eq!(refused.fields(), ["request_path"]);
}

#[test]
fn destinations_are_users_users_at_domains_or_local_parties() {
    for good in [
        "610",
        "alice@example.com",
        "a@[::1]",
        "local:echo",
        "local:tone",
    ] {
        let draft = LinkDraft::new(RequestPath::Random, good);
        assert_eq!(judge(&draft).unwrap().destination.to_string(), good);
    }
    for bad in [
        "",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "local:fax",
        "sip:a@b",
        "a;b@c",
        "a b",
        "tel:1",
    ] {
        let draft = LinkDraft::new(RequestPath::Random, bad);
        assert_eq!(
            judge(&draft).unwrap_err().fields(),
            ["destination"],
            "{bad}"
        );
    }
}

#[test]
fn a_unique_alias_is_refused_on_what_looks_like_a_telephone_number() {
    let mut draft = custom("a");
    draft.unique_alias = true;
    judge(&draft).unwrap();
    draft.caller_alias = Some("agent".to_owned());
    judge(&draft).unwrap();
    draft.caller_alias = Some("+49 30".to_owned());
    assert_eq!(judge(&draft).unwrap_err().fields(), ["caller_alias"]);
    draft.caller_alias = Some("+4930".to_owned());
    assert_eq!(judge(&draft).unwrap_err().fields(), ["unique_alias"]);
    draft.unique_alias = false;
    assert_eq!(
        judge(&draft).unwrap().caller_alias.as_deref(),
        Some("+4930")
    );
}

#[test]
fn a_window_closes_after_it_opens() {
    let mut draft = custom("a");
    draft.valid_after = Some("2026-01-02T00:00:00Z".to_owned());
    draft.valid_before = Some("2026-01-02T02:00:00+01:00".to_owned());
    judge(&draft).unwrap();
    draft.valid_before = Some("2026-01-02T01:00:00+01:00".to_owned());
    assert_eq!(judge(&draft).unwrap_err().fields(), ["valid_before"]);
    draft.valid_after = Some("tomorrow".to_owned());
    assert_eq!(judge(&draft).unwrap_err().fields(), ["valid_after"]);
}

#[test]
fn a_trunk_pin_is_kept_as_the_id_of_a_trunk_that_exists() {
    let mut draft = custom("a");
    draft.trunk = Some("carrier".to_owned());
    assert_eq!(
        judge(&draft).unwrap().trunk.as_deref(),
        Some("tr_0123456789ab")
    );
    draft.trunk = Some("other".to_owned());
    let errors = judge(&draft).unwrap_err();
    assert_eq!(errors.fields(), ["trunk"]);
    assert!(errors.to_string().contains("carrier"), "{errors}");
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let draft = LinkDraft {
        request_path: RequestPath::Custom("a/b".to_owned()),
        destination: "a b".to_owned(),
        display_name: Some("x\u{7}".to_owned()),
        caller_name: Some("y".repeat(129)),
        caller_alias: Some("no alias".to_owned()),
        unique_alias: false,
        allow_custom_caller_name: false,
        enabled: true,
        valid_after: Some("never".to_owned()),
        valid_before: Some("soon".to_owned()),
        auto_call_after_s: Some(61),
        video_policy: Some("both".to_owned()),
        trunk: Some("missing".to_owned()),
        created_by: "z".repeat(129),
    };
    assert_eq!(
        judge(&draft).unwrap_err().fields(),
        [
            "destination",
            "request_path",
            "display_name",
            "caller_name",
            "caller_alias",
            "valid_after",
            "valid_before",
            "trunk",
            "auto_call_after_s",
            "video_policy",
            "created_by"
        ]
    );
}

#[test]
fn empty_texts_mean_absent() {
    let mut draft = custom("a");
    for field in [
        &mut draft.display_name,
        &mut draft.caller_name,
        &mut draft.caller_alias,
        &mut draft.valid_after,
        &mut draft.valid_before,
        &mut draft.trunk,
    ] {
        *field = Some(String::new());
    }
    let link = judge(&draft).unwrap();
    assert_eq!(
        (link.display_name, link.caller_name, link.caller_alias),
        (None, None, None)
    );
    assert_eq!(
        (link.valid_after, link.valid_before, link.trunk),
        (None, None, None)
    );
}
