//! `sluice doctor`: looks at the machine, the configuration and the peers, and says what is wrong
//! and what to do about it. It changes nothing, and works beside a running node and without one.

mod browser;
mod certificate;
mod files;
mod kernel;
mod ports;
mod relay;
mod srtp;
mod time;
mod trunks;
mod unit;

use std::time::SystemTime;

use serde::Serialize;

pub use self::srtp::ADVICE as SRTP_ADVICE;
use crate::config::Config;
use crate::storage::Store;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and could be better; or it could not be found out.
    Warning,
    /// Calls will fail, or already do.
    Bad,
}

impl Grade {
    /// A stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// What was seen.
    pub found: String,
    /// What to do, or what could be done too; empty where there is nothing.
    pub advice: String,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Good,
            found: found.into(),
            advice: String::new(),
        }
    }

    /// As it should be, for many; others want more.
    fn note(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            advice: advice.into(),
            ..Self::good(check, found)
        }
    }

    fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Warning,
            found: found.into(),
            advice: advice.into(),
        }
    }

    fn bad(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Bad,
            found: found.into(),
            advice: advice.into(),
        }
    }
}

/// Looks at everything. `store`: the database, where there is one already.
pub async fn examine(config: &Config, store: Option<&Store>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(ports::examine(config));
    findings.extend(browser::examine(config));
    let snapshot = store.map(Store::snapshot);
    // Before the first start: those of the file.
    let sources = snapshot.as_ref().map(|snapshot| &snapshot.sources);
    findings.extend(relay::examine(config, sources.unwrap_or(&config.sources)));
    findings.extend(certificate::examine(config, SystemTime::now()));
    findings.extend(kernel::examine(config));
    findings.extend(files::examine(config));
    findings.push(time::examine());
    findings.extend(unit::examine());
    if let Some(store) = store {
        findings.extend(srtp::examine(config, &store.snapshot()));
        findings.extend(trunks::examine(store).await);
    }
    findings
}

/// What a file of the kernel says; `None`: it is not there.
fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// What a program of the machine prints; `None`: it is not there, or says that it cannot tell.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
