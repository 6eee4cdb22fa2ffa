//! `annulus pkg channels|search|delete`: looks at what a depot has, and removes a package of it.

use annulus_core::PackageIdent;

use super::ident;
use super::promote::full;
use crate::cli::depot::options::DepotOptions;
use crate::cli::{Outcome, block_on, output};
use crate::depot::Error;
use crate::package::host_target;

/// A package of a depot.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct One {
    /// origin/name/version/release
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
    /// The platform that the package is for [default: this host's]
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    #[command(flatten)]
    depot: DepotOptions,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Search {
    /// A part of an origin's or a package's name
    #[arg(value_name = "TERM")]
    term: String,
    /// Show so many at most
    #[arg(short, long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    depot: DepotOptions,
}

pub(super) fn channels(args: &One) -> Outcome {
    full(&args.ident)?;
    let client = args.depot.client()?;
    let target = args.target.clone().unwrap_or_else(host_target);
    let found = block_on(async { Ok(client.channels_of(&args.ident, &target).await?) })?;
    let Some(channels) = found else {
        let said = format!("the depot {} does not have {} for {target}", client.url(), args.ident);
        return Err(Error::NotFound(said).into());
    };
    for channel in channels {
        output::line(channel.name);
    }
    Ok(0)
}

pub(super) fn search(args: &Search) -> Outcome {
    let client = args.depot.client()?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (found, total) = block_on(async { Ok(client.search(&args.term, limit).await?) })?;
    if found.is_empty() {
        return Err(Error::NotFound(format!(
            "the depot {} has no package whose name contains {:?}",
            client.url(),
            args.term
        ))
        .into());
    }
    for ident in &found {
        output::line(ident);
    }
    if total > found.len() {
        output::line(format_args!("{} of {total}; -l shows more", found.len()));
    }
    Ok(0)
}

pub(super) fn delete(args: &One) -> Outcome {
    full(&args.ident)?;
    let client = args.depot.client()?;
    let target = args.target.clone().unwrap_or_else(host_target);
    block_on(async { Ok(client.delete(&args.ident, &target).await?) })?;
    output::line(format_args!("{} for {target} is deleted from {}", args.ident, client.url()));
    Ok(0)
}
