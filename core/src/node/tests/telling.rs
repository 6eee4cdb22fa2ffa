//! A service here takes no work any more: when the others know, and when they can.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use proptest::prelude::*;

use super::{Ring, address};
use crate::model::id::ServiceGroup;
use crate::model::member::State;
use crate::model::rumor::{Rumor, RumorKey};
use crate::model::service::Topology;
use crate::model::time::{Instant, UnixTime};
use crate::node::around;
use crate::service::{Announcement, Around as _};

fn group() -> ServiceGroup {
    "web.default".parse().expect("a valid group")
}

fn announcement(accepting: bool) -> Announcement {
    Announcement {
        group: group(),
        topology: Topology::Standalone,
        quorum: None,
        initialized: true,
        accepting,
        pkg: "core/web/1.0/20260101000000".parse().expect("a valid ident"),
        cfg: Vec::new(),
        maintenance: None,
        applied_config: 0,
        applied_versions: 0,
        held_back: BTreeSet::new(),
        slow_hook: None,
    }
}

impl Ring {
    fn announces(&mut self, i: usize, accepting: bool) {
        let node = self.hosts[i].node.as_mut().expect("it runs");
        node.clock.begin(self.now, UnixTime::default());
        node.announce(&announcement(accepting));
        node.finish_input();
        self.drain(i);
    }

    fn is_told(&self, i: usize) -> bool {
        let node = self.node(i);
        around!(node).is_told(&group())
    }

    /// The members that take a member's service for one that takes work.
    fn unaware_of(&self, i: usize) -> Vec<usize> {
        let key = RumorKey::Service { group: group(), member: self.id(i) };
        let running = self.hosts.iter().enumerate().filter_map(|(n, host)| Some((n, host.node.as_ref()?)));
        let takes = |rumor: Option<&Rumor>| matches!(rumor, Some(Rumor::Service(s)) if s.accepting);
        running.filter(|(_, node)| takes(node.rumor(&key))).map(|(n, _)| n).collect()
    }

    /// No book of a member's services knows of this one, so that an exchange of digests withdraws it now and then.
    fn is_withdrawn(&self, i: usize) -> bool {
        let key = RumorKey::Service { group: group(), member: self.id(i) };
        self.node(i).rumor(&key).is_none_or(Rumor::is_tombstone)
    }

    /// A service takes work everywhere, and then no more; returns how long it took until the first member knows that the
    /// ring does, and the members that did not know at that instant.
    fn tells(&mut self, i: usize) -> (Duration, Vec<usize>) {
        self.announces(i, true);
        let begun = self.now;
        while self.unaware_of(i).len() < self.hosts.iter().filter(|host| host.node.is_some()).count() {
            self.run_ms(10);
            if self.is_withdrawn(i) {
                self.announces(i, true);
            }
            assert!(self.now < begun + Duration::from_secs(60), "what is announced reaches every member");
        }
        assert!(self.is_told(i), "nothing is waited for while it takes work");
        let begun = self.now;
        self.announces(i, false);
        while !self.is_told(i) {
            self.run_ms(1);
            assert!(self.now < begun + Duration::from_secs(2), "a course ends");
        }
        if self.is_withdrawn(i) {
            return self.tells(i);
        }
        (self.now.saturating_since(begun), self.unaware_of(i))
    }
}

#[test]
fn in_a_small_ring_the_answers_say_who_knows() {
    for count in [2, 5, 12, 33] {
        let mut ring = Ring::new(count);
        ring.run_ms(3_000);
        assert!(ring.all_alive());
        // A datagram takes a millisecond each way.
        assert_eq!(ring.tells(0), (Duration::from_millis(2), Vec::new()), "{count} members");
    }
}

#[test]
fn a_member_alone_waits_for_nothing() {
    let mut ring = Ring::new(1);
    ring.run_ms(1_000);
    assert_eq!(ring.tells(0), (Duration::ZERO, Vec::new()));
}

#[test]
fn in_a_larger_ring_those_that_heard_it_last_have_the_time_to_tell_it_on() {
    let mut ring = Ring::new(60);
    ring.run_ms(4_000);
    assert!(ring.all_alive());
    let (took, unaware) = ring.tells(0);
    assert_eq!(unaware, Vec::<usize>::new());
    // Ten tellings take two or three rounds, and two more periods bring it to the rest.
    assert!((300..=520).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_member_that_does_not_answer_holds_nothing_up_for_long() {
    let mut ring = Ring::new(5);
    ring.run_ms(3_000);
    ring.crash(3);
    let (took, unaware) = ring.tells(0);
    assert!(unaware.is_empty() && took >= Duration::from_millis(100), "{took:?}");
    assert!(took <= Duration::from_millis(400), "{took:?}");
    // Once it is suspected, it is waited for no longer.
    let silent = ring.node(0).members().into_iter().find(|r| r.address == address(3).ip()).expect("known");
    while ring.node(0).member(&silent.id).is_some_and(|r| r.state == State::Alive) {
        ring.run_ms(100);
    }
    assert_eq!(ring.tells(0).0, Duration::from_millis(2));
}

#[test]
fn what_is_restated_is_asked_anew() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    ring.announces(0, true);
    ring.run_ms(200);
    // Another member holds a word of a former life with a higher number.
    let key = RumorKey::Service { group: group(), member: ring.id(0) };
    let Some(Rumor::Service(mut former)) = ring.node(0).rumor(&key).cloned() else { panic!("it is held") };
    former.incarnation.0 += 5;
    for i in [1, 2] {
        ring.hears(i, &Rumor::Service(former.clone()).encode());
    }
    ring.announces(0, false);
    while !ring.is_told(0) {
        ring.run_ms(1);
        assert!(ring.now < Instant::from_millis(3_200), "a course ends");
    }
    assert_eq!(ring.unaware_of(0), Vec::<usize>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Where nothing is lost, every member knows when the ring is taken to know.
    #[test]
    fn when_the_ring_is_taken_to_know_every_member_does(count in 2_usize..50, crashed in 0_usize..3, teller in 0_usize..2) {
        let mut ring = Ring::new(count + crashed);
        ring.run_ms(4_000);
        for i in count..count + crashed {
            ring.crash(i);
        }
        let (took, unaware) = ring.tells(teller);
        prop_assert_eq!(unaware, Vec::<usize>::new());
        prop_assert!(took <= Duration::from_secs(1), "{:?}", took);
    }
}
