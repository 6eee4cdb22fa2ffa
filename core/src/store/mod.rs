//! What survives a restart: records and their encoding as rows.
//!
//! Rumors and members are stored in the encoding of the wire. Nothing here decides what is stored, or when.

pub(crate) mod history;
pub(crate) mod service;
pub(crate) mod snapshot;
pub(crate) mod vote;
