//! The messages of Annulus alone about the keys of a ring. Only messages: `ring_keys` answers them.

use prost::Message;

use super::message::CtlMessage;

macro_rules! named {
    ($($name:ident),+ $(,)?) => { $(impl CtlMessage for $name { const ID: &'static str = stringify!($name); })+ };
}

named!(RingKeyQuery, RingKeyStatus, RingKeyUse);

/// Asks for the keys of the ring: one [`RingKeyStatus`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RingKeyQuery {}

/// Speaks with another key of the ring: one [`RingKeyStatus`] as it is then.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingKeyUse {
    /// The ring's name.
    #[prost(string, tag = "1")]
    pub ring: String,
    /// The revision of the key; absent: the newest on the supervisor's host.
    #[prost(string, optional, tag = "2")]
    pub revision: Option<String>,
    /// At once, whatever members cannot open it.
    #[prost(bool, tag = "3")]
    pub force: bool,
    /// How long older keys open afterwards, in milliseconds.
    #[prost(uint64, tag = "4")]
    pub grace_ms: u64,
}

/// The keys of a ring as one supervisor sees them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingKeyStatus {
    /// The ring's name.
    #[prost(string, tag = "1")]
    pub ring: String,
    /// The member that answers.
    #[prost(string, tag = "2")]
    pub answered_by: String,
    /// The keys, oldest first.
    #[prost(message, repeated, tag = "3")]
    pub keys: Vec<RingKeyLine>,
    /// The members that are not departed.
    #[prost(message, repeated, tag = "4")]
    pub members: Vec<RingKeyMember>,
    /// Whether the answering member hears the clear too.
    #[prost(bool, tag = "5")]
    pub hears_clear: bool,
    /// How many messages in the clear it has heard.
    #[prost(uint64, tag = "6")]
    pub heard_in_the_clear: u64,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingKeyLine {
    /// Its revision.
    #[prost(string, tag = "1")]
    pub revision: String,
    /// Its fingerprint, 32 hex digits.
    #[prost(string, tag = "2")]
    pub fingerprint: String,
    /// new, offered, current or retired.
    #[prost(string, tag = "3")]
    pub state: String,
    /// Since when it is offered or current, in milliseconds since the epoch; absent where the ring was not told.
    #[prost(uint64, optional, tag = "4")]
    pub since_ms: Option<u64>,
    /// Until when the answering member opens it; absent where that has no end.
    #[prost(uint64, optional, tag = "5")]
    pub until_ms: Option<u64>,
    /// The member that said so.
    #[prost(string, optional, tag = "6")]
    pub by: Option<String>,
    /// The members that can open it.
    #[prost(string, repeated, tag = "7")]
    pub opened_by: Vec<String>,
    /// The members that cannot.
    #[prost(string, repeated, tag = "8")]
    pub lacked_by: Vec<String>,
    /// How long older keys open once this one is current, in milliseconds; absent where the ring was not told.
    #[prost(uint64, optional, tag = "9")]
    pub grace_ms: Option<u64>,
}

/// One member.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingKeyMember {
    /// Its id, 32 hex digits.
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// The name of its host; empty while it has not told it.
    #[prost(string, tag = "2")]
    pub host: String,
    /// Its address.
    #[prost(string, tag = "3")]
    pub address: String,
    /// Alive, Suspect or Confirmed.
    #[prost(string, tag = "4")]
    pub state: String,
    /// The revision that it speaks with; absent where it has not said.
    #[prost(string, optional, tag = "5")]
    pub speaks: Option<String>,
}
