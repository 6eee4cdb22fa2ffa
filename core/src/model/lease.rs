//! What holds a leader's process: until when it may act, and the right to go on leading when its supervisor is
//! started again. A service's guard keeps both in memory. Who leads is decided by the election.

use crate::model::id::{MemberId, ServiceGroup};
use crate::model::time::Instant;

/// The time for which a process may act as the leader of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The service's guard kills all its processes at this time, unless another lease comes before.
    pub kill_at: Instant,
    /// The right to resume; none when the member has withdrawn it, which it does before it resigns, frees its voters or
    /// promises anything to another candidate.
    pub resume: Option<Resume>,
}

/// The right to go on leading after a restart of the supervisor alone. It is never on disk: a disk that was restored or
/// copied must not make a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The member that leads.
    pub member: MemberId,
    /// The group that it leads.
    pub group: ServiceGroup,
    /// The term that it won.
    pub term: u64,
    /// When its lease ends. The runtime keeps it as time since the host's boot.
    pub until: Instant,
}
