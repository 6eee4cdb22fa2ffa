//! `annulus file …`: the files of service groups. One file per command; each asks a supervisor over its ctl gateway.

mod history;
mod list;
mod remove;
mod upload;

use clap::Subcommand;

use super::{Global, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Give every service of a group a file, or another version of it
    Upload(upload::Args),
    /// List the files of a group: version, size, through which member and when
    List(list::Args),
    /// List the versions of a file that a supervisor has had
    History(history::Args),
    /// Withdraw a file from a group: an empty version takes its place
    Remove(remove::Args),
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Upload(args) => upload::run(global, args),
        Command::List(args) => list::run(global, &args),
        Command::History(args) => history::run(global, &args),
        Command::Remove(args) => remove::run(global, &args),
    }
}
