//! What the kernel dropped at UDP sockets, from `/proc/net/udp`: a count that no relay has a part in.
//!
//! A packet that a socket filter drops and one that finds its socket full are both in the column
//! `drops` of that socket. So the drops of our sinks are what was forwarded, and those of the relay's
//! sockets what it did not take.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context as _, Result};

/// Drops at the sockets with these ports since they were opened, for each set of ports, in the network
/// namespace of the calling thread.
///
/// # Errors
/// No `/proc`.
pub(crate) fn drops<const N: usize>(sets: [&HashSet<u16>; N]) -> Result<[u64; N]> {
    // `/proc/net` would be that of the process; a thread may have a network of its own.
    let table = fs::read_to_string("/proc/thread-self/net/udp").context("/proc/net/udp")?;
    Ok(sets.map(|ports| sum(&table, ports)))
}

fn sum(table: &str, ports: &HashSet<u16>) -> u64 {
    table
        .lines()
        .skip(1)
        .filter_map(row)
        .filter(|(port, _)| ports.contains(port))
        .map(|(_, drops)| drops)
        .sum()
}

/// Local port and drops of a row.
fn row(line: &str) -> Option<(u16, u64)> {
    let mut columns = line.split_whitespace();
    let (_, port) = columns.nth(1)?.split_once(':')?;
    let drops = columns.last()?;
    Some((u16::from_str_radix(port, 16).ok()?, drops.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use socket2::{SockFilter, SockRef};

    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
        1: 0100007F:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11 2 0000000000000000 7\n\
        2: 0100007F:1389 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0000000000000000 9\n";

    #[test]
    fn only_the_ports_asked_for_count() {
        assert_eq!(sum(TABLE, &HashSet::from([5000])), 7);
        assert_eq!(sum(TABLE, &HashSet::from([5000, 5001])), 16);
        assert_eq!(sum(TABLE, &HashSet::new()), 0);
    }

    #[test]
    fn what_a_filter_drops_is_counted_once() {
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        SockRef::from(&sink)
            .attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])
            .expect("a filter");
        let at = sink.local_addr().expect("bound");
        let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let ports = HashSet::from([at.port()]);
        let [before] = drops([&ports]).expect("/proc");
        for _ in 0..5 {
            source.send_to(b"x", at).expect("sent");
        }
        let [after] = drops([&ports]).expect("/proc");
        assert_eq!(after - before, 5);
    }
}
