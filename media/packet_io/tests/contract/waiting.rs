//! Claims about waits. Those that could only fail by hanging are ended by the test runner.

use std::time::{Duration, Instant};

use packet_io::{PacketIo, ReceivedBatch, Wait};

use crate::subject::{Subject, V4};

const AN_HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn a_wait_ends_without_a_packet<S: Subject>(mut subject: S) {
    subject.open(V4);
    for min_wait in [Duration::ZERO, Duration::from_micros(500), AN_HOUR] {
        let now = Instant::now();
        let wait = Wait {
            want: 10,
            min_wait,
            until: Some(now + Duration::from_micros(1500)),
        };
        subject.io().submit_and_wait(now, wait);
        // In the past: comes back at once.
        let wait = Wait {
            want: 10,
            min_wait,
            until: Some(now),
        };
        subject.io().submit_and_wait(Instant::now(), wait);
    }
    assert!(subject.turn().is_empty());
}

pub(crate) fn a_wait_ends_when_enough_have_come<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let sockets: Vec<_> = (0..3).map(|_| subject.open(V4)).collect();
    subject.turn();
    for _ in 0..10 {
        for (_, local) in &sockets {
            subject.send(peer, *local, b"x");
        }
        let wait = Wait {
            want: 3,
            min_wait: AN_HOUR,
            until: None,
        };
        subject.io().submit_and_wait(Instant::now(), wait);
        let mut batch = ReceivedBatch::new();
        subject.io().receive(&mut batch);
        assert_eq!(batch.packets.len(), 3);
    }
}

pub(crate) fn one_that_suffices_waits_for_no_other<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (_, local) = subject.open(V4);
    subject.turn();
    for _ in 0..10 {
        subject.send(peer, local, b"x");
        // Would it gather, it would do so for an hour.
        let wait = Wait {
            want: 1,
            min_wait: AN_HOUR,
            until: None,
        };
        subject.io().submit_and_wait(Instant::now(), wait);
        let mut batch = ReceivedBatch::new();
        subject.io().receive(&mut batch);
        assert_eq!(batch.packets.len(), 1);
    }
}

pub(crate) fn gathering_ends_with_less_than_wanted<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (_, local) = subject.open(V4);
    subject.turn();
    for _ in 0..10 {
        subject.send(peer, local, b"x");
        let wait = Wait {
            want: 100,
            min_wait: Duration::from_millis(1),
            until: None,
        };
        subject.io().submit_and_wait(Instant::now(), wait);
        let mut batch = ReceivedBatch::new();
        subject.io().receive(&mut batch);
        assert_eq!(batch.packets.len(), 1);
    }
}

pub(crate) fn a_wake_before_the_wait_is_not_lost<S: Subject>(mut subject: S) {
    subject.open(V4);
    subject.turn();
    let waker = subject.io().waker();
    for count in 1..=10 {
        waker.wake();
        waker.clone().wake();
        let wait = Wait {
            want: 50,
            min_wait: AN_HOUR,
            until: None,
        };
        subject.io().submit_and_wait(Instant::now(), wait);
        assert_eq!(subject.io().counters().wakes, count);
    }
}

pub(crate) fn a_wake_from_another_thread_ends_the_wait<S: Subject>(mut subject: S) {
    subject.open(V4);
    let waker = subject.io().waker();
    let other = std::thread::spawn(move || waker.wake());
    while subject.io().counters().wakes == 0 {
        let wait = Wait {
            want: 1,
            min_wait: Duration::ZERO,
            until: None,
        };
        subject.io().submit_and_wait(Instant::now(), wait);
    }
    other.join().expect("it only wakes");
    assert_eq!(subject.io().counters().wakes, 1);
}

pub(crate) fn a_thousand_wakes_are_answered_and_none_hangs<S: Subject>(mut subject: S) {
    subject.open(V4);
    let waker = subject.io().waker();
    let (answer, answers) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        for _ in 0..1_000 {
            waker.wake();
            answers.recv().expect("each wake is answered");
        }
    });
    let mut answered = 0;
    while answered < 1_000 {
        let wait = Wait {
            want: 1,
            min_wait: Duration::ZERO,
            until: None,
        };
        subject.io().submit_and_wait(Instant::now(), wait);
        let wakes = subject.io().counters().wakes;
        for _ in answered..wakes {
            answer.send(()).expect("it listens");
        }
        answered = wakes;
    }
    other.join().expect("all were answered");
    assert_eq!(answered, 1_000);
}
