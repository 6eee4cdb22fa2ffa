//! Installs a package with everything that it needs, from files and from the artifact cache.
//! Fetches nothing over the network.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;

use super::{Error, Hart, Installed, Limits, MetaFile, Outcome, host_target, inspect, install_file, newest};
use crate::host::root::Root;
use crate::keys::KeyCache;

/// Largest number of packages in one install.
const PACKAGES_MAX: usize = 10_000;

/// The package to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A package file.
    File(PathBuf),
    /// A package that is installed or lies in the artifact cache.
    Ident(PackageIdent),
}

/// Installs a package and, before it, the packages that it needs and that the artifact cache holds. Returns all of
/// them, dependencies first; the package that was asked for is the last.
///
/// # Errors
/// As [`install_file`]; also when a package that is needed is neither installed nor in the cache. The packages that
/// were installed before that stay installed: each is complete.
pub fn install(root: &Root, source: &Source, limits: Limits) -> Result<Vec<Outcome>, Error> {
    let mut installer = Installer { root, limits, seen: BTreeSet::new(), done: Vec::new() };
    match source {
        Source::File(path) => installer.file(path)?,
        Source::Ident(ident) => match choose(root, ident, limits)? {
            Choice::Installed(package) => {
                installer.done.push(Outcome {
                    ident: package.ident().clone(),
                    path: package.path().to_owned(),
                    already: true,
                });
            }
            Choice::Artifact(path) => installer.file(&path)?,
        },
    }
    Ok(installer.done)
}

enum Choice {
    Installed(Installed),
    Artifact(PathBuf),
}

/// The newest package among the installed ones and those in the cache; an installed one wins a tie.
fn choose(root: &Root, wanted: &PackageIdent, limits: Limits) -> Result<Choice, Error> {
    let installed = match newest(root, wanted) {
        Ok(package) => Some(package),
        Err(Error::NotInstalled { .. }) => None,
        Err(other) => return Err(other),
    };
    let artifact = artifact(root, wanted, limits)?;
    match (installed, artifact) {
        (Some(package), Some((ident, path))) if ident.cmp_version(package.ident()).is_gt() => {
            Ok(Choice::Artifact(path))
        }
        (Some(package), _) => Ok(Choice::Installed(package)),
        (None, Some((_, path))) => Ok(Choice::Artifact(path)),
        (None, None) => Err(Error::Nowhere { ident: wanted.clone(), artifacts: root.artifacts() }),
    }
}

struct Installer<'a> {
    root: &'a Root,
    limits: Limits,
    seen: BTreeSet<PackageIdent>,
    done: Vec<Outcome>,
}

impl Installer<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let mut hart = Hart::open(path)?;
        // Nothing that the file says about itself is believed before this.
        hart.verify(&KeyCache::new(self.root.keys()))?;
        let said = inspect(&mut hart, self.limits)?;
        if !self.seen.insert(said.ident.clone()) {
            return Ok(());
        }
        if self.seen.len() > PACKAGES_MAX {
            return Err(Error::archive(path, format!("it needs more than {PACKAGES_MAX} packages")));
        }
        for metafile in [MetaFile::Deps, MetaFile::Tdeps] {
            let text = said.metafiles.get(&metafile).map_or("", String::as_str);
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let Ok(needed) = line.parse::<PackageIdent>() else {
                    let file = metafile.file_name();
                    return Err(Error::archive(
                        path,
                        format!("its {file} names {line:?}, which is no ident"),
                    ));
                };
                self.dependency(&said.ident, &needed)?;
            }
        }
        self.done.push(install_file(self.root, path, self.limits)?);
        Ok(())
    }

    fn dependency(&mut self, by: &PackageIdent, needed: &PackageIdent) -> Result<(), Error> {
        if self.seen.iter().any(|ident| ident.satisfies(needed)) || newest(self.root, needed).is_ok() {
            return Ok(());
        }
        match artifact(self.root, needed, self.limits)? {
            Some((_, path)) => self.file(&path),
            None => Err(Error::Dependency {
                ident: by.to_string(),
                missing: needed.clone(),
                artifacts: self.root.artifacts(),
            }),
        }
    }
}

/// The newest package in the artifact cache that fits `wanted` and runs here.
fn artifact(
    root: &Root,
    wanted: &PackageIdent,
    limits: Limits,
) -> Result<Option<(PackageIdent, PathBuf)>, Error> {
    let dir = root.artifacts();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(&dir)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(&dir))?.path();
        if let Some(ident) = path.file_name().and_then(|name| ident_of(name.to_str()?, wanted)) {
            found.push((ident, path));
        }
    }
    found.sort_by(|(a, _), (b, _)| b.cmp_version(a).then_with(|| b.cmp(a)));
    for (ident, path) in found {
        // The file may be of another package, whose name begins with the wanted one's.
        if inspect(&mut Hart::open(&path)?, limits)?.ident == ident {
            return Ok(Some((ident, path)));
        }
    }
    Ok(None)
}

/// The ident in a file's name, `<origin>-<name>-<version>-<release>-<target>.hart`, if it can be of the wanted
/// package. Every part may hold dashes, so the name alone does not tell where the parts begin.
fn ident_of(file: &str, wanted: &PackageIdent) -> Option<PackageIdent> {
    let text = file.strip_suffix(".hart")?.strip_suffix(host_target().as_str())?.strip_suffix('-')?;
    let text = text.strip_prefix(wanted.origin())?.strip_prefix('-')?;
    let text = text.strip_prefix(wanted.name())?.strip_prefix('-')?;
    let (version, release) = text.rsplit_once('-')?;
    let ident: PackageIdent =
        format!("{}/{}/{version}/{release}", wanted.origin(), wanted.name()).parse().ok()?;
    ident.satisfies(wanted).then_some(ident)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_the_ident_to_who_knows_half_of_it() {
        let of = |origin_name: &str, ident: &str| {
            let file = format!("{origin_name}-{}.hart", host_target());
            ident_of(&file, &ident.parse().expect("an ident")).map(|ident| ident.to_string())
        };
        let full = "acme-corp/web-shop/1.0-rc1/20260101000000".to_owned();
        let file = "acme-corp-web-shop-1.0-rc1-20260101000000";
        assert_eq!(of(file, "acme-corp/web-shop"), Some(full.clone()));
        assert_eq!(of(file, &full), Some(full));
        assert_eq!(
            of(file, "acme/corp"),
            Some("acme/corp/web-shop-1.0-rc1/20260101000000".to_owned()),
            "never wanted"
        );
        for other in ["acme-corp/web-shop/1.0", "acme-corp/shop", "acm/corp"] {
            assert_eq!(of(file, other), None, "{other}");
        }
        assert_eq!(
            ident_of("acme-shop-1-20260101000000-pdp11-unix.hart", &"acme/shop".parse().expect("an ident")),
            None
        );
    }
}
