//! Encodes and decodes messages: Habitat's protobuf with our additions from field 100. Decoders reject bad bytes; they
//! may neither panic nor believe a length.
//!
//! [`Message`] is for traces; [`proto`] holds the hand-written message structs but those of rumors, [`swim`] the
//! datagrams, [`stream`] the framed messages, `rumor` one file for each kind of rumor with its message, [`convert`] the
//! fields that several messages share, `challenge` the questions and answers that both channels have. `envelope` wraps each message, `fields` reads messages field by field.
//!
//! A ring holds members of several versions, so one part that cannot be read never costs the rest:
//!
//! | unknown or unreadable part | consequence |
//! |---|---|
//! | envelope, or the sender | the message is refused and counted |
//! | a sealed message | refused by a name of its own, its payload unread |
//! | the kind or content of a body | the sender is heard, and so are its rumors |
//! | the `forward_to` of a ping | answered as if there were none |
//! | a rumor, a member's record, an accuser | left out; the others stand |
//! | a field | passed over |
//!
//! A later version has duties in turn: a body of a new kind has its sender in field 1, and a request that must be
//! answered is sent in a kind that the other side knows.

pub(crate) mod ballot;
pub(crate) mod challenge;
pub(crate) mod convert;
mod envelope;
pub(crate) mod fields;
mod member;
mod message;
pub(crate) mod proto;
mod receiver;
mod rumor;
pub(crate) mod stream;
pub(crate) mod swim;
#[cfg(test)]
mod tests;

pub use envelope::Envelope;
pub use message::{BallotStep, Message};
pub(crate) use receiver::{RECEIVER_BYTES_MAX, name_of, with_receiver};
#[cfg(test)]
pub(crate) use rumor::VOUCH_LEN;
pub(crate) use rumor::{said, told_bytes, version_hash, vouch_of};
