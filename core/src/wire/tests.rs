//! Decoders reject bad bytes and never panic, and they read what an encoder wrote.

mod habitat;

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

use prost::Message as _;

use super::swim::{self, Body};
use super::{proto, stream};
use crate::model::accusers::Accusers;
use crate::model::digest::BUCKETS;
use crate::model::error::DecodeError;
use crate::model::id::{Incarnation, MemberId, ProbeSeq, ServiceGroup};
use crate::model::identity::Vouch;
use crate::model::limits::{
    DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, ELECTORATE_MAX, INCARNATION_MAX, STREAM_BYTES_MAX,
};
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::rumor::tests::any_trio;
use crate::model::rumor::{MemberRumor, Rumor, Told};
use crate::wire::convert::member_to_wire;

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        Just(UNSPECIFIED),
        any::<u32>().prop_map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        any::<u128>().prop_map(|n| IpAddr::V6(Ipv6Addr::from(n))),
    ]
}

fn record() -> impl Strategy<Value = MemberRecord> {
    (any::<[u8; 16]>(), 0..=INCARNATION_MAX, address(), any::<u16>(), any::<u16>(), any::<bool>()).prop_map(
        |(id, incarnation, address, swim_port, gossip_port, permanent)| MemberRecord {
            id: MemberId::from_bytes(id),
            incarnation: Incarnation(incarnation),
            address,
            swim_port,
            gossip_port,
            state: State::Alive,
            permanent,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let seq = || any::<u64>().prop_map(ProbeSeq);
    prop_oneof![
        (seq(), proptest::option::of(record())).prop_map(|(seq, forward_to)| Body::Ping { seq, forward_to }),
        (seq(), proptest::option::of(record())).prop_map(|(seq, forward_to)| Body::Ack { seq, forward_to }),
        (seq(), record()).prop_map(|(seq, target)| Body::PingReq { seq, target }),
        (seq(), record()).prop_map(|(seq, target)| Body::Nack { seq, target }),
        Just(Body::Gossip),
    ]
}

proptest! {
    #[test]
    fn datagrams_round_trip(from in record(), body in body(), suspect in record()) {
        let suspect = MemberRecord { state: State::Suspect, ..suspect };
        let rumor = MemberRumor { record: suspect, accusers: Accusers::one(from.id) };
        let bytes = swim::encode(member_to_wire(&from), &body, vec![rumor.to_wire()], Vec::new(), 9);
        let decoded = swim::decode(&bytes).expect("its own encoding");
        prop_assert_eq!(decoded.from, from);
        prop_assert_eq!(decoded.body, body);
        prop_assert_eq!(decoded.digest, 9);
        prop_assert_eq!(decoded.rumors, vec![Rumor::Member(rumor).into()]);
    }

    #[test]
    fn a_member_that_leaves_says_so_in_every_message(from in record(), body in body()) {
        let from = MemberRecord { state: State::Departed, ..from };
        let bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new(), 0);
        prop_assert_eq!(swim::decode(&bytes).map(|read| read.from), Ok(from));
    }

    #[test]
    fn the_largest_envelope_leaves_the_room_that_packing_counts_on(from in record(), body in body()) {
        let bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new(), 0);
        prop_assert!(bytes.len() <= 280, "{} bytes", bytes.len());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1100)) {
        let _ = swim::decode(&bytes);
        let _ = stream::decode(&bytes);
    }

    /// Messages with a few changed bytes reach deeper into the decoders than random ones.
    #[test]
    fn damaged_messages_never_panic(
        from in record(),
        body in body(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new(), 0);
        for (at, value) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let _ = swim::decode(&bytes);
        let begin = stream::Body::SyncBegin { buckets: alloc::boxed::Box::new([7; BUCKETS]), records: 3 };
        let mut bytes = stream::encode(member_to_wire(&from), begin).expect("it is small");
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = stream::decode(&bytes);
    }

    /// A damaged rumor costs neither the ack nor the other rumors.
    #[test]
    fn one_corrupted_rumor_costs_itself_alone(
        from in record(),
        [told, ..] in any_trio(),
        others in proptest::collection::vec(record(), 0..3),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let others: Vec<MemberRumor> = others.into_iter().map(MemberRumor::new).collect();
        let mut bad = told.encode();
        for (at, value) in damage {
            let at = at.index(bad.len());
            bad[at] = value;
        }
        let ack = Body::Ack { seq: ProbeSeq(7), forward_to: None };
        let body = proto::PingAck { from: Some(member_to_wire(&from)), forward_to: None, seq: 7 };
        let mut fields = vec![field(3, &body.encode_to_vec())];
        fields.extend(others.iter().map(|m| field(5, &m.to_wire().encode_to_vec())));
        fields.insert(fields.len() / 2 + 1, field(102, &bad));
        let bytes = datagram_of(2, &fields);
        let decoded = swim::decode(&bytes).expect("its sender can be read");
        prop_assert_eq!((decoded.from, decoded.body), (from, ack));
        let arrived = |m: &&MemberRumor| decoded.rumors.iter().any(|told| *told.rumor() == Rumor::Member(**m));
        prop_assert_eq!(others.iter().filter(arrived).count(), others.len());
        prop_assert!(decoded.skipped <= 1);
    }

    #[test]
    fn stream_messages_round_trip(
        from in record(),
        hashes in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..50),
        want in proptest::collection::vec(any::<u64>(), 0..50),
        seq in any::<u64>(),
    ) {
        let rumor = Rumor::Member(MemberRumor::new(from)).encode();
        let told = || vec![Told::decode(&rumor).expect("its own encoding")];
        let bodies = [
            (
                stream::Body::SyncKeys { buckets: seq, hashes: hashes.clone() },
                stream::Body::SyncKeys { buckets: seq, hashes },
            ),
            (
                stream::Body::SyncRecords { rumors: vec![rumor.clone()], want: want.clone() },
                stream::Body::SyncRecords { rumors: told(), want },
            ),
            (stream::Body::Ping { seq: ProbeSeq(seq) }, stream::Body::Ping { seq: ProbeSeq(seq) }),
            (stream::Body::Ack { seq: ProbeSeq(seq) }, stream::Body::Ack { seq: ProbeSeq(seq) }),
            (stream::Body::Gossip { rumors: Vec::new() }, stream::Body::Gossip { rumors: Vec::new() }),
        ];
        for (sent, read) in bodies {
            let bytes = stream::encode(member_to_wire(&from), sent).expect("it is small");
            let decoded = stream::decode(&bytes).expect("its own encoding");
            prop_assert_eq!(decoded.from, from);
            prop_assert_eq!(decoded.body, read);
            prop_assert_eq!(decoded.skipped, 0);
        }
    }
}

