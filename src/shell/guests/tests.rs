//! What guests and signalling can rely on.

use sip::sdp::SessionDescription;

use super::*;
use crate::call::browser::event::GuestState;
use crate::links::model::{Destination, tests::link};
use crate::links::resolve::{Asked, resolve_asked};
use crate::settings::model::Settings;

fn ends() -> (Guests, Desk) {
    pair(Arc::new(Wake::new().unwrap()))
}

pub(crate) fn call() -> BrowserCall {
    let link = link(1, "echo", Destination::Echo);
    let asked = Asked {
        user: "echo",
        whole: None,
        by_user: Some(&link),
        by_whole: None,
    };
    let settings = Settings::default();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let offer = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    BrowserCall {
        link: resolve_asked(&asked, &settings, "example.com", now).unwrap(),
        offer: SessionDescription::parse(offer).unwrap(),
        client: std::net::Ipv4Addr::LOCALHOST.into(),
    }
}

const RINGING: BrowserOutput = BrowserOutput::State(GuestState::Ringing);
const ENDED: BrowserOutput = BrowserOutput::Ended {
    cause: "normal",
    status: 200,
    retry_after: None,
};

#[tokio::test]
async fn each_guest_hears_what_it_is_told_and_nothing_after_the_last_word() {
    let (guests, mut desk) = ends();
    let mut one = guests.call(call()).unwrap();
    let mut two = guests.call(call()).unwrap();
    assert_ne!(one.key(), two.key());
    one.say(BrowserInput::Camera(true)).unwrap();
    let mut heard = Vec::new();
    while let Some((guest, input)) = desk.poll() {
        heard.push((guest, matches!(input, BrowserInput::Call(_))));
    }
    assert_eq!(
        heard,
        [(one.key(), true), (two.key(), true), (one.key(), false)]
    );
    assert!(desk.tell(two.key(), RINGING));
    assert!(desk.tell(one.key(), ENDED));
    assert!(desk.tell(one.key(), RINGING), "nobody wants to know");
    assert_eq!(two.hear().await, Some(RINGING));
    assert_eq!(one.hear().await, Some(ENDED));
    assert_eq!(one.hear().await, None);
    assert_eq!(desk.listeners.len(), 1);
    one.say(BrowserInput::HangUp).unwrap();
    assert!(desk.poll().is_none(), "its call is over");
}

#[tokio::test]
async fn guest_that_is_gone_hangs_up_once_and_one_that_never_began_not_at_all() {
    let (guests, mut desk) = ends();
    let one = guests.call(call()).unwrap();
    let key = one.key();
    assert!(desk.poll().is_some());
    drop(one);
    drop(guests.call(call()).unwrap());
    assert!(!desk.is_empty());
    assert!(desk.poll().is_none(), "nobody waits for the second");
    assert_eq!(desk.poll_gone(), Some(key));
    assert_eq!(desk.poll_gone(), None);
    assert!(desk.tell(key, RINGING), "of no interest");
    assert!(desk.is_empty() && desk.listeners.is_empty());
    assert_eq!(guests.count(), 0);
}

#[tokio::test]
async fn guest_that_takes_nothing_hangs_up() {
    let (guests, mut desk) = ends();
    let mut slow = guests.call(call()).unwrap();
    assert!(desk.poll().is_some());
    for _ in 0..TOLD_MAX {
        assert!(desk.tell(slow.key(), RINGING));
    }
    assert!(!desk.tell(slow.key(), RINGING), "its call must end");
    assert!(desk.tell(slow.key(), RINGING), "once");
    for _ in 0..TOLD_MAX {
        assert_eq!(slow.hear().await, Some(RINGING));
    }
    assert_eq!(slow.hear().await, None);
    drop(slow);
    assert_eq!(desk.poll_gone(), None, "it has hung up already");
    assert_eq!(guests.count(), 0);
}

#[tokio::test]
async fn full_house_is_a_refusal_and_every_place_comes_back() {
    let (guests, mut desk) = ends();
    let mut inside = Vec::new();
    for _ in 0..GUEST_WORDS_MAX {
        inside.push(guests.call(call()).unwrap());
    }
    assert_eq!(guests.call(call()).unwrap_err(), GuestRefusal::Busy);
    let last = inside.last().unwrap();
    assert_eq!(last.say(BrowserInput::Lost), Err(GuestRefusal::Busy));
    while desk.poll().is_some() {}
    // The one that was refused holds its place until its end is noticed.
    assert_eq!(desk.poll_gone(), None);
    for _ in GUEST_WORDS_MAX..GUESTS_MAX {
        inside.push(guests.call(call()).unwrap());
        assert!(desk.poll().is_some());
    }
    assert_eq!(guests.call(call()).unwrap_err(), GuestRefusal::Busy);
    drop(inside);
    let mut gone = 0;
    while desk.poll_gone().is_some() {
        gone += 1;
    }
    assert_eq!(gone, GUESTS_MAX);
    assert_eq!(guests.count(), 0);
    assert!(desk.listeners.is_empty());
}

#[tokio::test]
async fn node_that_stops_tells_those_who_listen_and_refuses_those_who_come_later() {
    let (guests, mut desk) = ends();
    let mut heard = guests.call(call()).unwrap();
    assert!(desk.poll().is_some());
    let mut unheard = guests.call(call()).unwrap();
    drop(desk);
    assert_eq!(heard.hear().await, None);
    assert_eq!(unheard.hear().await, None);
    assert_eq!(guests.call(call()).unwrap_err(), GuestRefusal::Stopped);
    assert_eq!(heard.say(BrowserInput::Lost), Err(GuestRefusal::Stopped));
    drop((heard, unheard));
    assert_eq!(guests.count(), 0);
    assert!(guests.queue.said.is_empty() && guests.queue.gone.is_empty());
}

#[tokio::test]
async fn word_and_end_of_a_guest_wake_a_sleeper() {
    let wake = Arc::new(Wake::new().unwrap());
    let (guests, mut desk) = pair(Arc::clone(&wake));
    let is_awake = || {
        let polled = nix::poll::PollFd::new(wake.descriptor(), nix::poll::PollFlags::POLLIN);
        let ready = nix::poll::poll(&mut [polled], nix::poll::PollTimeout::ZERO);
        wake.awake(ready == Ok(1));
        ready == Ok(1)
    };
    wake.prepare_to_sleep();
    let guest = guests.call(call()).unwrap();
    assert!(is_awake());
    assert!(desk.poll().is_some());
    wake.prepare_to_sleep();
    assert!(!is_awake());
    wake.prepare_to_sleep();
    drop(guest);
    assert!(is_awake());
}
