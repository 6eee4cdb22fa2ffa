//! One line of a log, and its forms for people and for machines. A line that is not as expected is shown as it stands.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::host::terminal::{Colour, paint, visible};
use crate::launcher::record::{Record, START};

/// Length of a time stamp such as `2026-01-31T12:00:00.123Z`.
const STAMP_BYTES: usize = 24;

/// The owner of a log, which decides what a line's second word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A service's log: `O` for standard output, `E` for errors, `H` for hooks.
    Service,
    /// A supervisor's log: a level.
    Supervisor,
}

/// A line as it stands in the file, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a>(pub(crate) &'a str);

impl<'a> Line<'a> {
    /// The time at which it was written; none when the line does not say so.
    pub(crate) fn stamp(self) -> Option<&'a str> {
        // A supervisor's line is an object.
        let text = self.0.strip_prefix(START).unwrap_or(self.0);
        let (stamp, rest) = text.split_at_checked(STAMP_BYTES)?;
        let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let shape: String = stamp.chars().map(digits).collect();
        (shape == "0000-00-00T00:00:00.000Z" && rest.starts_with([' ', '"'])).then_some(stamp)
    }

    /// As text for people, which steers no terminal whatever a service printed.
    pub(crate) fn to_text(self, kind: Kind, has_colours: bool) -> Cow<'a, str> {
        match self.record(kind) {
            Some(record) => Cow::Owned(record.to_text(has_colours)),
            None if kind == Kind::Service && has_colours && self.is_error() => {
                Cow::Owned(paint(&visible(self.0), Colour::Yellow))
            }
            None => visible(self.0),
        }
    }

    /// Whether a service printed it as an error.
    fn is_error(self) -> bool {
        self.stamp()
            .is_some_and(|stamp| self.0.get(stamp.len()..).is_some_and(|rest| rest.starts_with(" E ")))
    }

    /// The line of a supervisor; none for one of an earlier form.
    fn record(self, kind: Kind) -> Option<Record> {
        (kind == Kind::Supervisor).then(|| Record::parse(self.0))?
    }

    /// As an object for machines; parts that it does not have are null.
    pub(crate) fn to_json(self, kind: Kind) -> Value {
        if let Some(mut object) = self.record(kind).map(Record::into_fields) {
            for (old, new) in [("timestamp", "time"), ("message", "text")] {
                let value = object.remove(old).unwrap_or_default();
                object.insert(new.to_owned(), value);
            }
            return Value::Object(object);
        }
        let stamp = self.stamp();
        let rest = stamp.map_or(self.0, |_| self.0.get(STAMP_BYTES..).unwrap_or_default().trim_start());
        let (tag, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = match kind {
            Kind::Service => match tag {
                "O" => Some("stdout"),
                "E" => Some("stderr"),
                "H" => Some("hook"),
                _ => None,
            },
            Kind::Supervisor => {
                ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].into_iter().find(|level| *level == tag)
            }
        };
        let known = stamp.and(name);
        let text = if known.is_some() { text } else { rest };
        let field = match kind {
            Kind::Service => "stream",
            Kind::Supervisor => "level",
        };
        json!({ "time": stamp, field: known, "text": text })
    }
}
