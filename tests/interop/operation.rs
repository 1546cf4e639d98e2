//! The node as its operator meets it: systemd's socket, reload, drain, metrics, captures, and a
//! machine that has run out of something.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use crate::gateway::{BINARY, Gateway, HTTP, cli, link, write_config};
use crate::phone::Phone;
use crate::world::{Process, World, not_run, until};

const PATIENCE: Duration = Duration::from_secs(10);

fn echo_link() -> String {
    link("echo", "local:echo")
}

/// A configuration with more tables in front of the usual ones.
pub(crate) fn config_with(world: &World, more: &str) -> PathBuf {
    let file = write_config(world, "", &echo_link());
    let text = fs::read_to_string(&file).expect("a file");
    world.write("sluice.toml", &format!("{more}\n{text}"))
}

/// Starts a node by a command of its own, and waits until it serves.
fn start(world: &World, command: &mut Command) -> Process {
    let mut process = world.start("sluice", command);
    until("a node that is ready", Duration::from_secs(20), || {
        assert!(process.runs(), "it ended:\n{}", process.said());
        process.said().contains("Sluice is ready")
    });
    process
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config"]).arg(config);
    command
}

/// One request; status and body.
fn http(method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(HTTP).expect("HTTP");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status"), body.unwrap_or_default())
}

/// The value of a metric with these labels as the exposition writes them.
pub(crate) fn metric(name: &str) -> Option<u64> {
    let (status, text) = http("GET", "/metrics");
    assert_eq!(status, 200, "{text}");
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix(' ')?;
        rest.trim().parse().ok()
    })
}

#[test]
fn systemd_is_told_ready_alive_reloading_and_stopping() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let path = world.file("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    systemd.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let hear = |word: &str| {
        until(word, PATIENCE, || {
            let mut text = [0; 512];
            let length = systemd.recv(&mut text).expect("a word for systemd");
            String::from_utf8_lossy(&text[..length])
                .lines()
                .any(|line| line == word)
        });
    };
    let config = write_config(&world, "", &echo_link());
    let mut process = start(
        &world,
        serve(&config)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000"),
    );
    hear("READY=1");
    hear("WATCHDOG=1");
    nix::sys::signal::kill(process.id(), Signal::SIGHUP).expect("it runs");
    hear("RELOADING=1");
    hear("READY=1");
    nix::sys::signal::kill(process.id(), Signal::SIGTERM).expect("it runs");
    hear("STOPPING=1");
    assert!(process.wait(PATIENCE).success());
}

#[test]
fn a_call_outlives_a_good_file_and_a_bad_one() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let config = write_config(&world, "", &echo_link());
    let gateway = Gateway::start_with(&world, config.clone());
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    let good = fs::read_to_string(&config).expect("a file");
    let changed = format!("[log]\nlevel = \"debug\"\n[hep]\nid = 9\n{good}");
    world.write("sluice.toml", &changed);
    gateway.signal(Signal::SIGHUP);
    until("the reload", PATIENCE, || {
        let said = gateway.process.said();
        said.contains("applied=log.level") && said.contains("keys=hep.id")
    });
    world.write("sluice.toml", "[node]\ndrain_s = \"soon\"\n");
    gateway.signal(Signal::SIGHUP);
    until("the refusal", PATIENCE, || {
        gateway.process.said().contains("the old one stays")
    });
    assert_eq!(metric("sluice_reloads_total{outcome=\"done\"}"), Some(1));
    assert_eq!(metric("sluice_reloads_total{outcome=\"refused\"}"), Some(1));
    assert!(
        phone.exchange(target, 10).len() >= 8,
        "it is heard all the same"
    );
    phone.hang_up();
    world.write("sluice.toml", &good);
    assert_eq!(gateway.closed_calls(1)[0]["cause"], "normal");
}

