//! Looks after the node while it runs: feeds the watchdog as long as every thread turns, says so
//! where one does not, tells what the log left out, and reads the configuration again when asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::notify::Supervisor;
use super::reload::Reload;
use crate::health::{Node, Phase};

/// How often it looks, where no watchdog asks for more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in the time after which the watchdog bites.
const LOOKS_A_BITE: u32 = 4;

/// Runs until the node ends its calls.
pub(super) async fn watch(node: Arc<Node>, supervisor: Arc<Supervisor>) {
    let every = supervisor
        .watchdog
        .map_or(LOOK_EVERY, |bite| (bite / LOOKS_A_BITE).min(LOOK_EVERY));
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut alive = true;
    while node.phase() != Phase::Stopping {
        tick.tick().await;
        let now = Instant::now();
        let was_alive = std::mem::replace(&mut alive, node.is_alive(now));
        if alive && supervisor.watchdog.is_some() {
            supervisor.alive();
        }
        match (was_alive, alive) {
            (true, false) => {
                let still = node.hearts(now).max_by_key(|(_, age)| *age);
                let (thread, age) = still.unwrap_or_default();
                tracing::error!(thread, age_s = age.as_secs(), "a thread stands still");
            }
            (false, true) => tracing::warn!("every thread turns again"),
            (true, true) | (false, false) => {}
        }
        crate::log::tell_suppressed(now);
    }
}

/// SIGHUP.
pub(super) fn reload(node: &Node, supervisor: &Supervisor, reload: &mut Reload) {
    supervisor.reloading();
    let refused = match reload.again() {
        Ok(changes) => {
            tracing::info!(
                applied = changes.applied.join(" "),
                "the configuration was read again"
            );
            if !changes.restart.is_empty() {
                let keys = changes.restart.join(" ");
                tracing::warn!(keys, "these keys have changed and take effect at a restart");
            }
            for command in changes.commands {
                tracing::warn!(
                    command,
                    "tables of the file fill an empty database only; this command changes what \
                     is stored"
                );
            }
            None
        }
        Err(errors) => {
            tracing::error!(%errors, "the configuration has errors: the old one stays");
            Some(errors)
        }
    };
    if let Some(count) = node.reloads.get(usize::from(refused.is_some())) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    match refused {
        None => supervisor.ready("ready"),
        Some(errors) => supervisor.ready(&format!(
            "ready; the last reload was refused, the old configuration stays: {errors}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::config::Config;
    use crate::health::{Heart, NodeParts, STILL_AFTER};
    use crate::shell::signalling::Status;

    async fn node(folder: &std::path::Path, heart: Heart) -> Arc<Node> {
        let signalling = Arc::new(Status {
            heart,
            ..Status::default()
        });
        Node::new(NodeParts {
            signalling,
            ..NodeParts::of_test(folder).await
        })
    }

    /// What systemd hears while the node is looked after for a while.
    async fn heard(node: &Arc<Node>, folder: &std::path::Path) -> Vec<String> {
        let path = folder.join("notify");
        std::fs::remove_file(&path).ok();
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let supervisor = Supervisor::at(&path, Some(Duration::from_millis(40))).unwrap();
        let watched = watch(Arc::clone(node), Arc::new(supervisor));
        let while_ = Duration::from_millis(200);
        tokio::time::timeout(while_, watched).await.unwrap_err();
        let mut words = Vec::new();
        let mut octets = [0; 128];
        while let Ok(length) = systemd.recv(&mut octets) {
            words.push(String::from_utf8_lossy(&octets[..length]).into_owned());
        }
        words
    }

    /// `systemctl status` says so until a file is taken.
    #[tokio::test]
    async fn a_refused_reload_is_the_status_until_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(folder.path(), Heart::default()).await;
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(&path, None).unwrap();
        let file = folder.path().join("sluice.toml");
        let good = "[node]\ndrain_s = 60\n";
        std::fs::write(&file, good).unwrap();
        let mut again = Reload::new(&Config::load(&file).unwrap());
        let mut told = |text: &str| {
            std::fs::write(&file, text).unwrap();
            reload(&node, &supervisor, &mut again);
            let mut octets = [0; 4_096];
            let mut heard = || {
                let length = systemd.recv(&mut octets).unwrap();
                String::from_utf8_lossy(&octets[..length]).into_owned()
            };
            assert!(heard().starts_with("RELOADING=1\n"));
            heard()
        };
        let bad = "[node]\ndrain_s = \"soon\"\n[sip]\nproduct = 7\n";
        let refused = told(bad);
        assert!(refused.starts_with("READY=1\nSTATUS=ready; the last reload was refused"));
        assert!(
            refused.contains("sluice.toml:2: node.drain_s") && refused.contains("sip.product"),
            "{refused}"
        );
        assert_eq!(refused.lines().count(), 2, "no error is a word of its own");
        assert_eq!(told(good), "READY=1\nSTATUS=ready\n");
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_only_while_every_thread_turns() {
        let folder = tempfile::tempdir().unwrap();
        let Some(long_ago) = Instant::now().checked_sub(2 * STILL_AFTER) else {
            return; // The machine has just started: there is no such moment.
        };
        let node = node(folder.path(), Heart::last_beaten(long_ago)).await;
        assert_eq!(heard(&node, folder.path()).await, Vec::<String>::new());
        node.parts.signalling.heart.beat(Instant::now());
        let words = heard(&node, folder.path()).await;
        assert!(!words.is_empty() && words.iter().all(|word| word == "WATCHDOG=1\n"));
    }
}
