//! What goes wrong, grouped by who is to blame, each with a stable label.

use crate::message::Defect;

/// Why bytes are no SIP message. Nothing can be answered to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Only line ends: somebody keeps a path open (RFC 5626 §3.5.1).
    #[error("keep-alive")]
    KeepAlive,
    /// Larger than a message may be.
    #[error("too large")]
    TooLarge,
    /// The first line is neither a request line nor a status line.
    #[error("not SIP")]
    NotSip,
    /// The status is not three digits from 100 to 699.
    #[error("bad status code")]
    StatusCode,
}

impl ParseError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep_alive",
            Self::TooLarge => "too_large",
            Self::NotSip => "not_sip",
            Self::StatusCode => "status_code",
        }
    }
}

/// Why a stream cannot be cut into messages. The connection is closed: nothing after the fault can be
/// told from what came before (RFC 3261 §18.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// What begins here is no request line and no status line.
    #[error("not SIP")]
    NotSip,
    /// A header without an end.
    #[error("header too long")]
    HeaderTooLong,
    /// No Content-Length (RFC 3261 §20.14).
    #[error("no Content-Length")]
    NoContentLength,
    /// Content-Length is no number, or two that differ.
    #[error("bad Content-Length")]
    ContentLength,
    /// Larger than a message may be.
    #[error("body too long")]
    BodyTooLong,
}

impl FrameError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSip => "stream_not_sip",
            Self::HeaderTooLong => "stream_header_too_long",
            Self::NoContentLength => "stream_no_content_length",
            Self::ContentLength => "stream_content_length",
            Self::BodyTooLong => "stream_body_too_long",
        }
    }
}

/// Why a session description cannot be used (488 to an offer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SdpError {
    /// Larger than we read.
    #[error("too large")]
    TooLarge,
    /// A NUL, which no line may hold (RFC 8866 §9).
    #[error("NUL in the text")]
    Nul,
    /// It does not begin with `v=0`.
    #[error("no version")]
    Version,
    /// `o=` is absent or malformed.
    #[error("bad origin")]
    Origin,
    /// A `c=` line is malformed.
    #[error("bad connection")]
    Connection,
    /// An `m=` line is malformed.
    #[error("bad media")]
    Media,
    /// More `m=` lines than we answer.
    #[error("too many media")]
    TooManyMedia,
}

impl SdpError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "sdp_too_large",
            Self::Nul => "sdp_nul",
            Self::Version => "sdp_version",
            Self::Origin => "sdp_origin",
            Self::Connection => "sdp_connection",
            Self::Media => "sdp_media",
            Self::TooManyMedia => "sdp_too_many_media",
        }
    }
}

/// What a well-formed message does against the protocol, or asks of us in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProtocolError {
    /// A response whose topmost Via is not ours, or that has more than one (RFC 3261 §18.1.2).
    ForeignVia,
    /// A response to no request of ours that still lives.
    StrayResponse,
    /// An ACK for nothing.
    StrayAck,
    /// A CANCEL for nothing: 481.
    StrayCancel,
    /// A PRACK for nothing: 481; for what cannot be read: 400.
    StrayPrack,
    /// A reliable response while one before it is missing: it will come again (RFC 3262 §4).
    RseqGap,
    /// A request within a dialog that does not exist: 481.
    NoDialog,
    /// The same request by another path: 482 (RFC 3261 §8.2.2.2).
    MergedRequest,
    /// A request of ours that came back: 482.
    Loop,
    /// Max-Forwards is 0: 483.
    TooManyHops,
    /// A method that we know and do not take here: 405.
    MethodNotAllowed,
    /// A method that we do not know: 501.
    MethodUnknown,
    /// Require names an extension that we do not have: 420.
    Extension,
    /// A body of a type that we do not read: 415.
    MediaType,
    /// A session description that cannot be read: 400.
    SessionDescription,
    /// A scheme of the Request-URI that we do not serve: 416.
    UriScheme,
    /// An INVITE without a Contact that can be read: 400.
    NoContact,
    /// An INVITE without a From tag: 400 (RFC 3261 §8.1.1.3).
    NoFromTag,
    /// More Record-Route entries than we keep: 400.
    RouteSetTooLong,
    /// A lower CSeq than the last one of its dialog: 500 (RFC 3261 §12.2.2).
    LowCseq,
    /// An INVITE while another one of the dialog is not answered: 491 or 500 (RFC 3261 §14.2).
    ExchangePending,
    /// REFER, which nobody may ask of us: 603 within a dialog, 403 outside.
    Refer,
    /// An event package that we do not have: 489.
    EventPackage,
    /// We are draining: 503.
    Draining,
    /// As many calls as we may carry: 503.
    CallsFull,
    /// Session-Expires is less than we take: 422.
    SessionInterval,
    /// The body of an INFO is larger than we take: 413.
    InfoTooLarge,
    /// Its address holds its share of the calls that nobody has answered: 503.
    CallerShare,
    /// The callers of its group hold theirs, and it is not known to be who it says: 503.
    GroupShare,
    /// Its address has had its share of this second's new calls: 503.
    CallerRate,
    /// No room for another transaction: 503.
    TransactionsFull,
    /// We were told that we are overloaded: 503.
    Overloaded,
    /// The contacts of a REGISTER are too many, or a star stands where it must not: 400.
    RegisterContacts,
    /// No room for another REGISTER: 503.
    RegistersFull,
    /// A REGISTER that nobody answered.
    RegisterUnanswered,
}

