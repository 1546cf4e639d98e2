//! A peer whose process is stopped while it is not measured.
//!
//! Some cost as much when their calls are silent, and all walk over them now and then: that must not take the
//! measured core from whoever is measured.

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Counter, Ends, Target, Ways};
use crate::subject::Subject;

/// A target in a process of its own, which rests.
pub(crate) struct Resting {
    target: Box<dyn Target>,
    process: u32,
}

impl Resting {
    /// `target` is what `process` carries.
    pub(crate) const fn new(target: Box<dyn Target>, process: u32) -> Self {
        Self { target, process }
    }

    fn signal(&self, signal: Signal) {
        if let Ok(process) = i32::try_from(self.process) {
            // It fails only where the process has ended, which its subject tells.
            kill(Pid::from_raw(process), signal).ok();
        }
    }
}

impl Target for Resting {
    fn name(&self) -> &str {
        self.target.name()
    }

    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        self.target.carry(ends)
    }

    fn subject(&self) -> Result<Subject> {
        self.target.subject()
    }

    fn counter(&self) -> Option<Counter> {
        self.target.counter()
    }

    fn rest(&self) {
        self.signal(Signal::SIGSTOP);
    }

    fn wake(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn finish(&mut self) {
        self.wake();
        self.target.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

    use super::*;

    struct Nobody;

    impl Target for Nobody {
        fn name(&self) -> &str {
            "nobody"
        }

        fn carry(&mut self, _ends: &[Ends]) -> Result<Vec<Ways>> {
            Ok(Vec::new())
        }

        fn subject(&self) -> Result<Subject> {
            Subject::find(std::process::id(), "")
        }
    }

    #[test]
    fn a_process_rests_and_wakes() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("a process");
        let process = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        let resting = Resting::new(Box::new(Nobody), child.id());
        resting.rest();
        let stopped = waitpid(process, Some(WaitPidFlag::WUNTRACED));
        assert_eq!(stopped, Ok(WaitStatus::Stopped(process, Signal::SIGSTOP)));
        resting.wake();
        let woken = waitpid(process, Some(WaitPidFlag::WCONTINUED));
        assert_eq!(woken, Ok(WaitStatus::Continued(process)));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}
