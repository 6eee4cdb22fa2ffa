//! Streams between hosts: reliable and in order as TCP is, down to the failures that its users notice.
//!
//! A connection from one host to another exists while messages are under way. Set-up takes a round trip and is
//! tried again after 1, 2, 4 seconds; a lost segment is sent again after 200, 400, … milliseconds (a message
//! counts as one segment); after ten seconds without success the connection and what it carries are given
//! up. A host without a supervisor resets the connection, and its other end hears of that.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::Instant;

use crate::engine::deed::Deed;
use crate::engine::fault;
use crate::engine::host::{Arrival, HostState};
use crate::engine::ids::PacketId;
use crate::engine::record::DropReason;
use crate::engine::world::{Thing, World};

const OPEN_RETRY_FIRST: Duration = Duration::from_secs(1);
const SEGMENT_RETRY_FIRST: Duration = Duration::from_millis(200);
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

type Pair = (u32, u32);

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    opened: u64,
    connections: BTreeMap<Pair, Connection>,
}

/// One connection, one way: from the host that opened it.
#[derive(Debug)]
struct Connection {
    id: u64,
    since: Instant,
    /// The sender's process.
    sender: u32,
    /// The receiver's process, once it has accepted.
    receiver: Option<u32>,
    established: bool,
    /// The first message that the receiver has not read.
    next_to_read: u64,
    next_to_send: u64,
    messages: BTreeMap<u64, Message>,
    /// The latest failure.
    trouble: DropReason,
}

#[derive(Debug)]
struct Message {
    packet: PacketId,
    bytes: Vec<u8>,
    /// When it was first sent on the established connection.
    since: Instant,
    arrived: bool,
}

/// A step of a connection that waits in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamStep {
    pair: Pair,
    connection: u64,
    what: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The request to open arrives at the receiver.
    OpenArrives,
    /// Its acceptance arrives at the sender.
    AcceptArrives,
    /// The receiver's reset arrives at the sender.
    ResetArrives,
    /// The sender looks whether the connection stands.
    OpenRetry(u32),
    /// A message arrives at the receiver.
    SegmentArrives(u64),
    /// The sender looks whether the message arrived.
    SegmentRetry(u64, u32),
}

impl<D: Deed> World<D> {
    pub(crate) fn send_stream(&mut self, packet: PacketId, from: u32, to: u32, bytes: Vec<u8>) {
        let pair = (from, to);
        let sender = self.hosts[from as usize].generation;
        if self.streams.connections.get(&pair).is_some_and(|c| c.sender != sender) {
            self.give_up(pair, DropReason::SenderDown);
        }
        let now = self.now;
        let streams = &mut self.streams;
        let new = !streams.connections.contains_key(&pair);
        let connection = streams.connections.entry(pair).or_insert_with(|| {
            streams.opened += 1;
            Connection {
                id: streams.opened,
                since: now,
                sender,
                receiver: None,
                established: false,
                next_to_read: 0,
                next_to_send: 0,
                messages: BTreeMap::new(),
                trouble: DropReason::Loss,
            }
        });
        let seq = connection.next_to_send;
        connection.next_to_send += 1;
        connection.messages.insert(seq, Message { packet, bytes, since: now, arrived: false });
        if new {
            self.try_to_open(pair, 0);
        } else if connection.established {
            self.send_segment(pair, seq, 0);
        }
    }

    pub(crate) fn stream_step(&mut self, StreamStep { pair, connection, what }: StreamStep) {
        if self.streams.connections.get(&pair).is_none_or(|c| c.id != connection) {
            return;
        }
        let (from, to) = pair;
        match what {
            Step::OpenArrives if !self.cut(pair, from, to) => self.open_arrives(pair),
            Step::AcceptArrives if !self.cut(pair, to, from) => self.accept_arrives(pair),
            Step::ResetArrives if !self.cut(pair, to, from) => self.reset_arrives(pair),
            Step::SegmentArrives(seq) if !self.cut(pair, from, to) => self.segment_arrives(pair, seq),
            Step::OpenRetry(attempt) => {
                let Some(connection) = self.streams.connections.get(&pair) else { return };
                if connection.established {
                    return;
                }
                if self.now >= connection.since + GIVE_UP_AFTER {
                    self.give_up(pair, connection.trouble);
                } else {
                    self.try_to_open(pair, attempt);
                }
            }
            Step::SegmentRetry(seq, attempt) => {
                let Some(connection) = self.streams.connections.get(&pair) else { return };
                let Some(message) = connection.messages.get(&seq).filter(|m| !m.arrived) else { return };
                if self.now >= message.since + GIVE_UP_AFTER {
                    self.give_up(pair, connection.trouble);
                } else {
                    self.send_segment(pair, seq, attempt);
                }
            }
            Step::OpenArrives | Step::AcceptArrives | Step::ResetArrives | Step::SegmentArrives(_) => {}
        }
    }

