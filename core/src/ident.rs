//! Package idents: `origin/name[/version[/release]]`.

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use crate::error::ParseError;
use crate::id::{ServiceName, is_word};
use crate::limits;

/// A package ident. With all four parts it is *fully qualified* and names one build.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageIdent {
    origin: Box<str>,
    name: Box<str>,
    version: Option<Box<str>>,
    release: Option<Box<str>>,
}

impl PackageIdent {
    /// The origin: who made the package.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The package's name, which is also the name of its service.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, where one is given.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The release, 14 digits, where one is given.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// Whether all four parts are given.
    #[must_use]
    pub fn is_fully_qualified(&self) -> bool {
        self.version.is_some() && self.release.is_some()
    }

    /// Whether this ident is what `wanted` asks for: the same in every part that `wanted` names.
    #[must_use]
    pub fn satisfies(&self, wanted: &Self) -> bool {
        self.origin == wanted.origin
            && self.name == wanted.name
            && (wanted.version.is_none() || self.version == wanted.version)
            && (wanted.release.is_none() || self.release == wanted.release)
    }

    /// The name of the service that this package runs as.
    #[must_use]
    pub fn service_name(&self) -> ServiceName {
        // A package name is one word, which is all that a service name asks for.
        self.name.parse().expect("a parsed ident holds a valid name")
    }
}

impl FromStr for PackageIdent {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let mut parts = s.split('/');
        let origin = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default();
        let version = parts.next();
        let release = parts.next();
        let version_ok = version.is_none_or(is_version);
        let release_ok = release.is_none_or(|r| r.len() == 14 && r.bytes().all(|b| b.is_ascii_digit()));
        let too_long = [Some(origin), Some(name), version]
            .iter()
            .flatten()
            .any(|part| part.len() > limits::NAME_BYTES_MAX);
        if !is_word(origin) || !is_word(name) || !version_ok || !release_ok || too_long {
            return Err(ParseError::PackageIdent);
        }
        if parts.next().is_some() {
            return Err(ParseError::PackageIdent);
        }
        Ok(Self {
            origin: origin.into(),
            name: name.into(),
            version: version.map(Into::into),
            release: release.map(Into::into),
        })
    }
}

/// A version may hold dots, but not only dots: it becomes a directory name.
fn is_version(s: &str) -> bool {
    s.split('.').all(is_word)
}

impl fmt::Display for PackageIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.origin, self.name)?;
        for part in [&self.version, &self.release].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PackageIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
