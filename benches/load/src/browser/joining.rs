//! One guest on the way into its call: WebSocket, offer and answer, keys, and the callee's answer.

use anyhow::{Result, bail};

use super::guest::{Guest, Maker};
use super::page::{Line, Page, Told};
use crate::machine::monotonic_ns;
use crate::rtp_port::Reader;

/// A guest that has clicked.
#[derive(Debug)]
pub(crate) struct Joining {
    line: Line,
    guest: Guest,
    /// Until the gateway lets it call.
    offer: Option<String>,
    /// Before its WebSocket was opened, `CLOCK_MONOTONIC`.
    pub(crate) clicked_ns: u64,
    /// When its page was told that it rings at the callee, or more.
    pub(crate) ringing_ns: Option<u64>,
    is_answered: bool,
}

impl Joining {
    /// Opens the WebSocket of a page.
    ///
    /// # Errors
    /// The gateway takes none, or no port is left here.
    pub(crate) fn begin(page: &Page, maker: &Maker) -> Result<Self> {
        let (guest, offer) = maker.make()?;
        let clicked_ns = monotonic_ns();
        Ok(Self {
            line: page.open()?,
            guest,
            offer: Some(offer),
            clicked_ns,
            ringing_ns: None,
            is_answered: false,
        })
    }

    /// Takes what came by both ways.
    ///
    /// # Errors
    /// The call has ended.
    pub(crate) fn look(&mut self, reader: &mut Reader) -> Result<()> {
        self.guest.look(reader);
        while let Some(told) = self.line.hear()? {
            match told {
                Told::Welcome => {
                    if let Some(offer) = self.offer.take() {
                        self.line.call(&offer)?;
                    }
                }
                Told::Answer { sdp } => self.guest.accept(&sdp)?,
                Told::State { state } => {
                    let is_there = ["ringing", "early_media", "connected"];
                    if is_there.contains(&&*state) {
                        self.ringing_ns.get_or_insert_with(monotonic_ns);
                    }
                    self.is_answered = state == "connected";
                }
                Told::Ended { cause } | Told::Error { code: cause } => {
                    bail!("the gateway ended a guest's call: {cause}");
                }
                Told::Renegotiate => bail!("the gateway wants another offer: other codecs"),
                Told::Other => {}
            }
        }
        Ok(())
    }

    /// It talks: the callee has answered, and keys are there.
    ///
    /// # Errors
    /// There will never be any.
    pub(crate) fn is_joined(&self) -> Result<bool> {
        Ok(self.guest.is_connected()? && self.is_answered)
    }

    /// Its browser.
    pub(crate) const fn guest(&mut self) -> &mut Guest {
        &mut self.guest
    }

    /// Its WebSocket, by which it leaves.
    pub(crate) const fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// What stands for as long as it talks.
    pub(crate) fn into_parts(self) -> (Line, Guest) {
        (self.line, self.guest)
    }
}
