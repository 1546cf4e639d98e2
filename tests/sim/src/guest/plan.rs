//! What a guest will do, and when, counted from its call.

use std::time::Duration;

use sip::sdp::Direction;

/// Something that a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It hangs up.
    HangUp,
    /// It closes the page: the WebSocket ends, and so does the session of the browser.
    Close,
    /// Its machine is gone: neither WebSocket nor media, without a word.
    Vanish,
    /// Its WebSocket is lost; another one comes after so long, where it comes.
    LoseLine(Option<Duration>),
    /// It walks into another network: another address, and another WebSocket after so long.
    Move(Duration),
    /// The camera begins or ends.
    Camera(bool),
    /// Keys of the keypad.
    Digits(&'static str),
    /// Another offer, that goes this way.
    Offer(Direction),
    /// Somebody sends junk from its address to the gateway.
    Junk,
}

/// A guest's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestPlan {
    /// What, and when.
    pub(crate) deeds: Vec<(Duration, Deed)>,
    /// RTP packets it sends at most.
    pub(crate) voice_packets: u32,
    /// Its offers have a picture.
    pub(crate) has_camera: bool,
    /// Its browser finds no way to the gateway.
    pub(crate) is_cut_off: bool,
}
