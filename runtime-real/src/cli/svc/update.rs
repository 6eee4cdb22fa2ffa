//! `annulus svc update IDENT`: changes options of a loaded service. An option that is not given stays as it is.

use annulus_core::PackageIdent;

use super::options::SpecOptions;
use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name; a version, if given, is wanted from now on
    ident: PackageIdent,
    /// Have this build run, whatever the strategy says: origin/name/version/release. It is brought and tried like any other
    #[arg(long, value_name = "IDENT")]
    to: Option<PackageIdent>,
    #[command(flatten)]
    options: SpecOptions,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    if args.to.is_none() && args.options.is_empty() && args.ident.version().is_none() {
        let text = "nothing to update: give an option, or a version of the package; `annulus svc update --help` lists them";
        return Err(CliError::Usage(text.to_owned()));
    }
    let mut request = args.options.update(&args.ident)?;
    if let Some(to) = &args.to {
        if !to.is_fully_qualified() || to.origin() != args.ident.origin() || to.name() != args.ident.name() {
            let said = format!(
                "--to {to}: name one build of {}/{}, with version and release",
                args.ident.origin(),
                args.ident.name()
            );
            return Err(CliError::Usage(said));
        }
        if !args.options.is_empty() {
            return Err(CliError::Usage(
                "--to stands alone: change the options by another command".to_owned(),
            ));
        }
        request.to = Some(to.into());
    }
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
