//! Claims about opening, connecting and closing.

use packet_io::{OpenRefused, PacketIo, SocketSpec};

use crate::subject::{SIZES, Subject, V4, V6, spec};

pub(crate) fn a_port_is_refused_to_a_second_socket<S: Subject>(mut subject: S) {
    for ip in [V4, V6] {
        let (_, local) = subject.open(ip);
        assert_eq!(
            subject.io().open(spec(ip, local.port())),
            Err(OpenRefused::AddressInUse)
        );
    }
}

pub(crate) fn a_closed_port_is_free_at_once<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (mut key, local) = subject.open(V4);
    for round in 0..100 {
        subject.send(peer, local, b"x");
        if round % 2 == 0 {
            assert_eq!(subject.gather(1).len(), 1, "round {round}");
        }
        if round % 3 == 0 {
            subject.io().connect(key, Some(peer));
        }
        subject.io().close(key);
        key = subject
            .io()
            .open(spec(V4, local.port()))
            .expect("the port is free at once");
    }
    subject.assert_pool_is_whole();
}

pub(crate) fn an_address_of_another_host_is_refused<S: Subject>(mut subject: S) {
    // RFC 5737: nobody has it. The twin has every address.
    let foreign = SocketSpec {
        local: "192.0.2.1:0".parse().expect("an address"),
        ..spec(V4, 0)
    };
    let opened = subject.io().open(foreign);
    if std::any::type_name::<S>().contains("Twin") {
        assert_eq!(opened.map(|key| key.slot), Ok(0));
    } else {
        assert_eq!(opened, Err(OpenRefused::AddressNotAvailable));
    }
}

pub(crate) fn more_sockets_than_configured_are_refused<S: Subject>(mut subject: S) {
    let keys: Vec<_> = (0..SIZES.sockets_max).map(|_| subject.open(V4).0).collect();
    assert_eq!(
        subject.io().open(spec(V4, 0)),
        Err(OpenRefused::SocketLimit)
    );
    subject.io().close(keys[7]);
    let (key, _) = subject.open(V4);
    assert_eq!(key.slot, keys[7].slot);
    assert_ne!(key.generation, keys[7].generation);
}

pub(crate) fn a_key_of_a_closed_socket_does_no_harm<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (old, _) = subject.open(V4);
    subject.io().close(old);
    let (new, local) = subject.open(V4);
    assert_eq!(new.slot, old.slot);
    subject.io().connect(old, Some(local));
    subject.io().close(old);
    assert_eq!(subject.io().local(old), None);
    let mut packet = subject.io().allocate().expect("a full pool");
    packet.copy_from(b"x").expect("it fits");
    subject.io().send(packet, old, Some(peer));
    subject.turn();
    assert_eq!(subject.io().counters().sends_to_closed_socket, 1);
    assert!(subject.heard(peer).is_empty());
    subject.send(peer, local, b"still mine");
    assert_eq!(subject.texts(1), ["still mine"]);
    subject.assert_pool_is_whole();
}

pub(crate) fn a_successor_gets_nothing_of_what_came_before<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (old, local) = subject.open(V4);
    subject.turn();
    for _ in 0..10 {
        subject.send(peer, local, b"for the predecessor");
    }
    subject.io().close(old);
    let new = subject
        .io()
        .open(spec(V4, local.port()))
        .expect("the port is free at once");
    subject.send(peer, local, b"for me");
    let received = subject.gather(1);
    assert_eq!(received.len(), 1);
    assert_eq!(
        (received[0].socket, received[0].packet.bytes()),
        (new, &b"for me"[..])
    );
    drop(received);
    subject.assert_pool_is_whole();
}

