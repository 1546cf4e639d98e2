//! The moving test picture of `local:tone`: H.264 of our own making, for this one purpose (ITU-T H.264,
//! Constrained Baseline; its packets RFC 6184).
//!
//! Coloured bars, the time since the picture began, and a block that walks. Each macroblock has one colour,
//! so that a picture is a few hundred octets, needs no memory of the one before, and is the same at every
//! decoder. A NAL unit is a packet of its own, which either packetization mode reads (RFC 6184 §6.2, §6.3).
//! Owned here is what the units say; who asks for a keyframe, and where a packet goes, is for the worker.

mod parameters;
mod scene;
mod slice;
mod unit_writer;

#[cfg(test)]
pub(crate) mod reader;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::scene::Scene;
use self::slice::{FRAME_NUM_BITS, Slice};

/// Pictures a second.
pub(crate) const PICTURES_PER_SECOND: u32 = 10;

/// The time of one picture.
pub(crate) const PICTURE_INTERVAL: Duration =
    Duration::from_millis(1_000 / PICTURES_PER_SECOND as u64);

/// Ticks of the clock of H.264 in that time (RFC 6184 §8.2.1).
pub(crate) const PICTURE_TICKS: u32 = CLOCK_HZ / PICTURES_PER_SECOND;

/// The clock of H.264.
pub(crate) const CLOCK_HZ: u32 = 90_000;

/// Pictures until one comes that needs no other, though nobody asks: who cannot ask waits five seconds.
const KEYFRAME_INTERVAL: u32 = 5 * PICTURES_PER_SECOND;

/// Octets that every unit fits in: a packet with one needs no fragment.
pub(crate) const UNIT_BYTES_MAX: usize = 600;

/// First octets of units: how much they matter (`nal_ref_idc`), and what they are (table 7-1).
const SEQUENCE_PARAMETERS: u8 = 0x67;
const PICTURE_PARAMETERS: u8 = 0x68;
const INSTANTANEOUS: u8 = 0x65;
const FOLLOWING: u8 = 0x41;

/// One NAL unit of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// What the sequence is.
    SequenceParameters,
    /// What its pictures are.
    PictureParameters,
    /// The picture.
    Picture,
}

/// The stream of pictures to one peer: what its decoder has, so that the next one says what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TestPicture {
    /// What was shown last; `None`: the next picture needs no other.
    last: Option<Last>,
    /// Of the next picture that needs no other.
    idr_pic_id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    number: u32,
    keyframe: u32,
    frame_num: u32,
}

/// One picture, to be written unit by unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    scene: Scene,
    slice: Slice,
    after: TestPicture,
}

impl TestPicture {
    /// Nothing was shown yet.
    pub(crate) const NEW: Self = Self {
        last: None,
        idr_pic_id: 0,
    };

    /// The next picture needs no other: its peer asks for that, or has missed something.
    pub(crate) const fn begin_anew(&mut self) {
        self.last = None;
    }

    /// The picture of a number, which is after the last one's.
    #[must_use]
    pub(crate) fn frame(&self, number: u32) -> Frame {
        let scene = Scene::of(number);
        let known = self
            .last
            .filter(|last| number.wrapping_sub(last.keyframe) < KEYFRAME_INTERVAL);
        let Some(last) = known else {
            let last = Last {
                number,
                keyframe: number,
                frame_num: 0,
            };
            return Frame {
                scene,
                slice: Slice::Instantaneous {
                    idr_pic_id: self.idr_pic_id,
                },
                after: Self {
                    last: Some(last),
                    idr_pic_id: self.idr_pic_id ^ 1,
                },
            };
        };
        let frame_num = (last.frame_num + 1) % (1 << FRAME_NUM_BITS);
        let after = Last {
            number,
            frame_num,
            ..last
        };
        Frame {
            scene,
            slice: Slice::Following {
                before: Scene::of(last.number),
                frame_num,
            },
            after: Self {
                last: Some(after),
                ..*self
            },
        }
    }

    /// All of that picture was sent.
    pub(crate) const fn show(&mut self, frame: &Frame) {
        *self = frame.after;
    }
}

impl Frame {
    /// Its units, in order.
    #[must_use]
    pub(crate) const fn units(&self) -> &'static [Unit] {
        match self.slice {
            Slice::Instantaneous { .. } => &[
                Unit::SequenceParameters,
                Unit::PictureParameters,
                Unit::Picture,
            ],
            Slice::Following { .. } => &[Unit::Picture],
        }
    }

    /// Writes one of them. Its size; `None`: there is no room for it.
    #[must_use]
    pub(crate) fn write(&self, unit: Unit, octets: &mut [u8]) -> Option<usize> {
        match unit {
            Unit::SequenceParameters => parameters::write_sequence(octets),
            Unit::PictureParameters => parameters::write_picture(octets),
            Unit::Picture => self.slice.write(&self.scene, octets),
        }
    }
}
