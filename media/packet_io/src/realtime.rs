//! Scheduling of the calling thread. Beside the kernel boundary because it needs one system call
//! that nothing safe offers.

use std::io;

/// Low among realtime threads: above everything ordinary, below the kernel's own.
pub const REALTIME_PRIORITY: i32 = 10;

/// Puts the calling thread under `SCHED_FIFO`, with [`REALTIME_PRIORITY`].
///
/// # Errors
/// The process may not (`CAP_SYS_NICE`, `RLIMIT_RTPRIO`).
pub fn make_realtime() -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: REALTIME_PRIORITY,
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

/// Asks for short turns for the calling thread: one that has waited is let in before a thread with
/// long turns has had its own (Linux 6.12; an older kernel takes the wish and does nothing).
///
/// # Errors
/// The process may not.
pub fn ask_for_short_turns() -> io::Result<()> {
    // SAFETY: the call takes two numbers and no address.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let wish = Attributes {
        size: ATTRIBUTES_OCTETS,
        nice,
        runtime: TURN_NS,
        ..Attributes::default()
    };
    // SAFETY: [one-thread] 0 names the calling thread, and the pointer is to a live local whose
    // first word says how long it is; the call only reads it.
    let refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0) };
    if refused == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `struct sched_attr` in its first form (`sched_setattr(2)`).
#[derive(Default)]
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const ATTRIBUTES_OCTETS: u32 = 48;
const _: () = assert!(size_of::<Attributes>() == 48);
/// The shortest turn that the kernel gives.
const TURN_NS: u64 = 100_000;

/// A weight of a tenth beside an ordinary thread.
const BEHIND: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_short_turns_and_keeps_its_weight() {
        let own = std::thread::spawn(|| {
            // SAFETY: the call takes no argument and cannot fail.
            let thread = unsafe { libc::gettid() };
            step_back(u32::try_from(thread).unwrap()).unwrap();
            ask_for_short_turns().unwrap();
            let mut given = Attributes::default();
            // SAFETY: the call writes as many octets as it is told, which the local has.
            let got = unsafe {
                let given = &raw mut given;
                libc::syscall(libc::SYS_sched_getattr, 0, given, ATTRIBUTES_OCTETS, 0)
            };
            assert_eq!(got, 0);
            (given.nice, given.runtime)
        });
        let (nice, turn) = own.join().unwrap();
        assert_eq!(nice, BEHIND);
        // Before Linux 6.12 there is one length for all, and it is said to be none.
        assert!(turn == TURN_NS || turn == 0, "{turn}");
    }

    #[test]
    fn a_thread_of_ours_steps_back_and_a_stranger_is_refused() {
        let own = std::thread::spawn(|| {
            // SAFETY: the call takes no argument; it names the thread that asks, which lives.
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