pub(crate) fn a_connected_socket_hears_only_its_peer<S: Subject>(mut subject: S) {
    for ip in [V4, V6] {
        let (peer, stranger) = (subject.peer(ip), subject.peer(ip));
        let (key, local) = subject.open(ip);
        subject.io().connect(key, Some(peer));
        subject.turn();
        subject.send(stranger, local, b"stranger");
        subject.send(peer, local, b"peer");
        let received = subject.gather(1);
        assert_eq!(received.len(), 1);
        assert_eq!(
            (received[0].source, received[0].packet.bytes()),
            (None, &b"peer"[..])
        );
        assert!(subject.gather(1).is_empty());
        subject.io().connect(key, None);
        subject.turn();
        subject.send(stranger, local, b"stranger");
        subject.send(peer, local, b"peer");
        let sources: Vec<_> = subject
            .gather(2)
            .iter()
            .map(|packet| packet.source)
            .collect();
        assert_eq!(sources, [Some(stranger), Some(peer)]);
    }
    subject.assert_pool_is_whole();
}

pub(crate) fn strangers_that_waited_do_not_survive_a_connect<S: Subject>(mut subject: S) {
    let (peer, stranger) = (subject.peer(V4), subject.peer(V4));
    let (key, local) = subject.open(V4);
    for is_armed in [false, true] {
        if is_armed {
            subject.turn();
        }
        subject.send(stranger, local, b"stranger");
        subject.send(peer, local, b"peer");
        subject.send(stranger, local, b"stranger");
        subject.io().connect(key, Some(peer));
        assert_eq!(subject.texts(1), ["peer"]);
        assert!(subject.gather(1).is_empty());
        subject.io().connect(key, None);
    }
    assert_eq!(subject.io().counters().stranger_datagrams, 4);
    subject.assert_pool_is_whole();
}

pub(crate) fn a_peer_that_waited_survives_a_connect<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    subject.turn();
    for text in ["1", "2", "3"] {
        subject.send(peer, local, text.as_bytes());
    }
    subject.io().connect(key, Some(peer));
    subject.send(peer, local, b"4");
    assert_eq!(subject.texts(4), ["1", "2", "3", "4"]);
    subject.send(peer, local, b"5");
    subject.io().connect(key, None);
    let received = subject.gather(1);
    assert_eq!(received.len(), 1);
    assert_eq!(
        (received[0].source, received[0].packet.bytes()),
        (Some(peer), &b"5"[..])
    );
}

pub(crate) fn a_socket_can_change_its_peer<S: Subject>(mut subject: S) {
    let (first, second) = (subject.peer(V4), subject.peer(V4));
    let (key, local) = subject.open(V4);
    subject.io().connect(key, Some(first));
    subject.turn();
    subject.send(first, local, b"first");
    subject.io().connect(key, Some(second));
    subject.send(second, local, b"second");
    subject.send(first, local, b"too late");
    assert_eq!(subject.texts(2), ["second"]);
    let mut packet = subject.io().allocate().expect("a full pool");
    packet.copy_from(b"answer").expect("it fits");
    subject.io().send(packet, key, None);
    subject.turn();
    assert_eq!(subject.heard(second), [(local, b"answer".to_vec())]);
    assert!(subject.heard(first).is_empty());
}

pub(crate) fn switching_under_traffic_loses_nothing_of_the_peer<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    let mut expected = 0_u32;
    let mut sent = 0_u32;
    for round in 0..200 {
        for _ in 0..5 {
            subject.send(peer, local, &sent.to_be_bytes());
            sent += 1;
        }
        if round % 2 == 0 {
            subject.turn_checking_order(&mut expected);
        }
        subject
            .io()
            .connect(key, if round % 3 == 0 { None } else { Some(peer) });
        subject.turn_checking_order(&mut expected);
    }
    for _ in 0..10 {
        subject.turn_checking_order(&mut expected);
    }
    assert_eq!(expected, sent);
    subject.assert_pool_is_whole();
}

trait InOrder: Subject {
    fn turn_checking_order(&mut self, expected: &mut u32) {
        for received in self.turn() {
            assert_eq!(received.packet.bytes(), expected.to_be_bytes());
            *expected += 1;
        }
    }
}

impl<S: Subject> InOrder for S {}
