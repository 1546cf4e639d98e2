//! Whether the clock is right: links have windows, records have times.

use std::path::Path;

use super::{Finding, ask};

const CHECK: &str = "clock";

pub(super) fn examine() -> Finding {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Finding::good(CHECK, "synchronised");
    }
    let arguments = ["show", "--property=NTPSynchronized", "--value"];
    judge(ask("timedatectl", &arguments).as_deref())
}

fn judge(answer: Option<&str>) -> Finding {
    match answer {
        Some("yes") => Finding::good(CHECK, "synchronised"),
        Some("no") => Finding::warning(
            CHECK,
            "not synchronised",
            "timedatectl set-ntp true, or run chrony: windows of links and times of records follow \
             this clock",
        ),
        Some(_) | None => Finding::warning(
            CHECK,
            "whether it is synchronised cannot be told here",
            "look at the host's time service",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_clock_that_drifts_is_a_warning() {
        assert_eq!(judge(Some("yes")).grade, Grade::Good);
        assert_eq!(judge(Some("no")).grade, Grade::Warning);
        assert_eq!(judge(None).grade, Grade::Warning);
    }
}
