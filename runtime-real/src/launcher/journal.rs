//! Where lines go: a service's into its log and onto standard output, the launcher's own onto standard error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use super::log_file::{Keep, LogFile, Notice};
use super::sink::Sink;
use super::stamp::stamp;
use crate::clock;

/// Logs that are kept open; services that are unloaded leave theirs behind.
const FILES_MAX: usize = 1_024;
/// A buffer that became larger than this is let go.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
    Error,
}

/// All logs of a launcher.
#[derive(Debug)]
pub(super) struct Journal {
    /// The directory of all services' directories.
    services: PathBuf,
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
    pub(super) fn new(services: PathBuf, keep: Keep, json: bool) -> io::Result<Self> {
        let (shown, own) = (Sink::new(io::stdout().as_fd())?, Sink::new(io::stderr().as_fd())?);
        let (files, lines, line) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Self { services, keep, json, shown, own, files, lines, line })
    }

    /// Takes lines of a service; `give` calls what it is given with each.
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
        let mut count = 0;
        give(&mut |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
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
                for part in [group, "(", tag.encode_utf8(&mut [0; 4]), "): ", &text, "\n"] {
                    line.extend_from_slice(part.as_bytes());
                }
            }
            shown.line(line);
            count += 1;
        });
        if count > 0 {
            self.append(service, count);
        }
        self.lines.clear();
        self.lines.shrink_to(BUFFER_BYTES_KEPT);
    }

    fn append(&mut self, service: &str, count: u64) {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(service) {
            self.files.pop_first();
        }
        let (services, keep) = (&self.services, self.keep);
        let file = self.files.entry(service.to_owned()).or_insert_with(|| {
            LogFile::new(services.join(service).join("logs").join(format!("{service}.log")), keep)
        });
        match file.append(&self.lines, count, clock::wall()) {
            None => {}
            Some(Notice::Failed(reason)) => self.report(
                Level::Warn,
                &format!(
                    "the log of {service} cannot be written: {reason}; until it can, its lines are only shown"
                ),
            ),
            Some(Notice::Recovered(lost)) => self.report(
                Level::Info,
                &format!("the log of {service} is written again; it lacks {lost} lines"),
            ),
        }
    }

    /// Lets go of a service's log.
    pub(super) fn close(&mut self, service: &str) {
        self.files.remove(service);
    }

    /// A line of the launcher's own.
    pub(super) fn report(&mut self, level: Level, text: &str) {
        let stamp = stamp(clock::wall());
        let word = match level {
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        let line = if self.json {
            let message = quoted(text);
            format!(
                "{{\"timestamp\":\"{stamp}\",\"level\":\"{word}\",\"launcher\":true,\"message\":{message}}}\n"
            )
        } else {
            format!("{stamp} {word:>5} {text}\n")
        };
        self.own.line(line.as_bytes());
        self.own.flush();
    }

    /// Writes what can be written now.
    pub(super) fn flush(&mut self) {
        self.shown.flush();
        self.own.flush();
    }

    /// What to wait for, when lines wait to be shown.
    pub(super) fn wanted(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.shown.wanted(), self.own.wanted()].into_iter().flatten()
    }
}

/// A JSON string.
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
    fn a_services_lines_are_in_its_log_with_time_and_tag() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("web/logs")).expect("made");
        let keep = Keep { size_bytes: 1_000, age_ms: 1_000_000, files: 1 };
        let mut journal = Journal::new(dir.path().to_owned(), keep, false).expect("a journal");
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
