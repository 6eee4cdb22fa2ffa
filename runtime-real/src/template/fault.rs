//! Describes what is wrong with a template, so that its author finds the place. Corrects nothing.

use std::path::{Path, PathBuf};

/// A fault of a template, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The template.
    pub path: PathBuf,
    /// Line and column, counted from 1, where they are known.
    pub at: Option<(usize, usize)>,
    /// The line itself.
    pub line: Option<String>,
    /// The reason, which names the key or helper.
    pub reason: String,
}

impl TemplateFault {
    /// Whether a helper is missing, which rendering finds where it gets there only.
    pub(crate) fn is_of_helper(&self) -> bool {
        self.reason.starts_with("Helper not found")
    }

    pub(super) fn new(path: &Path, text: &str, at: Option<(usize, usize)>, reason: String) -> Self {
        let line = at.and_then(|(line, _)| text.lines().nth(line.checked_sub(1)?)).map(str::to_owned);
        Self { path: path.to_owned(), at, line, reason }
    }
}

impl std::fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "template {}", self.path.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.reason)?;
        if let (Some((number, column)), Some(line)) = (self.at, &self.line) {
            let gutter = " ".repeat(number.to_string().len());
            write!(
                f,
                "\n{gutter} |\n{number} | {line}\n{gutter} | {}^",
                " ".repeat(column.saturating_sub(1))
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for TemplateFault {}