#[test]
fn the_largest_step_of_an_election_fits_the_smallest_datagram() {
    use crate::model::ballot::{Body as Step, Electorate, Message, Verdict, Voter};
    use crate::model::election::{ElectionId, ElectionPurpose};
    let members: Vec<MemberId> = (0..ELECTORATE_MAX as u8).map(|n| MemberId::from_bytes([n; 16])).collect();
    let electorate = Electorate { term: u64::MAX, version: u64::MAX, members };
    let voter = Voter { is_member: true, fit: true, suitability: u64::MAX, electorate: (u64::MAX, u64::MAX) };
    let group = alloc::format!("{}.{}", "s".repeat(127), "g".repeat(127));
    let group: ServiceGroup = group.parse().expect("the longest group there is");
    let election = ElectionId { group, purpose: ElectionPurpose::Update };
    let verdict = Verdict::Outdated { electorate: electorate.clone() };
    let steps = [
        Step::Ask { suitability: u64::MAX, electorate: electorate.clone() },
        Step::Renew { lease_ms: u64::MAX, electorate },
        Step::Answer { to: crate::model::ballot::Step::Renew, verdict, voter },
    ];
    let from = MemberRecord {
        incarnation: Incarnation(INCARNATION_MAX),
        address: IpAddr::V6(Ipv6Addr::new(0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff)),
        swim_port: u16::MAX,
        gossip_port: u16::MAX,
        ..alive(0xff)
    };
    for body in steps {
        let message = Message { election: election.clone(), term: u64::MAX, round: u64::MAX, body };
        let vouch = Vouch::from_bytes(&[0xff; Vouch::BYTES]).expect("as long as a word is");
        let bytes = swim::encode_ballot(member_to_wire(&from), &from.id, &message, &vouch);
        assert!(bytes.len() <= DATAGRAM_BYTES_MIN, "{} bytes", bytes.len());
    }
}

