//! Group configuration and files through a few nodes.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use super::Ring;
use crate::model::command::{Command, CommandError, Reply};
use crate::model::event::EventKind;
use crate::model::id::{RequestId, ServiceGroup};
use crate::model::identity::{KeyedHash, Sign as _};
use crate::model::limits::{
    Limit, SERVICE_CONFIG_BYTES_MAX, SERVICE_FILES_PER_GROUP_BY_ONE_MAX, VERSION_LEAP_MAX, VERSION_MAX,
};
use crate::model::reach::ALWAYS;
use crate::model::row::Table;
use crate::model::rumor::{Contender, Rumor, RumorKey, Sealed, ServiceConfig, Version};

fn apply(ring: &mut Ring, at: usize, version: u64, toml: &str) -> RequestId {
    let group = "redis.prod".parse().expect("valid");
    ring.command(
        at,
        Command::ApplyConfig {
            group,
            version,
            toml: toml.as_bytes().to_vec(),
            allow_leap: false,
            is_sealed: false,
        },
    )
}

fn put(ring: &mut Ring, at: usize, name: &str, version: u64, body: Vec<u8>) -> RequestId {
    let (group, name) = ("redis.prod".parse().expect("valid"), name.parse().expect("valid"));
    ring.command(at, Command::PutFile { group, name, version, body, allow_leap: false, is_sealed: false })
}

/// Version and text that each node holds.
fn held(ring: &Ring) -> Vec<Option<(u64, Vec<u8>)>> {
    let group = "redis.prod".parse().expect("valid");
    let of = |i: usize| ring.node(i).group_config(&group).map(|c| (c.version.number, c.version.body.clone()));
    (0..ring.hosts.len()).map(of).collect()
}

fn lost(ring: &Ring, i: usize) -> usize {
    ring.hosts[i].events.iter().filter(|e| matches!(e, EventKind::VersionLost { .. })).count()
}

#[test]
fn a_configuration_reaches_everybody_and_outlives_restarts() {
    let mut ring = Ring::new(5);
    ring.run_ms(2_000);
    let request = apply(&mut ring, 3, 1, "port = 7000");
    assert_eq!(ring.reply(3, request), None, "not before it is on disk");
    ring.run_ms(1_000);
    assert_eq!(ring.reply(3, request), Some(&Reply::Done));
    assert_eq!(held(&ring), vec![Some((1, b"port = 7000".to_vec())); 5]);
    ring.crash(3);
    ring.start(3);
    ring.run_ms(10);
    assert_eq!(held(&ring)[3], Some((1, b"port = 7000".to_vec())), "its disk remembers");
    let history = ring.node(3).history(&RumorKey::ServiceConfig("redis.prod".parse().expect("valid")));
    assert_eq!(history.iter().map(|e| (e.version, e.bytes)).collect::<Vec<_>>(), [(1, 11)]);
}

#[test]
fn a_version_is_written_once_wherever_it_is_held() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    apply(&mut ring, 0, 1, "port = 7000");
    put(&mut ring, 1, "hosts", 1, vec![1]);
    ring.run_ms(60_000);
    for (i, host) in ring.hosts.iter().enumerate() {
        let of = |table| host.written.iter().filter(|row| row.0 == table && row.1 != [0; 0]).count();
        assert_eq!(of(Table::History), 2, "member {i}: one row for each version");
        let rumors: Vec<_> = host.written.iter().filter(|row| row.0 == Table::Rumor).collect();
        assert_eq!(rumors.len(), 2, "member {i}: {rumors:?}");
    }
}

