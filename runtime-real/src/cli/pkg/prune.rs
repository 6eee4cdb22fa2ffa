//! `annulus pkg prune`: removes old releases of all packages, except those that are in use or needed.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::uninstall::{How, remove};
use super::{loaded, print};
use crate::cli::{CliError, Outcome};
use crate::depot::artifact;
use crate::host::root::Root;
use crate::package::{self, Error, Installed};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Keep so many of the newest releases of each package
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    /// Only packages of this origin
    #[arg(short, long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Remove their files from cache/artifacts of the root, too
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let mut old = old(root, args)?;
    let in_use = loaded::services(root)?;
    // What was needed by a package that is gone can go in the next round.
    loop {
        let (mut kept, mut gone) = (Vec::new(), 0);
        for package in old {
            match package::check_unused(root, &package, &in_use) {
                Ok(()) => {
                    remove(root, &package, &args.how)?;
                    if args.files && !args.how.dry_run {
                        remove_file(root, &package)?;
                    }
                    gone += 1;
                }
                Err(Error::Needed { who, .. }) => kept.push((package, who)),
                Err(error) => return Err(error.into()),
            }
        }
        if gone == 0 || args.how.dry_run {
            for (package, who) in kept {
                print(&format!("{} is kept, because {who} needs it\n", package.ident()));
            }
            return Ok(0);
        }
        old = kept.into_iter().map(|(package, _)| package).collect();
    }
}

/// All but the newest releases of each package.
fn old(root: &Root, args: &Args) -> Result<Vec<Installed>, CliError> {
    let mut by_name: BTreeMap<(String, String), Vec<Installed>> = BTreeMap::new();
    for package in package::list(root)? {
        let (origin, name) = (package.ident().origin().to_owned(), package.ident().name().to_owned());
        if args.origin.as_ref().is_none_or(|wanted| *wanted == origin) {
            by_name.entry((origin, name)).or_default().push(package);
        }
    }
    let keep = usize::try_from(args.keep).unwrap_or(usize::MAX);
    Ok(by_name
        .into_values()
        .flat_map(|mut all| {
            all.sort_by(|a, b| a.ident().cmp_version(b.ident()).then_with(|| a.ident().cmp(b.ident())));
            all.truncate(all.len().saturating_sub(keep));
            all
        })
        .collect())
}

fn remove_file(root: &Root, package: &Installed) -> Result<(), CliError> {
    let path = artifact(root, package.ident());
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(CliError::io(path.display().to_string())(e)),
        _ => Ok(()),
    }
}
