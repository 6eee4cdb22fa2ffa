//! One line of a log, and how it is shown.

use serde_json::{Value, json};

/// Length of a time stamp such as `2026-01-31T12:00:00.123Z`.
const STAMP_BYTES: usize = 24;

/// Whose log a line is of, which decides what its second word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A service: `O` for standard output, `E` for errors, `H` for hooks.
    Service,
    /// A supervisor: a level.
    Supervisor,
}

/// A line as it stands in the file, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a>(pub(crate) &'a str);

impl<'a> Line<'a> {
    /// When it was written; none when it does not say so.
    pub(crate) fn stamp(self) -> Option<&'a str> {
        let (stamp, rest) = self.0.split_at_checked(STAMP_BYTES)?;
        let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let shape: String = stamp.chars().map(digits).collect();
        (shape == "0000-00-00T00:00:00.000Z" && rest.starts_with(' ')).then_some(stamp)
    }

    /// As an object for machines; parts that it does not have are null.
    pub(crate) fn to_json(self, kind: Kind) -> Value {
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
