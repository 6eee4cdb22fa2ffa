//! Everything that can be wrong with a package, each with a message that says what the user can do. Prints nothing.

use std::io;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;

use crate::host::root::Root;
use crate::keys::crypto::Hash;
use crate::keys::{KeyError, KeyId};
use crate::template::TemplateFault;

/// Why a package could not be built, read or installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("{path}: {source}{}", hint(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A key is missing or broken.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no plan where one was named.
    #[error("no plan at {path}: {reason}; name the directory that holds plan.toml")]
    NoPlan {
        /// The path that was named.
        path: PathBuf,
        /// The reason, in words.
        reason: &'static str,
    },
    /// A plan, or a file that it names, is malformed.
    #[error("{path}: {message}")]
    Plan {
        /// The file.
        path: PathBuf,
        /// The reason, with line, column and the line itself where there is one.
        message: String,
    },
    /// A plan whose service could not start.
    #[error("{errors}\n\nthe plan in {path} is not built; `annulus config check` tries it alone")]
    Check {
        /// Its directory.
        path: PathBuf,
        /// What is wrong, in words.
        errors: String,
    },
    /// A hook or configuration file of a plan is not a template.
    #[error(transparent)]
    Template(#[from] TemplateFault),
    /// A package file does not begin as one.
    #[error("{path} is not a package file: {reason}; build it with `annulus pkg build` or fetch it again")]
    NotAPackage {
        /// The file.
        path: PathBuf,
        /// The reason, in words.
        reason: &'static str,
    },
    /// The signer's key did not make the signature.
    #[error(
        "{path}: the signature is not that of key {signer}; do not use this file, fetch it again from its origin"
    )]
    Signature {
        /// The file.
        path: PathBuf,
        /// The key that the file names as its signer's.
        signer: KeyId,
    },
    /// The content is not the content that was signed.
    #[error("{path}: damaged: its content has hash {actual}, but {signed} was signed; fetch the file again")]
    Hash {
        /// The file.
        path: PathBuf,
        /// The hash that was signed.
        signed: Hash,
        /// The hash that the content has.
        actual: Hash,
    },
    /// The archive inside is refused.
    #[error("{path}: refused: {reason}; nothing was installed")]
    Archive {
        /// The file.
        path: PathBuf,
        /// The reason, in words.
        reason: String,
    },
    /// A package that another one needs is not installed.
    #[error(
        "{ident} needs {missing}, which is not installed; run `annulus pkg install {missing}` first: it is taken from {artifacts}, where its \
         file may be put, or from the depot that --url or HAB_BLDR_URL names"
    )]
    Dependency {
        /// The package that needs it.
        ident: String,
        /// The package that it needs.
        missing: PackageIdent,
        /// The artifact cache, where it is looked for.
        artifacts: PathBuf,
    },
    /// The package to install is neither installed nor in the cache.
    #[error(
        "no package {ident} is installed or in {artifacts}; name its file, or put it there, and run `annulus pkg install` \
         again; or name the depot that has it, with --url or HAB_BLDR_URL (its channel with --channel or HAB_BLDR_CHANNEL)"
    )]
    Nowhere {
        /// The package that was asked for.
        ident: PackageIdent,
        /// The artifact cache.
        artifacts: PathBuf,
    },
    /// A package that is to be removed is still needed.
    #[error("{ident} is not uninstalled, because {who} needs it; {remedy}")]
    Needed {
        /// The package.
        ident: PackageIdent,
        /// The services or packages that need it.
        who: String,
        /// What the user can do.
        remedy: String,
    },
    /// No installed package fits the ident that was asked for.
    #[error(
        "no package {ident} is installed below {root}; run `annulus pkg install FILE`, or name the depot that has it, with --url or HAB_BLDR_URL; \
         `annulus pkg list` shows what is there"
    )]
    NotInstalled {
        /// The ident.
        ident: PackageIdent,
        /// The root where it was looked for.
        root: PathBuf,
    },
    /// A metafile of an installed package is malformed.
    #[error("{path}: {reason}; remove the package's directory and install it again")]
    Metafile {
        /// The metafile.
        path: PathBuf,
        /// The reason, in words.
        reason: String,
    },
}

/// What the user can do about what the system said; empty where there is nothing to do.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; correct its owner or mode, or run as the user that may read and write it"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there and try again",
        io::ErrorKind::ReadOnlyFilesystem => "; name a root directory that can be written to with --root",
        _ => "",
    }
}

impl Error {
    /// For `map_err`: makes an error of what the system said about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether the file system refused, and not what a package holds.
    pub(crate) const fn is_of_files(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    /// The error for a package that is needed and not there.
    pub(super) fn dependency(root: &Root, ident: String, missing: PackageIdent) -> Self {
        Self::Dependency { ident, missing, artifacts: root.artifacts() }
    }

    pub(super) fn archive(path: &Path, reason: impl Into<String>) -> Self {
        Self::Archive { path: path.to_owned(), reason: reason.into() }
    }
}
