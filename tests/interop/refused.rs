//! Hosts that refuse what media workers would like: the ring, a core, `SCHED_FIFO`. The node says so, and
//! serves as well as it can.

use std::time::Duration;

use nix::libc;

use crate::gateway::{Gateway, link, spawn_under, write_config};
use crate::node::hears_itself;
use crate::world::World;

/// A filter as containers have it: `io_uring_setup` is not permitted (seccomp(2)). The words after the
/// two numbers are what is run with it.
const WITHOUT_RING: &str = "
    my ($prctl, $setup) = (0 + shift, 0 + shift);
    my $program = pack('SCCL' x 4,
        0x20, 0, 0, 0, 0x15, 0, 1, $setup, 0x06, 0, 0, 0x00050001, 0x06, 0, 0, 0x7fff0000);
    my $filter = pack('S x6 P', 4, $program);
    syscall($prctl, 38, 1, 0, 0, 0) == 0 or die qq(no_new_privs: $!);
    syscall($prctl, 22, 2, $filter, 0, 0) == 0 or die qq(seccomp: $!);
    exec @ARGV or die qq(exec: $!);";

fn without_ring<'a>(prctl: &'a str, setup: &'a str) -> [&'a str; 5] {
    ["perl", "-e", WITHOUT_RING, prctl, setup]
}

#[test]
fn where_the_ring_is_forbidden_auto_says_so_and_carries_calls_and_io_uring_does_not_start() {
    let Some(world) = World::open(&["ip", "perl"]) else {
        return;
    };
    let (prctl, setup) = (
        libc::SYS_prctl.to_string(),
        libc::SYS_io_uring_setup.to_string(),
    );
    let without_ring = without_ring(&prctl, &setup);
    let config = write_config(&world, "", &link("echo", "local:echo"));
    let gateway = Gateway::start_under(&world, config, &without_ring);
    let said = gateway.process.said();
    assert!(
        said.contains("io_uring refused: media runs on epoll"),
        "{said}"
    );
    assert!(said.contains("seccomp filter"), "{said}");
    assert!(said.contains("Sluice is ready (epoll"), "{said}");
    hears_itself();
    drop(gateway);

    let config = write_config(&world, "backend = \"io_uring\"", "");
    let mut process = spawn_under(&world, &config, &without_ring);
    let status = process.wait(Duration::from_secs(20));
    let said = process.said();
    assert!(!status.success(), "{said}");
    assert!(
        said.contains("media.backend = \"io_uring\", but this host refuses it"),
        "{said}"
    );
    assert!(!said.contains("Sluice is ready"), "{said}");
}

/// What a thread of the node is told by the kernel: of `media-0`, the cores it may use and its policy.
fn media_thread(gateway: &Gateway) -> (String, String) {
    let tasks = format!("/proc/{}/task", gateway.process.id());
    for task in std::fs::read_dir(tasks).expect("it runs").flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if read("comm").trim() != "media-0" {
            continue;
        }
        let (status, stat) = (read("status"), read("stat"));
        let cores = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        // Field 41 of proc_pid_stat(5), counted behind the name, is the policy.
        let (_, stat) = stat.rsplit_once(')').expect("a name");
        let policy = stat.split_whitespace().nth(38).expect("a policy");
        return (cores.expect("cores").trim().to_owned(), policy.to_owned());
    }
    panic!("no thread of media");
}

#[test]
fn a_worker_in_real_time_has_a_core_and_what_is_refused_is_said() {
    let Some(world) = World::open(&["ip", "setpriv", "prlimit", "taskset"]) else {
        return;
    };
    let wish = "realtime = true\nworkers = 1";
    let start = |program: &[&str]| {
        let config = write_config(&world, wish, &link("echo", "local:echo"));
        Gateway::start_under(&world, config, program)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);

    let may_not = [
        "setpriv",
        "--bounding-set=-sys_nice",
        "prlimit",
        "--rtprio=0:0",
    ];
    let gateway = start(&may_not);
    let said = gateway.process.said();
    if cores > 1 {
        assert!(said.contains("media thread not under SCHED_FIFO"), "{said}");
        let (cores, policy) = media_thread(&gateway);
        assert!(cores.parse::<usize>().is_ok(), "one core: {cores}");
        assert_eq!(policy, "0", "an ordinary thread");
    }
    hears_itself();
    drop(gateway);

    let first = first_core();
    let gateway = start(&["taskset", "-c", &first]);
    let said = gateway.process.said();
    assert!(
        said.contains("one core only: media stays an ordinary thread"),
        "{said}"
    );
    assert_eq!(media_thread(&gateway).1, "0");
    drop(gateway);

    if cores > 1 {
        let gateway = start(&[]);
        let (core, policy) = media_thread(&gateway);
        assert!(core.parse::<usize>().is_ok() && core != first, "{core}");
        let said = gateway.process.said();
        let is_refused = said.contains("media thread not under SCHED_FIFO");
        assert_eq!(policy, if is_refused { "0" } else { "1" }, "{said}");
        hears_itself();
    }
}

/// The first core that this process may use.
fn first_core() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let cores = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = cores.expect("cores").trim().split([',', '-']).next();
    first.expect("a core").to_owned()
}
