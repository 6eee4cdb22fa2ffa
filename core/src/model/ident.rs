//! Package idents, `origin/name[/version[/release]]`: their parts and their order.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use crate::model::error::ParseError;
use crate::model::id::{ServiceName, is_word};
use crate::model::limits;
use crate::model::mutant::mutated;

/// A package ident. With all four parts it is *fully qualified* and names one build.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageIdent {
    origin: Arc<str>,
    name: Arc<str>,
    version: Option<Arc<str>>,
    release: Option<Arc<str>>,
}

impl PackageIdent {
    /// The origin: the maker of the package.
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

    /// Whether this ident satisfies `wanted`: the same in every part that `wanted` names.
    #[must_use]
    pub fn satisfies(&self, wanted: &Self) -> bool {
        self.origin == wanted.origin
            && self.name == wanted.name
            && (wanted.version.is_none() || self.version == wanted.version)
            && (wanted.release.is_none() || self.release == wanted.release)
    }

    /// Which of two builds of a package is newer: by version, then by release; `Greater` means that `self` is.
    ///
    /// Habitat's order: the dotted numbers that a version begins with count as numbers
    /// (a missing one as 0), then a version without an extension is newer than one with (`1.0.0` than
    /// `1.0.0-rc1`), then extensions and releases compare as text. An ident that leaves a part out comes
    /// before one that names it. Origin and name are not looked at.
    #[must_use]
    pub fn cmp_version(&self, other: &Self) -> Ordering {
        let versions = match (self.version(), other.version()) {
            (Some(a), Some(b)) => cmp_versions(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        versions.then_with(|| self.release.cmp(&other.release))
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
        assert!(release.is_none() || version.is_some(), "a release belongs to a version");
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

fn cmp_versions(a: &str, b: &str) -> Ordering {
    fn padded(numbers: &str, count: usize) -> impl Iterator<Item = (usize, &str)> {
        numbers.split('.').chain(core::iter::repeat("")).take(count).map(magnitude)
    }
    let (a_numbers, a_extension) = split_version(a);
    let (b_numbers, b_extension) = split_version(b);
    assert!(a_numbers.len() + a_extension.len() == a.len(), "a version is its numbers and the rest");
    let count = a_numbers.split('.').count().max(b_numbers.split('.').count());
    padded(a_numbers, count)
        .cmp(padded(b_numbers, count))
        .then_with(|| a_extension.is_empty().cmp(&b_extension.is_empty()))
        .then_with(|| a_extension.cmp(b_extension))
}

/// The dotted numbers that a version begins with, and the rest.
fn split_version(version: &str) -> (&str, &str) {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version.split_at(end)
}

/// Digits in a form whose order is that of the numbers, however large: how many, then which.
fn magnitude(digits: &str) -> (usize, &str) {
    let significant = digits.trim_start_matches('0');
    assert!(significant.len() <= digits.len(), "a number is no longer than its digits");
    (mutated!(TenBeforeNine, significant.len(), 0), significant)
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    fn ident(text: &str) -> PackageIdent {
        text.parse().expect("a valid ident")
    }

    #[test]
    fn versions_have_an_order() {
        let ascending = [
            "unnumbered",
            "0.9",
            "1.0.0-alpha",
            "1.0.0-rc1",
            "1.0.0-rc2",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10",
            "2.0.0dev",
            "2.0.0",
            "20260101",
            "99999999999999999999999999",
            "100000000000000000000000000",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let (a, b) = (ident(&format!("o/n/{a}")), ident(&format!("o/n/{b}")));
                assert_eq!(a.cmp_version(&b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn equal_numbers_are_equal_however_written() {
        for (a, b) in [("1", "1.0.0"), ("1.2", "1.02"), ("0.0", "0"), ("1-x", "1.0-x")] {
            let (a, b) = (ident(&format!("o/n/{a}")), ident(&format!("o/n/{b}")));
            assert_eq!(a.cmp_version(&b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn the_release_decides_last() {
        let old = ident("o/n/1.0.0/20250101000000");
        let new = ident("other/thing/1.0/20260101000000");
        assert_eq!(old.cmp_version(&new), Ordering::Less, "origin and name are not looked at");
        assert_eq!(ident("o/n/1.0").cmp_version(&new), Ordering::Less, "a named release is newer than none");
        assert_eq!(ident("o/n").cmp_version(&ident("o/n/0")), Ordering::Less);
        assert_eq!(ident("o/n/2.0/20250101000000").cmp_version(&new), Ordering::Greater);
    }

    fn version() -> impl Strategy<Value = String> {
        "[0-9]{1,3}(\\.[0-9]{1,2}){0,3}(-?[a-z]{1,3}[0-9]?)?"
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in version(), b in version(), c in version()) {
            let [a, b, c] = [a, b, c].map(|v| ident(&format!("o/n/{v}")));
            prop_assert_eq!(a.cmp_version(&b), b.cmp_version(&a).reverse());
            prop_assert_eq!(a.cmp_version(&a), Ordering::Equal);
            if a.cmp_version(&b).is_le() && b.cmp_version(&c).is_le() {
                prop_assert!(a.cmp_version(&c).is_le());
            }
        }
    }
}
