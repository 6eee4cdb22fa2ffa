//! A member that speaks kinds and fields of a later version, in a ring of today's.
//!
//! What it sends is a node's, with more in it: a field that is unknown in every message and member, bodies of unknown
//! kinds, sealed messages, and rumors that only a later version understands.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use prost::Message as _;

use super::{Ring, address};
use crate::model::channel::Channel;
use crate::model::event::EventKind;
use crate::model::identity::{KeyedHash, Sign as _};
use crate::model::io::Input;
use crate::model::limits::{DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, OPAQUES_MAX};
use crate::model::member::State;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{Rumor, RumorKey};
use crate::model::time::Instant;
use crate::wire::VOUCH_LEN;
use crate::wire::convert::member_to_wire;

/// A field of bytes.
fn field(tag: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::bytes::encode(tag, &bytes.to_vec(), &mut field);
    field
}

fn number(tag: u32, value: u64) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::uint64::encode(tag, &value, &mut field);
    field
}

/// The fields of a message that was encoded here: tag, content where it is bytes, and the whole field.
fn fields(message: &[u8]) -> Vec<(u32, Option<Vec<u8>>, Vec<u8>)> {
    use crate::wire::fields::{Fields, Value};
    Fields::of(message)
        .map(|field| {
            let field = field.expect("a node's own message");
            let bytes = if let Value::Bytes(bytes) = field.value { Some(bytes.to_vec()) } else { None };
            (field.tag, bytes, field.raw.to_vec())
        })
        .collect()
}

/// A message with a field that nobody knows, and with the same in what it holds under the tags of each level below.
fn with_more(message: &[u8], levels: &[&[u32]]) -> Vec<u8> {
    let mut more = Vec::new();
    let (tags, below) = levels.split_first().map_or((&[][..], levels), |(tags, below)| (*tags, below));
    for (tag, bytes, raw) in fields(message) {
        match bytes {
            Some(bytes) if tags.contains(&tag) => more.extend(field(tag, &with_more(&bytes, below))),
            _ => more.extend(raw),
        }
    }
    more.extend(field(170, b"of a later version"));
    more
}

/// A rumor of a later kind, with what an earlier version needs to join it.
pub(super) fn rumor(subject: &[u8], version: u64, content: &[u8]) -> Vec<u8> {
    let about = [field(1, subject), number(2, version)].concat();
    [number(1, 77), field(110, &about), field(120, content)].concat()
}

/// The same, saying that its subject is no more.
pub(super) fn withdrawn(subject: &[u8], version: u64) -> Vec<u8> {
    let about = [field(1, subject), number(2, version), number(3, 1)].concat();
    [number(1, 77), field(110, &about)].concat()
}

/// What the member of the later version tells.
fn told() -> Vec<Vec<u8>> {
    let group = field(1, b"web.default");
    let writer = KeyedHash::new([5; 32]);
    let by = field(100, &writer.id().to_hex());
    let sealed =
        [group.clone(), number(2, 4), number(3, 1), field(4, b"BOX-1 ciphertext"), by.clone()].concat();
    let known = [group, number(2, 1), field(4, b"port = 1"), by, field(140, b"of a later version")].concat();
    let signed = |said: Vec<u8>| {
        let signed = Rumor::decode(&said).expect("a rumor").encode_signed(&writer);
        [said, signed[signed.len() - VOUCH_LEN..].to_vec()].concat()
    };
    vec![
        rumor(b"a", 1, b"one"),
        rumor(b"b", 9, &[7; 2_000]),
        [number(1, 78), field(3, b"a member"), field(130, b"no subject is named")].concat(),
        signed([number(1, 4), field(6, &sealed)].concat()),
        signed([number(1, 4), field(6, &known), field(150, b"of the rumor")].concat()),
    ]
}

