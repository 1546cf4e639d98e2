//! Flows that must fail: the interpreter can say no.

use super::play_text;

const CALL: &str = "\
alice -> gw     INVITE  offer=pcma
gw    -> alice  100
gw    -> trunk  INVITE  offer=pcma
trunk -> gw     486
gw    -> trunk  ACK
gw    -> alice  486
alice -> gw     ACK
";

fn complaint(text: &str) -> String {
    play_text(text, false).0.expect_err("the flow is wrong")
}

#[test]
fn the_flow_as_it_is_passes() {
    play_text(CALL, false).0.unwrap();
}

#[test]
fn another_status_a_missing_line_and_a_line_too_many_are_found() {
    assert!(complaint(&CALL.replace("alice  486", "alice  404")).contains("486 INVITE came"));
    let shorter = CALL.replace("gw    -> alice  486\nalice -> gw     ACK\n", "");
    assert!(complaint(&shorter).contains("no line expects"));
    assert!(complaint(&format!("{CALL}gw    -> alice  BYE\n")).contains("nothing came"));
    assert!(
        complaint(&CALL.replace("trunk  INVITE  offer=pcma", "trunk  INVITE  offer=pcmu"))
            .contains("offer is")
    );
}

#[test]
fn update_writes_what_came() {
    let (_, text) = play_text(&CALL.replace("alice  486", "alice  404"), true);
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed(&text), squeezed(CALL));
}

#[test]
fn rows_are_compared() {
    let text = format!("{CALL}expect cdr status=200 rows=1\n");
    assert!(complaint(&text).contains("status is 486"));
}
