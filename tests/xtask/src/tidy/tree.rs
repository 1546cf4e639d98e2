//! The tree as text: which files there are, which of their lines are code, which are tests.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Comments and string contents blanked, the same line numbers. Rust files only.
    pub(crate) code: String,
    /// First line (from 1) of the trailing `#[cfg(test)]` module, where there is one.
    tests_from: Option<usize>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            blank(text)
        } else {
            String::new()
        };
        let tests_from = code
            .lines()
            .zip(code.lines().skip(1))
            .position(|(line, next)| {
                line.trim() == "#[cfg(test)]"
                    && next.trim_start().starts_with("mod ")
                    && next.trim_end().ends_with('{')
            })
            .map(|index| index + 1);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            tests_from,
        }
    }

    /// True when the whole file is test code.
    pub(crate) fn is_test_file(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("tests.rs")
            || self.path.starts_with("benches/")
            || self.path.contains("/benches/")
            || self.path.contains("/examples/")
    }

    /// Line number (from 1) and text of each line of production code.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test_file() {
            0
        } else {
            self.tests_from.map_or(usize::MAX, |l| l - 1)
        };
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .take(end)
    }

    /// Line number (from 1) and text of each line of test code.
    pub(crate) fn test_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let start = if self.is_test_file() {
            0
        } else {
            self.tests_from.unwrap_or(usize::MAX)
        };
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .skip(start)
    }

    /// The test code as written, strings included.
    pub(crate) fn test_text(&self) -> String {
        let start = if self.is_test_file() {
            0
        } else {
            self.tests_from.unwrap_or(usize::MAX)
        };
        self.text.lines().skip(start).collect::<Vec<_>>().join("\n")
    }

    /// Line number (from 1) and text of each line of code, tests included.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// Every text file that git tracks, or would.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

impl Tree {
    pub(crate) fn new(files: Vec<File>) -> Self {
        Self { files }
    }

    pub(crate) fn read(root: &Path) -> Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git ls-files")?;
        if !listed.status.success() {
            bail!("git ls-files failed: tidy reads the files that git knows");
        }
        let names = String::from_utf8(listed.stdout).context("file names are not UTF-8")?;
        let mut files = Vec::new();
        for name in names.lines() {
            // A file that is not text, or was deleted and not yet committed, has no lines to read.
            if let Ok(text) = std::fs::read_to_string(root.join(name)) {
                files.push(File::new(name, &text));
            }
        }
        if files.is_empty() {
            bail!("no file found below {}", root.display());
        }
        Ok(Self::new(files))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A file of this path, or a folder with a file in it.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        self.files
            .iter()
            .any(|file| file.path == path || file.path.starts_with(&folder))
    }
}

/// Replaces what stands in comments, strings and character literals by blanks.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let end = match (at(index), at(index + 1)) {
            (b'/', b'/') => until(bytes, index, |i| at(i) == b'\n'),
            (b'/', b'*') => block_comment(bytes, index),
            (b'r' | b'b', b'"' | b'#' | b'r') if !word(at(index.wrapping_sub(1))) => {
                raw_or_byte_string(bytes, index)
            }
            (b'"', _) => string(bytes, index),
            (b'\'', _) => character(bytes, index),
            _ => index,
        };
        if end == index {
            out.push(at(index));
            index += 1;
        } else {
            out.extend((index..end).map(|i| if at(i) == b'\n' { b'\n' } else { b' ' }));
            index = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn until(bytes: &[u8], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..bytes.len())
        .find(|&i| stop(i))
        .unwrap_or(bytes.len())
}

fn block_comment(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_u32;
    let mut index = from;
    while index < bytes.len() {
        match bytes.get(index..index + 2) {
            Some(b"/*") => (depth, index) = (depth + 1, index + 2),
            Some(b"*/") => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            break;
        }
    }
    index
}

fn string(bytes: &[u8], quote: usize) -> usize {
    let mut index = quote + 1;
    while let Some(&byte) = bytes.get(index) {
        match byte {
            b'\\' => index += 2,
            b'"' => return index + 1,
            _ => index += 1,
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`; the same index when it is none of them (`r#type`).
fn raw_or_byte_string(bytes: &[u8], from: usize) -> usize {
    let mut index = from;
    while matches!(bytes.get(index), Some(b'r' | b'b')) {
        index += 1;
    }
    let hashes = bytes.iter().skip(index).take_while(|&&b| b == b'#').count();
    if bytes.get(index + hashes) != Some(&b'"') {
        return from;
    }
    if hashes == 0 && !bytes.get(from..index).is_some_and(|p| p.contains(&b'r')) {
        return string(bytes, index);
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let start = index + hashes + 1;
    let rest = bytes.get(start..).unwrap_or_default();
    rest.windows(close.len())
        .position(|window| window == close)
        .map_or(bytes.len(), |found| start + found + close.len())
}

/// A character literal; the same index for a lifetime.
fn character(bytes: &[u8], from: usize) -> usize {
    if bytes.get(from + 1) == Some(&b'\\') {
        return until(bytes, from + 3, |i| bytes.get(i) == Some(&b'\'')) + 1;
    }
    let close = until(bytes, from + 2, |i| bytes.get(i) == Some(&b'\''));
    let inside = bytes.get(from + 1..close).unwrap_or_default();
    let is_one_character = std::str::from_utf8(inside).is_ok_and(|s| s.chars().count() == 1);
    if is_one_character { close + 1 } else { from }
}
