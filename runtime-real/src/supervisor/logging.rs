//! Starts the logging of this process: one JSON object a line, which the launcher keeps in the log's file and shows as it
//! stands or as text for people. How events become lines is the concern of `event::log`.
//!
//! | level | for |
//! |---|---|
//! | error | something acknowledged may be lost, or the supervisor ends |
//! | warn | an operator should look: a member is dead, a service failed, a limit was reached, a disk fails |
//! | info | the ring or a service changed; this member refuted an accusation; what a service prints |
//! | debug | protocol: suspicions' confirmations, rumors, rejected bytes, connections |
//! | trace | single messages |
//!
//! Values stand in fields (`member`, `incarnation`, `service`, `event`), an event's under the names that `/events` has
//! for them; the message is for people.

use std::{fmt, io};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::host::{clock, terminal};
use crate::supervisor::log_queue::{self, LogQueue};

/// How log lines are shown on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Time stamps like `2026-01-31T12:00:00.123Z`.
struct UtcMillis;

impl FormatTime for UtcMillis {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let ms = i64::try_from(clock::wall().as_millis()).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(ms).map_err(|_| fmt::Error)?;
        write!(w, "{time:.3}")
    }
}

/// Starts logging to standard error, which the launcher reads. A second call changes nothing.
///
/// # Errors
/// The system starts no thread.
pub fn init(verbose: u8) -> io::Result<()> {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(LogQueue::stderr()?)
        .with_target(false)
        // The library would report lines that cannot be written to the same place, and panic.
        .log_internal_errors(false)
        .with_timer(UtcMillis);
    // An error means that a test or an embedding program has its own subscriber, which is as good.
    let _ = builder.json().flatten_event(true).try_init().is_ok();
    Ok(())
}

/// Starts logging to standard error in lines for people, where no launcher reads them. A second call changes nothing.
pub fn init_text() {
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(io::stderr)
        .with_ansi(terminal::has_colours(&io::stderr()))
        .with_target(false)
        .log_internal_errors(false)
        .with_timer(UtcMillis);
    let _ = builder.try_init().is_ok();
}

/// Waits until the lines so far are written, a second at most.
pub fn flush() {
    log_queue::flush();
}