#[test]
fn every_refusal_names_its_reason() {
    let too_long = vec![0; DATAGRAM_BYTES_MAX + 1];
    assert!(matches!(swim::decode(&too_long), Err(DecodeError::TooLong { .. })));
    assert_eq!(swim::decode(&[0xff; 20]), Err(DecodeError::Protobuf));
    assert_eq!(swim::decode(&[]), Err(DecodeError::Missing("payload")));
    // encrypted = true
    assert_eq!(swim::decode(&[0x08, 0x01]), Err(DecodeError::Encrypted));
    assert_eq!(stream::decode(&[0x08, 0x01, 0x1a, 0x01, 0xff]), Err(DecodeError::Encrypted));
    // payload with an unknown type and no body
    assert_eq!(swim::decode(&[0x1a, 0x02, 0x08, 0x63]), Err(DecodeError::Missing("body")));
    // a ping without a sender
    assert_eq!(swim::decode(&[0x1a, 0x04, 0x08, 0x01, 0x12, 0x00]), Err(DecodeError::Missing("member")));
}

fn alive(n: u8) -> MemberRecord {
    MemberRecord {
        id: MemberId::from_bytes([n; 16]),
        incarnation: Incarnation(3),
        address: UNSPECIFIED,
        swim_port: 9638,
        gossip_port: 9638,
        state: State::Alive,
        permanent: true,
    }
}

/// A field that holds bytes, as in a message that a later version writes.
fn field(tag: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::bytes::encode(tag, &bytes.to_vec(), &mut field);
    field
}

fn datagram_of(kind: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![0x08, kind];
    fields.iter().for_each(|f| payload.extend_from_slice(f));
    field(3, &payload)
}

#[test]
fn whoever_speaks_in_a_later_kind_is_heard() {
    let told = MemberRumor::new(alive(2));
    let member = member_to_wire(&alive(1)).encode_to_vec();
    let body = field(7, &[field(1, &member), field(50, b"new")].concat());
    let bytes =
        datagram_of(77, &[field(60, b"no sender here"), body, field(5, &told.to_wire().encode_to_vec())]);
    let decoded = swim::decode(&bytes).expect("its sender can be read");
    assert_eq!((decoded.from, decoded.body), (alive(1), Body::Unknown));
    assert_eq!(decoded.rumors, [Rumor::Member(told).into()]);
    // The same over a stream, where a message of a later kind carries no readable content.
    let stream = field(3, &[field(100, &member), field(150, b"new")].concat());
    let decoded = stream::decode(&stream).expect("its sender can be read");
    assert_eq!((decoded.from, decoded.skipped), (alive(1), 0));
}

