//! What was seen of each source (RFC 3711 §3.2.3: a context by its SSRC), for a bounded number of
//! them. Only an authenticated packet gets a place here.

use arrayvec::ArrayVec;

use crate::rtp::Ssrc;
use crate::srtp::window::Window;

/// Sources of one direction of a leg that are remembered: a call has one at a time, and some peers
/// bring another with each hold or transfer. A fifth takes the place of the one unheard for longest.
pub(super) const STREAMS_MAX: usize = 4;

/// One source.
#[derive(Debug, Clone, Copy)]
struct Stream {
    ssrc: Ssrc,
    window: Window,
}

/// The sources, the one heard last in front.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(ArrayVec<Stream, STREAMS_MAX>);

impl Streams {
    /// What was seen of a source; of a new one nothing.
    #[inline]
    pub(super) fn window(&self, ssrc: Ssrc) -> Window {
        self.0
            .iter()
            .find(|stream| stream.ssrc == ssrc)
            .map_or_else(Window::default, |stream| stream.window)
    }

    /// Takes an index as used.
    #[inline]
    pub(super) fn mark(&mut self, ssrc: Ssrc, index: u64) {
        if let Some(first) = self.0.first_mut().filter(|first| first.ssrc == ssrc) {
            first.window.mark(index);
            return;
        }
        let mut stream = match self.0.iter().position(|stream| stream.ssrc == ssrc) {
            Some(at) => self.0.remove(at),
            None => Stream {
                ssrc,
                window: Window::default(),
            },
        };
        stream.window.mark(index);
        if self.0.is_full() {
            self.0.pop();
        }
        self.0.insert(0, stream);
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, ssrc: Ssrc, window: Window) {
        self.0.clear();
        self.0.push(Stream { ssrc, window });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_source_takes_the_place_of_the_one_unheard_for_longest() {
        let mut streams = Streams::default();
        for ssrc in [1, 2, 3, 4, 1, 5] {
            let index = if streams.window(Ssrc(ssrc)).is_started() {
                8
            } else {
                7
            };
            streams.mark(Ssrc(ssrc), index);
        }
        assert!(!streams.window(Ssrc(2)).is_started());
        for kept in [1, 3, 4, 5] {
            assert!(!streams.window(Ssrc(kept)).is_unused(7), "{kept}");
        }
    }
}
