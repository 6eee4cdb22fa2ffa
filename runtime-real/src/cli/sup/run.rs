//! `annulus sup run [PKG|FILE]`: runs a supervisor in this process, with a service to load if one is named. Returns
//! when the supervisor has left.

use crate::cli::svc::load;
use crate::cli::svc::options::SpecOptions;
use crate::cli::{CliError, Global, Outcome};
use crate::sup_run::{self, options::Options};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A service to load as well: origin/name[/version[/release]], or a .hart file, which is installed first
    #[arg(value_name = "IDENT|FILE")]
    package: Option<String>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    spec: SpecOptions,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let load = match &args.package {
        Some(package) => {
            let ident = load::ident(global, package, args.options.allow_root)?;
            args.spec.bring(global, &ident)?;
            Some(args.spec.load(&ident, true)?)
        }
        None if args.spec.is_empty() => None,
        None => {
            let text = "options of a service are given without one: name its package, \
                        or give them to `annulus svc load`";
            return Err(CliError::Usage(text.to_owned()));
        }
    };
    Ok(sup_run::run(&global.root()?, global.name(), &args.options, load)?)
}
