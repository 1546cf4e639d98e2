//! `Segments`: message headers of runs (`UDP_SEGMENT`), each with its list of packets, kept in place
//! until the submit has read them (`[until-submitted]`).

use crate::packet_buf::PacketBuf;

/// Headers, lists and control messages for what is queued between two submits.
pub(crate) struct Segments {
    headers: Box<[libc::msghdr]>,
    vectors: Box<[libc::iovec]>,
    controls: Box<[Control]>,
    headers_used: usize,
    vectors_used: usize,
}

/// A control message that says how long each segment is: `struct cmsghdr` with two octets.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    segment_len: u16,
    padding: [u8; 6],
}

impl Segments {
    /// Room for `packets`, in pairs at least.
    pub(crate) fn new(packets: usize) -> Self {
        let runs = packets / 2 + 1;
        let vector = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let control = Control {
            len: CONTROL_BYTES,
            level: libc::SOL_UDP,
            kind: libc::UDP_SEGMENT,
            segment_len: 0,
            padding: [0; 6],
        };
        Self {
            headers: vec![empty_header(); runs].into_boxed_slice(),
            vectors: vec![vector; packets].into_boxed_slice(),
            controls: vec![control; runs].into_boxed_slice(),
            headers_used: 0,
            vectors_used: 0,
        }
    }

    /// The kernel has read all of them.
    #[inline]
    pub(crate) const fn clear(&mut self) {
        self.headers_used = 0;
        self.vectors_used = 0;
    }

    /// The header of a run; `None`: no room until the next submit.
    pub(crate) fn place<'a>(
        &mut self,
        packets: impl Iterator<Item = &'a mut PacketBuf>,
        segment_len: u16,
    ) -> Option<*const libc::msghdr> {
        let first = self.vectors_used;
        for packet in packets {
            let vector = self.vectors.get_mut(self.vectors_used)?;
            vector.iov_base = packet.bytes_mut().as_mut_ptr().cast();
            vector.iov_len = packet.len();
            self.vectors_used += 1;
        }
        let vectors = self.vectors.get_mut(first..self.vectors_used)?;
        let control = self.controls.get_mut(self.headers_used)?;
        let header = self.headers.get_mut(self.headers_used)?;
        control.segment_len = segment_len;
        header.msg_iov = vectors.as_mut_ptr();
        header.msg_iovlen = vectors.len();
        header.msg_control = std::ptr::from_mut(control).cast();
        header.msg_controllen = size_of::<Control>();
        self.headers_used += 1;
        Some(std::ptr::from_ref(header))
    }
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Segments")
            .field("headers_used", &self.headers_used)
            .field("vectors_used", &self.vectors_used)
            .finish_non_exhaustive()
    }
}

pub(crate) const fn empty_header() -> libc::msghdr {
    libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: std::ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    }
}

/// Header and content of the control message, without what aligns it.
const CONTROL_BYTES: usize = 18;
const _: () = assert!(CONTROL_BYTES == size_of::<libc::cmsghdr>() + size_of::<u16>());
const _: () = assert!(size_of::<Control>() == 24);
