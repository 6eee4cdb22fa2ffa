//! `annulus svc load IDENT|FILE`: has a supervisor keep a service running. Installs the package first when it is given
//! as a file.

use std::path::Path;

use annulus_core::PackageIdent;
use clap::builder::FalseyValueParser;

use super::options::SpecOptions;
use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output, pkg};
use crate::package::Source;
use crate::prepare::{self, HOOK_TIMEOUT};
use crate::sup_run::options::ALLOW_ROOT_ENV;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What to run: origin/name[/version[/release]], or a .hart file, which is installed first
    #[arg(value_name = "IDENT|FILE")]
    package: String,
    /// Replace the options of a service that is loaded already; options not given stay as they are
    #[arg(short, long)]
    force: bool,
    /// Install hooks of a file may run as root where the user of its service is missing
    #[arg(long, env = ALLOW_ROOT_ENV, value_parser = FalseyValueParser::new())]
    allow_root: bool,
    #[command(flatten)]
    options: SpecOptions,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let ident = ident(global, &args.package, args.allow_root)?;
    let request = args.options.load(&ident, args.force)?;
    warn_of_variable(&ident);
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}

/// The variable that holds a service's configuration is the supervisor's: one of this command would do nothing, silently.
pub(in crate::cli) fn warn_of_variable(ident: &PackageIdent) {
    let variable = prepare::variable(ident.name());
    if std::env::var_os(&variable).is_some_and(|value| !value.is_empty()) {
        eprintln!(
            "warning: {variable} of this command is not read, but that of the supervisor's own environment; \
             `annulus config apply` and user.toml configure a service that runs"
        );
    }
}

/// The package that the text names; a file is installed first.
pub(in crate::cli) fn ident(global: &Global, text: &str, allow_root: bool) -> Result<PackageIdent, CliError> {
    let path = Path::new(text);
    if path.extension().is_some_and(|extension| extension == "hart") {
        let source = Source::File(path.to_owned());
        return pkg::install(&global.root()?, &source, Some(HOOK_TIMEOUT), allow_root);
    }
    text.parse()
        .map_err(|error| CliError::Usage(format!("{text:?} is neither a package nor a .hart file: {error}")))
}