/// The network between the nodes of a test.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// Who speaks as a later version does.
    later: Option<usize>,
    /// Datagrams of a hundred that are lost.
    loss: u64,
    /// Who is cut off from those that are not listed.
    pub(super) cut: BTreeSet<usize>,
    /// Streams hang: their first packets were lost.
    pub(super) streams_hang: bool,
    /// How many messages had this text in them.
    pub(super) carried: (&'static str, usize),
    chance: u64,
    sent: usize,
}

impl Network {
    pub(super) fn carry(&mut self, from: usize, to: usize, channel: Channel, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lost = channel == Channel::Datagram && (self.chance >> 33) % 100 < self.loss;
        let text = self.carried.0.as_bytes();
        let has_text = !text.is_empty() && bytes.windows(text.len()).any(|part| part == text);
        self.carried.1 += usize::from(has_text);
        let hangs = channel == Channel::Stream && self.streams_hang;
        if lost || hangs || self.cut.contains(&from) != self.cut.contains(&to) {
            return Vec::new();
        }
        if self.later != Some(from) {
            return vec![bytes];
        }
        self.sent += 1;
        self.speak(channel, &bytes)
    }

    /// What a later version sends where a node of today sends this.
    fn speak(&self, channel: Channel, bytes: &[u8]) -> Vec<Vec<u8>> {
        let [(3, Some(payload), _)] = &fields(bytes)[..] else { panic!("an envelope holds a payload") };
        let wrap = |payload: &[u8]| [field(20, b"of the envelope"), field(3, payload)].concat();
        let told = told();
        let rumor = &told[self.sent % told.len()];
        let mut payload = match channel {
            Channel::Datagram => {
                let bodies = [2, 3, 4, 5, 6, 100, 101, 103];
                let mut payload = with_more(payload, &[&bodies, &[1]]);
                if payload.len() + rumor.len() + 20 < DATAGRAM_BYTES_MAX {
                    payload.extend(field(102, rumor));
                }
                payload
            }
            Channel::Stream => with_more(payload, &[&[100]]),
        };
        // One rumor and one record of a member that nobody can read.
        if channel == Channel::Datagram {
            payload.extend([field(102, b"\x08"), field(5, b"\x0a\xff")].concat());
        }
        let from = fields(&payload).into_iter().find_map(|(tag, bytes, _)| match (channel, tag) {
            (Channel::Datagram, 2 | 3 | 4 | 100 | 101 | 103) => {
                bytes.and_then(|body| fields(&body).into_iter().find(|f| f.0 == 1)).and_then(|f| f.1)
            }
            (Channel::Stream, 100) => bytes,
            _ => None,
        });
        let from = from.expect("its sender");
        let mut messages = vec![wrap(&payload)];
        if self.sent.is_multiple_of(3) {
            messages.push(match channel {
                Channel::Datagram => wrap(&[number(1, 177), field(177, &field(1, &from))].concat()),
                Channel::Stream => wrap(&[field(100, &from), field(177, b"a body")].concat()),
            });
        }
        if self.sent.is_multiple_of(7) {
            messages.push([number(1, 1), field(2, &[9; 24]), field(3, &[0xff; 40])].concat());
        }
        messages
    }
}

impl Ring {
    /// What node `i` holds of what only a later version understands, and of the configuration that it tells.
    fn of_later_version(&self, i: usize) -> Vec<(RumorKey, Vec<u8>)> {
        let keys = self.node(i).rumors().map(Rumor::key);
        let keys = keys.filter(|key| {
            matches!(key, RumorKey::Opaque { .. } | RumorKey::ServiceConfig(_) | RumorKey::SealedConfig(_))
        });
        keys.map(|key| (key.clone(), self.node(i).rumors.told(&key).expect("held"))).collect()
    }

    fn word_of(&self, i: usize) -> Vec<u8> {
        member_to_wire(&self.node(i).member(&self.id(i)).expect("itself")).encode_to_vec()
    }