#[test]
fn what_is_heard_meanwhile_does_not_take_the_place_of_a_version_on_its_way_to_the_disk() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    ring.hosts[0].disk_ms = 60_000;
    let request = apply(&mut ring, 0, 5, "port = 5");
    let row = |ring: &Ring| {
        let rumors = ring.hosts[0].disk.iter().filter(|((table, _), _)| *table == Table::Rumor);
        rumors.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let stored = row(&ring);
    assert_eq!(stored.len(), 1);
    apply(&mut ring, 1, 3, "port = 3");
    ring.run_ms(30_000);
    assert_eq!(held(&ring), vec![Some((3, b"port = 3".to_vec())); 3], "the disk has not answered yet");
    assert_eq!(row(&ring), stored, "and is not told to go back");
    ring.run_ms(60_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Done));
    assert_eq!(held(&ring), vec![Some((5, b"port = 5".to_vec())); 3]);
    assert_eq!(row(&ring), stored);
    let history = ring.node(0).history(&RumorKey::ServiceConfig("redis.prod".parse().expect("valid")));
    ring.crash(0);
    ring.start(0);
    let key = RumorKey::ServiceConfig("redis.prod".parse().expect("valid"));
    ring.run_ms(60_000);
    assert_eq!(ring.node(0).history(&key), history, "both versions were noted");
}

#[test]
fn a_version_that_a_newer_one_overtook_on_its_way_to_the_disk_is_not_done() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    ring.hosts[0].disk_ms = 5_000;
    let request = apply(&mut ring, 0, 5, "port = 5");
    apply(&mut ring, 1, 6, "port = 6");
    ring.run_ms(4_000);
    assert_eq!(held(&ring), vec![Some((6, b"port = 6".to_vec())); 3]);
    assert_eq!(ring.reply(0, request), None, "the disk has not answered yet");
    ring.run_ms(2_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Failed(CommandError::Version { current: 6 })));
    ring.run_ms(30_000);
    ring.crash(0);
    ring.start(0);
    ring.run_ms(10);
    assert_eq!(held(&ring)[0], Some((6, b"port = 6".to_vec())), "nor does it stay on the disk");
}

#[test]
fn a_body_that_is_heard_while_another_of_its_number_is_stored_stays_on_the_disk() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    for i in [0, 1] {
        ring.hosts[i].disk_ms = 3_000 + i as u64 * 2_000;
    }
    apply(&mut ring, 0, 4, "who = 0");
    apply(&mut ring, 1, 4, "who = 1");
    ring.run_ms(30_000);
    let group = "redis.prod".parse().expect("valid");
    for i in [0, 1] {
        let before = ring.node(i).group_config(&group).cloned().expect("held");
        assert_eq!(before.version.losers().count(), 1, "which of the two lost is known");
        ring.network.cut = [i].into();
        ring.crash(i);
        ring.hosts[i].disk_ms = 1;
        ring.start(i);
        ring.run_ms(10);
        assert_eq!(ring.node(i).group_config(&group), Some(&before), "member {i}");
        ring.network.cut.clear();
        ring.run_ms(2_000);
    }
}

#[test]
fn a_version_that_is_not_higher_changes_nothing() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let request = apply(&mut ring, 0, 7, "a = 1");
    // Before the first is on disk as well.
    let hasty = apply(&mut ring, 0, 7, "a = 2");
    ring.run_ms(1_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Done));
    assert_eq!(ring.reply(0, hasty), Some(&Reply::Failed(CommandError::Version { current: 7 })));
    for version in [7, 6, 1] {
        let request = apply(&mut ring, 2, version, "a = 2");
        assert_eq!(ring.reply(2, request), Some(&Reply::Failed(CommandError::Version { current: 7 })));
    }
    for version in [0, VERSION_MAX + 1, u64::MAX] {
        let request = apply(&mut ring, 2, version, "a = 2");
        assert_eq!(ring.reply(2, request), Some(&Reply::Failed(CommandError::VersionRange)));
    }
    let large = "#".repeat(SERVICE_CONFIG_BYTES_MAX + 1);
    let request = apply(&mut ring, 2, 8, &large);
    assert!(matches!(ring.reply(2, request), Some(Reply::Failed(CommandError::TooLarge { .. }))));
    ring.run_ms(1_000);
    assert_eq!(held(&ring), vec![Some((7, b"a = 1".to_vec())); 3]);
}

