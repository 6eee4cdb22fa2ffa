//! The loop that runs a node, and the parts that serve the node: effects on this host, and state on its disk. Nothing
//! in here decides: the node does.
//!
//! - `driver` is the loop; `handle` is the way into it.
//! - `effect` carries out the node's effects; `ledger` keeps for the gateways what the node does not need.
//! - `identity` is the key with which this member signs.
//! - `store` and `specs` hold what survives a restart; `room` knows whether the disk takes it.
//! - `ring_keys` are the keys of the ring on this host, and `ring_file` looks whether the file of the current one is still there.
//! - `obstacles` lists what stands between what is wanted of a service and what runs.
//! - `logging` and `event` put the node's events into words.

pub mod driver;
pub mod effect;
pub mod event;
mod fold;
pub mod handle;
pub mod identity;
pub mod ledger;
mod log_queue;
pub mod logging;
pub mod obstacles;
pub mod ring_file;
pub mod ring_keys;
pub mod room;
pub mod specs;
pub mod store;
