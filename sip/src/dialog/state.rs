//! The state of one dialog (RFC 3261 §12).
//!
//! Owns what §12.1.1 and §12.1.2 let each side keep, and the rules of §12.2 that need nothing else.

use std::sync::Arc;

use super::route_set::RouteSet;
use crate::event::Flow;
use crate::identifier::Identifier;
use crate::message::{Message, Uri, UriRef};
use crate::transport::select;

/// One dialog, early or confirmed.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// Call-ID as written.
    pub call_id: Arc<[u8]>,
    /// Our tag.
    pub local_tag: Identifier,
    /// The peer's tag; empty before it has a part in the dialog, and never afterwards: a request
    /// without a To tag is within no dialog, and an INVITE is a new call to whoever gets it.
    pub remote_tag: Arc<[u8]>,
    /// Value of From in requests that we send, with our tag.
    pub local: Arc<[u8]>,
    /// Value of To in requests that we send, with the peer's tag.
    pub remote: Arc<[u8]>,
    /// The last CSeq number that we used.
    pub local_cseq: u32,
    /// The last CSeq number that the peer used.
    pub remote_cseq: Option<u32>,
    /// The peer's Contact.
    pub remote_target: Uri,
    /// The hops between.
    pub route_set: RouteSet,
    /// The path by which the dialog was made.
    pub flow: Flow,
    /// Where that is a connection: it has not been closed.
    pub is_flow_open: bool,
}

/// Why a request cannot make a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogRefused {
    /// It has no From tag. Deviation: RFC 3261 §12.1.1 lets a UAS take that of an RFC 2543 peer.
    NoTag,
    /// It has no Contact that can be read.
    NoContact,
    /// It has more Record-Route entries than we keep.
    RouteSetTooLong,
}

impl Dialog {
    /// As UAS, from a validated request (RFC 3261 §12.1.1).
    ///
    /// # Errors
    /// No From tag, no Contact, or too long a route set.
    pub fn from_request(
        request: &Message<'_>,
        flow: Flow,
        local_tag: Identifier,
        local_cseq: u32,
    ) -> Result<Self, DialogRefused> {
        use crate::message::HeaderName;
        let remote_tag = request.from().and_then(|from| from.tag());
        let remote_tag = remote_tag.filter(|tag| !tag.is_empty());
        let remote_tag = remote_tag.ok_or(DialogRefused::NoTag)?;
        let contact = request.contact().ok_or(DialogRefused::NoContact)?;
        let route_set = RouteSet::from_record_route(request, false)
            .map_err(|_too_long| DialogRefused::RouteSetTooLong)?;
        let mut local = request.value(&HeaderName::To).unwrap_or_default().to_vec();
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag.as_bytes());
        Ok(Self {
            call_id: request.call_id().unwrap_or_default().into(),
            local_tag,
            remote_tag: remote_tag.into(),
            local: local.into(),
            remote: request.value(&HeaderName::From).unwrap_or_default().into(),
            local_cseq,
            remote_cseq: request.cseq().map(|cseq| cseq.number),
            remote_target: contact.uri().to_uri(),
            route_set,
            flow,
            is_flow_open: true,
        })
    }

    /// As UAC, from a response to the request that `self` describes without the peer's part
    /// (RFC 3261 §12.1.2). A route set that is too long is left out; the flow then carries the
    /// dialog.
    #[must_use]
    pub fn with_response(&self, response: &Message<'_>) -> Self {
        use crate::message::HeaderName;
        let target = response.contact().map(|contact| contact.uri().to_uri());
        Self {
            remote_tag: response
                .to()
                .and_then(|to| to.tag())
                .unwrap_or_default()
                .into(),
            remote: response.value(&HeaderName::To).unwrap_or_default().into(),
            remote_target: target.unwrap_or_else(|| self.remote_target.clone()),
            route_set: RouteSet::from_record_route(response, true).unwrap_or_default(),
            ..self.clone()
        }
    }

    /// True where the tag is the peer's tag of this dialog.
    #[must_use]
    pub fn is_remote_tag(&self, tag: &[u8]) -> bool {
        *self.remote_tag == *tag
    }

    /// The connection of the dialog is closed: the remote target is connected to from now on, or the
    /// peer comes by a new connection.
    pub const fn lose_flow(&mut self) {
        self.is_flow_open = false;
    }

    /// A request within the dialog came by this flow. Whoever reconnects from behind a NAT can be
    /// reached in no other way.
    pub fn adopt_flow(&mut self, flow: Flow) {
        if !self.is_flow_open && self.is_same_peer(flow) {
            self.flow = flow;
            self.is_flow_open = true;
        }
        debug_assert!(
            self.is_flow_open || !self.is_same_peer(flow),
            "who has come again is reached"
        );
    }

    /// A connection with the peer that this dialog has, or had, one with.
    pub(crate) fn is_same_peer(&self, flow: Flow) -> bool {
        flow.transport == self.flow.transport
            && flow.transport.is_reliable()
            && flow.remote.ip() == self.flow.remote.ip()
    }

    /// Takes the CSeq of a request of the peer's; `false` where it is lower than the last one
    /// (RFC 3261 §12.2.2).
    pub fn take_remote_cseq(&mut self, cseq: u32) -> bool {
        if self.remote_cseq.is_some_and(|last| cseq < last) {
            return false;
        }
        self.remote_cseq = Some(cseq);
        true
    }

    /// The number of our next request.
    pub const fn next_local_cseq(&mut self) -> u32 {
        debug_assert!(
            self.local_cseq < 1 << 31,
            "RFC 3261 §8.1.1.5: we began low enough"
        );
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    /// Another tag of ours: another dialog of the same INVITE (RFC 3261 §12.1.1). Gives back the
    /// former tag.
    pub fn set_local_tag(&mut self, tag: Identifier) -> Identifier {
        let former = std::mem::replace(&mut self.local_tag, tag);
        debug_assert!(
            self.local.ends_with(former.as_bytes()),
            "our tag stands last"
        );
        let kept = self.local.len().saturating_sub(former.len());
        let mut local = self.local.get(..kept).unwrap_or_default().to_vec();
        local.extend_from_slice(tag.as_bytes());
        self.local = local.into();
        debug_assert!(self.local.ends_with(tag.as_bytes()), "our tag stands last");
        debug_assert!(former != tag, "another dialog has another tag");
        former
    }

    /// A target refresh request or its 2xx names the peer's new Contact (RFC 3261 §12.2.1.2 and
    /// §12.2.2).
    pub fn refresh_target(&mut self, message: &Message<'_>) {
        if let Some(contact) = message.contact() {
            self.remote_target = contact.uri().to_uri();
        }
    }

    /// The Request-URI of a request within the dialog (RFC 3261 §12.2.1.1).
    #[must_use]
    pub fn request_uri(&self) -> &str {
        match self.route_set.first() {
            Some((uri, false)) => uri.without_headers(),
            Some((_, true)) | None => self.remote_target.view().without_headers(),
        }
    }

    /// Where a request within the dialog goes.
    #[must_use]
    pub fn next_hop(&self) -> Flow {
        let uri: UriRef<'_> = match self.route_set.first() {
            Some((uri, _)) => uri,
            None => self.remote_target.view(),
        };
        select::next_hop(uri, self.flow, self.is_flow_open)
    }
}
