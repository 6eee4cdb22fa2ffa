//! Figures, printed as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::Args;

/// One measured figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its key in JSON, the unit last.
    pub key: &'static str,
    /// Its description in words, the unit included.
    pub words: &'static str,
    /// Its value; none when it cannot be told.
    pub value: Option<f64>,
}

impl Figure {
    pub(super) fn new(key: &'static str, words: &'static str, value: impl Into<Option<f64>>) -> Self {
        Self { key, words, value: value.into() }
    }
}

pub(super) fn text(args: &Args, figures: &[Figure]) -> String {
    let mut out = format!("{} members, seed {}, {} % loss\n", args.members, args.seed, args.loss);
    for figure in figures {
        let value = figure.value.map_or_else(|| "unknown".to_owned(), number);
        let _ = writeln!(out, "{value:>14}  {}", figure.words);
    }
    out
}

pub(super) fn json(args: &Args, figures: &[Figure]) -> String {
    format!("{}\n", Value::Object(object(args, figures)))
}

/// The figures by key, with the options that they were measured with.
pub(super) fn object(args: &Args, figures: &[Figure]) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("members".to_owned(), args.members.into());
    object.insert("seed".to_owned(), args.seed.into());
    object.insert("loss_percent".to_owned(), args.loss.into());
    let values = figures.iter().map(|f| (f.key.to_owned(), f.value.map_or(Value::Null, |v| json!(v))));
    object.extend(values);
    object
}

/// A number with as many digits as are worth reading.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => thousands(value),
        v if v >= 100.0 || v == v.trunc() => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digit != '-' {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(999.6), "1000");
        assert_eq!(number(2.0), "2");
        assert_eq!(number(2.0714), "2.071");
    }
}
