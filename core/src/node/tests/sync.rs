//! Digest exchanges, message by message: what each side tells, asks for, and leaves alone.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::later::{rumor, withdrawn};
use super::{Channel, Parcel, Ring, address, said_by};
use crate::model::command::Command;
use crate::model::config::{Config, Timings};
use crate::model::id::MemberId;
use crate::model::identity::{KeyedHash, Sign as _};
use crate::model::io::Input;
use crate::model::member::MemberRecord;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{MemberRumor, Rumor, RumorKey, ServiceConfig, ServiceFile, Told, Version};
use crate::wire::convert::member_to_wire;
use crate::wire::stream::{self, Body};

/// A member that took orders and is gone.
const WRITER: KeyedHash = KeyedHash::new([77; 32]);

fn config(number: u64) -> Rumor {
    let version = Version::new(number, vec![b'#'; number as usize], Some(WRITER.id()));
    Rumor::ServiceConfig(ServiceConfig { group: "web.default".parse().expect("a valid group"), version })
}

/// One member's stream message to another one.
fn says(ring: &mut Ring, from: usize, to: usize, body: Body<Vec<u8>>) {
    let word = ring.node(from).member(&ring.id(from)).expect("itself");
    let bytes = stream::encode(member_to_wire(&word), body).expect("it is small");
    ring.input(to, Input::Stream { from: address(from), bytes: &bytes, key: RingKeyId::CLEAR, stamp: None });
}

/// The records on their way to a host, and the keys that are asked of it.
fn on_the_way(ring: &Ring, to: usize) -> (Vec<Vec<u8>>, Vec<u64>) {
    let (mut records, mut wanted) = (Vec::new(), Vec::new());
    for (_, host, parcel) in &ring.parcels {
        let Parcel::Message { channel: Channel::Stream, bytes, .. } = parcel else { continue };
        if *host == to
            && let Body::SyncRecords { rumors, want } = stream::decode(bytes).expect("a node's own").body
        {
            records.extend(rumors.into_iter().map(|told| told.into_rumor().encode()));
            wanted.extend(want);
        }
    }
    (records, wanted)
}

#[test]
fn a_record_that_is_older_than_the_held_one_is_answered_with_that() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let now = ring.now;
    ring.hosts[0].node.as_mut().expect("it runs").rumors.insert(now, &said_by(WRITER, &config(7)));
    let older = Body::SyncRecords { rumors: vec![config(6).encode_signed(&WRITER)], want: Vec::new() };
    says(&mut ring, 1, 0, older);
    assert_eq!(on_the_way(&ring, 1).0, [config(7).encode()]);
    let same = Body::SyncRecords { rumors: vec![config(7).encode_signed(&WRITER)], want: Vec::new() };
    ring.run_ms(1_000);
    says(&mut ring, 1, 0, same);
    assert_eq!(on_the_way(&ring, 1).0, Vec::<Vec<u8>>::new(), "what is known on both sides costs nothing");
}

#[test]
fn what_another_member_wants_is_sent_and_nothing_else() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    for n in 0..9 {
        ring.hears(0, &rumor(&[n], 1, b"held"));
    }
    let wanted = rumor(&[4], 1, b"held");
    let key = Told::decode(&wanted).expect("a rumor").rumor().key().hash();
    ring.run_ms(2_000);
    says(&mut ring, 1, 0, Body::SyncRecords { rumors: Vec::new(), want: vec![key, 77] });
    assert_eq!(on_the_way(&ring, 1).0, [wanted]);
}

#[test]
fn a_record_of_a_banned_member_is_answered_with_the_ban() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let banned = ring.node(0).member(&ring.id(3)).expect("known");
    ring.command(0, Command::Depart { member: banned.id });
    ring.run_ms(3_000);
    let record =
        Rumor::Member(MemberRumor::new(MemberRecord { state: crate::model::member::State::Alive, ..banned }));
    says(&mut ring, 1, 0, Body::SyncRecords { rumors: vec![record.encode()], want: Vec::new() });
    let (told, _) = on_the_way(&ring, 1);
    let keys: Vec<RumorKey> = told.iter().map(|r| Rumor::decode(r).expect("its own").key()).collect();
    assert_eq!(keys, [RumorKey::Departure(banned.id)]);
}

#[test]
fn what_is_known_to_be_gone_is_told_as_a_tombstone_and_never_asked_for() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let (held, gone, lacked) = (rumor(b"a", 1, b"it is"), withdrawn(b"a", 2), rumor(b"b", 1, b"new"));
    ring.hears(0, &held);
    ring.hears(0, &gone);
    let hashes = |bytes: &[u8]| {
        let told = Told::decode(bytes).expect("a rumor");
        (told.rumor().key().hash(), crate::wire::version_hash(bytes))
    };
    let theirs = vec![hashes(&held), hashes(&lacked)];
    says(&mut ring, 1, 0, Body::SyncKeys { buckets: u64::MAX, hashes: theirs });
    let (told, wanted) = on_the_way(&ring, 1);
    assert!(told.contains(&gone), "the other side still holds it");
    assert_eq!(wanted, [hashes(&lacked).0]);
}

