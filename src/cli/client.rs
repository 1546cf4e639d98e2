//! The requests of the command line: over a URL with a token, over the node's socket, or, where no
//! node runs, through the same router inside this process.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{Method, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::arguments::Arguments;
use super::run::{CommandError, existing};
use crate::config::Config;
use crate::http::{HttpState, IDEMPOTENCY_KEY, serve_within};
use crate::storage::Store;

/// A connection to the API.
pub(super) struct Client {
    sender: SendRequest<Body>,
    /// What stands in Host.
    host: String,
    token: Option<String>,
    /// Makes the request that is under way one order, however often it is sent.
    key: Option<String>,
    /// The database, where no node runs.
    within: Option<Store>,
}

impl Client {
    /// Connects to what the arguments name.
    pub(super) async fn connect(arguments: &Arguments) -> Result<Self, CommandError> {
        if let Some(url) = &arguments.url {
            let authority = authority(url)?;
            let stream = tcp(&authority).await?;
            let token = arguments.token.clone();
            return Self::over(stream, authority, token, None).await;
        }
        let config = existing(&arguments.config)?;
        if let Some(stream) = socket(&config).await? {
            return Self::over(stream, LOCAL.to_owned(), None, None).await;
        }
        let store = Store::open(&config.storage).await?;
        // What the file brings to a first start must be there before the first change, or the change
        // would keep it out for ever.
        config.import_first(&store).await?;
        let (ours, theirs) = tokio::io::duplex(PIPE_OCTETS);
        tokio::spawn(serve_within(theirs, HttpState::new(store.clone())));
        Self::over(ours, LOCAL.to_owned(), None, Some(store)).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: String,
        token: Option<String>,
        within: Option<Store>,
    ) -> Result<Self, CommandError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&host, &error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the node ended early");
            }
        });
        Ok(Self {
            sender,
            host,
            token,
            key: None,
            within,
        })
    }

    /// Writes what is queued, where the database is in this process.
    pub(super) async fn close(self) {
        if let Some(store) = self.within {
            store.close().await;
        }
    }

    /// Many rows are coming: a database of our own is told.
    pub(super) async fn expect_many_rows(&self) -> Result<(), CommandError> {
        match &self.within {
            Some(store) => Ok(store.expect_many_rows().await?),
            None => Ok(()),
        }
    }

    /// GET, and its JSON.
    pub(super) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, CommandError> {
        self.ask(Method::GET, path, None, Body::empty()).await
    }

    /// A request with a JSON body, and the JSON of its answer.
    pub(super) async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        let text = serde_json::to_vec(body).map_err(io::Error::other)?;
        self.ask(method, path, Some(JSON), text.into()).await
    }

    /// POST of an order that is one order however often it is sent under the same key.
    pub(super) async fn order<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, CommandError> {
        let text = serde_json::to_vec(body).map_err(io::Error::other)?;
        self.key = key.map(str::to_owned);
        let answer = self.ask(Method::POST, path, Some(JSON), text.into()).await;
        self.key = None;
        answer
    }

    /// A request without body, and the JSON of its answer.
    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<T, CommandError> {
        self.ask(Method::POST, path, None, Body::empty()).await
    }

    /// GET, and its text, where the same can be had as JSON.
    pub(super) async fn text(&mut self, path: &str) -> Result<String, CommandError> {
        let mut stream = self.stream(Method::GET, path, None, Body::empty()).await?;
        let mut octets = Vec::new();
        while let Some(piece) = stream.piece().await? {
            octets.extend_from_slice(&piece);
        }
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }

    /// DELETE.
    pub(super) async fn delete(&mut self, path: &str) -> Result<(), CommandError> {
        let answer = self
            .request(Method::DELETE, path, None, JSON, Body::empty())
            .await?;
        collect(answer).await.map(drop)
    }

    /// A long request whose answer is read piece by piece.
    pub(super) async fn stream(
        &mut self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: Body,
    ) -> Result<Stream, CommandError> {
        let answer = self.request(method, path, kind, ANY, body).await?;
        Ok(Stream {
            body: answer.into_body(),
            buffer: BytesMut::new(),
        })
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: Body,
    ) -> Result<T, CommandError> {
        let answer = self.request(method, path, kind, JSON, body).await?;
        let text = collect(answer).await?;
        serde_json::from_slice(&text).map_err(|error| {
            CommandError::Refused(format!(
                "the node's answer is not understood ({error}); is it of another version?"
            ))
        })
    }

    /// Sends a request; a refusal becomes an error with everything that it says.
    async fn request(
        &mut self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        wanted: &'static str,
        body: Body,
    ) -> Result<Response<Incoming>, CommandError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(ACCEPT, wanted);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(key) = &self.key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(body)
            .map_err(|_not_a_header| CommandError::Refused("the token is no token".to_owned()))?;
        let gone = |error: hyper::Error| unreachable(&self.host, &error);
        self.sender.ready().await.map_err(gone)?;
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, self.sender.send_request(request));
        let answer = match answer.await {
            Ok(answer) => answer.map_err(|error| unreachable(&self.host, &error))?,
            Err(elapsed) => return Err(unreachable(&self.host, &elapsed)),
        };
        if answer.status().is_client_error() || answer.status().is_server_error() {
            let (status, text) = (answer.status(), collect(answer).await?);
            return Err(CommandError::Refused(refusal(status, &text)));
        }
        Ok(answer)
    }
}

