//! What membership tells the node, and what it says to what it was told.

use core::net::SocketAddr;

use crate::model::context::Follows;
use crate::model::id::{Incarnation, MemberId, ProbeSeq};
use crate::model::member::MemberRecord;
use crate::wire::swim::Body;

/// What the node is to do, or to carry to another component.
#[derive(Debug)]
pub(crate) enum MembershipEvent {
    /// Send a datagram from this member. `accuse`: what the receiver is held to be goes in front of the rumors.
    Send { to: SocketAddr, body: Body, accuse: Option<MemberRecord> },
    /// Pass on another member's ack.
    Forward { to: SocketAddr, from: MemberRecord, body: Body },
    /// Probe over a stream.
    StreamPing { to: SocketAddr, seq: ProbeSeq },
    /// Try to join through somebody at these addresses.
    Join { swim: SocketAddr, gossip: SocketAddr },
    /// What is held of this member changed: tell it.
    Changed { id: MemberId, urgency: Urgency, after: Follows },
    /// A member that was believed dead spoke to this one: compare notes with it.
    Healed { id: MemberId },
    /// A banned member spoke: tell it that it is banned.
    TellBan { id: MemberId, to: SocketAddr },
    /// This member must use a higher incarnation, once it is on disk.
    Raise { incarnation: Incarnation },
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

/// What a rumor about a member was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It changed what is held.
    New,
    /// Nothing new.
    Known,
    /// What is held prevails; the teller lags behind.
    Stale,
}
