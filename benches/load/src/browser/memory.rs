//! Row `browser.memory_kib`: what one more guest with a camera takes of the whole gateway, by what it has in
//! memory with many guests that talk and with few. That is more than its leg: the WebSocket, the phone's leg
//! and all that signalling keeps of the call are in it. Both sides send pictures, more than is kept of them.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::carrier::{Guests, Joined, NodePlace, Target as _};
use crate::machine::{monotonic_ns, sleep_until_ns};
use crate::proc_stat::resident_octets;
use crate::relay::{MEDIA_THREAD, Row, Stage, row};
use crate::report::figure;
use crate::rtp_packet::{HEADER_BYTES, rtp_header};
use crate::rtp_port::{Port, Reader};

/// KiB of a guest's call with sound and picture.
const MEMORY: Row = ("browser.memory_kib", 120.0);
/// All of them.
pub(super) const ROWS: [Row; 1] = [MEMORY];

/// Measures, and prints the row.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let sound = stage.place("memory-sound", 0, MEDIA_THREAD, |_| ())?;
    figure("browser.memory_sound_call_kib", each_kib(sound, false)?);
    let pictures = stage.place("memory", 1, MEDIA_THREAD, |plan| {
        plan.link_settings = "video_policy = \"sendrecv\"".to_owned();
        plan.trunk_settings = "video = \"sendrecv\"".to_owned();
    })?;
    row(MEMORY, each_kib(pictures, true));
    Ok(())
}

/// What one more guest that talks takes.
fn each_kib(place: NodePlace, has_pictures: bool) -> Result<f64> {
    let process = place.process;
    let mut guests = Guests::new("memory", place, has_pictures)?;
    let callees = Port::open()?;
    let mut talking = Vec::new();
    let mut taken = Vec::new();
    for (round, count) in [(0, FEW), (1, MANY)] {
        while talking.len() < count {
            let joined = guests.join(callees.address().into());
            talking.push(joined.with_context(|| format!("guest {} of {count}", talking.len()))?);
        }
        let numbers = round * PACKETS..(round + 1) * PACKETS;
        talk(&mut talking, &callees, numbers, has_pictures)?;
        std::thread::sleep(SETTLE);
        taken.push(resident_octets(process).context("/proc")? as f64);
    }
    let (few, many) = (taken.first(), taken.last());
    let more = many.context("nothing measured")? - few.context("nothing measured")?;
    guests.finish();
    Ok(more / (MANY - FEW) as f64 / 1024.0)
}

/// All of them speak, and show pictures to callees that show theirs.
fn talk(
    talking: &mut [Joined],
    callees: &Port,
    numbers: Range<u64>,
    has_pictures: bool,
) -> Result<()> {
    let mut reader = Reader::new();
    for number in numbers {
        for (flow, joined) in talking.iter_mut().enumerate() {
            let guest = &mut joined.guest;
            guest.look(&mut reader);
            guest.send(&[0xff; PAYLOAD], number, guest.opus()?);
            if has_pictures {
                guest.send_picture(&[0xff; PICTURE], number, guest.h264()?);
                let sound = joined.picture.context("an offer without pictures")?;
                let mut packet = [0xff; HEADER_BYTES + PICTURE];
                if let Some(header) = packet.first_chunk_mut() {
                    *header = rtp_header(u32::try_from(flow)?, number, sound);
                }
                let SocketAddr::V4(to) = joined.callee else {
                    bail!("a callee's leg is not on this machine");
                };
                callees.send(&packet, &to.into());
            }
        }
        while reader.read(callees) {}
        sleep_until_ns(monotonic_ns() + BETWEEN_NS);
    }
    for joined in talking {
        joined.guest.look(&mut reader);
        let heard = joined.guest.heard();
        let pictures = heard.iter().filter(|(packet, _)| packet.len() == PICTURE);
        let seen = pictures.count();
        heard.clear();
        if has_pictures && seen < usize::try_from(PACKETS)? * 9 / 10 {
            bail!("a guest saw {seen} of {PACKETS} pictures");
        }
    }
    Ok(())
}

const FEW: usize = 50;
const MANY: usize = 200;
/// Each side sends so many in a round, that what is kept of them is there.
const PACKETS: u64 = 120;
const PAYLOAD: usize = 160;
const PICTURE: usize = 1_000;
const BETWEEN_NS: u64 = 5_000_000;
const SETTLE: Duration = Duration::from_millis(500);
