//! Who is measured: a process and those of its threads that count.

use anyhow::{Result, bail};
use nix::unistd::Pid;

use crate::machine::{self, Cores};
use crate::proc_stat;

/// A process and the threads of it whose time is charged to packets.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    process: u32,
    threads: Vec<Pid>,
    /// The whole process is charged, with threads that come and go.
    whole: bool,
}

impl Subject {
    /// The threads of a process whose names begin with `name`; empty: all of them.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(process: u32, name: &str) -> Result<Self> {
        let threads: Vec<Pid> = proc_stat::threads(process)
            .into_iter()
            .filter(|found| found.name.starts_with(name))
            .map(|found| found.thread)
            .collect();
        if threads.is_empty() {
            bail!("process {process} has no thread whose name begins with {name:?}");
        }
        Ok(Self {
            process,
            threads,
            whole: name.is_empty(),
        })
    }

    /// Its process.
    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// What is measured on the measured core, realtime; all other threads of the process on the
    /// other core.
    ///
    /// # Errors
    /// A thread that counts has ended.
    pub(crate) fn spread(&self, cores: Cores) -> Result<()> {
        let own = self.process == std::process::id();
        for found in proc_stat::threads(self.process) {
            if self.threads.contains(&found.thread) {
                machine::pin(found.thread, cores.measured)?;
                machine::make_realtime(found.thread);
            } else if !own {
                // A thread that ended meanwhile needs no core.
                drop(machine::pin(found.thread, cores.generator));
            }
        }
        Ok(())
    }

    /// Nanoseconds that its threads have run; of a whole process those that have ended, too.
    pub(crate) fn run_ns(&self) -> u64 {
        if self.whole {
            machine::process_cpu_ns(self.process)
        } else {
            proc_stat::run_ns(self.process, &self.threads)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_such_a_thread_is_refused() {
        let refused = Subject::find(std::process::id(), "no such thread");
        let refused = refused.expect_err("there is none").to_string();
        assert!(
            refused.ends_with("begins with \"no such thread\""),
            "{refused}"
        );
        let found = Subject::find(std::process::id(), "").expect("this process runs");
        assert!(found.run_ns() > 0);
    }
}
