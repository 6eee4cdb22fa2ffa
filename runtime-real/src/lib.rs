//! The Annulus supervisor as a library: what the `annulus` binary, its tests and harnesses are made of.

pub mod clock;
pub mod root;
