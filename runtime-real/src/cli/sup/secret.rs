//! `annulus sup secret generate`: prints a new ctl secret. Stores it nowhere.

use clap::Subcommand;

use crate::cli::{Outcome, output};
use crate::gateway::ctl::secret::Secret;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print a new ctl secret, for <root>/sup/<name>/CTL_SECRET and HAB_CTL_SECRET
    Generate,
}

pub(super) fn generate() -> Outcome {
    output::line(Secret::generate()?.reveal());
    Ok(0)
}
