//! Text on terminals: what others wrote must not steer one, and colour is for those that show it. Prints nothing.

use std::borrow::Cow;
use std::io::IsTerminal;

/// A colour with one meaning wherever it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Something is broken.
    Red,
    /// Something wants a look.
    Yellow,
    /// Of less weight than the rest.
    Dim,
}

/// Whether text that goes to `out` should have colours: it is a terminal that has them, and the user did not refuse
/// (`NO_COLOR`, see no-color.org).
#[must_use]
pub fn has_colours(out: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    out.is_terminal() && !refused && !is_dumb
}

/// The text in a colour.
#[must_use]
pub fn paint(text: &str, colour: Colour) -> String {
    let code = match colour {
        Colour::Red => "31",
        Colour::Yellow => "33",
        Colour::Dim => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The text on one line that steers no terminal: control characters but tabs are written out, and so are the
/// characters that reorder or break lines.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    // Most lines, looked at as bytes: services print a lot.
    if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let shown =
        text.chars().map(|c| if is_harmless(c) { c.to_string() } else { c.escape_default().to_string() });
    Cow::Owned(shown.collect())
}

/// The same for a text of several lines, which stay lines.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || is_harmless(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(visible).collect::<Vec<_>>().join("\n"))
}

fn is_harmless(c: char) -> bool {
    let reorders =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    c == '\t' || !(c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_written_out() {
        assert_eq!(visible("plain\ttext, ünïcode"), "plain\ttext, ünïcode");
        assert_eq!(visible("\u{1b}]0;evil\u{7}\u{9b}6n"), "\\u{1b}]0;evil\\u{7}\\u{9b}6n");
        assert_eq!(visible("one\r\ntwo"), "one\\r\\ntwo");
        assert_eq!(visible_lines("one\r\ntwo"), "one\\r\ntwo");
        assert_eq!(visible("a\u{202e}cod.exe\u{2028}b"), "a\\u{202e}cod.exe\\u{2028}b");
    }

    #[test]
    fn a_file_has_no_colours() {
        let file = tempfile::tempfile().expect("a file");
        assert!(!has_colours(&file));
        assert_eq!(paint("ERROR", Colour::Red), "\u{1b}[31mERROR\u{1b}[0m");
    }
}
