//! Removes one installed package. Refuses while a loaded service or another installed package needs it.
//!
//! A package disappears from its place by one rename. The rest, under a name that begins with `.removing-`, is deleted
//! afterwards, or by the next install or uninstall if this one dies.

use std::fs;
use std::io;
use std::path::Path;

use annulus_core::{PackageIdent, ServiceName};

use super::install::{lock_all, remove_leftovers};
use super::store::builds;
use super::{Error, Installed, needed_by, newest, step};
use crate::host::atomic;
use crate::host::root::Root;

pub(super) const REMOVING_PREFIX: &str = ".removing-";

/// A package that a loaded service uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The service.
    pub service: ServiceName,
    /// The supervisor that has it loaded.
    pub supervisor: String,
    /// The ident that its spec asks for, or the package that its process runs from.
    pub ident: PackageIdent,
}

/// The packages that an uninstall removes: the newest installed one that fits `wanted`, or all that fit except the
/// newest `keep_latest`, oldest first.
///
/// # Errors
/// None is installed, or a directory is not readable.
pub fn uninstall_candidates(
    root: &Root,
    wanted: &PackageIdent,
    keep_latest: Option<usize>,
) -> Result<Vec<Installed>, Error> {
    let Some(keep) = keep_latest else { return Ok(vec![newest(root, wanted)?]) };
    let mut all = builds(root, wanted.origin(), wanted.name())?;
    all.retain(|package| package.ident().satisfies(wanted));
    if all.is_empty() {
        return Err(Error::NotInstalled { ident: wanted.clone(), root: root.path().to_owned() });
    }
    all.sort_by(|a, b| a.ident().cmp_version(b.ident()).then_with(|| a.ident().cmp(b.ident())));
    all.truncate(all.len().saturating_sub(keep));
    Ok(all)
}

/// Refuses when a loaded service or another installed package needs the package.
///
/// # Errors
/// Names the services or packages that need it.
pub fn check_unused(root: &Root, package: &Installed, loaded: &[InUse]) -> Result<(), Error> {
    let ident = package.ident();
    for used in loaded {
        let next = newest(root, &used.ident).ok();
        if next.as_ref().is_some_and(|next| next.ident() == ident) {
            let who = format!("service {} of supervisor {}", used.service, used.supervisor);
            let remedy = format!("`annulus svc unload {}` first", used.ident);
            return Err(Error::Needed { ident: ident.clone(), who, remedy });
        }
    }
    let others = needed_by(root, ident, true)?;
    if !others.is_empty() {
        let who = others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(Error::Needed { ident: ident.clone(), who, remedy: "uninstall that first".to_owned() });
    }
    Ok(())
}

/// Whether no other build of the package is installed.
///
/// # Errors
/// A directory is not readable.
pub fn is_last_build(root: &Root, package: &Installed) -> Result<bool, Error> {
    let ident = package.ident();
    Ok(builds(root, ident.origin(), ident.name())?.len() <= 1)
}

/// Removes a package. Its uninstall hook is not run.
///
/// # Errors
/// The disk refuses. The package is still there then, or the next uninstall finishes its removal.
pub fn uninstall(root: &Root, package: &Installed) -> Result<(), Error> {
    step::reached("nothing is done yet");
    let pkgs = root.pkgs();
    let _held = lock_all(root)?;
    remove_leftovers(&pkgs)?;
    let release = package.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = pkgs.join(format!("{REMOVING_PREFIX}{}-{release}", package.ident().name()));
    fs::rename(package.path(), &aside).map_err(Error::io(package.path()))?;
    step::reached("package is renamed");
    if let Some(parent) = package.path().parent() {
        atomic::sync_dir(parent).map_err(Error::io(parent))?;
    }
    remove_empty_parents(package.path())?;
    step::reached("parents are removed");
    fs::remove_dir_all(&aside).map_err(Error::io(&aside))
}

/// Removes the folders of release, version and origin, as far as they are empty.
fn remove_empty_parents(path: &Path) -> Result<(), Error> {
    for dir in path.ancestors().skip(1).take(3) {
        match fs::remove_dir(dir) {
            Ok(()) => step::reached("a parent is removed"),
            Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => break,
            Err(e) => return Err(Error::io(dir)(e)),
        }
    }
    Ok(())
}
