//! Records that anybody could have written: what no handshake needs of them never reaches it.

/// A server's hello (RFC 8446 §4).
const SERVER_HELLO: u8 = 2;

/// No handshake has more messages of one side than nine.
const MESSAGES_MAX: u8 = 8;

/// Octets of the header of a record in the clear (RFC 6347 §4.1).
const HEADER_SIZE: usize = 13;

/// Where a datagram may have records that only DTLS 1.3 protects (RFC 9147 §4). To who reads them otherwise they
/// are octets of anybody, with anything behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed {
    /// Nowhere: DTLS 1.2 is spoken, or nothing has been said yet.
    Nowhere,
    /// Behind the server's hello that says so.
    BehindHello,
    /// Anywhere: DTLS 1.3 is spoken.
    Anywhere,
}

/// True when a datagram has a record in the clear that no handshake needs: alerts, data and what only
/// claims to be a message, of which nobody knows whose they are. The library believes such alerts (RFC 9147 §4.1 lets them be ignored),
/// and fails over such data; a peer that refuses us is then one that falls silent. What stands behind a
/// record that it passes over is looked at as it does.
pub(super) fn has_needless(datagram: &[u8], mut sealed: Sealed) -> bool {
    let mut rest = datagram;
    while let Some(first) = rest.first() {
        if first & 0xe0 == 0x20 {
            match (sealed, behind_sealed(rest)) {
                (Sealed::Anywhere, Some(next)) => rest = next,
                _ => return true,
            }
            continue;
        }
        let Some((header, content)) = rest.split_first_chunk::<HEADER_SIZE>() else {
            return false;
        };
        let [kind, _, _, epoch_high, epoch_low, .., size_high, size_low] = *header;
        let is_protected = [epoch_high, epoch_low] != [0, 0];
        let size = usize::from(u16::from_be_bytes([size_high, size_low]));
        let Some((content, next)) = content.split_at_checked(size) else {
            return true; // cut off
        };
        let is_known = matches!(kind, 20..=26);
        if !is_known || (!is_protected && !is_of_handshakes(kind, content)) {
            return true;
        }
        let is_hello = kind == 22 && !is_protected && content.first() == Some(&SERVER_HELLO);
        if sealed == Sealed::BehindHello && is_hello {
            sealed = Sealed::Anywhere;
        }
        rest = next;
    }
    false
}

/// What follows a record that DTLS 1.3 protects: nothing, where it says no length, or has the number of a
/// connection, which has none here (RFC 9147 §4). `None`: it is cut off.
fn behind_sealed(datagram: &[u8]) -> Option<&[u8]> {
    let (flags, rest) = datagram.split_first()?;
    let rest = rest.get(if flags & 0x08 == 0 { 1 } else { 2 }..)?;
    if flags & 0x10 != 0 || flags & 0x04 == 0 {
        return Some(&[]);
    }
    let (size, content) = rest.split_first_chunk::<2>()?;
    content.get(usize::from(u16::from_be_bytes(*size))..)
}

/// Change of cipher, ACK, or Handshake with a message that begins as one (RFC 9147 §4.1).
fn is_of_handshakes(kind: u8, content: &[u8]) -> bool {
    match kind {
        20 | 26 => true,
        22 => is_message(content),
        _ => false,
    }
}

/// True for a fragment that lies inside its message and its record (RFC 6347 §4.2.2), of one of the
/// messages that a handshake has (RFC 8446 §4, RFC 5246 §7.4).
fn is_message(content: &[u8]) -> bool {
    let Some((header, fragment)) = content.split_first_chunk::<12>() else {
        return false;
    };
    let [
        kind,
        l0,
        l1,
        l2,
        sequence_high,
        sequence,
        o0,
        o1,
        o2,
        f0,
        f1,
        f2,
    ] = *header;
    let [length, offset, size] =
        [[0, l0, l1, l2], [0, o0, o1, o2], [0, f0, f1, f2]].map(u32::from_be_bytes);
    let is_known = matches!(kind, 1..=4 | 8 | 11..=16 | 20) && sequence <= MESSAGES_MAX;
    let is_inside = offset.saturating_add(size) <= length;
    let is_here = usize::try_from(size).is_ok_and(|size| size <= fragment.len());
    let is_whole = offset == 0 && size == length;
    let is_sound = kind != SERVER_HELLO || !is_whole || has_sound_extensions(fragment, length);
    is_known && is_inside && is_here && sequence_high == 0 && is_sound
}

