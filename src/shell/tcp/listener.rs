//! Connections that peers open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sip::event::{Flow, Transport};
use tokio::net::{TcpListener, TcpStream};

use super::connection::{self, Opened};
use super::counters::Reason;
use super::gate::Peer;
use super::limits::ACCEPT_PAUSE;
use super::streams::{ConnectionId, Outbox};
use super::{Shared, prepare};

/// Accepts for as long as the runtime lives.
pub(super) async fn accept(listener: TcpListener, named: SocketAddr, shared: Arc<Shared>) {
    while !shared.events.is_closed() {
        match listener.accept().await {
            Ok((stream, remote)) => take(stream, named, remote, &shared),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Without descriptors the kernel keeps the connection, and would say so at once again
                // and again. What is open goes on.
                shared.counters.count_ended(Reason::AcceptFailed);
                tracing::warn!(local = %named, %error, "a SIP connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn take(stream: TcpStream, named: SocketAddr, remote: SocketAddr, shared: &Arc<Shared>) {
    let flow = Flow {
        transport: Transport::Tcp,
        local: named,
        remote,
    };
    let peer = shared.gate.judge(flow);
    let seat = match shared.room.take(remote.ip(), peer == Peer::Stranger) {
        Ok(seat) => seat,
        Err(reason) => {
            // Closed without a word.
            shared.counters.count_ended(reason);
            tracing::debug!(%remote, reason = reason.as_str(), "a SIP connection was refused");
            return;
        }
    };
    prepare(&stream);
    shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
    let (outbox, letters) = Outbox::new();
    let opened = Opened {
        id: ConnectionId(shared.ids.fetch_add(1, Ordering::Relaxed)),
        flow,
        peer,
        learns_sent_by: true,
        letters,
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        connection::serve(stream, opened, Some(outbox), &shared).await;
        drop(seat);
    });
}

/// The peer gave up before we came to it; the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
