//! What templates were given. Plain data, which records, files, hooks and checkers share.

use std::collections::BTreeMap;

use annulus_core::{ElectionPurpose, Facts, MemberId, Role, ServiceGroup};

/// What the templates of a service were given when its files were written: what its processes and hooks can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// The group.
    pub group: ServiceGroup,
    /// This member's part in a group with a leader; none in every other group.
    pub role: Option<Role>,
    /// The leader by the census.
    pub leader: Option<MemberId>,
    /// The version of the group's configuration; 0 when there is none.
    pub config: u64,
    /// The group's files that were written, with their versions.
    pub files: BTreeMap<String, u64>,
}

impl Rendering {
    pub(crate) fn of(group: ServiceGroup, facts: &Facts) -> Self {
        let leader =
            facts.census.group(&group).and_then(|group| group.election(ElectionPurpose::Leader).leader);
        let config = facts.config.as_ref().map_or(0, |config| config.incarnation);
        let files = facts.files.iter().map(|file| (file.name.clone(), file.incarnation)).collect();
        Self { group, role: facts.role.clone(), leader, config, files }
    }

    /// The term in which this member leads, by these files.
    #[must_use]
    pub const fn leads(&self) -> Option<u64> {
        match &self.role {
            Some(Role::Leader { term, .. }) => Some(*term),
            Some(Role::Waiting { .. } | Role::Follower { .. }) | None => None,
        }
    }

    /// The term of the member's part.
    #[must_use]
    pub const fn term(&self) -> Option<u64> {
        match &self.role {
            Some(Role::Leader { term, .. } | Role::Follower { term, .. }) => Some(*term),
            Some(Role::Waiting { .. }) | None => None,
        }
    }

    /// The word for the member's part; none in a group without a leader.
    #[must_use]
    pub const fn part(&self) -> Option<&'static str> {
        match &self.role {
            Some(Role::Leader { .. }) => Some("leader"),
            Some(Role::Follower { .. }) => Some("follower"),
            Some(Role::Waiting { .. }) => Some("waiting"),
            None => None,
        }
    }

    /// Whether a file that shows the member's part reads the same. No file shows the end of a lease.
    #[must_use]
    pub fn shows_the_part_of(&self, other: &Self) -> bool {
        match (&self.role, &other.role) {
            (Some(Role::Leader { term, .. }), Some(Role::Leader { term: other, .. })) => term == other,
            (one, other) => one == other,
        }
    }
}
