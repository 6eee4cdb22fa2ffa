//! The outcome of an election and its steps, as the service, the census, logs and traces get them. How votes are
//! counted stands in `election`.

use alloc::string::String;
use core::fmt;

use crate::model::id::{MemberId, ServiceGroup};
use crate::model::time::Instant;

/// The purpose that a group elects a member for. Each purpose is an election of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElectionPurpose {
    /// To lead the group's services (topology leader).
    Leader,
    /// To carry out the group's updates.
    Update,
}

impl ElectionPurpose {
    /// Every purpose, in order.
    pub const ALL: [Self; 2] = [Self::Leader, Self::Update];

    /// The word for it, as in rows and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Update => "update",
        }
    }
}

/// One of a group's elections. Terms, votes, electorates and leases belong to one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElectionId {
    /// Which group.
    pub group: ServiceGroup,
    /// The purpose of the election.
    pub purpose: ElectionPurpose,
}

impl ElectionId {
    /// The election of the group's leader.
    #[must_use]
    pub const fn leader(group: ServiceGroup) -> Self {
        Self { group, purpose: ElectionPurpose::Leader }
    }
}

/// The group; with its purpose where that is another one than to lead it.
impl fmt::Display for ElectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.purpose {
            ElectionPurpose::Leader => write!(f, "{}", self.group),
            ElectionPurpose::Update => write!(f, "the update of {}", self.group),
        }
    }
}

/// The role that an election gives to a member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// No member leads yet.
    Waiting {
        /// What is missing, for people.
        why: String,
    },
    /// This member leads.
    Leader {
        /// The election's term.
        term: u64,
        /// Until then it may act as the leader; renewed while the group can be reached.
        until: Instant,
    },
    /// Another member leads.
    Follower {
        /// The election's term.
        term: u64,
        /// Who leads.
        leader: MemberId,
    },
}

/// How well a member's service would do as its group's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitness {
    /// The answer of the suitability hook; the member with the highest leads. 0 without a hook.
    pub suitability: u64,
    /// Whether it can lead at all.
    pub readiness: Readiness,
}

impl Fitness {
    /// Whether it may stand for election.
    #[must_use]
    pub const fn is_fit(self) -> bool {
        matches!(self.readiness, Readiness::Fit)
    }
}

/// Whether a member's service can lead its group. Only one that is `Fit` stands for election; the others say what a
/// leader does that has come into this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Wanted up, not draining, not in maintenance, not critical.
    Fit,
    /// The supervisor was started again and does not know yet: a leader leads on.
    Unknown,
    /// The supervisor replaces its process (configuration, promotion, a file): a leader keeps the lead meanwhile.
    Restarting {
        /// The lead is kept until then; none while processes of the old tree are left.
        until: Option<Instant>,
    },
    /// A healthy leader is stopped or drained in order: it renews until then and no longer, and hands over when its tree
    /// is empty.
    Stopping {
        /// Announcing, draining and shutting down have to be over by then.
        until: Instant,
    },
    /// Down, ill, crashed or in maintenance: a leader hands over.
    Unfit,
}

/// An election as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionView {
    /// Which election.
    pub election: ElectionId,
    /// Its current term.
    pub term: u64,
    /// The winner, once the election is over.
    pub leader: Option<MemberId>,
    /// How far it has come.
    pub status: ElectionStatus,
    /// Only at the acting leader itself: until when it may act.
    pub acting_until: Option<Instant>,
}

/// How far an election has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElectionStatus {
    /// There has been none.
    None,
    /// Members are missing before one can begin.
    Waiting {
        /// How many.
        missing: usize,
    },
    /// Too few members can be reached to elect a leader.
    NoQuorum,
    /// Votes are being collected.
    Running,
    /// It has a result.
    Finished,
}

/// A step of an election, at one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionEvent {
    /// It found its group without a leader and asks whether it would be voted for.
    Started,
    /// It voted: for no other candidate in this term, and for none at all until its promise runs out.
    Voted {
        /// The candidate.
        candidate: MemberId,
    },
    /// It won and leads.
    Won {
        /// Votes that it counted, its own included.
        votes: u32,
        /// Members that could have voted.
        voters: u32,
    },
    /// It leads on after a restart of its supervisor: its service went on, and its lease had not ended.
    Resumed,
    /// It learned that another member leads.
    Learned {
        /// Who.
        leader: MemberId,
    },
    /// It leads no longer, and has no successor.
    Lost {
        /// Why.
        why: LeaseEnd,
    },
    /// It stopped leading in order.
    HandedOver {
        /// The successor that it named; none when no other member could lead.
        to: Option<MemberId>,
    },
    /// It leads and changed whose votes count.
    ElectorateChanged {
        /// Counts the changes.
        version: u64,
        /// How many members vote by now.
        voters: u32,
    },
}

/// Why a leader's lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Too few voters renewed it in time.
    NoQuorum,
    /// Another member leads in a later term.
    Outdone,
}

impl LeaseEnd {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::NoQuorum, Self::Outdone];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoQuorum => "no_quorum",
            Self::Outdone => "outdone",
        }
    }
}
