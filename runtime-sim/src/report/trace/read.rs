//! Reads a trace back, line by line, into the values that its lines were written from.

use std::io::BufRead;

use serde::Deserialize as _;
use serde_json::Value;
use thiserror::Error;

use super::line::Line;

/// Why a text is no trace.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("line {line}: cannot be read: {error}")]
    Io {
        /// The line.
        line: usize,
        /// The reason.
        error: std::io::Error,
    },
    /// The last line is not whole.
    #[error(
        "line {line}: the line breaks off, so the trace is truncated; write it again with \
         `annulus-sim run FILE --trace TRACE`"
    )]
    Truncated {
        /// The line.
        line: usize,
    },
    /// A line is none that traces consist of.
    #[error("line {line}: this is no line of a trace of annulus-sim: {reason}")]
    Foreign {
        /// The line.
        line: usize,
        /// The mistake in it.
        reason: String,
    },
}

/// The lines of a trace; ends after the first one that cannot be read. Empty lines are passed over.
pub fn read_jsonl(reader: impl BufRead) -> impl Iterator<Item = Result<Line, ReadError>> {
    let mut lines = reader.lines().enumerate().peekable();
    let mut broken = false;
    std::iter::from_fn(move || {
        while !broken {
            let (index, text) = lines.next()?;
            let read = match text {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => from_json(&text, index + 1, lines.peek().is_none()),
                Err(error) => Err(ReadError::Io { line: index + 1, error }),
            };
            broken = read.is_err();
            return Some(read);
        }
        None
    })
}

fn from_json(text: &str, line: usize, last: bool) -> Result<Line, ReadError> {
    let foreign = |error: serde_json::Error| ReadError::Foreign { line, reason: reason_of(&error) };
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) if error.is_eof() && last && line > 1 => return Err(ReadError::Truncated { line }),
        Err(error) => return Err(foreign(error)),
    };
    Line::deserialize(value).map_err(foreign)
}

/// The reader's words without the position in the line, which helps no user.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}
