//! On whose word a rumor stands. That, and not its kind, decides how a member takes it in and who has to agree on it.

use crate::model::id::MemberId;
use crate::model::rumor::{ElectionRumor, MemberRumor, Version};

/// On whose word a rumor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority<'a> {
    /// Members about each other, by the rules of SWIM; membership keeps it.
    Members(&'a MemberRumor),
    /// One member about something of its own: no other member changes it, and without its owner it is worth nothing.
    Owner(&'a MemberId),
    /// Operators, who replace it as a whole by a higher version.
    Operator(&'a Version),
    /// An operator who banned this member, once and for all.
    Ban(&'a MemberId),
    /// The voters of a group.
    Voters(&'a ElectionRumor),
}
