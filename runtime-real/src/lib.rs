//! The Annulus supervisor as a library, from which the `annulus` binary, its tests and harnesses are made.
//!
//! It is built in floors, and imports run down this table only: a folder names itself and the floors below it. Two
//! folders in one row stand side by side and do not know each other.
//!
//! | floor | what it is for |
//! |---|---|
//! | `cli` | the command line, one file for each command; the demonstration; the reader of logs |
//! | `sup_run` | `annulus sup run`: puts a supervisor together, runs it, takes it apart |
//! | `gateway` | the ways into a running supervisor: commands (`ctl`), reading (`http`), the agent check |
//! | `invite` | how a new host comes into a ring with a key by one line |
//! | `supervisor` | the loop that runs a node, the effects that the node asks for, what survives a restart |
//! | `prepare` | makes a service ready to run: this answers the core's `Prepare` and `Render` |
//! | `depot` | where packages come from: the tree of a depot, and how one is asked |
//! | `launcher` `package` | the parent of every service and the messages to it; packages, from plan to disk |
//! | `net` | sockets behind a trait, and what passes them sealed with the key of the ring |
//! | `keys` `template` | keys and signatures; Handlebars as Habitat has it |
//! | `host` | the operating system: time, chance, files, users, where things are |

pub mod cli;
pub mod depot;
pub mod gateway;
pub mod host;
pub mod invite;
pub mod keys;
pub mod launcher;
pub mod net;
pub mod package;
pub mod prepare;
pub mod sup_run;
pub mod supervisor;
pub mod template;

const _: () = assert!(
    !annulus_core::CAN_PLANT,
    "a daemon must not carry planted bugs: build it without annulus-core's feature `planted-bugs`"
);
const _: () = assert!(
    !annulus_core::CAN_MUTATE,
    "a daemon must not carry mutants: build it without annulus-core's feature `mutants`"
);
