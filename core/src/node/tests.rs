//! A few nodes and a perfect network, which test the wiring. The simulator tests faults.

mod elections;
mod gone;
mod group_config;
mod later;
mod repair;
mod replay;
mod sync;
mod telling;
mod whereabouts;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::Node;
use crate::model::channel::Channel;
use crate::model::command::{Command, Reply};
use crate::model::config::Config;
use crate::model::event::EventKind;
use crate::model::id::{EffectId, Incarnation, MemberId, RequestId};
use crate::model::identity::{KeyedHash, Sign as _, Signer};
use crate::model::io::{Effect, EffectResult, ExitReason, Input, Output};
use crate::model::member::{MemberRecord, State};
use crate::model::ring_key::RingKeyId;
use crate::model::row::Table;
use crate::model::rumor::{MemberRumor, Rumor, Told};
use crate::model::stamp::{Series, Stamp};
use crate::model::time::{Instant, UnixTime};
use crate::store::snapshot::Snapshot;
use crate::wire::convert::member_to_wire;
use crate::wire::swim;

const PORT: u16 = 9638;

fn address(host: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host as u8 + 1)), PORT)
}

/// An input under way to a node: a message, or an effect's result.
enum Parcel {
    Message { from: SocketAddr, channel: Channel, bytes: Vec<u8>, stamp: Option<Stamp> },
    Done(EffectId, Box<EffectResult>),
}

type Parcels = VecDeque<(Instant, usize, Parcel)>;

/// In the order of their times.
fn put(parcels: &mut Parcels, parcel: (Instant, usize, Parcel)) {
    let place = parcels.partition_point(|earlier| earlier.0 <= parcel.0);
    parcels.insert(place, parcel);
}

struct Host {
    node: Option<Node>,
    wake: Instant,
    disk: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Every row that was ever written.
    written: Vec<(Table, Vec<u8>)>,
    disk_ms: u64,
    events: Vec<EventKind>,
    replies: Vec<(RequestId, Reply)>,
    exit: Option<ExitReason>,
    config: Config,
    /// How often it was started.
    boot: u32,
}

/// The key of a member that no test names.
fn signer() -> Signer {
    Box::new(KeyedHash::new([1; 32]))
}

/// A rumor with the word of the member that has this key.
fn said_by(key: KeyedHash, rumor: &Rumor) -> Told<'static> {
    Told::decode(&rumor.encode_signed(&key)).expect("a rumor").into_owned()
}

pub(super) struct Ring {
    hosts: Vec<Host>,
    now: Instant,
    parcels: Parcels,
    requests: u64,
    disk_fails: bool,
    network: later::Network,
    /// Whether messages have numbers, and what an attacker keeps of them.
    is_keyed: bool,
    kept: Vec<replay::Kept>,
}

impl Ring {
    pub(super) fn new(count: usize) -> Self {
        Self::of(count, false)
    }

    fn of(count: usize, is_keyed: bool) -> Self {
        let mut ring = Self {
            hosts: Vec::new(),
            now: Instant::ZERO,
            parcels: VecDeque::new(),
            requests: 0,
            disk_fails: false,
            network: later::Network::default(),
            is_keyed,
            kept: Vec::new(),
        };
        for i in 0..count {
            let mut config = Config::new(PORT);
            if i > 0 {
                config.peers = vec![address(0)];
            }
            ring.hosts.push(Host {
                node: None,
                wake: Instant::FAR_FUTURE,
                disk: BTreeMap::new(),
                written: Vec::new(),
                disk_ms: 1,
                events: Vec::new(),
                replies: Vec::new(),
                exit: None,
                config,
                boot: 0,
            });
            ring.start(i);
        }
        ring
    }

    /// The key of the member on a host.
    fn key(&self, i: usize) -> KeyedHash {
        assert!(i < self.hosts.len(), "there is such a host");
        KeyedHash::new([i as u8 + 1; 32])
    }

