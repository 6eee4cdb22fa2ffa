//! A ring whose messages have numbers, and what a recorder and an insider reach in it.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{Ring, address};
use crate::model::channel::Channel;
use crate::model::event::{EventKind, StampFault};
use crate::model::identity::Sign as _;
use crate::model::io::Input;
use crate::model::member::State;
use crate::model::ring_key::RingKeyId;
use crate::model::stamp::{Series, Stamp, StampSender};
use crate::wire::{name_of, stream, swim};

/// A message as an attacker keeps it: its bytes cannot be changed, and its number cannot be told from it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) channel: Channel,
    pub(super) bytes: Vec<u8>,
    pub(super) stamp: Option<Stamp>,
}

impl Kept {
    fn at<'a>(&'a self, from: SocketAddr) -> Input<'a> {
        let (bytes, stamp) = (&self.bytes[..], self.stamp);
        match self.channel {
            Channel::Datagram => Input::Datagram { from, bytes, key: RingKeyId::CLEAR, stamp },
            Channel::Stream => Input::Stream { from, bytes, key: RingKeyId::CLEAR, stamp },
        }
    }
}

impl Ring {
    /// A ring in which all know each other, and what was sent in it so far.
    fn keyed(count: usize, ms: u64) -> Self {
        let mut ring = Ring::of(count, true);
        ring.run_ms(ms);
        assert!(ring.all_alive(), "a ring with a key forms as one without");
        ring
    }

    /// All messages that this ring's node has sent.
    fn sent(&self, i: usize) -> u64 {
        let metrics = self.node(i).metrics();
        metrics.datagrams_sent.total() + metrics.streams_sent
    }

    fn changes(&self, i: usize) -> Vec<&EventKind> {
        let is_change = |kind: &&EventKind| {
            matches!(kind, EventKind::MemberChanged { .. } | EventKind::RumorAccepted { .. })
        };
        self.hosts[i].events.iter().filter(is_change).collect()
    }

    /// Whether any member that runs has suspected one of these since it started.
    fn suspected(&self, members: &[usize]) -> bool {
        let ids: Vec<_> = members.iter().map(|i| self.key(*i).id()).collect();
        self.hosts.iter().flat_map(|host| &host.events).any(|kind| {
            matches!(kind, EventKind::MemberChanged { member, to: State::Suspect | State::Confirmed, .. } if ids.contains(member))
        })
    }
}

#[test]
fn a_ring_with_a_key_forms_as_fast_and_outlives_restarts_without_a_suspicion() {
    let mut ring = Ring::keyed(6, 400);
    for i in 0..6 {
        ring.crash(i);
        ring.start(i);
        ring.run_ms(4_000);
        assert!(ring.all_alive());
    }
    assert!(!ring.suspected(&[0, 1, 2, 3, 4, 5]), "a receiver that starts again holds no living member dead");
    let dead = ring.id(4);
    ring.crash(4);
    ring.run_ms(12_000);
    assert_eq!(ring.views(&dead), [Some(State::Confirmed); 5]);
}

#[test]
fn what_was_had_changes_nothing_and_is_not_answered_whichever_way_and_from_wherever() {
    let mut ring = Ring::keyed(3, 5_000);
    let kept = core::mem::take(&mut ring.kept);
    // What is on its way arrives first.
    ring.run_ms(10);
    let before: Vec<(u64, usize)> = (0..3).map(|i| (ring.sent(i), ring.changes(i).len())).collect();
    assert!(kept.iter().any(|kept| kept.channel == Channel::Stream) && kept.len() > 40);
    for from in [0, 1, 2, 99] {
        for kept in &kept {
            let sent = ring.sent(kept.to);
            ring.input(kept.to, kept.at(address(from)));
            assert_eq!(ring.sent(kept.to), sent, "{kept:?}");
        }
    }
    let after: Vec<(u64, usize)> = (0..3).map(|i| (ring.sent(i), ring.changes(i).len())).collect();
    assert_eq!(after, before);
    let dropped: u64 = (0..3).map(|i| ring.node(i).metrics().replays_dropped).sum();
    assert!(dropped as usize > kept.len(), "{dropped} of {}", kept.len());
    let reports = ring.hosts[0].events.iter().filter(|e| matches!(e, EventKind::MessageDropped { .. }));
    assert!((1..=8).contains(&reports.count()), "one report for each source and fault");
    ring.run_ms(5_000);
    assert!(ring.all_alive() && !ring.suspected(&[0, 1, 2]));
}

