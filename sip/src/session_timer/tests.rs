//! The tables of RFC 4028 §7.2 and §9.

use super::*;
use crate::message::parse;

fn settings(expires_s: u64, min_s: u64) -> SessionTimer {
    SessionTimer {
        expires: Duration::from_secs(expires_s),
        min: Duration::from_secs(min_s),
        refresh_by: RefreshBy::Invite,
    }
}

fn judged(settings: &SessionTimer, headers: &str, we_refresh: Option<bool>) -> String {
    let text = format!("INVITE sip:a@b SIP/2.0\r\n{headers}\r\n");
    let message = parse(text.as_bytes()).expect("a request");
    match judge(settings, &message, we_refresh) {
        Verdict::Off => "off".into(),
        Verdict::TooSmall(least) => format!("422 {}", least.as_secs()),
        Verdict::Agreed(agreed) => {
            let by = if agreed.we_refresh { "we" } else { "peer" };
            format!("{} {by}", agreed.interval.as_secs())
        }
    }
}

/// RFC 4028 §9, table 2, and D-06: the refresher is whom the peer wishes.
#[test]
fn a_request_is_judged_by_the_table_of_rfc_4028() {
    const TIMER: &str = "Supported: timer\r\n";
    let ours = settings(1_800, 90);
    for (headers, running, wanted) in [
        (String::new(), None, "off"),
        (TIMER.into(), None, "1800 we"),
        (TIMER.into(), Some(false), "1800 peer"),
        (format!("{TIMER}Session-Expires: 1800\r\n"), None, "1800 we"),
        (
            format!("{TIMER}Session-Expires: 1800;refresher=uac\r\n"),
            None,
            "1800 peer",
        ),
        (
            format!("{TIMER}x: 600 ; Refresher = UAS\r\n"),
            None,
            "600 we",
        ),
        (
            format!("{TIMER}Session-Expires: 1800\r\n"),
            Some(false),
            "1800 peer",
        ),
        (
            format!("{TIMER}Session-Expires: 1800;refresher=uas\r\n"),
            Some(false),
            "1800 we",
        ),
        // Who cannot refresh does not; it was a proxy that asked.
        (
            "Session-Expires: 1800;refresher=uac\r\n".into(),
            None,
            "1800 we",
        ),
        ("Session-Expires: 60\r\n".into(), None, "90 we"),
        (format!("{TIMER}Session-Expires: 89\r\n"), None, "422 90"),
        (format!("{TIMER}Session-Expires: 0\r\n"), None, "422 90"),
        (
            "Require: timer\r\nSession-Expires: 90\r\n".into(),
            None,
            "90 we",
        ),
        // Longer than we want: made smaller, but not below what the peer takes.
        (format!("{TIMER}Session-Expires: 7200\r\n"), None, "1800 we"),
        (
            format!("{TIMER}Session-Expires: 7200\r\nMin-SE: 3600\r\n"),
            None,
            "3600 we",
        ),
        (format!("{TIMER}Min-SE: 3600\r\n"), None, "3600 we"),
        (
            format!("{TIMER}Session-Expires: 4294967295\r\nMin-SE: 4294967295\r\n"),
            None,
            "86400 we",
        ),
        // What cannot be read is as none.
        (format!("{TIMER}Session-Expires: soon\r\n"), None, "1800 we"),
        (format!("{TIMER}Session-Expires: -5\r\n"), None, "1800 we"),
        (
            format!("{TIMER}Session-Expires: 99999999999999999999\r\n"),
            None,
            "1800 we",
        ),
        (
            format!("{TIMER}Session-Expires: 200\r\nSession-Expires: 300\r\n"),
            None,
            "1800 we",
        ),
        (
            format!("{TIMER}Session-Expires: 200;refresher=both\r\n"),
            None,
            "200 we",
        ),
        (
            format!("{TIMER}Session-Expires: 200;refresher=\r\n"),
            Some(false),
            "200 peer",
        ),
    ] {
        assert_eq!(
            judged(&ours, &headers, running),
            wanted,
            "{headers:?} {running:?}"
        );
    }
}

/// D-04: Expressway takes 500 s at least.
#[test]
fn a_minimum_of_ours_refuses_less_and_takes_the_same() {
    let ours = settings(1_800, 500);
    let small = "Supported: timer\r\nSession-Expires: 499\r\n";
    assert_eq!(judged(&ours, small, None), "422 500");
    assert_eq!(judged(&ours, &small.replace("499", "500"), None), "500 we");
    // A minimum below that of the RFC, and one above our own wish.
    assert_eq!(
        judged(&settings(1_800, 1), &small.replace("499", "89"), None),
        "422 90"
    );
    assert_eq!(
        judged(&settings(100, 500), "Supported: timer\r\n", None),
        "500 we"
    );
}

#[test]
fn we_ask_for_what_the_peer_takes() {
    let ours = settings(1_800, 90);
    let asked = ask(&ours, Duration::ZERO, None);
    assert_eq!((asked.expires.interval.as_secs(), asked.min), (1_800, None));
    assert_eq!(asked.expires.refresher, None, "the callee chooses");
    let least = Duration::from_secs(3_600);
    let agreed = |seconds, we_refresh| Agreement {
        interval: Duration::from_secs(seconds),
        we_refresh,
        is_supported: true,
    };
    let again = ask(&ours, least, Some(agreed(1_800, true)));
    assert_eq!((again.expires.interval, again.min), (least, Some(least)));
    assert_eq!(again.expires.refresher, Some(Refresher::Uac));
    assert_eq!(
        ask(&ours, least, Some(agreed(1_800, false)))
            .expires
            .refresher,
        Some(Refresher::Uas)
    );
    // What was agreed on is asked for again, whatever we had asked for at first (RFC 4028 §7.4).
    for seconds in [90, 7_200] {
        let refresh = ask(&ours, Duration::ZERO, Some(agreed(seconds, true)));
        assert_eq!(refresh.expires.interval.as_secs(), seconds);
    }
    assert_eq!(settings(0, 90).if_on(), None);
}

/// Whatever a 2xx says: refreshes are 45 s apart at least, and the end comes after the refresh.
#[test]
fn a_response_never_makes_us_send_a_storm() {
    for (header, agreement) in [
        ("Session-Expires: 1;refresher=uac", Some((90, true))),
        ("Session-Expires: 0;refresher=uas", Some((90, false))),
        ("Session-Expires: 1800", Some((1_800, true))),
        ("Session-Expires: 1800;refresher=uas", Some((1_800, false))),
        (
            "Session-Expires: 4294967295;refresher=uac",
            Some((86_400, true)),
        ),
        ("Session-Expires: x", None),
        ("Min-SE: 90", None),
    ] {
        let text = format!("SIP/2.0 200 OK\r\n{header}\r\n\r\n");
        let message = parse(text.as_bytes()).expect("a response");
        let found = agreed(&message);
        let seen = found.map(|agreed| (agreed.interval.as_secs(), agreed.we_refresh));
        assert_eq!(seen, agreement, "{header}");
        if let Some(agreed) = found {
            assert!(agreed.refresh_after() >= Duration::from_secs(45));
            assert!(agreed.end_after() > agreed.refresh_after());
        }
    }
}

/// RFC 4028 §10.
#[test]
fn the_end_comes_32_seconds_or_a_third_before_the_interval() {
    let end = |seconds| {
        let agreement = Agreement {
            interval: Duration::from_secs(seconds),
            we_refresh: false,
            is_supported: true,
        };
        agreement.end_after().as_secs()
    };
    assert_eq!((end(1_800), end(90), end(96)), (1_768, 60, 64));
}
