//! SIP over TCP: listeners and connections on the control runtime, whole messages to signalling.
//!
//! One bounded task a connection cuts the stream into messages (`sip::transport::stream`) and hands
//! them over with the flow they came by; signalling finds the connection of a flow in [`Streams`] and
//! never waits for one. What a message means, and whether its sender is known, is decided by call
//! control; here is only decided what a connection may cost.

mod connection;
mod counters;
mod dialer;
mod gate;
mod limits;
mod listener;
mod room;
mod streams;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::mpsc;

pub use self::counters::{Counters, Reason};
pub use self::gate::Gate;
pub use self::limits::TcpLimits;
use self::limits::{BACKLOG, DIALS_WAITING_MAX, EVENTS_MAX, USER_TIMEOUT};
use self::room::Room;
use self::streams::StreamEvent;
pub use self::streams::{Heard, NotSent, Streams};
use super::udp::TRAFFIC_CLASS;
use super::wake::Wake;

/// What every task of a connection needs.
#[derive(Debug)]
struct Shared {
    events: mpsc::Sender<StreamEvent>,
    wake: Arc<Wake>,
    gate: Arc<Gate>,
    counters: Arc<Counters>,
    room: Arc<Room>,
    ids: Arc<AtomicU64>,
    /// Each address that messages name, with the one that is bound for it.
    locals: Vec<(SocketAddr, IpAddr)>,
}

/// Binds a listener.
///
/// # Errors
/// What the kernel says; `AddrInUse` names a busy port.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        // A mark that the host does not allow is no reason not to serve.
        drop(socket.set_tclass_v6(TRAFFIC_CLASS));
    } else {
        drop(socket.set_tos_v4(TRAFFIC_CLASS));
    }
    // Connections of a node that has just ended do not keep the next one from its port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts the tasks, on the runtime that this is called on. `listeners` are named as messages name
/// them; `locals` are the named addresses that we connect from, with what is bound for each.
///
/// # Errors
/// A listener cannot be used.
pub fn start(
    listeners: Vec<(SocketAddr, TcpListener)>,
    locals: Vec<(SocketAddr, IpAddr)>,
    limits: TcpLimits,
    gate: Arc<Gate>,
    wake: Arc<Wake>,
) -> io::Result<Streams> {
    let (events, heard) = mpsc::channel(EVENTS_MAX);
    let (dials, dialled) = mpsc::channel(DIALS_WAITING_MAX);
    let counters = Arc::new(Counters::default());
    let ids = Arc::new(AtomicU64::new(1));
    let shared = Arc::new(Shared {
        events,
        wake,
        gate: Arc::clone(&gate),
        counters: Arc::clone(&counters),
        room: Arc::new(Room::new(limits)),
        ids: Arc::clone(&ids),
        locals,
    });
    for (named, listener) in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(listener::accept(listener, named, Arc::clone(&shared)));
    }
    tokio::spawn(dialer::dial(dialled, shared));
    Ok(Streams::new(heard, dials, counters, ids, gate))
}

/// What each connection is set to, whoever opened it. Where the host refuses, it works without.
fn prepare(stream: &tokio::net::TcpStream) {
    let socket = SockRef::from(stream);
    drop(socket.set_tcp_nodelay(true));
    drop(socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
}

#[cfg(test)]
mod tests;
