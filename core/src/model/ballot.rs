//! An election's messages, votes and electorates as plain data, which the elections and the wire both name. Votes are
//! counted and granted in `election` only.

use alloc::vec::Vec;

use crate::model::election::ElectionId;
use crate::model::id::MemberId;
use crate::model::limits::{ELECTION_TERM_MAX, ELECTORATE_MAX, ELECTORATE_VERSION_MAX};

/// The members whose votes count, as a leader put them down, in order of id, and the version of that list.
///
/// Version 0 is no list: the group's electorate is still to be founded.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Electorate {
    /// The term of the leader that put it down.
    pub(crate) term: u64,
    /// Counts the lists.
    pub(crate) version: u64,
    /// The voters, in order of id, at most `ELECTORATE_MAX`.
    pub(crate) members: Vec<MemberId>,
}

impl Electorate {
    /// Whether there is one.
    pub(crate) const fn is_founded(&self) -> bool {
        self.version > 0
    }

    /// A stamp that tells two versions apart without listing the members.
    pub(crate) const fn stamp(&self) -> (u64, u64) {
        (self.term, self.version)
    }

    /// The number of the list that follows this one. At the highest it stays: a list of a later term prevails all the same.
    pub(crate) const fn next_version(&self) -> u64 {
        if self.version >= ELECTORATE_VERSION_MAX { ELECTORATE_VERSION_MAX } else { self.version + 1 }
    }

    /// Whether its numbers can be followed by higher ones.
    pub(crate) const fn is_believable(&self) -> bool {
        self.term <= ELECTION_TERM_MAX && self.version <= ELECTORATE_VERSION_MAX
    }

    /// A list that no leader has put down: the members of which a candidate would found an electorate.
    pub(crate) fn proposal(members: impl IntoIterator<Item = MemberId>) -> Self {
        let mut members: Vec<MemberId> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        members.truncate(ELECTORATE_MAX);
        assert!(
            members.is_sorted() && members.len() <= ELECTORATE_MAX,
            "voters stand in order, within the limit"
        );
        Self { term: 0, version: 0, members }
    }

    pub(crate) fn contains(&self, member: &MemberId) -> bool {
        self.members.binary_search(member).is_ok()
    }
}

/// One datagram of an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Which election.
    pub(crate) election: ElectionId,
    /// The term of the request; in answers, the highest term that the voter knows.
    pub(crate) term: u64,
    /// Numbers the sender's requests; an answer repeats it.
    pub(crate) round: u64,
    /// The request or the answer.
    pub(crate) body: Body,
}

/// The content of a message of a candidate, a leader or a voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// "Would you vote for me?" An answer does not bind the voter.
    Ask { suitability: u64, electorate: Electorate },
    /// "Vote for me, and for no other candidate for this long."
    Vote { lease_ms: u64, electorate: Electorate },
    /// "I lead; vote for no other candidate for this long."
    Renew { lease_ms: u64, electorate: Electorate },
    /// The answer to each of these requests.
    Answer { to: Step, verdict: Verdict, voter: Voter },
    /// "I lead no longer; my renewals bind you no more."
    Release { successor: Option<MemberId> },
}

impl Body {
    /// The list of voters that it carries.
    pub(crate) const fn electorate(&self) -> Option<&Electorate> {
        match self {
            Self::Ask { electorate, .. } | Self::Vote { electorate, .. } | Self::Renew { electorate, .. } => {
                Some(electorate)
            }
            Self::Answer { verdict: Verdict::Outdated { electorate }, .. } => Some(electorate),
            Self::Answer { .. } | Self::Release { .. } => None,
        }
    }
}

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Ask,
    Vote,
    Renew,
}

/// A voter's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Granted.
    Yes,
    /// Bound to a leader, or just restarted: try again after this, in milliseconds.
    Wait { left_ms: u64 },
    /// A better candidate asks.
    Better { candidate: MemberId },
    /// The voter knows a higher term, or has given its vote in this one.
    Stale,
    /// The voter knows a later electorate: this one.
    Outdated { electorate: Electorate },
    /// The voter knows of no electorate, and misses these members in the proposal.
    Missing { members: Vec<MemberId> },
}

/// A voter's statement about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voter {
    /// Whether it runs a service of the group.
    pub(crate) is_member: bool,
    /// Whether its service could lead.
    pub(crate) fit: bool,
    /// How well its service would lead.
    pub(crate) suitability: u64,
    /// The electorate that it knows, by term and version.
    pub(crate) electorate: (u64, u64),
}
