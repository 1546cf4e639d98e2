//! The API of a running node: its listeners, the token of the first start, and what to warn of.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::error::ServeError;
use super::sockets::bind_local;
use crate::config::Config;
use crate::health;
use crate::http::{Challenges, GuestDoor, HttpState, Listener, Names, TurnServers, serve};
use crate::shell::{Asker, Guests};
use crate::storage::Store;
use crate::tokens;

/// Serves on these listeners and on the node's socket, until the sender says otherwise.
pub(super) async fn start(
    config: &Config,
    store: &Store,
    node: &Arc<health::Node>,
    ((calls, guests), challenges): ((Asker, Guests), Arc<Challenges>),
    mut listeners: Vec<Listener>,
) -> Result<watch::Sender<bool>, ServeError> {
    show_first_token(config, store).await?;
    warn_of_open_doors(config, store);
    if let Some(path) = &config.http.socket {
        let named = |source| ServeError::Socket {
            path: path.clone(),
            source,
        };
        listeners.push(bind_local(path).map_err(named)?);
    }
    let figures = Arc::clone(&node.http.guests);
    let (turn, limits) = (turn_servers(config), config.browser.limits);
    let guests = GuestDoor::new(guests, figures, store, turn, limits);
    let https_port = config.https.listen.first().map(SocketAddr::port);
    let acme = config.https.acme.as_ref();
    let certified = acme.map_or(&[][..], |acme| &acme.domains);
    let names = Names::new(&config.browser.urls, certified);
    let guests = guests.map(|door| Arc::new(door.with_https(https_port).with_names(names)));
    let (stop, stopped) = watch::channel(false);
    let state = HttpState {
        resolve_open: config.http.resolve_open,
        srtp_over_clear_signalling: config.sip.srtp_over_clear_signalling,
        https_port,
        trusted_proxies: config.http.trusted_proxies.clone().into(),
        node: Some(Arc::clone(node)),
        challenges,
        calls: Some(calls),
        guests,
        ..HttpState::new(store.clone())
    };
    for listener in listeners {
        let mut stopped = stopped.clone();
        tokio::spawn(serve(listener, state.clone(), async move {
            // The sender going away ends it just as well.
            let _ended = stopped.changed().await;
        }));
    }
    Ok(stop)
}

/// Relays that pages may use, where there are any.
fn turn_servers(config: &Config) -> Option<TurnServers> {
    let secret = config.browser.turn_secret.as_ref()?;
    TurnServers::new(config.browser.turn.clone(), secret.expose().as_bytes())
}

/// The very first start makes a token with every scope and shows it once. Where standard output is
/// the journal, which keeps what it is given, it goes into a file instead.
async fn show_first_token(config: &Config, store: &Store) -> Result<(), ServeError> {
    let Some(clear) = tokens::store::first(store).await? else {
        return Ok(());
    };
    let shown = if std::env::var_os("JOURNAL_STREAM").is_some() {
        let path = config.node.data.join(FIRST_TOKEN_FILE);
        write_token(&path, &clear).map(|()| {
            tracing::warn!(path = %path.display(), "the first admin token is in this file: take it out and delete it");
        })
    } else {
        let mut output = io::stdout().lock();
        writeln!(
            output,
            "First admin token, shown this once (sluice tokens list, revoke):\n  {clear}"
        )
        .and_then(|()| output.flush())
    };
    shown.map_err(ServeError::system("the first admin token"))
}

fn write_token(path: &Path, clear: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{clear}")?;
    file.sync_all()
}

/// Without tokens nobody can use a listener on the network, and tokens cross it in clear.
fn warn_of_open_doors(config: &Config, store: &Store) {
    let open = |listen: &&SocketAddr| !listen.ip().is_loopback();
    let plain = config.http.listen.iter().find(open);
    let any = plain.or_else(|| config.https.listen.iter().find(open));
    if let Some(listen) = any.filter(|_| store.snapshot().tokens.is_empty()) {
        tracing::warn!(%listen, "a listener is not loopback, and there is no token: nobody can use it");
    }
    // Where there is HTTPS, tokens are not taken in the clear.
    if let Some(listen) = plain.filter(|_| config.https.listen.is_empty()) {
        tracing::warn!(%listen, "http.listen is not loopback: tokens cross the network in clear; use https.listen, or put a TLS proxy before it and name that in http.trusted_proxies");
    }
}

/// The path of the socket goes with the node.
pub(super) fn remove_socket(socket: Option<&PathBuf>) {
    if let Some(path) = socket
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::debug!(%error, "the socket was gone already");
    }
}

const FIRST_TOKEN_FILE: &str = "first-admin-token";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_in_a_file_is_for_its_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FIRST_TOKEN_FILE);
        write_token(&path, "sl_x").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "sl_x\n");
    }
}
