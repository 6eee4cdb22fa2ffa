//! The options for the logs of services. Reads them; the launcher writes the logs.

use std::str::FromStr;

use clap::Args;
use serde::Deserialize;

use crate::launcher::Keep;

/// Ten mebibytes.
const SIZE_DEFAULT: Bytes = Bytes(10 << 20);
/// A day.
const AGE_DEFAULT: Age = Age(86_400_000);
const FILES_DEFAULT: u32 = 5;
/// Each older log is a file that is renamed whenever the log is put aside.
const FILES_MAX: u32 = 1_000;

/// A number of bytes, with a unit or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Bytes(u64);

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Age(pub(crate) u64);

/// A value in a configuration file, which may be a number without quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl Written {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl TryFrom<Written> for Bytes {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        written.text().parse()
    }
}

impl TryFrom<Written> for Age {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        written.text().parse()
    }
}

/// Splits a text into a number and the unit behind it.
fn parts(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no size: write a number above 0, alone or with K, M or G, e.g. 10M");
        let (number, unit) = parts(text).ok_or_else(wrong)?;
        let shift = match unit {
            "" | "B" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or_else(wrong)
    }
}

impl FromStr for Age {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time: write a number above 0 with s, m, h or d, e.g. 12h");
        let (number, unit) = parts(text).ok_or_else(wrong)?;
        let seconds = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        number.checked_mul(seconds * 1_000).filter(|ms| *ms > 0).map(Self).ok_or_else(wrong)
    }
}

/// Options for services' logs, `<root>/svc/<service>/logs/<service>.log`.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// A service's log is put aside before it becomes larger [default: 10M]
    #[arg(long, value_name = "SIZE", help_heading = "Logs of services")]
    pub log_max_size: Option<Bytes>,
    /// A service's log is put aside when its first line is older [default: 1d]
    #[arg(long, value_name = "TIME", help_heading = "Logs of services")]
    pub log_max_age: Option<Age>,
    /// How many older logs of each service are kept [default: 5]
    #[arg(long, value_name = "N", help_heading = "Logs of services")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=i64::from(FILES_MAX)))]
    pub log_keep: Option<u32>,
}

impl LogOptions {
    /// These options, completed by those of the file and then by the defaults.
    #[must_use]
    pub fn keep(self, file: Self) -> Keep {
        Keep {
            size_bytes: self.log_max_size.or(file.log_max_size).unwrap_or(SIZE_DEFAULT).0,
            age_ms: self.log_max_age.or(file.log_max_age).unwrap_or(AGE_DEFAULT).0,
            files: self.log_keep.or(file.log_keep).unwrap_or(FILES_DEFAULT).min(FILES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        for (text, bytes) in [("1", 1), ("2K", 2_048), ("10M", 10 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for (text, ms) in [("90", 90_000), ("5m", 300_000), ("12h", 43_200_000), ("1d", 86_400_000)] {
            assert_eq!(text.parse(), Ok(Age(ms)), "{text}");
        }
        for bad in ["", "0", "-1", "M", "1T", "1.5h", "99999999999999999999", "18446744073709551615G"] {
            assert!(bad.parse::<Bytes>().is_err() && bad.parse::<Age>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        #[derive(Deserialize)]
        struct File {
            size: Bytes,
            age: Age,
        }
        let file: File = toml::from_str("size = \"2M\"\nage = 60").expect("TOML");
        let file =
            LogOptions { log_max_size: Some(file.size), log_max_age: Some(file.age), log_keep: Some(2) };
        let here = LogOptions { log_keep: Some(9), ..LogOptions::default() };
        assert_eq!(here.keep(file), Keep { size_bytes: 2 << 20, age_ms: 60_000, files: 9 });
        let none = LogOptions::default();
        assert_eq!(none.keep(none), Keep { size_bytes: 10 << 20, age_ms: 86_400_000, files: 5 });
        assert!(toml::from_str::<File>("size = \"much\"\nage = 60").is_err());
    }
}
