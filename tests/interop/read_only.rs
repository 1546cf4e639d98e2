//! A disk that the kernel makes read-only under the running node, as it does after an error of the disk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use crate::gateway::Gateway;
use crate::operation::{config_with, metric};
use crate::phone::Phone;
use crate::world::{World, not_run, until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A file system in a file, mounted for this test alone.
struct Disk<'w>(&'w World);

impl<'w> Disk<'w> {
    fn new(world: &'w World) -> Option<Self> {
        let disk = Self(world);
        let image = world.file("disk.image");
        let file = fs::File::create(&image).expect("a file");
        file.set_len(32 << 20).expect("a file with holes");
        fs::create_dir(world.file("disk")).expect("a folder");
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).ok()?;
        let is_made = run("mkfs.ext4", &["-q", &text(&image)])
            && run("mount", &["--make-rprivate", "/"])
            && disk.mount();
        is_made.then_some(disk)
    }

    fn mount(&self) -> bool {
        let (image, folder) = (self.0.file("disk.image"), self.0.file("disk"));
        run("mount", &["-o", "loop", &text(&image), &text(&folder)])
    }

    /// ext4's own way to behave as after an error: nothing is written any more, by nobody.
    fn fail(&self) {
        let folder = text(&self.0.file("disk"));
        assert!(run("mount", &["-o", "remount,abort", &folder]), "abort");
    }

    fn repair(&self) {
        assert!(run("umount", &[&text(&self.0.file("disk"))]), "umount");
        assert!(self.mount(), "mount");
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let ended = command.args(arguments).env("PATH", path).status();
    ended.is_ok_and(|ended| ended.success())
}

fn call_with_media() {
    let mut phone = Phone::new("127.0.0.1");
    let target = phone.call("echo");
    assert!(phone.exchange(target, 5).len() >= 4, "media go on");
    phone.hang_up();
}

#[test]
fn database_that_becomes_read_only_stops_no_call_and_its_records_come_after_a_restart() {
    let Some(world) = World::open(&["ip", "mount"]) else {
        return;
    };
    let Some(disk) = Disk::new(&world) else {
        not_run::<()>("no loop device with ext4");
        return;
    };
    // The database is on the disk, the spool beside its name is not.
    fs::create_dir(world.file("data")).expect("a folder");
    let database = world.file("disk/sluice.db");
    std::os::unix::fs::symlink(&database, world.file("data/sluice.db")).expect("a link");
    // What is committed is on the disk, whatever becomes of it.
    let config = config_with(&world, "[storage]\nsync = \"full\"");
    let mut gateway = Gateway::start_with(&world, config.clone());
    call_with_media();
    assert_eq!(gateway.closed_calls(1).len(), 1);
    disk.fail();
    for _ in 0..3 {
        call_with_media();
    }
    until("records in the spool", PATIENCE, || {
        metric("sluice_cdr_spool_records") >= Some(6)
    });
    assert_eq!(metric("sluice_storage_failing"), Some(1));
    let said = gateway.process.said();
    let alarms = said.matches("takes no call records:").count();
    assert_eq!(alarms, 1, "one alarm: {said}");
    gateway.signal(Signal::SIGKILL);
    gateway.process.wait(PATIENCE);
    disk.repair();
    let gateway = Gateway::start_with(&world, config);
    let calls = gateway.closed_calls(4);
    assert_eq!(calls.len(), 4, "each once: {calls:?}");
    for call in &calls {
        assert_eq!(call["cause"], "normal", "{call:?}");
    }
    assert!(!world.file("data/sluice.spool").exists());
}
