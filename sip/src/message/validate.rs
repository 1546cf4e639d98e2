//! What a well-framed message is refused for, and with which status (RFC 3261 §8.2, RFC 4475).

use super::cseq;
use super::header::HeaderName;
use super::name_addr::NameAddrRef;
use super::status::StatusCode;
use super::uri::{Scheme, UriRef};
use super::via::{BRANCH_COOKIE, Via};
use super::{Message, StartLine};

/// What is wrong with a message that has the frame of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// More than one space in the request line, or one at its end.
    StartLineSpaces,
    /// A CR that is not part of a line end.
    BareCarriageReturn,
    /// A line that is no header.
    HeaderLine,
    /// More headers than we index.
    TooManyHeaders,
    /// No empty line after the headers.
    NoEmptyLine,
    /// Content-Length is not a number.
    ContentLength,
    /// Content-Length stands twice.
    ContentLengthRepeated,
    /// Content-Length is larger than the datagram.
    ContentLengthTooLarge,
    /// Not SIP/2.0.
    Version,
    /// The Request-URI cannot be read.
    RequestUri,
    /// Via is absent or cannot be read.
    Via,
    /// The branch has the cookie of RFC 3261 and nothing after it.
    Branch,
    /// From is absent, repeated or cannot be read.
    From,
    /// To is absent, repeated or cannot be read.
    To,
    /// Call-ID is absent, repeated or empty.
    CallId,
    /// CSeq is absent, repeated or cannot be read.
    CSeq,
    /// The method of CSeq is not that of the request.
    CSeqMethod,
    /// Max-Forwards is repeated or not 0 to 255.
    MaxForwards,
    /// Contact cannot be read.
    Contact,
    /// Route or Record-Route cannot be read.
    Route,
}

impl Defect {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartLineSpaces => "start_line_spaces",
            Self::BareCarriageReturn => "bare_carriage_return",
            Self::HeaderLine => "header_line",
            Self::TooManyHeaders => "too_many_headers",
            Self::NoEmptyLine => "no_empty_line",
            Self::ContentLength => "content_length",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::ContentLengthTooLarge => "content_length_too_large",
            Self::Version => "version",
            Self::RequestUri => "request_uri",
            Self::Via => "via",
            Self::Branch => "branch",
            Self::From => "from",
            Self::To => "to",
            Self::CallId => "call_id",
            Self::CSeq => "cseq",
            Self::CSeqMethod => "cseq_method",
            Self::MaxForwards => "max_forwards",
            Self::Contact => "contact",
            Self::Route => "route",
        }
    }

    /// The status a request with it gets.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED,
            Self::TooManyHeaders => StatusCode::MESSAGE_TOO_LARGE,
            Self::StartLineSpaces
            | Self::BareCarriageReturn
            | Self::HeaderLine
            | Self::NoEmptyLine
            | Self::ContentLength
            | Self::ContentLengthRepeated
            | Self::ContentLengthTooLarge
            | Self::RequestUri
            | Self::Via
            | Self::Branch
            | Self::From
            | Self::To
            | Self::CallId
            | Self::CSeq
            | Self::CSeqMethod
            | Self::MaxForwards
            | Self::Contact
            | Self::Route => StatusCode::BAD_REQUEST,
        }
    }

    /// The reason phrase of that response; it says what is wrong (RFC 3261 §21.4.1).
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::StartLineSpaces => "Bad Spaces in Request-Line",
            Self::BareCarriageReturn => "Bare CR in Header",
            Self::HeaderLine => "Unreadable Header Line",
            Self::TooManyHeaders => "Too Many Headers",
            Self::NoEmptyLine => "No Empty Line after Headers",
            Self::ContentLength => "Bad Content-Length",
            Self::ContentLengthRepeated => "Repeated Content-Length",
            Self::ContentLengthTooLarge => "Content-Length Larger than Message",
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED.reason(),
            Self::RequestUri => "Bad Request-URI",
            Self::Via => "Missing or Bad Via",
            Self::Branch => "Empty Branch in Via",
            Self::From => "Missing or Bad From",
            Self::To => "Missing or Bad To",
            Self::CallId => "Missing or Bad Call-ID",
            Self::CSeq => "Missing or Bad CSeq",
            Self::CSeqMethod => "CSeq Method Mismatch",
            Self::MaxForwards => "Bad Max-Forwards",
            Self::Contact => "Bad Contact",
            Self::Route => "Bad Route",
        }
    }
}

