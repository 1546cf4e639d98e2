//! sipp on both sides of the gateway, by scenarios of our own (`sipp/*.xml`).

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::gateway::{Gateway, SIP, attempt_statuses, cli, link, trunk, write_config};
use crate::tone;
use crate::world::{Process, World, is_listening, until};

/// The peers behind the two trunks of these tests.
pub(crate) const FIRST: &str = "127.0.0.21:5080";
const SECOND: &str = "127.0.0.22:5080";
pub(crate) const CALLER: &str = "127.0.0.1:5400";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A link `desk` over two trunks, the first one preferred.
fn two_trunks() -> String {
    trunk("first", FIRST, 10) + &trunk("second", SECOND, 20) + &link("desk", "1000")
}

/// A link `desk` over one trunk.
fn one_trunk() -> String {
    trunk("first", FIRST, 10) + &link("desk", "1000")
}

/// Writes a scenario of ours with its blanks filled in.
pub(crate) fn scenario(world: &World, name: &str, blanks: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/interop/sipp/{name}.xml"));
    let mut text = fs::read_to_string(&path).expect("a scenario");
    for (blank, value) in [("HOLD_MS", "200")].iter().chain(blanks).rev() {
        text = text.replace(&format!("{{{blank}}}"), value);
    }
    world
        .write(&format!("{name}.xml"), &text)
        .display()
        .to_string()
}

pub(crate) fn sipp(local: &str) -> Command {
    let (address, port) = local.split_once(':').expect("address and port");
    let mut command = Command::new("sipp");
    command.args(["-i", address, "-mi", address, "-p", port, "-mp", "40000"]);
    command.args(["-nostdin", "-trace_err", "-timeout", "30s"]);
    command
}

/// Starts a callee and waits until it listens.
pub(crate) fn callee(world: &World, local: &str, name: &str, blanks: &[(&str, &str)]) -> Process {
    let file = scenario(world, name, blanks);
    let process = world.start(name, sipp(local).args(["-sf", &file, "-m", "1"]));
    until("the callee's port", PATIENCE, || is_listening(local));
    process
}

/// Lets a caller call `desk` and fails the test when its scenario does.
pub(crate) fn caller(world: &World, name: &str, blanks: &[(&str, &str)]) {
    let file = scenario(world, name, blanks);
    let arguments = [SIP, "-s", "desk", "-sf", &file, "-m", "1"];
    world
        .start(name, sipp(CALLER).args(arguments))
        .succeed(PATIENCE);
}

/// One call from beginning to end, with one callee at the first trunk.
fn one_call(tables: &str, calling: &str, called: &str, blanks: &[(&str, &str)]) -> Option<Value> {
    let world = World::open(&["ip", "sipp"])?;
    let gateway = Gateway::start(&world, tables);
    let mut callee = callee(&world, FIRST, called, blanks);
    caller(&world, calling, blanks);
    callee.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls.into_iter().next()
}

/// The first trunk ends its attempt with `status`; the second one answers.
fn fails_over(status: &str, reason: &str) {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &two_trunks());
    let blanks = [("STATUS", status), ("REASON", reason)];
    let mut refusing = callee(&world, FIRST, "callee_refuses", &blanks);
    let mut answering = callee(&world, SECOND, "callee_answers", &[]);
    caller(&world, "caller_answered", &[]);
    refusing.succeed(PATIENCE);
    answering.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    let expected: i64 = status.parse().expect("a status");
    assert_eq!(attempt_statuses(&calls[0]), [expected, 200], "{calls:?}");
    assert_eq!(calls[0]["status"], 200, "{calls:?}");
}

/// The first trunk's answer is the caller's, though there is a second trunk.
fn is_final(status: &str, reason: &str) {
    let blanks = [("STATUS", status), ("REASON", reason)];
    let Some(call) = one_call(&two_trunks(), "caller_refused", "callee_refuses", &blanks) else {
        return;
    };
    let expected: i64 = status.parse().expect("a status");
    assert_eq!(attempt_statuses(&call), [expected], "{call}");
    assert_eq!(call["status"], expected, "{call}");
}

#[test]
fn an_answered_call_ends_when_the_caller_hangs_up() {
    let Some(call) = one_call(&one_trunk(), "caller_answered", "callee_answers", &[]) else {
        return;
    };
    assert_eq!(call["status"], 200, "{call}");
    assert_eq!(call["released_by"], "originating", "{call}");
    assert_eq!(attempt_statuses(&call), [200], "{call}");
}