#[test]
fn a_number_that_leaves_no_room_for_later_ones_has_to_be_meant() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    let request = apply(&mut ring, 0, VERSION_LEAP_MAX, "a = 1");
    ring.run_ms(1_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Done), "no number that a date makes is asked about");
    let highest = 2 * VERSION_LEAP_MAX;
    for version in [ALWAYS + 1 + VERSION_LEAP_MAX, VERSION_MAX] {
        let request = apply(&mut ring, 1, version, "a = 2");
        let current = VERSION_LEAP_MAX;
        let beyond = CommandError::VersionBeyond { version, current, highest: ALWAYS };
        assert_eq!(ring.reply(1, request), Some(&Reply::Failed(beyond)), "also where it is meant");
    }
    for version in [highest + 1, ALWAYS] {
        let request = apply(&mut ring, 1, version, "a = 2");
        let leap = CommandError::VersionLeap { version, current: VERSION_LEAP_MAX, highest };
        assert_eq!(ring.reply(1, request), Some(&Reply::Failed(leap)));
    }
    let group = "redis.prod".parse().expect("valid");
    let (version, toml) = (ALWAYS, b"a = 3".to_vec());
    let meant =
        ring.command(1, Command::ApplyConfig { group, version, toml, allow_leap: true, is_sealed: false });
    ring.run_ms(1_000);
    assert_eq!(ring.reply(1, meant), Some(&Reply::Done));
    assert_eq!(held(&ring), vec![Some((version, b"a = 3".to_vec())); 3]);
    let file = put(&mut ring, 2, "f", VERSION_LEAP_MAX + 1, b"x".to_vec());
    assert!(matches!(ring.reply(2, file), Some(Reply::Failed(CommandError::VersionLeap { current: 0, .. }))));
}

#[test]
fn two_at_once_end_in_one_winner_and_the_loser_is_told() {
    let mut ring = Ring::new(6);
    ring.run_ms(2_000);
    let requests = [apply(&mut ring, 1, 4, "who = 1"), apply(&mut ring, 4, 4, "who = 4")];
    ring.run_ms(5_000);
    assert_eq!([ring.reply(1, requests[0]), ring.reply(4, requests[1])], [Some(&Reply::Done); 2]);
    let all = held(&ring);
    assert!(all.iter().all(|h| *h == all[0]), "{all:?}");
    let winner = if all[0] == Some((4, b"who = 1".to_vec())) { 1 } else { 4 };
    let loser = 5 - winner;
    assert_eq!((lost(&ring, loser), lost(&ring, winner)), (1, 0));
    let group = "redis.prod".parse().expect("valid");
    for i in 0..6 {
        let config = ring.node(i).group_config(&group).expect("held");
        let losers: Vec<_> = config.version.losers().filter_map(|l| l.writer).collect();
        assert_eq!(losers, [ring.id(loser)], "every member knows whose version is not in effect");
        assert_eq!(config.version.writer, Some(ring.id(winner)));
    }
    apply(&mut ring, loser, 5, "who = 5");
    ring.run_ms(2_000);
    assert!(ring.node(0).group_config(&group).is_some_and(|c| c.version.losers().count() == 0));
}

/// What a join notes beside a body is no part of what its writer signed, so each note needs a word of its own.
#[test]
fn of_whom_it_is_said_that_a_version_lost_is_believed_with_that_members_word_alone() {
    let mut ring = Ring::new(2);
    ring.run_ms(2_000);
    let writer = KeyedHash::new([77; 32]);
    let group: ServiceGroup = "redis.prod".parse().expect("valid");
    let told = |contenders: Vec<Contender>| {
        let version = Version::new(4, b"a = 1".to_vec(), Some(writer.id()));
        let version = version.with_contenders(contenders).expect("below the body");
        let rumor = Rumor::ServiceConfig(ServiceConfig { group: group.clone(), version });
        rumor.encode_signed(&writer)
    };
    let unproven = Contender { hash: 0, writer: Some(ring.id(0)), proof: None };
    ring.hears(0, &told(vec![unproven]));
    assert_eq!(held(&ring)[0], None);
    let refused = |kind: &&EventKind| matches!(kind, EventKind::StatementRefused { .. });
    assert_eq!(ring.hosts[0].events.iter().filter(refused).count(), 1);
    ring.hears(0, &told(Vec::new()));
    assert_eq!(held(&ring)[0], Some((4, b"a = 1".to_vec())));
}

