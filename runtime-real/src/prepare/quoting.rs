//! Finds the expressions of a shell script's template whose value the shell would read as more than one word. A value
//! of the configuration, or of another member, could then be a command.

use std::fmt;

/// Shells, by the name of their program.
const SHELLS: [&str; 7] = ["sh", "ash", "bash", "busybox", "dash", "ksh", "zsh"];
/// Helpers whose text is one word: quoted for the shell, or a path that the supervisor chose.
const SAFE_HELPERS: [&str; 2] = ["shellQuote", "pkgPathFor"];
/// Values of the package and the supervisor itself, and numbers of turns.
const SAFE_VALUES: [&str; 5] = ["pkg.", "sys.", "@index", "@first", "@last"];

/// An expression that is not quoted as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unquoted {
    line: usize,
    expression: String,
    /// It stands in double quotes.
    in_double: bool,
}

impl fmt::Display for Unquoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, expression, in_double } = self;
        let why = if *in_double {
            "stands in double quotes, in which the shell acts on $, ` and \" of its value"
        } else {
            "is not quoted, and the shell acts on what its value holds"
        };
        write!(
            f,
            "line {line}: {{{{{expression}}}}} {why}; write {{{{shellQuote …}}}} without quotes around it"
        )
    }
}

/// What the shell makes of the characters at some place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
    Comment,
}

/// The expressions of a template that are not quoted; none when it is no template of a shell script.
pub(super) fn unquoted(template: &str) -> Vec<Unquoted> {
    let mut found = Vec::new();
    if !is_shell(template) {
        return found;
    }
    let (mut quotes, mut rest, mut line, mut before) = (Quotes::None, template, 1, '\n');
    while let Some(c) = rest.chars().next() {
        let length = match expression(rest) {
            Some((inner, length)) => {
                if matches!(quotes, Quotes::None | Quotes::Double) && !is_safe(inner) {
                    let in_double = quotes == Quotes::Double;
                    found.push(Unquoted { line, expression: inner.to_owned(), in_double });
                }
                before = 'x';
                length
            }
            None => {
                let escaped = c == '\\' && matches!(quotes, Quotes::None | Quotes::Double);
                quotes = next(quotes, before, c);
                before = c;
                // What is escaped opens and closes nothing.
                let next = rest.chars().nth(1).filter(|_| escaped).map_or(0, char::len_utf8);
                c.len_utf8() + next
            }
        };
        let (done, left) = rest.split_at(length);
        line += done.matches('\n').count();
        rest = left;
    }
    found
}

fn next(quotes: Quotes, before: char, c: char) -> Quotes {
    match (quotes, c) {
        (Quotes::None, '\'') => Quotes::Single,
        (Quotes::None, '"') => Quotes::Double,
        (Quotes::None, '#') if before.is_whitespace() || before == ';' => Quotes::Comment,
        (Quotes::Single, '\'') | (Quotes::Double, '"') | (Quotes::Comment, '\n') => Quotes::None,
        (quotes, _) => quotes,
    }
}

/// The expression that a text begins with, and the length of all of it.
fn expression(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix("{{")?;
    let end = if rest.starts_with("!--") { "--}}" } else { "}}" };
    let at = rest.find(end)?;
    let braces = rest[at + end.len()..].starts_with('}') && rest.starts_with('{');
    let inner = rest[..at].trim_matches(|c: char| c.is_whitespace() || "{&~".contains(c));
    Some((inner, 2 + at + end.len() + usize::from(braces)))
}

/// Whether an expression writes nothing, or what is one word.
fn is_safe(expression: &str) -> bool {
    let first = expression.split_whitespace().next().unwrap_or_default();
    let writes_nothing = first.is_empty() || first.starts_with(['#', '/', '!', '>', '^']) || first == "else";
    writes_nothing
        || SAFE_HELPERS.contains(&first)
        || SAFE_VALUES.iter().any(|value| first.starts_with(value))
}

/// Whether the first line names a shell.
fn is_shell(template: &str) -> bool {
    let Some(first) = template.strip_prefix("#!").and_then(|rest| rest.lines().next()) else { return false };
    let program = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    first
        .split_whitespace()
        .map(program)
        .find(|name| name != "env")
        .is_some_and(|name| SHELLS.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(script: &str) -> Vec<(usize, bool)> {
        unquoted(script).into_iter().map(|found| (found.line, found.in_double)).collect()
    }

    #[test]
    fn what_the_shell_would_act_on_is_found() {
        let script = "#!/bin/sh\nexec {{cfg.program}} --port={{ cfg.port }}\necho \"{{cfg.name}}\" '{{cfg.name}}'\n\
                      for x in {{#each cfg.list as |x|}}{{x}} {{/each}}; do :; done\nprintf %s {{{toJson cfg}}}\n";
        assert_eq!(lines(script), [(2, false), (2, false), (3, true), (4, false), (5, false)]);
        let text = unquoted(script)[0].to_string();
        assert!(
            text.starts_with("line 2: {{cfg.program}} is not quoted") && text.contains("{{shellQuote …}}"),
            "{text}"
        );
    }

    #[test]
    fn what_is_one_word_is_left_alone() {
        let script = "#!/usr/bin/env bash\n# a comment with {{cfg.name}} and don't\nexec {{shellQuote cfg.program}} \
                      {{pkg.path}}/bin {{pkgPathFor \"core/x\"}}\n{{#if cfg.debug}}set -x{{else}}:{{/if}}\n\
                      {{! a remark }}{{!-- {{cfg.x}} --}}echo \\\"x '{{cfg.name}}' '\"{{cfg.name}}'\n";
        assert_eq!(unquoted(script), []);
        assert_eq!(unquoted("#!/usr/bin/python3\nprint({{cfg.port}})\n"), []);
        assert_eq!(unquoted("port = {{cfg.port}}\n"), []);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for script in [
            "#!/bin/sh\n{{",
            "#!/bin/sh\n{{}}{{{}}}",
            "#!/bin/sh\n\\",
            "#!/bin/sh\n{{!-- x",
            "#!",
            "#!/bin/sh\nä'{{ö",
        ] {
            assert!(unquoted(script).len() <= 1, "{script:?}");
        }
    }
}
