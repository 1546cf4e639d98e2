//! What comes from the very address of a browser and is not what the browser says, what comes for a leg that
//! is gone, and handshakes that nobody finishes.

use std::sync::Arc;
use std::time::Duration;

use packet_io::NoFaults;

use super::super::harness::{Harness, address, plan};
use super::guest::{Guest, OURS, PORT, THEIRS, harness, harness_with, rtp};
use super::model::close;
use crate::command::{Command, Report, Target};
use crate::drop_reason::DropReason;
use crate::dtls::{KeyExchange as _, Role};

/// Keeps the ways of ICE open.
fn check_on(harness: &mut Harness, guest: &mut Guest) {
    let check = guest.check(false);
    guest.exchange(harness, &check);
}

/// RTP, and RTCP, that nobody with the browser's keys has made.
fn junk(guest: &Guest, number: u32) -> Vec<u8> {
    let honest = guest.sound.clone().next();
    let mut octets = match number % 4 {
        // With a tag that is none, with octets for a tag missing, and of a stream of its own.
        0 => [honest, vec![0x5a; 10]].concat(),
        1 => honest,
        2 => [&[0x80, 111, 9, 9], &[7; 40][..]].concat(),
        _ => [&[0x80, 201, 0, 1, 0, 0, 0, 9], &[7; 14][..]].concat(),
    };
    if let Some(last) = octets.last_mut() {
        *last = u8::try_from(number % 251).unwrap();
    }
    octets
}

/// A hundred a second, from where the browser is: one that forges its address, for an hour.
#[test]
fn an_hour_of_junk_from_the_address_of_a_browser_ends_nothing() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    let mut sent = 0;
    for second in 0..3_600 {
        for tenth in 0..10 {
            for number in 0..10 {
                let octets = junk(&guest, second * 100 + tenth * 10 + number);
                harness.deliver(address(PORT), guest.at, &octets);
                sent += 1;
            }
            harness.now += Duration::from_millis(98);
            harness.turn();
            harness.sent();
        }
        if second % 4 == 0 {
            check_on(&mut harness, &mut guest);
        }
        let left = rtp(guest.speak(&mut harness));
        assert_eq!(left.len(), 1, "second {second}");
        assert!(guest.unprotect(&left[0]).is_some());
    }
    let reasons = [
        DropReason::SrtpAuthentication,
        DropReason::SrtpNotProtected,
        DropReason::BundleForeign,
        DropReason::RateExceeded,
    ];
    let dropped: u64 = reasons.map(|reason| harness.dropped(reason)).iter().sum();
    assert_eq!(dropped, sent, "each has its reason");
    assert!(harness.dropped(DropReason::SrtpAuthentication) > sent / 4);
    assert!(harness.reports.is_empty(), "{:?}", harness.reports);
    assert!(harness.pool_is_whole());
}

/// A copy, one with the name of a key between packet and tag (RFC 3711 §3.1, which nobody agreed upon), and
/// one with an octet of its header changed.
#[test]
fn copies_and_packets_that_were_changed_on_the_way_reach_nobody() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    for number in 0..200_u64 {
        let plain = guest.sound.next();
        let honest = guest.protect(plain);
        let tag = honest.len() - 10;
        let named = [&honest[..tag], &[0, 0, 0, 1], &honest[tag..]].concat();
        let mut other = honest.clone();
        other[1] ^= 0x80;
        harness.now += Duration::from_millis(20);
        for wrong in [named, other] {
            assert!(rtp(guest.exchange(&mut harness, &wrong)).is_empty());
        }
        assert_eq!(rtp(guest.exchange(&mut harness, &honest)).len(), 1);
        assert!(rtp(guest.exchange(&mut harness, &honest)).is_empty());
        assert_eq!(harness.dropped(DropReason::SrtpReplay), number + 1);
        let refused = harness.dropped(DropReason::SrtpAuthentication);
        assert_eq!(refused, 2 * (number + 1));
    }
}

#[test]
fn the_roll_over_counters_of_a_browser_go_on_in_both_directions() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    for number in 0..140_000 {
        if number % 250 == 0 {
            check_on(&mut harness, &mut guest);
        }
        let left = rtp(guest.speak(&mut harness));
        assert_eq!(left.len(), 1, "packet {number}");
        assert!(guest.unprotect(&left[0]).is_some(), "packet {number}");
    }
}

