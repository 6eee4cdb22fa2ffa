//! How a new host comes into a ring with a key: a member gives out an invitation, one line, and the new host gets the key of the
//! ring from that member by it, once. Decides nothing about the ring: what a host does with the key is a member's own matter.
//!
//! `line` is the text that is carried from host to host, `handshake` what is said on the connection, `register` what the
//! inviting supervisor keeps on disk, `guesses` how often a stranger is looked at, `host` the inviting end and `join` the new
//! host's. The connection goes to the gossip port, which every member of the ring reaches.

mod guesses;
pub mod handshake;
mod host;
pub mod join;
pub mod line;
pub mod register;

pub use host::{Host, Invitations, Outcome, serve};