#[test]
fn a_newcomer_is_not_taught_what_is_gone() {
    let mut ring = Ring::new(4);
    ring.crash(3);
    ring.run_ms(2_000);
    ring.hears(0, &rumor(b"a", 1, b"it is"));
    for n in 0..15 {
        ring.hears(0, &rumor(&[n], 1, b"and stays"));
    }
    ring.run_ms(5_000);
    ring.hears(1, &withdrawn(b"a", 2));
    ring.run_ms(30_000);
    let of = |ring: &Ring, i: usize| ring.node(i).rumors().filter(|r| r.is_tombstone()).count();
    assert_eq!([0, 1, 2].map(|i| of(&ring, i)), [1; 3]);
    ring.hosts[3].disk.clear();
    ring.start(3);
    ring.run_ms(90_000);
    assert_eq!(ring.node(3).rumors().count(), 15, "or tombstones would go round for ever");
    assert_eq!(of(&ring, 3), 0);
}

/// It is away while a statement is withdrawn, and back within the time for which tombstones are kept.
#[test]
fn what_was_withdrawn_is_not_brought_back_by_a_member_that_was_away() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    ring.hears(0, &rumor(b"a", 1, b"it is"));
    ring.run_ms(5_000);
    ring.network.cut = BTreeSet::from([3]);
    ring.hears(0, &withdrawn(b"a", 2));
    ring.run_ms(600_000);
    assert!(ring.node(3).rumors().all(|r| !r.is_tombstone()));
    ring.network.cut.clear();
    ring.run_ms(60_000);
    for i in 0..4 {
        assert!(ring.node(i).rumors().all(Rumor::is_tombstone), "node {i}");
    }
}

#[test]
fn a_member_that_learned_something_compares_again_soon() {
    let mut ring = Ring::new(3);
    ring.run_ms(120_000);
    // No other member's message tells it of a difference.
    ring.network.cut = BTreeSet::from([0]);
    let syncs = |ring: &Ring| ring.node(0).metrics().syncs;
    let before = syncs(&ring);
    ring.run_ms(Timings::lan().sync_period_ms_min);
    assert_eq!(syncs(&ring), before, "members that hold the same compare rarely");
    says(
        &mut ring,
        1,
        0,
        Body::SyncRecords { rumors: vec![config(1).encode_signed(&WRITER)], want: Vec::new() },
    );
    ring.run_ms(Timings::lan().sync_period_ms_min);
    assert_eq!(syncs(&ring), before + 1, "it may have missed more than that");
}

#[test]
fn a_service_and_the_member_that_runs_it_are_learned_from_one_message_in_any_order() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let owner = WRITER.id();
    let here = ring.node(0).member(&ring.id(1)).expect("known");
    let address = super::address(150).ip();
    let record = Rumor::Member(MemberRumor::new(MemberRecord { id: owner, address, ..here }));
    let service = super::gone::service_of(owner, 1);
    let records = vec![service.encode_signed(&WRITER), record.encode()];
    says(&mut ring, 1, 0, Body::SyncRecords { rumors: records, want: Vec::new() });
    assert!(ring.node(0).member(&owner).is_none(), "it has not answered yet");
    assert_eq!(ring.node(0).rumor(&service.key()), None, "and what it serves waits for it");
    let (said, seq) = ring.node(0).membership.hearsay(&owner).expect("it is asked");
    let body = crate::wire::swim::Body::Ack { seq: seq.expect("it was asked"), forward_to: None };
    let ack = crate::wire::swim::encode(member_to_wire(&said), &body, Vec::new(), Vec::new(), 0);
    ring.input(
        0,
        Input::Datagram {
            from: super::address(150),
            key: crate::model::ring_key::RingKeyId::CLEAR,
            bytes: &ack,
            stamp: None,
        },
    );
    assert!(ring.node(0).member(&owner).is_some());
    assert_eq!(ring.node(0).rumor(&service.key()), Some(&service));
}

/// Nine megabytes, and no message may have more than eight.
#[test]
fn a_newcomer_gets_more_than_one_message_holds() {
    let mut ring = Ring::new(2);
    ring.crash(1);
    ring.run_ms(500);
    let now = ring.now;
    for n in 0..144_u32 {
        let version = Version::new(1, vec![n as u8; 64 * 1024], Some(WRITER.id()));
        let group = alloc::format!("web.g{}", n / 60).parse().expect("a valid group");
        let name = alloc::format!("file-{n}").parse().expect("a valid name");
        let file = Rumor::ServiceFile(ServiceFile { group, name, version });
        ring.hosts[0].node.as_mut().expect("it runs").rumors.insert(now, &said_by(WRITER, &file));
    }
    ring.start(1);
    ring.run_ms(1_000);
    assert_eq!(ring.node(1).rumors().count(), 144);
}

