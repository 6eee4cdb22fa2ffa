//! Digest exchanges, message by message: what each side tells, asks for, and leaves alone.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::later::{rumor, withdrawn};
use super::{Channel, Parcel, Ring, address};
use crate::model::command::Command;
use crate::model::config::Timings;
use crate::model::io::Input;
use crate::model::member::MemberRecord;
use crate::model::rumor::{MemberRumor, Rumor, RumorKey, ServiceConfig, Told, Version};
use crate::wire::convert::member_to_wire;
use crate::wire::stream::{self, Body};

fn config(number: u64) -> Rumor {
    let version = Version::new(number, vec![b'#'; number as usize], None);
    Rumor::ServiceConfig(ServiceConfig { group: "web.default".parse().expect("a valid group"), version })
}

/// One member's stream message to another one.
fn says(ring: &mut Ring, from: usize, to: usize, body: Body<Vec<u8>>) {
    let word = ring.node(from).member(&ring.id(from)).expect("itself");
    let bytes = stream::encode(member_to_wire(&word), body).expect("it is small");
    ring.input(to, Input::Stream { from: address(from), bytes: &bytes });
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
    ring.hosts[0].node.as_mut().expect("it runs").rumors.insert(now, &config(7).into());
    let older = Body::SyncRecords { rumors: vec![config(6).encode()], want: Vec::new() };
    says(&mut ring, 1, 0, older);
    assert_eq!(on_the_way(&ring, 1).0, [config(7).encode()]);
    let same = Body::SyncRecords { rumors: vec![config(7).encode()], want: Vec::new() };
    ring.run_ms(1_000);
    says(&mut ring, 1, 0, same);
    assert_eq!(on_the_way(&ring, 1).0, Vec::<Vec<u8>>::new(), "what is known on both sides costs nothing");
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
    ring.hears(0, &rumor(b"b", 1, b"and stays"));
    ring.run_ms(5_000);
    ring.hears(1, &withdrawn(b"a", 2));
    ring.run_ms(30_000);
    let of = |ring: &Ring, i: usize| ring.node(i).rumors().filter(|r| r.is_tombstone()).count();
    assert_eq!([0, 1, 2].map(|i| of(&ring, i)), [1; 3]);
    ring.hosts[3].disk.clear();
    ring.start(3);
    ring.run_ms(90_000);
    assert_eq!(ring.node(3).rumors().count(), 1, "or tombstones would go round for ever");
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
    says(&mut ring, 1, 0, Body::SyncRecords { rumors: vec![config(1).encode()], want: Vec::new() });
    ring.run_ms(Timings::lan().sync_period_ms_min);
    assert_eq!(syncs(&ring), before + 1, "it may have missed more than that");
}
