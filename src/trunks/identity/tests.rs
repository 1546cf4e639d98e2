//! The table of the module, cell by cell.

use super::super::model::tests::trunk;
use super::*;

const HOST: &str = "192.0.2.10";

fn written(profile: IdentityProfile, privacy: Privacy, trusted: bool, name: &str) -> Written {
    let mut trunk = trunk("tr_1", "192.0.2.1:5060");
    trunk.identity = profile;
    trunk.trusted = trusted;
    write(
        &trunk,
        &Caller {
            name,
            alias: "guest.7",
            privacy,
            screened: true,
        },
        HOST,
    )
    .unwrap()
}

fn lines(written: &Written) -> Vec<String> {
    written
        .headers
        .iter()
        .map(|(name, value)| format!("{}: {}", name.as_str(), String::from_utf8_lossy(value)))
        .collect()
}

#[test]
fn each_profile_writes_its_headers() {
    let rpid = "Remote-Party-ID: \"Guest\" <sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=off;screen=yes";
    let pai = "P-Asserted-Identity: \"Guest\" <sip:guest.7@192.0.2.10>";
    for (profile, expected) in [
        (IdentityProfile::Rpid, vec![rpid]),
        (IdentityProfile::Pai, vec![pai]),
        (IdentityProfile::RpidAndPai, vec![rpid, pai]),
        (IdentityProfile::None, vec![]),
    ] {
        let written = written(profile, Privacy::OPEN, false, "Guest");
        assert_eq!(lines(&written), expected, "{profile:?}");
        assert_eq!(&*written.contact_user, "guest.7");
    }
}

#[test]
fn private_caller_is_named_to_trusted_trunks_only() {
    let untrusted = written(IdentityProfile::RpidAndPai, Privacy::FULL, false, "Guest");
    assert_eq!(lines(&untrusted), ["Privacy: id"]);
    assert_eq!(&*untrusted.contact_user, "anonymous");
    assert!(!format!("{untrusted:?}").contains("guest.7"));
    let trusted = written(IdentityProfile::RpidAndPai, Privacy::FULL, true, "Guest");
    assert_eq!(
        lines(&trusted),
        [
            "Remote-Party-ID: <sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=full;screen=yes",
            "P-Asserted-Identity: <sip:guest.7@192.0.2.10>",
            "Privacy: id",
        ]
    );
    assert_eq!(trusted.name, "Anonymous");
}

#[test]
fn names_in_any_script_stay_as_they_are_and_quotes_are_escaped() {
    for (name, expected) in [
        ("张伟", "\"张伟\" <"),
        ("محمد", "\"محمد\" <"),
        ("O\"Neil \\ Sons", "\"O\\\"Neil \\\\ Sons\" <"),
        ("  Eve\r\nX: y ", "\"EveX: y\" <"),
    ] {
        let written = written(IdentityProfile::Pai, Privacy::OPEN, false, name);
        let line = &lines(&written)[0];
        assert!(line.contains(expected), "{line}");
    }
    let nameless = written(IdentityProfile::Pai, Privacy::OPEN, false, " ");
    assert_eq!(
        lines(&nameless),
        ["P-Asserted-Identity: <sip:guest.7@192.0.2.10>"]
    );
}

#[test]
fn ascii_trunk_gets_letters_without_marks_or_no_name() {
    for (name, expected) in [
        ("Žofie Straße Ærø", "Zofie Strasse AEro"),
        ("José “Pepe”", "Jose \"Pepe\""),
        ("张伟", ""),
        ("張 Wei", "Wei"),
        ("ﬁne", "fine"),
    ] {
        assert_eq!(presentable(name, true), expected, "{name}");
    }
}

#[test]
fn own_host_of_the_trunk_stands_before_ours() {
    let mut with_host = trunk("tr_1", "192.0.2.1:5060");
    with_host.from_host = Some("pbx.example.com".into());
    let caller = Caller {
        name: "",
        alias: "guest",
        privacy: Privacy::OPEN,
        screened: true,
    };
    let written = write(&with_host, &caller, HOST).unwrap();
    assert_eq!(
        lines(&written)[0],
        "Remote-Party-ID: <sip:guest@pbx.example.com>;party=calling;id-type=subscriber;privacy=off;screen=yes"
    );
    let plain = trunk("tr_1", "192.0.2.1:5060");
    let over_ipv6 = write(&plain, &caller, "2001:db8::1").unwrap();
    assert!(lines(&over_ipv6)[0].contains("<sip:guest@[2001:db8::1]>"));
}

