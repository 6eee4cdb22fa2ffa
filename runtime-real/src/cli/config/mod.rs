//! `annulus config …`.

mod apply;
mod history;

use clap::Subcommand;

use super::{Global, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Give every service of a group another configuration, above all other layers
    Apply(apply::Args),
    /// List the versions of a group's configuration, or of one of its files, that a supervisor has had
    History(history::Args),
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Apply(args) => apply::run(global, args),
        Command::History(args) => history::run(global, &args),
    }
}
