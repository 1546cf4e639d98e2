//! What must hold at every step and at the end. Each checker looks from outside, at what crosses
//! the gateway's edge; a violation ends the run.

pub(crate) mod calls;
pub(crate) mod guests;
pub(crate) mod keys;
pub(crate) mod records;
pub(crate) mod relay;
pub(crate) mod wire;

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The call, where it is about one.
    pub(crate) call: Option<u32>,
    /// The Call-ID it was seen on; leads to the call.
    pub(crate) call_id: Option<String>,
    /// What happened and what should have.
    pub(crate) text: String,
}

impl Violation {
    /// About no call.
    pub(crate) fn of_world(text: impl Into<String>) -> Self {
        Self {
            call: None,
            call_id: None,
            text: text.into(),
        }
    }

    /// About a call of the world.
    pub(crate) fn of_call(call: u32, text: impl Into<String>) -> Self {
        Self {
            call: Some(call),
            call_id: None,
            text: text.into(),
        }
    }

    /// About a dialog.
    pub(crate) fn of_dialog(call_id: &str, text: impl Into<String>) -> Self {
        Self {
            call: None,
            call_id: Some(call_id.to_owned()),
            text: text.into(),
        }
    }
}
