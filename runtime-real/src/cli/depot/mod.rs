//! `annulus depot …`: serves a depot, makes the tokens of those who may write to it, and builds its records again.
//! The other commands that ask depots are in `pkg`, `channel` and `origin`; their options are in `options`.

pub(super) mod options;
pub(super) mod progress;
mod reindex;
mod serve;
mod token;

use std::path::PathBuf;

use clap::Subcommand;

use super::{CliError, Global, Outcome};
use crate::depot::Tree;

/// Commands about a depot on this host.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Serve packages to other hosts, as Habitat's Builder does
    #[command(after_help = serve::HELP)]
    Serve(serve::Args),
    /// Make, list or revoke the tokens of those who may write to a depot
    Token(token::Args),
    /// Make the records of a depot again from its package files
    Reindex(reindex::Args),
}

/// Where a depot is.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Dir {
    /// The depot's directory [default: <root>/depot]
    #[arg(long, env = "ANNULUS_DEPOT", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Dir {
    fn tree(&self, global: &Global) -> Result<Tree, CliError> {
        let dir = match self.dir.clone().filter(|dir| !dir.as_os_str().is_empty()) {
            Some(dir) => dir,
            None => global.root()?.path().join("depot"),
        };
        Ok(Tree::new(std::path::absolute(&dir).map_err(CliError::io(dir.display().to_string()))?))
    }
}

pub(super) fn run(global: &Global, command: &Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(global, args),
        Command::Token(args) => token::run(global, args),
        Command::Reindex(args) => reindex::run(global, args),
    }
}