impl ProtocolError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForeignVia => "foreign_via",
            Self::StrayResponse => "stray_response",
            Self::StrayAck => "stray_ack",
            Self::StrayCancel => "stray_cancel",
            Self::StrayPrack => "stray_prack",
            Self::RseqGap => "rseq_gap",
            Self::NoDialog => "no_dialog",
            Self::MergedRequest => "merged_request",
            Self::Loop => "loop",
            Self::TooManyHops => "too_many_hops",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MethodUnknown => "method_unknown",
            Self::Extension => "extension",
            Self::MediaType => "media_type",
            Self::SessionDescription => "session_description",
            Self::UriScheme => "uri_scheme",
            Self::NoContact => "no_contact",
            Self::NoFromTag => "no_from_tag",
            Self::RouteSetTooLong => "route_set_too_long",
            Self::LowCseq => "low_cseq",
            Self::ExchangePending => "exchange_pending",
            Self::Refer => "refer",
            Self::EventPackage => "event_package",
            Self::Draining => "draining",
            Self::CallsFull => "calls_full",
            Self::CallerShare => "caller_share",
            Self::GroupShare => "group_share",
            Self::CallerRate => "caller_rate",
            Self::SessionInterval => "session_interval",
            Self::InfoTooLarge => "info_too_large",
            Self::TransactionsFull => "transactions_full",
            Self::Overloaded => "overloaded",
            Self::RegisterContacts => "register_contacts",
            Self::RegistersFull => "registers_full",
            Self::RegisterUnanswered => "register_unanswered",
        }
    }
}

/// Why a message was discarded, or answered with an error, before any call saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Not SIP.
    Unreadable(ParseError),
    /// SIP with a defect; answered where `validate` named a status.
    Malformed(Defect),
    /// Well-formed, and refused or discarded by the user agent core.
    Protocol(ProtocolError),
}

impl DropReason {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable(error) => error.as_str(),
            Self::Malformed(defect) => defect.as_str(),
            Self::Protocol(error) => error.as_str(),
        }
    }
}

/// Why a command was declined. Nothing was sent and nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CommandError {
    /// Misuse, or a race with the peer: the call is gone or has ended.
    #[error("no such call")]
    NoSuchCall,
    /// Misuse, or a race with the peer: the leg is gone or has ended.
    #[error("no such leg")]
    NoSuchLeg,
    /// The caller has been answered or refused already, or the leg is not confirmed yet.
    #[error("not in this state")]
    WrongState,
    /// An offer of one side waits for its answer already (RFC 3261 §14.1).
    #[error("another offer is pending")]
    ExchangePending,
    /// No offer of the peer waits for an answer; it may have been cancelled.
    #[error("nothing to answer")]
    NothingToAnswer,
    /// The status does not fit the command: `ring` takes 101 to 199, `refuse` 300 to 699.
    #[error("status does not fit")]
    StatusUnfit,
    /// Misuse: the registration was forgotten.
    #[error("no such registration")]
    NoSuchRegister,
    /// We are draining: no new call begins.
    #[error("draining")]
    Draining,
    /// The call has made as many attempts as it may, or a table is full.
    #[error("limit reached")]
    LimitReached,
}

impl CommandError {
    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchCall => "no_such_call",
            Self::NoSuchLeg => "no_such_leg",
            Self::WrongState => "wrong_state",
            Self::ExchangePending => "exchange_pending",
            Self::NothingToAnswer => "nothing_to_answer",
            Self::StatusUnfit => "status_unfit",
            Self::NoSuchRegister => "no_such_register",
            Self::Draining => "draining",
            Self::LimitReached => "limit_reached",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters and logs keep their series over versions: these words do not change.
    #[test]
    fn a_drop_reason_speaks_with_the_label_of_its_cause() {
        for (reason, label) in [
            (DropReason::Unreadable(ParseError::KeepAlive), "keep_alive"),
            (DropReason::Unreadable(ParseError::TooLarge), "too_large"),
            (DropReason::Unreadable(ParseError::NotSip), "not_sip"),
            (
                DropReason::Unreadable(ParseError::StatusCode),
                "status_code",
            ),
            (DropReason::Malformed(Defect::CSeqMethod), "cseq_method"),
            (
                DropReason::Protocol(ProtocolError::ForeignVia),
                "foreign_via",
            ),
        ] {
            assert_eq!(reason.as_str(), label);
        }
    }
}
