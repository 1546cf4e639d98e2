//! What was seen of each source (RFC 3711 §3.2.3: a context by its SSRC), for a bounded number of
//! them. Only an authenticated packet gets a place here, and no source that had one is ever unheard
//! again: of those unheard for longest the end of their indices is kept, and nothing else.

use std::borrow::Cow;

use arrayvec::ArrayVec;
use packet_io::prefetch;

use crate::command::MediaKind;
use crate::rtp::Ssrc;
use crate::srtp::window::Window;

/// Sources of one direction of a leg that have a window: a call has one at a time, and some peers
/// bring another with each hold or transfer. A fifth takes the window of the one unheard for longest.
pub(super) const STREAMS_MAX: usize = 4;

/// Sources beyond them whose end is kept. Still more are refused: a hold brings two, and renews no key.
pub(super) const ENDS_MAX: usize = 1_024;

/// One source.
#[derive(Debug, Clone)]
struct Stream {
    ssrc: Ssrc,
    window: Window,
}

/// The sources of one key.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    kind: MediaKind,
    /// The one heard last in front.
    heard: ArrayVec<Stream, STREAMS_MAX>,
    /// Indices below this are used, of a source without window.
    ends: Vec<(Ssrc, u64)>,
    /// The same of every source that is not named.
    floor: u64,
}

impl Streams {
    /// Nothing was seen.
    pub(super) const fn new(kind: MediaKind) -> Self {
        Self {
            kind,
            heard: ArrayVec::new_const(),
            ends: Vec::new(),
            floor: 0,
        }
    }

    /// Asks for the lines that say what was seen.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&self.heard);
    }

    /// What was seen of a source; of a new one nothing.
    #[inline]
    pub(super) fn window(&self, ssrc: Ssrc) -> Cow<'_, Window> {
        match self.heard.iter().find(|stream| stream.ssrc == ssrc) {
            Some(stream) => Cow::Borrowed(&stream.window),
            None => Cow::Owned(Window::from_floor(self.end(ssrc))),
        }
    }

    /// Of a source without window.
    fn end(&self, ssrc: Ssrc) -> u64 {
        self.ends
            .iter()
            .find(|(other, _)| *other == ssrc)
            .map_or(self.floor, |(_, end)| *end)
    }

    /// True if a source is known, or can still be remembered.
    #[inline]
    pub(super) fn has_room(&self, ssrc: Ssrc) -> bool {
        self.heard.iter().any(|stream| stream.ssrc == ssrc)
            || !self.heard.is_full()
            || self.ends.len() < ENDS_MAX
            || self.ends.iter().any(|(other, _)| *other == ssrc)
    }

    /// Takes an index as used, of a source that there is room for.
    #[inline]
    pub(super) fn mark(&mut self, ssrc: Ssrc, index: u64) {
        if let Some(first) = self.heard.first_mut().filter(|first| first.ssrc == ssrc) {
            first.window.mark(index);
            return;
        }
        self.bring_to_front(ssrc, index);
    }

    /// Takes everything before an index as used that is later than all that was used.
    pub(super) fn claim(&mut self, ssrc: Ssrc, index: u64) {
        let Some(before) = index.checked_sub(1) else {
            return;
        };
        if !self.has_room(ssrc) || self.window(ssrc).next() > index {
            return;
        }
        if self.window(ssrc).is_unused(before) {
            self.mark(ssrc, before);
        }
        self.raise(ssrc, before);
        debug_assert!(self.window(ssrc).is_unused(index), "it is still to come");
    }

    fn bring_to_front(&mut self, ssrc: Ssrc, index: u64) {
        debug_assert!(self.has_room(ssrc), "who has no room is refused");
        let mut stream = match self.heard.iter().position(|stream| stream.ssrc == ssrc) {
            Some(at) => self.heard.remove(at),
            None => Stream {
                ssrc,
                window: Window::new(self.kind, self.end(ssrc)),
            },
        };
        self.ends.retain(|(other, _)| *other != ssrc);
        stream.window.mark(index);
        if self.heard.is_full()
            && let Some(last) = self.heard.pop()
        {
            self.ends.push((last.ssrc, last.window.next()));
        }
        debug_assert!(self.ends.len() <= ENDS_MAX, "bounded");
        self.heard.insert(0, stream);
    }

    /// Every named source and the end of its indices, the one heard last in front.
    pub(super) fn ends(&self) -> impl Iterator<Item = (Ssrc, u64)> {
        let heard = self.heard.iter();
        heard
            .map(|stream| (stream.ssrc, stream.window.next()))
            .chain(self.ends.iter().copied())
    }

    /// From now on indices below `floor` are used.
    pub(super) fn raise(&mut self, ssrc: Ssrc, floor: u64) {
        if let Some(stream) = self.heard.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.window.raise(floor);
        } else if let Some((_, end)) = self.ends.iter_mut().find(|(other, _)| *other == ssrc) {
            *end = floor.max(*end);
        } else if self.ends.len() < ENDS_MAX {
            self.ends.push((ssrc, floor.max(self.floor)));
        } else {
            self.raise_all(floor);
        }
    }

    /// The same of every source.
    pub(super) fn raise_all(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        for stream in &mut self.heard {
            stream.window.raise(floor);
        }
        for (_, end) in &mut self.ends {
            *end = floor.max(*end);
        }
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, ssrc: Ssrc, window: Window) {
        self.heard.clear();
        self.heard.push(Stream { ssrc, window });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_source_takes_the_window_of_the_one_unheard_for_longest_and_nothing_it_used() {
        let mut streams = Streams::new(MediaKind::Audio);
        for (ssrc, index) in [(1, 7), (2, 7), (3, 7), (4, 7), (1, 8), (5, 7)] {
            streams.mark(Ssrc(ssrc), index);
        }
        assert!(!streams.window(Ssrc(2)).is_started());
        for kept in [1, 2, 3, 4, 5] {
            assert!(!streams.window(Ssrc(kept)).is_unused(7), "{kept}");
            assert!(streams.window(Ssrc(kept)).is_unused(9), "{kept}");
        }
        streams.mark(Ssrc(2), 65_536 + 7);
        assert!(streams.window(Ssrc(2)).is_started());
        assert!(!streams.window(Ssrc(3)).is_unused(7));
    }

    #[test]
    fn who_finds_no_room_is_refused_and_nobody_is_forgotten() {
        let mut streams = Streams::new(MediaKind::Audio);
        let most = u32::try_from(STREAMS_MAX + ENDS_MAX).unwrap();
        for ssrc in 1..=most {
            assert!(streams.has_room(Ssrc(ssrc)));
            streams.mark(Ssrc(ssrc), 7);
        }
        assert!(!streams.has_room(Ssrc(most + 1)));
        for ssrc in (1..=most).cycle().take(2_000) {
            assert!(streams.has_room(Ssrc(ssrc)));
            let next = streams.window(Ssrc(ssrc)).next();
            assert!(!streams.window(Ssrc(ssrc)).is_unused(next - 1), "{ssrc}");
            streams.mark(Ssrc(ssrc), next);
        }
        assert_eq!(streams.ends().count(), STREAMS_MAX + ENDS_MAX);
    }
}
