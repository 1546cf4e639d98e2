//! `sluice serve`: sockets, storage, threads, ready; then a signal, drain, stop, done.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use media::engine::WorkerConfig;
use sip::event::{EndpointConfig, RefreshBy, SessionTimer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::api;
use super::browsers::Browsers;
use super::error::ServeError;
use super::limits::{self, Limits};
use super::notify::Supervisor;
use super::priorities::{order_threads, take_small_pages};
use super::reload::Reload;
use super::sockets::{acme_of, bind_http, bind_https, bind_sip, bind_sip_tcp, explain, locals};
use super::supervise;
use super::tasks::{self, LocalSettings, QUESTIONS_MAX, answer_questions, follow_snapshots};
use crate::call::control::{CallControl, Config as CallConfig};
use crate::call::inform::INFO_TYPES;
use crate::call::ladder;
use crate::cdr::export::{self, ExportFigures};
use crate::config::{Config, MediaBackend};
use crate::fraud_guard::dial_plan::EMERGENCY;
use crate::health::{self, NodeParts, Phase};
use crate::hep::{Capture, CaptureFigures};
use crate::http::{Challenges, follow, renew};
use crate::links::draft::RequestPath;
use crate::shell::media_link::{self, MediaLink, MediaThread, MediaThreadConfig};
use crate::shell::panics::PanicWatch;
use crate::shell::signalling::{self, Parts, SignallingLink, Status, Word};
use crate::shell::tcp;
use crate::shell::wake::Wake;
use crate::storage::Store;

/// Runs a node until a signal ends it.
///
/// # Errors
/// Something was not there to start with; nothing is left running.
pub fn serve(config: &Config) -> Result<(), ServeError> {
    take_small_pages();
    let limits = limits::of_this_machine(config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(ServeError::system("the control runtime"))?;
    let ended = runtime.block_on(run(config, &limits));
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    ended
}

/// The parts that live as long as the node.
struct Node {
    view: Arc<health::Node>,
    store: Store,
    link: SignallingLink,
    signalling: std::thread::JoinHandle<()>,
    media: Vec<MediaThread>,
    http_stop: watch::Sender<bool>,
}

async fn run(config: &Config, limits: &Limits) -> Result<(), ServeError> {
    let supervisor = Arc::new(Supervisor::from_environment());
    // From here on a signal is not lost, whenever it comes.
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut hangup = handler(SignalKind::hangup())?;
    let mut reload = Reload::new(config);
    let node = start(config, limits).await?;
    announce(config, limits, &node).map_err(ServeError::system("standard output"))?;
    supervisor.ready(&format!("ready, up to {} calls", limits.calls_max));
    let watch = supervise::watch(Arc::clone(&node.view), Arc::clone(&supervisor));
    let watch = tokio::spawn(watch);
    let mut signalled = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    loop {
        tokio::select! {
            () = signalled() => break,
            () = node.view.asked_to_drain() => break,
            _ = hangup.recv() => supervise::reload(&node.view, &supervisor, &mut reload),
        }
    }
    node.view.enter(Phase::Draining);
    supervisor.stopping(reload.drain + STOPPED_WITHIN);
    tracing::info!(drain_s = reload.drain.as_secs(), "draining");
    tokio::select! {
        () = drain(&node.link, reload.drain) => {
            node.view.enter(Phase::Stopping);
            tokio::select! {
                () = stop(&node.link) => {}
                () = signalled() => tracing::warn!("second signal: ending at once"),
            }
        }
        () = signalled() => tracing::warn!("second signal: ending at once"),
    }
    finish(node).await;
    api::remove_socket(config.http.socket.as_ref());
    watch.abort();
    Ok(())
}

fn handler(kind: SignalKind) -> Result<Signal, ServeError> {
    signal(kind).map_err(ServeError::system("the signal handler"))
}

/// Copies of messages, where a collector is configured.
fn open_capture(config: &Config) -> Result<(Option<Capture>, Arc<CaptureFigures>), ServeError> {
    let copies = Arc::<CaptureFigures>::default();
    let Some(collector) = config.hep.collector else {
        return Ok((None, copies));
    };
    let capture = Capture::open(collector, config.hep.id, Arc::clone(&copies))
        .map_err(|error| ServeError::bind("hep.collector", collector, explain(&error)))?;
    Ok((Some(capture), copies))
}

/// The database, with what the last run left open closed, and what the file says for the first one.
async fn open_store(config: &Config) -> Result<(Store, Arc<ExportFigures>), ServeError> {
    let store = Store::open(&config.storage).await?;
    let exported = Arc::<ExportFigures>::default();
    if let Some(folder) = &config.cdr.folder {
        store.export_closed_calls();
        let (folder, format) = (folder.clone(), config.cdr.format);
        let figures = Arc::clone(&exported);
        tokio::spawn(export::run(store.clone(), folder, format, figures));
    }
    let closed = store.start_node(Timestamp::now()).await?;
    if closed > 0 {
        tracing::warn!(
            calls = closed,
            "calls of the last run were closed with node_restart"
        );
    }
    config.import_first(&store).await?;
    Ok((store, exported))
}

async fn start(config: &Config, limits: &Limits) -> Result<Node, ServeError> {
    let sockets = bind_sip(config)?;
    let sip_listeners = bind_sip_tcp(config, &sockets)?;
    let mut listeners = bind_http(config).await?;
    let challenges = Arc::<Challenges>::default();
    let (secure, certificates) = bind_https(config, &challenges).await?;
    listeners.extend(secure);
    let (store, exported) = open_store(config).await?;
    let wake = Arc::new(Wake::new().map_err(ServeError::system("an event descriptor"))?);
    let panics = Arc::new(PanicWatch::default());
    let watched = Arc::clone(&panics);
    let advertised = advertised_media(config, &store);
    Browsers::expect_ports(config, limits)?;
    let browsers = Browsers::new()?;
    let given = (&*advertised, &browsers);
    let (links, media) = start_media(config, limits, given, (&wake, &panics))?;
    let mut calls = call_config(config, limits, &sockets, &sip_listeners)?;
    calls.browser = Some(browsers.for_calls());
    let control = CallControl::new(calls);
    let (capture, copies) = open_capture(config)?;
    let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
    let gate = Arc::new(tcp::Gate::default());
    let locals = locals(&sockets, &sip_listeners);
    let tcp_limits = limits::tcp(config);
    let streams = tcp::start(
        sip_listeners,
        locals,
        tcp_limits,
        Arc::clone(&gate),
        Arc::clone(&wake),
    )
    .map_err(ServeError::system("a SIP listener"))?;
    let connections = Arc::clone(&streams.counters);
    let (link, signalling) = signalling::start(Parts {
        control,
        sockets,
        streams,
        media: links,
        questions,
        records: store.records(),
        store: Some(store.clone()),
        wake,
        panics,
        capture,
        gather: config.sip.gather,
    })
    .map_err(ServeError::system("the signalling thread"))?;
    tokio::spawn(answer_questions(store.clone(), link.clone(), asked));
    let local = LocalSettings::new(config);
    tokio::spawn(follow_snapshots(store.clone(), link.clone(), local, gate));
    tokio::spawn(follow_store(store.clone()));
    let view = health::Node::new(NodeParts {
        store: store.clone(),
        signalling: Arc::clone(&link.status),
        media: media
            .iter()
            .map(|thread| Arc::clone(&thread.status))
            .collect(),
        panics: watched,
        limits: limits.clone(),
        calls_per_second_max: config.limits.calls_per_second_max,
        connections,
        connections_max: tcp_limits.connections_max,
        copies,
        exported,
        certificate: certificates.as_ref().map(|it| Arc::clone(it.figures())),
        media_io: media.first().map_or("none", |thread| thread.step.as_str()),
    });
    let doors = (link.asker(), link.guests());
    let shown = Arc::clone(&challenges);
    let http_stop = api::start(config, &store, &view, (doors, shown), listeners).await?;
    if let Some(certificates) = certificates {
        if let Some(acme) = acme_of(config) {
            let (shown, stop) = (Arc::clone(&certificates), http_stop.subscribe());
            tokio::spawn(renew(acme, shown, challenges, stop));
        }
        tokio::spawn(follow(certificates, http_stop.subscribe()));
    }
    wait_for_stock(&link).await;
    order_threads();
    view.enter(Phase::Ready);
    Ok(Node {
        view,
        store,
        link,
        signalling,
        media,
        http_stop,
    })
}

/// Addresses that descriptions may name for our ports, as they are at the start: those of trunks that
/// change later are known where SDP is read.
fn advertised_media(config: &Config, store: &Store) -> Vec<IpAddr> {
    let stored = store.snapshot();
    let trunks = stored.trunks.iter();
    let named = trunks.filter_map(|trunk| trunk.advertised_media_address);
    let trunks: BTreeSet<IpAddr> = named.collect();
    // The node's own first: a worker knows as many as it has the room for.
    let own = config.media.advertised;
    own.into_iter()
        .chain(trunks.into_iter().filter(|named| Some(*named) != own))
        .collect()
}

fn start_media(
    config: &Config,
    limits: &Limits,
    (advertised, browsers): (&[IpAddr], &Browsers),
    (wake, panics): (&Arc<Wake>, &Arc<PanicWatch>),
) -> Result<(Vec<MediaLink>, Vec<MediaThread>), ServeError> {
    let (mut links, mut threads) = (Vec::new(), Vec::new());
    for (worker, ports) in (0..limits.workers).zip(&limits.ports) {
        let seed = seed()?;
        let thread = MediaThreadConfig {
            worker: WorkerConfig {
                worker,
                addresses: config.media.addresses.clone(),
                advertised: advertised.to_vec(),
                ports: ports.clone(),
                pairs_max: limits.pairs_a_worker,
                rtcp_ports: config.media.rtcp_ports,
                stock: u32::from(config.media.stock),
                batch_budget: config.media.budget,
                dscp: config.media.dscp,
                seed,
                browsers: Some(browsers.for_worker(config, limits, worker)),
                ..WorkerConfig::new(worker, LOOPBACK, ports.clone(), seed)
            },
            packet_io: limits::packet_io(config, limits),
            realtime: config.media.realtime,
        };
        let (link, thread) = media_link::start(thread, Arc::clone(wake), Arc::clone(panics))
            .map_err(ServeError::system("a media worker"))?;
        match (&thread.ring_refused, config.media.backend) {
            (Some(why), MediaBackend::IoUring) => return Err(ServeError::NoRing(why.clone())),
            (Some(why), MediaBackend::Auto) if worker == 0 => {
                tracing::warn!(%why, "io_uring refused: media runs on epoll");
            }
            (Some(_), MediaBackend::Auto | MediaBackend::Epoll) | (None, _) => {}
        }
        links.push(link);
        threads.push(thread);
    }
    Ok((links, threads))
}

fn call_config(
    config: &Config,
    limits: &Limits,
    sockets: &[(SocketAddr, std::net::UdpSocket)],
    listeners: &[(SocketAddr, std::net::TcpListener)],
) -> Result<CallConfig, ServeError> {
    use sip::message::Method;
    let names = |named: &SocketAddr| listeners.iter().any(|(listener, _)| listener == named);
    Ok(CallConfig {
        endpoint: EndpointConfig {
            number: 0,
            seed: seed()?,
            product: config.sip.product.as_str().into(),
            calls_max: limits.calls_max,
            calls_per_second: config.limits.calls_per_second_max,
            draining: false,
            timers: sip::event::Timers::default(),
            allow: vec![
                Method::Invite,
                Method::Register,
                Method::Ack,
                Method::Cancel,
                Method::Bye,
                Method::Options,
                Method::Prack,
                Method::Update,
                Method::Info,
            ],
            tcp: sockets.iter().all(|(named, _)| names(named)),
            session_timer: Some(SESSION_TIMER),
            info_types: INFO_TYPES.map(Into::into).into(),
            reliable_early_media: false,
            emergency_numbers: EMERGENCY.map(Into::into).into(),
        },
        seed: seed()?,
        sockets: sockets.iter().map(|(named, _)| *named).collect(),
        listeners: listeners.iter().map(|(named, _)| *named).collect(),
        advertised_host: None,
        own_hosts: config
            .sip
            .advertised
            .iter()
            .map(ToString::to_string)
            .collect(),
        calls_per_second_max: config.limits.calls_per_second_max,
        video_pairs_max: limits.video_pairs_max,
        browser: None,
        ladder_octets: if config.log.ladder {
            ladder::TOTAL_OCTETS_MAX
        } else {
            0
        },
    })
}

async fn follow_store(store: Store) {
    if let Err(error) = store.follow().await {
        tracing::error!(%error, "changes of the database are no longer followed");
    }
}

/// Towards callers that are no trunk: what a trunk has where nothing is set.
const SESSION_TIMER: SessionTimer = SessionTimer {
    expires: Duration::from_secs(1_800),
    min: Duration::from_secs(90),
    refresh_by: RefreshBy::Invite,
};

/// A call that comes first must not meet an empty stock.
async fn wait_for_stock(link: &SignallingLink) {
    let has_stock = |status: &Status| status.counters.load().stock_available >= 2;
    let stocked = link.status.wait_until(has_stock);
    if tokio::time::timeout(STOCK_WAIT_MAX, stocked).await.is_err() {
        tracing::warn!("no media ports could be opened yet; calls are refused until then");
    }
}

/// Says what to try next.
fn announce(config: &Config, limits: &Limits, node: &Node) -> io::Result<()> {
    let step = node
        .media
        .first()
        .map_or("none", |thread| thread.step.as_str());
    tracing::info!(
        media = step,
        workers = limits.workers,
        calls_max = limits.calls_max,
        video_calls_max = limits.video_calls_max(),
        limited_by = limits.binding,
        "ready"
    );
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "Sluice is ready ({step}, up to {} calls).",
        limits.calls_max
    )?;
    let example = config
        .links
        .iter()
        .find_map(|link| match &link.request_path {
            RequestPath::Custom(path) => Some(path),
            RequestPath::Destination | RequestPath::Random => None,
        });
    match example {
        Some(path) => try_next(&mut output, config, path)?,
        None => writeln!(output, "  make a link:     sluice links add --help")?,
    }
    writeln!(output, "  stop:            Ctrl-C")?;
    output.flush()
}

/// The lines to copy for a link of the configuration file.
fn try_next(output: &mut impl Write, config: &Config, path: &str) -> io::Result<()> {
    if let (Some(http), true) = (config.http.listen.first(), config.http.resolve_open) {
        writeln!(
            output,
            "  resolve a link:  curl -s {http}/api/v1/resolve/{path}"
        )?;
    }
    if let (Some(https), true) = (config.https.listen.first(), config.http.resolve_open) {
        let unproven = if config.https.certificate.is_none() {
            "k"
        } else {
            ""
        };
        writeln!(
            output,
            "  the same by TLS: curl -s{unproven} https://{https}/api/v1/resolve/{path}"
        )?;
    }
    // A page of this machine gets the microphone without TLS too, and no warning of its certificate.
    let named = config.browser.urls.first().cloned();
    let listener = || Some(format!("https://{}", config.https.listen.first()?));
    if let Some(url) = named.or_else(listener) {
        writeln!(output, "  in a browser:    {url}/call/{path}")?;
    }
    let mut local = config.http.listen.iter();
    if let Some(http) = local.find(|listen| listen.ip().is_loopback()) {
        writeln!(output, "  on this machine: http://{http}/call/{path}")?;
    }
    for sip in &config.sip.listen {
        let host = match sip.port() {
            5060 => sip.ip().to_string(),
            _ => sip.to_string(),
        };
        writeln!(output, "  call a link:     sip:{path}@{host}")?;
    }
    Ok(())
}

/// New calls are refused; until the last call is over or the time is up.
async fn drain(link: &SignallingLink, time: Duration) {
    tasks::say(link, Word::Drain).await;
    let is_over = |status: &Status| {
        status.draining.load(Ordering::Acquire) && status.calls_active.load(Ordering::Relaxed) == 0
    };
    // With the last call or with the time: the rest is ended by whoever waits.
    let _in_time = tokio::time::timeout(time, link.status.wait_until(is_over)).await;
}

/// Every call is ended; peers that stay silent are not waited for.
async fn stop(link: &SignallingLink) {
    tasks::say(link, Word::Stop).await;
    let has_stopped = |status: &Status| status.stopped.load(Ordering::Acquire);
    let _in_time = tokio::time::timeout(STOP_MAX, link.status.wait_until(has_stopped)).await;
}

async fn finish(node: Node) {
    let Node {
        view: _,
        store,
        link,
        signalling,
        mut media,
        http_stop,
    } = node;
    // Nobody listening is as good.
    let _told = http_stop.send(true);
    if link.status.stopped.load(Ordering::Acquire) {
        let joined = tokio::task::spawn_blocking(move || signalling.join());
        if tokio::time::timeout(JOIN_MAX, joined).await.is_err() {
            tracing::warn!("signalling did not end in time");
        }
    }
    for thread in &mut media {
        thread.stop();
    }
    if tokio::time::timeout(STORE_CLOSE_MAX, store.close())
        .await
        .is_err()
    {
        tracing::error!("storage did not take the last records in time");
    }
    tracing::info!("stopped");
}

fn seed() -> Result<[u8; 32], ServeError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| ServeError::System {
        what: "randomness",
        source: io::Error::other(error.to_string()),
    })?;
    Ok(seed)
}

/// Replaced by the configured addresses; a worker's constructor wants one.
const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const CONTROL_THREADS: usize = 2;
const STOCK_WAIT_MAX: Duration = Duration::from_secs(3);
/// More than call control's own patience with silent peers; together with the rest under 4 s.
const STOP_MAX: Duration = Duration::from_millis(2_300);
const JOIN_MAX: Duration = Duration::from_millis(200);
const STORE_CLOSE_MAX: Duration = Duration::from_millis(400);
/// All of these together.
const STOPPED_WITHIN: Duration = Duration::from_secs(4);
const RUNTIME_END_MAX: Duration = Duration::from_millis(100);
