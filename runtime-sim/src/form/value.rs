//! The values of a scenario file. Each is checked while it is read, so that an error points at it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

use crate::engine::link::Ratio;

/// Which way a cut or a link's quality works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// Packets from the named members.
    Out,
    /// Packets to the named members.
    In,
}

/// Longest time that a file may name: a week is more than any scenario needs and far from overflowing.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A time: a number and `ms`, `s`, `min` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) Duration);

/// Two times, `from..until`; `until` may be the word `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) from: Duration,
    /// None: the end of the scenario.
    pub(crate) until: Option<Duration>,
}

/// One time or `shortest..longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// A share of all cases, `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) Ratio);

/// One name or a list of names, each with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(crate) Vec<Spanned<String>>);

/// A number, or `least..most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

const TIME_HELP: &str = "write a number and ms, s, min or h, for example \"250ms\" or \"10s\"";

/// Parses `250ms`, `1.5s`, `2min`, `1h`.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_nanos: u128 = match unit.trim_start() {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(format!("\"{text}\" has no unit\n{TIME_HELP}")),
        _ => return Err(format!("\"{text}\" is not a time\n{TIME_HELP}")),
    };
    let (units, scale) = decimal(number).ok_or_else(|| format!("\"{text}\" is not a time\n{TIME_HELP}"))?;
    let nanos = u128::from(units) * unit_nanos / u128::from(scale);
    match u64::try_from(nanos).map(Duration::from_nanos) {
        Ok(time) if time <= TIME_MAX => Ok(time),
        _ => Err(format!("\"{text}\" is too long\nno time may be longer than a week")),
    }
}

/// `12.34` as (1234, 100); at most six decimals.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || fraction.len() > 6 || !digits(whole) || !digits(fraction) {
        return None;
    }
    if text.ends_with('.') {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    Some((format!("{whole}{fraction}").parse().ok()?, scale))
}

fn parse_time_range(text: &str) -> Result<TimeRange, String> {
    const HELP: &str = "write from..until, for example \"5s..20s\" or \"5s..end\"";
    let Some((from, until)) = text.split_once("..") else {
        return Err(format!("\"{text}\" is not a span of time\n{HELP}"));
    };
    let from = parse_time(from.trim())?;
    let until = match until.trim() {
        "end" => None,
        until => Some(parse_time(until)?),
    };
    if until.is_some_and(|until| until <= from) {
        return Err(format!("\"{text}\" ends before it begins\n{HELP}"));
    }
    Ok(TimeRange { from, until })
}

fn parse_latency(text: &str) -> Result<Latency, String> {
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (parse_time(min.trim())?, parse_time(max.trim())?),
        None => (parse_time(text)?, parse_time(text)?),
    };
    if max < min {
        return Err(format!("\"{text}\" is turned round\nwrite shortest..longest, for example \"1ms..5ms\""));
    }
    Ok(Latency { min, max })
}

fn parse_percent(text: &str) -> Result<Percent, String> {
    const HELP: &str = "write a number from 0 to 100 and a percent sign, for example \"5%\" or \"0.1%\"";
    let wrong = || format!("\"{text}\" is not a share\n{HELP}");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (units, scale) = decimal(number.trim_end()).ok_or_else(wrong)?;
    let denominator = scale * 100;
    if units > denominator {
        return Err(format!("\"{text}\" is more than all\n{HELP}"));
    }
    let common = gcd(units, denominator);
    let (Ok(numerator), Ok(denominator)) =
        (u32::try_from(units / common), u32::try_from(denominator / common))
    else {
        return Err(wrong());
    };
    Ok(Percent(Ratio { numerator, denominator }))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn parse_count(text: &str) -> Result<Count, String> {
    const HELP: &str = "write a number, or least..most in quotes, for example 3 or \"3..5\"";
    let wrong = || format!("\"{text}\" is not a count\n{HELP}");
    let (least, most) = text.split_once("..").ok_or_else(wrong)?;
    let number = |s: &str| s.trim().parse::<u32>().map_err(|_| wrong());
    let (least, most) = (number(least)?, number(most)?);
    if most < least {
        return Err(format!("\"{text}\" is turned round\n{HELP}"));
    }
    Ok(Count { least, most })
}

/// Reads a value that is written as a string.
macro_rules! from_text {
    ($type:ty, $parse:path, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

fn parse_time_value(text: &str) -> Result<Time, String> {
    parse_time(text).map(Time)
}

from_text!(Time, parse_time_value, "a time in quotes such as \"10s\" or \"250ms\"");
from_text!(TimeRange, parse_time_range, "a span of time in quotes such as \"5s..20s\" or \"5s..end\"");
from_text!(Latency, parse_latency, "a time in quotes such as \"2ms\" or \"1ms..5ms\"");
from_text!(Percent, parse_percent, "a share in quotes such as \"5%\"");

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name in quotes or a list of names")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Names, E> {
                Ok(Names(vec![Spanned::new(NOWHERE, text.to_owned())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// The place of a name that stands alone; [`Names::at`] replaces it by that of the value.
const NOWHERE: Range<usize> = 0..0;

impl Names {
    /// The names with their places, `whole` being the place of the value.
    pub(crate) fn at(&self, whole: &Range<usize>) -> Vec<(Range<usize>, &str)> {
        let place = |name: &Spanned<String>| {
            if name.span() == NOWHERE { whole.clone() } else { name.span() }
        };
        self.0.iter().map(|name| (place(name), name.get_ref().as_str())).collect()
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrRange;
        impl Visitor<'_> for NumberOrRange {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or least..most in quotes such as \"3..5\"")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
                let number = u32::try_from(number)
                    .map_err(|_| E::custom(format!("{number} is not a count\nwrite a number from 0")))?;
                Ok(Count { least: number, most: number })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
                parse_count(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberOrRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_time("0.25ms"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_time("2min"), Ok(Duration::from_secs(120)));
        for bad in ["", "5", "s", "5 parsecs", "-1s", "1.s", ".5s", "1e3s", "1.2.3s", "9999h"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_become_ratios() {
        let ratio = |text| parse_percent(text).map(|p| (p.0.numerator, p.0.denominator));
        assert_eq!(ratio("5%"), Ok((1, 20)));
        assert_eq!(ratio("0%"), Ok((0, 1)));
        assert_eq!(ratio("100%"), Ok((1, 1)));
        assert_eq!(ratio("0.1%"), Ok((1, 1000)));
        for bad in ["5", "101%", "-1%", "%", "a%"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_have_two_ends() {
        assert_eq!(parse_time_range("5s..end"), Ok(TimeRange { from: Duration::from_secs(5), until: None }));
        assert!(parse_time_range("5s..4s").is_err());
        assert!(parse_time_range("5s").is_err());
        assert_eq!(parse_count("3..5"), Ok(Count { least: 3, most: 5 }));
        assert!(parse_count("5..3").is_err());
    }
}
