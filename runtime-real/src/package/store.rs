//! Finds the packages that are installed below a root, and reads them. Never changes one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;

use super::metafile::pairs;
use super::{Error, MetaFile, host_target};
use crate::host::look;
use crate::host::root::Root;

/// A package on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    ident: PackageIdent,
    path: PathBuf,
}

impl Installed {
    /// The package in this directory.
    pub(super) fn at(ident: PackageIdent, path: PathBuf) -> Self {
        Self { ident, path }
    }

    /// Its fully qualified ident.
    #[must_use]
    pub fn ident(&self) -> &PackageIdent {
        &self.ident
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a metafile, where the package has it.
    ///
    /// # Errors
    /// It is not readable text.
    pub fn metafile(&self, metafile: MetaFile) -> Result<Option<String>, Error> {
        let path = self.path.join(metafile.file_name());
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(&path)(e)),
        }
    }

    /// The one line of a metafile, where the package has it and it is not empty.
    ///
    /// # Errors
    /// It is not readable text.
    pub fn line(&self, metafile: MetaFile) -> Result<Option<String>, Error> {
        let text = self.metafile(metafile)?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// The `name=value` lines of a metafile; none when the package does not have it.
    ///
    /// # Errors
    /// It is not readable, or a line has no `=`.
    pub fn pairs(&self, metafile: MetaFile) -> Result<BTreeMap<String, String>, Error> {
        pairs(&self.metafile(metafile)?.unwrap_or_default())
            .map_err(|reason| self.malformed(metafile, reason))
    }

    /// The idents in a metafile, one per line.
    ///
    /// # Errors
    /// It is not readable, or a line is not an ident.
    pub fn idents(&self, metafile: MetaFile) -> Result<Vec<PackageIdent>, Error> {
        let text = self.metafile(metafile)?.unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let idents = lines.map(|line| {
            line.parse()
                .map_err(|_| self.malformed(metafile, format!("line {line:?} is not a package ident")))
        });
        idents.collect()
    }

    /// The error for a metafile whose text is malformed.
    pub(crate) fn malformed(&self, metafile: MetaFile, reason: String) -> Error {
        Error::Metafile { path: self.path.join(metafile.file_name()), reason }
    }

    /// Whether it runs on this host. A package that names no platform does.
    fn is_for_host(&self) -> Result<bool, Error> {
        Ok(self.line(MetaFile::Target)?.is_none_or(|target| target == host_target()))
    }
}

/// Every installed package, by origin and name, older before newer.
///
/// # Errors
/// A directory is not readable.
pub fn list(root: &Root) -> Result<Vec<Installed>, Error> {
    let mut found = Vec::new();
    for origin in names(&root.pkgs())? {
        for name in names(&root.pkgs().join(&origin))? {
            found.append(&mut builds(root, &origin, &name)?);
        }
    }
    found.sort_by(|a, b| {
        let key = |p: &Installed| (p.ident.origin().to_owned(), p.ident.name().to_owned());
        key(a).cmp(&key(b)).then_with(|| a.ident.cmp_version(&b.ident)).then_with(|| a.ident.cmp(&b.ident))
    });
    Ok(found)
}

/// The newest installed package that fits `wanted` and runs on this host.
///
/// # Errors
/// No package fits, or a directory is not readable.
pub fn newest(root: &Root, wanted: &PackageIdent) -> Result<Installed, Error> {
    let mut suitable = Vec::new();
    for package in builds(root, wanted.origin(), wanted.name())? {
        // One that cannot be read may be the one that is wanted, so no other takes its place.
        if package.ident.satisfies(wanted) && package.is_for_host()? {
            suitable.push(package);
        }
    }
    // Versions that count as equal, such as 1.0 and 1.0.0, are ordered by their text.
    let newest =
        suitable.into_iter().max_by(|a, b| a.ident.cmp_version(&b.ident).then_with(|| a.ident.cmp(&b.ident)));
    newest.ok_or_else(|| Error::NotInstalled { ident: wanted.clone(), root: root.path().to_owned() })
}

/// All versions and releases of one package.
pub(super) fn builds(root: &Root, origin: &str, name: &str) -> Result<Vec<Installed>, Error> {
    let dir = root.pkgs().join(origin).join(name);
    let mut found = Vec::new();
    for version in names(&dir)? {
        for release in names(&dir.join(&version))? {
            let path = dir.join(&version).join(&release);
            // Other entries of the folders are ignored, because other programs may have put them there.
            let Ok(ident) = format!("{origin}/{name}/{version}/{release}").parse() else { continue };
            let ident_file = path.join(MetaFile::Ident.file_name());
            if look::is_file(&ident_file).map_err(Error::io(&ident_file))? {
                found.push(Installed { ident, path });
            }
        }
    }
    Ok(found)
}

/// The names in a directory, none when it does not exist or is a file.
fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(Error::io(dir)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(Error::io(dir))?.file_name().into_string() {
            found.push(name);
        }
    }
    Ok(found)
}