    fn start(&mut self, i: usize) {
        let host = &mut self.hosts[i];
        let rows = host.disk.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_slice()));
        let snapshot = Snapshot::decode(rows).expect("own rows are readable");
        let seed = [i as u8 + 1; 32];
        host.exit = None;
        let signer = Box::new(KeyedHash::new(seed));
        let mut node = Node::new(host.config.clone(), signer, snapshot, seed, self.now, UnixTime::default());
        host.boot += 1;
        if self.is_keyed {
            node.begin_series(Series::new(host.boot, [u64::from(host.boot) << 8 | i as u64; 2]));
        }
        host.node = Some(node);
        self.drain(i);
    }

    fn crash(&mut self, i: usize) {
        self.hosts[i].node = None;
        self.hosts[i].wake = Instant::FAR_FUTURE;
        self.parcels.retain(|(_, to, _)| *to != i);
    }

    fn input(&mut self, i: usize, input: Input<'_>) {
        if let Some(node) = &mut self.hosts[i].node {
            node.handle_input(self.now, UnixTime::default(), input);
            self.drain(i);
        }
    }

    fn drain(&mut self, i: usize) {
        let at = self.now + Duration::from_millis(1);
        let hosts = self.hosts.len();
        let host = &mut self.hosts[i];
        let Some(node) = &mut host.node else { return };
        node.check_invariants();
        while let Some(output) = node.poll_output() {
            match output {
                Output::Transmit(t) => {
                    // Damaged messages name addresses at which no host is.
                    let Some(to) = (0..hosts).find(|h| address(*h) == t.to) else { continue };
                    let from = address(i);
                    for bytes in self.network.carry(i, to, t.channel, t.bytes) {
                        let (channel, stamp) = (t.channel, t.stamp);
                        if self.is_keyed {
                            let bytes = bytes.clone();
                            self.kept.push(replay::Kept { from: i, to, channel, bytes, stamp });
                        }
                        put(&mut self.parcels, (at, to, Parcel::Message { from, channel, bytes, stamp }));
                    }
                }
                Output::Effect(_, Effect::Exit(reason)) => host.exit = Some(reason),
                Output::Effect(id, Effect::Persist { .. }) if self.disk_fails => {
                    let failed = EffectResult::PersistFailed("disk full".into());
                    put(&mut self.parcels, (at, i, Parcel::Done(id, Box::new(failed))));
                }
                Output::Effect(id, Effect::Persist { writes, .. }) => {
                    let at = self.now + Duration::from_millis(host.disk_ms);
                    for w in writes {
                        host.written.push((w.table, w.key.clone()));
                        match w.value {
                            Some(value) => host.disk.insert((w.table, w.key), value),
                            None => host.disk.remove(&(w.table, w.key)),
                        };
                    }
                    put(&mut self.parcels, (at, i, Parcel::Done(id, Box::new(EffectResult::Persisted))));
                }
                Output::Effect(..) => {}
                Output::Reply(id, reply) => host.replies.push((id, reply)),
                Output::Event(event) => host.events.push(event.kind),
                Output::WakeAt(at, _) => host.wake = at,
            }
        }
        if host.exit.is_some() {
            host.node = None;
            host.wake = Instant::FAR_FUTURE;
        }
    }

    pub(super) fn run_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let wake = self.hosts.iter().map(|h| h.wake).min().unwrap_or(end);
            let parcel = self.parcels.front().map_or(Instant::FAR_FUTURE, |p| p.0);
            let next = wake.min(parcel);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if parcel <= wake {
                let (_, to, parcel) = self.parcels.pop_front().expect("there is one");
                match &parcel {
                    Parcel::Message { from, channel: Channel::Datagram, bytes, stamp } => {
                        self.input(
                            to,
                            Input::Datagram { from: *from, bytes, key: RingKeyId::CLEAR, stamp: *stamp },
                        );
                    }
                    Parcel::Message { from, channel: Channel::Stream, bytes, stamp } => {
                        self.input(
                            to,
                            Input::Stream { from: *from, bytes, key: RingKeyId::CLEAR, stamp: *stamp },
                        );
                    }
                    Parcel::Done(id, result) => self.input(to, Input::EffectDone(*id, (**result).clone())),
                }
            } else {
                let i = (0..self.hosts.len()).find(|i| self.hosts[*i].wake == wake).expect("a host wakes");
                self.input(i, Input::Wake);
            }
        }
    }

    fn command(&mut self, i: usize, command: Command) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.input(i, Input::Command(id, command));
        id
    }

    fn reply(&self, i: usize, id: RequestId) -> Option<&Reply> {
        self.hosts[i].replies.iter().find(|(r, _)| *r == id).map(|(_, reply)| reply)
    }

    fn node(&self, i: usize) -> &Node {
        self.hosts[i].node.as_ref().expect("it runs")
    }

    fn id(&self, i: usize) -> MemberId {
        self.node(i).id()
    }

    /// How each running node sees a member.
    fn views(&self, id: &MemberId) -> Vec<Option<State>> {
        let running = self.hosts.iter().filter_map(|h| h.node.as_ref());
        running.map(|n| n.member(id).map(|m| m.state)).collect()
    }

    fn all_alive(&self) -> bool {
        let running = || self.hosts.iter().filter_map(|h| h.node.as_ref());
        let count = running().count();
        running().all(|n| n.count(State::Alive) == count)
    }
}

