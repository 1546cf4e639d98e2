//! Which protection profile of SRTP a client's hello leads to (RFC 5764 §4.1.1, RFC 7714 §14.2): the strongest
//! that it names, in whatever order it names them.
//!
//! As a server of 1.3 the library takes the first one of the client, and browsers name the weakest first. So
//! it is shown the strongest alone: the others lie under numbers that it does not know. What both sides hash is
//! the hello as it was sent, so the hash of a handshake puts the numbers back; no hello that has such a number
//! by itself gets as far. As a server of 1.2 the library takes the strongest by itself. As a
//! client it names the strongest first, and what the server takes of that is up to the server.

use dimpl::crypto::aws_lc_rs::default_provider;
use dimpl::crypto::{Buf, CryptoProvider, HashAlgorithm, HashContext, HashProvider};

/// Those that the library has (RFC 5764 §4.1.2, RFC 7714 §14.2).
const STRONGEST_FIRST: [[u8; 2]; 3] = [[0, 8], [0, 7], [0, 1]];

/// The high octet of a profile that the library is not to see. That of every profile there is is zero.
const HIDDEN: u8 = 0xff;

/// Octets of the type and the size of a message where 1.3 hashes it (RFC 9147 §5.2).
const HEADER_SIZE: usize = 4;

const CLIENT_HELLO: u8 = 1;
const USE_SRTP: u16 = 14;
const SUPPORTED_VERSIONS: u16 = 43;
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
const DTLS_1_3: [u8; 2] = [0xfe, 0xfc];

/// Leaves the library the strongest profile of a hello of 1.3 alone. False: the hello has a number that only
/// we could have put there, and is not to be read.
pub(super) fn prefer(hello: &mut [u8]) -> bool {
    let named: Vec<(usize, [u8; 2])> = places(hello)
        .filter_map(|at| Some((at, *hello.get(at..)?.first_chunk()?)))
        .collect();
    if named.iter().any(|(_, [high, _])| *high == HIDDEN) {
        return false;
    }
    let is_named = |profile: &[u8; 2]| named.iter().any(|(_, named)| named == profile);
    let strongest = STRONGEST_FIRST.into_iter().find(is_named);
    let Some(strongest) = strongest.filter(|_| speaks_1_3(hello)) else {
        return true;
    };
    for (at, _) in named.iter().filter(|(_, named)| *named != strongest) {
        if let Some([high @ 0, _]) = hello.get_mut(*at..).and_then(<[u8]>::first_chunk_mut) {
            *high = HIDDEN;
        }
    }
    true
}

/// True for a hello that leads to 1.3 (RFC 8446 §4.2.1).
fn speaks_1_3(hello: &[u8]) -> bool {
    let mut named = extensions(hello).filter(|(number, _, _)| *number == SUPPORTED_VERSIONS);
    named.any(|(_, _, versions)| {
        let mut versions = versions.get(1..).unwrap_or_default().chunks_exact(2);
        versions.any(|version| version == DTLS_1_3)
    })
}

/// Where the profiles of a hello stand.
fn places(hello: &[u8]) -> impl Iterator<Item = usize> {
    extensions(hello)
        .filter(|(number, _, _)| *number == USE_SRTP)
        .flat_map(|(_, at, octets)| {
            let list = octets.split_first_chunk::<2>();
            let room = list.map_or(0, |(size, rest)| {
                usize::from(u16::from_be_bytes(*size)).min(rest.len())
            });
            (0..room / 2).map(move |index| at + 2 + 2 * index)
        })
}

/// The extensions of a hello: number, where the octets of it begin, and they (RFC 9147 §5.3).
fn extensions(hello: &[u8]) -> impl Iterator<Item = (u16, usize, &[u8])> {
    let mut at = beginning(hello).unwrap_or(hello.len());
    std::iter::from_fn(move || {
        let rest = hello.get(at..)?;
        let ([number @ .., size_high, size_low], rest) = rest.split_first_chunk::<4>()?;
        let size = usize::from(u16::from_be_bytes([*size_high, *size_low]));
        let octets = rest.get(..size)?;
        let begins = at + 4;
        at = begins + size;
        Some((u16::from_be_bytes(*number), begins, octets))
    })
}

/// Where the first extension of a hello begins: after version, random octets, session, cookie, suites,
/// compression and the size of all of them.
fn beginning(hello: &[u8]) -> Option<usize> {
    let short = |at: usize| Some(at + 1 + usize::from(*hello.get(at)?));
    let suites = short(short(2 + 32)?)?;
    let size = u16::from_be_bytes(*hello.get(suites..)?.first_chunk()?);
    Some(short(suites + 2 + usize::from(size))? + 2)
}

/// What the library calculates with.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        hash_provider: &AS_SENT,
        ..default_provider()
    }
}

/// Hashes hellos as they were sent.
#[derive(Debug)]
struct AsSent;

static AS_SENT: AsSent = AsSent;

#[derive(Debug)]
struct AsSentContext(Box<dyn HashContext>);

impl HashProvider for AsSent {
    fn create_hash(&self, algorithm: HashAlgorithm) -> Box<dyn HashContext> {
        let context = default_provider().hash_provider.create_hash(algorithm);
        Box::new(AsSentContext(context))
    }
}

impl HashContext for AsSentContext {
    fn update(&mut self, data: &[u8]) {
        let mut done = 0;
        for at in hidden(data) {
            self.0.update(data.get(done..at).unwrap_or_default());
            self.0.update(&[0]);
            done = at + 1;
        }
        self.0.update(data.get(done..).unwrap_or_default());
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        self.0.clone_and_finalize(out);
    }
}

/// Where the high octets of hidden profiles stand in the messages of a handshake of 1.3. The hash of 1.2 has
/// another header (RFC 6347 §4.2.6), behind which no version stands here.
fn hidden(messages: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    let hellos = std::iter::from_fn(move || {
        loop {
            let rest = messages.get(at..)?;
            let ([kind, size @ ..], rest) = rest.split_first_chunk::<HEADER_SIZE>()?;
            let [high, middle, low] = size.map(usize::from);
            let body = rest.get(..high << 16 | middle << 8 | low)?;
            let begins = at + HEADER_SIZE;
            at = begins + body.len();
            if *kind == CLIENT_HELLO && body.starts_with(&DTLS_1_2) {
                return Some((begins, body));
            }
        }
    });
    hellos.flat_map(|(begins, body)| {
        places(body)
            .filter(|at| body.get(*at) == Some(&HIDDEN))
            .map(move |at| begins + at)
    })
}