#[test]
fn the_list_of_calls_names_what_shows_one_and_the_trunk_by_its_label() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &one_trunk());
    let blanks = [("STATUS", "486"), ("REASON", "Busy Here")];
    let mut refusing = callee(&world, FIRST, "callee_refuses", &blanks);
    caller(&world, "caller_refused", &blanks);
    refusing.succeed(PATIENCE);
    gateway.closed_calls(1);
    let list = gateway.run(&["cdr", "list"]);
    let mut lines = list.lines().skip(1);
    let call = lines.next().and_then(|line| line.split(' ').next());
    let call = call.expect("a call");
    let attempt = lines.next().expect("an attempt");
    assert!(attempt.contains(" first"), "{list}");
    let shown = gateway.run(&["cdr", "show", call]);
    assert!(shown.contains(call) && shown.contains("486"), "{shown}");
}

#[test]
fn busy_is_final_and_reaches_the_caller() {
    is_final("486", "Busy Here");
}

#[test]
fn decline_is_final_and_reaches_the_caller() {
    is_final("603", "Decline");
}

#[test]
fn after_503_the_next_trunk_is_tried() {
    fails_over("503", "Service Unavailable");
}

#[test]
fn after_500_the_next_trunk_is_tried() {
    fails_over("500", "Server Internal Error");
}

/// RFC 3261 §16.7: a 503 from behind is not a statement about us.
#[test]
fn a_lone_503_becomes_500() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, &one_trunk());
    let blanks = [("STATUS", "503"), ("REASON", "Service Unavailable")];
    let mut refusing = callee(&world, FIRST, "callee_refuses", &blanks);
    caller(&world, "caller_refused", &[("STATUS", "500")]);
    refusing.succeed(PATIENCE);
}

#[test]
fn a_silent_trunk_is_left_for_the_next() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &two_trunks());
    let _silent = UdpSocket::bind(FIRST).expect("free in a new namespace");
    let mut answering = callee(&world, SECOND, "callee_answers", &[]);
    caller(&world, "caller_answered", &[]);
    answering.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    let statuses = attempt_statuses(&calls[0]);
    assert_eq!(
        (statuses.len(), statuses.last()),
        (2, Some(&200)),
        "{calls:?}"
    );
}

/// Nothing listens there: the kernel says so, or nobody answers; both lead to the next trunk.
#[test]
fn a_trunk_that_is_not_there_is_left_for_the_next() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &two_trunks());
    let mut answering = callee(&world, SECOND, "callee_answers", &[]);
    caller(&world, "caller_answered", &[]);
    answering.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    let statuses = attempt_statuses(&calls[0]);
    assert_eq!(
        (statuses.len(), statuses.last()),
        (2, Some(&200)),
        "{calls:?}"
    );
}

#[test]
fn a_cancel_at_once_ends_the_call_whether_or_not_anybody_was_called() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &one_trunk());
    let _silent = UdpSocket::bind(FIRST).expect("free in a new namespace");
    caller(&world, "caller_cancels_at_once", &[]);
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["status"], 487, "{calls:?}");
    assert_eq!(calls[0]["cause"], "cancelled", "{calls:?}");
}

/// RFC 3261 §9.1: no CANCEL before a provisional response, and one as soon as it comes.
#[test]
fn a_cancel_waits_for_the_first_sign_of_the_callee() {
    let Some(call) = one_call(&one_trunk(), "caller_cancels_trying", "callee_slow", &[]) else {
        return;
    };
    assert_eq!(call["status"], 487, "{call}");
}

#[test]
fn a_cancel_while_it_rings_reaches_the_callee() {
    let Some(call) = one_call(&one_trunk(), "caller_cancels_ringing", "callee_rings", &[]) else {
        return;
    };
    assert_eq!(call["status"], 487, "{call}");
    assert_eq!(call["released_by"], "originating", "{call}");
}

/// RFC 3261 §9.1, §15: the callee is never left off-hook.
#[test]
fn an_answer_that_crosses_a_cancel_is_acknowledged_and_ended() {
    let called = "callee_answers_late";
    let Some(call) = one_call(&one_trunk(), "caller_cancels_ringing", called, &[]) else {
        return;
    };
    assert_eq!(call["status"], 487, "{call}");
}

#[test]
fn early_media_is_offered_before_the_answer() {
    let calling = "caller_early_media";
    let Some(call) = one_call(&one_trunk(), calling, "callee_early_media", &[]) else {
        return;
    };
    assert_eq!(call["status"], 200, "{call}");
}

