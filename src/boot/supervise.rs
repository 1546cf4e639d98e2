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
    let outcome = usize::from(match reload.again() {
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
            false
        }
        Err(errors) => {
            tracing::error!(%errors, "the configuration has errors: the old one stays");
            true
        }
    });
    if let Some(count) = node.reloads.get(outcome) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    supervisor.ready("ready");
}
