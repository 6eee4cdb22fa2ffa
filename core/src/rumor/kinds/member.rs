//! A member's record, and who accuses it while it is suspect.

use crate::error::DecodeError;
use crate::id::MemberId;
use crate::membership::{Accusers, MemberRecord, State};
use crate::wire::Short;
use crate::wire::proto;
use crate::wire::swim::{health_from_wire, health_to_wire, member_from_wire, member_to_wire};

/// What is told about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRumor {
    /// The statement.
    pub record: MemberRecord,
    /// While it says `Suspect`: who says so of its own knowledge.
    pub accusers: Accusers,
}

impl MemberRumor {
    /// A statement without accusers.
    #[must_use]
    pub fn new(record: MemberRecord) -> Self {
        Self { record, accusers: Accusers::default() }
    }

    /// Joins two statements about one member: the prevailing one, and the accusers of both when they are
    /// the same suspicion. True when this one changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert_eq!(self.record.id, other.record.id, "only statements about one member can be joined");
        if other.record.prevails_over(&self.record) {
            let same_suspicion = other.record.state == State::Suspect
                && self.record.state == State::Suspect
                && other.record.incarnation == self.record.incarnation;
            let accusers = self.accusers;
            *self = *other;
            if same_suspicion {
                self.accusers.merge(&accusers);
            }
            return true;
        }
        self.record.state == State::Suspect
            && other.record.state == State::Suspect
            && other.record.incarnation == self.record.incarnation
            && self.accusers.merge(&other.accusers)
    }

    pub(crate) fn to_wire(self) -> proto::Membership {
        let mut membership =
            proto::Membership::new(member_to_wire(&self.record), health_to_wire(self.record.state));
        for id in self.accusers.iter() {
            membership.accuse(Short::new(id.as_bytes()));
        }
        membership
    }

    pub(crate) fn from_wire(m: Option<&proto::Membership>) -> Result<Self, DecodeError> {
        let m = m.ok_or(DecodeError::Missing("membership"))?;
        let mut record = member_from_wire(m.member.as_ref())?;
        record.state = record.state.max(health_from_wire(m.health));
        let mut accusers = Accusers::default();
        if record.state == State::Suspect {
            let invalid = DecodeError::Invalid("accusers");
            for id in m.accusers().ok_or(invalid)? {
                let bytes: [u8; 16] = id.as_slice().try_into().map_err(|_| invalid)?;
                accusers.add(MemberId::from_bytes(bytes));
            }
        }
        Ok(Self { record, accusers })
    }
}
