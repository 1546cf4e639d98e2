//! What is wrong with a file: file, line, key, what was found, what is accepted.

use std::fmt;
use std::path::PathBuf;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// 1 and up; 0: the file itself.
    pub line: usize,
    /// Full name such as `media.stock`, or `link[2].destination`; empty: the file itself.
    pub key: String,
    /// What is there.
    pub found: String,
    /// What would be taken.
    pub accepted: String,
}

/// Every problem of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file.
    pub file: PathBuf,
    /// In the order of their lines.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, problem) in self.problems.iter().enumerate() {
            let Problem {
                line,
                key,
                found,
                accepted,
            } = problem;
            if index > 0 {
                formatter.write_str("\n")?;
            }
            match (line, key.as_str()) {
                (0, _) => write!(formatter, "{file}: ")?,
                (line, "") => write!(formatter, "{file}:{line}: ")?,
                (line, key) => write!(formatter, "{file}:{line}: {key}: ")?,
            }
            write!(formatter, "found {found}, accepted: {accepted}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
