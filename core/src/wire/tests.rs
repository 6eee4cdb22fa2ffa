//! Decoders reject; they never panic; what they accept is what was sent.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

use super::stream;
use super::swim::{self, Body};
use crate::model::accusers::Accusers;
use crate::model::digest::BUCKETS;
use crate::model::error::DecodeError;
use crate::model::id::{Incarnation, MemberId, ProbeSeq};
use crate::model::limits::{DATAGRAM_BYTES_MAX, INCARNATION_MAX};
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::rumor::{MemberRumor, Rumor};
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
        let bytes = swim::encode(member_to_wire(&from), &body, vec![rumor.to_wire()], Vec::new());
        let decoded = swim::decode(&bytes).expect("its own encoding");
        prop_assert_eq!(decoded.from, from);
        prop_assert_eq!(decoded.body, body);
        prop_assert_eq!(decoded.rumors, vec![Rumor::Member(rumor)]);
    }

    #[test]
    fn the_largest_envelope_leaves_the_room_that_packing_counts_on(from in record(), body in body()) {
        let bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new());
        prop_assert!(bytes.len() <= 280, "{} bytes", bytes.len());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1100)) {
        let _ = swim::decode(&bytes);
        let _ = stream::decode(&bytes);
    }

    /// Bytes that were a message before a few of them changed find their way deeper into the decoders.
    #[test]
    fn damaged_messages_never_panic(
        from in record(),
        body in body(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new());
        for (at, value) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let _ = swim::decode(&bytes);
        let begin = stream::Body::SyncBegin { buckets: alloc::boxed::Box::new([7; BUCKETS]), records: 3 };
        let mut bytes = stream::encode(member_to_wire(&from), &begin).expect("it is small");
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = stream::decode(&bytes);
    }

    #[test]
    fn stream_messages_round_trip(
        from in record(),
        hashes in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..50),
        want in proptest::collection::vec(any::<u64>(), 0..50),
        seq in any::<u64>(),
    ) {
        let bodies = [
            stream::Body::SyncKeys { buckets: seq, hashes },
            stream::Body::SyncRecords { rumors: vec![Rumor::Member(MemberRumor::new(from))], want },
            stream::Body::Ping { seq: ProbeSeq(seq) },
            stream::Body::Ack { seq: ProbeSeq(seq) },
            stream::Body::Gossip { rumors: Vec::new() },
        ];
        for body in bodies {
            let bytes = stream::encode(member_to_wire(&from), &body).expect("it is small");
            let decoded = stream::decode(&bytes).expect("its own encoding");
            prop_assert_eq!(decoded.from, from);
            prop_assert_eq!(decoded.body, body);
        }
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
    // payload with an unknown type
    assert_eq!(swim::decode(&[0x1a, 0x02, 0x08, 0x63]), Err(DecodeError::Invalid("type")));
    // a ping without a sender
    assert_eq!(swim::decode(&[0x1a, 0x04, 0x08, 0x01, 0x12, 0x00]), Err(DecodeError::Missing("member")));
}

/// Habitat's field numbers, byte by byte, so that a change of a tag cannot go unnoticed.
#[test]
fn a_ping_is_laid_out_as_habitat_lays_it_out() {
    let from = MemberRecord {
        id: MemberId::from_bytes([0x11; 16]),
        incarnation: Incarnation(3),
        address: UNSPECIFIED,
        swim_port: 9638,
        gossip_port: 9638,
        state: State::Alive,
        permanent: true,
    };
    let body = Body::Ping { seq: ProbeSeq(0), forward_to: None };
    let bytes = swim::encode(member_to_wire(&from), &body, Vec::new(), Vec::new());
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
