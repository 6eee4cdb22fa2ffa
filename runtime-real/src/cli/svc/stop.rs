//! `annulus svc stop IDENT`.

use annulus_core::PackageIdent;

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::ctl::message::SvcStop;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service's package, origin/name
    ident: PackageIdent,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    block_on(async {
        let request = SvcStop { ident: Some((&args.ident).into()), timeout_in_seconds: None };
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
