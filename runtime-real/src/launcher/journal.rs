//! Sends lines where they belong: a service's into its log and onto standard output, the launcher's own onto standard
//! error and into the supervisor's log. Never waits for a reader of standard output or standard error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use super::log_file::{Keep, LogFile, Notice};
use super::record::{Record, START};
use super::sink::Sink;
use super::stamp::stamp;
use crate::host::clock;
use crate::host::terminal::visible;

/// Logs that are kept open; services that were unloaded leave open ones behind.
const FILES_MAX: usize = 1_024;
/// A buffer that grew beyond this is freed after use.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;

/// At the end, the lines that wait to be shown get this long, in milliseconds.
const LAST_LINES_MS: u16 = 1_000;

/// The severity of a line of the launcher's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
    Error,
}

/// The origin of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Service {
        service: String,
        group: String,
        /// The line's tag: `O`, `E` or `H`.
        tag: u8,
    },
    Supervisor,
}

/// All logs of a launcher.
#[derive(Debug)]
pub(super) struct Journal {
    /// The directory of all services' directories.
    services: PathBuf,
    /// The supervisor's log, which has the launcher's own lines too.
    log: LogFile,
    keep: Keep,
    json: bool,
    shown: Sink,
    own: Sink,
    files: BTreeMap<String, LogFile>,
    lines: Vec<u8>,
    line: Vec<u8>,
}

impl Journal {
    /// # Errors
    /// The system gives no descriptors.
    pub(super) fn new(services: PathBuf, log: LogFile, keep: Keep, json: bool) -> io::Result<Self> {
        let shown = Sink::new(io::stdout().as_fd(), json)?;
        let own = Sink::new(io::stderr().as_fd(), json)?;
        let (files, lines, line) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Self { services, log, keep, json, shown, own, files, lines, line })
    }

    /// Takes lines of one source; `give` calls its argument with each.
    pub(super) fn take(&mut self, source: &Source, give: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        match source {
            Source::Service { service, group, tag } => self.lines((service, group, *tag), give),
            Source::Supervisor => {
                let (own, lines, json) = (&mut self.own, &mut self.lines, self.json);
                give(&mut |line: &[u8]| {
                    let line = whole(&String::from_utf8_lossy(line));
                    lines.extend_from_slice(line.as_bytes());
                    show(own, &line, json);
                });
                self.log_own();
            }
        }
    }

    /// Appends what has been gathered to the supervisor's log.
    fn log_own(&mut self) {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            for notice in self.log.append(&lines, clock::wall()) {
                let (level, text) = notice.said_of("the supervisor");
                let line = self.show(level, &text);
                // Where this log cannot be written, its trouble is only shown. Notices of notices are not told.
                if !matches!(notice, Notice::Failed(_)) {
                    drop(self.log.append(line.as_bytes(), clock::wall()));
                }
            }
        }
        self.lines.clear();
    }

    /// Takes lines of a service; `give` calls its argument with each.
    pub(super) fn lines(
        &mut self,
        (service, group, tag): (&str, &str, u8),
        give: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) {
        let now = clock::wall();
        let stamp = stamp(now);
        let tag = char::from(tag);
        let (json, shown) = (self.json, &mut self.shown);
        let (lines, line) = (&mut self.lines, &mut self.line);
        give(&mut |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            // A service must not steer the terminal of the person who looks.
            let visible = visible(&text);
            for part in [&stamp, " ", tag.encode_utf8(&mut [0; 4]), " ", &text, "\n"] {
                lines.extend_from_slice(part.as_bytes());
            }
            line.clear();
            if json {
                let head = format!("{{\"timestamp\":\"{stamp}\",\"level\":\"INFO\",\"group\":");
                line.extend_from_slice(head.as_bytes());
                line.extend_from_slice(quoted(group).as_bytes());
                line.extend_from_slice(format!(",\"stream\":\"{tag}\",\"message\":").as_bytes());
                line.extend_from_slice(quoted(&text).as_bytes());
                line.extend_from_slice(b"}\n");
            } else {
                for part in [group, "(", tag.encode_utf8(&mut [0; 4]), "): ", &visible, "\n"] {
                    line.extend_from_slice(part.as_bytes());
                }
            }
            shown.line(line);
        });
        if !self.lines.is_empty() {
            let mut lines = std::mem::take(&mut self.lines);
            self.append(service, &lines);
            lines.clear();
            lines.shrink_to(BUFFER_BYTES_KEPT);
            self.lines = lines;
        }
    }

    fn append(&mut self, service: &str, lines: &[u8]) {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(service) {
            self.files.pop_first();
        }
        let (services, keep) = (&self.services, self.keep);
        let file = self.files.entry(service.to_owned()).or_insert_with(|| {
            let path = PathBuf::from(service).join("logs").join(format!("{service}.log"));
            LogFile::new(services.clone(), path, keep)
        });
        for notice in file.append(lines, clock::wall()) {
            let (level, text) = notice.said_of(service);
            self.report(level, &text);
        }
    }

    /// Closes a service's log.
    pub(super) fn close(&mut self, service: &str) {
        self.files.remove(service);
    }

    /// Writes a line of the launcher's own.
    pub(super) fn report(&mut self, level: Level, text: &str) {
        let line = self.show(level, text);
        self.lines.extend_from_slice(line.as_bytes());
        self.log_own();
    }

    /// Shows a line of the launcher's own, and returns it as the log's file has it.
    fn show(&mut self, level: Level, text: &str) -> String {
        let line = own_line(level, text);
        show(&mut self.own, &line, self.json);
        self.own.flush();
        line
    }

    /// Writes the lines that wait, and gives their readers a bounded time to take them.
    pub(super) fn finish(&mut self) {
        for sink in [&mut self.shown, &mut self.own] {
            sink.finish(LAST_LINES_MS);
        }
    }

    /// Writes as many of the waiting lines as the readers take without delay.
    pub(super) fn flush(&mut self) {
        self.shown.flush();
        self.own.flush();
    }

    /// The descriptors that the loop has to watch while lines wait to be shown.
    pub(super) fn wanted(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.shown.wanted(), self.own.wanted()].into_iter().flatten()
    }
}

