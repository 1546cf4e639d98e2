//! Records that anybody could have written: what no handshake needs of them never reaches it.

/// Octets of the header of a record in the clear (RFC 6347 §4.1).
const HEADER_SIZE: usize = 13;

/// True when a datagram has a record in the clear that no handshake needs: alerts and data, of which
/// nobody knows whose they are. The library believes such alerts (RFC 9147 §4.1 lets them be ignored),
/// and fails over such data; a peer that refuses us is then one that falls silent.
pub(super) fn has_needless(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while let Some((header, content)) = rest.split_first_chunk::<HEADER_SIZE>() {
        let [kind, _, _, epoch_high, epoch_low, .., size_high, size_low] = *header;
        if kind & 0xe0 == 0x20 {
            return false; // protected (RFC 9147 §4)
        }
        let is_protected = [epoch_high, epoch_low] != [0, 0];
        if !is_protected && !is_of_handshakes(kind) {
            return true;
        }
        let size = usize::from(u16::from_be_bytes([size_high, size_low]));
        rest = content.get(size..).unwrap_or_default();
    }
    false
}

/// ChangeCipherSpec, Handshake, ACK (RFC 9147 §4.1).
const fn is_of_handshakes(kind: u8) -> bool {
    matches!(kind, 20 | 22 | 26)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
        let size = u8::try_from(content.len()).unwrap();
        let header = [kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, size];
        [&header, content].concat()
    }

    #[test]
    fn alerts_and_data_in_the_clear_are_needless_wherever_they_stand() {
        let hello = record(22, 0, &[1; 40]);
        let alert = record(21, 0, &[2, 40]);
        assert!(!has_needless(&hello));
        assert!(has_needless(&alert));
        assert!(has_needless(&[hello.clone(), alert].concat()));
        assert!(has_needless(&record(23, 0, b"data")));
        assert!(!has_needless(&record(21, 1, &[0; 26])), "protected");
        assert!(
            !has_needless(&[hello, vec![0x2f; 30]].concat()),
            "protected"
        );
        assert!(!has_needless(&[]));
    }
}
