//! Who waits for whom where cores are few: the database's workers step back behind signalling and
//! media. A record that is written a millisecond later is no worse; an INVITE that waits for one is.
//! Nor does an INVITE wait while the kernel clears a huge page for it.

use std::fs;

/// Pages of the usual size for this process. Under load the tables of signalling grow by some pages
/// with each call; one of 2 MiB in their place takes milliseconds to clear, in the middle of a call.
pub(super) fn take_small_pages() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "the kernel keeps its choice of pages");
    }
}

/// How the threads are called that can wait, as far as the kernel keeps a name.
const PATIENT: &str = "sqlx-sqlite";

/// Steps the threads back that can wait. A host that refuses keeps the order it had.
pub(super) fn order_threads() {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return;
    };
    for task in tasks.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let can_wait = name.starts_with(PATIENT);
        let thread = task.file_name().to_str().and_then(|text| text.parse().ok());
        if let Some(thread) = thread.filter(|_| can_wait)
            && let Err(error) = packet_io::step_back(thread)
        {
            tracing::debug!(%error, thread = name.trim(), "a thread keeps its priority");
        }
    }
}
