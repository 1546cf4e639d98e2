use super::*;

fn table(change: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::from("# comment\n");
    for (chapter, count) in CHAPTERS {
        for number in 1..=count {
            let id = format!("{chapter}-{number:02}");
            let row = change(&id).unwrap_or_else(|| format!("{id}\ttitle\ttested\tone\n"));
            text.push_str(&row);
        }
    }
    text
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let whole = table(|_| None);
    assert_eq!(parse(&whole).unwrap().len(), 94);
    let missing = table(|id| (id == "C-03").then(String::new));
    assert!(parse(&missing).unwrap_err().to_string().contains("C-03"));
    let doubled = table(|id| (id == "J-07").then(|| "J-06\tt\ttested\ta\n".repeat(2)));
    assert!(parse(&doubled).unwrap_err().to_string().contains("J-06"));
}

#[test]
fn an_open_row_waits_for_something_that_may_be_waited_for() {
    let late = table(|id| (id == "C-01").then(|| "C-01\tt\topen\tno time\n".to_owned()));
    assert!(format!("{:#}", parse(&late).unwrap_err()).contains("C-01"));
    let tls = table(|id| (id == "A-05").then(|| "A-05\tt\topen\tTLS: later\n".to_owned()));
    let row = parse(&tls)
        .unwrap()
        .into_iter()
        .find(|row| row.id == "A-05");
    assert_eq!(row.unwrap().state, State::Open("TLS: later"));
}

#[test]
fn a_row_passes_only_where_each_of_its_tests_was_seen_to_pass() {
    let line = "C-02\tt\ttested\tfirst interop:second flow:third";
    let row = row(line).unwrap();
    let printed = "test a::first ... ok\ntest sipp::second ... ok\n\
                   test every_flow_goes_as_written ... ok\n";
    assert_eq!(judge(&row, &outcomes(printed)).0, "pass");
    for (from, to) in [
        ("first ... ok", "first ... FAILED"),
        ("second ... ok", "second ... ignored"),
    ] {
        let (verdict, shown) = judge(&row, &outcomes(&printed.replace(from, to)));
        assert_eq!(verdict, "fail");
        assert!(from.starts_with(&shown));
    }
    assert_eq!(judge(&row, &outcomes("test a::first ... ok\n")).0, "fail");
    let twice = outcomes("test a::first ... ok\ntest b::first ... FAILED\n");
    assert_eq!(twice.get("first"), Some(&false));
}

/// The guide is where a requirement on the operator's side is met: it names the settings.
#[test]
fn the_cisco_guide_names_each_setting_an_operator_must_look_at() {
    let guide = include_str!("../../../../conf/cisco.md");
    for setting in [
        "SIP ALG",
        "OPTIONS Ping",
        "Local=1",
        "Local=2",
        "Local=3",
        "Allow iX Application Media",
        "Require SDP Inactive Exchange for Mid-Call Media Change",
        "Media encryption mode",
        "100 calls",
        "Monitor peer status",
        "UDP/IX filter",
        "UDP/BFCP filter",
        "Media Termination Point Required",
        "RFC 2833",
        "SRTP Allowed",
        "SRTP Ciphers",
        "AES GCM support",
        "sip.srtp_over_clear_signalling",
        "Run On All Active Unified CM Nodes",
    ] {
        assert!(guide.contains(setting), "{setting}");
    }
}
