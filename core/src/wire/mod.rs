//! Bytes on the wire: Habitat's protobuf messages with our additions from field 100.
//!
//! [`Message`] is for traces; [`proto`] holds the hand-written message structs but those of rumors, [`swim`] the datagrams, [`stream`] the
//! framed messages, `rumor` one file for each kind of rumor with its message, [`convert`] what several messages have in common.
//! Decoders reject; they never panic and never believe a length.

pub(crate) mod ballot;
pub(crate) mod convert;
mod member;
mod message;
pub(crate) mod proto;
mod rumor;
pub(crate) mod stream;
pub(crate) mod swim;
#[cfg(test)]
mod tests;

pub(crate) use member::Short;
pub(crate) use rumor::RumorMessage;

pub use message::Message;
