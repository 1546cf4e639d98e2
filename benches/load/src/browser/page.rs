//! What a guest's page does beside media: it is loaded, and it calls by a WebSocket.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::handshake::client::Request;
use tungstenite::http::header::{COOKIE, HeaderValue, ORIGIN};
use tungstenite::{Message, WebSocket};

use crate::resolve::Connection;

/// A browser that loads pages of one link: it has one cookie, and each page a token.
#[derive(Debug)]
pub(crate) struct Pages {
    gateway: SocketAddr,
    connection: Connection,
    path: String,
    cookie: Option<String>,
}

/// A page that was loaded: good for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    gateway: SocketAddr,
    token: String,
    cookie: String,
}

/// The WebSocket of a page.
#[derive(Debug)]
pub(crate) struct Line {
    socket: WebSocket<TcpStream>,
}

/// What a page is told, as far as the load looks at it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Told {
    /// The call may begin.
    Welcome,
    /// To the offer.
    Answer { sdp: String },
    /// How the call is.
    State { state: String },
    /// It is over.
    Ended { cause: String },
    /// It is not taken.
    Error { code: String },
    /// Another offer is wanted: the callee takes other codecs than we hoped.
    Renegotiate,
    #[serde(other)]
    Other,
}

impl Pages {
    /// # Errors
    /// Nobody listens there.
    pub(crate) fn of(gateway: SocketAddr, link: &str) -> Result<Self> {
        Ok(Self {
            gateway,
            connection: Connection::open(gateway)?,
            path: format!("/call/{link}"),
            cookie: None,
        })
    }

    /// Loads the page.
    ///
    /// # Errors
    /// The gateway gives none, or one without what a call needs.
    pub(crate) fn load(&mut self) -> Result<Page> {
        let mut headers = format!("Host: {}\r\n", self.gateway);
        if let Some(cookie) = &self.cookie {
            headers.push_str(&format!("Cookie: {cookie}\r\n"));
        }
        let text = self.connection.page_with(&self.path, &headers)?;
        if let Some(cookie) = self.connection.cookie() {
            self.cookie = Some(cookie.to_owned());
        }
        Ok(Page {
            gateway: self.gateway,
            token: token(&text).context("a page without a token")?.to_owned(),
            cookie: self.cookie.clone().context("a page without a cookie")?,
        })
    }
}

/// The call token in the text of a page.
fn token(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("data-token=\"")?;
    rest.split('"').next().filter(|token| !token.is_empty())
}

impl Page {
    /// Opens the WebSocket, and says whose page it is.
    ///
    /// # Errors
    /// The gateway takes none.
    pub(crate) fn open(&self) -> Result<Line> {
        let stream = TcpStream::connect(self.gateway)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (socket, _) = tungstenite::client(self.request()?, stream).context("a WebSocket")?;
        socket.get_ref().set_nonblocking(true)?;
        let mut line = Line { socket };
        line.say(&serde_json::json!({"type": "hello", "token": self.token}))?;
        Ok(line)
    }

    fn request(&self) -> Result<Request> {
        let mut request = format!("ws://{}/signal", self.gateway).into_client_request()?;
        let headers = request.headers_mut();
        let origin = format!("http://{}", self.gateway);
        headers.insert(ORIGIN, HeaderValue::from_str(&origin)?);
        headers.insert(COOKIE, HeaderValue::from_str(&self.cookie)?);
        Ok(request)
    }
}

impl Line {
    /// Begins the call.
    ///
    /// # Errors
    /// The gateway takes nothing any more.
    pub(crate) fn call(&mut self, offer: &str) -> Result<()> {
        self.say(&serde_json::json!({"type": "call", "sdp": offer}))
    }

    /// Hangs up.
    ///
    /// # Errors
    /// The gateway takes nothing any more.
    pub(crate) fn leave(&mut self) -> Result<()> {
        self.say(&serde_json::json!({"type": "leave"}))
    }

    fn say(&mut self, frame: &serde_json::Value) -> Result<()> {
        self.socket.send(Message::text(frame.to_string()))?;
        Ok(())
    }

    /// What came, if anything did. Pings are answered meanwhile.
    ///
    /// # Errors
    /// The WebSocket has ended.
    pub(crate) fn hear(&mut self) -> Result<Option<Told>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(serde_json::from_str(&text)?)),
                Ok(Message::Close(frame)) => bail!("the gateway ended a WebSocket: {frame:?}"),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    // A pong that could not go.
                    match self.socket.flush() {
                        Ok(()) => return Ok(None),
                        Err(tungstenite::Error::Io(error))
                            if error.kind() == std::io::ErrorKind::WouldBlock =>
                        {
                            return Ok(None);
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_its_page_only() {
        assert_eq!(token(r#"<main data-token="ab-c" x>"#), Some("ab-c"));
        assert_eq!(token(r#"<main data-token="">"#), None);
        assert_eq!(token("<main>"), None);
    }

    #[test]
    fn frames_are_read_and_unknown_ones_are_let_pass() {
        let read = |text| serde_json::from_str::<Told>(text).expect("a frame");
        assert_eq!(
            read(r#"{"type":"welcome","resume":"r","ice_servers":[]}"#),
            Told::Welcome
        );
        let sdp = "v=0".to_owned();
        let answer = r#"{"type":"answer","sdp":"v=0","video":null}"#;
        assert_eq!(read(answer), Told::Answer { sdp });
        assert_eq!(read(r#"{"type":"keypad","by":"rtp"}"#), Told::Other);
    }
}
