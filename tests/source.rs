//! Enough understanding of Rust source to check rules on it that the compiler cannot: which part is code, which is a
//! test, and which paths it names. It is no parser, and judges only code that the compiler accepts.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One source file.
#[derive(Debug)]
pub struct Source {
    /// Its path from the repository's top.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Its text with comments, strings and character literals replaced by blanks, line by line the same.
    pub code: String,
    /// `code` without test modules; empty for files that are tests as a whole.
    pub shipped: String,
    /// Lines that are no tests.
    pub shipped_lines: usize,
}

impl Source {
    /// Splits a text into code, comments and tests.
    #[must_use]
    pub fn new(path: &str, text: String) -> Self {
        let code = blank(&text);
        let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs" || part == "benches");
        let (shipped, shipped_lines) = if is_test {
            (String::new(), 0)
        } else {
            let tests = test_items(&code);
            let mut shipped = code.clone().into_bytes();
            let mut lines = text.lines().count();
            for range in tests {
                lines -= code[range.clone()].matches('\n').count();
                for byte in &mut shipped[range] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
            }
            (String::from_utf8(shipped).expect("blanked at character borders"), lines)
        };
        Self { path: path.to_owned(), text, code, shipped, shipped_lines }
    }

    /// The lines of the shipped part in which this word stands.
    #[must_use]
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        words(&self.shipped, word).map(|at| line_of(&self.shipped, at)).collect()
    }

    /// The names that the shipped part takes from below this path, with their lines: for `a::b`, `C` in
    /// `a::b::C::new()`, `C` and `E` in `use a::b::{C, d::E}`.
    #[must_use]
    pub fn names_below(&self, path: &str) -> Vec<(String, usize)> {
        let code = &self.shipped;
        let mut names = Vec::new();
        for at in words(code, path) {
            let line = line_of(code, at);
            let Some(rest) = code[at + path.len()..].strip_prefix("::") else { continue };
            names.extend(named(rest).into_iter().map(|name| (name, line)));
        }
        names
    }
}

/// Every file below `folder` that may belong to the repository, in order; build output and hidden state are not.
///
/// # Panics
/// When a folder cannot be read.
#[must_use]
pub fn files(top: &Path, folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![top.join(folder)];
    while let Some(folder) = todo.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && name != "target" && name != ".git" {
                todo.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The Rust files below `folder`.
///
/// # Panics
/// When one cannot be read.
#[must_use]
pub fn sources(top: &Path, folder: &str) -> Vec<Source> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|e| e == "rs");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable source file");
        Source::new(&relative(top, &path), text)
    };
    files(top, folder).into_iter().filter(is_rust).map(read).collect()
}

/// The path from `top`, with forward slashes.
#[must_use]
pub fn relative(top: &Path, path: &Path) -> String {
    path.strip_prefix(top).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Where `word` stands with no letter, digit or underscore on either side.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The name that a path or a tree of paths leads to: in each path the first type, else the last segment.
fn named(rest: &str) -> Vec<String> {
    let end = if rest.starts_with('{') {
        matching_brace(rest, 0).map_or(rest.len(), |end| end + 1)
    } else {
        rest.find(|c| !is_word(c) && c != ':' && c != '*').unwrap_or(rest.len())
    };
    let tree = &rest[..end];
    let parts =
        tree.split(['{', '}', ',']).map(str::trim).filter(|part| !part.is_empty() && !part.ends_with("::"));
    parts
        .map(|part| part.split(" as ").next().unwrap_or(part))
        .filter_map(|part| {
            let segments = part.trim_end_matches(':').split("::").map(str::trim);
            let is_type = |segment: &&str| segment.starts_with(char::is_uppercase);
            segments.clone().find(is_type).or(segments.last())
        })
        .map(str::to_owned)
        .collect()
}

/// The end of the item that begins at `at`: behind its body, or behind its semicolon.
fn item_end(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (i, c) in code[at..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return Some(at + i + 1),
            '{' if depth == 0 => return matching_brace(code, at + i).map(|end| end + 1),
            _ => {}
        }
    }
    None
}

fn matching_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (i, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + i);
                }
            }
            _ => {}
        }
    }
    None
}

/// The items behind `#[cfg(test)]` and the like, attribute included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let Some(close) = code[at..].find(']').map(|i| at + i + 1) else { continue };
        let attribute = &code[at..close];
        let is_test = words(attribute, "test").next().is_some() && !attribute.contains("not(test");
        if !is_test || items.last().is_some_and(|item| item.contains(&at)) {
            continue;
        }
        // Further attributes may stand between this one and the item.
        let mut start = close;
        while code[start..].trim_start().starts_with("#[") {
            start += code[start..].find(']').map_or(code.len() - start, |i| i + 1);
        }
        items.push(at..item_end(code, start).unwrap_or(code.len()));
    }
    items
}

/// Replaces comments and literals by blanks, so that the code stays at its place.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = out.chars().next_back();
        let length = literal_length(rest, before);
        match length {
            Some(length) => {
                out.extend(rest[..length].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
                rest = &rest[length..];
            }
            None => {
                // Bytes count, not characters: places in `text` and in `code` stay the same.
                if first.is_ascii() {
                    out.push(first);
                } else {
                    out.extend(std::iter::repeat_n('_', first.len_utf8()));
                }
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// The length of the comment or literal at the beginning of `rest`.
fn literal_length(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |i| i + 2));
    }
    if !before.is_some_and(is_word)
        && let Some(length) = raw_string_length(rest)
    {
        return Some(length);
    }
    if let Some(body) = rest.strip_prefix('"') {
        return Some(quoted_length(body, '"').map_or(rest.len(), |length| length + 1));
    }
    let body = rest.strip_prefix('\'')?;
    let second = body.chars().next()?;
    let is_character = second == '\\' || body[second.len_utf8()..].starts_with('\'');
    is_character.then(|| quoted_length(body, '\'').map_or(rest.len(), |length| length + 1))
}

/// Up to and with the closing quote.
fn quoted_length(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in body.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some(i + 1);
        }
    }
    None
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let behind = &rest[prefix.len()..];
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    if !behind[hashes..].starts_with('"') {
        return None;
    }
    let open = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(rest[open..].find(&close).map_or(rest.len(), |i| open + i + close.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"//! fn not_me() {}
fn one<'a>(x: &'a str) -> [u8; 2] { /* } */ let _ = ("}", '}', '\'', r#"" } "#); todo(x) }

fn declared();
impl X {
    fn two(
        a: u8,
    ) {
        // HashMap
        a::b::C::new();
    }
}
use a::b::{self, D as E, f::{G, h}};

#[cfg(test)]
#[allow(unused)]
mod tests {
    use a::b::Z;
    fn three() {}
}
"##;

    #[test]
    fn tests_do_not_count_as_shipped() {
        let source = Source::new("x/src/a.rs", TEXT.to_owned());
        assert_eq!(source.code.len(), source.text.len());
        assert_eq!(source.shipped_lines, TEXT.lines().count() - 5);
        assert!(Source::new("x/tests/a.rs", TEXT.to_owned()).shipped.is_empty());
    }

    #[test]
    fn names_are_found_in_paths_and_trees() {
        let source = Source::new("x/src/a.rs", TEXT.to_owned());
        let names: Vec<String> = source.names_below("a::b").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["C", "self", "D", "G", "h"]);
        assert!(source.lines_with("HashMap").is_empty());
        assert_eq!(source.lines_with("todo"), [2]);
    }
}