    fn cut(&mut self, pair: Pair, from: u32, to: u32) -> bool {
        let cut = self.net.is_cut(from, to);
        if cut {
            self.trouble(pair, DropReason::Cut);
        }
        cut
    }

    fn trouble(&mut self, pair: Pair, why: DropReason) {
        if let Some(connection) = self.streams.connections.get_mut(&pair) {
            connection.trouble = why;
        }
    }

    fn queue_step(&mut self, after: Duration, pair: Pair, what: Step) {
        let Some(connection) = self.streams.connections.get(&pair) else { return };
        let step = StreamStep { pair, connection: connection.id, what };
        self.queue.push(self.now + after, Thing::Stream(step));
    }

    /// Sends a segment of the connection and lets `what` happen where it arrives.
    fn travel(&mut self, pair: Pair, from: u32, to: u32, what: Step) {
        let message = match what {
            Step::SegmentArrives(seq) => {
                self.streams.connections.get(&pair).and_then(|c| c.messages.get(&seq)).map(|m| m.bytes.len())
            }
            _ => None,
        };
        let bytes = fault::BARE_PACKET_BYTES + message.unwrap_or(0);
        match self.net.segment(self.now, from, to, bytes) {
            Ok(after) => self.queue_step(after, pair, what),
            Err(why) => self.trouble(pair, why),
        }
    }

    /// How long a sender waits for an answer: a round trip on top of the usual time.
    fn patience(&self, (from, to): Pair, first: Duration, attempt: u32) -> Duration {
        let round_trip = self.net.quality(from, to).latency_max + self.net.quality(to, from).latency_max;
        (first + round_trip).saturating_mul(1 << attempt.min(10))
    }

    fn try_to_open(&mut self, pair: Pair, attempt: u32) {
        let left = self
            .streams
            .connections
            .get(&pair)
            .map_or(Duration::ZERO, |c| (c.since + GIVE_UP_AFTER).saturating_since(self.now));
        let patience = self.patience(pair, OPEN_RETRY_FIRST, attempt).min(left);
        self.queue_step(patience, pair, Step::OpenRetry(attempt + 1));
        self.travel(pair, pair.0, pair.1, Step::OpenArrives);
    }

    fn open_arrives(&mut self, pair: Pair) {
        let receiver = &self.hosts[pair.1 as usize];
        match receiver.state {
            HostState::Running | HostState::Paused => {
                let generation = receiver.generation;
                if let Some(connection) = self.streams.connections.get_mut(&pair) {
                    connection.receiver = Some(generation);
                }
                self.travel(pair, pair.1, pair.0, Step::AcceptArrives);
            }
            HostState::Stopped => {
                self.trouble(pair, DropReason::Refused);
                self.travel(pair, pair.1, pair.0, Step::ResetArrives);
            }
            HostState::New | HostState::Crashed => self.trouble(pair, DropReason::HostDown),
        }
    }

    fn accept_arrives(&mut self, pair: Pair) {
        let now = self.now;
        let Some(connection) = self.streams.connections.get_mut(&pair) else { return };
        if connection.established {
            return;
        }
        connection.established = true;
        let waiting: Vec<u64> = connection.messages.keys().copied().collect();
        for message in connection.messages.values_mut() {
            message.since = now;
        }
        for seq in waiting {
            self.send_segment(pair, seq, 0);
        }
    }

    fn reset_arrives(&mut self, pair: Pair) {
        let Some(connection) = self.streams.connections.get(&pair) else { return };
        let (why, sender) = (connection.trouble, connection.sender);
        let first = connection.messages.values().next().map(|m| m.packet);
        self.give_up(pair, why);
        if let (DropReason::Refused, Some(packet)) = (why, first) {
            self.refusal_arrives(packet, pair.1, pair.0, sender);
        }
    }

