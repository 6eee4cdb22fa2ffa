//! The numbers of hosts and packets.

/// A simulated host, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

/// Numbers the packets of a world: a datagram keeps its number when it is delivered twice, and a stream
/// message however often its segments are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketId(pub u64);
