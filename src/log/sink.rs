//! Where lines go: standard error, or the journal's socket, and standard error again while nobody
//! listens there.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::LogFormat;
use super::format;
use super::line::Line;

/// The journal's native socket.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    Text,
    Json,
    Journal(Journal),
}

/// A socket that is never waited for.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    fn open(path: &Path) -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            path: path.to_owned(),
        })
    }

    /// By its path each time: a journal that was started again is found again.
    fn send(&self, fields: &[u8]) -> io::Result<()> {
        self.socket.send_to(fields, &self.path).map(drop)
    }
}

impl Sink {
    pub(super) fn open(format: LogFormat) -> Self {
        let journal = || Journal::open(Path::new(JOURNAL)).map_or(Self::Text, Self::Journal);
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
            LogFormat::Journal => journal(),
            LogFormat::Auto if is_journal_stream() => journal(),
            LogFormat::Auto => Self::Text,
        }
    }

    /// False: the line is lost.
    pub(super) fn write(&self, level: Level, line: &Line) -> bool {
        let text = match self {
            Self::Text => format::text(level, line),
            Self::Json => format::json(level, line),
            Self::Journal(journal) => {
                if journal.send(&format::journal(level, line)).is_ok() {
                    return true;
                }
                format::text(level, line)
            }
        };
        io::stderr().lock().write_all(text.as_bytes()).is_ok()
    }
}

/// systemd has connected our standard error to the journal (`systemd.exec(5)`, `$JOURNAL_STREAM`).
fn is_journal_stream() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(standard_error) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", standard_error.dev(), standard_error.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_journal_and_standard_error_while_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let line = Line::suppressed("x", 1);
        let sink = Sink::Journal(Journal::open(&path).unwrap());
        assert!(
            sink.write(Level::INFO, &line),
            "nobody listens: standard error"
        );
        for _ in 0..2 {
            // Gone and back: a new socket at the same place.
            std::fs::remove_file(&path).ok();
            let journal = UnixDatagram::bind(&path).unwrap();
            assert!(sink.write(Level::INFO, &line));
            let mut fields = [0; 4_096];
            let length = journal.recv(&mut fields).unwrap();
            assert!(fields[..length].starts_with(b"PRIORITY=6\n"));
        }
        assert!(sink.write(Level::INFO, &line), "gone again");
    }
}
