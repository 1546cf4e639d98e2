//! One HEP3 packet ("EEP/HEP3 network protocol specification", revision 36): `HEP3`, the length of
//! all, then chunks of vendor, type, length and value, everything in network order.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

/// Octets of the largest packet: what one UDP datagram carries.
pub const SIZE_MAX: usize = 65_507;

/// How the message travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Over UDP.
    Udp,
    /// Over TCP.
    Tcp,
}

/// What a packet says beside the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// When.
    pub at: Timestamp,
    /// How.
    pub protocol: Protocol,
    /// From where.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
    /// Our number at the collector.
    pub agent: u32,
}

/// Writes a packet over what `buffer` holds. False: it would be too large.
pub fn write(copied: &Copied, message: &[u8], buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    buffer.extend_from_slice(b"HEP3\0\0");
    let (family, source, destination) = addresses(copied.source.ip(), copied.destination.ip());
    let protocol = match copied.protocol {
        Protocol::Udp => IPPROTO_UDP,
        Protocol::Tcp => IPPROTO_TCP,
    };
    let seconds = u32::try_from(copied.at.as_second()).unwrap_or(0);
    let micros = u32::try_from(copied.at.subsec_microsecond()).unwrap_or(0);
    let (source_type, destination_type) = if family == AF_INET { (3, 4) } else { (5, 6) };
    let whole = chunk(buffer, 1, &[family])
        && chunk(buffer, 2, &[protocol])
        && chunk(buffer, source_type, &source)
        && chunk(buffer, destination_type, &destination)
        && chunk(buffer, 7, &copied.source.port().to_be_bytes())
        && chunk(buffer, 8, &copied.destination.port().to_be_bytes())
        && chunk(buffer, 9, &seconds.to_be_bytes())
        && chunk(buffer, 10, &micros.to_be_bytes())
        && chunk(buffer, 11, &[PROTOCOL_SIP])
        && chunk(buffer, 12, &copied.agent.to_be_bytes())
        && chunk(buffer, 15, message);
    let Ok(length) = u16::try_from(buffer.len()) else {
        return false;
    };
    if !whole || buffer.len() > SIZE_MAX {
        return false;
    }
    if let Some(place) = buffer.get_mut(4..6) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    true
}

/// One chunk of the generic vendor. False: it is too long for its length.
fn chunk(buffer: &mut Vec<u8>, kind: u16, value: &[u8]) -> bool {
    let Ok(length) = u16::try_from(value.len() + CHUNK_HEAD) else {
        return false;
    };
    buffer.extend_from_slice(&VENDOR_GENERIC.to_be_bytes());
    buffer.extend_from_slice(&kind.to_be_bytes());
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(value);
    true
}

/// Both in one family: IPv4 where both are.
fn addresses(source: IpAddr, destination: IpAddr) -> (u8, Vec<u8>, Vec<u8>) {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => (
            AF_INET,
            source.octets().to_vec(),
            destination.octets().to_vec(),
        ),
        (source, destination) => (AF_INET6, in_ipv6(source), in_ipv6(destination)),
    }
}

fn in_ipv6(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

const VENDOR_GENERIC: u16 = 0;
const CHUNK_HEAD: usize = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const PROTOCOL_SIP: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(source: &str, destination: &str) -> Copied {
        Copied {
            at: Timestamp::new(1_700_000_000, 123_456_789).unwrap(),
            protocol: Protocol::Udp,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            agent: 2_001,
        }
    }

    /// Chunks by type, as a collector cuts them.
    fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        assert_eq!(&packet[..4], b"HEP3");
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!(usize::from(number(4)), packet.len());
        let (mut at, mut chunks) = (6, Vec::new());
        while at < packet.len() {
            assert_eq!(number(at), 0, "vendor");
            let length = usize::from(number(at + 4));
            chunks.push((number(at + 2), packet[at + 6..at + length].to_vec()));
            at += length;
        }
        chunks
    }

    #[test]
    fn chunks_are_those_of_the_specification() {
        let mut packet = Vec::new();
        assert!(write(
            &copied("192.0.2.1:5060", "192.0.2.2:5080"),
            b"hello",
            &mut packet
        ));
        let expected: Vec<(u16, Vec<u8>)> = vec![
            (1, vec![2]),
            (2, vec![17]),
            (3, vec![192, 0, 2, 1]),
            (4, vec![192, 0, 2, 2]),
            (7, 5060_u16.to_be_bytes().to_vec()),
            (8, 5080_u16.to_be_bytes().to_vec()),
            (9, 1_700_000_000_u32.to_be_bytes().to_vec()),
            (10, 123_456_u32.to_be_bytes().to_vec()),
            (11, vec![1]),
            (12, 2_001_u32.to_be_bytes().to_vec()),
            (15, b"hello".to_vec()),
        ];
        assert_eq!(chunks(&packet), expected);
    }

    #[test]
    fn ipv6_has_its_own_chunks() {
        let mut packet = Vec::new();
        assert!(write(
            &copied("[2001:db8::1]:1", "[::1]:2"),
            b"",
            &mut packet
        ));
        let chunks = chunks(&packet);
        assert_eq!(chunks[0], (1, vec![10]));
        assert_eq!((chunks[2].0, chunks[2].1.len()), (5, 16));
        assert_eq!((chunks[3].0, chunks[3].1.len()), (6, 16));
    }

    #[test]
    fn what_does_not_fit_a_datagram_is_not_written() {
        let mut packet = Vec::new();
        let addresses = copied("192.0.2.1:1", "192.0.2.2:2");
        assert!(!write(&addresses, &[0; SIZE_MAX], &mut packet));
        assert!(!write(&addresses, &[0; 70_000], &mut packet));
        assert!(write(&addresses, &[0; SIZE_MAX - 200], &mut packet));
    }
}
