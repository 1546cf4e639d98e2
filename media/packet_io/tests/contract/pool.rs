//! Claims about buffers: none is lost, and whoever has none does not stay without.

use packet_io::PacketIo;

use crate::subject::{SIZES, Subject, V4};

pub(crate) fn a_starved_reader_never_wedges<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let sockets: Vec<_> = (0..4).map(|_| subject.open(V4)).collect();
    let mut received_count = 0;
    let mut hoard = Vec::new();
    for round in 0..20 {
        for number in 0..100_usize {
            let (_, local) = sockets[number % sockets.len()];
            subject.send(peer, local, b"burst");
        }
        // Holds all it gets, until there is no buffer left.
        for _ in 0..20 {
            hoard.extend(subject.turn());
        }
        assert!(!hoard.is_empty(), "round {round}");
        assert!(hoard.len() < usize::from(SIZES.buffers));
        assert!(
            subject.turn().is_empty(),
            "round {round}: no buffer is left"
        );
        received_count += hoard.len();
        hoard.clear();
        for _ in 0..20 {
            received_count += subject.turn().len();
        }
    }
    assert_eq!(
        received_count, 2_000,
        "what waited in the sockets came when buffers came back"
    );
    assert!(subject.io().counters().receive_buffers_empty > 0);
    subject.assert_pool_is_whole();
}

pub(crate) fn the_reserve_stays_for_what_we_originate<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (_, local) = subject.open(V4);
    for _ in 0..100 {
        subject.send(peer, local, b"x");
    }
    let mut hoard = Vec::new();
    for _ in 0..20 {
        hoard.extend(subject.turn());
    }
    assert!(subject.turn().is_empty());
    let mut originated = Vec::new();
    while let Some(packet) = subject.io().allocate() {
        originated.push(packet);
    }
    assert_eq!(hoard.len() + originated.len(), usize::from(SIZES.buffers));
    assert_eq!(originated.len(), usize::from(SIZES.buffers) / 8);
    assert_eq!(subject.io().counters().allocations_refused, 1);
    let counts = subject.io().pool_counts();
    assert_eq!((counts.free, counts.held, counts.in_kernel), (0, 64, 0));
    drop(originated);
    drop(hoard);
    assert_eq!(subject.gather(100).len(), 100 - 56);
    subject.assert_pool_is_whole();
}

pub(crate) fn a_hundred_thousand_echoes_keep_the_pool_balanced<S: Subject>(mut subject: S) {
    let (first, second) = (subject.peer(V4), subject.peer(V4));
    let (unconnected, connected) = (subject.open(V4), subject.open(V4));
    subject.io().connect(connected.0, Some(second));
    let mut heard_count = 0;
    for _ in 0..2_500 {
        for _ in 0..20 {
            subject.send(first, unconnected.1, &[0x80; 172]);
            subject.send(second, connected.1, &[0x80; 172]);
        }
        for received in subject.gather(40) {
            subject
                .io()
                .send(received.packet, received.socket, received.source);
        }
        subject.turn();
        heard_count += subject.heard(first).len() + subject.heard(second).len();
    }
    assert_eq!(heard_count, 100_000);
    let counters = *subject.io().counters();
    assert_eq!(
        (counters.packets_received, counters.packets_sent),
        (100_000, 100_000)
    );
    assert_eq!(counters.unknown_completions, 0);
    subject.assert_pool_is_whole();
}

pub(crate) fn packets_outlive_their_packet_io<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (_, local) = subject.open(V4);
    subject.send(peer, local, b"kept");
    let received = subject.gather(1);
    drop(subject);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].packet.bytes(), b"kept");
}
