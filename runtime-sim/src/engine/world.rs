//! A simulated world: hosts, links, and one queue of what happens next. No threads, no clock but its own.

use std::collections::BTreeMap;

use annulus_core::{
    Channel, EventKind, Input, InputId, Instant, MemberId, Message, Node, Output, RequestId, Rng, Rumor,
    RumorKey, Snapshot, Transmit, UnixTime, limits,
};

use crate::engine::balance;
use crate::engine::deed::Deed;
use crate::engine::effects::Later;
use crate::engine::fault;
use crate::engine::fingerprint::fingerprint;
use crate::engine::hash::{Kind, TraceHash};
use crate::engine::host::{self, Arrival, Host, HostId, HostSpec, HostState};
use crate::engine::link::LinkQuality;
use crate::engine::net::Net;
use crate::engine::queue::{Due, Queue};
use crate::engine::record::{Counters, DropReason, PacketId, Record, Recording, What};
use crate::engine::stream::{StreamStep, Streams};

/// Events at one instant after which a world counts as stuck: a node that always asks to be woken at once.
const EVENTS_PER_INSTANT_MAX: u64 = 50_000_000;

/// One input of so many is followed by a look at the node's own invariants, in builds with assertions.
const INVARIANTS_EVERY: u64 = 61;

/// Labels of the independent streams of chance.
mod stream_of_chance {
    pub(super) const LINKS: u64 = 1;
    pub(super) const LINKS_RARE: u64 = 2;
    pub(super) const EFFECTS: u64 = 3;
    pub(super) const ACTIONS: u64 = 4;
    pub(super) const SLOW: u64 = 5;
    /// From here on, one for each start of each host.
    pub(super) const NODES: u64 = 1 << 32;
}

/// Something in the queue, other than a wake-up.
#[derive(Debug)]
pub(crate) enum Thing<D: Deed> {
    /// A datagram arrives.
    Datagram { packet: PacketId, from: u32, to: u32, sender: u32, bytes: Vec<u8> },
    /// A host's answer that nobody listens there arrives.
    Refusal { packet: PacketId, by: u32, to: u32, generation: u32 },
    /// A stream goes on.
    Stream(StreamStep),
    /// An effect goes on. Boxed, because there are few of them and what most things are shall be small.
    Later(Box<Later>),
    /// A slow supervisor comes to handle something.
    Late { host: u32, generation: u32, arrival: Box<Arrival> },
    /// What was done to the world goes on.
    Deed(D::Step),
    /// A load balancer goes on.
    Balance(balance::Step),
}

/// A simulated world. Everything in it follows from its seed and from what is done to it.
#[derive(Debug)]
pub struct World<D: Deed> {
    pub(crate) now: Instant,
    pub(crate) queue: Queue<Thing<D>>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) net: Net,
    pub(crate) streams: Streams,
    pub(crate) hash: TraceHash,
    pub(crate) recording: Recording,
    pub(crate) records: Vec<Record<D>>,
    pub(crate) counters: Counters,
    pub(crate) keep_disks: bool,
    /// The last that was done to the world was to end every fault.
    pub(crate) calm: bool,
    pub(crate) slow: fault::SlowHosts,
    pub(crate) balancers: Vec<balance::Working>,
    pub(crate) rng_effects: Rng,
    pub(crate) rng_actions: Rng,
    rng: Rng,
    packets: u64,
    requests: u64,
    events_at_this_instant: u64,
    by_member: BTreeMap<MemberId, HostId>,
    pub(crate) led: crate::engine::lead::Led,
}

