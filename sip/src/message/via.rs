//! One Via value (RFC 3261 §20.42, RFC 3581).

use std::net::IpAddr;

use super::parameter::Parameters;
use super::scan;
use super::uri;

/// The text a branch begins with when its writer follows RFC 3261 §8.1.1.7.
pub const BRANCH_COOKIE: &[u8] = b"z9hG4bK";

/// One hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    version: &'a [u8],
    transport: &'a [u8],
    host: &'a str,
    port: Option<u16>,
    parameters: Parameters<'a>,
    text: &'a [u8],
}

impl<'a> Via<'a> {
    /// Reads one element of a Via header. `None` where protocol, transport or sent-by cannot be
    /// read. Version and parameters are taken as they are, so that a response can go back to who
    /// wrote them; [`Via::is_well_formed`] judges them.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = scan::trim(text);
        let (protocol, rest) = scan::split_once(text, b'/')?;
        let (version, rest) = scan::split_once(rest, b'/')?;
        if !scan::trim(protocol).eq_ignore_ascii_case(b"SIP") {
            return None;
        }
        let version = scan::trim(version);
        let rest = scan::trim_start(rest);
        let space = rest.iter().position(|&byte| scan::is_space(byte))?;
        let (transport, rest) = rest.split_at_checked(space)?;
        let (sent_by, parameters) = match memchr::memchr(b';', rest) {
            Some(semicolon) => rest.split_at_checked(semicolon)?,
            None => (rest, &[][..]),
        };
        let (host, port) = read_sent_by(scan::trim(sent_by))?;
        debug_assert!(!host.is_empty(), "sent-by names somebody");
        let parameters = Parameters::new(scan::trim_end(parameters));
        scan::is_token(transport).then_some(Self {
            version,
            transport,
            host,
            port,
            parameters,
            text,
        })
    }

    /// True for SIP/2.0 and parameters without a fault.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.version == b"2.0" && self.parameters.is_well_formed()
    }

    /// The transport as written, `UDP` as a rule.
    #[must_use]
    pub const fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// The host of sent-by, with brackets around an IPv6 address.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// The host of sent-by as an address, where it is one.
    #[must_use]
    pub fn host_address(&self) -> Option<IpAddr> {
        uri::host_address(self.host)
    }

    /// The port of sent-by, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// All parameters.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        self.parameters
    }

    /// The branch, whole.
    #[must_use]
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.parameters
            .value("branch")
            .filter(|branch| !branch.is_empty())
    }

    /// `received` as an address; peers write IPv6 with and without brackets (RFC 5118 §4.5).
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.parameters.value("received")?).ok()?;
        uri::host_address(text)
    }

    /// True where `rport` stands, with or without a value (RFC 3581 §3).
    #[must_use]
    pub fn has_rport(&self) -> bool {
        self.parameters.contains("rport")
    }

    /// The value of `rport`, where it has one.
    #[must_use]
    pub fn rport(&self) -> Option<u16> {
        scan::decimal(self.parameters.value("rport")?)
    }

    /// `maddr`, as written.
    #[must_use]
    pub fn maddr(&self) -> Option<&'a [u8]> {
        self.parameters.value("maddr")
    }

    /// The whole element, as written.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.text
    }
}

/// `host [: port]`, white space allowed around the colon.
fn read_sent_by(text: &[u8]) -> Option<(&str, Option<u16>)> {
    let host_length = match text.first()? {
        b'[' => memchr::memchr(b']', text)? + 1,
        _ => text
            .iter()
            .position(|&b| !uri::is_host_byte(b))
            .unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(host_length)?;
    let host = std::str::from_utf8(host).ok()?;
    if host.is_empty() || (host.starts_with('[') && uri::host_address(host).is_none()) {
        return None;
    }
    let port = match scan::trim(rest) {
        [] => None,
        [b':', digits @ ..] => Some(scan::decimal(scan::trim(digits))?),
        _ => return None,
    };
    Some((host, port))
}
