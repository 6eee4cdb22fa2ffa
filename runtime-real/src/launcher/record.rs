//! A line of the supervisor's own log. The file holds each as an object on one line, whose fields programs can read;
//! people are shown the same as a sentence, each thing once. Writes to no file.

use serde_json::{Map, Value};

use crate::host::terminal::{Colour, paint, visible};

/// The beginning of every such line.
pub const START: &str = "{\"timestamp\":\"";
/// Fields that are not shown to people: those that the line is made of, and marks for programs.
const UNSHOWN: [&str; 7] = ["timestamp", "level", "message", "launcher", "ready", "repeated", "repeated_s"];

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(Map<String, Value>);

impl Record {
    /// Reads a line; none if it is no such object, as what a program prints that dies.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        line.starts_with(START).then(|| serde_json::from_str(line).ok().map(Self))?
    }

    fn word(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its severity: ERROR, WARN, INFO, DEBUG or TRACE.
    #[must_use]
    pub fn level(&self) -> &str {
        self.word("level")
    }

    /// Its sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        self.word("message")
    }

    /// Its fields.
    #[must_use]
    pub fn into_fields(self) -> Map<String, Value> {
        self.0
    }

    /// The line as people are shown it: time, level, sentence, and the fields that the sentence does not say.
    #[must_use]
    pub fn to_text(&self, has_colours: bool) -> String {
        let level = format!("{:>5}", visible(self.level()));
        let level = match colour(self.level()).filter(|_| has_colours) {
            Some(colour) => paint(&level, colour),
            None => level,
        };
        format!("{} {level} {}{}", visible(self.word("timestamp")), visible(self.message()), self.rest())
    }

    /// The fields that the sentence does not say, each behind a space.
    fn rest(&self) -> String {
        // The sentence of an event of the ring is made of its fields.
        if self.0.contains_key("event") && self.0.contains_key("kind") {
            return String::new();
        }
        let message = self.message();
        let said = |text: &str| !text.is_empty() && message.contains(text);
        let shown = self.0.iter().filter(|(name, _)| !UNSHOWN.contains(&name.as_str())).filter_map(
            |(name, value)| {
                let text = match value {
                    Value::Null => return None,
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                (!said(&text)).then(|| format!(" {}={}", visible(name), quoted_if_needed(&text)))
            },
        );
        shown.collect()
    }

    /// The same line with a remark behind its sentence.
    #[must_use]
    pub fn remarked(self, remark: &str) -> String {
        let stamp = self.word("timestamp").to_owned();
        self.again(&stamp, remark)
    }

    fn again(mut self, stamp: &str, remark: &str) -> String {
        let message = format!("{} ({remark})", self.message());
        self.0.remove("timestamp");
        self.0.insert("message".to_owned(), message.into());
        let rest = Value::Object(self.0).to_string();
        format!("{START}{stamp}\",{}", rest.get(1..).unwrap_or_default())
    }

    /// The same line again, as told for so many that are not written: with this time, and with their number.
    #[must_use]
    pub fn repeated(mut self, stamp: &str, count: u64, seconds: u64) -> String {
        self.0.insert("repeated".to_owned(), count.into());
        self.0.insert("repeated_s".to_owned(), seconds.into());
        self.again(stamp, &format!("{count} more like this in {seconds} s"))
    }
}

/// The colour of a level on a terminal.
#[must_use]
pub fn colour(level: &str) -> Option<Colour> {
    match level {
        "ERROR" => Some(Colour::Red),
        "WARN" => Some(Colour::Yellow),
        "DEBUG" | "TRACE" => Some(Colour::Dim),
        _ => None,
    }
}

fn quoted_if_needed(text: &str) -> String {
    let is_word = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=');
    if is_word { visible(text).into_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"timestamp":"2026-01-31T12:00:00.123Z","level":"WARN","message":"#;

    fn text(rest: &str) -> String {
        Record::parse(&format!("{HEAD}{rest}}}")).expect("a line").to_text(false)
    }

    #[test]
    fn each_thing_is_said_once() {
        for (rest, shown) in [
            (r#""web is up","event":7,"kind":"service_changed","service":"web","to":"up""#, "web is up"),
            (
                r#""gossip message dropped: too many wait","to":"10.0.0.1:9638""#,
                "gossip message dropped: too many wait to=10.0.0.1:9638",
            ),
            (r#""agent check on 10.0.0.1:1","address":"10.0.0.1:1","n":null"#, "agent check on 10.0.0.1:1"),
            (
                r#""no connection","error":"no such host","attempts":3"#,
                "no connection attempts=3 error=\"no such host\"",
            ),
            (r#""is ready","ready":true"#, "is ready"),
        ] {
            assert_eq!(text(rest), format!("2026-01-31T12:00:00.123Z  WARN {shown}"), "{rest}");
        }
    }

    #[test]
    fn a_line_stays_one_line_and_steers_no_terminal() {
        let shown = text(r#""bad file:\n  | x\u001b[31m","error":"a\nb""#);
        assert_eq!(shown, "2026-01-31T12:00:00.123Z  WARN bad file:\\n  | x\\u{1b}[31m error=\"a\\nb\"");
    }

    #[test]
    fn colours_are_the_levels() {
        let record = Record::parse(&format!("{HEAD}\"x\"}}")).expect("a line");
        assert_eq!(record.to_text(true), "2026-01-31T12:00:00.123Z \u{1b}[33m WARN\u{1b}[0m x");
        assert_eq!(colour("ERROR"), Some(Colour::Red));
        assert_eq!(colour("INFO"), None);
    }

    #[test]
    fn a_folded_line_has_its_number_and_is_a_line_again() {
        let record = Record::parse(&format!("{HEAD}\"x\",\"event\":1}}")).expect("a line");
        let again = record.repeated("2026-01-31T12:01:00.000Z", 12, 60);
        let record = Record::parse(&again).expect("a line");
        assert_eq!(record.to_text(false), "2026-01-31T12:01:00.000Z  WARN x (12 more like this in 60 s)");
        let fields = record.into_fields();
        assert_eq!((&fields["repeated"], &fields["event"]), (&12.into(), &1.into()));
        assert_eq!(Record::parse("thread 'main' panicked"), None);
    }
}
