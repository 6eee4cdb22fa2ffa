//! Deterministic simulator of an Annulus ring.
//!
//! | folder | what |
//! |---|---|
//! | `engine` | the simulated world: hosts, links, disks, processes, clocks, one queue |
//! | `action` | what can be done to a world |
//! | `scenario` | files that say what a ring goes through and what must come of it |
//! | `checker` | properties that hold in every run, one file each |
//! | `report` | narrator, trace, chains of causes |
//! | `sweep`, `shrink` | many seeds; the smallest schedule that still fails |
//! | `habitat` | how Habitat's elections fare under the same faults |
//! | `bed` | the same scenarios with real daemons, or with the real driver over turmoil |
//! | `bench` | figures |
//! | `cli` | the command line |

pub mod action;
pub mod bed;
pub mod bench;
pub mod checker;
pub mod cli;
pub mod engine;
pub mod exit;
pub mod habitat;
pub mod report;
pub mod scenario;
pub mod shrink;
pub mod sweep;

pub use action::apply::ActionError;
pub use action::world::World;
pub use engine::hash::TraceHash;
pub use engine::host::{HostSpec, HostState};