#[test]
fn draining_refuses_new_calls_and_waits_for_the_last_one() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let config = write_config(&world, "", &echo_link());
    let text = fs::read_to_string(&config).expect("a file");
    world.write("sluice.toml", &text.replace("drain_s = 0", "drain_s = 60"));
    let mut gateway = Gateway::start_with(&world, config);
    assert_eq!(http("GET", "/readyz").0, 200);
    assert_eq!(http("GET", "/healthz").0, 200);
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    gateway.signal(Signal::SIGTERM);
    until("the word of it", PATIENCE, || {
        http("GET", "/readyz").0 == 503
    });
    assert!(http("GET", "/readyz").1.contains("draining"));
    assert_eq!(http("GET", "/healthz").0, 200, "it lives");
    let late = Phone::new("127.0.0.1");
    late.invite("echo");
    assert_eq!(late.final_response().map(|(status, _)| status), Some(503));
    let asks = Phone::new("127.0.0.1");
    asks.options();
    assert_eq!(asks.final_response().map(|(status, _)| status), Some(503));
    assert!(phone.exchange(target, 10).len() >= 8);
    phone.hang_up();
    assert!(gateway.process.wait(PATIENCE).success());
}

#[test]
fn the_drain_command_ends_a_node_after_its_last_call() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let config = write_config(&world, "", &echo_link());
    let text = fs::read_to_string(&config).expect("a file");
    world.write("sluice.toml", &text.replace("drain_s = 0", "drain_s = 60"));
    let mut gateway = Gateway::start_with(&world, config);
    assert_eq!(
        http("POST", "/api/v1/node/drain").0,
        401,
        "not for everybody"
    );
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    gateway.run(&["drain"]);
    until("the word of it", PATIENCE, || {
        http("GET", "/readyz").0 == 503
    });
    assert!(phone.exchange(target, 10).len() >= 8, "the call goes on");
    phone.hang_up();
    assert!(gateway.process.wait(PATIENCE).success());
}

#[test]
fn metrics_show_a_call_and_every_limit_that_could_refuse_one() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, &echo_link());
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    assert!(phone.exchange(target, 10).len() >= 8);
    phone.hang_up();
    let stranger = Phone::new("127.0.0.9");
    stranger.options();
    for (name, least) in [
        ("sluice_calls_offered_total", 1),
        ("sluice_calls_answered_total", 1),
        ("sluice_calls_ended_total{cause=\"normal\"}", 1),
        ("sluice_sip_requests_received_total{method=\"INVITE\"}", 1),
        ("sluice_sip_responses_sent_total{status=\"200\"}", 2),
        ("sluice_sip_unknown_source_total", 1),
        ("sluice_media_packets_received_total{worker=\"0\"}", 8),
        ("sluice_media_batches_total{worker=\"0\",packets=\"1\"}", 8),
        ("sluice_media_lateness_seconds_count{worker=\"0\"}", 1),
        (
            "sluice_media_kernel_total{worker=\"0\",event=\"kernel_entries\"}",
            8,
        ),
        ("sluice_media_kernel_total{worker=\"0\",event=\"wakes\"}", 1),
        ("sluice_cdr_records_written_total", 2),
        ("sluice_storage_write_seconds_count", 1),
        ("sluice_sip_table_max{table=\"transactions\"}", 1),
        ("sluice_sip_table_max{table=\"calls\"}", 1),
        ("sluice_queue_max{queue=\"records\"}", 1),
        ("sluice_media_pairs_available", 2),
        ("sluice_process_descriptors_max", 1),
        ("sluice_http_connections_max", 1),
        ("sluice_calls_per_second_max", 1),
        ("sluice_phase{phase=\"ready\"}", 1),
    ] {
        until(name, PATIENCE, || metric(name) >= Some(least));
    }
    let (_, text) = http("GET", "/metrics");
    for address in ["127.0.0.1", "127.0.0.9", "phone"] {
        assert!(!text.contains(address), "a metric names {address}");
    }
}

#[test]
fn two_workers_share_the_calls_and_each_says_what_it_carried() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let config = write_config(&world, "workers = 2", &echo_link());
    let _gateway = Gateway::start_with(&world, config);
    let mut phones = [(); 4].map(|()| Phone::new("127.0.0.1"));
    for phone in &mut phones {
        let target = phone.call("echo");
        assert!(phone.exchange(target, 10).len() >= 8);
    }
    for worker in 0..2 {
        let name = format!("sluice_media_packets_received_total{{worker=\"{worker}\"}}");
        until(&name, PATIENCE, || metric(&name) >= Some(8));
    }
    for phone in &mut phones {
        phone.hang_up();
    }
}

