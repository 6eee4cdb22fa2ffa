//! The authority that a rumor stands on: its member, the ring, an operator or voters. The authority, and not the kind,
//! decides how a member takes a rumor in and which members have to agree on it.

use crate::model::id::MemberId;
use crate::model::rumor::{Departure, ElectionRumor, MemberRumor, MemberStatement, Opaque, RingKey, Version};

/// On whose word a rumor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority<'a> {
    /// Members about each other, by the rules of SWIM; membership keeps it.
    Members(&'a MemberRumor),
    /// One member about itself: no other member changes it.
    Itself(&'a MemberStatement),
    /// One member about its own service: no other member changes it, and without its owner it is worth nothing.
    Owner(&'a MemberId),
    /// Operators, who replace it as a whole by a higher version.
    Operator(&'a Version),
    /// An operator who banned this member, or lifted the ban.
    Ban(&'a Departure),
    /// The voters of a group.
    Voters(&'a ElectionRumor),
    /// A member that says which key the ring is to speak with.
    Key(&'a RingKey),
    /// Nobody's that this version knows of: it is kept and told, and nothing else.
    Unknown(&'a Opaque),
}
