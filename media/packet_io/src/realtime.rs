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

/// Lets a thread of this process step back behind the others: what it does can wait for a packet.
///
/// # Errors
/// There is no such thread.
pub fn step_back(thread: u32) -> io::Result<()> {
    // SAFETY: the call takes three numbers and no address; a number that names no thread is refused.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, BEHIND) };
    if refused == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A weight of a tenth beside an ordinary thread.
const BEHIND: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_ours_steps_back_and_a_stranger_is_refused() {
        let own = std::thread::spawn(|| {
            // SAFETY: the call takes no argument and cannot fail.
            let thread = unsafe { libc::gettid() };
            step_back(u32::try_from(thread).unwrap()).unwrap();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, after_name) = stat.rsplit_once(')').unwrap();
            after_name.split_whitespace().nth(16).unwrap().to_owned()
        });
        assert_eq!(own.join().unwrap(), BEHIND.to_string());
        step_back(u32::try_from(i32::MAX).unwrap()).unwrap_err();
    }
}
