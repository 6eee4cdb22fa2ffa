//! An attacker on the network: it overhears what members send, and what it sends reaches a member from every address
//! that it likes. It knows no ring key and cannot read a member's memory or disk.

use annulus_core::{Channel, KeyedHash, MemberId};

use crate::engine::deed::Deed;
use crate::engine::host::{Arrival, PORT};
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

    /// The key of the member on a host, which its operator can read.
    #[must_use]
    pub fn key(&mut self, host: HostId) -> KeyedHash {
        self.hosts[host.0 as usize].rest.disk.key_or([0; 32])
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
        if (from as usize) < self.hosts.len() {
            // The attacker sits on that host, and has its key.
            self.seal(packet, self.speaks(HostId(from)));
        }
        let arrival = match channel {
            Channel::Datagram => Arrival::Datagram { packet, from, bytes },
            Channel::Stream => Arrival::Stream { packet, from, bytes },
        };
        self.arrive(to.0, arrival);
    }
}

/// The sender of a message.
fn from(member: MemberId, incarnation: u64) -> Vec<u8> {
    let port = u64::from(PORT);
    [bytes_of(1, &member.to_hex()), number(2, incarnation), number(4, port), number(5, port)].concat()
}

/// A step of an election by which a member frees a voter, with a key beside it and no signature of it.
pub(crate) fn release(
    (member, incarnation): (MemberId, u64),
    voter: MemberId,
    (group, term): (&str, u64),
    key: &[u8],
) -> Vec<u8> {
    const RELEASE: u64 = 5;
    let said = [
        bytes_of(1, &from(member, incarnation)),
        bytes_of(2, group.as_bytes()),
        number(3, RELEASE),
        number(4, term),
        number(5, u64::from(u32::MAX)),
        [varint(20 << 3 | 1), voter.as_bytes()[..8].to_vec()].concat(),
    ];
    let word = if key.is_empty() { Vec::new() } else { bytes_of(200, &[key, &[0; 64]].concat()) };
    let ballot = [said.concat(), word].concat();
    bytes_of(3, &[number(1, 102), bytes_of(103, &ballot)].concat())
}

/// A message of this member that tells one rumor.
pub fn telling(channel: Channel, member: MemberId, incarnation: u64, rumor: &[u8]) -> Vec<u8> {
    telling_all(channel, member, incarnation, &[rumor.to_vec()])
}

/// A message of this member that tells rumors.
pub(crate) fn telling_all(
    channel: Channel,
    member: MemberId,
    incarnation: u64,
    rumors: &[Vec<u8>],
) -> Vec<u8> {
    let from = from(member, incarnation);
    let (head, tag) = match channel {
        Channel::Datagram => ([number(1, 101), bytes_of(101, &bytes_of(1, &from))].concat(), 102),
        Channel::Stream => (bytes_of(100, &from), 101),
    };
    let told: Vec<u8> = rumors.iter().flat_map(|rumor| bytes_of(tag, rumor)).collect();
    bytes_of(3, &[head, told].concat())
}

/// A message of this member that says nothing but that it is there.
pub(crate) fn greeting(channel: Channel, member: MemberId, incarnation: u64) -> Vec<u8> {
    telling_all(channel, member, incarnation, &[])
}

/// The field of a told rumor that holds its author's word: the last one.
pub(crate) fn word_of(told: &[u8]) -> Vec<u8> {
    const WORD_LEN: usize = 96;
    let word = told.len().checked_sub(WORD_LEN).and_then(|at| told.get(at..)).unwrap_or_default();
    bytes_of(200, word)
}

/// A field of a protobuf message that holds a number.
pub(crate) fn number(tag: u64, value: u64) -> Vec<u8> {
    [varint(tag << 3), varint(value)].concat()
}

/// A field that holds bytes, text or a message.
pub(crate) fn bytes_of(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
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
        assert_eq!(held.len(), 1, "the sender of the message has answered nothing yet: {held:?}");
        assert!(held.iter().all(|member| member.state == State::Alive));
    }
}