    pub(super) fn hears(&mut self, i: usize, rumor: &[u8]) {
        let other = (i + 1) % self.hosts.len();
        let payload = [field(100, &self.word_of(other)), field(101, rumor)].concat();
        self.input(
            i,
            Input::Stream {
                from: address(other),
                bytes: &field(3, &payload),
                key: RingKeyId::CLEAR,
                stamp: None,
            },
        );
    }

    fn suspicions(&self) -> Vec<&EventKind> {
        let events = self.hosts.iter().flat_map(|host| &host.events);
        let worse = |kind: &&EventKind| {
            matches!(kind, EventKind::MemberChanged { to: State::Suspect | State::Confirmed, .. })
        };
        events.filter(worse).collect()
    }

    /// Records that were exchanged in digest exchanges during the next while.
    fn exchanged_within(&mut self, ms: u64) -> usize {
        let count = |ring: &Self| {
            let events = ring.hosts.iter().flat_map(|host| &host.events);
            events.filter(|kind| matches!(kind, EventKind::Synced { .. })).count()
        };
        let before = count(self);
        self.run_ms(ms);
        count(self) - before
    }

    fn all_hold(&self, wanted: &[Vec<u8>]) {
        let mut wanted = wanted.to_vec();
        wanted.sort();
        for i in 0..self.hosts.len() {
            let mut held: Vec<Vec<u8>> =
                self.of_later_version(i).into_iter().map(|(_, bytes)| bytes).collect();
            held.sort();
            assert!(held == wanted, "node {i} holds {held:?}");
        }
    }
}

#[test]
fn a_member_of_a_later_version_lives_in_a_ring_of_todays() {
    let mut ring = Ring::new(5);
    ring.network = Network { later: Some(4), loss: 10, ..Network::default() };
    ring.run_ms(180_000);
    assert!(ring.all_alive());
    assert_eq!(ring.suspicions(), Vec::<&EventKind>::new());
    let heard = ring.node(0).metrics().clone();
    assert!(heard.messages_sealed > 0 && heard.parts_skipped > 0 && heard.datagrams_received.unknown > 0);
    // Its rumors are everywhere as it told them, and nothing is left to be exchanged.
    ring.all_hold(&told());
    assert_eq!(ring.exchanged_within(120_000), 0);

    // The disk remembers them without its author, and an empty disk learns them from the others.
    ring.network = Network::default();
    ring.run_ms(15_000);
    for i in 0..5 {
        ring.crash(i);
    }
    ring.hosts[2].disk.clear();
    ring.start(1);
    assert_eq!(ring.of_later_version(1).len(), told().len());
    for i in [0, 2, 3, 4] {
        ring.start(i);
    }
    ring.run_ms(60_000);
    ring.all_hold(&told());
}

#[test]
fn what_one_side_of_a_partition_heard_reaches_the_other_after_it_heals() {
    let mut ring = Ring::new(5);
    ring.run_ms(2_000);
    ring.network.cut = BTreeSet::from([0, 1]);
    ring.run_ms(30_000);
    let (old, new) = (rumor(b"a", 1, b"old"), rumor(b"a", 2, b"new"));
    ring.hears(0, &new);
    ring.hears(3, &old);
    ring.hears(3, &rumor(b"b", 1, b"other"));
    ring.run_ms(5_000);
    assert_eq!((ring.of_later_version(1).len(), ring.of_later_version(4).len()), (1, 2));
    ring.network.cut.clear();
    ring.run_ms(90_000);
    assert!(ring.all_alive());
    ring.all_hold(&[new, rumor(b"b", 1, b"other")]);
    assert_eq!(ring.exchanged_within(120_000), 0);
}