impl Notice {
    /// The line that says so of the log of a service or of the supervisor.
    fn said_of(&self, whose: &str) -> (Level, String) {
        match self {
            Self::Failed(reason) => {
                let text = format!(
                    "the log of {whose} cannot be written: {reason}; until it can, its lines are only shown"
                );
                (Level::Warn, text)
            }
            Self::Recovered(0) => (Level::Info, format!("the log of {whose} is written again")),
            Self::Recovered(1) => {
                (Level::Info, format!("the log of {whose} is written again; it lacks 1 line"))
            }
            Self::Recovered(lost) => {
                (Level::Info, format!("the log of {whose} is written again; it lacks {lost} lines"))
            }
            Self::Moved(how) => {
                (Level::Info, format!("the log of {whose} was {how} by another program; a new file is begun"))
            }
            Self::Stuck(reason) => {
                let text = format!(
                    "the log of {whose} is full or old and cannot be put aside: {reason}; it grows past its limit, \
                     at most to the size that it and its older files may have together"
                );
                (Level::Warn, text)
            }
        }
    }
}

/// A line of the launcher's own, as the log's file has it.
fn own_line(level: Level, text: &str) -> String {
    let word = match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let (stamp, text) = (stamp(clock::wall()), quoted(text));
    format!("{START}{stamp}\",\"level\":\"{word}\",\"launcher\":true,\"message\":{text}}}\n")
}

/// A line of the supervisor with its end. What is no object is what a supervisor prints that cannot go on: its last
/// words, or a panic.
fn whole(line: &str) -> String {
    if line.starts_with(START) && line.ends_with('}') {
        return format!("{line}\n");
    }
    own_line(Level::Error, line.strip_prefix("annulus: ").unwrap_or(line))
}

/// Shows a line of the log's file, as it stands or for people.
fn show(own: &mut Sink, line: &str, json: bool) {
    match Record::parse(line).filter(|_| !json) {
        Some(record) => own.line(format!("{}\n", record.to_text(own.has_colours())).as_bytes()),
        None => own.line(line.as_bytes()),
    }
}

/// The text as a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a text cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quoted_text_is_json(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).expect("JSON"), text);
        }
    }

    #[test]
    fn what_a_dying_supervisor_prints_is_a_line_too() {
        let object = "{\"timestamp\":\"2026-01-31T12:00:00.123Z\",\"level\":\"INFO\",\"message\":\"x\"}";
        assert_eq!(whole(object), format!("{object}\n"));
        let record = Record::parse(&whole("annulus: \u{1b}no such directory")).expect("an object");
        assert_eq!((record.level(), record.message()), ("ERROR", "\u{1b}no such directory"));
    }

    #[test]
    fn a_services_lines_are_in_its_log_with_time_and_tag() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("web/logs")).expect("made");
        let keep = Keep { size_bytes: 1_000, age_ms: 1_000_000, files: 1 };
        let mut journal = Journal::new(
            dir.path().to_owned(),
            LogFile::new(dir.path().to_owned(), "sup.log".into(), keep),
            keep,
            false,
        )
        .expect("a journal");
        journal.lines(("web", "web.default", b'O'), |line| {
            line(b"hello");
            line(b"\xff");
        });
        journal.lines(("web", "web.default", b'E'), |line| line(b"oh"));
        let text = std::fs::read_to_string(dir.path().join("web/logs/web.log")).expect("written");
        let rest: Vec<&str> = text.lines().map(|line| &line[24..]).collect();
        assert_eq!(rest, [" O hello", " O \u{fffd}", " E oh"]);
    }
}
