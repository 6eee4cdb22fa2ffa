//! Why a depot refuses, or cannot be asked: a closed list.

use std::io;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;
use thiserror::Error;

use crate::host::disk;
use crate::keys::{KeyError, KeyId};
use crate::package;

/// Why a depot did not do what was asked. Nothing was changed, unless it says otherwise.
#[derive(Debug, Error)]
pub enum Error {
    /// The name of a channel is malformed.
    #[error(
        "{text:?} cannot name a channel: use letters, digits, '-', '_' and '.', begin with a letter or digit, at most 64 of them"
    )]
    Channel {
        /// The text that was given.
        text: String,
    },
    /// The name of an origin is malformed.
    #[error(
        "{text:?} cannot name an origin: use letters, digits, '-' and '_', and begin with a letter or digit"
    )]
    Origin {
        /// The text that was given.
        text: String,
    },
    /// The name of a platform is malformed.
    #[error("{text:?} names no platform: one is named like x86_64-linux")]
    Target {
        /// The text that was given.
        text: String,
    },
    /// No depot was made in this directory.
    #[error("{dir} holds no depot; `annulus depot serve --dir {dir}` makes one")]
    NoTree {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no such thing here.
    #[error("{0}")]
    NotFound(String),
    /// It is there already, as another one.
    #[error("{0}")]
    Conflict(String),
    /// What was sent is not what it has to be.
    #[error("{0}")]
    Refused(String),
    /// It may not be done, by none who asks.
    #[error("{0}")]
    Forbidden(String),
    /// A token is needed.
    #[error("{0}")]
    Unauthorized(String),
    /// A part of the request has no sense.
    #[error("{0}")]
    BadRequest(String),
    /// More than is taken.
    #[error("{what} is larger than {limit} bytes, which is the limit here")]
    TooLarge {
        /// What was sent.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// It would need itself.
    #[error("{0} needs itself, through the packages that it needs; build it without that circle")]
    Circular(PackageIdent),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A package cannot be used.
    #[error(transparent)]
    Package(#[from] package::Error),
    /// The disk or the rights refuse.
    #[error("{path}: {source}{}", hint(.source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The address of a depot is malformed.
    #[error("{url:?} is no address of a depot: {reason}; write it as https://HOST or http://HOST:PORT")]
    Url {
        /// The text that was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No depot was named.
    #[error(
        "no depot is named: give --url URL, or set HAB_BLDR_URL, and HAB_BLDR_CHANNEL for another channel than stable (Habitat's public one is https://bldr.habitat.sh)"
    )]
    NoDepot,
    /// The depot cannot be reached, or the connection broke.
    #[error("the depot {url} cannot be asked: {reason}")]
    Unreachable {
        /// The depot.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The connection broke before there was an answer.
    #[error("the depot {url} cannot be asked: {reason}")]
    Cut {
        /// The depot.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Another process changes the tree, and goes on with that.
    #[error("another process changes this depot, and has not ended within {seconds} s: try again")]
    Busy {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The depot answered that it will not.
    #[error("the depot {url} refuses ({status}): {reason}")]
    Answer {
        /// The depot.
        url: String,
        /// The status of its answer.
        status: u16,
        /// What it says.
        reason: String,
    },
    /// The depot's answer makes no sense.
    #[error("the answer of the depot {url} is not what it has to be: {reason}")]
    Nonsense {
        /// The depot.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What the depot says is not to be believed.
    #[error("what the depot {url} says of {what} is refused: {reason}")]
    Distrusted {
        /// The depot.
        url: String,
        /// What it is about.
        what: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A file is not the one that was meant.
    #[error("{ident} as the depot {url} gives it is refused: {reason}; nothing was installed")]
    Content {
        /// The package.
        ident: PackageIdent,
        /// The depot.
        url: String,
        /// Why.
        reason: String,
    },
    /// A key of an origin that is not known yet.
    #[error(
        "{ident} is signed by the key {signer}, and this host trusts other keys of that origin: compare the key with its owner \
         (fingerprint {fingerprint}), then give --trust {signer}={fingerprint}"
    )]
    NewSigner {
        /// The package.
        ident: PackageIdent,
        /// The key.
        signer: Box<KeyId>,
        /// The hash of its public half.
        fingerprint: String,
    },
}

fn hint(source: &io::Error) -> String {
    match disk::advice(source, "") {
        "" => String::new(),
        advice => format!("; {advice}"),
    }
}

impl Error {
    /// For `map_err`: makes an error of what the system said about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether the network, the depot's host or this host's disk is to blame, and not what the depot holds: it may work later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } | Self::Busy { .. } | Self::Io { .. } => true,
            Self::Answer { status, .. } => *status >= 500,
            Self::Package(error) => error.is_of_files(),
            _ => false,
        }
    }
}
