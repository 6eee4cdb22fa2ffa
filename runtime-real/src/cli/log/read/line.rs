//! One line of a log, and its forms for people and for machines. A line that is not as expected is shown as it stands.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// Length of a time stamp such as `2026-01-31T12:00:00.123Z`.
const STAMP_BYTES: usize = 24;
/// The beginning of a line that is a JSON object.
const JSON_START: &str = "{\"timestamp\":\"";

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
        // A supervisor that logs JSON writes such lines here as well.
        let text = self.0.strip_prefix(JSON_START).unwrap_or(self.0);
        let (stamp, rest) = text.split_at_checked(STAMP_BYTES)?;
        let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let shape: String = stamp.chars().map(digits).collect();
        (shape == "0000-00-00T00:00:00.000Z" && rest.starts_with([' ', '"'])).then_some(stamp)
    }

    /// As text for people.
    pub(crate) fn to_text(self, kind: Kind) -> Cow<'a, str> {
        let Some(object) = self.object(kind) else { return Cow::Borrowed(self.0) };
        let part = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        Cow::Owned(format!("{} {:>5} {}", part("timestamp"), part("level"), part("message")))
    }

    /// The object that a supervisor logs when it logs JSON.
    fn object(self, kind: Kind) -> Option<Map<String, Value>> {
        (kind == Kind::Supervisor && self.0.starts_with(JSON_START))
            .then(|| serde_json::from_str(self.0).ok())?
    }

    /// As an object for machines; parts that it does not have are null.
    pub(crate) fn to_json(self, kind: Kind) -> Value {
        if let Some(mut object) = self.object(kind) {
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
