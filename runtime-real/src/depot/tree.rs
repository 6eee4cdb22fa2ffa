//! Where everything of a depot lies. Every name that comes from outside is checked before it becomes a part of a path.
//!
//! ```text
//! blobs/<hash>                     a package file, once
//! pkgs/O/N/V/R/<target>.json       what is said of it
//! heads/O/C/<target>/current       what the channel holds, signed; <number>.head are the ones before
//! lists/O/<number>.list            which keys count for the origin, each signed by a key of the one before
//! lists/O/current                  the newest of them
//! keys/O-REVISION.pub              the origin's public keys
//! private/                         tokens, channel keys, uploads that are not verified, audit.jsonl (who did what, when): not
//!                                  for mirrors
//! ```
//!
//! The API serves these files under the same names below `/v1`, so that a client needs no more than a web server that has them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;

use super::Error;
use crate::host::root::Root;
use crate::keys::KeyCache;
use crate::keys::crypto::Hash;
use crate::package;

/// The channel that everything uploaded is in, and nothing else.
pub const UNSTABLE: &str = "unstable";
/// The channel that is meant where none is named.
pub const STABLE: &str = "stable";

/// Longest name of a channel, in bytes.
const CHANNEL_BYTES_MAX: usize = 64;
/// Longest name of a platform, in bytes.
const TARGET_BYTES_MAX: usize = 64;

/// A depot's tree.
#[derive(Clone, Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// The tree in this directory; nothing is created.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Makes what is missing of the directories at its top.
    ///
    /// # Errors
    /// The disk or the rights refuse.
    pub(super) fn make(&self) -> Result<(), Error> {
        for dir in
            [self.blobs(), self.pkgs(), self.heads(), self.lists(), self.0.join("keys"), self.incoming()]
        {
            make_dir(&dir)?;
        }
        let private = self.private();
        fs::set_permissions(&private, Permissions::from_mode(0o700)).map_err(Error::io(&private))
    }

    /// Whether a depot was made here.
    pub(super) fn is_there(&self) -> bool {
        self.blobs().is_dir()
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The file of this content.
    #[must_use]
    pub fn blob(&self, hash: &Hash) -> PathBuf {
        self.blobs().join(hash.to_string())
    }

    pub(super) fn pkgs(&self) -> PathBuf {
        self.0.join("pkgs")
    }

    /// The record of a package; none when the ident is not fully qualified.
    pub(super) fn record(&self, ident: &PackageIdent, target: &str) -> Option<PathBuf> {
        let (version, release) = (ident.version()?, ident.release()?);
        let dir = self.pkgs().join(ident.origin()).join(ident.name()).join(version).join(release);
        Some(dir.join(format!("{target}.json")))
    }

    pub(super) fn heads(&self) -> PathBuf {
        self.0.join("heads")
    }

    /// The heads of a channel, by platform.
    pub(super) fn channel(&self, origin: &str, channel: &str) -> PathBuf {
        self.heads().join(origin).join(channel)
    }

    pub(super) fn lists(&self) -> PathBuf {
        self.0.join("lists")
    }

    pub(super) fn list(&self, origin: &str, number: u64) -> PathBuf {
        self.lists().join(origin).join(format!("{number}.list"))
    }

    /// The newest list once more, under a name that says so: a tree is read by who knows no number, too.
    pub(super) fn newest_list(&self, origin: &str) -> PathBuf {
        self.lists().join(origin).join("current")
    }

    /// The origins' public keys.
    #[must_use]
    pub fn keys(&self) -> KeyCache {
        KeyCache::new(self.0.join("keys"))
    }

    pub(super) fn audit(&self) -> PathBuf {
        self.private().join("audit.jsonl")
    }

    /// Where files come to be by being written beside their place first. Package files and keys of others do so elsewhere.
    pub(super) fn written_dirs(&self) -> Vec<PathBuf> {
        vec![self.pkgs(), self.heads(), self.lists(), self.0.join("keys"), self.private()]
    }

    fn private(&self) -> PathBuf {
        self.0.join("private")
    }

    /// Uploads that are not verified yet.
    pub(super) fn incoming(&self) -> PathBuf {
        self.private().join("incoming")
    }

    /// The keys that sign heads. No upload comes here.
    pub(super) fn channel_keys(&self) -> KeyCache {
        KeyCache::new(self.private().join("channel-keys"))
    }

    /// The origins' secret keys that were uploaded.
    pub(super) fn secret_keys(&self) -> KeyCache {
        KeyCache::new(self.private().join("keys"))
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.private().join("tokens.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.private().join("lock")
    }

    /// Changed with each change of the tree, so that other processes see it.
    pub(super) fn generation(&self) -> PathBuf {
        self.private().join("generation")
    }
}

/// Makes a directory with those above it.
pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io(dir))
}

/// The name of a package's file.
#[must_use]
pub(super) fn file_name(ident: &PackageIdent, target: &str) -> String {
    let version = ident.version().unwrap_or_default();
    let release = ident.release().unwrap_or_default();
    format!("{}-{}-{version}-{release}-{target}.hart", ident.origin(), ident.name())
}

/// Where the artifact cache of this root keeps a package of this host's platform.
pub(crate) fn artifact(root: &Root, ident: &PackageIdent) -> PathBuf {
    root.artifacts().join(file_name(ident, &package::host_target()))
}

/// Whether a text can name a channel.
///
/// # Errors
/// Says what can.
pub fn check_channel(text: &str) -> Result<(), Error> {
    let is_one = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= CHANNEL_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if is_one { Ok(()) } else { Err(Error::Channel { text: text.chars().take(CHANNEL_BYTES_MAX).collect() }) }
}

/// Whether a text can name an origin.
///
/// # Errors
/// Says what can.
pub fn check_origin(text: &str) -> Result<(), Error> {
    let is_one = format!("{text}/x").parse::<PackageIdent>().is_ok()
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_one { Ok(()) } else { Err(Error::Origin { text: text.chars().take(CHANNEL_BYTES_MAX).collect() }) }
}

/// Whether a text can name a platform, such as `x86_64-linux`.
///
/// # Errors
/// Says what can.
pub fn check_target(text: &str) -> Result<(), Error> {
    let is_one = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.contains('-')
        && text.len() <= TARGET_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_one { Ok(()) } else { Err(Error::Target { text: text.chars().take(TARGET_BYTES_MAX).collect() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_the_tree() {
        for bad in ["", "..", ".", "a/b", "-x", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert!(check_channel(bad).is_err() && check_target(bad).is_err(), "{bad:?}");
            assert!(bad.len() > 64 || check_origin(bad).is_err(), "{bad:?}");
        }
        for good in ["stable", "rc-1.2", "2026_q1"] {
            assert!(check_channel(good).is_ok(), "{good}");
        }
        assert!(check_target("x86_64-linux").is_ok() && check_target("x86").is_err());
        assert!(check_origin("acme-corp").is_ok() && check_origin("a.b").is_err());
    }

    #[test]
    fn a_package_has_one_place() {
        let tree = Tree::new("/d".into());
        let ident: PackageIdent = "acme/web/1.0/20260101000000".parse().expect("an ident");
        let record = tree.record(&ident, "x86_64-linux").expect("fully qualified");
        assert_eq!(record, Path::new("/d/pkgs/acme/web/1.0/20260101000000/x86_64-linux.json"));
        assert_eq!(tree.record(&"acme/web".parse().expect("an ident"), "x86_64-linux"), None);
        assert_eq!(file_name(&ident, "x86_64-linux"), "acme-web-1.0-20260101000000-x86_64-linux.hart");
    }
}
