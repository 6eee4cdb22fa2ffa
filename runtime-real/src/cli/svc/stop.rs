//! `annulus svc stop IDENT`: wants a loaded service down;
//! also the options that say how a service is stopped. Unloads none.

use annulus_core::PackageIdent;

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SvcStop;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name
    ident: PackageIdent,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

/// How a service is stopped this once.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(in crate::cli) struct How {
    /// Seconds from the stop signal until it is killed [default: that of the service]
    #[arg(long, value_name = "SECONDS")]
    pub(super) shutdown_timeout: Option<u32>,
    /// Seconds that the drain hook and the work in flight may take [default: the package's]
    #[arg(long, value_name = "SECONDS")]
    pub(super) drain_timeout: Option<u32>,
    /// Stop it without draining
    #[arg(long, conflicts_with = "drain_timeout")]
    pub(super) no_drain: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let request = SvcStop {
        ident: Some((&args.ident).into()),
        timeout_in_seconds: args.how.shutdown_timeout,
        drain_timeout_in_seconds: args.how.drain_timeout,
        no_drain: Some(args.how.no_drain),
    };
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