/// As who has the certificate of the node and trusts nothing else.
#[test]
fn links_resolve_by_tls_and_a_node_without_a_certificate_keeps_its_own() {
    let Some(world) = World::open(&["ip", "curl"]) else {
        return;
    };
    let config = config_with(&world, "[https]\nlisten = [\"127.0.0.1:8443\"]");
    let ask = |trusted: Option<&Path>| {
        let url = "https://127.0.0.1:8443/api/v1/resolve/echo";
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "10"]).arg(url);
        if let Some(trusted) = trusted {
            curl.arg("--cacert").arg(trusted);
        }
        let answer = curl.output().expect("curl");
        (
            answer.status.success(),
            String::from_utf8_lossy(&answer.stdout).into_owned(),
        )
    };
    let mut shown = Vec::new();
    for _ in 0..2 {
        let _gateway = Gateway::start_with(&world, config.clone());
        let certificate = world.file("data/self-signed.pem");
        let (is_good, answer) = ask(Some(&certificate));
        assert!(is_good && answer.contains("local:echo"), "{answer}");
        assert!(!ask(None).0, "nobody else's word proves it");
        let failed = "sluice_https_handshakes_failed_total";
        until(failed, PATIENCE, || metric(failed) == Some(1));
        shown.push(fs::read(certificate).expect("the certificate"));
    }
    assert_eq!(shown[0], shown[1]);
}

/// A small disk of this test's own under the node's data.
fn small_disk(world: &World) -> Option<()> {
    let data = world.file("data");
    fs::create_dir_all(&data).expect("a folder");
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).ok()?;
    let run = |arguments: &[&str]| {
        let ended = Command::new("mount").args(arguments).status();
        ended.is_ok_and(|ended| ended.success())
    };
    let mounted = run(&["--make-rprivate", "/"])
        && run(&[
            "-t",
            "tmpfs",
            "-o",
            "size=8m",
            "none",
            &data.to_string_lossy(),
        ]);
    mounted.then_some(())
}

#[test]
fn calls_go_on_while_the_disk_is_full_and_each_is_recorded_once() {
    let Some(world) = World::open(&["ip", "mount"]) else {
        return;
    };
    if small_disk(&world).is_none() {
        not_run::<()>("no mount in a namespace");
        return;
    }
    let gateway = Gateway::start(&world, &echo_link());
    let filler = world.file("data/filler");
    fill(&filler);
    for _ in 0..5 {
        let mut phone = Phone::new("127.0.0.1");
        let target = phone.call("echo");
        assert!(phone.exchange(target, 5).len() >= 4, "media go on");
        phone.hang_up();
    }
    until("the alarm", PATIENCE, || {
        metric("sluice_storage_failing") >= Some(1)
    });
    let alarms = gateway
        .process
        .said()
        .matches("takes no call records:")
        .count();
    assert!((1..=12).contains(&alarms), "an alarm, no storm: {alarms}");
    fs::remove_file(&filler).expect("the filler");
    until("the end of the alarm", Duration::from_secs(20), || {
        metric("sluice_storage_failing") == Some(0)
    });
    let calls = gateway.closed_calls(5);
    assert_eq!(calls.len(), 5, "each once: {calls:?}");
    for call in &calls {
        assert_eq!(call["cause"], "normal", "{call:?}");
    }
    assert_eq!(metric("sluice_cdr_records_lost_total"), Some(0));
}

/// Takes what room is left, to the last octet.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    for size in [1 << 16, 1 << 12, 1] {
        let octets = vec![0; size];
        while file.write_all(&octets).is_ok() {}
    }
}

/// Takes the database's write lock, as another program may; gives it back when dropped.
struct WriteLock {
    runtime: tokio::runtime::Runtime,
    connection: Option<sqlx::SqliteConnection>,
}

