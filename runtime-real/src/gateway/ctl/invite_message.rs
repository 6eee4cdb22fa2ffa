//! The messages of Annulus alone about invitations to a ring. Only messages: `invite` answers them. No secret is in any of them: the
//! command makes it, and the supervisor gets its hash.

use prost::Message;

use super::message::CtlMessage;

macro_rules! named {
    ($($name:ident),+ $(,)?) => { $(impl CtlMessage for $name { const ID: &'static str = stringify!($name); })+ };
}

named!(RingInvite, RingInvited, RingInvitesQuery, RingInvites, RingInviteRevoke, RingInvitesRevoked);

/// Makes an invitation: one [`RingInvited`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingInvite {
    /// The hash of its secret, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub verifier: Vec<u8>,
    /// For how long it counts, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub for_ms: u64,
    /// Where the supervisor is reached, as its operator says; none: as it knows itself.
    #[prost(message, repeated, tag = "3")]
    pub addresses: Vec<InviteAddress>,
}

/// Where a supervisor is reached.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct InviteAddress {
    /// Name or address.
    #[prost(string, tag = "1")]
    pub host: String,
    /// The port; absent: that of its gossip.
    #[prost(uint32, optional, tag = "2")]
    pub port: Option<u32>,
}

/// What is told by the line of an invitation, beside the secret.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingInvited {
    /// The ring's name.
    #[prost(string, tag = "1")]
    pub ring: String,
    /// The member that invites, 32 hex digits.
    #[prost(string, tag = "2")]
    pub member_id: String,
    /// Where it is reached, with ports.
    #[prost(message, repeated, tag = "3")]
    pub addresses: Vec<InviteAddress>,
    /// Whether it only takes that for its address, because its host reaches others from there.
    #[prost(bool, tag = "4")]
    pub is_supposed: bool,
    /// By what the invitation is called.
    #[prost(string, tag = "5")]
    pub id: String,
    /// Until when it counts, in milliseconds since the epoch.
    #[prost(uint64, tag = "6")]
    pub until_ms: u64,
}

/// Asks for the invitations: one [`RingInvites`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RingInvitesQuery {}

/// The invitations of a supervisor, and those that ended in the last day.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingInvites {
    /// The ring's name.
    #[prost(string, tag = "1")]
    pub ring: String,
    /// The oldest first.
    #[prost(message, repeated, tag = "2")]
    pub invitations: Vec<InviteLine>,
}

/// One invitation.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct InviteLine {
    /// By what it is called.
    #[prost(string, tag = "1")]
    pub id: String,
    /// open, answered, used, expired or revoked.
    #[prost(string, tag = "2")]
    pub state: String,
    /// When it was made, in milliseconds since the epoch.
    #[prost(uint64, tag = "3")]
    pub made_ms: u64,
    /// Until when it counts.
    #[prost(uint64, tag = "4")]
    pub until_ms: u64,
    /// The member that used it.
    #[prost(string, optional, tag = "5")]
    pub used_by: Option<String>,
    /// When.
    #[prost(uint64, optional, tag = "6")]
    pub used_ms: Option<u64>,
}

/// Takes invitations back: one [`RingInvitesRevoked`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingInviteRevoke {
    /// Which one; absent: every one.
    #[prost(string, optional, tag = "1")]
    pub id: Option<String>,
}

/// Those that were taken back.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RingInvitesRevoked {
    /// What they were called.
    #[prost(string, repeated, tag = "1")]
    pub ids: Vec<String>,
}
