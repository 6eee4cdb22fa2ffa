//! What a member says of itself, signed: that it wants to be probed for ever, which address it advertises, that it leaves.
//! Its record, which any member may tell of it, is not signed, so none of these is believed of a record.
//!
//! A member that has none of it to say says nothing: that it runs, and where, others find out by asking it.

use core::net::IpAddr;

use crate::model::id::{Incarnation, MemberId};
use crate::model::rumor::authority::Authority;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};

/// A member's statement about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatement {
    /// Which member.
    pub member_id: MemberId,
    /// In which incarnation it was made. Of two statements the one of the higher incarnation is newer.
    pub incarnation: Incarnation,
    /// Whether it asks to be probed for ever.
    pub permanent: bool,
    /// Which address it advertises; none where others find it by themselves.
    pub address: Option<IpAddr>,
    /// The UDP port that it listens on.
    pub swim_port: u16,
    /// The TCP port that it listens on.
    pub gossip_port: u16,
    /// Whether it leaves the ring with this incarnation.
    pub leaves: bool,
}

impl MemberStatement {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "statement",
        key: &[Part::Member],
        noun: "statement",
        news: "speaks of itself",
        is_owned: false,
        is_versioned: false,
        is_fact: false,
        room: Room::SHARED,
    };

    /// Joins two statements of one member: the higher incarnation; of equal ones a farewell, then the greater content.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.member_id, other.member_id, "only statements of one member can be joined");
        let rank = |s: &Self| (s.incarnation, s.leaves, s.permanent, s.address, s.swim_port, s.gossip_port);
        let newer = rank(other) > rank(self);
        if newer {
            self.clone_from(other);
        }
        newer
    }

    pub(super) const fn authority(&self) -> Authority<'_> {
        Authority::Itself(self)
    }
}
