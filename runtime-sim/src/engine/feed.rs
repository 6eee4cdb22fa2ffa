//! How an input reaches a node and its outputs are carried out: one input, every output, next input. This is the only
//! place of the engine that drives a node.

use std::collections::BTreeMap;

use annulus_core::{EventKind, Input, InputId, Instant, Node, Output, Rumor, RumorKey, Version, limits};

use crate::engine::deed::Deed;
use crate::engine::fingerprint::fingerprint;
use crate::engine::hash::Kind;
use crate::engine::host::{self, Arrival, HostState};
use crate::engine::ids::{HostId, PacketId};
use crate::engine::record::{DropReason, Recording, What};
use crate::engine::sealed::is_again;
use crate::engine::world::World;

/// The node's invariants are checked after one input of so many, in builds with assertions.
const INVARIANTS_EVERY: u64 = 61;

/// What tells a statement from everything else that could be said under its key. What is noted beside a version is no
/// part of what its author says.
pub(super) fn says(rumor: &Rumor) -> u64 {
    rumor.version().map_or_else(|| Version::hash_of(&rumor.encode()), Version::hash)
}

impl<D: Deed> World<D> {
    pub(super) fn wake(&mut self, at: Instant, index: u32) {
        let host = &mut self.hosts[index as usize];
        if host.wake_queued != at {
            // An earlier wake-up was queued after this one and has taken its place.
            return;
        }
        host.wake_queued = Instant::FAR_FUTURE;
        if host.state != HostState::Running {
            return;
        }
        if host.wake_at > at {
            // Most deadlines are put off before they come; only now the later one is queued.
            if host.wake_at != Instant::FAR_FUTURE {
                host.wake_queued = host.wake_at;
                let wake_at = host.wake_at;
                self.queue.push_wake(wake_at, index);
            }
            return;
        }
        self.feed_wake(index);
    }

    pub(crate) fn feed_wake(&mut self, index: u32) {
        self.counters.wakes += 1;
        self.hash.happening(self.now, index, Kind::Wake, 0);
        self.feed(index, Input::Wake);
    }

    /// Hands one input to a node and carries out its outputs.
    pub(super) fn feed(&mut self, index: u32, input: Input<'_>) {
        let host = &mut self.hosts[index as usize];
        let mut node = host.node.take().expect("inputs go to supervisors that run");
        host.inputs += 1;
        let (local, wall) = (host.local(self.now), host.wall(self.now));
        self.counters.inputs += 1;
        node.handle_input(local, wall, input);
        self.drain(index, &mut node);
        self.hosts[index as usize].node = Some(node);
        self.stop_if_it_asked(index);
    }

    /// Carries out every output of a node, which is not in its place meanwhile.
    pub(crate) fn drain(&mut self, index: u32, node: &mut Node) {
        self.carry_out(index, node);
        if self.recording >= Recording::Events {
            for (what, count, limit) in [
                ("members", node.members_unsorted().len(), limits::MEMBERS_MAX),
                ("hot rumors", node.hot_rumors(), limits::HOT_RUMORS_MAX),
            ] {
                self.check_limit(index, what, count, limit);
            }
            // Looking at everything that a node knows costs much; once in a while is often enough over thousands of
            // seeds.
            self.note_leads(index, node);
            if cfg!(debug_assertions) && self.counters.inputs.is_multiple_of(INVARIANTS_EVERY) {
                node.check_invariants();
            }
        }
    }

    pub(super) fn check_limit(&mut self, index: u32, what: &'static str, count: usize, limit: usize) {
        if count > limit {
            let (host, count, limit) = (HostId(index), count as u64, limit as u64);
            self.note(Recording::Events, || What::BeyondLimit { host, what, count, limit });
        }
    }

