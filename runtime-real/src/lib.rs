//! The Annulus supervisor as a library: what the `annulus` binary, its tests and harnesses are made of.

pub mod agent_check;
pub mod atomic;
pub mod cli;
pub mod clock;
pub mod crypto;
pub mod ctl;
pub mod demo;
pub mod driver;
pub mod effect;
pub mod entropy;
pub mod exit;
pub mod handle;
pub mod http;
pub mod keys;
pub mod launcher;
pub mod lock;
mod log_queue;
mod log_read;
pub mod logging;
pub mod net;
pub mod package;
pub mod root;
pub mod specs;
pub mod store;
pub mod sup_run;
pub mod systemd;
pub mod template;
pub mod timestamp;
pub mod user_toml;
pub mod users;
mod watch;

const _: () = assert!(
    !annulus_core::CAN_PLANT,
    "a daemon must not carry planted bugs: build it without annulus-core's feature `planted-bugs`"
);
