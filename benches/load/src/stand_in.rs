//! A plain relay inside this process: epoll, `recvfrom`, `sendto`, a wake-up for each packet.
//!
//! It proves the generator where no gateway runs, and is the *epoll relay* that figures are set
//! beside. It is never a limit.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Name of its thread, as the gateway's media workers are named.
pub(crate) const THREAD_NAME: &str = "media-stand-in";

/// A running relay; ends when dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Per session: where the first and the second side send to.
    pub(crate) ports: Vec<(SocketAddr, SocketAddr)>,
}

impl StandIn {
    /// Relays between pairs of peers.
    ///
    /// # Errors
    /// Sockets run out.
    pub(crate) fn start(peers: &[(SocketAddr, SocketAddr)]) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        let (mut sockets, mut ports) = (Vec::new(), Vec::new());
        for (first, second) in peers {
            let mut pair = Vec::new();
            for peer in [first, second] {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("stand-in")?;
                socket.set_nonblocking(true)?;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(sockets.len())?);
                epoll.add(socket.as_fd(), event)?;
                pair.push(socket.local_addr()?);
                sockets.push((socket, *peer));
            }
            if let [first, second] = pair.as_slice() {
                ports.push((*first, *second));
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        // The thread names itself after it has begun: nobody finds it by name before.
        let (begun, wait) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                begun.send(()).ok();
                relay(&epoll, &sockets, &seen);
            })?;
        wait.recv().context("the stand-in's thread died")?;
        Ok(Self {
            stop,
            thread: Some(thread),
            ports,
        })
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
