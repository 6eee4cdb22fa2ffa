//! `annulus file history SERVICE.GROUP NAME`: lists the versions of a file that a supervisor has had. Only asks.

use annulus_core::ServiceGroup;

use crate::cli::config::history;
use crate::cli::group::Through;
use crate::cli::{Global, Outcome};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    /// The file's name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    history::show(global, &args.through, &args.group, Some(&args.name), args.json)
}
