//! Why a service cannot be made ready to run: a closed list, with a message for each reason. Prints nothing.

use std::path::Path;

use annulus_core::{Obstacle, ObstacleKind, PackageIdent};

use crate::host::users::UserError;
use crate::package;
use crate::template::TemplateFault;

/// Why a service cannot be made ready to run, or a hook of its package fails.
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
        /// The reason, in words.
        message: String,
    },
    /// A package's own hook did not succeed.
    #[error("{hook} hook of {ident}: {reason}; remove the cause that the hook printed and try again")]
    Hook {
        /// The package.
        ident: PackageIdent,
        /// The hook's name.
        hook: &'static str,
        /// The exit code for the command.
        code: u8,
        /// The failure, in words.
        reason: String,
    },
    /// What was sealed for the service's group cannot be opened any more.
    #[error("{message}")]
    Key {
        /// Which, why, and what the operator can do.
        message: String,
    },
    /// A strict bind is not satisfied, and files that name its members cannot be written without it.
    #[error("{message}")]
    Bind {
        /// Which, in words.
        message: String,
    },
    /// The supervisor has not got what its service is to have.
    #[error("{message}")]
    Rights {
        /// What is missing, and what the operator can do.
        message: String,
    },
    /// The spec and the package do not fit.
    #[error("{message}")]
    Spec {
        /// The reason, and what the operator can do.
        message: String,
    },
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        let kind = match &error {
            // A full disk is no fault of the package.
            Error::Package(error) if error.is_of_files() => ObstacleKind::File,
            Error::Package(_) | Error::NotAService { .. } | Error::Hook { .. } => ObstacleKind::Package,
            Error::Template(_) => ObstacleKind::Template,
            Error::User(_) | Error::Rights { .. } => ObstacleKind::Rights,
            Error::Config { .. } => ObstacleKind::Layer,
            Error::Key { .. } => ObstacleKind::Key,
            Error::Bind { .. } => ObstacleKind::Bind,
            Error::Spec { .. } => ObstacleKind::Spec,
        };
        Self::new(kind, error.to_string())
    }
}

impl Error {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let failed = package::Error::io(path);
        move |source| Self::Package(failed(source))
    }
}
