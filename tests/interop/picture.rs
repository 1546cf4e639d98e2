//! Codecs of pictures: where a phone has them, and what of their packets begins a frame that needs no
//! other.

use std::path::Path;

use crate::world::not_run;

/// A codec of the phones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// By libx264, decoded by ffmpeg.
    H264,
    /// By libvpx.
    Vp8,
}

impl Codec {
    /// Its name in a description.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
        }
    }

    /// The module of baresip that has it.
    const fn module(self) -> &'static str {
        match self {
            Self::H264 => "avcodec.so",
            Self::Vp8 => "vp8.so",
        }
    }

    /// Parameters of a peer of ours, as baresip names its own.
    pub(crate) const fn parameters(self) -> &'static str {
        match self {
            Self::H264 => "profile-level-id=42e01f;packetization-mode=0;max-fs=3600",
            Self::Vp8 => "max-fs=3600",
        }
    }

    /// False, and said, where baresip lacks it.
    pub(crate) fn is_there(self) -> bool {
        let is_there = Path::new(MODULES).join(self.module()).exists();
        if !is_there {
            not_run::<()>(&format!("baresip's {} missing", self.name()));
        }
        is_there
    }

    /// A picture that the phone makes itself; what comes is decoded and thrown away.
    pub(crate) fn camera(self) -> String {
        CAMERA.to_owned() + self.module() + "\n"
    }

    /// True for the payload that begins a frame which is decoded without any other.
    pub(crate) fn begins_keyframe(self, payload: &[u8]) -> bool {
        match self {
            Self::H264 => begins_keyframe_of_h264(payload),
            Self::Vp8 => begins_keyframe_of_vp8(payload) == Some(true),
        }
    }
}

/// An IDR slice by itself, or the first part of one (RFC 6184 §5.4, §5.8).
fn begins_keyframe_of_h264(payload: &[u8]) -> bool {
    const INSTANTANEOUS: u8 = 5;
    match *payload {
        [unit, part, ..] if unit & 0x1f == 28 => part & 0x9f == 0x80 | INSTANTANEOUS,
        [unit, ..] => unit & 0x1f == INSTANTANEOUS,
        [] => false,
    }
}

/// Past the descriptor of the payload (RFC 7741 §4.2), the inverse bit of its header (§4.3). `None`: this
/// is not the first packet of a frame.
fn begins_keyframe_of_vp8(payload: &[u8]) -> Option<bool> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x17 != 0x10 {
        return None;
    }
    if first & 0x80 != 0 {
        let (&extensions, after) = rest.split_first()?;
        let picture = match (extensions & 0x80 != 0, after.first()?) {
            (true, id) if id & 0x80 != 0 => 2,
            (is_there, _) => usize::from(is_there),
        };
        let level = usize::from(extensions & 0x40 != 0);
        let layer = usize::from(extensions & 0x30 != 0);
        rest = after.get(picture + level + layer..)?;
    }
    Some(rest.first()? & 1 == 0)
}

const MODULES: &str = "/usr/lib/baresip/modules";

const CAMERA: &str = "\
video_source fakevideo,nil
video_display fakevideo,nil
video_size 352x288
video_bitrate 500000
video_fps 15
module fakevideo.so
module ";
