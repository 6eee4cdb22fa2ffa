//! Bytes on the wire: Habitat's protobuf messages with our additions from field 100.
//!
//! [`Message`] is for traces; [`proto`] holds the hand-written message structs but those of rumors, [`swim`] the
//! datagrams, [`stream`] the framed messages, `rumor` one file for each kind of rumor with its message, [`convert`] what
//! several messages have in common. `envelope` is what each is wrapped in, `fields` reads them field by field. Decoders
//! reject; they never panic and never believe a length.
//!
//! A ring holds members of several versions, so one part that cannot be read never costs the rest:
//!
//! | what is unknown or unreadable | what becomes of it |
//! |---|---|
//! | envelope, or the sender | the message is refused and counted |
//! | a sealed message | refused by a name of its own, its payload unread |
//! | the kind or content of a body | the sender is heard, and what it tells besides |
//! | the `forward_to` of a ping | answered as if there were none |
//! | a rumor, a member's record, an accuser | left out; the others stand |
//! | a field | passed over |
//!
//! What a later version owes in turn: a body of a new kind has its sender in field 1, and what must be answered is asked
//! in a kind that the other side knows.

pub(crate) mod ballot;
pub(crate) mod convert;
mod envelope;
mod fields;
mod member;
mod message;
pub(crate) mod proto;
mod rumor;
pub(crate) mod stream;
pub(crate) mod swim;
#[cfg(test)]
mod tests;

pub(crate) use rumor::RumorMessage;

pub use message::Message;
