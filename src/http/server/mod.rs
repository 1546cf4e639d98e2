//! Accepts connections and bounds what each may cost: how many at once, of all and of one client, how long
//! a request's header may take, how large it may be, how long an answer may take.

pub(super) mod room;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use self::room::{Room, Seat, unshared};
use super::access::Origin;
use super::guest::OverTls;
use super::router::{HttpState, router};
use super::tls::{Tls, TlsListener};
use crate::health::Node;

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// The network: each request needs a token.
    Tcp(TcpListener),
    /// The network, with TLS.
    Tls(TlsListener),
    /// A file of this machine: whoever may open it may do everything.
    Unix(UnixListener),
}

/// Serves until `shutdown` is done, then lets answers under way end, at most two seconds.
pub async fn serve(
    listener: Listener,
    state: HttpState,
    shutdown: impl Future<Output = ()> + Send,
) {
    let room = Room::new(CONNECTIONS_MAX, unshared(&state.trusted_proxies));
    serve_in(room, listener, state, shutdown).await;
}

pub(super) async fn serve_in(
    room: Arc<Room>,
    listener: Listener,
    state: HttpState,
    shutdown: impl Future<Output = ()> + Send,
) {
    let node = state.node.clone();
    let router = match &listener {
        Listener::Tls(listener) => strict(router(state), &listener.tls).layer(Extension(OverTls)),
        Listener::Tcp(_) | Listener::Unix(_) => router(state),
    };
    let (stop, stopped) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    loop {
        // A connection that finds no room waits in the kernel's queue.
        let seat = tokio::select! {
            biased;
            () = &mut shutdown => break,
            seat = room.seat() => seat,
        };
        let Some(seat) = seat else { break };
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &router, &stopped, Place::new(seat, node.clone())) => accepted,
        };
        if let Err(error) = accepted {
            // No descriptors left, or the peer went away: neither ends the server.
            tracing::warn!(%error, "an HTTP connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
    drop(listener);
    if stop.send(true).is_ok() {
        tokio::time::timeout(DRAIN_TIME_MAX, room.empty())
            .await
            .ok();
    }
}

/// Room for one connection; counted from the moment it is taken.
struct Place {
    /// `None`: its client has its share of them.
    seat: Option<Seat>,
    node: Option<Arc<Node>>,
    taken: bool,
}

impl Place {
    const fn new(seat: Seat, node: Option<Arc<Node>>) -> Self {
        Self {
            seat: Some(seat),
            node,
            taken: false,
        }
    }

    fn count_failed_handshake(&self) {
        if let Some(node) = &self.node {
            node.http.handshakes_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The place of a connection from the network; `None`: it is to be closed without a word.
    fn take_for(mut self, peer: IpAddr) -> Option<Self> {
        self.seat = self.seat.take()?.given_to(peer).ok();
        if self.seat.is_some() {
            return Some(self.take());
        }
        tracing::debug!(%peer, reason = TOO_MANY_OF_CLIENT, "an HTTP connection was refused");
        if let Some(node) = &self.node {
            node.http
                .connections_refused
                .fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    fn take(mut self) -> Self {
        self.taken = true;
        if let Some(node) = &self.node {
            node.http.connections.fetch_add(1, Ordering::Relaxed);
        }
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(node) = self.node.take().filter(|_| self.taken) {
            node.http.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

async fn accept(
    listener: &Listener,
    router: &Router,
    stopped: &watch::Receiver<bool>,
    place: Place,
) -> io::Result<()> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            let Some(place) = place.take_for(peer.ip()) else {
                return Ok(());
            };
            stream.set_nodelay(true).ok();
            let origin = Origin::Network(peer.ip());
            tokio::spawn(connection(
                stream,
                origin,
                router.clone(),
                stopped.clone(),
                place,
            ));
        }
        Listener::Tls(listener) => {
            let (stream, peer) = listener.listener.accept().await?;
            let Some(place) = place.take_for(peer.ip()) else {
                return Ok(());
            };
            stream.set_nodelay(true).ok();
            let origin = Origin::Network(peer.ip());
            let (tls, router, stopped) = (listener.tls.clone(), router.clone(), stopped.clone());
            tokio::spawn(async move {
                match tls.accept(stream).await {
                    Ok(Some(stream)) => connection(stream, origin, router, stopped, place).await,
                    Ok(None) => {}
                    Err(error) => {
                        place.count_failed_handshake();
                        tracing::debug!(%error, "a TLS handshake failed");
                    }
                }
            });
        }
        Listener::Unix(listener) => {
            let (stream, _peer) = listener.accept().await?;
            let place = place.take();
            tokio::spawn(connection(
                stream,
                Origin::Local,
                router.clone(),
                stopped.clone(),
                place,
            ));
        }
    }
    Ok(())
}

/// Says with each answer that browsers shall come by TLS only, while that is to be said.
fn strict(router: Router, tls: &Tls) -> Router {
    let tls = tls.clone();
    router.layer(map_response(move |mut response: Response| {
        let said = tls.transport_security().cloned();
        async move {
            if let Some(said) = said {
                response
                    .headers_mut()
                    .insert(STRICT_TRANSPORT_SECURITY, said);
            }
            response
        }
    }))
}

/// Answers over one stream inside this process, with all scopes: the command line where no node
/// runs.
pub async fn serve_within(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: HttpState,
) {
    let service = service(router(state), Origin::Local);
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection inside the process ended early");
    }
}

/// The router, told where each request came in.
fn service(
    router: Router,
    origin: Origin,
) -> impl hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
{
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(origin);
        router.call(request)
    })
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: Origin,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _place: Place,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_OCTETS_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service(router, origin))
        // What becomes a WebSocket is no connection of HTTP any more: it has bounds of its own.
        .with_upgrades();
    let mut served = pin!(served);
    let mut age = pin!(tokio::time::sleep(CONNECTION_AGE_MAX));
    let patience = tokio::select! {
        ended = served.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            return;
        }
        _ = stopped.changed() => DRAIN_TIME_MAX,
        () = age.as_mut() => ANSWER_TIME_MAX,
    };
    // The answer under way is finished, the next request is not read.
    served.as_mut().graceful_shutdown();
    tokio::select! {
        _ = stopped.changed(), if patience != DRAIN_TIME_MAX => {
            tokio::time::timeout(DRAIN_TIME_MAX, served).await.ok();
        }
        _ = tokio::time::timeout(patience, served.as_mut()) => {}
    }
}

/// Connections at once; a quarter of them of one client.
pub const CONNECTIONS_MAX: u32 = 1_024;
/// Why a client that has its quarter gets no other connection.
pub const TOO_MANY_OF_CLIENT: &str = "too_many_of_client";
/// From the end of one request to the end of the next one's header: also how long an idle
/// connection is kept.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Octets of a request's line and headers.
const HEADER_OCTETS_MAX: usize = 16 * 1024;
/// Header fields of a request.
const HEADERS_MAX: usize = 64;
/// A connection is closed after this time, between two requests: a slot is never held for ever.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// How long the answer under way may still take on a connection that has reached its age: an import
/// of many links takes its time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3_000);
/// How long an answer may take once the server is to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
