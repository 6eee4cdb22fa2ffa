//! `annulus ring …`: makes, takes and prints the keys of rings; `ring_invite` invites other hosts. Never overwrites a key. A running supervisor goes on with the key
//! that it has until `ring key use`, which is in `ring_key`.

use clap::Subcommand;

use super::{Global, Outcome, key, output, ring_invite, ring_key};
use crate::host::clock;
use crate::host::timestamp::rfc3339_millis;
use crate::keys::KeyKind;
use crate::supervisor::ring_keys;

/// Commands about rings.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Print a line with which one more host joins the ring: `annulus sup run --join LINE` takes it
    Invite(ring_invite::Args),
    /// The key with which the members of a ring seal everything that they say
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Commands about the key of a ring.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new key; a ring that is there already goes on with its own until `ring key use`
    Generate {
        /// The ring's name
        #[arg(value_name = "RING")]
        ring: String,
    },
    /// Put a key from standard input into the cache
    Import,
    /// Speak with another key, which is on the host of the supervisor that is asked: it is handed to every member and becomes
    /// current once all of them can open it
    Use(ring_key::UseArgs),
    /// Show which keys the ring has, and which member can open which
    Status(ring_key::StatusArgs),
    /// Print the newest key
    Export {
        /// The ring's name
        #[arg(value_name = "RING")]
        ring: String,
    },
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    let command = match command {
        Command::Invite(args) => return ring_invite::run(global, args),
        Command::Key(command) => command,
    };
    match command {
        KeyCommand::Generate { ring } => {
            let keys = key::cache(global)?;
            let now = clock::wall();
            let opens = ring_keys::opened(&global.sup()?.ring_keys(), &ring);
            let (id, ahead) = keys.generate_ring_beside(&ring, now, &opens)?;
            for ahead in ahead {
                eprintln!(
                    "warning: key {ahead} was made more than a year ahead of this host's clock ({}) and is passed over: no member of \
                     the ring changes over to it. Move {} away",
                    rfc3339_millis(now),
                    keys.path(&ahead, KeyKind::Shared).display()
                );
            }
            output::line(format_args!(
                "ring {ring} has a new key, {id}: {}\nBring it to every host of the ring and keep it from all others: \
                 `annulus ring key export {ring}` prints it, `annulus ring key import` takes it there.\nA supervisor uses it \
                 with `annulus sup run --ring {ring}`",
                keys.path(&id, KeyKind::Shared).display()
            ));
        }
        KeyCommand::Import => {
            key::import(global, &[KeyKind::Shared])?;
        }
        KeyCommand::Use(args) => return ring_key::use_key(global, &args),
        KeyCommand::Status(args) => return ring_key::status(global, &args),
        KeyCommand::Export { ring } => key::export(global, &ring, KeyKind::Shared)?,
    }
    Ok(0)
}
