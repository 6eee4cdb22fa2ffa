//! Log lines: text for people or JSON for machines, and how the node's events become lines.
//!
//! | level | for |
//! |---|---|
//! | error | something acknowledged may be lost, or the supervisor ends |
//! | warn | an operator should look: a member is dead, a service failed, a limit was reached, a disk fails |
//! | info | the ring or a service changed; this member refuted an accusation; what a service prints |
//! | debug | protocol: suspicions' confirmations, rumors, rejected bytes, connections |
//! | trace | single messages |
//!
//! Values stand in fields (`member`, `incarnation`, `service`, `event`), the message is for people.

use std::{fmt, io};

use annulus_core::{ElectionEvent, Event, EventKind, State, Why};
use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, warn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::host::clock;
use crate::supervisor::log_queue::{self, LogQueue};

/// How log lines look.
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

/// Starts logging to standard error. A second call changes nothing.
///
/// # Errors
/// The system starts no thread.
pub fn init(format: LogFormat, verbose: u8) -> io::Result<()> {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let ansi = io::IsTerminal::is_terminal(&io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(LogQueue::stderr()?)
        .with_target(false)
        // The library would print about lines that cannot be written, to the same place, and panic.
        .log_internal_errors(false)
        .with_timer(UtcMillis);
    // Failing means that a test or an embedding program has its own subscriber, which is as good.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(ansi).try_init().is_ok(),
        LogFormat::Json => builder.json().flatten_event(true).try_init().is_ok(),
    };
    Ok(())
}

/// Waits until what was logged so far is written; a second at most.
pub fn flush() {
    log_queue::flush();
}

/// Writes one event of the node.
pub fn event(event: &Event) {
    let (id, input) = (event.id.0, event.cause.input.0);
    match &event.kind {
        EventKind::Started { member, incarnation, restored } => {
            info!(event = id, %member, incarnation = incarnation.0, restored, "member {member} starts");
        }
        EventKind::MemberChanged { member, from, to, incarnation, why } => {
            member_changed(id, member, *from, *to, incarnation.0, *why);
        }
        EventKind::MemberForgotten { member } => info!(event = id, %member, "member {member} is forgotten"),
        EventKind::ProbeFailed { member, refused, nacks, .. } => {
            debug!(event = id, %member, refused, nacks, "no answer from member {member}");
        }
        EventKind::SuspicionConfirmed { member, by, accusers } => {
            debug!(event = id, %member, %by, accusers, "member {by} suspects {member} too");
        }
        EventKind::Refuted { accusation, incarnation } => {
            info!(
                event = id,
                incarnation = incarnation.0,
                "this member was called {accusation} and answers that it is alive"
            );
        }
        EventKind::LocalHealth { score } => debug!(event = id, score, "local health score is {score}"),
        EventKind::Stalled { for_ms } => {
            warn!(event = id, for_ms, "this process did not run for {for_ms} ms; it checks itself first");
        }
        EventKind::RumorAccepted { key, from } => {
            debug!(event = id, input, ?key, ?from, "{} rumor accepted", key.kind().name());
        }
        EventKind::VersionLost { version, .. } => {
            warn!(event = id, version, "{}", crate::supervisor::event::sentence(&event.kind));
        }
        EventKind::Synced { with, learned, sent } => {
            debug!(event = id, %with, learned, sent, "compared records with member {with}");
        }
        EventKind::Banned { member } => warn!(event = id, %member, "member {member} is banned from the ring"),
        EventKind::ServiceChanged { service, from, to, reason } => {
            let (from, to) = (from.map_or("none", |s| s.name()), to.map_or("unloaded", |s| s.name()));
            let service = service.as_str();
            if to == "backoff" {
                warn!(event = id, service, from, to, "service {service} failed: {reason}");
            } else {
                info!(event = id, service, from, to, "service {service} is {to}: {reason}");
            }
        }
        EventKind::DecodeFailed { from, channel, error } => {
            debug!(event = id, %from, ?channel, "message rejected: {error}");
        }
        EventKind::LimitReached { limit } => {
            warn!(event = id, limit = limit.name(), "limit {limit} reached; the least valuable was dropped");
        }
        EventKind::PersistFailed { reason } => error!(event = id, "state could not be stored: {reason}"),
        EventKind::IdentityConflict { address } => error!(
            event = id, %address,
            "another supervisor at {address} runs with a copy of this one's data directory: stop one of the two and \
             remove its data directory, then it gets an identity of its own"
        ),
        EventKind::Leaving => info!(event = id, "leaving the ring"),
        EventKind::Election { group, term, what } => {
            let words = crate::supervisor::event::election::sentence(group, *term, what);
            let group = group.as_str();
            match what {
                ElectionEvent::Lost { .. } => warn!(event = id, group, term, "{words}"),
                ElectionEvent::Voted { .. } => debug!(event = id, group, term, "{words}"),
                _ => info!(event = id, group, term, "{words}"),
            }
        }
    }
}

fn member_changed(
    event: u64,
    member: &annulus_core::MemberId,
    from: Option<State>,
    to: State,
    incarnation: u64,
    why: Why,
) {
    let from = from.map_or("Unknown", State::name);
    let reason = reason(why);
    match to {
        State::Confirmed => {
            warn!(event, %member, incarnation, from, to = to.name(), "member {member} is dead: {reason}");
        }
        State::Alive | State::Suspect | State::Departed => {
            info!(event, %member, incarnation, from, to = to.name(), "member {member} is {to}: {reason}");
        }
    }
}

fn reason(why: Why) -> String {
    match why {
        Why::Restored => "read from disk".to_owned(),
        Why::Contact => "it spoke to this member".to_owned(),
        Why::Rumor { from } => format!("member {from} said so"),
        Why::ProbeFailed => "it does not answer".to_owned(),
        Why::SuspicionExpired { accusers } => {
            format!("it did not refute the suspicion of {accusers} in time")
        }
        Why::GoneTooLong => "it has been dead for too long".to_owned(),
        Why::Own => "it is this member".to_owned(),
        Why::Operator => "an operator said so".to_owned(),
    }
}
