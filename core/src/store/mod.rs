//! The records that survive a restart, and their encoding as rows. Modules here may neither decide what is stored nor
//! when.
//!
//! Rumors and members are stored in the encoding of the wire.

pub(crate) mod build;
pub(crate) mod history;
pub(crate) mod service;
pub(crate) mod snapshot;
pub(crate) mod vote;
