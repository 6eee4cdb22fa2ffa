//! `annulus svc unload IDENT`: stops a service and has the supervisor forget it.
//! Leaves its package and its files in place.

use annulus_core::PackageIdent;

use super::stop::How;
use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SvcUnload;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name
    ident: PackageIdent,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let request = SvcUnload {
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
