//! The rows of a supervisor's database: a snapshot that was read survives being written again, and a node starts from it.
//!
//! An input is a list of rows: table (1 byte), length of the key and of the value (2 bytes each, big-endian), both.

use annulus_core::{Config, Input, Instant, Node, Snapshot, SnapshotError, Table, UnixTime, Write};

use super::{MIB, Seen, Target};
use crate::mutate::{bytes, protobuf};

pub(super) const TARGET: Target = Target {
    name: "rows",
    about: "rows of the database; a node starts from them and runs for a second",
    run,
    mutate,
    seeds,
    tell: None,
    bytes_max: 32 * 1024,
    memory_max: 32 * MIB,
};

/// A row's table, key and value.
type Row = (Table, Vec<u8>, Vec<u8>);

/// The rows of an input, each key of a table once, as a database has them.
fn split(mut input: &[u8]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    while let Some(([table, k0, k1, v0, v1], rest)) = input.split_first_chunk::<5>() {
        let take = |len: [u8; 2], rest: &[u8]| rest.len().min(usize::from(u16::from_be_bytes(len)));
        let (key, rest) = rest.split_at(take([*k0, *k1], rest));
        let (value, rest) = rest.split_at(take([*v0, *v1], rest));
        let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
        rows.retain(|(of, named, _)| (*of, named.as_slice()) != (table, key));
        rows.push((table, key.to_vec(), value.to_vec()));
        input = rest;
    }
    rows
}

fn join(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (table, key, value) in rows {
        let len = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX);
        bytes.push(Table::ALL.iter().position(|of| of == table).unwrap_or(0) as u8);
        bytes.extend(len(key).to_be_bytes());
        bytes.extend(len(value).to_be_bytes());
        bytes.extend(&key[..usize::from(len(key))]);
        bytes.extend(&value[..usize::from(len(value))]);
    }
    bytes
}

fn read(rows: &[Row]) -> Result<Option<Snapshot>, SnapshotError> {
    Snapshot::decode(rows.iter().map(|(table, key, value)| (*table, key.as_slice(), value.as_slice())))
}

fn of(writes: Vec<Write>) -> Vec<Row> {
    writes.into_iter().filter_map(|write| Some((write.table, write.key, write.value?))).collect()
}

fn run(input: &[u8]) -> Seen {
    let rows = split(input);
    let first = match read(&rows) {
        // Without the key, which differs from input to input.
        Err(SnapshotError::Record { table, error, .. }) => return Seen::refused(&format!("{table} {error}")),
        Err(error) => return Seen::refused(&error.to_string()),
        Ok(None) => return Seen::refused("empty"),
        Ok(Some(first)) => first,
    };
    let again = of(first.rows());
    let second = read(&again).expect("what was written is read").expect("it has an identity");
    let rumors = |snapshot: &Snapshot| -> Vec<annulus_core::Rumor> {
        snapshot.rumors.iter().map(|told| told.rumor().clone()).collect()
    };
    assert_eq!((first.member_id, first.incarnation), (second.member_id, second.incarnation));
    assert_eq!(first.members, second.members, "members survive");
    assert_eq!(rumors(&first), rumors(&second), "rumors survive");
    assert_eq!(first.services, second.services, "services survive");
    assert_eq!(first.votes, second.votes, "votes survive");
    let kind = format!(
        "{} {} {}",
        first.members.len().min(3),
        first.services.len().min(3),
        first.votes.len().min(3)
    );
    let size = first.rumors.len();
    start(first);
    Seen::accepted(&kind, size)
}

/// A node begins from the rows and is woken for a second.
fn start(snapshot: Snapshot) {
    let wall = UnixTime::from_millis(1_700_000_000_000);
    let mut now = Instant::ZERO;
    let signer = Box::new(annulus_core::KeyedHash::new([1; 32]));
    let mut node = Node::new(Config::new(9638), signer, Some(snapshot), [7; 32], now, wall);
    for _ in 0..10 {
        while node.poll_output().is_some() {}
        node.check_invariants();
        now = now + std::time::Duration::from_millis(100);
        node.handle_input(now, wall, Input::Wake);
    }
}

/// Half of the changes are inside a row, whose bytes are a message.
fn mutate(rng: &mut annulus_core::Rng, input: &mut Vec<u8>, other: &[u8]) {
    let (mut rows, theirs) = (split(input), split(other));
    if rows.is_empty() || rng.chance(1, 8) {
        return bytes::mutate(rng, input, other);
    }
    let at = rng.index(rows.len());
    let donor = (!theirs.is_empty()).then(|| theirs[rng.index(theirs.len())].clone());
    match (rng.below(6), donor) {
        (0, _) => {
            rows.remove(at);
        }
        (1, Some(donor)) => rows.insert(at, donor),
        (2, Some(donor)) => rows[at].2 = donor.2,
        (3, _) => bytes::mutate(rng, &mut rows[at].1, other),
        (_, donor) => protobuf::mutate(rng, &mut rows[at].2, &donor.map(|donor| donor.2).unwrap_or_default()),
    }
    *input = join(&rows);
}

fn seeds() -> Vec<Vec<u8>> {
    let disks = super::ring::disks();
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for writes in disks {
        let rows = of(writes);
        let identity: Vec<Row> = rows.iter().filter(|row| row.0 == Table::Identity).cloned().collect();
        // All rows, and for each table the first ones alone.
        seeds.push(join(&rows));
        for table in Table::ALL {
            let alone = rows.iter().filter(|row| row.0 == table && table != Table::Identity).take(2).cloned();
            seeds.push(join(&identity.iter().cloned().chain(alone).collect::<Vec<_>>()));
        }
    }
    seeds
}
