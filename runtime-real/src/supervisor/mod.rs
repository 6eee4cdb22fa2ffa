//! The loop that runs a node, and what answers the node: effects on this host, and state on its disk.
//!
//! - `driver` is the loop; `handle` is the way into it.
//! - `effect` does what the node wants done; `ledger` keeps what the node has no need of, for the gateways.
//! - `store` and `specs` hold what survives a restart.
//! - `logging` and `event` put the node's events into words.
//!
//! Nothing in here decides: the node does.

pub mod driver;
pub mod effect;
pub mod event;
pub mod handle;
pub mod ledger;
mod log_queue;
pub mod logging;
pub mod specs;
pub mod store;
