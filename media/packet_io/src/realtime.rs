//! Scheduling of the calling thread. Beside the kernel boundary because it needs one system call
//! that nothing safe offers.

use std::io;

/// Low among realtime threads: above everything ordinary, below the kernel's own.
const PRIORITY: i32 = 10;

/// Puts the calling thread under `SCHED_FIFO`.
///
/// # Errors
/// The process may not (`CAP_SYS_NICE`, `RLIMIT_RTPRIO`).
pub fn make_realtime() -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: [one-thread] 0 names the calling thread, and the pointer is to a live local of the
    // type the call reads.
    let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    if refused == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