/// M.11, G-08: early media of a trunk that then refuses is no answer: the next trunk has a dialog and ports
/// of its own.
#[test]
fn early_media_and_then_503_goes_on_to_the_next_trunk() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &two_trunks());
    let blanks = [("STATUS", "503"), ("REASON", "Service Unavailable")];
    let mut refusing = callee(&world, FIRST, "callee_progress_refuses", &blanks);
    let mut answering = callee(&world, SECOND, "callee_answers", &[]);
    caller(&world, "caller_early_media", &[]);
    refusing.succeed(PATIENCE);
    answering.succeed(PATIENCE);
    let calls = gateway.closed_calls(1);
    assert_eq!(attempt_statuses(&calls[0]), [503, 200], "{calls:?}");
    assert_eq!(calls[0]["cause"], "normal", "{calls:?}");
}

/// M.6, D-04, D-08: 422 is followed with the larger interval; the callee refreshes without a description and
/// is told ours.
#[test]
fn session_that_must_be_longer_is_made_so_and_refreshed_without_a_description() {
    let sessions = "session_expires_s = 90\nresponse_timeout_s";
    let tables = one_trunk().replace("response_timeout_s", sessions);
    let blanks = [("HOLD_MS", "500")];
    let Some(call) = one_call(&tables, "caller_answered", "callee_long_sessions", &blanks) else {
        return;
    };
    assert_eq!(call["status"], 200, "{call}");
    assert_eq!(call["released_by"], "originating", "{call}");
    assert_eq!(attempt_statuses(&call), [200], "{call}");
}

/// RFC 3262: the callee's early media is acknowledged by us, ours by the caller; the 200 of either
/// side needs no description any more.
#[test]
fn reliable_early_media_is_acknowledged_on_both_sides() {
    let Some(call) = one_call(&one_trunk(), "caller_reliable", "callee_reliable", &[]) else {
        return;
    };
    assert_eq!(call["status"], 200, "{call}");
    assert_eq!(call["released_by"], "originating", "{call}");
}

/// RFC 3264 §8.4: hold and resume go through, and their answers come back.
#[test]
fn hold_and_resume_pass_through() {
    let Some(call) = one_call(&one_trunk(), "caller_holds", "callee_held", &[]) else {
        return;
    };
    assert_eq!(call["status"], 200, "{call}");
}

#[test]
fn three_hundred_calls_with_rtp_keep_their_packets() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    let config = write_config(&world, "", &one_trunk());
    cli(&config, &["settings", "set", "guard.calls_per_second", "0"]);
    let gateway = Gateway::start_with(&world, config);
    let audio = world.file("tone.alaw");
    fs::write(&audio, tone::a_law_like(SECONDS_OF_AUDIO)).expect("a file");
    let answers = scenario(&world, "callee_answers", &[]);
    let count = CALLS.to_string();
    let called = ["-sf", &answers, "-m", &count, "-rtp_echo"];
    let mut callee = world.start("callee", sipp(FIRST).args(called));
    until("the callee's port", PATIENCE, || is_listening(FIRST));
    let blanks = [
        ("AUDIO", &*audio.display().to_string()),
        ("HOLD_MS", "1500"),
    ];
    let talks = scenario(&world, "caller_with_rtp", &blanks);
    let calling = [
        SIP, "-s", "desk", "-sf", &talks, "-m", &count, "-r", "50", "-l", "300",
    ];
    world
        .start("caller", sipp(CALLER).args(calling))
        .succeed(Duration::from_secs(60));
    callee.succeed(PATIENCE);
    let calls = gateway.closed_calls(CALLS);
    assert_eq!(calls.len(), CALLS);
    assert!(calls.iter().all(|call| call["status"] == 200));
    for call in &calls {
        let score = call.pointer("/media/mos").and_then(Value::as_f64);
        let is_score = score.is_some_and(|score| (1.0..=4.5).contains(&score));
        assert!(is_score, "speech that came has a score: {call}");
    }
    let sum = |leg: &str, key: &str| {
        calls
            .iter()
            .map(|call| call.pointer(&format!("{leg}/{key}")))
            .map(|count| count.and_then(Value::as_u64).unwrap_or(0))
            .sum::<u64>()
    };
    let (a_leg, b_leg) = ("/media", "/attempts/0/media");
    let path = [
        sum(a_leg, "packets_received"),
        sum(b_leg, "packets_sent"),
        sum(b_leg, "packets_received"),
        sum(a_leg, "packets_sent"),
    ];
    // Each call says a second of audio: 50 packets. The first few may come before the answer does.
    let spoken = u64::try_from(CALLS).expect("small") * 50 * u64::from(SECONDS_OF_AUDIO);
    assert!(path[0] * 100 >= spoken * 95, "{path:?} of {spoken}");
    for pair in path.windows(2) {
        assert!(
            pair[1] * 100 >= pair[0] * 98,
            "packets lost on the way: {path:?}"
        );
    }
}

const CALLS: usize = 300;
const SECONDS_OF_AUDIO: u32 = 1;
