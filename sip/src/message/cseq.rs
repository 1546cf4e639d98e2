//! CSeq (RFC 3261 §20.16).

use super::method::Method;
use super::scan;

/// Sequence number and method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

impl CSeq {
    /// Reads the value. `None` where it is malformed or the number too large.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (number, method) = split(value)?;
        Some(Self {
            number,
            method: Method::from_bytes(method)?,
        })
    }
}

/// What a PRACK acknowledges (RFC 3262 §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RAck {
    /// RSeq of the response.
    pub rseq: u32,
    /// CSeq of the response.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads the value. `None` where it is malformed.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = scan::trim(value);
        let space = value.iter().position(|&byte| scan::is_space(byte))?;
        let (rseq, rest) = value.split_at_checked(space)?;
        Some(Self {
            rseq: scan::decimal(rseq)?,
            cseq: CSeq::parse(rest)?,
        })
    }
}

/// Number and method as written, without a copy.
pub(super) fn split(value: &[u8]) -> Option<(u32, &[u8])> {
    let value = scan::trim(value);
    let space = value.iter().position(|&byte| scan::is_space(byte))?;
    let (number, method) = value.split_at_checked(space)?;
    let number = scan::decimal(number).filter(|&number: &u32| number < 1 << 31)?;
    let method = scan::trim(method);
    scan::is_token(method).then_some((number, method))
}
