//! A guest's own network: a browser in a namespace with two ways to the test's gateway, of which one can end.

use std::fs::File;
use std::process::Command;
use std::sync::mpsc::channel;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::gettid;

/// The gateway's address, as a guest reaches it by either way.
pub(crate) const GATEWAY: &str = "10.70.0.1";

/// One of the two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Taken while it is there.
    Wifi,
    Mobile,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Wifi => "wifi",
            Self::Mobile => "mobile",
        }
    }

    /// The guest's address there.
    pub(crate) const fn address(self) -> &'static str {
        match self {
            Self::Wifi => "10.70.1.2",
            Self::Mobile => "10.70.2.2",
        }
    }

    const fn router(self) -> &'static str {
        match self {
            Self::Wifi => "10.70.1.1",
            Self::Mobile => "10.70.2.1",
        }
    }

    const fn metric(self) -> &'static str {
        match self {
            Self::Wifi => "100",
            Self::Mobile => "200",
        }
    }
}

/// The namespace; it is gone when this and every process in it are.
#[derive(Debug)]
pub(crate) struct Network {
    namespace: File,
}

impl Network {
    /// Beside the network of this test, whose thread calls this.
    pub(crate) fn new() -> Self {
        let namespace = std::thread::scope(|scope| {
            let (tell, told) = channel();
            let (end, ended) = channel::<()>();
            let inside = scope.spawn(move || {
                unshare(CloneFlags::CLONE_NEWNET).expect("a network of its own");
                tell.send(gettid()).expect("the test waits");
                // `ip` finds the namespace by this thread.
                ended.recv().ok();
                File::open("/proc/thread-self/ns/net").expect("its network")
            });
            let thread = told.recv().expect("a thread").to_string();
            for way in [Way::Wifi, Way::Mobile] {
                let name = way.name();
                ip(&format!(
                    "link add {name} type veth peer name {name} netns {thread}"
                ));
                silence(name);
                ip(&format!("addr add {}/24 dev {name}", way.router()));
                ip(&format!("link set {name} up"));
            }
            ip(&format!("addr add {GATEWAY}/32 dev lo"));
            drop(end);
            inside.join().expect("a network")
        });
        let network = Self { namespace };
        network.inside(|| ip("link set lo up"));
        for way in [Way::Wifi, Way::Mobile] {
            network.inside(|| silence(way.name()));
            network.inside(|| ip(&format!("addr add {}/24 dev {}", way.address(), way.name())));
            network.come(way);
        }
        network
    }

    /// No other than that of this test, whose thread calls this: the browser is on the machine of the gateway.
    pub(crate) fn of_the_gateway() -> Self {
        let namespace = File::open("/proc/thread-self/ns/net").expect("its network");
        Self { namespace }
    }

    /// Does this on a thread in there; processes that it starts stay in there.
    pub(crate) fn inside<Output: Send>(&self, act: impl FnOnce() -> Output + Send) -> Output {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("its network");
                act()
            });
            thread.join().expect("no panic in there")
        })
    }

    /// The way ends, as one that a guest walks out of.
    pub(crate) fn leave(&self, way: Way) {
        self.inside(|| ip(&format!("link set {} down", way.name())));
    }

    /// From now on nothing leaves but to web pages (8443 here), and to a relay at this port.
    pub(crate) fn let_out(&self, relay: Option<(&str, u16)>) {
        self.inside(|| {
            for (transport, port) in [("tcp", 8443)].into_iter().chain(relay) {
                let open = format!("ipproto {transport} dport {port}");
                ip(&format!("rule add pref 10 {open} lookup main"));
            }
            for closed in ["tcp", "udp"] {
                ip(&format!("rule add pref 20 ipproto {closed} prohibit"));
            }
        });
    }

    /// From now on each way loses so many of a hundred datagrams of UDP, in both directions.
    pub(crate) fn lose(&self, percent: u32) {
        // Of IPv4, of UDP, of 32 random bits less than that: dropped.
        let share = u64::from(percent) * (1 << 32) / 100;
        let program = format!(
            "8,40 0 0 12,21 0 5 2048,48 0 0 23,21 0 3 17,32 0 0 4294963256,53 1 0 {share},6 0 0 2,6 0 0 0"
        );
        self.inside(|| {
            for way in [Way::Wifi, Way::Mobile] {
                let name = way.name();
                tc(&["qdisc", "replace", "dev", name, "clsact"]);
                for direction in ["ingress", "egress"] {
                    tc(&[
                        "filter", "replace", "dev", name, direction, "pref", "1", "handle", "1",
                        "bpf", "da", "bytecode", &program,
                    ]);
                }
            }
        });
    }

    /// And comes back.
    pub(crate) fn come(&self, way: Way) {
        let (name, router, metric) = (way.name(), way.router(), way.metric());
        self.inside(|| {
            ip(&format!("link set {name} up"));
            ip(&format!(
                "route replace default via {router} dev {name} metric {metric}"
            ));
        });
    }
}

/// No address of IPv6 that is there a second or two later: a browser sees a network that changes, and gives up
/// what it loads.
fn silence(name: &str) {
    ip(&format!("link set dev {name} addrgenmode none"));
}

fn ip(arguments: &str) {
    run("ip", &arguments.split(' ').collect::<Vec<_>>());
}

fn tc(arguments: &[&str]) {
    run("tc", arguments);
}

fn run(tool: &str, arguments: &[&str]) {
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{tool} {arguments:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {error}");
}
