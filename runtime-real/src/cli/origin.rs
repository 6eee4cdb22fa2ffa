//! `annulus origin …`: makes the keys that sign packages. Never overwrites a key.

use clap::Subcommand;

use super::pkg::{new_key_line, print};
use crate::host::clock;
use crate::host::root::Root;
use crate::keys::{KeyCache, KeyError};

/// Commands about origins.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Keys of an origin
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Commands about the keys of an origin.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key pair that signs the origin's packages from now on
    Generate {
        /// The origin's name
        #[arg(value_name = "ORIGIN")]
        origin: String,
    },
}

/// Carries out a command.
///
/// # Errors
/// The name cannot name a key, or the disk refuses.
pub fn run(command: &Command, root: &Root) -> Result<u8, KeyError> {
    let Command::Key(KeyCommand::Generate { origin }) = command;
    let keys = KeyCache::new(root.keys());
    let (id, _) = keys.generate_origin(origin, clock::wall())?;
    print(&new_key_line(&keys, &id));
    Ok(0)
}
