//! What a browser's call is, from its first check to its end.

use std::sync::Arc;

use super::super::harness::{Stream, address, plan};
use super::guest::{AUDIO, Guest, PORT, VIDEO, audio_plan, harness, harness_with, rtp};
use crate::command::{Command, Report, Target};
use crate::drop_reason::DropReason;
use crate::dtls::tests::{endpoint, peer_endpoint};
use crate::rtp::RtpView;
use packet_io::NoFaults;

#[test]
fn every_leg_of_browsers_is_in_stock_at_one_port_and_again_after_its_call() {
    let mut harness = harness();
    assert_eq!(harness.browser_stock.len(), 16);
    let guest = Guest::up(&mut harness, 1, Target::Echo);
    assert_eq!(harness.browser_stock.len(), 15);
    harness.command(Command::Disconnect { pair: guest.audio });
    assert!(matches!(
        harness.reports.pop(),
        Some(Report::Disconnected { pair, .. }) if pair == guest.audio
    ));
    harness.command(Command::Acknowledge { pair: guest.audio });
    let (again, at) = harness.browser_stock.pop().unwrap();
    assert_eq!((again.slot, at), (guest.audio.slot, address(PORT)));
    assert_ne!(again.generation, guest.audio.generation);
}

#[test]
fn a_browser_that_is_nominated_and_keyed_hears_its_echo() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    for _ in 0..100 {
        let left = rtp(guest.speak(&mut harness));
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].to, guest.at);
        let plain = guest.unprotect(&left[0]).unwrap();
        let view = RtpView::parse(&plain).unwrap();
        assert_eq!(view.ssrc(), guest.plan.ssrcs[0]);
        assert_eq!(view.payload_type().value(), AUDIO);
        assert_eq!(view.payload()[2..6], guest.sound.ssrc.to_be_bytes());
    }
    harness.command(Command::Disconnect { pair: guest.audio });
    let Some(Report::Disconnected { counters, .. }) = harness.reports.pop() else {
        panic!("no counters");
    };
    assert_eq!(
        (counters.packets_received, counters.packets_sent),
        (100, 100)
    );
    assert_eq!(counters.packets_discarded, 0);
    harness.turn();
    harness.sent();
    assert!(harness.pool_is_whole());
}

#[test]
fn a_browser_by_the_library_itself_hears_its_echo() {
    let mut harness = harness_with(NoFaults, Arc::new(endpoint()), 4);
    let peer = peer_endpoint();
    let fingerprint = peer.fingerprint();
    let mut guest = Guest::begin_as(&mut harness, 1, Target::Echo, Arc::new(peer), fingerprint);
    guest.nominate(&mut harness);
    guest.shake(&mut harness);
    assert!(guest.keys.is_some());
    guest.expect_up(&mut harness);
    let left = rtp(guest.speak(&mut harness));
    assert!(guest.unprotect(&left[0]).is_some());
}

#[test]
fn sound_passes_between_a_browser_and_a_telephone_with_payload_types_mapped() {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    let mut back = plan("198.51.100.1:4000");
    back.payloads[0].sent = AUDIO;
    harness.update(phone, back, Target::Leg(guest.audio));
    let mut stream = Stream::new(5);
    for _ in 0..50 {
        let left = rtp(guest.speak(&mut harness));
        assert_eq!((left.len(), left[0].to), (1, phone.peer));
        assert_eq!(left[0].rtp().payload_type().value(), 0);
        assert_eq!(left[0].bytes.len(), 172, "plain");
        let left = rtp(harness.exchange(phone.ours, phone.peer, &stream.next()));
        assert_eq!((left.len(), left[0].to), (1, guest.at));
        let plain = guest.unprotect(&left[0]).unwrap();
        assert_eq!(
            RtpView::parse(&plain).unwrap().payload_type().value(),
            AUDIO
        );
    }
}

#[test]
fn pictures_pass_beside_sound_on_the_same_port() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    for _ in 0..50 {
        for payload_type in [AUDIO, VIDEO] {
            let left = if payload_type == AUDIO {
                guest.speak(&mut harness)
            } else {
                guest.show(&mut harness)
            };
            let left = rtp(left);
            assert_eq!((left.len(), left[0].to), (1, guest.at));
            let plain = guest.unprotect(&left[0]).unwrap();
            let view = RtpView::parse(&plain).unwrap();
            assert_eq!(view.payload_type().value(), payload_type);
            let ours = guest.plan.ssrcs[usize::from(payload_type == VIDEO)];
            assert_eq!(view.ssrc(), ours);
        }
    }
    let video = guest.video.unwrap();
    harness.command(Command::Disconnect { pair: video });
    let Some(Report::Disconnected { counters, .. }) = harness.reports.pop() else {
        panic!("no counters");
    };
    assert_eq!((counters.packets_received, counters.packets_sent), (50, 50));
}

#[test]
fn nothing_goes_or_comes_before_there_are_keys() {
    let mut harness = harness();
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Nowhere);
    let mut guest = Guest::begin(&mut harness, 1, Target::Leg(phone.pair));
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    let mut stream = Stream::new(5);
    assert!(rtp(harness.exchange(phone.ours, phone.peer, &stream.next())).is_empty());
    guest.nominate(&mut harness);
    assert!(rtp(harness.exchange(phone.ours, phone.peer, &stream.next())).is_empty());
    assert_eq!(harness.dropped(DropReason::DestinationUnknown), 2);
    let plain = guest.sound.next();
    assert!(rtp(guest.exchange(&mut harness, &plain)).is_empty());
    assert_eq!(harness.dropped(DropReason::SrtpUnavailable), 1);
    harness.pass_ms(20_000);
    assert!(
        harness.sent().iter().all(|sent| sent.to != guest.at),
        "no report either"
    );
    guest.shake(&mut harness);
    let left = rtp(guest.speak(&mut harness));
    assert_eq!(left.len(), 1);
    harness.update(phone, plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    harness.command(Command::Update {
        pair: guest.audio,
        plan: audio_plan(),
        target: Target::Leg(phone.pair),
    });
    let left = rtp(guest.speak(&mut harness));
    assert_eq!(left.len(), 1, "an update takes no key away");
}
