//! `annulus user …`: makes the keys with which users seal configuration and files for service groups. Never overwrites a
//! key.

use clap::Subcommand;

use super::{Global, Outcome, key, output};
use crate::host::clock;
use crate::keys::KeyKind;

/// Commands about users.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// The keys of a user
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Commands about the keys of a user.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new key pair
    Generate {
        /// The user's name
        #[arg(value_name = "USER")]
        user: String,
    },
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    let Command::Key(KeyCommand::Generate { user }) = command;
    let keys = key::cache(global)?;
    let id = keys.generate_user(&user, clock::wall())?;
    output::line(format_args!(
        "user {user} has a new key pair, {id}, in {}: keep {} secret and here; copy {} to every host whose services the user may \
         configure, into the folder cache/keys below its supervisor's root (/hab/cache/keys where that runs as root)",
        keys.dir().display(),
        id.file_name(KeyKind::BoxSecret),
        id.file_name(KeyKind::BoxPublic),
    ));
    Ok(0)
}
