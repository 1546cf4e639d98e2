//! Call detail records: opened with the call, closed by what ended it, one more per attempt. Pure
//! data made by call control; `writer` stores it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fraud_guard::StoredCount;
use crate::registrar::kept::KeptPhones;

/// Outcome of an attempt that was left and answered after all. Its record is the second one of its
/// row.
pub const LATE_ANSWER: &str = "late_answer";

/// One fact for the CDR store, in the order call control made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A call was accepted for processing.
    CallOpened(CallOpened),
    /// An attempt towards a trunk began, or was decided against (`dialed` false).
    AttemptOpened(AttemptOpened),
    /// It ended.
    AttemptClosed(AttemptClosed),
    /// The call ended.
    CallClosed(CallClosed),
    /// What the fraud guard has counted: no CDR, but it goes the same way.
    GuardCounts(Vec<StoredCount>),
    /// Where phones are: no CDR either.
    Phones(Vec<KeptPhones>),
}

/// The call's row at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOpened {
    /// Unique, made by call control: 128 bits in hexadecimal, the first 48 of them the millisecond of its begin.
    pub call: String,
    /// When the INVITE came.
    pub at: Timestamp,
    /// Name of the source.
    pub source: String,
    /// Address and port it came from.
    pub source_address: String,
    /// The Call-ID header of the a-leg.
    pub call_id: String,
    /// User part asked for.
    pub request_path: String,
    /// What the caller said it is.
    pub caller: String,
}

/// An attempt's row at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptOpened {
    /// The call.
    pub call: String,
    /// 1 and up.
    pub number: u32,
    /// When.
    pub at: Timestamp,
    /// Trunk id, or `local`.
    pub trunk: String,
    /// Request-URI user and host as dialled.
    pub destination: String,
    /// Caller name as sent.
    pub caller_name: String,
    /// Caller alias as sent, with its number.
    pub caller_alias: String,
    /// An INVITE left.
    pub dialed: bool,
    /// For whom it was.
    #[serde(default)]
    pub leg: AttemptLeg,
    /// The Call-ID of its INVITE; empty where none left.
    #[serde(default)]
    pub call_id: String,
    /// What the guard had against it.
    #[serde(default)]
    pub guard: Option<GuardWord>,
}

/// Which side of a call an attempt is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptLeg {
    /// The first party of a placed call: its `from`.
    Caller,
    /// Whom the caller wants, or the `to` of a placed call.
    #[default]
    Callee,
}

impl AttemptLeg {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        }
    }
}

/// The guard's word against an attempt; with an INVITE that left all the same, of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardWord {
    /// The stable reason.
    pub reason: String,
    /// The rule that decided: its id, or the setting.
    pub rule: String,
}

/// An attempt's row at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptClosed {
    /// The call.
    pub call: String,
    /// 1 and up.
    pub number: u32,
    /// When.
    pub at: Timestamp,
    /// First 101 to 199.
    pub ringing_at: Option<Timestamp>,
    /// The 2xx.
    pub answered_at: Option<Timestamp>,
    /// Final SIP status; where none came, what the caller is told for it: 408 for silence, 480 for
    /// ringing to the end (RFC 3261 §8.1.3.1).
    pub status: u16,
    /// Stable word: `answered`, `no_response`, `guard_denied`, …
    pub outcome: String,
    /// The Q.850 cause of its Reason header.
    pub q850: Option<u8>,
    /// Media of the b-leg.
    pub media: MediaFigures,
}

/// The call's row at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallClosed {
    /// The call.
    pub call: String,
    /// When.
    pub at: Timestamp,
    /// When the a-leg was answered.
    pub answered_at: Option<Timestamp>,
    /// Final SIP status towards the caller; 200 for an answered call.
    pub status: u16,
    /// `originating`, `terminating`, `gateway`.
    pub released_by: String,
    /// Stable word: `normal`, `cancelled`, `busy`, `node_restart`, `guard_denied`, …
    pub cause: String,
    /// The Q.850 cause in the Reason header of the BYE, CANCEL or failure that ended it.
    pub q850: Option<u8>,
    /// The link that was reached.
    pub link: Option<i64>,
    /// Media of the a-leg.
    pub media: MediaFigures,
}

/// What one leg's media saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaFigures {
    /// RTP packets from the peer.
    pub packets_received: u64,
    /// RTP packets to the peer.
    pub packets_sent: u64,
    /// Lost on the way to us.
    pub packets_lost: u64,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f64,
    /// To the peer and back, in milliseconds.
    #[serde(default)]
    pub round_trip_ms: Option<f64>,
    /// Mean opinion score of what came, by the E-model, 1 to 4.5.
    #[serde(default)]
    pub mos: Option<f64>,
    /// Lost on the way to the peer, as it reported.
    #[serde(default)]
    pub peer_packets_lost: Option<u64>,
    /// Jitter that the peer reported, in milliseconds.
    #[serde(default)]
    pub peer_jitter_ms: Option<f64>,
    /// Score of what the peer heard.
    #[serde(default)]
    pub peer_mos: Option<f64>,
    /// How sound and picture were protected: the suite's name, `none`, or all that there was over time,
    /// the strongest first, with spaces between; `None`: nothing was agreed.
    #[serde(default)]
    pub srtp: Option<String>,
}