#[test]
fn long_names_are_cut_at_a_character() {
    assert_eq!(
        presentable(&"张".repeat(500), false).chars().count(),
        NAME_CHARACTERS_MAX
    );
}

/// F-03, F-04: four restrictions, three profiles, trusted or not.
#[test]
fn each_restriction_is_written_by_each_mechanism_by_itself() {
    let name_only = Privacy {
        name: true,
        number: false,
    };
    let number_only = Privacy {
        name: false,
        number: true,
    };
    let (open, anonymous) = ("sip:guest.7@192.0.2.10", "sip:anonymous@anonymous.invalid");
    for (privacy, from, rpid, pai, id) in [
        (
            Privacy::OPEN,
            ("Guest", open),
            Some(
                "\"Guest\" <sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=off;screen=yes",
            ),
            Some("\"Guest\" <sip:guest.7@192.0.2.10>"),
            false,
        ),
        (
            name_only,
            ("Anonymous", open),
            Some(
                "<sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=name;screen=yes",
            ),
            Some("<sip:guest.7@192.0.2.10>"),
            false,
        ),
        (
            number_only,
            ("Guest", anonymous),
            Some(
                "\"Guest\" <sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=uri;screen=yes",
            ),
            Some("\"Guest\" <sip:guest.7@192.0.2.10>"),
            true,
        ),
        (
            Privacy::FULL,
            ("Anonymous", anonymous),
            Some(
                "<sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=full;screen=yes",
            ),
            Some("<sip:guest.7@192.0.2.10>"),
            true,
        ),
    ] {
        for profile in [
            IdentityProfile::Rpid,
            IdentityProfile::Pai,
            IdentityProfile::RpidAndPai,
            IdentityProfile::None,
        ] {
            for trusted in [true, false] {
                let written = written(profile, privacy, trusted, "Guest");
                let (with_rpid, with_pai) = mechanisms(profile);
                let told = trusted || !privacy.number;
                let mut expected = Vec::new();
                let rpid = rpid.filter(|_| with_rpid && told);
                expected.extend(rpid.map(|value| format!("Remote-Party-ID: {value}")));
                let pai = pai.filter(|_| with_pai && told);
                expected.extend(pai.map(|value| format!("P-Asserted-Identity: {value}")));
                expected.extend(id.then(|| "Privacy: id".to_owned()));
                assert_eq!(
                    lines(&written),
                    expected,
                    "{privacy:?} {profile:?} {trusted}"
                );
                let shown = (written.from.display_name(), written.from.uri().as_str());
                assert_eq!(shown, (Some(from.0), from.1), "{privacy:?}");
            }
        }
    }
}

#[test]
fn name_that_a_guest_chose_is_not_vouched_for() {
    let mut both = trunk("tr_1", "192.0.2.1:5060");
    both.identity = IdentityProfile::RpidAndPai;
    let caller = Caller {
        name: "Mallory Bank",
        alias: "guest.7",
        privacy: Privacy::OPEN,
        screened: false,
    };
    let written = write(&both, &caller, HOST).unwrap();
    assert_eq!(
        lines(&written),
        [
            "Remote-Party-ID: \"Mallory Bank\" <sip:guest.7@192.0.2.10>;party=calling;id-type=subscriber;privacy=off;screen=no",
            "P-Asserted-Identity: <sip:guest.7@192.0.2.10>",
        ]
    );
}

fn named(lines: &[(&str, &str)]) -> Vec<(HeaderName, Box<[u8]>)> {
    lines
        .iter()
        .map(|(name, value)| header(name.as_bytes(), value).unwrap())
        .collect()
}

