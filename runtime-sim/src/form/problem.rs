//! Mistakes in a scenario file, with their places.

use std::fmt;
use std::ops::Range;

/// One mistake in a scenario file.
///
/// Shown with its line and a caret below the words that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's path as it was given.
    pub file: String,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text.
    pub text: String,
    /// How many characters the caret underlines.
    pub width: usize,
    /// The mistake.
    pub message: String,
    /// The advice.
    pub help: Option<String>,
}

impl Problem {
    /// A mistake of the file as a whole, for instance that it cannot be read.
    #[must_use]
    pub fn whole_file(file: &str, message: String, help: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            text: String::new(),
            width: 0,
            message,
            help: Some(help.to_owned()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)?;
            return self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"));
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (text, indent, width) = self.shown();
        let (indent, carets) = (" ".repeat(indent), "^".repeat(width));
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{margin} | {indent}{carets}")?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n{margin} = help: {help}"))
    }
}

impl Problem {
    /// The part of a long line around the mistake, how far the caret stands from its beginning, and how much it
    /// underlines.
    fn shown(&self) -> (String, usize, usize) {
        let at = self.column.saturating_sub(1);
        let skipped = if at + self.width.max(1) < SHOWN_MAX { 0 } else { at.saturating_sub(SHOWN_BEFORE) };
        let mut rest = self.text.chars().skip(skipped);
        let part: String = rest.by_ref().take(SHOWN_MAX).collect();
        let (before, after) =
            (if skipped > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
        let indent = at - skipped + before.chars().count();
        let width = self.width.clamp(1, (SHOWN_MAX + 1).saturating_sub(indent).max(1));
        (format!("{before}{part}{after}"), indent, width)
    }
}

/// Most characters of a line that are shown.
const SHOWN_MAX: usize = 160;
/// Of a longer line, so many characters before the mistake.
const SHOWN_BEFORE: usize = 40;
/// Most characters of an author's own word that a message repeats.
const WORD_MAX: usize = 80;

/// A text that is no longer than a message can bear.
fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN_MAX + WORD_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The mistakes found so far in one file.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    file: &'a str,
    source: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a str, source: &'a str) -> Self {
        Self { file, source, found: Vec::new() }
    }

    /// Adds a mistake about the bytes `span` of the source.
    pub(crate) fn add(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let help = help.into();
        let start = floor_boundary(self.source, span.start.min(self.source.len()));
        let end = floor_boundary(self.source, span.end.clamp(start, self.source.len()));
        let line_start = self.source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.source[start..].find('\n').map_or(self.source.len(), |at| start + at);
        let text = self.source[line_start..line_end].trim_end_matches('\r').replace('\t', " ");
        self.found.push(Problem {
            file: self.file.to_owned(),
            line: self.source[..start].matches('\n').count() + 1,
            column: self.source[line_start..start].chars().count() + 1,
            text,
            width: self.source[start..end.min(line_end).max(start)].trim_end().chars().count(),
            message: shortened(message.into()),
            help: (!help.is_empty()).then_some(help),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All mistakes, in the order of the file.
    pub(crate) fn into_list(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| (problem.line, problem.column));
        self.found
    }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The candidate that `word` was probably meant to be: at most a third of its letters are wrong.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, with a swap of neighbours as one edit.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = above[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// `a`, `a and b`, `a, b and c`, or the first few `… and 7 more`.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let words: Vec<&str> = words.into_iter().collect();
    match words.as_slice() {
        [] => String::from("none"),
        [one] => (*one).to_owned(),
        many if many.len() > SHOWN => {
            format!("{} and {} more", many[..SHOWN].join(", "), many.len() - SHOWN)
        }
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// A reader's message as a mistake and its advice.
pub(crate) fn explain(message: &str) -> (String, String) {
    // Our own values write their advice on a second line.
    if let Some((wrong, help)) = message.split_once('\n') {
        return (wrong.to_owned(), help.to_owned());
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let known: Vec<&str> = quoted.collect();
        let kind = if message.starts_with("unknown field") { "key" } else { "word" };
        let list = listed(known.iter().copied());
        let help = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? `annulus-sim list` shows everything"),
            None if known.len() > 12 => String::from("`annulus-sim list` shows what can be written"),
            None => format!("here can stand {list}"),
        };
        return (format!("unknown {kind} `{word}`"), help);
    }
    if message.starts_with("missing field") {
        return (format!("`{word}` is missing"), format!("add {}", example(word)));
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let expected = match expected {
            "u32" | "u64" | "i32" => "a number, without quotes",
            "struct Form" | "struct Expect" | "struct Link" | "a sequence" => "a list, or a table of its own",
            expected => expected,
        };
        return (format!("found {found}"), format!("write {expected}"));
    }
    (message.to_owned(), String::from("scenarios/README.md explains the form of a scenario"))
}

/// An example of a key that every file or entry needs.
fn example(key: &str) -> &'static str {
    match key {
        "about" => "about = \"what this scenario shows, and why it ends as it does\"",
        "duration" => "duration = \"30s\"",
        "members" => "[members] with names = [\"ada\", \"bob\"] or count = 5",
        "time" => "time = \"5s\" to this entry",
        "from" => "from = \"east\" to this entry",
        "to" => "to = \"west\" to this entry",
        _ => "it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_forgives_typos_only() {
        let names = ["ada", "bob", "cyd"];
        assert_eq!(nearest("bbo", names), Some("bob"));
        assert_eq!(nearest("Bob", names), Some("bob"));
        assert_eq!(nearest("zoe", names), None);
        assert_eq!(nearest("partion", ["partition", "pause"]), Some("partition"));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_mistake_is_shown() {
        let line = format!("a = \"{}\" b", "ö".repeat(1_000_000));
        let mut problems = Problems::new("f.toml", &line);
        let at = line.len() - 1;
        problems.add(at..at + 1, "unknown", "");
        problems.add(4..at, "x".repeat(5_000), "");
        for problem in problems.into_list() {
            let shown = problem.to_string();
            assert!(shown.chars().count() < 800, "{}", shown.chars().count());
            assert!(shown.contains('…') && shown.contains('^'), "{shown}");
        }
    }

    #[test]
    fn carets_count_characters() {
        let mut problems = Problems::new("f.toml", "a = 1\nöö = \"bbo\"\n");
        problems.add(13..18, "unknown", "");
        let shown = problems.into_list()[0].to_string();
        assert_eq!(shown, "f.toml:2:6: unknown\n  |\n2 | öö = \"bbo\"\n  |      ^^^^^");
    }
}