#[test]
fn what_was_sent_to_one_member_is_no_sign_of_life_at_another() {
    let mut ring = Ring::keyed(4, 5_000);
    let dead = ring.id(3);
    ring.crash(3);
    let kept = core::mem::take(&mut ring.kept);
    let of_dead: Vec<Kept> = kept.into_iter().filter(|kept| kept.from == 3).collect();
    for round in 0..40 {
        for kept in of_dead.iter().skip(round).step_by(7) {
            (0..3).for_each(|to| ring.input(to, kept.at(address(3))));
        }
        ring.run_ms(300);
        if round > 30 {
            assert_eq!(ring.views(&dead), [Some(State::Confirmed); 3], "round {round}");
        }
    }
    // A receiver that starts again knows no window, and asks in vain.
    ring.crash(1);
    ring.start(1);
    for _ in 0..30 {
        for kept in &of_dead {
            ring.input(1, kept.at(address(3)));
        }
        ring.run_ms(400);
    }
    assert_eq!(ring.views(&dead), [Some(State::Confirmed); 3]);
    assert!(
        ring.hosts[1]
            .events
            .iter()
            .any(|e| matches!(e, EventKind::MessageDropped { fault: StampFault::Unanswered, .. }))
    );
}

#[test]
fn old_answers_answer_no_new_question_and_a_question_is_not_longer_than_what_led_to_it() {
    let mut ring = Ring::keyed(3, 3_000);
    ring.crash(2);
    ring.run_ms(12_000);
    let dead = ring.key(2).id();
    let kept: Vec<Kept> = core::mem::take(&mut ring.kept).into_iter().filter(|kept| kept.from == 2).collect();
    for i in [0, 1] {
        ring.crash(i);
        ring.start(i);
    }
    ring.run_ms(200);
    ring.kept.clear();
    for kept in &kept {
        (0..2).for_each(|to| ring.input(to, kept.at(address(7))));
        ring.run_ms(1);
    }
    assert_eq!([0, 1].map(|i| ring.node(i).replay.knows(&dead)), [false; 2]);
    let questions: u64 = (0..2).map(|i| ring.node(i).metrics().datagrams_sent.challenge).sum();
    assert!((2..40).contains(&questions), "one for each address and period, not {questions}");
}

#[test]
fn a_backup_that_was_restored_goes_on_speaking() {
    let mut ring = Ring::keyed(3, 2_000);
    for _ in 0..3 {
        ring.crash(1);
        ring.start(1);
        ring.run_ms(1_000);
    }
    ring.crash(1);
    ring.hosts[1].boot = 1;
    ring.start(1);
    ring.run_ms(4_000);
    assert!(ring.all_alive() && !ring.suspected(&[0, 1, 2]));
}

#[test]
fn a_host_that_stood_still_goes_on_in_a_new_series_after_one_question() {
    let mut ring = Ring::keyed(3, 2_000);
    let asked = |ring: &Ring| (0..3).map(|i| ring.node(i).metrics().datagrams_sent.challenge).sum::<u64>();
    let before = asked(&ring);
    let node = ring.hosts[1].node.as_mut().expect("it runs");
    node.begin_series(Series::new(1, [1_000, 1_001]));
    ring.run_ms(4_000);
    assert!(ring.all_alive() && !ring.suspected(&[0, 1, 2]));
    assert!((1..=4).contains(&(asked(&ring) - before)), "each other member asks once");
}

