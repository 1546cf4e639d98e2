//! Multiparts as Expressway, CUCM and hostile peers write them (C-13).

use proptest::prelude::*;

use super::*;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";

fn found<'a>(content_type: &str, body: &'a str) -> Option<&'a str> {
    let sdp = sdp_of(Some(content_type.as_bytes()), body.as_bytes())?;
    Some(std::str::from_utf8(sdp).unwrap())
}

fn part(headers: &str, content: &str) -> String {
    format!("--b\r\n{headers}\r\n\r\n{content}\r\n")
}

fn sdp_part(extra: &str) -> String {
    part(&format!("Content-Type: application/sdp{extra}"), SDP)
}

/// C-13: with a location, an ISUP part, a signature; before, after, and without line ends of its own.
#[test]
fn the_sdp_of_a_mixed_body_is_taken() {
    let other = part(
        "Content-Type: application/isup;version=itu-t92+",
        "\u{1}\u{0}--bx\r\n--",
    );
    let kind = "multipart/mixed;boundary=b";
    for body in [
        format!("{}{other}--b--\r\n", sdp_part("")),
        format!("{other}{}--b--\r\n", sdp_part("")),
        format!("preamble\r\n{other}{}--b--\r\nepilogue", sdp_part("")),
        format!(
            "{other}{}--b--",
            sdp_part("\r\nContent-Disposition: session;handling=required")
        ),
        format!(
            "{other}{}--b--",
            sdp_part("\r\ncontent-length: 7\r\nContent-ID: <1>")
        ),
        format!("{other}{}", sdp_part("")) + "--b",
        other.clone() + &sdp_part("") + "--b  \t\r\n" + &other + "--b--",
    ] {
        assert_eq!(found(kind, &body), Some(SDP), "{body:?}");
        // AST-2017-003: with bare line feeds.
        let bare = body.replace("\r\n", "\n");
        assert_eq!(
            found(kind, &bare),
            Some(&*SDP.replace("\r\n", "\n")),
            "{bare:?}"
        );
    }
    let mixed = format!("--b\nc: application/sdp\n\n{SDP}\r\n\r\n\r\n--b--");
    let sdp = found(kind, &mixed).unwrap();
    assert!(
        sdp.starts_with(SDP),
        "the first empty line ends the headers: {sdp:?}"
    );
}

#[test]
fn boundaries_of_every_spelling_are_found() {
    let body = format!("{}--b--", sdp_part(""));
    for kind in [
        "Multipart/Mixed; Boundary=\"b\"",
        "multipart/mixed ; charset=x;boundary=b ; z=1",
        "multipart/related;type=\"application/sdp\";boundary=b",
    ] {
        assert_eq!(found(kind, &body), Some(SDP), "{kind}");
    }
    for kind in [
        "multipart/mixed",
        "multipart/mixed;boundary",
        "multipart/mixed;boundary=",
        "multipart/mixed;boundary=\"\"",
        "multipart/mixed;boundary=other",
        "multipart;boundary=b",
        "text/plain;boundary=b",
        "",
    ] {
        assert_eq!(found(kind, &body), None, "{kind}");
    }
    let long = "b".repeat(BOUNDARY_SIZE_MAX + 1);
    let body = body.replace("--b", &format!("--{long}"));
    assert_eq!(
        found(&format!("multipart/mixed;boundary={long}"), &body),
        None
    );
}

/// RFC 2046 §5.1.4: the last one that is understood.
#[test]
fn of_alternatives_the_last_session_is_taken() {
    let kind = "multipart/alternative;boundary=b";
    let second = sdp_part("").replace("o=- 1 1", "o=- 2 2");
    let body = format!(
        "{}{second}{}--b--",
        sdp_part(""),
        part("Content-Type: text/plain", "x")
    );
    assert_eq!(
        found(kind, &body).map(|sdp| sdp.contains("o=- 2 2")),
        Some(true)
    );
    let mixed = found("multipart/mixed;boundary=b", &body);
    assert_eq!(mixed.map(|sdp| sdp.contains("o=- 1 1")), Some(true));
}

#[test]
fn another_session_and_an_encoded_one_are_read_over() {
    let kind = "multipart/mixed;boundary=b";
    for extra in [
        "\r\nContent-Disposition: early-session",
        "\r\nContent-Disposition: attachment;filename=x",
        "\r\nContent-Transfer-Encoding: base64",
        "\r\nContent-Transfer-Encoding: quoted-printable",
    ] {
        let body = format!("{}--b--", sdp_part(extra));
        assert_eq!(found(kind, &body), None, "{extra}");
        let body = format!("{}{}--b--", sdp_part(extra), sdp_part(""));
        assert_eq!(found(kind, &body), Some(SDP), "{extra}");
    }
}

/// A multipart within a multipart, three deep; deeper ones are not looked into, and many parts end.
#[test]
fn nested_and_endless_bodies_have_their_bounds() {
    let mut body = SDP.to_owned();
    let mut kind = "application/sdp".to_owned();
    for depth in 1..=DEPTH_MAX + 2 {
        body = format!("--n{depth}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--n{depth}--\r\n");
        kind = format!("multipart/mixed;boundary=n{depth}");
        assert_eq!(found(&kind, &body).is_some(), depth <= DEPTH_MAX, "{depth}");
    }
    let many = "--b\r\n\r\nx\r\n".repeat(BODY_PARTS_MAX);
    let body = format!("{many}{}--b--", sdp_part(""));
    assert_eq!(found("multipart/mixed;boundary=b", &body), None);
    // CVE-2022-21723: nothing after the boundary.
    for body in [
        "--b",
        "--b\r\n",
        "--b--",
        "--",
        "-",
        "",
        "--b\r\n--b\r\n--b\r\n--b--",
        "\n--b\n\n",
    ] {
        assert_eq!(found("multipart/mixed;boundary=b", body), None, "{body:?}");
    }
}

proptest! {
    /// A body that is cut and changed anywhere: what is found lies within it, and nothing panics.
    #[test]
    fn a_damaged_multipart_is_read_without_a_panic(
        cut in 0_usize..400, place in 0_usize..400, byte in any::<u8>(), inner in "[-\r\n b]{0,60}"
    ) {
        let nested = format!(
            "--n\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--n--\r\n{inner}"
        );
        let nested = part("Content-Type: multipart/alternative;boundary=n", &nested);
        let mut body = format!("{inner}{nested}{}--b--", sdp_part("")).into_bytes();
        let place = place.min(body.len() - 1);
        body[place] = byte;
        body.truncate(cut);
        let kind = b"multipart/mixed;boundary=b";
        if let Some(sdp) = sdp_of(Some(kind), &body) {
            let range = body.as_ptr_range();
            prop_assert!(range.contains(&sdp.as_ptr()) || sdp.is_empty());
        }
    }
}
