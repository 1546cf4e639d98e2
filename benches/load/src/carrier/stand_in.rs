//! A plain relay inside this process: epoll, `recvfrom`, `sendto`, a wake-up for each packet.
//!
//! It proves the generator where no gateway runs, and is the *epoll relay* that figures are set
//! beside. It is never a limit. All its sessions are set up at once.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Ends, Target, Ways};
use crate::subject::Subject;

/// Name of its thread.
const THREAD_NAME: &str = "media-stand-in";

/// A relay that runs once it carries sessions; ends when dropped.
#[derive(Debug, Default)]
pub(crate) struct StandIn {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Target for StandIn {
    fn name(&self) -> &str {
        "epoll relay"
    }

    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        if self.thread.is_some() {
            bail!("the epoll relay takes its sessions all at once");
        }
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        let (mut sockets, mut ways) = (Vec::new(), Vec::new());
        for ends in ends {
            let mut open = |peer: SocketAddr| -> Result<SocketAddr> {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket")?;
                socket.set_nonblocking(true)?;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(sockets.len())?);
                epoll.add(socket.as_fd(), event)?;
                let local = socket.local_addr()?;
                sockets.push((socket, peer));
                Ok(local)
            };
            ways.push(Ways::plain(open(ends.caller)?, open(ends.callee)?));
        }
        let seen = Arc::clone(&self.stop);
        // The thread names itself after it has begun: nobody finds it by name before.
        let (begun, wait) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                begun.send(()).ok();
                relay(&epoll, &sockets, &seen);
            })?;
        wait.recv().context("the relay's thread died")?;
        self.thread = Some(thread);
        Ok(ways)
    }

    fn subject(&self) -> Result<Subject> {
        Subject::find(std::process::id(), THREAD_NAME)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn relay(epoll: &Epoll, sockets: &[(UdpSocket, SocketAddr)], stop: &AtomicBool) {
    let mut events = [EpollEvent::empty(); 256];
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let ready = epoll
            .wait(&mut events, EpollTimeout::from(50_u16))
            .unwrap_or_default();
        for event in events.iter().take(ready) {
            let Ok(index) = usize::try_from(event.data()) else {
                continue;
            };
            // The two sockets of a session are neighbours.
            let (Some((from, _)), Some((to, peer))) = (sockets.get(index), sockets.get(index ^ 1))
            else {
                continue;
            };
            if let Ok((length, _)) = from.recv_from(&mut buffer)
                && let Some(packet) = buffer.get(..length)
            {
                // A full socket loses the packet, and the generator counts it.
                drop(to.send_to(packet, peer));
            }
        }
    }
}