impl<D: Deed> World<D> {
    /// An empty world whose links are of this quality unless something else is said.
    ///
    /// # Panics
    /// When the latency's range is turned round.
    #[must_use]
    pub fn new(seed: u64, quality: LinkQuality) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = Rng::from_seed(key);
        Self {
            now: Instant::ZERO,
            queue: Queue::new(),
            hosts: Vec::new(),
            net: Net::new(quality, rng.fork(stream_of_chance::LINKS), rng.fork(stream_of_chance::LINKS_RARE)),
            streams: Streams::default(),
            hash: TraceHash::new(),
            recording: Recording::Off,
            records: Vec::new(),
            counters: Counters::default(),
            keep_disks: true,
            calm: false,
            slow: fault::SlowHosts::new(rng.fork(stream_of_chance::SLOW)),
            balancers: Vec::new(),
            rng_effects: rng.fork(stream_of_chance::EFFECTS),
            rng_actions: rng.fork(stream_of_chance::ACTIONS),
            rng,
            packets: 0,
            requests: 0,
            events_at_this_instant: 0,
            by_member: BTreeMap::new(),
            led: crate::engine::lead::Led::new(),
        }
    }

    /// Adds a host that is off until a deed starts it.
    pub fn add_host(&mut self, spec: HostSpec) -> HostId {
        let id = HostId(u32::try_from(self.hosts.len()).expect("fewer than 2^32 hosts"));
        self.hosts.push(Host::new(spec));
        id
    }

    /// Lets the next start of `host` begin from this instead of from its disk.
    pub fn preload(&mut self, host: HostId, snapshot: Snapshot) {
        self.hosts[host.0 as usize].rest.preload = Some(snapshot);
    }

    /// Makes disks forget what is written, for rings whose records would fill this machine's memory.
    /// Every restart is then one with an empty disk.
    pub fn discard_disks(&mut self) {
        self.keep_disks = false;
    }

    /// What is recorded from now on.
    pub fn record(&mut self, recording: Recording) {
        self.recording = recording;
    }

    /// What was recorded since the last call.
    pub fn drain_records(&mut self) -> Vec<Record<D>> {
        std::mem::take(&mut self.records)
    }

    /// The world's time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What a host's wall clock shows.
    #[must_use]
    pub fn wall(&self, host: HostId) -> UnixTime {
        self.hosts[host.0 as usize].wall(self.now)
    }

    /// The fingerprint of everything that happened.
    #[must_use]
    pub fn hash(&self) -> TraceHash {
        self.hash
    }

    /// Counts of what happened.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Every host, in the order in which they were added.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = HostId> + use<D> {
        (0..u32::try_from(self.hosts.len()).expect("checked when a host is added")).map(HostId)
    }

    /// What a host was added with.
    #[must_use]
    pub fn spec(&self, host: HostId) -> &HostSpec {
        &self.hosts[host.0 as usize].rest.spec
    }

    /// Whether a supervisor runs on a host.
    #[must_use]
    pub fn state(&self, host: HostId) -> HostState {
        self.hosts[host.0 as usize].state
    }

    /// The supervisor on a host; none while it has no process.
    #[must_use]
    pub fn node(&self, host: HostId) -> Option<&Node> {
        self.hosts[host.0 as usize].node.as_deref()
    }

    /// The member that runs, or last ran, on a host.
    #[must_use]
    pub fn member_id(&self, host: HostId) -> Option<MemberId> {
        self.hosts[host.0 as usize].rest.member_id
    }

    /// The host that a member runs on, or last ran on.
    #[must_use]
    pub fn host_by_member(&self, member: &MemberId) -> Option<HostId> {
        self.by_member.get(member).copied()
    }

    /// Lets a host's monotonic clock run faster, or slower when negative, than the world's.
    ///
    /// # Panics
    /// At -1,000,000 ppm or less, where time would stand still.
    pub fn set_clock_rate(&mut self, host: HostId, rate_ppm: i32) {
        let (index, now) = (host.0, self.now);
        let h = &mut self.hosts[index as usize];
        let deadline = (h.wake_at != Instant::FAR_FUTURE).then(|| h.local(h.wake_at));
        h.clock_mut().set_rate(now, rate_ppm);
        if let Some(deadline) = deadline {
            self.set_wake(index, deadline);
        }
        self.leads_by_new_clock(index);
    }

    /// A host's monotonic clock is found to have gone forward, as after a suspension.
    pub(crate) fn suspend(&mut self, host: HostId, lasting: std::time::Duration) {
        let (index, now) = (host.0, self.now);
        let h = &mut self.hosts[index as usize];
        let deadline = (h.wake_at != Instant::FAR_FUTURE).then(|| h.local(h.wake_at));
        h.clock_mut().jump(now, lasting);
        if let Some(deadline) = deadline {
            self.set_wake(index, deadline);
        }
    }

    /// Sets a host's wall clock forward, or back when negative.
    pub fn jump_wall_clock(&mut self, host: HostId, by_ms: i64) {
        self.hosts[host.0 as usize].clock_mut().jump_wall(by_ms);
    }

    /// Lets the next thing happen. False when nothing ever will.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant::FAR_FUTURE)
    }

    /// Lets everything happen up to and including `until`, which is then the world's time.
    pub fn run_until(&mut self, until: Instant) {
        while self.step_until(until) {}
        self.now = self.now.max(until);
    }

    /// Lets the next thing happen that is due at `limit` or before.
    pub fn step_until(&mut self, limit: Instant) -> bool {
        let Some((at, due)) = self.queue.pop_until(limit) else { return false };
        assert!(at >= self.now, "time never goes back");
        if at > self.now {
            self.now = at;
            self.events_at_this_instant = 0;
        }
        self.events_at_this_instant += 1;
        assert!(self.events_at_this_instant < EVENTS_PER_INSTANT_MAX, "the world is stuck at {at}");
        self.counters.steps += 1;
        match due {
            Due::Wake(index) => self.wake(at, index),
            Due::Slot(slot) => match self.queue.take(slot) {
                Thing::Datagram { packet, from, to, sender, bytes } => {
                    self.datagram_arrives(packet, from, to, sender, bytes);
                }
                Thing::Refusal { packet, by, to, generation } => {
                    self.refusal_arrives(packet, by, to, generation)
                }
                Thing::Stream(step) => self.stream_step(step),
                Thing::Later(later) => self.effect_goes_on(*later),
                Thing::Late { host, generation, arrival } => self.late_arrival(host, generation, *arrival),
                Thing::Deed(step) => D::go_on(self, step),
                Thing::Balance(step) => self.balance_goes_on(step),
            },
        }
        true
    }

    fn wake(&mut self, at: Instant, index: u32) {
        let host = &mut self.hosts[index as usize];
        if host.wake_queued != at {
            // An earlier one was queued after this one and has taken its place.
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

    /// Hands one input to a node and carries out what it answers.
    fn feed(&mut self, index: u32, input: Input<'_>) {
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
            // A look at everything that a node knows: now and then is often enough over thousands of seeds.
            self.note_leads(index, node);
            if cfg!(debug_assertions) && self.counters.inputs.is_multiple_of(INVARIANTS_EVERY) {
                node.check_invariants();
            }
        }
    }

    fn check_limit(&mut self, index: u32, what: &'static str, count: usize, limit: usize) {
        if count > limit {
            let (host, count, limit) = (HostId(index), count as u64, limit as u64);
            self.note(Recording::Events, || What::BeyondLimit { host, what, count, limit });
        }
    }

    fn carry_out(&mut self, index: u32, node: &mut Node) {
        let input = InputId(self.hosts[index as usize].inputs);
        while let Some(output) = node.poll_output() {
            match output {
                Output::Transmit(transmit) => self.transmit(index, input, transmit),
                Output::WakeAt(at, _) => self.set_wake(index, at),
                Output::Effect(id, effect) => {
                    self.note_signal(index, node, &effect);
                    self.begin_effect(index, id, effect);
                }
                Output::Event(event) => {
                    self.hash.happening(self.now, index, Kind::Event, event.id.0);
                    let (kind, subject) = fingerprint(&event.kind);
                    self.hash.pair(kind, subject);
                    let accepted = match &event.kind {
                        EventKind::RumorAccepted { key, .. } if self.recording >= Recording::Events => {
                            Some(key.clone())
                        }
                        _ => None,
                    };
                    if let Some(key) = accepted
                        && let Some(version) = version_of(node, &key)
                    {
                        self.note(Recording::Events, || What::Holds { host: HostId(index), key, version });
                    }
                    self.note(Recording::Events, || What::Event { host: HostId(index), event });
                }
                Output::Reply(request, reply) => {
                    self.note(Recording::Events, || What::Reply { host: HostId(index), request, reply });
                }
            }
        }
    }

    /// Remembers when the node on this host, by its own clock, wants to be woken.
    fn set_wake(&mut self, index: u32, local: Instant) {
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

    fn transmit(&mut self, from: u32, input: InputId, transmit: Transmit) {
        let Transmit { to: address, channel, bytes } = transmit;
        self.packets += 1;
        let packet = PacketId(self.packets);
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
        let (what, limit) = match channel {
            Channel::Datagram => ("a datagram's bytes", limits::DATAGRAM_BYTES_MAX),
            Channel::Stream => ("a stream message's bytes", limits::STREAM_BYTES_MAX),
        };
        self.check_limit(from, what, bytes.len(), limit);
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
        let Some(to) = to else { return self.dropped(packet, None, DropReason::NoRoute) };
        match channel {
            Channel::Datagram => self.send_datagram(packet, from, to, bytes),
            Channel::Stream => self.send_stream(packet, from, to, bytes),
        }
    }

    fn send_datagram(&mut self, packet: PacketId, from: u32, to: u32, bytes: Vec<u8>) {
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

    fn datagram_arrives(&mut self, packet: PacketId, from: u32, to: u32, sender: u32, bytes: Vec<u8>) {
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

    /// The host `by` tells `to` that nobody listens there.
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

    /// Something reaches a supervisor, which may be paused or gone.
    pub(crate) fn arrive(&mut self, index: u32, arrival: Arrival) {
        match self.hosts[index as usize].state {
            HostState::Running => self.arrive_soon(index, arrival),
            HostState::Paused => self.hosts[index as usize].rest.inbox.push(arrival),
            HostState::New | HostState::Stopped | HostState::Crashed => {}
        }
    }

    /// A supervisor reads something.
    pub(crate) fn arrive_now(&mut self, index: u32, arrival: Arrival) {
        let input = InputId(self.hosts[index as usize].inputs + 1);
        let (now, to) = (self.now, HostId(index));
        match arrival {
            Arrival::Datagram { packet, from, bytes } => {
                self.hash.happening(now, index, Kind::Datagram, packet.0);
                self.note(Recording::Packets, || What::Delivered { packet, to, input });
                self.feed(index, Input::Datagram { from: host::address(from), bytes: &bytes });
            }
            Arrival::Stream { packet, from, bytes } => {
                self.hash.happening(now, index, Kind::Stream, packet.0);
                self.note(Recording::Packets, || What::Delivered { packet, to, input });
                self.feed(index, Input::Stream { from: host::stream_address(from), bytes: &bytes });
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

    pub(crate) fn dropped(&mut self, packet: PacketId, to: Option<u32>, why: DropReason) {
        self.counters.dropped[why as usize] += 1;
        self.hash.happening(self.now, to.unwrap_or(u32::MAX), Kind::Drop, packet.0);
        self.note(Recording::Packets, || What::Dropped { packet, to: to.map(HostId), why });
    }

    /// Records something, if records of this kind are wanted.
    pub(crate) fn note(&mut self, kind: Recording, what: impl FnOnce() -> What<D>) {
        if self.recording >= kind {
            self.records.push(Record { at: self.now, what: what() });
        }
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// The seed of a node that is about to start: another one for each start of each host.
    pub(crate) fn node_seed(&self, index: u32) -> [u8; 32] {
        let start = u64::from(self.hosts[index as usize].generation);
        let mut rng = self.rng.fork(stream_of_chance::NODES + (u64::from(index) << 16) + start);
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        seed
    }

    pub(crate) fn remember_member(&mut self, index: u32, member: MemberId) {
        self.hosts[index as usize].rest.member_id = Some(member);
        self.by_member.insert(member, HostId(index));
    }
}

/// The version of a rumor that a node holds: its incarnation, and whether it was taken back.
fn version_of(node: &Node, key: &RumorKey) -> Option<u64> {
    node.rumors().find(|rumor| rumor.key() == *key).map(|rumor| match rumor {
        Rumor::Service(service) => service.incarnation.0,
        Rumor::ServiceHealth(health) => health.incarnation.0,
        Rumor::ServiceConfig(config) => config.version.number,
        Rumor::ServiceFile(file) => file.version.number,
        Rumor::Election(outcome) => outcome.term,
        Rumor::Member(_) | Rumor::Departure(_) => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::action::world::{Record, World};
    use crate::action::{
        Action, Crash, CrashService, DiskAfter, Join, Kill, LoadService, Partition, Pause, Restart, Resume,
        SetLink,
    };
    use crate::engine::lead::Load;
    use crate::engine::link::Ratio;
    use std::time::Duration;

    const FIRST: u64 = 1 << 40;

    /// What became of datagrams that A sends to B.
    fn fates(world: &mut World, count: u64) -> Vec<(u64, Result<(), DropReason>)> {
        world.record(Recording::Packets);
        for n in 0..count {
            world.send_datagram(PacketId(FIRST + n), A.0, B.0, vec![0xff; 100]);
        }
        world.run_until(world.now() + Duration::from_secs(1));
        let ours = |packet: PacketId| packet.0.checked_sub(FIRST);
        let fate = |record: Record| match record.what {
            What::Delivered { packet, .. } => Some((ours(packet)?, Ok(()))),
            What::Dropped { packet, why, .. } => Some((ours(packet)?, Err(why))),
            What::RefusalDelivered { packet, to, .. } if to == A => {
                Some((ours(packet)?, Err(DropReason::Refused)))
            }
            _ => None,
        };
        world.drain_records().into_iter().filter_map(fate).collect()
    }

    #[test]
    fn one_seed_one_run() {
        fn run(seed: u64) -> (u64, Counters) {
            let mut quality = testing::quality();
            quality.loss = Ratio { numerator: 5, denominator: 100 };
            quality.duplicate = Ratio { numerator: 5, denominator: 100 };
            let mut world = testing::ring(seed, 5, quality);
            world.run_until(Instant::from_millis(5_000));
            world.apply(&Action::Crash(Crash { host: B })).expect("possible");
            world.run_until(Instant::from_millis(15_000));
            world.apply(&Action::Restart(Restart { host: B, disk: DiskAfter::Kept })).expect("possible");
            world.run_until(Instant::from_millis(30_000));
            (world.hash().value(), world.counters().clone())
        }
        let first = run(7);
        assert_eq!(run(7), first);
        assert_ne!(run(8).0, first.0);
        assert_eq!(run(7), first, "nothing is left over from other runs");
    }

    #[test]
    fn recording_does_not_change_a_run() {
        let run = |recording| {
            let mut world = testing::ring(3, 4, testing::quality());
            world.record(recording);
            world.apply(&Action::Crash(Crash { host: B })).expect("possible");
            world.run_until(Instant::from_millis(10_000));
            (world.hash(), world.drain_records().len())
        };
        let (quiet, none) = run(Recording::Off);
        let (loud, some) = run(Recording::Packets);
        assert_eq!(quiet, loud);
        assert!(none == 0 && some > 0);
    }

    #[test]
    fn a_datagram_to_a_dead_process_is_refused_and_to_a_dead_host_is_not() {
        let mut world = testing::pair(1, testing::quality());
        assert_eq!(fates(&mut world, 2).len(), 2);
        world.apply(&Action::Kill(Kill { host: B })).expect("possible");
        assert_eq!(fates(&mut world, 1), [(0, Err(DropReason::Refused)), (0, Err(DropReason::Refused))]);
        world.apply(&Action::Crash(Crash { host: B })).expect("possible");
        assert_eq!(fates(&mut world, 1), [(0, Err(DropReason::HostDown))]);
        world.apply(&Action::Restart(Restart { host: B, disk: DiskAfter::Kept })).expect("possible");
        world
            .apply(&Action::Partition(Partition { from: vec![A], to: vec![B], both: false }))
            .expect("possible");
        assert_eq!(fates(&mut world, 1), [(0, Err(DropReason::Cut))]);
    }

    #[test]
    fn a_paused_supervisor_reads_later_what_fits_into_its_socket() {
        let mut world = testing::pair(1, testing::quality());
        world.apply(&Action::Pause(Pause { host: B })).expect("possible");
        let lost = fates(&mut world, 400);
        assert!(lost.iter().all(|(_, fate)| *fate == Err(DropReason::Overflow)));
        world.apply(&Action::Resume(Resume { host: B })).expect("possible");
        let read = fates(&mut world, 0);
        assert!(read.iter().all(|(_, fate)| fate.is_ok()));
        assert_eq!(lost.len() + read.len(), 400);
        assert!(read.len() > 300 && !lost.is_empty());
    }

    #[test]
    fn a_paused_node_is_not_woken_and_is_overdue_afterwards() {
        let mut world = testing::pair(1, testing::quality());
        let inputs = |world: &World| world.hosts[A.0 as usize].inputs;
        world.apply(&Action::Pause(Pause { host: A })).expect("possible");
        let before = inputs(&world);
        world.run_until(world.now() + Duration::from_secs(100));
        assert_eq!(inputs(&world), before);
        world.apply(&Action::Resume(Resume { host: A })).expect("possible");
        assert!(inputs(&world) > before);
        let resumed = inputs(&world);
        world.run_until(world.now() + Duration::from_secs(100));
        assert!(inputs(&world) > resumed, "its timer goes on");
    }

    #[test]
    fn idle_time_is_free_and_stale_wake_ups_do_not_pile_up() {
        let mut world = testing::pair(1, testing::quality());
        world.run_until(world.now() + Duration::from_secs(100));
        assert!(world.queue.len() < 40, "{}", world.queue.len());
        let mut empty = World::new(1, testing::quality());
        assert!(!empty.step());
        empty.run_until(Instant::from_millis(1_000));
        assert_eq!(empty.now(), Instant::from_millis(1_000));
    }

    #[test]
    fn identity_survives_a_crash_and_not_the_loss_of_the_disk() {
        let mut world = testing::pair(5, testing::quality());
        let before = world.member_id(B);
        world.apply(&Action::Crash(Crash { host: B })).expect("possible");
        assert!(world.node(B).is_none());
        assert_eq!(world.member_id(B), before);
        world.apply(&Action::Restart(Restart { host: B, disk: DiskAfter::Kept })).expect("possible");
        assert_eq!(world.member_id(B), before);
        world.apply(&Action::Crash(Crash { host: B })).expect("possible");
        world.apply(&Action::Restart(Restart { host: B, disk: DiskAfter::Lost })).expect("possible");
        assert_ne!(world.member_id(B), before);
        let member = before.expect("it ran");
        assert_eq!(world.host_by_member(&member), Some(B));
    }

    #[test]
    fn a_slow_clock_wakes_its_node_less_often() {
        let mut world = testing::pair(1, testing::quality());
        world.set_clock_rate(A, -500_000);
        let before: Vec<u64> = world.hosts.iter().map(|h| h.inputs).collect();
        world.run_until(world.now() + Duration::from_secs(600));
        let inputs: Vec<u64> = world.hosts.iter().zip(before).map(|(h, b)| h.inputs - b).collect();
        assert!(inputs[0] * 3 < inputs[1] * 2 && inputs[0] * 3 > inputs[1], "{inputs:?}");
    }

    #[test]
    fn what_is_impossible_is_said_and_changes_nothing() {
        let mut world = testing::pair(1, testing::quality());
        let hash = world.hash();
        world.record(Recording::Packets);
        let refused =
            |world: &mut World, action: Action| world.apply(&action).expect_err("impossible").to_string();
        assert_eq!(refused(&mut world, Action::Join(Join { host: A })), "a cannot join: it runs");
        assert_eq!(refused(&mut world, Action::Resume(Resume { host: A })), "a cannot resume: it runs");
        assert_eq!(
            refused(&mut world, Action::Crash(Crash { host: HostId(9) })),
            "there is no host number 9"
        );
        let crash = Action::CrashService(CrashService { host: A, service: "web".to_owned(), code: 1 });
        assert_eq!(refused(&mut world, crash), "web on a cannot crash: it does not run there");
        let load = Action::LoadService(LoadService {
            host: A,
            service: "two words".to_owned(),
            how: Load::default(),
        });
        assert!(refused(&mut world, load).contains("not one word"));
        let mut quality = testing::quality();
        quality.loss.denominator = 0;
        let link = Action::SetLink(SetLink { from: vec![], to: vec![], quality });
        assert!(refused(&mut world, link).contains("denominator"));
        assert_eq!(world.hash(), hash);
        assert!(world.drain_records().is_empty());
    }
}
