//! How a process ended.

use core::fmt;
use core::str::FromStr;

use crate::model::error::ParseError;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The supervisor could not find out.
    Unknown,
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("unknown exit status"),
        }
    }
}

/// Reads the form that `Display` writes.
impl FromStr for ExitStatus {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let number = |text: &str| text.parse().map_err(|_| ParseError::Choice);
        match (s.strip_prefix("exit code "), s.strip_prefix("signal ")) {
            (Some(code), _) => number(code).map(Self::Code),
            (_, Some(signal)) => number(signal).map(Self::Signal),
            _ if s == "unknown exit status" => Ok(Self::Unknown),
            _ => Err(ParseError::Choice),
        }
    }
}
