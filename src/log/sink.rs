//! Where lines go: standard error, or the journal's socket, and standard error again while nobody
//! listens there. Whoever has a line hands it over and goes on.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing::Level;

use super::LogFormat;
use super::format;
use super::line::Line;

/// The journal's native socket.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Lines that wait to be written. Beyond this they are lost and counted.
const LINES_MAX: usize = 8_192;
/// How long the end of the program waits for its last lines.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);
/// With a full queue, the end is announced again after this long.
const FLUSH_AGAIN: Duration = Duration::from_millis(5);

/// Takes lines and waits for nobody: a terminal that is stopped or a pipe that nobody reads must
/// not stand in the way of a call. A thread of its own writes them.
#[derive(Debug)]
pub(super) struct Sink {
    queue: SyncSender<Job>,
}

enum Job {
    Line(Level, Line),
    Flush(SyncSender<()>),
}

/// How, and where to.
struct Output {
    form: Form,
    /// Standard error.
    writer: Box<dyn Write + Send>,
}

#[derive(Debug)]
enum Form {
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
        let journal = || Journal::open(Path::new(JOURNAL)).map_or(Form::Text, Form::Journal);
        let form = match format {
            LogFormat::Text => Form::Text,
            LogFormat::Json => Form::Json,
            LogFormat::Journal => journal(),
            LogFormat::Auto if is_journal_stream() => journal(),
            LogFormat::Auto => Form::Text,
        };
        let writer = Box::new(io::stderr());
        Self::start(Output { form, writer }, LINES_MAX)
    }

    fn start(mut output: Output, lines_max: usize) -> Self {
        let (queue, jobs) = sync_channel(lines_max);
        let run = move || {
            for job in jobs {
                match job {
                    Job::Line(level, line) => {
                        if !output.write(level, &line) {
                            super::figures().lost.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    // Whoever asked may have gone.
                    Job::Flush(done) => drop(done.try_send(())),
                }
            }
        };
        // Without a thread the queue is closed, and every line counts as lost.
        drop(
            std::thread::Builder::new()
                .name("log".to_owned())
                .spawn(run),
        );
        Self { queue }
    }

    /// False: the line is lost.
    pub(super) fn write(&self, level: Level, line: Line) -> bool {
        self.queue.try_send(Job::Line(level, line)).is_ok()
    }

    /// Waits until what was written before has left, at most a second.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        let end = Instant::now() + FLUSH_TIME_MAX;
        let mut job = Job::Flush(done);
        // Late or never: the program ends all the same.
        while let Err(TrySendError::Full(refused)) = self.queue.try_send(job) {
            if Instant::now() > end {
                return;
            }
            job = refused;
            std::thread::sleep(FLUSH_AGAIN);
        }
        written.recv_timeout(FLUSH_TIME_MAX).ok();
    }
}

impl Output {
    /// False: the line is lost.
    fn write(&mut self, level: Level, line: &Line) -> bool {
        let text = match &self.form {
            Form::Text => format::text(level, line),
            Form::Json => format::json(level, line),
            Form::Journal(journal) => {
                if journal.send(&format::journal(level, line)).is_ok() {
                    return true;
                }
                format::text(level, line)
            }
        };
        self.writer.write_all(text.as_bytes()).is_ok()
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
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn line() -> Line {
        Line::suppressed("x", 1)
    }

    #[test]
    fn lines_reach_the_journal_and_standard_error_while_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut output = Output {
            form: Form::Journal(Journal::open(&path).unwrap()),
            writer: Box::new(io::sink()),
        };
        assert!(output.write(Level::INFO, &line()), "standard error");
        for _ in 0..2 {
            // Gone and back: a new socket at the same place.
            std::fs::remove_file(&path).ok();
            let journal = UnixDatagram::bind(&path).unwrap();
            assert!(output.write(Level::INFO, &line()));
            let mut fields = [0; 4_096];
            let length = journal.recv(&mut fields).unwrap();
            assert!(fields[..length].starts_with(b"PRIORITY=6\n"));
        }
        assert!(output.write(Level::INFO, &line()), "gone again");
    }

    /// A pipe that nobody reads.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_stops_nobody() {
        let (release, stuck) = channel();
        let output = Output {
            form: Form::Text,
            writer: Box::new(Stuck(stuck)),
        };
        let sink = Sink::start(output, 4);
        let taken = (0..100).filter(|_| sink.write(Level::INFO, line())).count();
        assert!(
            (4..=5).contains(&taken),
            "the queue, and the one being written: {taken}"
        );
        drop(release);
        sink.flush();
        assert!(sink.write(Level::INFO, line()), "the queue is empty");
    }
}
