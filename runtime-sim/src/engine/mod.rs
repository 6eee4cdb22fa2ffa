//! The simulated world: hosts, links, disks, processes, clocks, and one queue of coming events.
//!
//! It has no threads, no files and no clock but its own, and knows nothing of scenarios, reports, beds and sweeps.

pub(crate) mod balance;
pub(crate) mod clock;
pub mod deed;
pub mod depot;
pub mod disk;
pub mod disk_fault;
mod effects;
pub(crate) mod fault;
mod feed;
pub mod files;
mod fingerprint;
pub(crate) mod guard;
pub mod hash;
pub(crate) mod hooks;
pub mod host;
pub mod hostile;
pub(crate) mod hostset;
pub mod ids;
pub(crate) mod keys;
pub mod launcher;
pub mod lead;
pub mod lifecycle;
pub mod link;
pub(crate) mod net;
pub mod package;
mod packet;
pub(crate) mod process;
mod queue;
pub mod record;
pub mod rendering;
pub mod scene;
pub(crate) mod sealed;
pub(crate) mod services;
pub mod settled;
mod slow;
mod stream;
pub mod view;
mod work;
pub mod world;
