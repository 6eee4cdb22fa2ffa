//! `annulus origin …`: makes, takes and prints the keys that sign packages. Never overwrites a key.

use clap::{Subcommand, ValueEnum};

use super::pkg::{new_key_line, print};
use super::{Global, Outcome, key, origin_depot};
use crate::host::clock;
use crate::keys::KeyKind;

/// Commands about origins.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Keys of an origin
    #[command(subcommand)]
    Key(KeyCommand),
    /// Say, signed, which keys of the origin count, and let a depot say what its channels hold
    Certify(origin_depot::Certify),
}

/// Commands about the keys of an origin.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new key pair that signs the origin's packages from now on
    Generate {
        /// The origin's name
        #[arg(value_name = "ORIGIN")]
        origin: String,
    },
    /// Put a key, public or secret, from standard input into the cache
    Import,
    /// Print the newest key
    Export {
        /// The origin's name
        #[arg(value_name = "ORIGIN")]
        origin: String,
        /// Which half of the pair
        #[arg(short = 't', long = "type", value_enum, default_value_t)]
        half: Half,
    },
    /// Give a depot the newest key
    Upload(origin_depot::Upload),
    /// Put a key that a depot has into the cache
    Download(origin_depot::Download),
}

/// A half of a key pair.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Half {
    /// For every host that installs the origin's packages
    #[default]
    Public,
    /// For hosts that make them
    Secret,
}

/// Carries out a command.
///
/// # Errors
/// The name cannot name a key, the key does not fit, or the disk refuses.
pub(super) fn run(global: &Global, command: &Command) -> Outcome {
    let command = match command {
        Command::Key(command) => command,
        Command::Certify(args) => {
            origin_depot::certify(global, args)?;
            return Ok(0);
        }
    };
    match command {
        KeyCommand::Upload(args) => origin_depot::upload(global, args)?,
        KeyCommand::Download(args) => origin_depot::download(global, args)?,
        KeyCommand::Generate { origin } => {
            let keys = key::cache(global)?;
            let (id, _) = keys.generate_origin(origin, clock::wall())?;
            print(&new_key_line(&keys, &id));
        }
        KeyCommand::Import => {
            key::import(global, &[KeyKind::SigPublic, KeyKind::SigSecret])?;
        }
        KeyCommand::Export { origin, half: Half::Public } => key::export(global, origin, KeyKind::SigPublic)?,
        KeyCommand::Export { origin, half: Half::Secret } => key::export(global, origin, KeyKind::SigSecret)?,
    }
    Ok(0)
}
