//! A simulated world: hosts, links, and one queue of what happens next. It may use no thread, no file and no clock
//! but its own.

use std::collections::BTreeMap;

use annulus_core::{
    Instant, KeyedHash, MemberId, Node, RequestId, RingKeyId, Rng, Snapshot, SnapshotError, UnixTime,
};

use crate::engine::balance;
use crate::engine::deed::Deed;
use crate::engine::depot::Depot;
use crate::engine::hash::TraceHash;
use crate::engine::host::{Arrival, Host, HostSpec, HostState};
use crate::engine::hostile::Overheard;
use crate::engine::ids::{HostId, PacketId};
use crate::engine::link::LinkQuality;
use crate::engine::net::Net;
use crate::engine::queue::{Due, Queue};
use crate::engine::record::{Counters, Record, Recording, What};
use crate::engine::sealed::Recorder;
use crate::engine::slow::SlowHosts;
use crate::engine::stream::{StreamStep, Streams};
use crate::engine::work::Later;

/// Events at one instant after which a world counts as stuck, such as one with a node that always asks to be woken at once:
/// what a world of few hosts, each with hundreds of services, can have to do at a time …
const EVENTS_PER_INSTANT_MAX: u64 = 100_000;
/// … and for each host a packet of every other member of a ring of a thousand; in larger rings no member hears from all at
/// a time. A small world that is stuck fails within a second.
const EVENTS_PER_INSTANT_OF_HOST: u64 = 1_000;

/// Labels of the independent streams of chance.
mod stream_of_chance {
    pub(super) const LINKS: u64 = 1;
    pub(super) const LINKS_RARE: u64 = 2;
    pub(super) const EFFECTS: u64 = 3;
    pub(super) const ACTIONS: u64 = 4;
    pub(super) const SLOW: u64 = 5;
    pub(super) const SALTS: u64 = 6;
    /// From here on, one for each start of each host.
    pub(super) const NODES: u64 = 1 << 32;
}

/// An entry of the queue other than a wake-up.
#[derive(Debug)]
pub(crate) enum Thing<D: Deed> {
    /// A datagram arrives.
    Datagram { packet: PacketId, from: u32, to: u32, sender: u32, bytes: Vec<u8> },
    /// A host's answer arrives that no process listens there.
    Refusal { packet: PacketId, by: u32, to: u32, generation: u32 },
    /// A stream goes on.
    Stream(StreamStep),
    /// An effect goes on. Boxed, because effects are few and most entries shall be small.
    Later(Box<Later>),
    /// A slow supervisor handles its next arrival.
    Late { host: u32, generation: u32, arrival: Box<Arrival> },
    /// A deed goes on.
    Deed(D::Step),
    /// A load balancer goes on.
    Balance(balance::Step),
}

/// A simulated world. Its seed and the deeds done to it decide everything in it.
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
    /// The latest deed was to end every fault.
    pub(crate) calm: bool,
    pub(crate) slow: SlowHosts,
    pub(crate) balancers: Vec<balance::Working>,
    pub(crate) depot: Depot,
    /// The messages that an attacker has overheard; none while none listens.
    pub(crate) overheard: Option<Vec<Overheard>>,
    /// What a recorder keeps; none in a ring without a key.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) rng_salts: Rng,
    /// What packets are sealed with, in a ring with keys.
    pub(crate) sealed: BTreeMap<PacketId, RingKeyId>,
    pub(crate) rng_effects: Rng,
    pub(crate) rng_actions: Rng,
    rng: Rng,
    pub(super) packets: u64,
    requests: u64,
    events_at_this_instant: u64,
    by_member: BTreeMap<MemberId, HostId>,
    pub(crate) led: crate::engine::lead::Led,
}

impl<D: Deed> World<D> {
    /// An empty world whose links are of this quality unless a deed changes it.
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
            slow: SlowHosts::new(rng.fork(stream_of_chance::SLOW)),
            balancers: Vec::new(),
            depot: Depot::default(),
            overheard: None,
            recorder: None,
            rng_salts: rng.fork(stream_of_chance::SALTS),
            sealed: BTreeMap::new(),
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

    /// Lets the next start of `host` begin from this, with this key, instead of from its disk.
    pub fn preload(&mut self, host: HostId, key: KeyedHash, snapshot: Snapshot) {
        self.hosts[host.0 as usize].rest.disk.put_key(key);
        self.hosts[host.0 as usize].rest.preload = Some(snapshot);
    }

