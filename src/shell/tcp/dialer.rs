//! Connections that we open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::connection::{self, Opened};
use super::counters::Reason;
use super::limits::CONNECT_WITHIN;
use super::streams::{Dial, StreamEvent};
use super::{Shared, prepare};

/// Opens connections for as long as signalling asks for them.
pub(super) async fn dial(mut dials: mpsc::Receiver<Dial>, shared: Arc<Shared>) {
    while let Some(dial) = dials.recv().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { open(dial, &shared, CONNECT_WITHIN).await });
    }
}

async fn open(dial: Dial, shared: &Arc<Shared>, within: Duration) {
    let Dial { id, flow, letters } = dial;
    let reason = match tokio::time::timeout(within, connect(flow.local, flow.remote, shared)).await
    {
        Ok(Ok(stream)) => {
            prepare(&stream);
            shared.counters.connected.fetch_add(1, Ordering::Relaxed);
            let opened = Opened {
                id,
                flow,
                peer: shared.gate.judge(flow),
                learns_sent_by: false,
                letters,
            };
            return connection::serve(stream, opened, None, shared).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(remote = %flow.remote, %error, "a SIP connection was not made");
            Reason::ConnectFailed
        }
        Err(_elapsed) => Reason::ConnectTimeout,
    };
    shared.counters.count_ended(reason);
    let closed = StreamEvent::Closed { id };
    if shared.events.send(closed).await.is_ok() {
        shared.wake.wake();
    }
}

/// From the address that the peer knows us by, at a port of the kernel's choice.
async fn connect(local: SocketAddr, remote: SocketAddr, shared: &Shared) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let bound = shared.locals.iter().find(|(named, _)| *named == local);
    if let Some((_, address)) = bound
        && !address.is_unspecified()
        && address.is_ipv4() == remote.is_ipv4()
    {
        socket.bind(SocketAddr::new(*address, 0))?;
    }
    socket.connect(remote).await
}