#[test]
fn a_version_that_cannot_be_stored_is_not_told() {
    let mut ring = Ring::new(3);
    ring.run_ms(2_000);
    ring.disk_fails = true;
    let request = apply(&mut ring, 0, 1, "a = 1");
    ring.run_ms(1_000);
    assert!(matches!(ring.reply(0, request), Some(Reply::Failed(CommandError::NotDurable(_)))));
    assert_eq!(held(&ring), vec![None; 3]);
    ring.disk_fails = false;
    let request = apply(&mut ring, 0, 1, "a = 1");
    ring.run_ms(1_000);
    assert_eq!(ring.reply(0, request), Some(&Reply::Done));
}

#[test]
fn files_travel_by_name_up_to_a_number_and_large_ones_by_stream() {
    let mut ring = Ring::new(4);
    ring.run_ms(2_000);
    let large = vec![b'x'; 64 * 1024];
    put(&mut ring, 1, "large.bin", 1, large.clone());
    put(&mut ring, 2, "users.acl", 3, b"user default on".to_vec());
    ring.run_ms(2_000);
    let group = "redis.prod".parse().expect("valid");
    for i in 0..4 {
        let files: Vec<_> = ring.node(i).group_files(&group).cloned().collect();
        assert_eq!(files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["large.bin", "users.acl"]);
        assert_eq!(files[0].version.body, large);
    }
    assert_eq!(ring.node(0).group_files(&"redis.test".parse().expect("valid")).count(), 0);
    for n in 0..SERVICE_FILES_PER_GROUP_BY_ONE_MAX {
        put(&mut ring, 0, &n.to_string(), 1, b"x".to_vec());
    }
    ring.run_ms(1_000);
    let one_more = put(&mut ring, 0, "one.more", 1, b"x".to_vec());
    assert_eq!(ring.reply(0, one_more), Some(&Reply::Failed(CommandError::Limit(Limit::FilesOfOneGroup))));
    let known = put(&mut ring, 0, "users.acl", 4, b"x".to_vec());
    ring.run_ms(100);
    assert_eq!(ring.reply(0, known), Some(&Reply::Done), "an existing file may still be replaced");
    for name in ["7", "8"] {
        put(&mut ring, 0, name, 2, Vec::new());
    }
    ring.run_ms(1_000);
    let one_more = put(&mut ring, 0, "one.more", 1, b"x".to_vec());
    ring.run_ms(100);
    assert_eq!(ring.reply(0, one_more), Some(&Reply::Done), "what was taken back makes room");
    let rows = ring.hosts[0].disk.keys().filter(|(table, _)| *table == Table::History).count();
    assert!(rows > 0);
}

#[test]
fn a_plain_configuration_displaces_no_sealed_one() {
    let mut ring = Ring::new(2);
    ring.run_ms(2_000);
    let group: ServiceGroup = "redis.prod@acme".parse().expect("valid");
    let body = Sealed { text: b"BOX-1\nciphertext", signature: &[7; 64] }.to_body().expect("text");
    let give = |ring: &mut Ring, at: usize, version, toml: &[u8], is_sealed| {
        let (group, toml) = (group.clone(), toml.to_vec());
        let command = Command::ApplyConfig { group, version, toml, allow_leap: false, is_sealed };
        let request = ring.command(at, command);
        ring.run_ms(2_000);
        ring.reply(at, request).cloned()
    };
    assert_eq!(give(&mut ring, 0, 1, &body, true), Some(Reply::Done));
    assert_eq!(
        give(&mut ring, 1, 9, b"port = 1", false),
        Some(Reply::Done),
        "a member without the key takes it"
    );
    for i in 0..2 {
        let held = ring.node(i).rumor(&RumorKey::SealedConfig(group.clone()));
        let version = held.and_then(Rumor::version).expect("the sealed one is held");
        assert_eq!((version.number, &version.body), (1, &body), "node {i}");
        let plain = ring.node(i).rumor(&RumorKey::ServiceConfig(group.clone())).map(Rumor::number);
        assert_eq!(plain, Some(9), "node {i}");
    }
    let old = Reply::Failed(CommandError::Version { current: 1 });
    assert_eq!(give(&mut ring, 1, 1, &body, true), Some(old), "their numbers are counted apart");
}
