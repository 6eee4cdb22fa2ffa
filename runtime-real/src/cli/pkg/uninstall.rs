//! `annulus pkg uninstall IDENT`: removes packages.
//! Refuses to remove one that another package or a loaded service needs.

use std::time::Duration;

use annulus_core::PackageIdent;
use clap::builder::FalseyValueParser;

use super::{ident, loaded, print, sys};
use crate::cli::{CliError, Outcome};
use crate::host::root::Root;
use crate::package::{self, Installed};
use crate::prepare::{self, Allowed, HOOK_TIMEOUT, HookRun, Patient};
use crate::sup_run::options::ALLOW_ROOT_ENV;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]: the newest installed one, or with --keep-latest all but some
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
    /// Remove every package that IDENT names, except so many of the newest
    #[arg(long, value_name = "N")]
    keep_latest: Option<usize>,
    #[command(flatten)]
    how: How,
}

/// How packages are removed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct How {
    /// Only say what would be removed
    #[arg(short, long)]
    pub(super) dry_run: bool,
    /// Do not run the uninstall hook
    #[arg(long)]
    ignore_uninstall_hook: bool,
    /// The uninstall hook may run as root where the user of the package's service is missing
    #[arg(long, env = ALLOW_ROOT_ENV, value_parser = FalseyValueParser::new())]
    allow_root: bool,
    /// Kill an uninstall hook that takes longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = HOOK_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    hook_timeout: u64,
}

pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let packages = package::uninstall_candidates(root, &args.ident, args.keep_latest)?;
    if packages.is_empty() {
        print(&format!("{} is installed no more often than is to be kept; nothing to do\n", args.ident));
        return Ok(0);
    }
    let in_use = loaded::services(root)?;
    // All or none: every package is checked before the first one is removed.
    for package in &packages {
        package::check_unused(root, package, &in_use)?;
    }
    for package in &packages {
        remove(root, package, &args.how)?;
    }
    Ok(0)
}

/// Removes a package, after its uninstall hook has run; or says that it would.
pub(super) fn remove(root: &Root, package: &Installed, how: &How) -> Result<(), CliError> {
    if how.dry_run {
        print(&format!("{} would be removed from {}\n", package.ident(), package.path().display()));
        return Ok(());
    }
    let sys = sys();
    let allowed = Allowed { root: how.allow_root, ..Allowed::default() };
    let mut say = |ident: &PackageIdent, line: &str| print(&format!("{}: {line}\n", ident.name()));
    let timeout = Duration::from_secs(how.hook_timeout);
    if prepare::claim(root, package.ident())?.is_none() {
        return Err(CliError::Usage(format!(
            "{} has a hook that runs in another process, so it is not removed; wait for that, or end it (`annulus svc stop`)",
            package.ident()
        )));
    }
    if !how.ignore_uninstall_hook {
        let mut run =
            HookRun { root, sys: &sys, allowed: &allowed, timeout, overseer: &Patient, say: &mut say };
        prepare::run_uninstall_hook(&mut run, package)?;
    }
    package::uninstall(root, package)?;
    print(&format!("{} is uninstalled\n", package.ident()));
    Ok(())
}
