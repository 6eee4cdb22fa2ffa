//! A member is where it answers with its signature, not where a message in its name came from.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{Ring, address};
use crate::model::channel::Channel;
use crate::model::event::EventKind;
use crate::model::id::ProbeSeq;
use crate::model::identity::Sign as _;
use crate::model::io::Input;
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::ring_key::RingKeyId;
use crate::wire::convert::member_to_wire;
use crate::wire::{stream, swim};

impl Ring {
    /// A host hears a message in a member's name, as it holds that member, from an address of the attacker's choice.
    fn speak_as(&mut self, of: usize, at: usize, from: usize, channel: Channel) {
        let held = self.node(at).member(&self.key(of).id()).expect("known");
        let (forged, key) =
            (member_to_wire(&MemberRecord { address: UNSPECIFIED, ..held }), RingKeyId::CLEAR);
        match channel {
            Channel::Datagram => {
                let ping = swim::Body::Ping { seq: ProbeSeq(1), forward_to: None };
                let bytes = swim::encode(forged, &ping, Vec::new(), Vec::new(), 7);
                self.input(at, Input::Datagram { from: address(from), bytes: &bytes, key, stamp: None });
            }
            Channel::Stream => {
                let bytes = stream::encode(forged, stream::Body::Ping { seq: ProbeSeq(1) }).expect("short");
                self.input(at, Input::Stream { from: address(from), bytes: &bytes, key, stamp: None });
            }
        }
    }

    /// Where a host holds a member to be.
    fn held_at(&self, i: usize, of: usize) -> SocketAddr {
        self.node(i).member(&self.key(of).id()).expect("known").swim_addr()
    }

    /// Whether any host held a member for worse than alive.
    fn doubted(&self, of: usize) -> bool {
        let id = self.key(of).id();
        self.hosts.iter().flat_map(|host| &host.events).any(|kind| {
            matches!(kind, EventKind::MemberChanged { member, to, .. } if *member == id && *to != State::Alive)
        })
    }
}

#[test]
fn a_message_in_a_members_name_moves_it_nowhere_and_it_is_asked_there() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    for channel in Channel::ALL {
        ring.speak_as(1, 0, 7, channel);
        assert_eq!(ring.held_at(0, 1), address(1), "{channel:?}");
    }
    assert!(ring.node(0).metrics().datagrams_sent.challenge >= 1, "it is asked where it is said to be");
    // The member itself is asked at its own address only when it is said to be elsewhere.
    ring.run_ms(8_000);
    assert!(ring.all_alive() && !ring.doubted(1));
    assert_eq!(ring.held_at(0, 1), address(1));
}

#[test]
fn a_member_that_goes_to_another_address_is_followed_at_once() {
    let mut ring = Ring::new(5);
    ring.run_ms(2_000);
    ring.crash(4);
    ring.run_ms(12_000);
    // Its host gets the address that is free now, as by another lease of a DHCP server.
    ring.hosts.swap(1, 4);
    ring.run_ms(2_000);
    let member = ring.node(4).id();
    for i in [0, 2, 3] {
        let held = ring.node(i).member(&member).expect("known");
        assert_eq!((held.swim_addr(), held.state), (address(4), State::Alive), "at {i}");
    }
    let answered: u64 = [0, 2, 3].iter().map(|i| ring.node(*i).metrics().datagrams_received.answer).sum();
    assert!(answered >= 1, "it has answered with its signature");
}

#[test]
fn an_answer_with_this_members_own_key_moves_no_member() {
    use crate::model::challenge::{Answer, Answered};
    use alloc::boxed::Box;
    let mut ring = Ring::new(2);
    ring.run_ms(2_000);
    let me = ring.id(0);
    let node = ring.hosts[0].node.as_mut().expect("it runs");
    let sender = crate::model::stamp::StampSender::of(&me);
    node.replay.ask(ring.now, sender);
    let challenge = node.replay.question(ring.now, sender, address(7), Channel::Datagram).expect("asked");
    let answer = Answer { challenge, standing: None };
    let answered = Answered { answer, vouch: answer.vouch(&me, &ring.key(0)), asks: None };
    let own = ring.node(0).member(&me).expect("itself");
    let body = swim::Body::Answer(Box::new(answered));
    let bytes = swim::encode(member_to_wire(&own), &body, Vec::new(), Vec::new(), 0);
    let key = RingKeyId::CLEAR;
    ring.input(0, Input::Datagram { from: address(7), bytes: &bytes, key, stamp: None });
    assert_eq!(ring.node(0).member(&me), Some(own));
}

#[test]
fn of_a_member_that_has_signed_where_it_is_no_message_moves_it_while_it_is_suspected() {
    for signs in [false, true] {
        let mut ring = Ring::new(3);
        ring.hosts[1].config.permanent = signs;
        ring.crash(1);
        ring.start(1);
        ring.run_ms(3_000);
        ring.crash(1);
        let id = ring.key(1).id();
        let suspected = (0..100).any(|_| {
            ring.run_ms(100);
            ring.node(0).member(&id).is_some_and(|held| held.state == State::Suspect)
        });
        assert!(suspected, "a member that is gone is suspected");
        ring.speak_as(1, 0, 7, Channel::Datagram);
        // One that signs nothing, such as Habitat's, has no other way to say that it moved.
        assert_eq!(ring.held_at(0, 1), address(if signs { 1 } else { 7 }), "signs: {signs}");
    }
}
