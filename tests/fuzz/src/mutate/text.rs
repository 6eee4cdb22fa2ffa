//! Changes of texts that people write, TOML above all: lines left out, doubled, exchanged or taken from another text,
//! numbers at borders, words of the form's own, brackets in brackets.

use annulus_core::Rng;

use super::{border, bytes};

/// Pieces that are seldom written and often mishandled.
const PIECES: [&str; 30] = [
    "{{",
    "}}",
    "{{#each a}}{{/each}}",
    "{{toToml this}}",
    "\"",
    "\"\"\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    "\u{0}",
    "\r\n",
    "\u{feff}",
    "ä",
    "\u{202e}",
    "../",
    "/",
    "@",
    ":",
    "true",
    "nan",
    "-0",
    "1e400",
    "1979-05-27T07:32:00Z",
    "9999999999999999999999",
];

/// One change. What is no text is changed as bytes.
pub fn mutate(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return bytes::mutate(rng, input, other) };
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let at = rng.index(lines.len());
    match rng.below(12) {
        0 => {
            lines.remove(at);
        }
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let with = rng.index(lines.len());
            lines.swap(at, with);
        }
        3 | 4 => {
            let theirs = String::from_utf8_lossy(other);
            let theirs: Vec<&str> = theirs.split('\n').collect();
            let taken = theirs[rng.index(theirs.len())].to_owned();
            if rng.chance(1, 2) { lines.insert(at, taken) } else { lines[at] = taken }
        }
        5 | 6 => number(rng, &mut lines[at]),
        7 | 8 => {
            let piece = PIECES[rng.index(PIECES.len())];
            let times = if rng.chance(1, 16) { 1 << rng.below(10) } else { 1 };
            let place = char_border(rng, &lines[at]);
            lines[at].insert_str(place, &piece.repeat(times));
        }
        9 => {
            // A value of one line behind the name of another.
            let with = rng.index(lines.len());
            if let (Some((name, _)), Some((_, value))) =
                (lines[at].split_once('='), lines[with].split_once('='))
            {
                lines[at] = format!("{name}={value}");
            }
        }
        10 => {
            let (start, end) = (char_border(rng, &lines[at]), char_border(rng, &lines[at]));
            lines[at].replace_range(start.min(end)..start.max(end), "");
        }
        _ => return bytes::mutate(rng, input, other),
    }
    *input = lines.join("\n").into_bytes();
}

fn char_border(rng: &mut Rng, line: &str) -> usize {
    let borders: Vec<usize> = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
    borders[rng.index(borders.len())]
}

/// A number of the line becomes one at a border; a line without one gets one.
fn number(rng: &mut Rng, line: &mut String) {
    let value = match rng.below(4) {
        0 => format!("-{}", border(rng)),
        1 => format!("{}.5", border(rng)),
        _ => border(rng).to_string(),
    };
    let digits = |c: char| c.is_ascii_digit();
    let Some(start) = line.find(digits) else {
        line.push_str(&value);
        return;
    };
    let len = line[start..].find(|c| !digits(c)).unwrap_or(line.len() - start);
    line.replace_range(start..start + len, &value);
}
