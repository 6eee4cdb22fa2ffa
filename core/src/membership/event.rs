//! The events of membership for the node, and its verdict on a rumor about a member.

use core::net::SocketAddr;

use crate::model::context::Follows;
use crate::model::id::{Incarnation, MemberId, ProbeSeq};
use crate::model::member::MemberRecord;
use crate::wire::swim::Body;

/// A request to the node, or news that it carries to another component.
#[derive(Debug)]
pub(crate) enum MembershipEvent {
    /// Send a datagram from this member. With `accuse` the receiver's record, as this member holds it, goes in front of
    /// the rumors.
    Send { to: SocketAddr, body: Body, accuse: Option<MemberRecord> },
    /// Pass on another member's ack.
    Forward { to: SocketAddr, from: MemberRecord, body: Body },
    /// Ask whether a member is at this address, of which no answer has come yet.
    Ask { to: SocketAddr, seq: ProbeSeq },
    /// Answer a stranger in at most so many bytes; with `accuse` its record, where that fits.
    Answer { to: SocketAddr, body: Body, accuse: Option<MemberRecord>, bytes_max: usize },
    /// Probe over a stream.
    StreamPing { to: SocketAddr, seq: ProbeSeq },
    /// Try to join through the members at these addresses.
    Join { swim: SocketAddr, gossip: SocketAddr, seq: ProbeSeq },
    /// The record of this member changed: tell the ring.
    Changed { id: MemberId, urgency: Urgency, after: Follows },
    /// A member that was believed dead spoke to this one: exchange digests with it.
    Healed { id: MemberId },
    /// This member must use a higher incarnation, once it is on disk.
    Raise { incarnation: Incarnation },
    /// A member that was known by hearsay has answered.
    Met { id: MemberId },
    /// Hearsay of a member that never answered was forgotten.
    Unmet { id: MemberId },
    /// A member was forgotten.
    Forgotten { id: MemberId, after: Follows },
}

/// How fast a change has to spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A refutation.
    Refutation,
    /// A suspicion, its confirmation, a death.
    Death,
    /// A member that came or left.
    Life,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// A member.
    Member,
    /// A member of which this one has hearsay at most: it is asked who it is, and told nothing.
    Stranger,
    /// A banned member, which is not heard.
    Banned,
}

/// The verdict on a rumor about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The rumor changed the table.
    New,
    /// The rumor says nothing new.
    Known,
    /// The record in the table prevails; the sender lags behind.
    Stale,
}
