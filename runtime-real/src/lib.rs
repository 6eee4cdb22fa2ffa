//! The Annulus supervisor as a library: what the `annulus` binary, its tests and harnesses are made of.

pub mod cli;
pub mod gateway;
pub mod host;
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
