//! An attacker on the network: it overhears what members send, and what it sends reaches a member from every address
//! that it likes. It knows no ring key and cannot read a member's memory or disk.

use annulus_core::Channel;

use crate::engine::deed::Deed;
use crate::engine::host::Arrival;
use crate::engine::ids::{HostId, PacketId};
use crate::engine::world::World;

/// Messages that an attacker keeps.
const OVERHEARD_MAX: usize = 4_096;

/// A message that a member sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overheard {
    /// Its sender.
    pub from: HostId,
    /// The host that it was sent to; none where no host has that address.
    pub to: Option<HostId>,
    /// How it was sent.
    pub channel: Channel,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl<D: Deed> World<D> {
    /// Keeps what members send from now on, up to a bound.
    pub fn listen(&mut self) {
        self.overheard.get_or_insert_default();
    }

    /// What was overheard so far, in order.
    #[must_use]
    pub fn overheard(&self) -> &[Overheard] {
        self.overheard.as_deref().unwrap_or_default()
    }

    pub(super) fn overhear(&mut self, from: u32, to: Option<u32>, channel: Channel, bytes: &[u8]) {
        if let Some(kept) = self.overheard.as_mut().filter(|kept| kept.len() < OVERHEARD_MAX) {
            kept.push(Overheard { from: HostId(from), to: to.map(HostId), channel, bytes: bytes.to_vec() });
        }
    }

    /// Bytes reach the member on `to` at once, from the address of host number `from`; a number that no host has is the
    /// address of a stranger.
    pub fn inject(&mut self, to: HostId, from: u32, channel: Channel, bytes: Vec<u8>) {
        self.packets += 1;
        let packet = PacketId(self.packets);
        let arrival = match channel {
            Channel::Datagram => Arrival::Datagram { packet, from, bytes },
            Channel::Stream => Arrival::Stream { packet, from, bytes },
        };
        self.arrive(to.0, arrival);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use annulus_core::State;

    use super::*;
    use crate::action::testing::{self, A, B};

    #[test]
    fn what_was_overheard_can_be_sent_again_from_a_strangers_address() {
        let mut world = testing::pair(1, testing::quality());
        assert!(world.overheard().is_empty(), "nothing is kept before an attacker listens");
        world.listen();
        world.run_until(world.now() + Duration::from_secs(2));
        assert!(world.overheard().is_empty(), "two members that know nothing of each other say nothing");
        let mut ring = testing::ring(1, 2, testing::quality());
        ring.listen();
        ring.run_until(ring.now() + Duration::from_secs(3));
        let heard = ring.overheard().iter().find(|m| m.from == A && m.channel == Channel::Datagram);
        let heard = heard.expect("members of a ring ping each other").clone();
        world.inject(B, 77, heard.channel, heard.bytes);
        let held = world.node(B).expect("it runs").members();
        assert_eq!(held.len(), 2, "the sender of the message is taken in: {held:?}");
        assert!(held.iter().all(|member| member.state == State::Alive));
    }
}