#[test]
fn a_node_knows_itself_from_the_start() {
    let mut ring = Ring::new(1);
    ring.run_ms(10);
    let node = ring.node(0);
    assert_eq!(node.member(&node.id()).map(|m| m.state), Some(State::Alive));
    assert_eq!(node.incarnation(), Incarnation(1));
}

#[test]
fn newcomers_know_everybody_within_a_second() {
    let mut ring = Ring::new(20);
    ring.run_ms(1_000);
    assert!(ring.all_alive());
    let zero = ring.id(0);
    let knows_its_address = ring.node(0).member(&zero).map(|m| m.address);
    assert_eq!(knows_its_address, Some(address(0).ip()));
}

#[test]
fn a_crash_is_confirmed_and_a_restart_keeps_the_identity() {
    let mut ring = Ring::new(5);
    ring.run_ms(2_000);
    let victim = ring.id(3);
    ring.crash(3);
    ring.run_ms(10_000);
    assert_eq!(ring.views(&victim), [Some(State::Confirmed); 4]);
    ring.start(3);
    ring.run_ms(1_000);
    assert_eq!(ring.id(3), victim);
    assert!(ring.node(3).incarnation() > Incarnation(1));
    assert!(ring.all_alive());
}

#[test]
fn leaving_is_announced_and_answered() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let leaver = ring.id(2);
    let request = ring.command(2, Command::Leave { drain: true });
    ring.run_ms(200);
    let others = [0, 1, 3].map(|i| ring.node(i).member(&leaver).map(|m| m.state));
    assert_eq!(others, [Some(State::Departed); 3]);
    assert_eq!(ring.hosts[2].exit, None, "it answers until the news has spread");
    ring.run_ms(3_000);
    assert_eq!(ring.hosts[2].exit, Some(ExitReason::Left));
    assert_eq!(ring.reply(2, request), Some(&Reply::Done));
    ring.start(2);
    ring.run_ms(1_500);
    assert!(ring.all_alive());
}

#[test]
fn a_ban_ends_the_member_and_outlives_restarts() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let banned = ring.id(1);
    let request = ring.command(0, Command::Depart { member: banned });
    ring.run_ms(2_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Done));
    assert_eq!(ring.hosts[1].exit, Some(ExitReason::Departed));
    ring.start(1);
    ring.run_ms(5_000);
    assert_eq!(ring.hosts[1].exit, Some(ExitReason::Departed), "its own disk remembers");
    // Its disk is replaced by one from before the ban, and all other members restart.
    ring.hosts[1].disk.retain(|(table, _), _| *table == Table::Identity);
    for i in [0, 2, 3] {
        ring.crash(i);
        ring.start(i);
    }
    ring.start(1);
    ring.run_ms(3_000);
    assert_eq!(ring.hosts[1].exit, Some(ExitReason::Departed));
    assert!(ring.views(&banned).iter().all(|s| !matches!(s, Some(State::Alive | State::Suspect))));
}

#[test]
fn unknown_members_and_rubbish_are_refused() {
    let mut ring = Ring::new(2);
    ring.run_ms(1_000);
    let stranger = MemberId::from_bytes([9; 16]);
    let request = ring.command(0, Command::Depart { member: stranger });
    assert!(matches!(ring.reply(0, request), Some(Reply::Failed(_))));
    for bytes in [&b""[..], &[0xff; 40], &[0; 2000]] {
        ring.input(0, Input::Datagram { from: address(1), bytes, key: RingKeyId::CLEAR, stamp: None });
        ring.input(0, Input::Stream { from: address(1), bytes, key: RingKeyId::CLEAR, stamp: None });
    }
    assert_eq!(ring.node(0).metrics().decode_errors, 6);
    assert!(ring.hosts[0].events.iter().any(|e| matches!(e, EventKind::DecodeFailed { .. })));
    ring.run_ms(1_000);
    assert!(ring.all_alive());
}

#[test]
#[should_panic(expected = "drained")]
fn a_second_input_before_the_drain_is_refused() {
    let mut node = Node::new(Config::new(PORT), signer(), None, [1; 32], Instant::ZERO, UnixTime::default());
    node.handle_input(Instant::ZERO, UnixTime::default(), Input::Wake);
}