/// The answer to a long request.
pub(super) struct Stream {
    body: Incoming,
    buffer: BytesMut,
}

impl Stream {
    /// The next piece, as it came.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, CommandError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_broken| broken_off())?;
            if let Ok(octets) = frame.into_data() {
                return Ok(Some(octets));
            }
        }
        Ok(None)
    }

    /// The next line of JSON.
    pub(super) async fn line<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CommandError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|octet| *octet == b'\n') {
                let line = self.buffer.split_to(end + 1);
                let parsed = serde_json::from_slice(&line).map_err(io::Error::other)?;
                return Ok(Some(parsed));
            }
            match self.piece().await? {
                Some(octets) => self.buffer.extend_from_slice(&octets),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(broken_off()),
            }
        }
    }
}

fn broken_off() -> CommandError {
    CommandError::Refused("the node broke its answer off; its log says why".to_owned())
}

async fn collect(answer: Response<Incoming>) -> Result<Bytes, CommandError> {
    let body = answer.into_body().collect().await;
    Ok(body.map_err(|_broken| broken_off())?.to_bytes())
}

/// Everything that a problem document says, for people.
fn refusal(status: StatusCode, text: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(text).unwrap_or_default();
    let word = |key: &str| problem.get(key).and_then(Value::as_str).map(str::to_owned);
    let errors = problem.get("errors").and_then(Value::as_array);
    if let Some(errors) = errors.filter(|errors| !errors.is_empty()) {
        let lines = errors.iter().map(|error| {
            let word = |key| error.get(key).and_then(Value::as_str).unwrap_or_default();
            let (field, found) = (word("field"), word("found"));
            let accepted = word("accepted");
            format!("{field}: found {}, accepted: {accepted}", told(found))
        });
        return lines.collect::<Vec<_>>().join("\n");
    }
    let said = match (word("title"), word("detail")) {
        (Some(title), Some(detail)) if status == StatusCode::UNAUTHORIZED => {
            format!("{title}: name one by --token or SLUICE_TOKEN. {detail}")
        }
        (_, Some(detail)) => detail,
        (Some(title), None) => title,
        (None, None) => format!("the node answered {status}"),
    };
    match problem.get("retry_after_s").and_then(Value::as_u64) {
        Some(seconds) => format!("{said} (try again in {seconds} s)"),
        None => said,
    }
}

