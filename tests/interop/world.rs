//! Where a test runs: a network namespace, a folder, processes that end with it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use tempfile::TempDir;

/// A test's own network and folder.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    /// Moves the test's thread into a network of its own. `None`: something needed is missing, and
    /// that has been said.
    pub(crate) fn open(tools: &[&str]) -> Option<Self> {
        let missing = tools.iter().find(|tool| !is_installed(tool));
        if let Some(tool) = missing {
            return not_run(&format!("{tool} missing"));
        }
        if let Err(error) = nix::sched::unshare(CloneFlags::CLONE_NEWNET) {
            return not_run(&format!("no network namespace ({error}): root is needed"));
        }
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        if !up.is_ok_and(|status| status.success()) {
            return not_run("ip missing");
        }
        Some(Self {
            folder: TempDir::new().expect("a temporary folder"),
        })
    }

    /// A file of this test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of this test.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder");
        }
        fs::write(&path, text).expect("a file");
        path
    }

    /// Starts a program in this test's folder; what it says goes to `NAME.log`.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Process {
        let log = self.file(&format!("{name}.log"));
        let output = File::create(&log).expect("a log");
        let child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        Process {
            name: name.to_owned(),
            child,
            log,
        }
    }
}

fn is_installed(tool: &str) -> bool {
    find(tool).is_some()
}

/// Where a program is.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
}

/// True when somebody listens on this UDP address in this test's network.
pub(crate) fn is_listening(address: &str) -> bool {
    // `thread-self`: the namespace is this thread's, not the process's.
    let sockets = fs::read_to_string("/proc/thread-self/net/udp").unwrap_or_default();
    sockets.contains(&format!("{} ", of_the_kernel(address)))
}

/// True when somebody listens on this TCP address in this test's network.
pub(crate) fn is_listening_tcp(address: &str) -> bool {
    let listens = format!("{} 00000000:0000 0A ", of_the_kernel(address));
    let sockets = fs::read_to_string("/proc/thread-self/net/tcp").unwrap_or_default();
    sockets.contains(&listens)
}

/// Connections to this TCP address, as the side that made them sees it.
pub(crate) fn connections_to(address: &str) -> usize {
    let remote = of_the_kernel(address);
    let sockets = fs::read_to_string("/proc/thread-self/net/tcp").unwrap_or_default();
    let lines = sockets.lines().skip(1);
    // The kernel shows a row twice where others come while it is read.
    let ours: BTreeSet<&str> = lines
        .filter(|line| line.split_whitespace().nth(2) == Some(&remote))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    ours.len()
}

/// An address as `/proc/net` writes it.
fn of_the_kernel(address: &str) -> String {
    let port = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse::<u16>().ok());
    let label = format!(":{:04X}", port.expect("a port"));
    let [a, b, c, d]: [u8; 4] = address
        .split([':', '.'])
        .take(4)
        .map(|part| part.parse().expect("an IPv4 address"))
        .collect::<Vec<_>>()
        .try_into()
        .expect("four parts");
    format!("{:08X}{label}", u32::from_le_bytes([a, b, c, d]))
}

pub(crate) fn not_run<T>(reason: &str) -> Option<T> {
    assert!(
        std::env::var("SLUICE_INTEROP").as_deref() != Ok("require"),
        "not run: {reason}"
    );
    println!("not run: {reason}");
    None
}

/// A program that a test started; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn id(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Everything it has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for its end; fails the test when it does not come.
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let mut status = None;
        until(&format!("the end of {}", self.name), patience, || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("ended")
    }

    /// Waits for its end and fails with what it said unless it ended well.
    pub(crate) fn succeed(&mut self, patience: Duration) {
        let status = self.wait(patience);
        assert!(
            status.success(),
            "{}: {status}\n{}",
            self.name,
            self.all_logs()
        );
    }

    /// True while it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Its log, and the error files that it may have written beside.
    fn all_logs(&self) -> String {
        let mut text = self.said();
        let folder = self.log.parent().unwrap_or_else(|| Path::new("."));
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("_errors.log") || name == "sluice.log" {
                let content = fs::read_to_string(entry.path()).unwrap_or_default();
                text.push_str(&format!("\n--- {name}\n{content}"));
            }
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Looks until `done`; fails the test after `patience`.
pub(crate) fn until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !done() {
        assert!(
            Instant::now() < deadline,
            "{what} did not come in {patience:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
