//! The route set of a dialog, and how it shapes a request (RFC 3261 §12.1, §12.2.1.1).
//!
//! Owns the entries as they came, loose and strict.

use crate::limits::ROUTES_MAX;
use crate::message::{HeaderName, Message, NameAddrRef, UriRef};

/// Record-Route entries in the order in which our requests visit them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteSet {
    entries: Vec<Box<[u8]>>,
}

/// More entries than `ROUTES_MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSetTooLong;

impl RouteSet {
    /// From Record-Route: in its order where we are the UAS, reversed where we are the UAC.
    ///
    /// # Errors
    /// More than `ROUTES_MAX` entries.
    pub fn from_record_route(
        message: &Message<'_>,
        we_are_uac: bool,
    ) -> Result<Self, RouteSetTooLong> {
        let mut entries = Vec::new();
        for element in message.elements(&HeaderName::RecordRoute) {
            if entries.len() == ROUTES_MAX {
                return Err(RouteSetTooLong);
            }
            entries.push(element.into());
        }
        if we_are_uac {
            entries.reverse();
        }
        debug_assert!(entries.len() <= ROUTES_MAX, "the bound holds");
        Ok(Self { entries })
    }

    /// True where requests go straight to the remote target.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first entry's URI, and whether that hop routes loosely.
    #[must_use]
    pub fn first(&self) -> Option<(UriRef<'_>, bool)> {
        let uri = NameAddrRef::parse(self.entries.first()?)?.uri();
        Some((uri, uri.parameters().contains("lr")))
    }

    /// The values of Route in a request to `target`. A strict first hop stands in the Request-URI,
    /// and the target at the end (RFC 3261 §12.2.1.1).
    pub fn routes<'a>(&'a self, target: &'a str) -> impl Iterator<Item = RouteValue<'a>> {
        let strict = matches!(self.first(), Some((_, false)));
        let last = strict.then_some(RouteValue::Target(target));
        self.entries
            .iter()
            .skip(usize::from(strict))
            .map(|entry| RouteValue::Entry(entry))
            .chain(last)
    }
}

/// One value of Route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteValue<'a> {
    /// As it stood in Record-Route.
    Entry(&'a [u8]),
    /// The remote target, which needs angle brackets.
    Target(&'a str),
}
