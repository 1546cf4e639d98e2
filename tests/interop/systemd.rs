//! The installed unit under a systemd of its own: PID 1 of a namespace that knows no unit but ours.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use crate::gateway::BINARY;
use crate::operation::metric;
use crate::phone::Phone;
use crate::world::{Process, World, not_run, until};

const SYSTEMD: &str = "/lib/systemd/systemd";
const PATIENCE: Duration = Duration::from_secs(20);
/// `WatchdogSec`, the end of the process, `RestartSec`, and the start.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(60);
const CONFIG: &str = "[http]\nlisten = [\"127.0.0.1:8080\"]\n\
    [[source]]\nname = \"phones\"\nnetworks = [\"127.0.0.1/32\"]\nlinks = \"all\"\n\
    [[link]]\nrequest_path = \"echo\"\ndestination = \"local:echo\"\n";

/// A running system; it ends with this value.
struct System {
    process: Option<Process>,
    group: PathBuf,
    first: String,
}

impl System {
    /// `None`: this machine does not let us have one.
    fn start(world: &World, installed: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let groups = mounts
            .lines()
            .find(|line| line.starts_with("cgroup2 "))?
            .split(' ')
            .nth(1)?;
        let group = PathBuf::from(groups).join(format!("sluice-test-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let base = world.file("system");
        fs::create_dir(&base).expect("a folder");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/systemd.sh");
        let enter = "echo 0 > \"$1/cgroup.procs\" && exec unshare --kill-child --fork --pid --mount \
                     --cgroup --ipc --uts sh \"$2\" \"$3\" \"$4\"";
        let mut command = Command::new("sh");
        command.args(["-c", enter, "sh"]);
        command
            .args([&group, &PathBuf::from(script), &base])
            .arg(installed);
        let mut system = Self {
            process: Some(world.start("systemd", &mut command)),
            group,
            first: String::new(),
        };
        let mut came = false;
        until("systemd, or its end", PATIENCE, || {
            came = system.is_up();
            came || !system.process.as_mut().is_some_and(Process::runs)
        });
        came.then_some(system)
    }

    fn is_up(&mut self) -> bool {
        let unshare = self
            .process
            .as_ref()
            .map_or(0, |process| process.id().as_raw());
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"));
        self.first = children.unwrap_or_default().trim().to_owned();
        let name = fs::read_to_string(format!("/proc/{}/comm", self.first)).unwrap_or_default();
        name.trim() == "systemd"
            && self
                .within(&["systemctl", "is-system-running"])
                .status
                .success()
    }

    fn within(&self, command: &[&str]) -> Output {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &self.first, "-m", "-p", "-i", "-u", "-C"]);
        nsenter.args(command).output().expect("nsenter")
    }

    fn succeed(&self, command: &[&str]) {
        let ended = self.within(command);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{command:?}: {said}");
    }

    /// A property of our unit.
    fn property(&self, name: &str) -> String {
        let shown = self.within(&["systemctl", "show", "sluice", "--value", "-p", name]);
        String::from_utf8_lossy(&shown.stdout).trim().to_owned()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.process = None;
        // Empty groups only: what still ends keeps its own for a moment.
        until("empty groups", PATIENCE, || {
            let remove = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
            let found = Command::new("find").arg(&self.group).args(remove).output();
            found.is_err() || !self.group.exists()
        });
    }
}

#[test]
fn systemd_starts_reloads_watches_and_stops_the_installed_unit() {
    let Some(world) = World::open(&["ip", "make"]) else {
        return;
    };
    let installed = world.file("installed");
    let destination = format!("DESTDIR={}", installed.display());
    let made = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "install",
            "PREFIX=/usr",
            &destination,
            &format!("BINARY={BINARY}"),
        ])
        .output()
        .expect("make");
    assert!(made.status.success(), "{made:?}");
    fs::write(installed.join("etc/sluice/sluice.toml"), CONFIG).expect("a file");
    let system = fs::exists(SYSTEMD)
        .unwrap_or(false)
        .then(|| System::start(&world, &installed.display().to_string()))
        .flatten();
    let Some(system) = system else {
        not_run::<()>("no systemd of its own");
        return;
    };
    // Type=notify: it returns when calls are taken.
    system.succeed(&["systemctl", "start", "sluice"]);
    assert_eq!(system.property("ActiveState"), "active");
    assert!(system.property("StatusText").starts_with("ready"));
    assert_eq!(metric("sluice_calls_active"), Some(0));
    let process = system.property("MainPID");

    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    system.succeed(&["systemctl", "reload", "sluice"]);
    assert_eq!(system.property("MainPID"), process, "no call is touched");
    assert_eq!(metric("sluice_reloads_total{outcome=\"done\"}"), Some(1));
    assert!(phone.exchange(target, 10).len() >= 8, "the call goes on");
    phone.hang_up();

    // Nothing turns any more: the watchdog ends it, and it is started again.
    system.succeed(&["kill", "-STOP", &process]);
    until("a new process", WATCHDOG_PATIENCE, || {
        system.property("NRestarts") == "1" && system.property("ActiveState") == "active"
    });
    assert_ne!(system.property("MainPID"), process);
    let mut phone = Phone::new("127.0.0.1");
    phone.call("echo");
    phone.hang_up();

    system.succeed(&["systemctl", "stop", "sluice"]);
    assert_eq!(system.property("ActiveState"), "inactive");
    assert_eq!(system.property("Result"), "success");
}