/// F-12: the switchboard stands in From, the real caller elsewhere.
#[test]
fn caller_is_read_by_the_profile_of_its_trunk() {
    let headers = named(&[
        ("Remote-Party-ID", "\"R\" <sip:20@h>;privacy=off"),
        (
            "P-Asserted-Identity",
            "\"P, \\\"x\\\"\" <sip:30@h>, <tel:+4930>",
        ),
    ]);
    let from = NameAddr::parse(b"\"Board\" <sip:10@h>").unwrap();
    let mut trunk = trunk("tr_1", "192.0.2.1:5060");
    for (profile, alias, name) in [
        (IdentityProfile::RpidAndPai, "30", "P, \"x\""),
        (IdentityProfile::Pai, "30", "P, \"x\""),
        (IdentityProfile::Rpid, "20", "R"),
        (IdentityProfile::None, "10", "Board"),
    ] {
        trunk.identity = profile;
        let party = read(Some(&trunk), &headers, Some(&from)).unwrap();
        assert_eq!((&*party.alias, &*party.name), (alias, name), "{profile:?}");
    }
    let stranger = read(None, &headers, Some(&from)).unwrap();
    assert_eq!(stranger.alias, "10", "who is no trunk asserts nothing");
}

#[test]
fn everybody_may_ask_for_privacy() {
    for (lines, asked) in [
        (&[("Privacy", "id")][..], Privacy::FULL),
        (&[("Privacy", "user;critical")], Privacy::FULL),
        (&[("Privacy", "none")], Privacy::OPEN),
        (&[("Privacy", "")], Privacy::OPEN),
        (
            &[("Remote-Party-ID", "<sip:1@h>;privacy=full")],
            Privacy::FULL,
        ),
        (
            &[("Remote-Party-ID", "<sip:1@h>;privacy=nonsense")],
            Privacy::OPEN,
        ),
        (&[("Remote-Party-ID", "not an address")], Privacy::OPEN),
        (&[], Privacy::OPEN),
    ] {
        assert_eq!(asked_privacy(&named(lines)), asked, "{lines:?}");
    }
    let name = asked_privacy(&named(&[("Remote-Party-ID", "<sip:1@h>;privacy=name")]));
    assert_eq!((name.name, name.number), (true, false));
    let number = asked_privacy(&named(&[("Remote-Party-ID", "<sip:1@h>;privacy=URI")]));
    assert_eq!((number.name, number.number), (false, true));
}

/// F-10.
#[test]
fn diversion_goes_on_with_our_host_and_known_words_only() {
    let headers = named(&[
        (
            "Diversion",
            "\"Desk\" <sip:200@cucm.internal>;reason=no-answer;counter=1;evil=\"x\"",
        ),
        ("Diversion", "garbage <"),
        ("Diversion", "<sip:300@h>;reason=a b"),
    ]);
    let trunk = trunk("tr_1", "192.0.2.1:5060");
    let lines: Vec<String> = diversions(&headers, &trunk, false, HOST)
        .iter()
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert_eq!(
        lines[0],
        "\"Desk\" <sip:200@192.0.2.10>;reason=no-answer;counter=1"
    );
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("internal") && !line.contains("evil"))
    );
    assert!(
        diversions(&headers, &trunk, true, HOST).is_empty(),
        "private"
    );
}

/// F-05.
#[test]
fn connected_party_is_written_by_the_profile_of_the_other_side() {
    let party = Party {
        name: "Bob".to_owned(),
        alias: "610".to_owned(),
        uri: Uri::parse(b"sip:610@x").unwrap(),
        privacy: Privacy::OPEN,
    };
    let mut trunk = trunk("tr_1", "192.0.2.1:5060");
    trunk.identity = IdentityProfile::Rpid;
    let lines = |headers: Vec<(HeaderName, Box<[u8]>)>| -> Vec<String> {
        headers
            .iter()
            .map(|(name, value)| format!("{}: {}", name.as_str(), String::from_utf8_lossy(value)))
            .collect()
    };
    assert_eq!(
        lines(connected(Some(&trunk), &party, "called", HOST)),
        [
            "Remote-Party-ID: \"Bob\" <sip:610@192.0.2.10>;party=called;id-type=subscriber;privacy=off;screen=yes"
        ]
    );
    let private = Party {
        privacy: Privacy::FULL,
        ..party.clone()
    };
    assert_eq!(
        lines(connected(Some(&trunk), &private, "called", HOST)),
        ["Privacy: id"]
    );
    assert!(connected(None, &party, "called", HOST).is_empty());
}