/// Everything that a browser may still have under way when its call ends, before and after its slot serves
/// another one.
#[test]
fn what_comes_for_a_leg_that_is_gone_gets_no_answer_and_is_nobodys() {
    let mut harness = harness_with(NoFaults, Arc::new(OURS), 1);
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut gone = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    let ask = |harness: &mut Harness, gone: &mut Guest| {
        let hello = {
            gone.handshake = Some(THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
            gone.drain().remove(0)
        };
        let plain = gone.sound.next();
        let (check, nomination, media) = (gone.check(false), gone.check(true), gone.protect(plain));
        let said = [check, nomination, hello, media, close(THEIRS)];
        let left = said.map(|octets| harness.exchange(address(PORT), gone.at, &octets));
        left.concat()
    };
    assert!(
        !ask(&mut harness, &mut gone).is_empty(),
        "while it is there"
    );
    harness.sent();
    harness.reports.clear();
    harness.command(Command::Disconnect { pair: gone.audio });
    harness.turn();
    harness.sent();
    assert_eq!(ask(&mut harness, &mut gone), []);
    harness.command(Command::Acknowledge { pair: gone.audio });
    assert_eq!(ask(&mut harness, &mut gone), []);
    let mut next = Guest::begin(&mut harness, 2, Target::Echo);
    assert_eq!(ask(&mut harness, &mut gone), []);
    next.nominate(&mut harness);
    next.shake(&mut harness);
    assert_eq!(ask(&mut harness, &mut gone), []);
    let left = rtp(next.speak(&mut harness));
    assert_eq!((left.len(), left[0].to), (1, next.at));
    let up =
        |report: &Report| matches!(report, Report::TransportUp { pair, .. } if *pair == next.audio);
    assert_eq!(
        harness.reports.iter().filter(|report| up(report)).count(),
        1
    );
    assert_eq!(
        harness.reports.len(),
        2,
        "and the counters of the one before"
    );
}

/// Ten thousand browsers whose call ends in each state of a transport: made, checked, nominated, greeted,
/// answered, keyed, silent, given up.
#[test]
fn ten_thousand_browsers_that_are_given_up_in_any_state_leave_every_leg_to_the_next() {
    const LEGS: u32 = 4;
    let mut harness = harness_with(NoFaults, Arc::new(OURS), LEGS);
    for number in 0..10_000 {
        let mut guest = Guest::begin(&mut harness, number % 20_000, Target::Echo);
        let state = number % 8;
        if state >= 1 {
            check_on(&mut harness, &mut guest);
        }
        if state >= 2 {
            guest.nominate(&mut harness);
        }
        if state >= 3 {
            guest.handshake = Some(THEIRS.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
            let hello = guest.drain().remove(0);
            let answer = guest.exchange(&mut harness, &hello);
            if state >= 4 {
                let handshake = guest.handshake.as_mut().unwrap();
                handshake.handle_packet(harness.now, &answer[0].bytes);
                guest.go_on(&mut harness);
            }
        }
        if state >= 5 {
            assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
        }
        match state {
            6 => harness.pass_ms(11_000),
            7 => harness.pass_ms(31_000),
            _ => {}
        }
        let mut pairs = vec![guest.audio];
        if number % 3 == 0 {
            guest.add_video(&mut harness, Target::Echo);
            pairs.extend(guest.video);
        }
        for pair in pairs {
            harness.command(Command::Disconnect { pair });
            harness.command(Command::Acknowledge { pair });
        }
        harness.turn();
        harness.sent();
        harness.reports.clear();
        assert_eq!(harness.browser_stock.len(), LEGS as usize, "{number}");
    }
    assert!(harness.pool_is_whole());
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    assert_eq!(rtp(guest.speak(&mut harness)).len(), 1);
}

/// Every file below a folder.
fn files_under(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What others' fuzzers found, and what was recorded, from a browser that has keys: its tag is good, and what
/// lies beneath is read.
#[test]
fn a_browser_that_protects_whatever_there_is_in_the_corpus_breaks_nothing() {
    let Some(corpus) = std::env::var_os("SLUICE_CORPUS").map(std::path::PathBuf::from) else {
        println!("corpus: not run (1 suites)");
        return;
    };
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    guest.add_video(&mut harness, Target::Echo);
    let (mut files, mut protected, mut relayed) = (0, 0, 0);
    for folder in [
        "fuzz-webrtc-media",
        "rtp-str0m",
        "rtp-rtpproxy",
        "fuzz-libsrtp",
    ] {
        for path in files_under(&corpus.join(folder)) {
            let octets = std::fs::read(&path).unwrap();
            // The file as a packet, what follows its first words as one, and as what a packet holds.
            let starts = [0, 2, 4, 8, 16, 24, 42].into_iter();
            let pieces = starts.filter_map(|start| octets.get(start..));
            let pieces = pieces.map(|piece| piece[..piece.len().min(1_200)].to_vec());
            let held = |plain: Vec<u8>| [&plain[..12], &octets[..octets.len().min(1_200)]].concat();
            let held = [held(guest.sound.next()), held(guest.picture.next())];
            for plain in pieces.chain(held).collect::<Vec<_>>() {
                if let Some(packet) = guest.try_protect(plain) {
                    protected += 1;
                    harness.now += Duration::from_millis(5);
                    relayed += guest.exchange_any(&mut harness, &packet);
                }
            }
            files += 1;
        }
        check_on(&mut harness, &mut guest);
    }
    println!("corpus: {files} files, {protected} packets under keys, {relayed} left");
    assert!(
        files > 100 && protected > 1_000 && relayed > 100,
        "{protected} {relayed}"
    );
    harness.pass_ms(3_000);
    check_on(&mut harness, &mut guest);
    let left = rtp(guest.speak(&mut harness));
    assert_eq!(
        (left.len(), left[0].to),
        (1, phone.peer),
        "and the call goes on"
    );
    assert!(harness.pool_is_whole());
}
