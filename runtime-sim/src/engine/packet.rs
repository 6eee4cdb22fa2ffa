//! Packets on their way: which are sent, arrive or are lost, and how a host answers where no process listens.

use annulus_core::{Channel, InputId, Message, Node, Transmit, limits};

use crate::engine::deed::Deed;
use crate::engine::fault;
use crate::engine::hash::Kind;
use crate::engine::host::{self, Arrival, HostState};
use crate::engine::ids::{HostId, PacketId};
use crate::engine::record::{DropReason, Recording, What};
use crate::engine::world::{Thing, World};

impl<D: Deed> World<D> {
    /// Holds what a node sends against what it was told to send at most.
    pub(super) fn check_length(&mut self, index: u32, node: &Node, transmit: &Transmit) {
        let datagram_bytes_max = node.config().timings.datagram_bytes_max as usize;
        let (what, limit) = match transmit.channel {
            Channel::Datagram => ("a datagram's bytes", datagram_bytes_max),
            Channel::Stream => ("a stream message's bytes", limits::STREAM_BYTES_MAX),
        };
        self.check_limit(index, what, transmit.bytes.len(), limit);
    }

    pub(super) fn transmit(&mut self, from: u32, input: InputId, transmit: Transmit) {
        let Transmit { to: address, channel, key, bytes, stamp } = transmit;
        self.packets += 1;
        let packet = PacketId(self.packets);
        self.seal(packet, key);
        let to = host::index_of(address).filter(|to| (*to as usize) < self.hosts.len());
        self.hash.happening(self.now, from, Kind::Transmit, u64::from(to.unwrap_or(u32::MAX)));
        self.hash.bytes(&bytes);
        match channel {
            Channel::Datagram => {
                self.counters.datagrams += 1;
                self.counters.datagram_bytes += bytes.len() as u64;
            }
            Channel::Stream => {
                self.counters.streams += 1;
                self.counters.stream_bytes += bytes.len() as u64;
            }
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.note(Recording::Packets, || What::Sent {
            packet,
            from: HostId(from),
            input,
            to: to.map(HostId),
            channel,
            bytes: length,
            message: Message::read(channel, &bytes).ok().map(Box::new),
        });
        let bytes = self.outward((from, to), packet, channel, bytes, stamp);
        self.overhear(from, to, channel, &bytes);
        let Some(to) = to else { return self.dropped(packet, None, DropReason::NoRoute) };
        match channel {
            Channel::Datagram => self.send_datagram(packet, from, to, bytes),
            Channel::Stream => self.send_stream(packet, from, to, bytes),
        }
    }

    /// Sends a message from a host that its node did not make.
    pub fn send_bytes(&mut self, from: HostId, to: HostId, channel: Channel, bytes: Vec<u8>) {
        let input = InputId(self.hosts[from.0 as usize].inputs);
        let stamp = self.next_stamp(from, channel);
        let (to, key) = (host::address(to.0), self.speaks(from));
        self.transmit(from.0, input, Transmit { to, channel, key, bytes, stamp });
    }

    pub(super) fn send_datagram(&mut self, packet: PacketId, from: u32, to: u32, bytes: Vec<u8>) {
        let fate = self.net.datagram(self.now, from, to, bytes.len());
        let sender = self.hosts[from as usize].generation;
        if let Some(after) = fate.again_after {
            self.counters.duplicates += 1;
            let copy = Thing::Datagram { packet, from, to, sender, bytes: bytes.clone() };
            self.queue.push(self.now + after, copy);
        }
        match fate.arrives_after {
            Ok(after) => {
                self.queue.push(self.now + after, Thing::Datagram { packet, from, to, sender, bytes });
            }
            Err(why) => self.dropped(packet, Some(to), why),
        }
    }

    pub(super) fn datagram_arrives(
        &mut self,
        packet: PacketId,
        from: u32,
        to: u32,
        sender: u32,
        bytes: Vec<u8>,
    ) {
        if self.net.is_cut(from, to) {
            return self.dropped(packet, Some(to), DropReason::Cut);
        }
        let host = &mut self.hosts[to as usize];
        match host.state {
            HostState::Running => self.arrive_soon(to, Arrival::Datagram { packet, from, bytes }),
            HostState::Paused => {
                if host.rest.inbox.has_room_for_datagram(bytes.len()) {
                    host.rest.inbox.push(Arrival::Datagram { packet, from, bytes });
                } else {
                    self.dropped(packet, Some(to), DropReason::Overflow);
                }
            }
            HostState::Stopped => {
                self.dropped(packet, Some(to), DropReason::Refused);
                self.send_refusal(packet, to, from, sender);
            }
            HostState::New | HostState::Crashed => self.dropped(packet, Some(to), DropReason::HostDown),
        }
    }

    /// The host `by` tells `to` that no process listens there.
    pub(crate) fn send_refusal(&mut self, packet: PacketId, by: u32, to: u32, generation: u32) {
        if let Ok(after) = self.net.segment(self.now, by, to, fault::BARE_PACKET_BYTES) {
            self.queue.push(self.now + after, Thing::Refusal { packet, by, to, generation });
        }
    }

    pub(crate) fn refusal_arrives(&mut self, packet: PacketId, by: u32, to: u32, generation: u32) {
        let there = self.hosts[to as usize].generation == generation;
        if there && !self.net.is_cut(by, to) {
            self.arrive(to, Arrival::Refused { packet, to: by });
        }
    }

    pub(crate) fn dropped(&mut self, packet: PacketId, to: Option<u32>, why: DropReason) {
        self.counters.dropped[why as usize] += 1;
        self.hash.happening(self.now, to.unwrap_or(u32::MAX), Kind::Drop, packet.0);
        // A loss is a fault: what it excuses is judged without a record of packets, too.
        let level = if why == DropReason::Loss { Recording::Events } else { Recording::Packets };
        self.note(level, || What::Dropped { packet, to: to.map(HostId), why });
    }
}