#[test]
fn a_flood_of_unknown_kinds_is_bounded_and_the_ring_lives_on() {
    let mut ring = Ring::new(5);
    ring.run_ms(2_000);
    for n in 0..OPAQUES_MAX as u32 + 500 {
        ring.hears((n % 5) as usize, &rumor(&n.to_le_bytes(), 1, &[1; 300]));
        if n % 100 == 0 {
            ring.run_ms(100);
        }
    }
    ring.run_ms(180_000);
    assert!(ring.all_alive());
    assert_eq!(ring.suspicions(), Vec::<&EventKind>::new());
    let held = ring.of_later_version(0);
    assert_eq!(held.len(), OPAQUES_MAX);
    assert!((1..5).all(|i| ring.of_later_version(i) == held), "all dropped the same");
    assert_eq!(ring.exchanged_within(120_000), 0);
    let said =
        ring.hosts[0].events.iter().filter(|kind| matches!(kind, EventKind::LimitReached { .. })).count();
    assert_eq!(said, 1, "a flood is reported once");
    let rows = ring.hosts[0].disk.iter().filter(|((_, key), _)| key.starts_with(b"opaque\0")).count();
    assert_eq!(rows, OPAQUES_MAX, "what was dropped leaves the disk");
}

#[test]
fn members_with_datagrams_of_different_sizes_understand_each_other() {
    let mut ring = Ring::new(4);
    let sizes = [DATAGRAM_BYTES_MIN, 1_024, 1_400, DATAGRAM_BYTES_MAX];
    for (i, bytes) in sizes.into_iter().enumerate() {
        ring.crash(i);
        ring.hosts[i].config.timings.datagram_bytes_max = bytes as u32;
        ring.start(i);
    }
    ring.run_ms(2_000);
    for n in 0..40_u8 {
        ring.hears((n % 4) as usize, &rumor(&[n], 1, &[n; 600]));
    }
    ring.run_ms(10_000);
    assert!(ring.all_alive());
    let decode_errors: u64 = (0..4).map(|i| ring.node(i).metrics().decode_errors).sum();
    assert_eq!(decode_errors, 0);
    assert!((0..4).all(|i| ring.of_later_version(i).len() == 40));
    let mean = |i: usize| {
        let m = ring.node(i).metrics();
        m.datagram_bytes_sent / m.datagrams_sent.total()
    };
    assert!(mean(3) > mean(0), "larger ones carry more");
}

/// A row that an earlier version wrote of what it did not understand, and this one does.
#[test]
fn a_row_under_the_key_of_a_kind_that_is_understood_by_now_is_stored_anew() {
    use crate::model::row::Table;
    let mut ring = Ring::new(1);
    ring.run_ms(100);
    ring.crash(0);
    let known = told().pop().expect("a configuration");
    let key = RumorKey::Opaque { subject: 7, number: 4 }.encode();
    ring.hosts[0].disk.insert((Table::Rumor, key.clone()), known.clone());
    ring.start(0);
    ring.run_ms(30_000);
    assert_eq!(ring.of_later_version(0).len(), 1);
    assert!(!ring.hosts[0].disk.contains_key(&(Table::Rumor, key)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A running node takes any bytes, and any change of a later version's datagram, without falling.
    #[test]
    fn no_bytes_bring_a_node_down(
        noise in proptest::collection::vec(any::<u8>(), 0..600),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ack in any::<bool>(),
    ) {
        let mut ring = Ring::new(2);
        ring.run_ms(500);
        let from = ring.word_of(1);
        let body = [field(1, &from), number(100, 5)].concat();
        let kind = if ack { 2 } else { 1 };
        let mut payload = [number(1, kind), field(kind as u32 + 1, &body)].concat();
        told().iter().filter(|r| r.len() < 500).for_each(|r| payload.extend(field(102, r)));
        let mut damaged = field(3, &payload);
        for (at, value) in damage {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        for bytes in [noise, damaged] {
            ring.input(0, Input::Datagram { from: address(1), bytes: &bytes, key: RingKeyId::CLEAR, stamp: None });
            ring.input(0, Input::Stream { from: address(1), bytes: &bytes, key: RingKeyId::CLEAR, stamp: None });
        }
        ring.run_ms(2_000);
        prop_assert!(ring.now > Instant::from_millis(2_000));
    }
}
