//! `Run`: packets of one length that follow each other to one connected peer. They leave by one request
//! (`UDP_SEGMENT`), because a keyframe of video then costs a fraction of its packets sent one by one.
//! Knows how long a run may be; who sends it is the business of each implementation.

use crate::packet_io::SocketKey;

/// How packets that follow each other to one peer leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// By one request.
    Together,
    /// Each by its own: the path did not carry them together.
    Apart,
}

/// Packets to one connected peer, each as long as the first; only the last may be shorter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) socket: SocketKey,
    pub(crate) segment_len: u16,
    pub(crate) count: u16,
    may_retry: bool,
    is_joinable: bool,
    bytes: u32,
}

impl Run {
    /// One that has no packet yet; the first will be this long.
    #[inline]
    pub(crate) fn begin(socket: SocketKey, len: usize, may_retry: bool, runs: Runs) -> Self {
        Self {
            socket,
            segment_len: u16::try_from(len).unwrap_or(u16::MAX),
            count: 0,
            may_retry,
            is_joinable: runs == Runs::Together,
            bytes: 0,
        }
    }

    /// True if a packet of that length to that socket may follow.
    #[inline]
    pub(crate) fn takes(&self, socket: SocketKey, len: usize, may_retry: bool) -> bool {
        self.is_joinable
            && self.socket == socket
            && self.may_retry == may_retry
            && len <= usize::from(self.segment_len)
            && usize::from(self.count) < SEGMENTS_MAX
            && self.bytes as usize + len <= SEGMENTS_BYTES_MAX
    }

    /// Another packet follows.
    #[inline]
    pub(crate) fn add(&mut self, len: usize) {
        debug_assert!(
            self.count == 0 || self.takes(self.socket, len, self.may_retry),
            "a packet that does not fit begins a run of its own"
        );
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        self.count += 1;
        self.bytes += u32::from(len);
        // Only the last of a run may be shorter.
        self.is_joinable &= len == self.segment_len;
    }
}

/// True for what the kernel says where it or the path does not carry a run: older than `UDP_SEGMENT`,
/// segments longer than the path takes, a device that cannot sum them up.
pub(crate) const fn is_refused_as_run(errno: i32) -> bool {
    matches!(errno, libc::EINVAL | libc::EMSGSIZE | libc::EIO)
}

/// `UDP_MAX_SEGMENTS` was 64 until 6.9.
pub(crate) const SEGMENTS_MAX: usize = 64;

/// The longest payload of UDP, less what IPv6 options may take.
const SEGMENTS_BYTES_MAX: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketKey = SocketKey {
        slot: 1,
        generation: 1,
    };
    const THERE: SocketKey = SocketKey {
        slot: 2,
        generation: 1,
    };

    fn run(runs: Runs, lengths: &[usize]) -> Run {
        let first = lengths.first().copied().unwrap_or(0);
        let mut run = Run::begin(HERE, first, true, runs);
        lengths.iter().for_each(|len| run.add(*len));
        run
    }

    #[test]
    fn only_the_last_of_a_run_is_shorter_and_none_is_longer() {
        let open = run(Runs::Together, &[40, 40]);
        assert!(open.takes(HERE, 40, true) && open.takes(HERE, 7, true));
        assert!(!open.takes(HERE, 41, true));
        let ended = run(Runs::Together, &[40, 40, 7]);
        assert!(!ended.takes(HERE, 40, true) && !ended.takes(HERE, 7, true));
    }

    #[test]
    fn a_run_is_of_one_socket_and_of_one_try() {
        let open = run(Runs::Together, &[40]);
        assert!(!open.takes(THERE, 40, true));
        assert!(!open.takes(HERE, 40, false));
        assert!(!run(Runs::Apart, &[40]).takes(HERE, 40, true));
    }

    #[test]
    fn a_run_ends_at_the_bounds_of_the_kernel() {
        assert!(run(Runs::Together, &[40; SEGMENTS_MAX - 1]).takes(HERE, 40, true));
        assert!(!run(Runs::Together, &[40; SEGMENTS_MAX]).takes(HERE, 40, true));
        let most = SEGMENTS_BYTES_MAX / 1_500;
        assert!(most < SEGMENTS_MAX);
        let long = vec![1_500; most];
        assert!(!run(Runs::Together, &long).takes(HERE, 1_500, true));
        assert!(run(Runs::Together, &long).takes(HERE, SEGMENTS_BYTES_MAX - most * 1_500, true));
    }
}
