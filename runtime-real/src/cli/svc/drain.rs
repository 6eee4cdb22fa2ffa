//! `annulus svc drain IDENT` and `annulus svc undrain IDENT`: have a service take no new work, and take work again.
//! Neither stops it.

use annulus_core::PackageIdent;

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::message::{SvcDrain, SvcUndrain};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name
    ident: PackageIdent,
    /// Seconds that the drain hook and the work in flight may take [default: the package's]
    #[arg(long, value_name = "SECONDS")]
    drain_timeout: Option<u32>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct UndrainArgs {
    /// The service's package, origin/name
    ident: PackageIdent,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let request = SvcDrain { ident: Some((&args.ident).into()), timeout_in_seconds: args.drain_timeout };
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}

pub(super) fn undo(global: &Global, args: &UndrainArgs) -> Outcome {
    let request = SvcUndrain { ident: Some((&args.ident).into()) };
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
