//! What a model peer will do: rules "when this happens, then after that long, do this".

use std::time::Duration;

use super::keys::Habit;
use super::session::Direction;

/// Something that happens to a leg once; its rules start to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The world starts.
    Start,
    /// An INVITE arrived.
    InviteArrived,
    /// The first response above 100 arrived.
    Provisional,
    /// A 2xx arrived (caller), or was acknowledged (callee).
    Confirmed,
    /// A CANCEL arrived.
    CancelArrived,
    /// Offer and answer were exchanged reliably before the final response.
    EarlyAnswered,
}

/// What a leg can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send the INVITE.
    Invite,
    /// Send it without an offer: the 2xx has one, and our ACK the answer (RFC 3261 §13.2.1).
    InviteBare,
    /// Send CANCEL, once a provisional response allows it (RFC 3261 §9.1).
    Cancel,
    /// Send CANCEL at once, even before a provisional response: a peer that breaks the rule.
    CancelEarly,
    /// Send BYE.
    HangUp,
    /// Send a re-INVITE that offers this direction.
    Reoffer(Direction),
    /// Send an UPDATE that offers this direction (RFC 3311).
    Update(Direction),
    /// Hold and resume as CUCM does it, this often (E-01): inactive, an offerless re-INVITE whose ACK
    /// connects music from another machine, inactive, an offerless resume.
    Hold(u32),
    /// The next step of that.
    HoldStep,
    /// A caller that nobody answers puts its receiver down.
    GiveUp,
    /// Answer the INVITE.
    Respond(Reply),
    /// Send the last request again, this often, at once.
    Flood(u32),
    /// Go on with another SSRC, sequence number and time stamp.
    ChangeSsrc,
    /// Leave a gap in the sequence numbers.
    JumpSequence(u16),
    /// Somebody else sends RTP to where this leg sends it.
    Intrude,
    /// Provisional responses, this many, at once.
    ProvisionalStorm(u32),
    /// A BYE that names a tag nobody has.
    WrongTag,
    /// A PRACK for a response that was never sent.
    WrongPrack,
    /// A telephone event, its end three times and twice more the same octets.
    Digit(u8),
}

/// A response to the INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// 100 to 699.
    pub(crate) status: u16,
    /// It carries the answer.
    pub(crate) session: bool,
    /// Which branch of a fork sends it: another To tag each.
    pub(crate) fork: usize,
}

impl Reply {
    /// Without a body, from the only branch.
    pub(crate) const fn plain(status: u16) -> Self {
        Self {
            status,
            session: false,
            fork: 0,
        }
    }

    /// With an answer, from the only branch.
    pub(crate) const fn with_session(status: u16) -> Self {
        Self {
            status,
            session: true,
            fork: 0,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Starts to run with this.
    pub(crate) on: Trigger,
    /// After this long.
    pub(crate) after: Duration,
    /// What happens.
    pub(crate) action: Action,
}

/// What a callee does with a CANCEL for an INVITE it has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCancel {
    /// 200 to CANCEL, 487 to INVITE (RFC 3261 §9.2).
    Refuse,
    /// 200 to CANCEL, and 200 to INVITE: somebody lifted the receiver just then.
    Answer,
}

/// Whether provisional responses are reliable (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reliability {
    /// They are not.
    None,
    /// Where the other side can; a caller says `Supported: 100rel`.
    Supported,
    /// A caller says `Require: 100rel`.
    Required,
}

/// All that a leg will do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each habit is there or not, by itself"
)]
pub(crate) struct Plan {
    /// The rules.
    pub(crate) rules: Vec<Rule>,
    /// Sends an ACK for a 2xx.
    pub(crate) acknowledges: bool,
    /// Its Allow names UPDATE.
    pub(crate) updates: bool,
    /// Provisional responses.
    pub(crate) reliable: Reliability,
    /// See `OnCancel`.
    pub(crate) on_cancel: OnCancel,
    /// A callee that never says anything, not even to CANCEL.
    pub(crate) silent: bool,
    /// Nothing is sent but what a flow says.
    pub(crate) manual: bool,
    /// RTP packets it sends at most; 0: none.
    pub(crate) voice_packets: u32,
    /// Its clock runs slow by this many millionths; negative: fast.
    pub(crate) drift_ppm: i32,
    /// Audio payload types it can do, in order.
    pub(crate) payloads: Vec<u8>,
    /// What it makes of keys.
    pub(crate) keys: Habit,
    /// Each offer of its has another key, of another suite, or none all at once.
    pub(crate) fickle: bool,
}

impl Plan {
    /// A peer that reacts as RFC 3261 says and starts nothing.
    pub(crate) const fn idle(payloads: Vec<u8>) -> Self {
        Self {
            rules: Vec::new(),
            acknowledges: true,
            updates: false,
            reliable: Reliability::None,
            on_cancel: OnCancel::Refuse,
            silent: false,
            manual: false,
            voice_packets: 0,
            drift_ppm: 0,
            payloads,
            keys: Habit::Plain,
            fickle: false,
        }
    }

    /// A peer that a flow drives.
    pub(crate) const fn manual(payloads: Vec<u8>) -> Self {
        let mut plan = Self::idle(payloads);
        plan.manual = true;
        plan
    }

    /// Adds a rule.
    pub(crate) fn then(mut self, on: Trigger, after: Duration, action: Action) -> Self {
        self.rules.push(Rule { on, after, action });
        self
    }
}