/// A message that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong; the first thing found.
    pub defect: Defect,
    /// The response it gets. `None`: it is dropped, because it is a response or an ACK, or because
    /// a header that every response copies is absent (RFC 3261 §8.2.6.2).
    pub answer: Option<StatusCode>,
}

impl Message<'_> {
    /// Checks what every later step relies on: after `Ok`, Via, From, To, Call-ID and CSeq are
    /// there once (Via at least once) and can be read, and so can Contact, Route and Record-Route.
    ///
    /// Schemes (416), extensions (420), media types (415) and Max-Forwards of zero (483) are for
    /// the user agent core.
    ///
    /// # Errors
    ///
    /// The defect and the response that it earns.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.first_defect().map_or(Ok(()), |defect| {
            let answer = self.can_be_answered().then(|| defect.status());
            Err(Invalid { defect, answer })
        })
    }

    /// True for a request other than ACK whose response could copy all it must.
    fn can_be_answered(&self) -> bool {
        let StartLine::Request { method, .. } = self.start else {
            return false;
        };
        let copied = [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
        ];
        method != b"ACK"
            && self.top_via().is_some()
            && copied
                .iter()
                .all(|name| self.value(name).is_some_and(|value| !value.is_empty()))
    }

    fn first_defect(&self) -> Option<Defect> {
        let method = match self.start {
            StartLine::Request {
                method, version, ..
            } => {
                if !version.eq_ignore_ascii_case(b"SIP/2.0") {
                    return Some(Defect::Version);
                }
                Some(method)
            }
            StartLine::Response { .. } => None,
        };
        self.defect
            .or_else(|| method.and_then(|_| self.request_uri_defect()))
            .or_else(|| self.via_defect())
            .or_else(|| self.address_defect(&HeaderName::From, Defect::From))
            .or_else(|| self.address_defect(&HeaderName::To, Defect::To))
            .or_else(|| self.call_id().is_none().then_some(Defect::CallId))
            .or_else(|| self.cseq_defect(method))
            .or_else(|| self.max_forwards_defect())
            .or_else(|| self.contact_defect())
            .or_else(|| self.route_defect())
    }

    /// RFC 3261 §19.1.1: headers are not allowed in a Request-URI.
    fn request_uri_defect(&self) -> Option<Defect> {
        let StartLine::Request { uri, .. } = self.start else {
            return None;
        };
        let readable = UriRef::parse(uri).is_some_and(|uri| {
            !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) || uri.headers().is_empty()
        });
        (!readable).then_some(Defect::RequestUri)
    }

    fn via_defect(&self) -> Option<Defect> {
        let mut vias = self.elements(&HeaderName::Via);
        let readable = |element| Via::parse(element).filter(Via::is_well_formed);
        let Some(top) = vias.next().and_then(readable) else {
            return Some(Defect::Via);
        };
        if vias.any(|element| readable(element).is_none()) {
            return Some(Defect::Via);
        }
        (top.branch() == Some(BRANCH_COOKIE)).then_some(Defect::Branch)
    }

    fn address_defect(&self, name: &HeaderName, defect: Defect) -> Option<Defect> {
        let readable = self.only_value(name).and_then(NameAddrRef::parse).is_some();
        (!readable).then_some(defect)
    }

    fn cseq_defect(&self, request_method: Option<&[u8]>) -> Option<Defect> {
        let Some((_, method)) = self.only_value(&HeaderName::CSeq).and_then(cseq::split) else {
            return Some(Defect::CSeq);
        };
        request_method
            .is_some_and(|wanted| wanted != method)
            .then_some(Defect::CSeqMethod)
    }

    fn max_forwards_defect(&self) -> Option<Defect> {
        let readable = match self.lines(&HeaderName::MaxForwards).next() {
            Some(_) => self.max_forwards().is_some(),
            None => true,
        };
        (!readable).then_some(Defect::MaxForwards)
    }

    fn contact_defect(&self) -> Option<Defect> {
        let readable = self
            .elements(&HeaderName::Contact)
            .all(|element| element == b"*" || NameAddrRef::parse(element).is_some());
        (!readable).then_some(Defect::Contact)
    }

    fn route_defect(&self) -> Option<Defect> {
        let readable = [HeaderName::Route, HeaderName::RecordRoute]
            .iter()
            .all(|name| {
                self.elements(name)
                    .all(|element| NameAddrRef::parse(element).is_some())
            });
        (!readable).then_some(Defect::Route)
    }
}