    fn send_segment(&mut self, pair: Pair, seq: u64, attempt: u32) {
        let left = self
            .streams
            .connections
            .get(&pair)
            .and_then(|c| c.messages.get(&seq))
            .map_or(Duration::ZERO, |m| (m.since + GIVE_UP_AFTER).saturating_since(self.now));
        let patience = self.patience(pair, SEGMENT_RETRY_FIRST, attempt).min(left);
        self.queue_step(patience, pair, Step::SegmentRetry(seq, attempt + 1));
        self.travel(pair, pair.0, pair.1, Step::SegmentArrives(seq));
    }

    fn segment_arrives(&mut self, pair: Pair, seq: u64) {
        let Some(connection) = self.streams.connections.get_mut(&pair) else { return };
        let receiver = &self.hosts[pair.1 as usize];
        match receiver.state {
            HostState::New | HostState::Crashed => return self.trouble(pair, DropReason::HostDown),
            HostState::Running | HostState::Paused if connection.receiver == Some(receiver.generation) => {}
            HostState::Running | HostState::Paused | HostState::Stopped => {
                let stopped = receiver.state == HostState::Stopped;
                self.trouble(pair, if stopped { DropReason::Refused } else { DropReason::Reset });
                return self.travel(pair, pair.1, pair.0, Step::ResetArrives);
            }
        }
        let Some(message) = connection.messages.get_mut(&seq) else { return };
        if receiver.state == HostState::Paused
            && !receiver.rest.inbox.has_room_for_stream(message.bytes.len())
        {
            return self.trouble(pair, DropReason::Overflow);
        }
        message.arrived = true;
        self.read_in_order(pair);
    }

    /// Hands the receiver every message that has nothing missing before it.
    fn read_in_order(&mut self, pair: Pair) {
        let Some(connection) = self.streams.connections.get_mut(&pair) else { return };
        let mut ready = Vec::new();
        while connection.messages.get(&connection.next_to_read).is_some_and(|m| m.arrived) {
            ready.extend(connection.messages.remove(&connection.next_to_read));
            connection.next_to_read += 1;
        }
        if connection.messages.is_empty() {
            self.streams.connections.remove(&pair);
        }
        for Message { packet, bytes, .. } in ready {
            self.arrive(pair.1, Arrival::Stream { packet, from: pair.0, bytes });
        }
    }

    fn give_up(&mut self, pair: Pair, why: DropReason) {
        if let Some(connection) = self.streams.connections.remove(&pair) {
            for message in connection.messages.values() {
                self.dropped(message.packet, Some(pair.1), why);
            }
        }
    }