impl WriteLock {
    fn take(database: &Path) -> Self {
        use sqlx::ConnectOptions as _;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await.expect("the database");
            let lock = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection);
            lock.await.expect("the lock");
            connection
        });
        Self {
            runtime,
            connection: Some(connection),
        }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.runtime.block_on(async {
                let unlocked = sqlx::query("ROLLBACK").execute(&mut connection).await;
                unlocked.expect("the lock");
            });
        }
    }
}

#[test]
fn records_wait_in_the_spool_and_come_back_once_after_a_kill() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let mut gateway = Gateway::start(&world, &echo_link());
    let lock = WriteLock::take(&world.file("data/sluice.db"));
    for _ in 0..3 {
        let mut phone = Phone::new("127.0.0.1");
        phone.call("echo");
        phone.hang_up();
    }
    until("records in the spool", Duration::from_secs(20), || {
        metric("sluice_cdr_spool_records") >= Some(6)
    });
    assert!(world.file("data/sluice.spool").exists());
    gateway.signal(Signal::SIGKILL);
    gateway.process.wait(PATIENCE);
    drop(lock);
    let gateway = Gateway::start(&world, &echo_link());
    let calls = gateway.closed_calls(3);
    assert_eq!(calls.len(), 3, "{calls:?}");
    for call in &calls {
        assert_eq!(call["cause"], "normal", "{call:?}");
    }
    assert!(!world.file("data/sluice.spool").exists());
}

#[test]
fn a_whole_call_while_the_writer_stands_for_two_seconds() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &echo_link());
    let lock = WriteLock::take(&world.file("data/sluice.db"));
    let began = Instant::now();
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    assert!(phone.exchange(target, 50).len() >= 40);
    phone.hang_up();
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "the call waited for the writer: {took:?}"
    );
    until("two seconds", PATIENCE, || {
        began.elapsed() > Duration::from_secs(2)
    });
    drop(lock);
    assert_eq!(gateway.closed_calls(1)[0]["status"], 200);
}

#[test]
fn without_descriptors_calls_that_are_up_go_on_and_new_ones_come_back_later() {
    let Some(world) = World::open(&["ip", "sh"]) else {
        return;
    };
    let config = write_config(&world, "stock = 2", &echo_link());
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -n 90; exec \"$0\" serve --config \"$1\"",
            BINARY,
        ])
        .arg(&config);
    let mut process = start(&world, &mut command);
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    // Each connection takes a descriptor, until none is left.
    let connections: Vec<TcpStream> = (0..120)
        .filter_map(|_| TcpStream::connect(HTTP).ok())
        .collect();
    until("the want of descriptors", PATIENCE, || {
        process
            .said()
            .contains("an HTTP connection was not accepted")
    });
    assert!(phone.exchange(target, 20).len() >= 16, "the call goes on");
    phone.hang_up();
    let answers: Vec<Option<u16>> = (0..3)
        .map(|_| {
            let phone = Phone::new("127.0.0.1");
            phone.invite("echo");
            phone.final_response().map(|(status, _)| status)
        })
        .collect();
    assert!(
        answers
            .iter()
            .all(|status| matches!(status, Some(200 | 503))),
        "an answer, whatever it is: {answers:?}"
    );
    assert!(process.runs());
    drop(connections);
    until("calls again", Duration::from_secs(40), || {
        let phone = Phone::new("127.0.0.1");
        phone.invite("echo");
        phone.final_response().map(|(status, _)| status) == Some(200)
    });
}

