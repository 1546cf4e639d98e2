//! Log lines: one fact a line, the call's key first. `line` is what a line holds, `format` how it is
//! written, `limiter` what is left out when the same comes too often, `sink` where it goes, `redact`
//! what nobody may see.
//!
//! Whatever a peer sends ends up in a value here: control characters are written as escapes, so that
//! no value makes a second line or moves a terminal's cursor.

mod format;
mod limiter;
pub(crate) mod line;
pub mod redact;
mod sink;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Registry, reload};

use limiter::{Limiter, Passage};
use line::Line;
use sink::Sink;

/// How lines are written (`log.format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// To the journal where systemd has connected standard error to it, else as text.
    Auto,
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
    /// To the journal, each value a field of its own.
    Journal,
}

/// What was written since the process began.
#[derive(Debug, Default)]
pub struct LogFigures {
    /// Lines by level: error, warn, info, debug, trace.
    pub lines: [AtomicU64; 5],
    /// Left out, because the same came too often.
    pub suppressed: AtomicU64,
    /// Could not be written.
    pub lost: AtomicU64,
}

/// The levels, in the order of [`LogFigures::lines`].
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

type FilterHandle = reload::Handle<EnvFilter, Registry>;

static FIGURES: OnceLock<LogFigures> = OnceLock::new();
static FILTER: OnceLock<FilterHandle> = OnceLock::new();
static LIMITER: OnceLock<Mutex<Limiter>> = OnceLock::new();
static SINK: OnceLock<Sink> = OnceLock::new();

/// What was written since the process began.
pub fn figures() -> &'static LogFigures {
    FIGURES.get_or_init(LogFigures::default)
}

/// Starts logging with this filter (`error`, `warn`, `info`, `debug`, or per module). A second call
/// changes nothing.
///
/// # Errors
/// The filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let (filter, handle) = reload::Layer::new(filter);
    let sink = SINK.get_or_init(|| Sink::open(format));
    let subscriber = Registry::default().with(filter).with(Lines { sink });
    // Somebody else's subscriber (a test's) stays.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        FILTER.set(handle).ok();
    }
    Ok(())
}

/// Replaces the filter while the program runs.
///
/// # Errors
/// The filter cannot be read; the old one stays.
pub fn set_filter(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    if let Some(handle) = FILTER.get() {
        // It fails only where the subscriber is gone.
        handle.reload(filter).ok();
    }
    Ok(())
}

/// Says how many lines were left out, where nothing has said it since. To be called now and then.
pub fn tell_suppressed(now: Instant) {
    let Some(sink) = SINK.get() else { return };
    let told = limiter().take_suppressed(now);
    for (like, count) in told {
        write(sink, Level::WARN, Line::suppressed(&like, count));
    }
}

/// Waits until the lines so far have left, at most a second: before the program ends.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush();
    }
}

struct Lines {
    sink: &'static Sink,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let line = Line::of(event);
        let passage = if level <= Level::INFO {
            limiter().pass(Instant::now(), &line)
        } else {
            Passage::Free
        };
        match passage {
            Passage::Free => {}
            Passage::After(count) => {
                write(self.sink, level, Line::suppressed(&line.kind(), count));
            }
            Passage::Closed => {
                figures().suppressed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        write(self.sink, level, line);
    }
}

fn write(sink: &Sink, level: Level, line: Line) {
    let index = LEVELS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(level.as_str()));
    if let Some(count) = index.and_then(|index| figures().lines.get(index)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    if !sink.write(level, line) {
        figures().lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn limiter() -> std::sync::MutexGuard<'static, Limiter> {
    LIMITER
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