    /// The supervisor on this host ended. What its kernel has accepted still leaves, unless the host is off.
    pub(crate) fn close_streams_from(&mut self, index: u32, host_is_off: bool) {
        let open = self.streams.connections.range((index, 0)..=(index, u32::MAX));
        let lost: Vec<Pair> =
            open.filter(|(_, c)| host_is_off || !c.established).map(|(pair, _)| *pair).collect();
        for pair in lost {
            self.give_up(pair, DropReason::SenderDown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::testing::{self, A, B};
    use crate::action::world::{What, World};
    use crate::action::{Action, Crash, DiskAfter, Heal, Kill, Partition, Pause, Restart, Resume};
    use crate::engine::ids::HostId;
    use crate::engine::link::Ratio;
    use crate::engine::record::Recording;

    /// Packets of these tests, told apart from those that nodes send.
    const FIRST: u64 = 1 << 40;

    /// Sends messages from A to B, runs for a while, and returns the fate of each and its time, in milliseconds.
    fn fates(world: &mut World, count: u64) -> Vec<(u64, Result<(), DropReason>, u64)> {
        world.record(Recording::Packets);
        let since = world.now();
        for n in 0..count {
            world.send_stream(PacketId(FIRST + n), A.0, B.0, vec![0xff; 10]);
        }
        world.run_until(since + Duration::from_secs(60));
        let ours = |packet: PacketId| packet.0.checked_sub(FIRST);
        let mut fates = Vec::new();
        for record in world.drain_records() {
            let (packet, fate) = match record.what {
                What::Delivered { packet, .. } => (packet, Ok(())),
                What::Dropped { packet, why, .. } => (packet, Err(why)),
                _ => continue,
            };
            if let Some(n) = ours(packet) {
                fates.push((n, fate, record.at.saturating_since(since).as_millis() as u64));
            }
        }
        fates
    }

    fn refusals(world: &mut World) -> usize {
        let is_refusal = |w: &What| matches!(w, What::RefusalDelivered { packet, to, .. } if packet.0 >= FIRST && *to == A);
        world.drain_records().iter().filter(|r| is_refusal(&r.what)).count()
    }

    #[test]
    fn messages_arrive_in_order_and_once_whatever_is_lost() {
        for seed in 0..40 {
            let mut quality = testing::quality();
            quality.loss = Ratio { numerator: 30, denominator: 100 };
            let mut world = testing::pair(seed, quality);
            let fates = fates(&mut world, 20);
            let delivered: Vec<u64> = fates.iter().filter(|f| f.1.is_ok()).map(|f| f.0).collect();
            assert!(delivered.iter().copied().eq(0..delivered.len() as u64), "{delivered:?}");
            assert_eq!(fates.len(), 20, "every message is accounted for");
        }
    }

    #[test]
    fn setting_up_takes_a_round_trip() {
        let mut world = testing::pair(1, testing::quality());
        let fates = fates(&mut world, 1);
        // Three one-way trips of one to two milliseconds.
        assert!(matches!(fates[..], [(0, Ok(()), 3..=6)]), "{fates:?}");
    }

    #[test]
    fn a_cut_link_is_given_up_after_ten_seconds_and_one_that_heals_is_not() {
        let cut = Action::Partition(Partition { from: vec![A], to: vec![B], both: true });
        let mut world = testing::pair(1, testing::quality());
        world.apply(&cut).expect("possible");
        let lost = fates(&mut world, 1);
        assert!(matches!(lost[..], [(0, Err(DropReason::Cut), 10_000..10_100)]), "{lost:?}");

        let mut world = testing::pair(1, testing::quality());
        world.apply(&cut).expect("possible");
        world.send_stream(PacketId(FIRST + 7), A.0, B.0, vec![0xff]);
        world.run_until(world.now() + Duration::from_millis(2_500));
        world.apply(&Action::Heal(Heal::EVERYWHERE)).expect("possible");
        let late = fates(&mut world, 0);
        assert!(matches!(late[..], [(7, Ok(()), 400..1_000)]), "the third try is at three seconds: {late:?}");
    }

    #[test]
    fn a_host_without_supervisor_resets_and_a_crashed_one_is_silent() {
        let mut world = testing::pair(1, testing::quality());
        world.apply(&Action::Kill(Kill { host: B })).expect("possible");
        world.record(Recording::Packets);
        world.send_stream(PacketId(FIRST), A.0, B.0, vec![0xff]);
        world.run_until(world.now() + Duration::from_millis(10));
        assert_eq!(refusals(&mut world), 1);

        let mut world = testing::pair(1, testing::quality());
        world.apply(&Action::Crash(Crash { host: B })).expect("possible");
        let lost = fates(&mut world, 2);
        assert!(lost.iter().all(|f| f.1 == Err(DropReason::HostDown) && f.2 >= 10_000), "{lost:?}");
        assert_eq!(refusals(&mut world), 0);
    }

    #[test]
    fn a_receiver_that_restarts_resets_what_was_open() {
        let mut world = testing::pair(1, testing::quality());
        world.record(Recording::Packets);
        world.send_stream(PacketId(FIRST), A.0, B.0, vec![0xff]);
        while world.streams.connections.get(&(A.0, B.0)).is_some_and(|c| !c.established) {
            assert!(world.step());
        }
        world.apply(&Action::Kill(Kill { host: B })).expect("possible");
        world.apply(&Action::Restart(Restart { host: B, disk: DiskAfter::Kept })).expect("possible");
        let lost = fates(&mut world, 0);
        assert!(matches!(lost[..], [(0, Err(DropReason::Reset), _)]), "{lost:?}");
    }

    #[test]
    fn what_a_paused_receiver_has_accepted_waits_for_it() {
        let mut world = testing::pair(1, testing::quality());
        world.apply(&Action::Pause(Pause { host: B })).expect("possible");
        assert_eq!(fates(&mut world, 3), []);
        world.apply(&Action::Resume(Resume { host: B })).expect("possible");
        let delivered = fates(&mut world, 0);
        assert_eq!(delivered.iter().map(|f| (f.0, f.2)).collect::<Vec<_>>(), [(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn a_sender_that_crashes_takes_its_messages_with_it() {
        let mut world = testing::pair(1, testing::quality());
        world.record(Recording::Packets);
        world.send_stream(PacketId(FIRST), A.0, B.0, vec![0xff]);
        world.apply(&Action::Crash(Crash { host: A })).expect("possible");
        assert!(matches!(fates(&mut world, 0)[..], [(0, Err(DropReason::SenderDown), 0)]));
        assert!(!world.streams.connections.contains_key(&(A.0, HostId(1).0)));
    }
}
