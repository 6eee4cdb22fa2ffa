//! A ring with a key: every message leaves with its number, as a daemon seals it, and a recorder on the network keeps what
//! crosses it. There is no cipher; that no attacker changes a message or makes its number is the recorder's restraint.

use std::collections::{BTreeMap, VecDeque};

use annulus_core::{Channel, Envelope, Message, Node, Series, Stamp};

use crate::engine::deed::Deed;
use crate::engine::host::Arrival;
use crate::engine::ids::{HostId, PacketId};
use crate::engine::world::World;

/// Messages of each sender that are kept: the first of them and the latest.
const KEPT_FIRST: usize = 64;
const KEPT_MAX: usize = 400;
/// Marks the packets that a recorder sends.
const AGAIN: u64 = 1 << 60;

/// A message that crossed the network, with its number.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    packet: PacketId,
    to: u32,
    pub(crate) channel: Channel,
    pub(crate) bytes: Vec<u8>,
    /// Whether its receiver has had it.
    arrived: bool,
    /// Whether it names its receiver.
    is_addressed: bool,
}

impl Kept {
    /// Whether a recorder that sends it to this host does more than the network may do by itself: it arrived before, or it
    /// was for another member.
    fn is_old_at(&self, host: HostId) -> bool {
        self.arrived && (self.to == host.0 || self.is_addressed)
    }

    pub(crate) fn stamp(&self) -> Option<Stamp> {
        opened(&self.bytes).and_then(|(_, stamp)| stamp)
    }
}

/// What was kept, by the host that sent it.
#[derive(Debug, Default)]
pub(crate) struct Recorder(BTreeMap<u32, VecDeque<Kept>>);

/// A message out of its seal; none where it has none.
fn opened(bytes: &[u8]) -> Option<(Vec<u8>, Option<Stamp>)> {
    let envelope = Envelope::read(bytes).ok().filter(Envelope::is_sealed)?;
    let stamp = Stamp::from_bytes(envelope.nonce.try_into().ok()?);
    Some((Envelope::plain(envelope.payload?), Some(stamp)))
}

/// A message with its number.
pub(crate) fn sealed(bytes: &[u8], stamp: Stamp) -> Vec<u8> {
    let payload = Envelope::read(bytes).ok().and_then(|envelope| envelope.payload).unwrap_or_default();
    Envelope::sealed(&stamp.to_bytes(), payload)
}

/// The same message with another number.
pub(crate) fn resealed(bytes: &[u8], stamp: Stamp) -> Vec<u8> {
    opened(bytes).map_or_else(Vec::new, |(plain, _)| sealed(&plain, stamp))
}

/// Whether a packet was sent by a recorder.
pub(super) const fn is_again(packet: PacketId) -> bool {
    packet.0 & AGAIN != 0
}

impl<D: Deed> World<D> {
    /// Gives this ring a key.
    pub fn give_key(&mut self) {
        self.recorder.get_or_insert_default();
    }

    /// Numbers a node's messages in a series of their own.
    pub(super) fn begin_series(&mut self, index: u32, node: &mut Node, is_start: bool) {
        if self.recorder.is_none() {
            return;
        }
        let disk = &mut self.hosts[index as usize].rest.disk;
        let boot = if is_start { disk.raise_boot() } else { disk.boot() };
        node.begin_series(Series::new(boot, [self.rng_salts.next_u64(), self.rng_salts.next_u64()]));
    }

    /// A message as it leaves its host.
    pub(super) fn outward(
        &mut self,
        (from, to): (u32, Option<u32>),
        packet: PacketId,
        channel: Channel,
        bytes: Vec<u8>,
        stamp: Option<Stamp>,
    ) -> Vec<u8> {
        let (Some(recorder), Some(stamp)) = (&mut self.recorder, stamp) else { return bytes };
        let is_addressed = Message::read(channel, &bytes).is_ok_and(|message| message.is_addressed);
        let bytes = sealed(&bytes, stamp);
        if let Some(to) = to {
            let kept = recorder.0.entry(from).or_default();
            if kept.len() >= KEPT_MAX {
                kept.remove(KEPT_FIRST);
            }
            let message = Kept { packet, to, channel, bytes: bytes.clone(), arrived: false, is_addressed };
            kept.push_back(message);
        }
        bytes
    }

    /// A message as its receiver reads it; none where it is in the clear and this ring has a key.
    pub(super) fn inward(
        &mut self,
        from: u32,
        packet: PacketId,
        bytes: Vec<u8>,
    ) -> Option<(Vec<u8>, Option<Stamp>)> {
        let Some(recorder) = &mut self.recorder else { return Some((bytes, None)) };
        let kept =
            recorder.0.get_mut(&from).and_then(|kept| kept.iter_mut().rev().find(|k| k.packet == packet));
        kept.into_iter().for_each(|kept| kept.arrived = true);
        opened(&bytes)
    }

    /// The messages of a host that a recorder can send to another one as old ones, the latest last.
    pub(crate) fn recorded(&self, of: HostId, to: HostId) -> Vec<Kept> {
        let kept = self.recorder.as_ref().and_then(|recorder| recorder.0.get(&of.0));
        kept.into_iter().flatten().filter(|kept| kept.is_old_at(to)).cloned().collect()
    }

    /// The number of the last message of this host that crossed the network.
    pub(crate) fn last_stamp(&self, of: HostId, channel: Channel) -> Option<Stamp> {
        let kept = self.recorder.as_ref()?.0.get(&of.0)?;
        kept.iter().rev().find(|kept| kept.channel == channel)?.stamp()
    }

    /// The number that the next message of this host has.
    pub(crate) fn next_stamp(&mut self, of: HostId, channel: Channel) -> Option<Stamp> {
        self.hosts[of.0 as usize].node.as_mut()?.next_stamp(channel)
    }

    /// A recorder's message reaches a host at once, from this host's address.
    pub(crate) fn send_again(&mut self, from: HostId, to: HostId, channel: Channel, bytes: Vec<u8>) {
        self.packets += 1;
        let packet = PacketId(self.packets | AGAIN);
        self.seal(packet, self.first_key(from));
        let from = from.0;
        let arrival = match channel {
            Channel::Datagram => Arrival::Datagram { packet, from, bytes },
            Channel::Stream => Arrival::Stream { packet, from, bytes },
        };
        self.arrive(to.0, arrival);
    }
}