    pub(super) fn carry_out(&mut self, index: u32, node: &mut Node) {
        let input = InputId(self.hosts[index as usize].inputs);
        // What was accepted, and whether it was the node's own word: one input may bring another's and lead to its own.
        let mut accepted: BTreeMap<RumorKey, bool> = BTreeMap::new();
        while let Some(output) = node.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.check_length(index, node, &transmit);
                    self.transmit(index, input, transmit);
                }
                Output::WakeAt(at, _) => self.set_wake(index, at),
                Output::Effect(id, effect) => {
                    self.note_signal(index, node, &effect);
                    self.begin_effect(index, id, effect);
                }
                Output::Event(event) => {
                    self.hash.happening(self.now, index, Kind::Event, event.id.0);
                    if matches!(event.kind, EventKind::Stalled { .. }) {
                        self.begin_series(index, node, false);
                    }
                    let (kind, subject) = fingerprint(&event.kind);
                    self.hash.pair(kind, subject);
                    if let EventKind::RumorAccepted { key, from } = &event.kind
                        && self.recording >= Recording::Events
                    {
                        *accepted.entry(key.clone()).or_default() |= from.is_none();
                    }
                    self.note(Recording::Events, || What::Event { host: HostId(index), event });
                }
                Output::Reply(request, reply) => {
                    self.note(Recording::Events, || What::Reply { host: HostId(index), request, reply });
                }
            }
        }
        for (key, is_own) in accepted {
            self.note_held(index, node, &key, is_own);
        }
    }

    /// A node has accepted a rumor.
    fn note_held(&mut self, index: u32, node: &Node, key: &RumorKey, is_own: bool) {
        let Some(rumor) = node.rumor(key) else { return };
        let (host, version, author) = (HostId(index), rumor.number(), node.vouched_by(key));
        let (key, says) = (key.clone(), says(rumor));
        self.note(Recording::Events, || What::Holds { host, key, version, author, says, is_own });
    }

    /// Remembers when the node on this host, by its own clock, wants to be woken.
    pub(super) fn set_wake(&mut self, index: u32, local: Instant) {
        let host = &mut self.hosts[index as usize];
        let mut at = host.world(local).max(self.now);
        if let Some(delay) = self.slow.draw(index) {
            at = if at == Instant::FAR_FUTURE { at } else { at + delay };
        }
        host.wake_at = at;
        if at < host.wake_queued {
            host.wake_queued = at;
            self.queue.push_wake(at, index);
        }
    }

    /// An arrival reaches a supervisor, which may be paused or gone.
    pub(crate) fn arrive(&mut self, index: u32, arrival: Arrival) {
        match self.hosts[index as usize].state {
            HostState::Running => self.arrive_soon(index, arrival),
            HostState::Paused => self.hosts[index as usize].rest.inbox.push(arrival),
            HostState::New | HostState::Stopped | HostState::Crashed => {}
        }
    }

    fn note_delivered(&mut self, packet: PacketId, to: HostId, input: InputId) {
        if is_again(packet) {
            self.note(Recording::Events, || What::Replayed { packet, to, input });
        } else {
            self.note(Recording::Packets, || What::Delivered { packet, to, input });
        }
    }

    /// A supervisor reads an arrival.
    pub(crate) fn arrive_now(&mut self, index: u32, arrival: Arrival) {
        let input = InputId(self.hosts[index as usize].inputs + 1);
        let (now, to) = (self.now, HostId(index));
        match arrival {
            Arrival::Datagram { packet, from, bytes } => {
                let Some(key) = self.open(index, packet) else {
                    return self.dropped(packet, Some(index), DropReason::UnknownKey);
                };
                self.hash.happening(now, index, Kind::Datagram, packet.0);
                self.note_delivered(packet, to, input);
                let Some((bytes, stamp)) = self.inward(from, packet, bytes) else { return };
                self.feed(index, Input::Datagram { from: host::address(from), key, bytes: &bytes, stamp });
            }
            Arrival::Stream { packet, from, bytes } => {
                let Some(key) = self.open(index, packet) else {
                    return self.dropped(packet, Some(index), DropReason::UnknownKey);
                };
                self.hash.happening(now, index, Kind::Stream, packet.0);
                self.note_delivered(packet, to, input);
                let Some((bytes, stamp)) = self.inward(from, packet, bytes) else { return };
                self.feed(
                    index,
                    Input::Stream { from: host::stream_address(from), key, bytes: &bytes, stamp },
                );
            }
            Arrival::Refused { packet, to: by } => {
                self.hash.happening(now, index, Kind::Refused, packet.0);
                self.note(Recording::Packets, || What::RefusalDelivered { packet, to, input });
                self.feed(index, Input::Refused { to: host::address(by) });
            }
            Arrival::Command(request, command) => {
                self.hash.happening(now, index, Kind::Command, request.0);
                self.feed(index, Input::Command(request, command));
            }
            Arrival::Effect(id, result) => {
                self.hash.happening(now, index, Kind::Effect, id.0);
                self.feed(index, Input::EffectDone(id, result));
            }
        }
    }
}