#[test]
fn a_member_that_is_back_hears_what_belongs_to_the_ring_although_streams_hang() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    ring.network.cut = BTreeSet::from([2]);
    let now = ring.now;
    for i in [0, 1] {
        ring.hosts[i].node.as_mut().expect("it runs").rumors.insert(now, &said_by(WRITER, &config(7)));
    }
    ring.run_ms(30_000);
    (ring.network.cut, ring.network.streams_hang) = (BTreeSet::new(), true);
    ring.run_ms(10_000);
    assert!(ring.all_alive());
    assert_eq!(ring.node(2).rumor(&config(7).key()), Some(&config(7)));
}

#[test]
fn news_that_is_on_its_way_begins_no_exchange() {
    let mut ring = Ring::new(8);
    ring.run_ms(120_000);
    let syncs = |ring: &Ring| (0..8).map(|i| ring.node(i).metrics().syncs).collect::<Vec<u64>>();
    let heard = |ring: &Ring| (0..8).filter(|i| ring.node(*i).rumor(&config(1).key()).is_some()).count();
    let mut begun = 0;
    for version in 1..=20 {
        let before: u64 = syncs(&ring).iter().sum();
        let group = "web.default".parse().expect("a valid group");
        let toml = vec![b'#'; version as usize];
        ring.command(0, Command::ApplyConfig { group, version, toml, allow_leap: false, is_sealed: false });
        ring.run_ms(2_000);
        assert_eq!(heard(&ring), 8);
        begun += syncs(&ring).iter().sum::<u64>() - before;
    }
    // Those that come about by the clock: eight members, each once in thirty seconds, for forty seconds.
    assert!(begun <= 8 * 2 + 4, "{begun} exchanges");
}

/// Zones may meet at a permanent peer alone, so it tells each rumor to as many members as an exchange would reach.
#[test]
fn a_permanent_peer_tells_a_rumor_to_every_member_of_a_ring_of_twenty() {
    let told_by = |permanent: bool| {
        let mut ring = Ring::new(20);
        ring.crash(0);
        ring.hosts[0].config = Config { permanent, ..ring.hosts[0].config.clone() };
        ring.start(0);
        ring.run_ms(60_000);
        // All others hear of it from this member only.
        ring.network.cut = (1..20).collect();
        ring.network.carried = ("the news", 0);
        ring.hears(0, &rumor(b"a", 1, b"the news"));
        ring.run_ms(3_000);
        ring.network.carried.1
    };
    let (peer, other) = (told_by(true), told_by(false));
    assert!(peer >= 19 && (10..15).contains(&other), "told {peer} and {other} times");
}

#[test]
fn a_loopback_address_that_another_host_tells_of_is_on_that_host() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let beside = MemberRecord {
        id: MemberId::from_bytes([0xee; 16]),
        address: core::net::Ipv4Addr::LOCALHOST.into(),
        swim_port: 9_700,
        ..ring.node(0).member(&ring.id(1)).expect("known")
    };
    let record = Rumor::Member(MemberRumor::new(beside));
    says(&mut ring, 1, 0, Body::Gossip { rumors: vec![record.encode()] });
    let (held, _) = ring.node(0).membership.hearsay(&beside.id).expect("it is asked");
    assert_eq!((held.address, held.swim_port), (address(1).ip(), 9_700));
}

/// The helper may see it at an address that only the helper reaches.
#[test]
fn an_ack_that_a_helper_passed_on_moves_no_member() {
    use crate::wire::swim;
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let known = ring.node(0).member(&ring.id(1)).expect("known");
    let seen = MemberRecord { address: address(150).ip(), ..known };
    let own = ring.node(0).member(&ring.id(0)).expect("itself");
    let ack = |forward_to| swim::Body::Ack { seq: crate::model::id::ProbeSeq(9), forward_to };
    let mut hears = |forward_to| {
        let bytes = swim::encode(member_to_wire(&seen), &ack(forward_to), Vec::new(), Vec::new(), 7);
        ring.input(
            0,
            Input::Datagram { from: address(2), bytes: &bytes, key: RingKeyId::CLEAR, stamp: None },
        );
        assert_eq!(ring.node(0).member(&known.id).map(|r| r.address), Some(known.address));
        ring.node(0).metrics().datagrams_sent.challenge
    };
    assert_eq!(hears(Some(own)), 0);
    assert_eq!(hears(None), 1, "where it speaks from itself it is asked");
}