    /// Makes disks forget all writes, for rings whose records would fill this machine's memory.
    /// Every restart is then one with an empty disk.
    pub fn discard_disks(&mut self) {
        self.keep_disks = false;
    }

    /// Sets which records are made from now on.
    pub fn record(&mut self, recording: Recording) {
        self.recording = recording;
    }

    /// The records made since the last call.
    pub fn drain_records(&mut self) -> Vec<Record<D>> {
        std::mem::take(&mut self.records)
    }

    /// The world's time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A host's wall clock.
    #[must_use]
    pub fn wall(&self, host: HostId) -> UnixTime {
        self.hosts[host.0 as usize].wall(self.now)
    }

    /// The fingerprint of everything that happened.
    #[must_use]
    pub fn hash(&self) -> TraceHash {
        self.hash
    }

    /// Counts of occurrences.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Every host, in the order in which they were added.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = HostId> + use<D> {
        (0..u32::try_from(self.hosts.len()).expect("checked when a host is added")).map(HostId)
    }

    /// The description that a host was added with.
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

    /// What a host's disk holds; none when it is empty.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn stored(&self, host: HostId) -> Result<Option<Snapshot>, SnapshotError> {
        self.hosts[host.0 as usize].rest.disk.snapshot()
    }

    /// The host that a member runs on, or last ran on.
    #[must_use]
    pub fn host_by_member(&self, member: &MemberId) -> Option<HostId> {
        self.by_member.get(member).copied()
    }

    /// Lets a host's monotonic clock run faster than the world's, or slower when negative.
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
        self.leases_by_new_clock(index);
    }

    /// Lets a host's monotonic clock jump forward, as after a suspension.
    pub(crate) fn suspend(&mut self, host: HostId, lasting: std::time::Duration) {
        let (index, now) = (host.0, self.now);
        let h = &mut self.hosts[index as usize];
        let deadline = (h.wake_at != Instant::FAR_FUTURE).then(|| h.local(h.wake_at));
        h.clock_mut().jump(now, lasting);
        if let Some(deadline) = deadline {
            self.set_wake(index, deadline);
        }
        self.leases_by_new_clock(index);
    }

    /// Sets a host's wall clock forward, or back when negative.
    pub fn jump_wall_clock(&mut self, host: HostId, by_ms: i64) {
        self.hosts[host.0 as usize].clock_mut().jump_wall(by_ms);
    }

    fn events_per_instant_max(&self) -> u64 {
        EVENTS_PER_INSTANT_MAX + EVENTS_PER_INSTANT_OF_HOST * self.hosts.len() as u64
    }

    /// Lets the next entry of the queue happen. False when the queue is empty.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant::FAR_FUTURE)
    }

    /// Lets every entry up to and including `until` happen; `until` is then the world's time.
    pub fn run_until(&mut self, until: Instant) {
        while self.step_until(until) {}
        self.now = self.now.max(until);
    }

    /// Lets the next entry happen that is due at `limit` or before.
    pub fn step_until(&mut self, limit: Instant) -> bool {
        let Some((at, due)) = self.queue.pop_until(limit) else { return false };
        assert!(at >= self.now, "time never goes back");
        if at > self.now {
            self.now = at;
            self.events_at_this_instant = 0;
        }
        self.events_at_this_instant += 1;
        assert!(self.events_at_this_instant < self.events_per_instant_max(), "the world is stuck at {at}");
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

    /// Makes a record, if records of this kind are wanted.
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
    use crate::engine::record::DropReason;
    use std::time::Duration;

    const FIRST: u64 = 1 << 40;

    /// What asks at once to go on.
    #[derive(Debug)]
    struct Again;

    impl crate::action::world::Later for Again {
        fn go_on(self: Box<Self>, world: &mut World) {
            let again: Box<dyn crate::action::world::Later> = self;
            world.queue.push(world.now, Thing::Deed(again));
        }
    }

    #[test]
    #[should_panic(expected = "the world is stuck at 3.000s")]
    fn a_world_that_stands_still_in_one_instant_fails() {
        let mut world = testing::pair(1, testing::quality());
        let again: Box<dyn crate::action::world::Later> = Box::new(Again);
        world.queue.push(world.now, Thing::Deed(again));
        for _ in 0..200_000 {
            assert!(world.step(), "it goes on");
        }
    }

    /// The fates of datagrams that A sends to B.
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
