//! A web site of a few pages, for tests that need no gateway.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Serves until the test's process ends; the thread that asks gives it its network.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
}

impl Site {
    /// `pages`: path, type, text. `/whoami` says who asks, and others are 404.
    pub(crate) fn new(host: &str, pages: &[(&'static str, &'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let pages: BTreeMap<_, _> = pages
            .iter()
            .map(|&(path, kind, text)| (path, (kind, text)))
            .collect();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = pages.clone();
                // A browser opens connections in advance and is silent on them.
                std::thread::spawn(move || serve(&stream, &pages));
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// One request, one response.
fn serve(mut stream: &TcpStream, pages: &BTreeMap<&str, (&str, &str)>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split([' ', '?']).nth(1)?;
    let peer = stream.peer_addr().ok()?.ip().to_string();
    let (status, kind, text) = match pages.get(path) {
        Some((kind, text)) => ("200 OK", *kind, *text),
        None if path == "/whoami" => ("200 OK", "text/plain", peer.as_str()),
        None if path == "/favicon.ico" => ("204 No Content", "image/png", ""),
        None => ("404 Not Found", "text/plain", "not here"),
    };
    // All of the request is read: what is left unread makes the end of a connection an error.
    lines
        .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        .count();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'self'; img-src *; frame-src *\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(response.as_bytes()).ok()
}
