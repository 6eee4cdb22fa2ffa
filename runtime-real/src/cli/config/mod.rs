//! `annulus config …`: the configuration of services and their groups. One file per command; none writes a
//! configuration into the root, which supervisors do.

mod apply;
mod check;
pub(super) mod history;
mod show;

use clap::Subcommand;

use super::{Global, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Give every service of a group another configuration, above all other layers
    Apply(apply::Args),
    /// Render the templates of a plan with its defaults in a made-up ring, and report every error: exit code 0 when
    /// there is none
    Check(check::Args),
    /// Show the effective configuration of a service, and with --layers which layer each value is from
    Show(show::Args),
    /// List the versions of a group's configuration, or of one of its files, that a supervisor has had
    History(history::Args),
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Apply(args) => apply::run(global, args),
        Command::Check(args) => check::run(global, &args),
        Command::Show(args) => show::run(global, &args),
        Command::History(args) => history::run(global, &args),
    }
}
