//! `annulus svc update IDENT`: changes options of a loaded service. An option that is not given stays as it is.

use annulus_core::PackageIdent;

use super::options::SpecOptions;
use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name; a version, if given, is wanted from now on
    ident: PackageIdent,
    #[command(flatten)]
    options: SpecOptions,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    if args.options.is_empty() && args.ident.version().is_none() {
        let text = "nothing to update: give an option, or a version of the package; `annulus svc update --help` lists them";
        return Err(CliError::Usage(text.to_owned()));
    }
    let request = args.options.update(&args.ident)?;
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
