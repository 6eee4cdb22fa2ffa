//! `annulus svc start IDENT`: wants a loaded service up. Loads none.

use annulus_core::PackageIdent;

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SvcStart;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name
    ident: PackageIdent,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    block_on(async {
        let request = SvcStart { ident: Some((&args.ident).into()) };
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