#[test]
fn an_old_disk_costs_one_exchange_and_no_more_while_the_new_one_is_slow() {
    let mut ring = Ring::new(2);
    ring.run_ms(2_000);
    let rows = ring.hosts[1].disk.clone();
    for _ in 0..4 {
        ring.crash(1);
        ring.start(1);
        ring.run_ms(2_000);
    }
    ring.crash(1);
    ring.hosts[1].disk = rows;
    ring.start(1);
    ring.run_ms(50);
    ring.disk_fails = true;
    let before = ring.node(0).metrics().streams_sent;
    ring.run_ms(10_000);
    let streams = ring.node(0).metrics().streams_sent - before;
    assert!(streams < 200, "{streams} stream messages in ten seconds");
    ring.disk_fails = false;
    ring.run_ms(20_000);
    assert!(ring.all_alive());
}

#[test]
fn batches_that_could_not_be_stored_are_stored_later() {
    let mut ring = Ring::new(3);
    ring.run_ms(500);
    ring.disk_fails = true;
    ring.run_ms(15_000);
    ring.disk_fails = false;
    ring.run_ms(60_000);
    let members = ring.hosts[0].disk.keys().filter(|(table, _)| *table == Table::Member).count();
    assert_eq!(members, 2);
}

#[test]
fn a_supervisor_that_bans_itself_tells_the_others() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let own = ring.id(2);
    let request = ring.command(2, Command::Depart { member: own });
    ring.run_ms(5_000);
    assert_eq!(ring.reply(2, request), Some(&Reply::Done));
    assert_eq!(ring.hosts[2].exit, Some(ExitReason::Departed));
    assert!([0, 1, 3].iter().all(|i| ring.node(*i).is_banned(&own)));
}

#[test]
fn a_farewell_uses_an_incarnation_that_is_on_disk() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let leaver = ring.id(1);
    // Another member accuses it at the moment in which its operator tells it to leave.
    let accusation = MemberRecord { state: State::Suspect, ..ring.node(0).member(&leaver).expect("known") };
    let rumor = MemberRumor::new(accusation).to_wire();
    let from = member_to_wire(&ring.node(0).member(&ring.id(0)).expect("itself"));
    let bytes = swim::encode(from, &swim::Body::Gossip, vec![rumor], Vec::new(), 0);
    ring.input(1, Input::Datagram { from: address(0), bytes: &bytes, key: RingKeyId::CLEAR, stamp: None });
    ring.command(1, Command::Leave { drain: true });
    ring.run_ms(5_000);
    let rows = ring.hosts[1].disk.iter().map(|((t, k), v)| (*t, k.as_slice(), v.as_slice()));
    let stored = Snapshot::decode(rows).expect("readable").expect("there").incarnation;
    let told = ring.node(0).member(&leaver).expect("remembered");
    assert_eq!(told.state, State::Departed);
    assert_eq!(stored, told.incarnation, "what is stored is told: it prevails over all that was said before");
}

#[test]
fn a_disk_without_its_key_is_taken_over_by_a_member_of_its_own() {
    let mut ring = Ring::new(2);
    ring.run_ms(2_000);
    let former = ring.node(0).id();
    ring.crash(0);
    ring.crash(1);
    let vote = (Table::Election, b"redis.default".to_vec());
    ring.hosts[1].disk = ring.hosts[0].disk.clone();
    ring.hosts[1].disk.insert(vote.clone(), Vec::new());
    ring.start(1);
    ring.start(0);
    ring.run_ms(2_000);
    assert_ne!(ring.node(1).id(), former);
    let told = ring.hosts[1].events.iter().filter(|e| **e == EventKind::IdentityTakenOver { former }).count();
    assert_eq!(told, 1);
    assert!(!ring.hosts[1].disk.contains_key(&vote), "a vote of another member is never found again");
    assert!(ring.all_alive());
    ring.crash(1);
    ring.start(1);
    ring.run_ms(1_000);
    let told = ring.hosts[1].events.iter().filter(|e| **e == EventKind::IdentityTakenOver { former }).count();
    assert_eq!(told, 1, "from then on they are its own records");
}

