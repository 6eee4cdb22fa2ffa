//! `annulus pkg build PLAN_DIR`: makes a package of a plan and says how to install it. Does not install it.

use std::path::{Path, PathBuf};

use super::print;
use crate::host::clock;
use crate::host::root::Root;
use crate::keys::{KeyCache, KeyId, KeyKind};
use crate::package::{self, Error};
use crate::prepare::try_plan;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Directory with plan.toml, default.toml, config/ and hooks/
    #[arg(value_name = "PLAN_DIR")]
    plan: PathBuf,
    /// Where to put the package file [default: cache/artifacts in the root]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    // What is no plan at all is named by the build itself.
    let dir = if args.plan.is_file() { args.plan.parent().unwrap_or(&args.plan) } else { &args.plan };
    if dir.join("plan.toml").is_file() {
        check(root, dir)?;
    }
    let artifacts = root.artifacts();
    let built = package::build(root, &args.plan, args.output.as_ref().unwrap_or(&artifacts), clock::wall())?;
    if built.new_key {
        print(&new_key_line(&KeyCache::new(root.keys()), &built.signer));
    }
    print(&format!(
        "{} is built: {}\nhash {}, signed by {}\n",
        built.ident,
        built.path.display(),
        built.hash,
        built.signer
    ));
    Ok(0)
}

/// Tries the plan as `config check` does. Warnings are told, and errors keep it from being built.
fn check(root: &Root, plan: &Path) -> Result<(), Error> {
    let trial = try_plan(root, plan);
    for warning in &trial.warnings {
        eprintln!("warning: {warning}\n");
    }
    if trial.errors.is_empty() {
        return Ok(());
    }
    Err(Error::Check { path: plan.to_owned(), errors: trial.errors.join("\n\n") })
}

/// Tells the operator about a key that was just made.
pub(in crate::cli) fn new_key_line(keys: &KeyCache, id: &KeyId) -> String {
    format!(
        "origin {} has a new signing key, {id}, in {}: keep {} secret and safe, give {} to every host that installs its packages\n",
        id.name(),
        keys.dir().display(),
        id.file_name(KeyKind::SigSecret),
        id.file_name(KeyKind::SigPublic),
    )
}
