//! A node whose calls come from browsers: a session is a guest's leg and a call to its trunk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::node::{NodePlace, counter};
use super::{Counter, Ends, Target, Ways};
use crate::browser::{Guest, Joining, Keeper, Maker, Pages};
use crate::report::progress;
use crate::rtp_flow::RtpLoad;
use crate::rtp_packet::Sound;
use crate::rtp_port::Reader;
use crate::session_key::Way;
use crate::sip_load::{Happened, SipLoad};
use crate::subject::Subject;

/// A node that guests call.
pub(crate) struct Guests {
    name: String,
    place: NodePlace,
    /// The callee behind its trunk.
    calls: SipLoad,
    pages: Pages,
    maker: Maker,
    reader: Reader,
    keeper: Keeper,
}

/// A guest that talks, and where its callee sends to.
pub(crate) struct Joined {
    pub(crate) guest: Guest,
    pub(crate) callee: SocketAddr,
    /// What its callee speaks.
    pub(crate) sound: Sound,
    /// And what pictures it sends.
    pub(crate) picture: Option<Sound>,
}

impl Guests {
    /// # Errors
    /// The callee's address is taken, nobody listens for HTTP, or there is no certificate.
    pub(crate) fn new(name: &str, place: NodePlace, has_pictures: bool) -> Result<Self> {
        let http = place.http.context("the node's HTTP address")?;
        let mut calls = SipLoad::new(place.sip, &place.user, place.callee, Vec::new())?;
        calls.in_opus = true;
        calls.pictures = has_pictures;
        Ok(Self {
            name: name.to_owned(),
            calls,
            pages: Pages::of(http, &place.user)?,
            place,
            maker: Maker::new(has_pictures)?,
            reader: Reader::new(),
            keeper: Keeper::begin(),
        })
    }

    /// More sessions, both ends added to `load`.
    ///
    /// # Errors
    /// The node refuses, or is not done in time.
    pub(crate) fn stand(&mut self, load: &mut RtpLoad, count: usize) -> Result<()> {
        for number in 0..count {
            let end = load.next_end()?;
            let joined = self
                .join(end.address.into())
                .with_context(|| format!("guest {} of {count}", number + 1))?;
            let sound = joined.guest.opus()?;
            load.add_browser(joined.guest, sound);
            let way = Way {
                to: joined.callee,
                keys: None,
            };
            load.add_sounding(end, way, joined.sound)?;
        }
        Ok(())
    }

    /// One guest calls, and its callee answers that it receives at `media`.
    ///
    /// # Errors
    /// The node refuses, or is not done in time.
    pub(crate) fn join(&mut self, media: SocketAddr) -> Result<Joined> {
        self.calls.extend_media([media]);
        let page = self.pages.load()?;
        let mut joining = Joining::begin(&page, &self.maker)?;
        let (mut offered, end) = (None, Instant::now() + PATIENCE);
        while !(joining.is_joined()? && offered.is_some()) {
            if Instant::now() > end {
                bail!("a guest's call was not up in {PATIENCE:?}");
            }
            joining.look(&mut self.reader)?;
            for happened in self.calls.look() {
                if let Happened::Offered {
                    media, opus, h264, ..
                } = happened
                {
                    offered = Some((media, opus, h264));
                }
            }
            std::thread::sleep(LOOK);
        }
        let (media, opus, h264) = offered.context("nobody was called")?;
        let (line, guest) = joining.into_parts();
        self.keeper.keep(line);
        Ok(Joined {
            guest,
            callee: media.context("an offer without an address")?,
            sound: opus.map_or(Sound::PCMU, Sound::opus),
            picture: h264.map(Sound::picture),
        })
    }
}

impl Target for Guests {
    fn name(&self) -> &str {
        &self.name
    }

    /// A browser brings its own end: `stand` makes its sessions.
    fn carry(&mut self, _ends: &[Ends]) -> Result<Vec<Ways>> {
        bail!("{}: sessions of browsers have no end in common", self.name)
    }

    fn subject(&self) -> Result<Subject> {
        Subject::find(self.place.process, &self.place.thread)
    }

    fn counter(&self) -> Option<Counter> {
        counter(self.place.http?)
    }

    fn finish(&mut self) {
        let ended = self.keeper.finish();
        if ended > 0 {
            progress(&format!("{}: {ended} calls ended before", self.name));
        }
        let end = Instant::now() + PATIENCE;
        while self.calls.callee_alive() > 0 && Instant::now() < end {
            self.calls.look();
            std::thread::sleep(LOOK);
        }
        let left = self.calls.callee_alive();
        if left > 0 {
            progress(&format!("{}: {left} calls did not end", self.name));
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_micros(100);