#[test]
fn told_to_leave_before_it_could_begin() {
    let mut node = Node::new(Config::new(PORT), signer(), None, [1; 32], Instant::ZERO, UnixTime::default());
    let Some(Output::Effect(id, Effect::Persist { .. })) = node.poll_output() else { panic!("unexpected") };
    while node.poll_output().is_some() {}
    node.handle_input(
        Instant::ZERO,
        UnixTime::default(),
        Input::Command(RequestId(1), Command::Leave { drain: true }),
    );
    while node.poll_output().is_some() {}
    node.handle_input(Instant::ZERO, UnixTime::default(), Input::EffectDone(id, EffectResult::Persisted));
    assert!(!node.is_ready());
}

#[test]
fn an_ack_for_somebody_who_is_no_longer_there_does_not_go_round_for_ever() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    // Before it lost its disk, the second host was another member, which had asked for an indirect probe.
    let here = ring.node(0).member(&ring.id(1)).expect("known");
    let former = MemberRecord { id: MemberId::from_bytes([7; 16]), address: address(1).ip(), ..here };
    let from = member_to_wire(&ring.node(0).member(&ring.id(0)).expect("itself"));
    let ack = swim::Body::Ack { seq: crate::model::id::ProbeSeq(1), forward_to: Some(former) };
    let bytes = swim::encode(from, &ack, Vec::new(), Vec::new(), 0);
    let before = ring.node(1).metrics().datagram_bytes_sent;
    ring.input(1, Input::Datagram { from: address(0), bytes: &bytes, key: RingKeyId::CLEAR, stamp: None });
    ring.run_ms(2_000);
    let sent = ring.node(1).metrics().datagram_bytes_sent - before;
    assert!(sent < 5_000, "{sent} bytes in two seconds");
}

/// A rumor that was never told: a ping's hash shows the difference, and an exchange ends it, long before the next one of
/// its own accord.
#[test]
fn a_member_that_missed_a_rumor_learns_it_within_a_few_probes() {
    use crate::model::id::ServiceGroup;
    use crate::model::rumor::{RumorKey, ServiceConfig, Version};
    let mut ring = Ring::new(4);
    ring.run_ms(90_000);
    let group: ServiceGroup = "web.default".parse().expect("a valid group");
    let key = KeyedHash::new([1; 32]);
    let version = Version::new(1, b"port = 1".to_vec(), Some(key.id()));
    let config = Rumor::ServiceConfig(ServiceConfig { group: group.clone(), version });
    let now = ring.now;
    let node = ring.hosts[0].node.as_mut().expect("it runs");
    node.rumors.insert(now, &said_by(key, &config));
    let holders = |ring: &Ring| {
        let key = RumorKey::ServiceConfig(group.clone());
        (0..4).filter(|i| ring.node(*i).rumor(&key).is_some()).count()
    };
    assert_eq!(holders(&ring), 1);
    ring.run_ms(2_500);
    assert_eq!(holders(&ring), 4);
    let syncs = |ring: &Ring| (0..4).map(|i| ring.node(i).metrics().syncs).sum::<u64>();
    ring.run_ms(90_000);
    let before = syncs(&ring);
    ring.run_ms(90_000);
    assert!(syncs(&ring) - before <= 4 * 6, "members that hold the same exchange as rarely as before");
}

/// A check costs time, so a source of false words is not given as much of it as it asks for.
#[test]
fn a_source_of_false_words_has_few_of_them_checked_and_another_all() {
    use crate::model::channel::Channel;
    use crate::model::rumor::{ServiceConfig, Version};
    let mut ring = Ring::new(1);
    ring.run_ms(1_000);
    let key = KeyedHash::new([9; 32]);
    let said = |number: u64, is_true: bool| {
        let version = Version::new(number, b"port = 1".to_vec(), Some(key.id()));
        let group = "web.default".parse().expect("a valid group");
        let mut bytes = Rumor::ServiceConfig(ServiceConfig { group, version }).encode_signed(&key);
        if !is_true {
            // The signature is what is encoded last.
            *bytes.last_mut().expect("not empty") ^= 1;
        }
        Told::decode(&bytes).expect("a rumor").into_owned()
    };
    let node = ring.hosts[0].node.as_mut().expect("it runs");
    let (liar, other) = ((address(7), Channel::Datagram), (address(8), Channel::Datagram));
    assert!((1..=2_000).all(|number| node.authentic(said(number, false), liar).is_none()));
    let checked = node.metrics().signatures_checked;
    assert!((1..=100).contains(&checked), "{checked}");
    assert_eq!(node.metrics().statements_refused, 2_000);
    assert!(node.authentic(said(3_000, true), liar).is_none(), "it waits, whatever it says now");
    assert!(node.authentic(said(3_000, true), other).is_some());
}
