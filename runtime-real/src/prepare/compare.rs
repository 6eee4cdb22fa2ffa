//! Compares a configuration that an operator gives with what a package sets by default. A difference is no error, as
//! templates may know keys without a default; it is probably a slip.

use std::fmt;

use toml::{Table, Value};

use super::layers::dotted;

/// Differences that are named; of more, only their count is.
const NAMED_MAX: usize = 20;

/// A way in which a value differs from the package's default.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    /// The value's dotted path.
    path: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// No default has this key. The nearest key that has one, if there is any like it.
    Unknown { meant: Option<String> },
    /// The default is of another type.
    Type { given: &'static str, default: &'static str, value: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what } = self;
        match what {
            What::Unknown { meant: None } => write!(f, "{path} is not in default.toml"),
            What::Unknown { meant: Some(meant) } => {
                write!(f, "{path} is not in default.toml; did you mean {meant}?")
            }
            What::Type { given, default, value } => {
                write!(f, "{path} is {given}, and {default} in default.toml ({value})")
            }
        }
    }
}

/// The differences between a configuration and the defaults, in words, in order of their paths.
#[must_use]
pub fn differences(defaults: &Table, given: &Table) -> Vec<String> {
    let mut found = Vec::new();
    compare(defaults, given, &mut Vec::new(), &mut found);
    let more = found.len().saturating_sub(NAMED_MAX);
    let mut words: Vec<String> = found.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if more > 0 {
        words.push(format!("{more} more values differ from default.toml"));
    }
    words
}

fn compare<'a>(defaults: &Table, given: &'a Table, path: &mut Vec<&'a str>, found: &mut Vec<Difference>) {
    for (key, value) in given {
        path.push(key);
        let what = match (defaults.get(key), value) {
            (None, _) => {
                let meant = nearest(key, defaults).map(|near| {
                    let parents = path.iter().copied().take(path.len() - 1);
                    dotted(&parents.chain([near]).collect::<Vec<_>>())
                });
                Some(What::Unknown { meant })
            }
            // A table without a key is one that operators are to fill.
            (Some(Value::Table(below)), Value::Table(_)) if below.is_empty() => None,
            (Some(Value::Table(below)), Value::Table(above)) => {
                compare(below, above, path, found);
                None
            }
            (Some(default), value) => other_type(default, value),
        };
        found.extend(what.map(|what| Difference { path: dotted(path), what }));
        path.pop();
    }
}

fn other_type(default: &Value, given: &Value) -> Option<What> {
    let (was, is) = (type_of(default), type_of(given));
    // Whole numbers are written where a number with a fraction is meant.
    if was == is || (default.is_float() && given.is_integer()) {
        return None;
    }
    let value = match default {
        Value::Table(_) => "[…]".to_owned(),
        other => other.to_string(),
    };
    let value =
        if value.chars().count() > 40 { value.chars().take(40).chain(['…']).collect() } else { value };
    Some(What::Type { given: is, default: was, value })
}

/// A value's type in words. Lists of one type are told apart by that; an empty one may be of any.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// The key that was probably meant: one that differs by at most a third of its letters.
fn nearest<'a>(key: &str, known: &'a Table) -> Option<&'a str> {
    let near = known.keys().map(|other| (distance(key, other), other.as_str()));
    near.filter(|(far, other)| *far * 3 <= other.chars().count().max(3)).min().map(|(_, other)| other)
}

/// How many letters have to be put in, taken out or replaced to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut above = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let next = (above + usize::from(x != *y)).min(*cell + 1).min(left + 1);
            (above, left) = (*cell, next);
            *cell = next;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(defaults: &str, given: &str) -> Vec<String> {
        differences(&defaults.parse().expect("TOML"), &given.parse().expect("TOML"))
    }

    #[test]
    fn unknown_keys_and_other_types_are_named_with_the_type_of_the_default() {
        let defaults = "port = 80\nratio = 0.5\ncolour = 'blue'\nhosts = ['a']\n[tls]\non = true\n[users]\n";
        let given = "prt = 81\nport = '81'\nratio = 1\nhosts = 'a'\n[tls]\non = 'yes'\nkey = 'k'\n[users]\nann = 1\n\
                     [colour]\nname = 'red'\n";
        assert_eq!(
            between(defaults, given),
            [
                "colour is a table, and a text in default.toml (\"blue\")",
                "hosts is a text, and a list in default.toml ([\"a\"])",
                "port is a text, and a whole number in default.toml (80)",
                "prt is not in default.toml; did you mean port?",
                "tls.key is not in default.toml",
                "tls.on is a text, and true or false in default.toml (true)",
            ]
        );
        assert_eq!(between(defaults, defaults), Vec::<String>::new());
        assert_eq!(between("", "a = 1"), ["a is not in default.toml"]);
    }

    #[test]
    fn many_differences_are_counted() {
        let given: String = (0..25).map(|n| format!("key{n} = 1\n")).collect();
        let found = between("", &given);
        assert_eq!(found.len(), 21);
        assert_eq!(found[20], "5 more values differ from default.toml");
    }

    #[test]
    fn words_are_near_each_other_by_their_letters() {
        for (a, b, far) in
            [("", "", 0), ("a", "", 1), ("port", "prt", 1), ("colour", "color", 1), ("ab", "ba", 2)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (far, far), "{a} {b}");
        }
    }
}
