//! One member as others see it, and the order in which statements about it prevail.

use core::cmp::Ordering;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::model::id::{Incarnation, MemberId};
use crate::model::mutant::mutated;

/// The address while no member knows it.
pub(crate) const UNSPECIFIED: IpAddr = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);

/// A member's state in another's view. Later ones prevail at equal incarnation (as in Habitat).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It answers.
    Alive,
    /// It did not answer another member; it may still refute.
    Suspect,
    /// It did not answer for as long as a suspicion lasts: dead, until it says otherwise.
    Confirmed,
    /// It left, or has been dead too long, or was banned.
    Departed,
}

impl State {
    /// Every state, in order of precedence.
    pub const ALL: [Self; 4] = [Self::Alive, Self::Suspect, Self::Confirmed, Self::Departed];

    /// The word that Habitat's interfaces use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alive => "Alive",
            Self::Suspect => "Suspect",
            Self::Confirmed => "Confirmed",
            Self::Departed => "Departed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A statement about a member: its id, its address, its incarnation and its state.
///
/// 48 bytes, because a node keeps one for each member and a simulator keeps a node for each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its id.
    pub id: MemberId,
    /// In which incarnation.
    pub incarnation: Incarnation,
    /// Its address; the unspecified one while no member knows it.
    pub address: IpAddr,
    /// UDP port.
    pub swim_port: u16,
    /// TCP port.
    pub gossip_port: u16,
    /// In which state.
    pub state: State,
    /// Whether it asked to be probed for ever.
    pub permanent: bool,
}

const _: () = assert!(size_of::<MemberRecord>() == 48);

impl MemberRecord {
    /// Where its SWIM datagrams go.
    #[must_use]
    pub const fn swim_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.swim_port)
    }

    /// Where its stream messages go.
    #[must_use]
    pub const fn gossip_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.gossip_port)
    }

    /// Whether this statement prevails over `other` about the same member: higher incarnation, then worse
    /// state (as in Habitat), then, so that two nodes can never disagree for ever, the greater content.
    #[must_use]
    pub fn prevails_over(&self, other: &Self) -> bool {
        assert!(self.id == other.id, "statements about one member are compared");
        self.precedence(other) == Ordering::Greater
    }

    fn precedence(&self, other: &Self) -> Ordering {
        self.incarnation
            .cmp(&other.incarnation)
            .then(mutated!(
                AddressDecidesFirst,
                self.state.cmp(&other.state),
                self.address.cmp(&other.address)
            ))
            .then(self.permanent.cmp(&other.permanent))
            .then(self.address.cmp(&other.address))
            .then(self.swim_port.cmp(&other.swim_port))
            .then(self.gossip_port.cmp(&other.gossip_port))
    }
}
