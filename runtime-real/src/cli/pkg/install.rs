//! `annulus pkg install FILE|IDENT…`: installs packages with what they need, from files and the artifact cache.
//! Fetches nothing over the network.

use std::path::Path;
use std::time::Duration;

use annulus_core::PackageIdent;
use clap::builder::FalseyValueParser;

use super::{print, sys};
use crate::cli::{CliError, Outcome};
use crate::host::root::Root;
use crate::package::{self, Limits, Source};
use crate::prepare::{self, Allowed, HOOK_TIMEOUT, HookRun, Patient};
use crate::sup_run::options::ALLOW_ROOT_ENV;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Package files, or packages of which a file lies in cache/artifacts of the root
    #[arg(value_name = "FILE|IDENT", required = true)]
    packages: Vec<String>,
    /// Do not run install hooks; they run before a service of the package starts
    #[arg(long)]
    ignore_install_hook: bool,
    /// Install hooks may run as root where the user of the package's service is missing
    #[arg(long, env = ALLOW_ROOT_ENV, value_parser = FalseyValueParser::new())]
    allow_root: bool,
    /// Kill an install hook that takes longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = HOOK_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    hook_timeout: u64,
}

pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let timeout = (!args.ignore_install_hook).then(|| Duration::from_secs(args.hook_timeout));
    for text in &args.packages {
        install(root, &source(text), timeout, args.allow_root)?;
    }
    Ok(0)
}

/// Names a file where there is one of this name, else a package if the text can be one.
fn source(text: &str) -> Source {
    let path = Path::new(text);
    match text.parse::<PackageIdent>() {
        Ok(ident) if !path.is_file() => Source::Ident(ident),
        _ => Source::File(path.to_owned()),
    }
}

/// Installs a package with what it needs, runs the install hooks unless they are to run later, prints each package,
/// and returns the one that was asked for.
pub(in crate::cli) fn install(
    root: &Root,
    source: &Source,
    hooks: Option<Duration>,
    allow_root: bool,
) -> Result<PackageIdent, CliError> {
    let done = package::install(root, source, Limits::default())?;
    for outcome in &done {
        let what = if outcome.already { "is installed already, in" } else { "is installed in" };
        print(&format!("{} {what} {}\n", outcome.ident, outcome.path.display()));
    }
    let ident = done.into_iter().next_back().expect("an install that succeeds has done something").ident;
    if let Some(timeout) = hooks {
        let package = package::newest(root, &ident)?;
        let mut say = |ident: &PackageIdent, line: &str| print(&format!("{}: {line}\n", ident.name()));
        let sys = sys();
        let allowed = Allowed { root: allow_root, ..Allowed::default() };
        let mut run =
            HookRun { root, sys: &sys, allowed: &allowed, timeout, overseer: &Patient, say: &mut say };
        prepare::run_install_hooks(&mut run, &package)?;
    }
    Ok(ident)
}