#[test]
fn an_insider_that_uses_another_members_numbers_up_makes_it_neither_mute_nor_dead() {
    let mut ring = Ring::keyed(3, 2_000);
    let sender = StampSender::of(&ring.id(1));
    let series = Series::new(1, [1 << 8 | 1; 2]);
    let at_work = ring.kept.iter().rev().find(|kept| kept.from == 1 && kept.channel == Channel::Datagram);
    let bytes = at_work.expect("it has spoken").bytes.clone();
    let (mut next, mut top) = (0, u32::MAX);
    for round in 0..60 {
        let sent = ring.kept.iter().filter(|kept| kept.from == 1).filter_map(|kept| kept.stamp);
        let highest = sent.filter(|stamp| stamp.salt == series.datagrams).map(|stamp| stamp.counter).max();
        next = next.max(highest.unwrap_or(0) + 1);
        // The next numbers, and now and then one far ahead.
        let far = (round % 10 == 0).then_some(top);
        top -= 1;
        for counter in (next..next + 40).chain(far) {
            let stamp = Stamp { sender, boot: 1, salt: series.datagrams, counter };
            ring.input(
                0,
                Input::Datagram {
                    from: address(2),
                    bytes: &bytes,
                    key: RingKeyId::CLEAR,
                    stamp: Some(stamp),
                },
            );
        }
        ring.run_ms(200);
    }
    let one = ring.id(1);
    assert!(ring.views(&one).iter().all(|state| *state == Some(State::Alive)));
    let confirmed = |kind: &EventKind| matches!(kind, EventKind::MemberChanged { to: State::Confirmed, .. });
    assert!(!ring.hosts.iter().flat_map(|host| &host.events).any(confirmed));
}

#[test]
fn whose_seal_is_not_that_of_the_member_that_speaks_is_not_heard() {
    let mut ring = Ring::keyed(3, 2_000);
    let kept = ring.kept.clone();
    let before = ring.changes(0).len();
    let (sent, own) = (ring.sent(0), ring.hosts[2].node.as_mut().expect("it runs"));
    let mut forged: Vec<Kept> = kept.into_iter().filter(|kept| kept.from == 1 && kept.to == 0).collect();
    for kept in &mut forged {
        kept.stamp = own.next_stamp(kept.channel);
    }
    for kept in &forged {
        ring.input(0, kept.at(address(1)));
        // What was sealed for one way does not go the other one.
        let swapped = match kept.channel {
            Channel::Datagram => Input::Stream {
                from: address(2),
                bytes: &kept.bytes,
                key: RingKeyId::CLEAR,
                stamp: kept.stamp,
            },
            Channel::Stream => Input::Datagram {
                from: address(2),
                bytes: &kept.bytes,
                key: RingKeyId::CLEAR,
                stamp: kept.stamp,
            },
        };
        ring.input(0, swapped);
        ring.input(
            0,
            Input::Datagram { from: address(2), bytes: &kept.bytes, key: RingKeyId::CLEAR, stamp: None },
        );
    }
    assert_eq!((ring.changes(0).len(), ring.sent(0)), (before, sent));
    let faults: Vec<StampFault> = ring.hosts[0]
        .events
        .iter()
        .filter_map(|e| if let EventKind::MessageDropped { fault, .. } = e { Some(*fault) } else { None })
        .collect();
    for fault in [StampFault::OtherSender, StampFault::OtherChannel, StampFault::Missing] {
        assert!(faults.contains(&fault), "{faults:?}");
    }
}

#[test]
fn two_with_one_identity_show_and_only_one_of_them_is_heard() {
    let mut ring = Ring::keyed(3, 2_000);
    let first = Series::new(1, [1 << 8 | 1; 2]);
    let mut series = [first, Series::new(1, [77, 78])];
    for round in 0..20 {
        // One node plays both in turn: what a copy says in its own series cannot be told from it otherwise.
        series.swap(0, 1);
        let node = ring.hosts[1].node.as_mut().expect("it runs");
        node.replay.go_on(series[0], 10_000 * (round + 1));
        ring.run_ms(500);
    }
    let twice = |kind: &&EventKind| matches!(kind, EventKind::IdentityRunsTwice { member, .. } if *member == ring.id(1));
    assert!(ring.hosts[0].events.iter().filter(twice).count() > 0);
}

#[test]
fn a_message_names_the_member_that_it_is_for() {
    let ring = Ring::keyed(3, 5_000);
    let mut named = 0;
    for kept in &ring.kept {
        let receiver = match kept.channel {
            Channel::Datagram => swim::decode_news(&kept.bytes, |_| false).expect("it is read").receiver,
            Channel::Stream => stream::decode(&kept.bytes).expect("it is read").receiver,
        };
        assert!(
            receiver == 0 || receiver == name_of(StampSender::of(&ring.id(kept.to))),
            "no other is named"
        );
        named += usize::from(receiver != 0);
    }
    assert!(named * 2 > ring.kept.len(), "{named} of {} name one", ring.kept.len());
}