/// What was found, for people: a value in quotes, what is a sentence of ours as it is.
fn told(found: &str) -> String {
    match found {
        "" => "nothing".to_owned(),
        "nothing" | "an unknown key" | "a field that cannot be set here" | "(not shown)" => {
            found.to_owned()
        }
        // A value of JSON comes in its quotes.
        value => {
            let bare = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            let mut told = String::from("`");
            for character in bare.unwrap_or(value).chars() {
                match character {
                    '"' | '\'' => told.push(character),
                    other => told.extend(other.escape_debug()),
                }
            }
            told.push('`');
            told
        }
    }
}

/// `host:port` of `http://host:port`.
fn authority(url: &str) -> Result<String, CommandError> {
    let wrong = |why: &str| CommandError::Usage(format!("--url {url}: {why}"));
    if url.starts_with("https://") {
        return Err(wrong(
            "TLS is not spoken here; use http:// over loopback or a tunnel",
        ));
    }
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| wrong("a URL such as http://127.0.0.1:8080 is accepted"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    match port {
        _ if authority.is_empty() => Err(wrong("it names no host")),
        Some(port) if port.parse::<u16>().is_ok() => Ok(authority.to_owned()),
        _ => Ok(format!("{authority}:80")),
    }
}

async fn tcp(authority: &str) -> Result<TcpStream, CommandError> {
    match tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(authority)).await {
        Ok(Ok(stream)) => {
            stream.set_nodelay(true).ok();
            Ok(stream)
        }
        Ok(Err(error)) => Err(unreachable(authority, &error)),
        Err(elapsed) => Err(unreachable(authority, &elapsed)),
    }
}

/// The node's socket; `None`: no node listens there.
async fn socket(config: &Config) -> Result<Option<UnixStream>, CommandError> {
    let Some(path) = &config.http.socket else {
        return Ok(None);
    };
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(CommandError::Unreachable(format!(
                "{}: only the node's own user may open it; use sudo, or --url with a token",
                path.display()
            )))
        }
        Err(_nobody) => Ok(None),
    }
}

fn unreachable(host: &str, error: &dyn std::error::Error) -> CommandError {
    let mut text = format!("the node at {host} cannot be reached: {error}");
    let mut source = error.source();
    while let Some(deeper) = source {
        text.push_str(&format!(": {deeper}"));
        source = deeper.source();
    }
    CommandError::Unreachable(text)
}

/// A word of a query, escaped.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet) {
            escaped.push(char::from(octet));
        } else {
            escaped.push_str(&format!("%{octet:02X}"));
        }
    }
    escaped
}

/// A path with the words of its query that are there.
pub(super) fn query(path: &str, words: &[(&str, Option<String>)]) -> String {
    let words: Vec<String> = words
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_deref()?))))
        .collect();
    if words.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", words.join("&"))
    }
}

const JSON: &str = "application/json";
const ANY: &str = "*/*";
/// What the log calls a connection without a network.
const LOCAL: &str = "localhost";
/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the beginning of an answer may take: a test of a trunk waits for silent targets.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// Octets on their way inside the process.
const PIPE_OCTETS: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_and_port() {
        for (url, host) in [
            ("http://127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("http://[::1]:8080/", Some("[::1]:8080")),
            ("http://gw.example/api", Some("gw.example:80")),
            ("https://gw.example", None),
            ("gw.example:80", None),
            ("http://", None),
        ] {
            assert_eq!(authority(url).ok().as_deref(), host, "{url}");
        }
    }

    #[test]
    fn every_wrong_field_of_a_refusal_is_a_line() {
        let text =
            br#"{"errors": [{"field": "a", "found": "x\n", "accepted": "y"}, {"field": "b"}]}"#;
        let said = refusal(StatusCode::UNPROCESSABLE_ENTITY, text);
        assert_eq!(
            said,
            "a: found `x\\n`, accepted: y\nb: found nothing, accepted: "
        );
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, b"<html>"),
            "the node answered 502 Bad Gateway"
        );
    }

    #[test]
    fn queries_hold_what_is_there() {
        let words = [("a", Some("x y&z".to_owned())), ("b", None)];
        assert_eq!(query("/p", &words), "/p?a=x%20y%26z");
        assert_eq!(query("/p", &[("b", None)]), "/p");
    }
}