#[test]
fn a_bad_part_of_a_body_does_not_cost_the_sender() {
    let member = member_to_wire(&alive(1)).encode_to_vec();
    let bad = field(2, &field(1, b"no hex digits"));
    let seq = [0xa0, 0x06, 9];
    let body = [field(1, &member), bad, seq.to_vec()].concat();
    let read = |kind, tag| {
        let bytes = datagram_of(kind, &[field(tag, &body)]);
        let read = swim::decode(&bytes).expect("its sender can be read");
        (read.from, read.body, read.skipped)
    };
    let ping = read(1, 2);
    assert_eq!(ping, (alive(1), Body::Ping { seq: ProbeSeq(9), forward_to: None }, 1));
    for (kind, tag) in [(2, 3), (3, 4), (100, 100)] {
        assert_eq!(read(kind, tag), (alive(1), Body::Unknown, 1), "kind {kind}");
    }
    let bytes = datagram_of(102, &[field(103, &[field(1, &member), field(3, b"?")].concat())]);
    let ballot = swim::decode(&bytes);
    assert_eq!(ballot.map(|d| (d.from, d.body, d.skipped)), Ok((alive(1), Body::Unknown, 1)));
    // An invalid address counts as absent.
    let odd = [field(1, alive(1).id.to_hex().as_slice()), field(3, b"host.example"), vec![0x20, 1, 0x28, 1]]
        .concat();
    let bytes = datagram_of(1, &[field(2, &field(1, &odd))]);
    let read = swim::decode(&bytes).expect("its sender can be read");
    assert_eq!(read.from.address, UNSPECIFIED);
}

/// Habitat's field numbers, byte by byte, so that a change of a tag cannot go unnoticed.
#[test]
fn a_ping_is_laid_out_as_habitat_lays_it_out() {
    let from = alive(0x11);
    let body = Body::Ping { seq: ProbeSeq(0), forward_to: None };
    let bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new(), 0);
    let mut member = vec![0x0a, 32];
    member.extend_from_slice(&[b'1'; 32]);
    member.extend_from_slice(&[0x10, 3, 0x20, 0xa6, 0x4b, 0x28, 0xa6, 0x4b, 0x30, 1]);
    let mut ping = vec![0x0a, member.len() as u8];
    ping.extend(member);
    let mut payload = vec![0x08, 1, 0x12, ping.len() as u8];
    payload.extend(ping);
    let mut wire = vec![0x1a, payload.len() as u8];
    wire.extend(payload);
    assert_eq!(bytes, wire);
}

#[test]
fn what_is_as_long_as_the_limit_is_read_and_a_byte_more_is_not() {
    let from = || member_to_wire(&alive(1));
    let filled = |mut bytes: Vec<u8>, limit: usize| {
        // A field of the envelope that a later version may add; its length takes as many bytes as it takes.
        let mut filler = limit - bytes.len();
        while bytes.len() + field(90, &vec![0; filler]).len() > limit {
            filler -= 1;
        }
        bytes.extend(field(90, &vec![0; filler]));
        assert_eq!(bytes.len(), limit);
        bytes
    };
    let datagram = swim::encode(from(), &Body::Gossip, Vec::new(), Vec::new(), 0);
    assert!(swim::decode(&filled(datagram.clone(), DATAGRAM_BYTES_MAX)).is_ok());
    let bytes = DATAGRAM_BYTES_MAX + 1;
    let too_long = DecodeError::TooLong { bytes, limit: DATAGRAM_BYTES_MAX };
    assert_eq!(swim::decode(&filled(datagram, bytes)).map(|read| read.from), Err(too_long));
    let stream = stream::encode(from(), stream::Body::Ack { seq: ProbeSeq(1) }).expect("it is small");
    assert!(stream::decode(&filled(stream.clone(), STREAM_BYTES_MAX)).is_ok());
    let bytes = STREAM_BYTES_MAX + 1;
    let too_long = DecodeError::TooLong { bytes, limit: STREAM_BYTES_MAX };
    assert_eq!(stream::decode(&filled(stream, bytes)).map(|read| read.from), Err(too_long));
}

#[test]
fn a_number_that_does_not_fit_its_field_is_refused() {
    let member = |port: u8| {
        let port = vec![0x20, 0xf0 | port, 0xa2, 0x04];
        [field(1, alive(1).id.to_hex().as_slice()), port, vec![0x28, 1]].concat()
    };
    // 70,000 and a little.
    let bytes = datagram_of(1, &[field(2, &field(1, &member(0)))]);
    assert_eq!(swim::decode(&bytes).map(|read| read.from), Err(DecodeError::Invalid("swim_port")));
}
