//! The kernel ladder: which ring this host gives us. Tried, not guessed from a version: containers
//! and hardened hosts refuse what their kernel could do.

use std::io;

use io_uring::IoUring;
use thiserror::Error;

use crate::KernelStep;

/// Why there is no ring here. The caller falls back to epoll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RingRefused {
    /// Our own configuration asks for epoll.
    #[error("switched off by configuration")]
    Configured,
    /// `kernel.io_uring_disabled` is set.
    #[error("switched off by the sysctl kernel.io_uring_disabled")]
    Sysctl,
    /// A seccomp filter or security module forbids it.
    #[error("forbidden by a seccomp filter or a security module")]
    NotPermitted,
    /// The kernel was built without it, or a filter says so.
    #[error("the kernel has no io_uring")]
    Absent,
    /// The kernel is older than 6.1.
    #[error("the kernel is older than 6.1")]
    OldKernel,
    /// No memory for the rings, or over the memory cgroup's limit.
    #[error("no memory for the rings")]
    MemoryLimit,
    /// The process has as many descriptors as it may.
    #[error("no descriptor is left")]
    DescriptorLimit,
    /// Anything else, by its `errno`.
    #[error("the kernel refused: errno {0}")]
    Kernel(i32),
}

impl RingRefused {
    /// Stable label for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Sysctl => "sysctl",
            Self::NotPermitted => "not_permitted",
            Self::Absent => "absent",
            Self::OldKernel => "old_kernel",
            Self::MemoryLimit => "memory_limit",
            Self::DescriptorLimit => "descriptor_limit",
            Self::Kernel(_) => "kernel",
        }
    }

    pub(super) fn from_error(error: &io::Error) -> Self {
        Self::from_errno(error.raw_os_error().unwrap_or(0), disabled_by_sysctl)
    }

    fn from_errno(errno: i32, is_disabled: impl Fn() -> bool) -> Self {
        match errno {
            libc::EPERM | libc::EACCES if is_disabled() => Self::Sysctl,
            libc::EPERM | libc::EACCES => Self::NotPermitted,
            libc::ENOSYS => Self::Absent,
            libc::EINVAL => Self::OldKernel,
            libc::ENOMEM => Self::MemoryLimit,
            libc::EMFILE | libc::ENFILE => Self::DescriptorLimit,
            errno => Self::Kernel(errno),
        }
    }
}

/// Builds the best ring that kernel and `limit` allow.
pub(super) fn build(
    limit: KernelStep,
    completions: u32,
) -> Result<(IoUring, KernelStep), RingRefused> {
    match limit {
        KernelStep::Epoll => return Err(RingRefused::Configured),
        KernelStep::Full => match try_build(true, completions) {
            Ok(ring) if ring.params().is_feature_min_timeout() => {
                return Ok((ring, KernelStep::Full));
            }
            Ok(_) => {}
            // A flag this kernel does not know: the next step goes without.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(RingRefused::from_error(&error)),
        },
        KernelStep::NoMinWait => {}
    }
    match try_build(false, completions) {
        Ok(ring) => Ok((ring, KernelStep::NoMinWait)),
        Err(error) => Err(RingRefused::from_error(&error)),
    }
}

/// `DEFER_TASKRUN` (6.1) is worth 40 %; `TASKRUN_FLAG` tells without a system call that an enter left
/// work behind (it runs at most 20 items); `NO_SQARRAY` is of 6.6.
fn try_build(without_array: bool, completions: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(completions)
        .setup_clamp()
        .dontfork();
    if without_array {
        builder.setup_no_sqarray();
    }
    builder.build(SUBMISSIONS.min(completions))
}

fn disabled_by_sysctl() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .is_ok_and(|value| value.trim() != "0")
}

/// Submission queue entries: what can be sent between two system calls.
pub(super) const SUBMISSIONS: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_has_its_reason() {
        let of = |errno| RingRefused::from_errno(errno, || false);
        assert_eq!(of(libc::EPERM), RingRefused::NotPermitted);
        assert_eq!(
            RingRefused::from_errno(libc::EPERM, || true),
            RingRefused::Sysctl
        );
        assert_eq!(of(libc::ENOSYS), RingRefused::Absent);
        assert_eq!(of(libc::EINVAL), RingRefused::OldKernel);
        assert_eq!(of(libc::ENOMEM), RingRefused::MemoryLimit);
        assert_eq!(of(libc::EMFILE), RingRefused::DescriptorLimit);
        assert_eq!(of(libc::EIO), RingRefused::Kernel(libc::EIO));
    }

    #[test]
    fn epoll_as_the_limit_builds_no_ring() {
        assert_eq!(
            build(KernelStep::Epoll, 64).err(),
            Some(RingRefused::Configured)
        );
    }
}
