use proptest::prelude::*;

use super::*;

fn counts(free: u32, held: u32, in_kernel: u32) -> PoolCounts {
    PoolCounts {
        free,
        held,
        in_kernel,
    }
}

#[test]
fn a_drop_returns_the_buffer() {
    let pool = PacketPool::new(2);
    let (first, second) = (pool.take(), pool.take());
    assert!(first.is_some() && second.is_some());
    assert!(pool.take().is_none());
    assert_eq!(pool.counts(), counts(0, 2, 0));
    drop(first);
    assert_eq!(pool.counts(), counts(1, 1, 0));
    assert!(pool.take().is_some());
    assert_eq!(pool.counts(), counts(1, 1, 0));
}

#[test]
fn a_lent_packet_is_in_the_kernel_until_reclaimed() {
    let pool = PacketPool::new(2);
    let packet = pool.take().expect("two buffers");
    packet.lend();
    assert_eq!(pool.counts(), counts(1, 0, 1));
    packet.reclaim();
    drop(packet);
    assert_eq!(pool.counts(), counts(2, 0, 0));
}

#[test]
fn sizes_out_of_range_become_the_nearest() {
    assert_eq!(PacketPool::new(0).size(), 1);
    assert_eq!(
        PacketPool::new(u16::MAX).size(),
        u32::from(PACKET_BUFFERS_MAX)
    );
}

#[test]
fn buffers_do_not_overlap() {
    let pool = PacketPool::new(3);
    let mut packets: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    for (value, packet) in (1_u8..).zip(&mut packets) {
        packet.set_len(packet.capacity()).expect("all of it");
        packet.extend_front(HEADROOM_BYTES).expect("all of it");
        packet.bytes_mut().fill(value);
    }
    for (value, packet) in (1_u8..).zip(&packets) {
        assert!(packet.bytes().iter().all(|&octet| octet == value));
    }
}

proptest! {
    /// Whatever is done, no buffer has two owners and the sum is the size.
    #[test]
    fn no_buffer_is_lost_or_given_twice(steps in prop::collection::vec((0_u8..4, 0_usize..8), 1..200)) {
        let pool = PacketPool::new(6);
        let mut held: Vec<PacketBuf> = Vec::new();
        let mut lent: Vec<PacketBuf> = Vec::new();
        for (what, which) in steps {
            match what {
                0 => held.extend(pool.take()),
                1 if which < held.len() => drop(held.swap_remove(which)),
                2 if which < held.len() => {
                    let packet = held.swap_remove(which);
                    packet.lend();
                    lent.push(packet);
                }
                3 if which < lent.len() => {
                    let packet = lent.swap_remove(which);
                    packet.reclaim();
                    held.push(packet);
                }
                _ => {}
            }
            let mut indices: Vec<u16> = held.iter().chain(&lent).map(PacketBuf::index).collect();
            indices.sort_unstable();
            indices.dedup();
            prop_assert_eq!(indices.len(), held.len() + lent.len());
            let counted = pool.counts();
            prop_assert_eq!(counted.held as usize, held.len());
            prop_assert_eq!(counted.in_kernel as usize, lent.len());
            prop_assert_eq!(counted.free + counted.held + counted.in_kernel, pool.size());
        }
        for packet in &lent {
            packet.reclaim();
        }
    }
}
