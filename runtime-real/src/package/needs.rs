//! Finds which installed packages need which. Only reads metafiles.

use std::collections::BTreeSet;

use annulus_core::PackageIdent;

use super::{Error, Installed, MetaFile, list, newest};
use crate::host::root::Root;

/// The idents that a package needs itself, or also through others.
///
/// # Errors
/// A metafile is malformed.
pub fn needs(package: &Installed, through_others: bool) -> Result<BTreeSet<PackageIdent>, Error> {
    let mut all: BTreeSet<PackageIdent> = package.idents(MetaFile::Deps)?.into_iter().collect();
    if through_others {
        all.extend(package.idents(MetaFile::Tdeps)?);
    }
    Ok(all)
}

/// The installed packages that need this one, themselves or through others.
///
/// # Errors
/// A directory or metafile is not readable.
pub fn needed_by(
    root: &Root,
    package: &PackageIdent,
    through_others: bool,
) -> Result<Vec<PackageIdent>, Error> {
    let mut found = Vec::new();
    for other in list(root)? {
        if other.ident() == package {
            continue;
        }
        for wanted in needs(&other, through_others)? {
            if package.satisfies(&wanted) && newest(root, &wanted)?.ident() == package {
                found.push(other.ident().clone());
                break;
            }
        }
    }
    Ok(found)
}

/// A package and all that it needs, in an order where each comes after the
/// packages that it needs; the package is the last.
///
/// # Errors
/// A package that is needed is not installed, or a metafile is malformed.
pub fn with_needs(root: &Root, package: &Installed) -> Result<Vec<Installed>, Error> {
    let mut ordered = Vec::new();
    let mut seen = BTreeSet::new();
    visit(root, package.clone(), &mut seen, &mut ordered)?;
    Ok(ordered)
}

/// Visits depth first. A ring of packages that need each other ends at the package that was visited first.
fn visit(
    root: &Root,
    package: Installed,
    seen: &mut BTreeSet<PackageIdent>,
    ordered: &mut Vec<Installed>,
) -> Result<(), Error> {
    if !seen.insert(package.ident().clone()) {
        return Ok(());
    }
    for wanted in needs(&package, true)? {
        let found = newest(root, &wanted).map_err(|e| match e {
            Error::NotInstalled { .. } => {
                Error::dependency(root, package.ident().to_string(), wanted.clone())
            }
            other => other,
        })?;
        visit(root, found, seen, ordered)?;
    }
    ordered.push(package);
    Ok(())
}
