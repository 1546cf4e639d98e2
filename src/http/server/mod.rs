//! Accepts connections and bounds what each may cost: how many at once, how long a request's header
//! may take, how large it may be, how long an answer may take.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::router::{HttpState, router};

/// Serves until `shutdown` is done, then lets answers under way end, at most two seconds.
pub async fn serve(
    listener: TcpListener,
    state: HttpState,
    shutdown: impl Future<Output = ()> + Send,
) {
    let router = router(state);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stop, stopped) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    loop {
        // A connection that finds no room waits in the kernel's queue.
        let permit = tokio::select! {
            biased;
            () = &mut shutdown => break,
            permit = Arc::clone(&room).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Handlers ask who it is by `ConnectInfo`.
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                tokio::spawn(connection(stream, router, stopped.clone(), permit));
            }
            Err(error) => {
                // No descriptors left, or the peer went away: neither ends the server.
                tracing::warn!(%error, "an HTTP connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if stop.send(true).is_ok() {
        let connections = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        tokio::time::timeout(DRAIN_TIME_MAX, room.acquire_many(connections))
            .await
            .ok();
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    stream.set_nodelay(true).ok();
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_OCTETS_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let mut age = pin!(tokio::time::sleep(CONNECTION_AGE_MAX));
    tokio::select! {
        ended = served.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            return;
        }
        _ = stopped.changed() => {}
        () = age.as_mut() => {}
    }
    // The answer under way is finished, the next request is not read.
    served.as_mut().graceful_shutdown();
    tokio::time::timeout(DRAIN_TIME_MAX, served).await.ok();
}

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 1_024;
/// From the end of one request to the end of the next one's header: also how long an idle
/// connection is kept.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Octets of a request's line and headers.
const HEADER_OCTETS_MAX: usize = 16 * 1024;
/// Header fields of a request.
const HEADERS_MAX: usize = 64;
/// A connection is closed after this time, between two requests: a slot is never held for ever.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// How long an answer may take once the connection is to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
