//! What a service may know of the ring: the input of its templates, and what elections and services tell each other.

use alloc::string::String;
use alloc::vec::Vec;

use crate::census::Census;
use crate::digest;
use crate::id::{MemberId, ServiceGroup};
use crate::time::Instant;

/// What a service's templates may know, as it was when the effect that carries it was made.
///
/// The census holds the service's own group and the groups it is bound to, and no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// This member.
    pub me: MemberId,
    /// The own group and the bound ones.
    pub census: Census,
    /// In a group with a leader: who leads; none in every other group.
    pub role: Option<Role>,
    /// The group's configuration, where somebody applied one.
    pub config: Option<GroupConfig>,
    /// The group's files, in order of name.
    pub files: Vec<GroupFile>,
    /// Whether the service takes new work: false while it drains, is in maintenance or is being stopped.
    pub accepting: bool,
    /// Why it is in maintenance; none when it is not.
    pub maintenance: Option<String>,
}

impl Facts {
    /// What a member knows that knows of no group: a service alone in the ring.
    #[must_use]
    pub fn alone(me: MemberId) -> Self {
        Self {
            me,
            census: Census { local: me, groups: alloc::collections::BTreeMap::new() },
            role: None,
            config: None,
            files: Vec::new(),
            accepting: true,
            maintenance: None,
        }
    }
}

/// A number that is the same where the same was given to a group by its operators; 0 when nothing was.
pub(crate) fn versions_digest(config: Option<&GroupConfig>, files: &[GroupFile]) -> u64 {
    let mut digest = 0;
    let mut take = |name: &[u8], incarnation: u64, body: &[u8]| {
        let one = digest::hash_bytes(name) ^ digest::mix(incarnation ^ digest::mix(digest::hash_bytes(body)));
        digest = digest::mix(digest ^ one);
    };
    if let Some(config) = config {
        take(b"", config.incarnation, &config.toml);
    }
    for file in files {
        take(file.name.as_bytes(), file.incarnation, &file.body);
    }
    digest
}

/// A group's configuration, the uppermost layer of its services' configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupConfig {
    /// The version that the operator gave it.
    pub incarnation: u64,
    /// TOML text.
    pub toml: Vec<u8>,
}

/// A file that every service of a group gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupFile {
    /// Its name, without a path.
    pub name: String,
    /// The version that the operator gave it.
    pub incarnation: u64,
    /// Its content.
    pub body: Vec<u8>,
}

/// What the election says to a member of a group with a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nobody leads yet.
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
    /// What the suitability hook said; the higher, the rather it leads. 0 without a hook.
    pub suitability: u64,
    /// Whether it can lead at all: wanted up, not draining, not in maintenance, not critical.
    pub fit: bool,
}

/// A group's election as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionView {
    /// Which group.
    pub group: ServiceGroup,
    /// Its current term.
    pub term: u64,
    /// Who leads, once the election is over.
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
    /// Too few members can be reached for anybody to lead.
    NoQuorum,
    /// Votes are being collected.
    Running,
    /// It has a result.
    Finished,
}

/// What happened in an election, at one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionEvent {
    /// It found its group without a leader and asks whether it would be voted for.
    Started,
    /// It voted: for nobody else in this term, and for nobody at all until its promise runs out.
    Voted {
        /// For whom.
        candidate: MemberId,
    },
    /// It won and leads.
    Won {
        /// Votes that it counted, its own included.
        votes: u32,
        /// Members that could have voted.
        voters: u32,
    },
    /// It learned who leads.
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
        /// The successor that it named; none when nobody else could lead.
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
