//! How systemd sees us, where it is there.

use std::path::Path;

use super::{Finding, ask};

const CHECK: &str = "unit";

/// Nothing where systemd does not run.
pub(super) fn examine() -> Option<Finding> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let properties = [
        "show",
        "sluice.service",
        "--property=LoadState,ActiveState,Result",
    ];
    ask("systemctl", &properties).map(|answer| judge(&answer))
}

fn judge(answer: &str) -> Finding {
    let value = |name: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.strip_prefix('=')).unwrap_or("")
    };
    let (load, active, result) = (value("LoadState"), value("ActiveState"), value("Result"));
    match (load, active) {
        ("loaded", "active" | "reloading") => Finding::good(CHECK, active),
        ("loaded", "failed") => Finding::bad(
            CHECK,
            format!("failed ({result})"),
            "journalctl -u sluice -e says why",
        ),
        ("loaded", _) => Finding::warning(CHECK, active, "systemctl enable --now sluice starts it"),
        _ => Finding::warning(
            CHECK,
            "sluice.service is not installed",
            "make install puts it in place",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_unit_that_failed_is_bad_and_one_that_is_not_there_is_not() {
        let failed = judge("LoadState=loaded\nActiveState=failed\nResult=watchdog");
        assert_eq!(failed.grade, Grade::Bad);
        assert!(failed.found.contains("watchdog"), "{failed:?}");
        let absent = judge("LoadState=not-found\nActiveState=inactive\nResult=success");
        assert_eq!(absent.grade, Grade::Warning);
        let runs = judge("LoadState=loaded\nActiveState=active\nResult=success");
        assert_eq!(runs.grade, Grade::Good);
    }
}
