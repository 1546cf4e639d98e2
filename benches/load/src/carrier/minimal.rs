//! The minimal relay: what forwarding costs with no product around it.
//!
//! One thread on the kernel boundary of our own media core: receive in batches, send the same buffer
//! by the other socket of the session. No latch, no checks, no rewriting, no reports. It is the
//! yardstick of `relay.saturated`, and takes all its sessions at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use packet_io::{
    AnyPacketIo, KernelStep, PacketIo, PacketIoConfig, ReceivedBatch, SocketKey, SocketSpec, Wait,
};

use super::{Ends, Target, Ways};
use crate::subject::Subject;

/// Name of its thread.
const THREAD_NAME: &str = "minimal-relay";

/// A relay that runs once it carries sessions; ends when dropped.
#[derive(Debug, Default)]
pub(crate) struct Minimal {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Target for Minimal {
    fn name(&self) -> &str {
        "minimal relay"
    }

    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        if self.thread.is_some() {
            bail!("the minimal relay takes its sessions all at once");
        }
        let (opened, wait) = channel();
        let (ends, stop) = (ends.to_vec(), Arc::clone(&self.stop));
        // A ring never leaves its thread, so it is made there.
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || serve(&ends, &opened, &stop))?;
        self.thread = Some(thread);
        wait.recv().context("the minimal relay's thread died")?
    }

    fn subject(&self) -> Result<Subject> {
        Subject::find(std::process::id(), THREAD_NAME)
    }
}

impl Drop for Minimal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(ends: &[Ends], opened: &Sender<Result<Vec<Ways>>>, stop: &AtomicBool) {
    match open(ends) {
        Ok((io, others, ways)) => {
            drop(opened.send(Ok(ways)));
            forward(io, &others, stop);
        }
        Err(error) => drop(opened.send(Err(error))),
    }
}

/// Both sockets of each session; to each slot, the other socket of its session.
fn open(ends: &[Ends]) -> Result<(AnyPacketIo, Vec<Option<SocketKey>>, Vec<Ways>)> {
    let sockets = u32::try_from(2 * ends.len())?;
    let mut io = AnyPacketIo::choose(PacketIoConfig {
        buffers: BUFFERS,
        sockets_max: sockets,
        ladder_limit: KernelStep::Full,
    })
    .map_err(|refused| anyhow!("{refused}"))?;
    let mut others = vec![None; 2 * ends.len()];
    let mut ways = Vec::with_capacity(ends.len());
    let leg = |io: &mut AnyPacketIo, peer: SocketAddr| -> Result<(SocketKey, SocketAddr)> {
        let spec = SocketSpec {
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            dscp: 46,
            receive_buffer_bytes: 0,
        };
        let key = io.open(spec).context("a socket of the minimal relay")?;
        io.connect(key, Some(peer));
        Ok((key, io.local(key).context("it is open")?))
    };
    for ends in ends {
        let (caller, caller_way) = leg(&mut io, ends.caller)?;
        let (callee, callee_way) = leg(&mut io, ends.callee)?;
        for (slot, other) in [(caller.slot, callee), (callee.slot, caller)] {
            if let Some(place) = others.get_mut(usize::try_from(slot)?) {
                *place = Some(other);
            }
        }
        ways.push(Ways::plain(caller_way, callee_way));
    }
    Ok((io, others, ways))
}

fn forward(mut io: AnyPacketIo, others: &[Option<SocketKey>], stop: &AtomicBool) {
    let mut batch = ReceivedBatch::new();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let wait = Wait {
            want: WANT,
            min_wait: GATHER,
            until: Some(now + LOOK),
        };
        io.submit_and_wait(now, wait);
        io.receive(&mut batch);
        for received in batch.packets.drain(..) {
            let slot = usize::try_from(received.socket.slot).unwrap_or(usize::MAX);
            if let Some(Some(other)) = others.get(slot) {
                io.send(received.packet, *other, None);
            }
        }
    }
}

const BUFFERS: u16 = 4096;
/// Packets to wait for, and how long: what a media worker comes to at 128,000 packets a second.
const WANT: u32 = 64;
const GATHER: Duration = Duration::from_micros(500);
const LOOK: Duration = Duration::from_millis(20);
