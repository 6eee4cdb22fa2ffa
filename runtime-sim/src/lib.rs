//! Deterministic simulator of an Annulus ring: the core that the daemon runs, in a world whose seed decides
//! everything.
//!
//! It is built in floors, and imports run down this table only: a folder names itself and the floors below it. Two
//! folders in one row stand side by side and do not know each other.
//!
//! | floor | what it is for |
//! |---|---|
//! | `cli` | the command line, its files, and runs side by side |
//! | `bench` | figures |
//! | `bed` | the same scenarios with real daemons, or with the real driver over turmoil |
//! | `sweep` `shrink` | the ring and faults of a seed; the smallest schedule that still fails |
//! | `habitat` | how Habitat's elections fare under the same faults |
//! | `report` | reports of a run: narrator, trace, chains of causes, outcome |
//! | `scenario` | files that describe a ring, the actions on it and the expected outcome |
//! | `checker` | properties that hold in every run, one file each |
//! | `expect` | the statements that a scenario can make, one file for each |
//! | `action` | the actions that can be done to a ring, one file for each |
//! | `form` | how scenario files are written: values, names, mistakes, entries |
//! | `engine` | the simulated world: hosts, links, disks, processes, clocks, one queue; and the records that it makes |
//! | `exit` | how the program ends, a number for each outcome |
//!
//! The features `beds` and `cli` bring in the first three. Everything below them has no threads, reads no files and
//! asks no operating system: text and bytes come in as arguments. It also builds for `wasm32-unknown-unknown`.

pub mod action;
#[cfg(feature = "beds")]
pub mod bed;
#[cfg(feature = "cli")]
pub mod bench;
pub mod checker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod engine;
pub mod exit;
pub mod expect;
pub mod form;
pub mod habitat;
pub mod report;
pub mod scenario;
pub mod shrink;
pub mod sweep;

pub use action::ActionError;
pub use action::world::World;
pub use engine::hash::TraceHash;
pub use engine::host::{HostSpec, HostState};