/// True if the extensions of a server's hello lie inside it (RFC 8446 §4.1.3): the library looks for one of
/// them before it has looked at that.
fn has_sound_extensions(fragment: &[u8], length: u32) -> bool {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(message) = fragment.get(..length) else {
        return false;
    };
    let session = message.get(34).copied().map_or(0, usize::from);
    let Some(extensions) = message.get(34 + 1 + session + 2 + 1..) else {
        return true; // too short to have any
    };
    let Some((size, mut rest)) = extensions.split_first_chunk::<2>() else {
        return true;
    };
    if usize::from(u16::from_be_bytes(*size)) > rest.len() {
        return false;
    }
    while let Some(([_, _, high, low], after)) = rest.split_first_chunk::<4>() {
        let Some(next) = after.get(usize::from(u16::from_be_bytes([*high, *low]))..) else {
            return false;
        };
        rest = next;
    }
    rest.is_empty()
}

/// What a datagram has of a client's hello in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    /// Nothing.
    None,
    /// A later fragment of one.
    Part,
    /// Its begin, with its random octets: those of each of its repetitions.
    Begin([u8; 32]),
}

/// Looks at the first record.
pub(super) fn client_hello(datagram: &[u8]) -> Hello {
    let Some((record, content)) = datagram.split_first_chunk::<HEADER_SIZE>() else {
        return Hello::None;
    };
    let Some((message, body)) = content.split_first_chunk::<12>() else {
        return Hello::None;
    };
    let [22, _, _, 0, 0, ..] = *record else {
        return Hello::None;
    };
    let [1, _, _, _, _, _, o0, o1, o2, ..] = *message else {
        return Hello::None;
    };
    let random = body.get(2..).and_then(|rest| rest.first_chunk::<32>());
    match random {
        Some(random) if [o0, o1, o2] == [0; 3] => Hello::Begin(*random),
        Some(_) | None => Hello::Part,
    }
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
        let mut message = vec![1, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 28];
        message.resize(40, 7);
        let hello = record(22, 0, &message);
        for (at, octet) in [(0, 9), (3, 27), (4, 1), (8, 1), (11, 29)] {
            let mut wrong = message.clone();
            wrong[at] = octet;
            assert!(is_needless(&record(22, 0, &wrong)), "octet {at}");
        }
        assert!(is_needless(&hello[..hello.len() - 1]), "cut off");
        let alert = record(21, 0, &[2, 40]);
        assert!(!is_needless(&hello));
        assert!(is_needless(&alert));
        assert!(is_needless(&[hello, alert].concat()));
        assert!(is_needless(&record(23, 0, b"data")));
        assert!(is_needless(&record(19, 1, b"none of its kinds")));
        assert!(!is_needless(&record(21, 1, &[0; 26])), "protected");
        assert!(!is_needless(&[]));
    }

    fn is_needless(datagram: &[u8]) -> bool {
        let all = [Sealed::Nowhere, Sealed::BehindHello, Sealed::Anywhere];
        let [is_needless, others @ ..] = all.map(|sealed| has_needless(datagram, sealed));
        assert_eq!(others, [is_needless; 2], "nothing is sealed");
        is_needless
    }

    /// With a length or to the end, with a short number or a long one.
    #[test]
    fn what_is_sealed_stands_where_it_can_be_read_and_hides_nothing() {
        let alert = record(21, 0, &[2, 40]);
        let mut server_hello = vec![SERVER_HELLO, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0, 38];
        server_hello.resize(12 + 38, 0);
        let server_hello = record(22, 0, &server_hello);
        let finished = [&[0x2e, 1, 2, 0, 20][..], &[7; 20]].concat();
        let short = [&[0x26, 1, 0, 20][..], &[7; 20]].concat();
        let to_the_end = vec![0x2a; 30];
        for sealed in [&finished, &short, &to_the_end] {
            let behind = [&server_hello[..], sealed].concat();
            for (datagram, needless) in [
                (sealed, [true, true, false]),
                (&behind, [true, false, false]),
            ] {
                let all = [Sealed::Nowhere, Sealed::BehindHello, Sealed::Anywhere];
                assert_eq!(all.map(|it| has_needless(datagram, it)), needless);
            }
        }
        for sealed in [&finished, &short] {
            let hidden = [&server_hello[..], sealed, sealed, &alert].concat();
            assert!(is_needless(&hidden));
            let cut_off = &sealed[..sealed.len() - 1];
            assert!(is_needless(cut_off));
        }
    }
}
