//! `annulus pkg promote|demote IDENT CHANNEL`: what a channel of a depot holds.

use annulus_core::PackageIdent;

use super::{ident, upload};
use crate::cli::depot::options::DepotOptions;
use crate::cli::{CliError, Outcome, block_on, output};
use crate::depot::{UNSTABLE, check_channel};
use crate::package::host_target;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name/version/release
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
    /// The channel
    #[arg(value_name = "CHANNEL")]
    channel: String,
    /// The platform that the package is for [default: this host's]
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    #[command(flatten)]
    depot: DepotOptions,
}

pub(super) fn run(args: &Args, is_in: bool) -> Outcome {
    full(&args.ident)?;
    check_channel(&args.channel)?;
    if !is_in && args.channel == UNSTABLE {
        let said = "a package is in the channel unstable as long as the depot has it; `annulus pkg delete` removes it";
        return Err(CliError::Usage(said.to_owned()));
    }
    let client = args.depot.client()?;
    let target = args.target.clone().unwrap_or_else(host_target);
    block_on(async {
        if is_in {
            upload::promote(&client, &args.ident, &target, &args.channel).await?;
        } else {
            client.set_channel(&args.ident, &target, &args.channel, false).await?;
            output::line(format_args!(
                "{} is not in the channel {} of {} any more",
                args.ident,
                args.channel,
                client.url()
            ));
        }
        Ok(0)
    })
}

/// An ident that names one build.
pub(super) fn full(ident: &PackageIdent) -> Result<(), CliError> {
    if ident.is_fully_qualified() {
        return Ok(());
    }
    Err(CliError::Usage(format!("{ident} names no build: write origin/name/version/release")))
}
