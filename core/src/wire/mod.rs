//! Bytes on the wire: Habitat's protobuf messages with our additions from field 100.
//!
//! [`Message`] is for traces; [`proto`] holds the hand-written message structs, [`swim`] the datagrams, [`stream`] the framed messages.
//! Decoders reject; they never panic and never believe a length.

pub(crate) mod ballot;
mod member;
mod message;
pub(crate) mod proto;
pub(crate) mod stream;
pub(crate) mod swim;
#[cfg(test)]
mod tests;

pub(crate) use member::Short;

pub use message::Message;

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::error::DecodeError;
use crate::id::MemberId;

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
    Ok(ids.iter().copied().map(MemberId::from_bytes).collect())
}

/// An absent address is the unspecified one: the receiver fills in where the packet came from.
pub(crate) fn address_from_wire(bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    if bytes.is_empty() {
        return Ok(UNSPECIFIED);
    }
    IpAddr::parse_ascii_compat(bytes).ok_or(DecodeError::Invalid("address"))
}

/// Nobody knows the address yet.
pub(crate) const UNSPECIFIED: IpAddr = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);

trait ParseAscii: Sized {
    fn parse_ascii_compat(bytes: &[u8]) -> Option<Self>;
}

impl ParseAscii for IpAddr {
    fn parse_ascii_compat(bytes: &[u8]) -> Option<Self> {
        core::str::from_utf8(bytes).ok()?.parse().ok()
    }
}
