//! Deterministic simulator of an Annulus ring.

pub mod action;
mod apply;
mod balance;
pub mod bed;
pub mod bench;
pub mod checker;
pub mod cli;
mod clock;
mod cpu;
mod disk;
mod effects;
pub mod exit;
pub mod explain;
mod fault;
pub mod group;
pub mod habitat;
mod hash;
mod host;
mod hostset;
pub mod lead;
pub mod narrate;
mod net;
pub mod package;
mod process;
mod queue;
pub mod record;
pub mod scenario;
pub mod shrink;
mod stream;
pub mod sweep;
#[cfg(test)]
mod testing;
pub mod trace;
#[cfg(feature = "turmoil")]
pub mod turmoil;
pub mod view;
mod world;

pub use apply::ActionError;
pub use hash::TraceHash;
pub use host::{HostSpec, HostState};
pub use world::World;
