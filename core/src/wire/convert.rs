//! Conversions between the model's types and fields of messages, shared by every message that holds them. They check
//! what a field can hold and decide nothing else.

use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::IpAddr;
use prost::Message as _;

use crate::model::error::DecodeError;
use crate::model::id::{Incarnation, MemberId};
use crate::model::limits::INCARNATION_MAX;
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::mutant::mutated;
use crate::wire::member::{AddressText, IdText, Member};

/// A member id as 32 hex digits, the form that Habitat sends.
pub(crate) fn id_to_wire(id: &MemberId) -> Vec<u8> {
    id.to_hex().to_vec()
}

pub(crate) fn id_from_wire(bytes: &[u8], field: &'static str) -> Result<MemberId, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Missing(field));
    }
    MemberId::from_hex(bytes).map_err(|_| DecodeError::Invalid(field))
}

/// Ids as 16 bytes each, one after the other.
pub(crate) fn ids_to_wire(ids: &[MemberId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

pub(crate) fn ids_from_wire(
    bytes: &[u8],
    count_max: usize,
    field: &'static str,
) -> Result<Vec<MemberId>, DecodeError> {
    let (ids, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() || ids.len() > count_max {
        return Err(DecodeError::Invalid(field));
    }
    assert!(ids.len() * 16 == bytes.len(), "every byte belongs to an id");
    Ok(ids.iter().copied().map(MemberId::from_bytes).collect())
}

/// An absent address is the unspecified one: the receiver fills in where the packet came from.
pub(crate) fn address_from_wire(bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    if bytes.is_empty() {
        return Ok(UNSPECIFIED);
    }
    IpAddr::parse_ascii_compat(bytes).ok_or(DecodeError::Invalid("address"))
}

trait ParseAscii: Sized {
    fn parse_ascii_compat(bytes: &[u8]) -> Option<Self>;
}

impl ParseAscii for IpAddr {
    fn parse_ascii_compat(bytes: &[u8]) -> Option<Self> {
        core::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

/// An address that no member knows yet is left out.
pub(crate) fn address_to_wire(address: IpAddr) -> AddressText {
    let mut text = AddressText::default();
    match address {
        UNSPECIFIED => {}
        IpAddr::V4(v4) => v4.octets().iter().enumerate().for_each(|(i, octet)| {
            if i > 0 {
                text.push(b'.');
            }
            text.push_decimal(*octet);
        }),
        IpAddr::V6(v6) => write!(text, "{v6}").expect("there is room for the longest address"),
    }
    assert!((address == UNSPECIFIED) == text.as_slice().is_empty(), "an address that is known is sent");
    text
}

pub(crate) fn member_to_wire(m: &MemberRecord) -> Member {
    Member {
        id: IdText::new(&m.id.to_hex()),
        incarnation: m.incarnation.0,
        address: address_to_wire(m.address),
        swim_port: Some(i32::from(m.swim_port)),
        gossip_port: Some(i32::from(m.gossip_port)),
        persistent: m.permanent,
        departed: mutated!(DepartureUnsaid, m.state == State::Departed, false),
    }
}

fn port_from_wire(port: Option<i32>, field: &'static str) -> Result<u16, DecodeError> {
    let port = port.ok_or(DecodeError::Missing(field))?;
    mutated!(PortCut, u16::try_from(port).map_err(|_| DecodeError::Invalid(field)), Ok(port as u16))
}

/// Decodes an incarnation.
pub(crate) const fn incarnation_from_wire(incarnation: u64) -> Result<Incarnation, DecodeError> {
    if incarnation > INCARNATION_MAX {
        return Err(DecodeError::Invalid("incarnation"));
    }
    Ok(Incarnation(incarnation))
}

pub(crate) fn member_from_wire(m: Option<&Member>) -> Result<MemberRecord, DecodeError> {
    let m = m.ok_or(DecodeError::Missing("member"))?;
    Ok(MemberRecord {
        id: id_from_wire(m.id.as_slice(), "member id")?,
        incarnation: incarnation_from_wire(m.incarnation)?,
        address: address_from_wire(m.address.as_slice())?,
        swim_port: port_from_wire(m.swim_port, "swim_port")?,
        gossip_port: port_from_wire(m.gossip_port, "gossip_port")?,
        state: if m.departed { State::Departed } else { State::Alive },
        permanent: m.persistent,
    })
}

/// Reads a member out of its bytes.
pub(crate) fn member_from_bytes(bytes: &[u8]) -> Result<MemberRecord, DecodeError> {
    let member = Member::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    member_from_wire(Some(&member))
}

/// The sender. An unreadable address counts as absent, because the message's source address takes its place.
pub(crate) fn sender_from_wire(bytes: &[u8]) -> Result<MemberRecord, DecodeError> {
    let mut member = Member::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    if address_from_wire(member.address.as_slice()).is_err() {
        member.address = AddressText::default();
    }
    member_from_wire(Some(&member))
}

/// The sender of a question, which leaves its ports to its source address.
pub(crate) fn asker_from_wire(bytes: &[u8]) -> Result<MemberRecord, DecodeError> {
    let mut member = Member::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    member.swim_port.get_or_insert_default();
    member.gossip_port.get_or_insert_default();
    if address_from_wire(member.address.as_slice()).is_err() {
        member.address = AddressText::default();
    }
    member_from_wire(Some(&member))
}

/// Habitat's numbers for the states.
pub(crate) const fn health_to_wire(state: State) -> i32 {
    match state {
        State::Alive => 1,
        State::Suspect => 2,
        State::Confirmed => 3,
        State::Departed => 4,
    }
}

/// A missing or unknown health counts as alive (as in Habitat).
pub(crate) const fn health_from_wire(health: i32) -> State {
    match health {
        2 => State::Suspect,
        3 => State::Confirmed,
        4 => State::Departed,
        _ => State::Alive,
    }
}
