//! Rumors that this version does not understand: what of them it reads all the same.

use alloc::borrow::Cow;
use core::ops::RangeInclusive;

use crate::model::digest;
use crate::model::error::DecodeError;
use crate::model::id::MemberId;
use crate::model::limits::{INCARNATION_MAX, OPAQUE_BYTES_MAX};
use crate::model::mutant::mutated;
use crate::model::rumor::Opaque;
use crate::wire::fields::{Fields, Value};

/// Field numbers of `Rumor`.
mod tag {
    pub(super) const KIND: u32 = 1;
    pub(super) const FROM_ID: u32 = 3;
    /// What a rumor of a later kind is about: 1 subject, 2 version, 3 withdrawn, 4 owner (16 bytes).
    pub(super) const ABOUT: u32 = 110;
}

/// Fields of `Rumor` that vouch for a statement and are no part of it (signatures, public keys): told on and stored, and
/// left out of digests, so that a statement is the same with and without them.
const VOUCHING: RangeInclusive<u32> = 200..=299;

fn vouches(tag: u32) -> bool {
    mutated!(SignatureCounts, VOUCHING.contains(&tag), tag > 200 && tag < 300)
}

/// The number of a rumor's kind.
pub(super) fn kind_of(bytes: &[u8]) -> u32 {
    let kind = Fields::of(bytes).flatten().find_map(|field| match (field.tag, field.value) {
        (tag::KIND, Value::Varint(kind)) => u32::try_from(kind).ok(),
        _ => None,
    });
    kind.unwrap_or_default()
}

/// A rumor of a kind that this version does not know.
pub(super) fn of_later_kind(kind: u32, bytes: &[u8]) -> Result<Opaque, DecodeError> {
    check_length(bytes)?;
    let mut from_id: &[u8] = &[];
    let mut about = None;
    for field in Fields::of(bytes) {
        let field = field?;
        match (field.tag, field.value) {
            (tag::FROM_ID, Value::Bytes(id)) => from_id = id,
            (tag::ABOUT, Value::Bytes(bytes)) => about = Some(bytes),
            _ => {}
        }
    }
    let Some(about) = about else {
        let author = MemberId::from_hex(from_id).ok();
        return Ok(Opaque::unnamed(kind, from_id, bytes.to_vec()).owned_by(author));
    };
    let (mut subject, mut version, mut withdrawn, mut owner) = (&[][..], 0, false, None);
    for field in Fields::of(about) {
        let field = field?;
        match (field.tag, field.value) {
            (1, Value::Bytes(bytes)) => subject = bytes,
            (2, Value::Varint(number)) => version = number,
            (3, Value::Varint(flag)) => withdrawn = flag != 0,
            (4, Value::Bytes(id)) => {
                let id: [u8; 16] = id.try_into().map_err(|_| DecodeError::Invalid("owner"))?;
                owner = Some(MemberId::from_bytes(id));
            }
            _ => {}
        }
    }
    if version > INCARNATION_MAX {
        return Err(DecodeError::Invalid("version"));
    }
    Ok(Opaque::new(kind, subject, version, bytes.to_vec()).owned_by(owner).withdrawn(withdrawn))
}

const fn check_length(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > OPAQUE_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit: OPAQUE_BYTES_MAX });
    }
    Ok(())
}

/// The hash of a rumor's bytes that digests compare.
pub(crate) fn version_hash(bytes: &[u8]) -> u64 {
    digest::hash_bytes(&said(bytes))
}

/// What a rumor says: its bytes without those that vouch for it.
pub(crate) fn said(bytes: &[u8]) -> Cow<'_, [u8]> {
    // Mostly they come last.
    let mut said_len = 0;
    let mut fields = Fields::of(bytes).flatten();
    let mut rest = fields.by_ref().skip_while(|field| {
        let says = !vouches(field.tag);
        said_len += if says { field.raw.len() } else { 0 };
        says
    });
    let is_last = rest.all(|field| vouches(field.tag));
    assert!(said_len <= bytes.len(), "a message says no more than it holds");
    if is_last {
        return Cow::Borrowed(bytes.get(..said_len).unwrap_or(bytes));
    }
    let said = Fields::of(bytes).flatten().filter(|field| !vouches(field.tag));
    Cow::Owned(said.flat_map(|field| field.raw.iter().copied()).collect())
}
