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
    let https_port = https_of_others(config).map(SocketAddr::port);
    // One that is of this machine alone may have a forwarder before it.
    let page_port = https_port.or_else(|| config.https.listen.first().map(SocketAddr::port));
    let acme = config.https.acme.as_ref();
    let certified = acme.map_or(&[][..], |acme| &acme.domains);
    let names = Names::new(&config.browser.urls, certified);
    let guests = guests.map(|door| Arc::new(door.with_https(page_port).with_names(names)));
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

/// A listener that others reach than this machine alone.
fn open(listeners: &[SocketAddr]) -> Option<&SocketAddr> {
    let mut listeners = listeners.iter();
    listeners.find(|listen| !listen.ip().is_loopback())
}

/// Where others can bring their tokens by HTTPS.
fn https_of_others(config: &Config) -> Option<&SocketAddr> {
    open(&config.https.listen)
}

/// The listener by which tokens of others come in the clear and are taken. Where these reach HTTPS, one that
/// comes in the clear is looked at for nothing but to resolve links.
fn takes_tokens_in_the_clear(config: &Config) -> Option<&SocketAddr> {
    let plain = open(&config.http.listen)?;
    https_of_others(config).is_none().then_some(plain)
}

/// Without tokens nobody can use a listener on the network, and tokens cross it in clear.
fn warn_of_open_doors(config: &Config, store: &Store) {
    let any = open(&config.http.listen).or_else(|| https_of_others(config));
    if let Some(listen) = any.filter(|_| store.snapshot().tokens.is_empty()) {
        tracing::warn!(%listen, "a listener is not loopback, and there is no token: nobody can use it");
    }
    if let Some(listen) = takes_tokens_in_the_clear(config) {
        tracing::warn!(%listen, "http.listen is not loopback: tokens cross the network in clear; use https.listen at an address that others reach, or put a TLS proxy before it and name that in http.trusted_proxies");
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
    fn others_are_sent_to_the_https_that_they_reach_and_where_there_is_none_that_is_warned_of() {
        let judged = |http: &str, https: &str| {
            let text = format!("[http]\nlisten = [{http}]\n[https]\nlisten = [{https}]");
            let config = Config::parse(Path::new("test.toml"), &text).unwrap();
            let port = https_of_others(&config).map(SocketAddr::port);
            (port, takes_tokens_in_the_clear(&config).is_some())
        };
        let (here, open) = ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\", \"0.0.0.0:80\"");
        assert_eq!(judged(open, ""), (None, true));
        assert_eq!(
            judged(open, "\"127.0.0.1:8443\", \"[::1]:8443\""),
            (None, true)
        );
        let second = "\"127.0.0.1:8443\", \"0.0.0.0:443\"";
        assert_eq!(judged(open, second), (Some(443), false));
        assert_eq!(judged(here, second), (Some(443), false));
        assert_eq!(judged(here, "\"127.0.0.1:8443\""), (None, false));
    }

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
