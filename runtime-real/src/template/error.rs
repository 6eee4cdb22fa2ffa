//! Why a service cannot be made ready.

use std::path::{Path, PathBuf};

use crate::host::users::UserError;
use crate::package;

/// Why a service cannot be made ready to run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package is missing or malformed.
    #[error(transparent)]
    Package(#[from] package::Error),
    /// A template does not parse or render; the file that it makes stays as it was.
    #[error(transparent)]
    Template(#[from] TemplateFault),
    /// The package does not run as a service.
    #[error(
        "package {ident} is not a service: it has neither hooks/run nor run; add hooks/run to its plan and build it again"
    )]
    NotAService {
        /// The package.
        ident: String,
    },
    /// The user or group that the package names.
    #[error(transparent)]
    User(#[from] UserError),
    /// A layer of the configuration is not TOML (or JSON, in the environment).
    #[error("{source_name}: {message}")]
    Config {
        /// The variable or file.
        source_name: String,
        /// What is wrong.
        message: String,
    },
    /// The spec and the package do not fit.
    #[error("{message}")]
    Spec {
        /// What is wrong and what to do.
        message: String,
    },
}

impl Error {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let failed = package::Error::io(path);
        move |source| Self::Package(failed(source))
    }
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The template.
    pub path: PathBuf,
    /// Line and column, counted from 1, where they are known.
    pub at: Option<(usize, usize)>,
    /// The line itself.
    pub line: Option<String>,
    /// What is wrong; names the key or helper.
    pub reason: String,
}

impl TemplateFault {
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