#[test]
fn no_caller_writes_a_line_of_the_log() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let config = config_with(&world, "[log]\nformat = \"json\"\nlevel = \"debug\"");
    let gateway = Gateway::start_with(&world, config);
    let phone = Phone::new("127.0.0.1");
    phone.invite("x%0d%0a{%22level%22:%22forged%22}%1b[2J");
    assert_eq!(phone.final_response().map(|(status, _)| status), Some(404));
    let mut of_the_call = 0;
    until("a line about the call", PATIENCE, || {
        let said = gateway.process.said();
        of_the_call = 0;
        for line in said.lines().filter(|line| line.starts_with('{')) {
            let object: serde_json::Value = serde_json::from_str(line).expect("an object a line");
            assert_ne!(object["level"], "forged");
            of_the_call += usize::from(object["call"].is_string());
        }
        assert!(!said.contains('\u{1b}'), "{said}");
        of_the_call > 0
    });
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let trunk = "[[trunk]]\nlabel = \"silent\"\ntargets = [\"127.0.0.8:5060\"]\n\
                 options_interval_up_s = 0\n\n";
    let config = write_config(&world, "", trunk);
    // Somebody else has our port.
    let _taken = UdpSocket::bind("127.0.0.1:5060").expect("free in a new namespace");
    cli(&config, &["trunks", "list"]);
    let output = Command::new(BINARY)
        .args(["doctor", "--json", "--config"])
        .arg(&config)
        .output()
        .expect("the doctor");
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("a list");
    let of = |check: &str| {
        let mut found = findings.iter().filter(|finding| finding["check"] == check);
        found
            .next()
            .unwrap_or_else(|| panic!("no {check}: {findings:?}"))
    };
    assert_eq!(of("sip.listen")["grade"], "bad");
    assert!(
        of("sip.listen")["found"]
            .as_str()
            .is_some_and(|text| text.contains("held by"))
    );
    assert_eq!(of("http.listen")["grade"], "good");
    assert_eq!(of("trunk")["grade"], "bad");
    assert!(
        of("trunk")["advice"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    for check in [
        "io_uring",
        "clock",
        "database",
        "node key",
        "disk",
        "ephemeral",
        "capacity",
    ] {
        of(check);
    }
}

#[test]
fn what_make_installs_is_a_unit_that_systemd_accepts() {
    let Some(world) = World::open(&["ip", "make"]) else {
        return;
    };
    let root = world.file("root");
    let make = |target: &str| {
        Command::new("make")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg(target)
            .arg(format!("DESTDIR={}", root.display()))
            .arg("PREFIX=/usr")
            .arg(format!("BINARY={BINARY}"))
            .output()
            .expect("make")
    };
    let installed = make("install");
    let said = String::from_utf8_lossy(&installed.stderr);
    assert!(installed.status.success(), "{said}");
    for file in [
        "usr/bin/sluice",
        "usr/lib/systemd/system/sluice.service",
        "usr/lib/sysusers.d/sluice.conf",
        "usr/lib/tmpfiles.d/sluice.conf",
        "etc/sluice/sluice.toml",
        "etc/sluice/turnserver.conf.example",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let unit = root.join("usr/lib/systemd/system/sluice.service");
    verify(&unit, &root);
    // A second time keeps the configuration; away is away, but for what is the operator's.
    fs::write(root.join("etc/sluice/sluice.toml"), "# mine\n").expect("a file");
    assert!(make("install").status.success());
    let kept = fs::read_to_string(root.join("etc/sluice/sluice.toml")).expect("a file");
    assert_eq!(kept, "# mine\n");
    assert!(make("uninstall").status.success());
    assert!(!unit.exists() && !root.join("usr/bin/sluice").exists());
    assert!(root.join("etc/sluice/sluice.toml").exists());
}

/// `systemd-analyze`, where it is.
fn verify(unit: &Path, root: &Path) {
    let analyze = |arguments: &[&str], unit: &Path| {
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .arg(unit)
            .output();
        output.ok()
    };
    // It looks for the program: at the place where it is now.
    let text = fs::read_to_string(unit).expect("the unit");
    assert!(!text.contains('@'.to_string().repeat(2).as_str()) && !text.contains("@BINDIR@"));
    let here = root.join("sluice.service");
    let bin = root.join("usr/bin").display().to_string();
    fs::write(&here, text.replace("/usr/bin", &bin)).expect("a file");
    let Some(verified) = analyze(&["verify"], &here) else {
        not_run::<()>("systemd-analyze missing");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(
        verified.status.success() && !said.contains("sluice.service:"),
        "{said}"
    );
    let security = analyze(&["security", "--offline=true", "--threshold=25"], &here);
    let security = security.expect("systemd-analyze");
    let said = String::from_utf8_lossy(&security.stdout);
    assert!(
        security.status.success(),
        "exposed to more than 2.5:\n{said}"
    );
}
