//! WebSockets over loopback, with call control that a closure plays.

mod page;
mod signal;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;

use super::token::{COOKIE_OCTETS, CallToken, Cookie, Jar, LOAD_OCTETS, Load};
use super::*;
use crate::call::browser::event::{BrowserInput, BrowserOutput, GuestKey, GuestState};
use crate::http::{HttpState, Listener, serve};
use crate::links::draft::{LinkDraft, RequestPath};
use crate::shell::guests::answered_while;
use crate::storage::{StorageOptions, Sync};
use crate::{links, settings};

pub(super) struct World {
    pub(super) address: SocketAddr,
    pub(super) store: Store,
    pub(super) door: Arc<GuestDoor>,
    /// What call control heard.
    pub(super) heard: Arc<Mutex<Vec<String>>>,
    /// Whether call control hears anything.
    pub(super) is_awake: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

pub(super) type Page = WebSocketStream<TcpStream>;

const LIMITS: GuestLimits = GuestLimits {
    connections_max: 8,
    connections_per_client_max: 4,
    loads_per_minute_max: 60,
};

pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

pub(super) const ENDED: BrowserOutput = BrowserOutput::Ended {
    cause: "normal",
    status: 200,
    retry_after: None,
};

/// A callee that rings at once, answers each further offer, and takes each hang-up.
fn answer(guest: GuestKey, input: BrowserInput) -> (String, Vec<BrowserOutput>) {
    let _same_for_all = guest;
    match input {
        BrowserInput::Call(call) => {
            let name = &call.link.caller_name;
            let said = format!("call {} {name} {}", call.link.request_path, call.client);
            (said, vec![BrowserOutput::State(GuestState::Ringing)])
        }
        BrowserInput::Offer(offer) => {
            let answer = BrowserOutput::Answer {
                description: offer,
                video: Err("policy"),
            };
            ("offer".to_owned(), vec![answer])
        }
        BrowserInput::Digits(keys) if keys == "0" => ("0".to_owned(), vec![ENDED]),
        BrowserInput::Digits(keys) => (keys, Vec::new()),
        BrowserInput::Camera(on) => (format!("camera {on}"), Vec::new()),
        BrowserInput::HangUp => ("hang up".to_owned(), vec![ENDED]),
        BrowserInput::Lost => ("lost".to_owned(), Vec::new()),
        BrowserInput::Resumed => ("resumed".to_owned(), Vec::new()),
    }
}

pub(super) async fn world() -> World {
    world_of(LIMITS).await
}

pub(super) async fn world_of(limits: GuestLimits) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&StorageOptions {
        path: folder.path().join("sluice.db"),
        sync: Sync::Normal,
        sip_domain: "gw.example".to_owned(),
    })
    .await
    .unwrap();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let hearing = Arc::clone(&heard);
    let is_awake = Arc::new(AtomicBool::new(true));
    let guests = answered_while(Arc::clone(&is_awake), move |guest, input| {
        let (said, mut outputs) = answer(guest, input);
        let mut heard = hearing.lock().unwrap();
        if said == "lost" && heard.last().is_some_and(|last| last == "9") {
            outputs.push(ENDED);
        }
        heard.push(said);
        outputs
    });
    let turn = TurnServers::new(vec!["turn:turn.example".to_owned()], b"secret");
    let door = GuestDoor::new(guests, Arc::default(), &store, turn, limits);
    let names = Names::new(&["https://gw.example".to_owned()], &[]);
    let door = Arc::new(door.unwrap().with_names(names));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let state = HttpState {
        guests: Some(Arc::clone(&door)),
        trusted_proxies: ["127.0.0.1".parse().unwrap()].into(),
        ..HttpState::new(store.clone())
    };
    let served = tokio::spawn(serve(Listener::Tcp(listener), state, async {
        stopped.await.ok();
    }));
    let world = World {
        address,
        store,
        door,
        heard,
        is_awake,
        stop: Some(stop),
        served: Some(served),
        _folder: folder,
    };
    world.link("echo", |_| {}).await;
    world
}

pub(super) fn cookie() -> Cookie {
    Cookie::new([1; COOKIE_OCTETS])
}

impl World {
    pub(super) async fn link(&self, path: &str, change: impl FnOnce(&mut LinkDraft)) {
        let mut draft = LinkDraft::new(RequestPath::Custom(path.to_owned()), "local:echo");
        change(&mut draft);
        links::store::create(&self.store, &draft).await.unwrap();
    }

    pub(super) async fn set(&self, key: &str, value: &str) {
        settings::store::set(&self.store, key, value).await.unwrap();
    }

    /// A page's token.
    pub(super) fn token(&self, load: u8, path: &str, now: u64) -> String {
        let token = CallToken {
            load: Load([load; LOAD_OCTETS]),
            request_path: path.to_owned(),
        };
        self.door.tokens.mint(&token, &cookie(), now)
    }

    /// How often this refusal was given.
    pub(super) fn refused(&self, why: &str) -> u64 {
        let mut refused = self.door.figures.refused();
        refused.find(|(word, _)| *word == why).unwrap().1
    }

    /// What call control has heard once it has heard so much.
    pub(super) async fn heard(&self, count: usize) -> Vec<String> {
        loop {
            let heard = self.heard.lock().unwrap().clone();
            if heard.len() >= count {
                return heard;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What call control has heard once it has heard this.
    pub(super) async fn heard_of(&self, is_it: impl Fn(&str) -> bool) -> Vec<String> {
        loop {
            let heard = self.heard.lock().unwrap().clone();
            if heard.iter().any(|said| is_it(said)) {
                return heard;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Opens a WebSocket with these headers; the status of a refusal.
    pub(super) async fn open_with(&self, headers: &[(&'static str, &str)]) -> Result<Page, u16> {
        let request = self.request(headers);
        let stream = TcpStream::connect(self.address).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((page, _response)) => Ok(page),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn request(&self, headers: &[(&'static str, &str)]) -> axum::http::Request<()> {
        let address = self.address.to_string();
        let request = axum::http::Request::get(format!("ws://{address}/signal"))
            .header("host", &address)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        request.body(()).unwrap()
    }

    /// As a page of ours does.
    pub(super) async fn open(&self) -> Page {
        let origin = format!("http://{}", self.address);
        let set = cookie().set(Jar::Plain);
        let pair = set.split(';').next().unwrap();
        self.open_with(&[("origin", &origin), ("cookie", pair)])
            .await
            .unwrap()
    }
}
