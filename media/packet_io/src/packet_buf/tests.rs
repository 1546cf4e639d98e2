use crate::{
    DATAGRAM_BYTES_MAX, HEADROOM_BYTES, NoRoom, PACKET_BUFFER_BYTES, PacketBuf, PacketPool,
    TAILROOM_BYTES,
};

fn packet_of(bytes: &[u8]) -> PacketBuf {
    let mut packet = PacketPool::new(1).take().expect("one buffer");
    packet.copy_from(bytes).expect("it fits");
    packet
}

#[test]
fn grows_and_shrinks_at_both_ends_within_the_buffer() {
    let mut packet = packet_of(&[1, 2, 3, 4]);
    packet.remove_front(1);
    packet.truncate(2);
    assert_eq!(packet.bytes(), [2, 3]);
    packet.extend_front(2).expect("headroom");
    packet.set_len(6).expect("tailroom");
    assert_eq!(packet.bytes(), [0, 0, 2, 3, 0, 0]);
    packet.truncate(100);
    assert_eq!(packet.len(), 6);
    packet.remove_front(100);
    assert!(packet.is_empty());
}

#[test]
fn refuses_to_grow_beyond_the_buffer_and_stays_as_it_was() {
    let mut packet = packet_of(b"abc");
    assert_eq!(packet.headroom(), HEADROOM_BYTES);
    assert_eq!(packet.extend_front(HEADROOM_BYTES + 1), Err(NoRoom));
    assert_eq!(packet.set_len(packet.capacity() + 1), Err(NoRoom));
    assert_eq!(packet.copy_from(&[7; PACKET_BUFFER_BYTES]), Err(NoRoom));
    assert_eq!(packet.extend_front(usize::MAX), Err(NoRoom));
    assert_eq!(packet.bytes(), b"abc");
    packet
        .extend_front(HEADROOM_BYTES)
        .expect("all of the headroom");
    packet
        .set_len(PACKET_BUFFER_BYTES)
        .expect("all of the buffer");
    assert_eq!(
        packet.bytes().get(HEADROOM_BYTES..HEADROOM_BYTES + 3),
        Some(&b"abc"[..])
    );
}

#[test]
fn the_longest_datagram_leaves_the_tailroom() {
    let mut packet = packet_of(&[9; DATAGRAM_BYTES_MAX]);
    packet
        .set_len(DATAGRAM_BYTES_MAX + TAILROOM_BYTES)
        .expect("tailroom");
    assert_eq!(packet.bytes().last(), Some(&0));
}

#[test]
fn octets_of_an_earlier_packet_never_come_back() {
    let pool = PacketPool::new(1);
    let mut earlier = pool.take().expect("one buffer");
    earlier.copy_from(&[0xaa; 200]).expect("it fits");
    earlier.extend_front(10).expect("headroom");
    earlier.bytes_mut().fill(0xaa);
    drop(earlier);
    let mut later = pool.take().expect("it came back");
    later.set_len(200).expect("it fits");
    later.extend_front(10).expect("headroom");
    assert!(later.bytes().iter().all(|&octet| octet == 0));
}

#[test]
fn a_packet_outlives_its_pool() {
    let packet = packet_of(b"still here");
    assert_eq!(packet.bytes(), b"still here");
}
