//! A key of the ring as a message.

use alloc::string::String;
use alloc::vec::Vec;
use prost::Message;

use crate::model::error::DecodeError;
use crate::model::limits::NAME_BYTES_MAX;
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::RingKey;
use crate::model::time::UnixTime;
use crate::wire::convert::{id_from_wire, id_to_wire};

/// Which key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyMessage {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(bytes = "vec", tag = "2")]
    fingerprint: Vec<u8>,
    /// Until when a member can open it, in milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub(super) until: u64,
}

impl KeyMessage {
    pub(super) fn of(key: RingKeyId) -> Self {
        let fingerprint = if key.is_clear() { Vec::new() } else { key.fingerprint.to_vec() };
        Self { revision: key.revision, fingerprint, until: 0 }
    }

    pub(super) fn read(&self) -> Result<RingKeyId, DecodeError> {
        if self.revision == 0 && self.fingerprint.is_empty() {
            return Ok(RingKeyId::CLEAR);
        }
        let fingerprint = <[u8; 16]>::try_from(self.fingerprint.as_slice());
        let fingerprint = fingerprint.map_err(|_| DecodeError::Invalid("fingerprint"))?;
        if self.revision == 0 || self.revision > RingKeyId::REVISION_MAX {
            return Err(DecodeError::Invalid("revision"));
        }
        Ok(RingKeyId { revision: self.revision, fingerprint })
    }
}

/// That a key is offered to the ring, or current.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RingKeyMessage {
    #[prost(message, optional, tag = "1")]
    key: Option<KeyMessage>,
    #[prost(string, tag = "2")]
    ring: String,
    #[prost(bool, tag = "3")]
    is_current: bool,
    #[prost(uint64, tag = "4")]
    since: u64,
    #[prost(uint64, tag = "5")]
    grace_ms: u64,
}

impl RingKey {
    pub(super) fn to_wire(&self) -> RingKeyMessage {
        assert!(!self.key.is_clear(), "the clear is offered by no member");
        RingKeyMessage {
            key: Some(KeyMessage::of(self.key)),
            ring: self.ring.clone(),
            is_current: self.is_current,
            since: self.since.as_millis(),
            grace_ms: self.grace_ms,
        }
    }

    pub(super) fn by_to_wire(&self) -> Vec<u8> {
        id_to_wire(&self.by)
    }

    pub(super) fn from_wire(by: &[u8], k: Option<RingKeyMessage>) -> Result<Self, DecodeError> {
        let k = k.ok_or(DecodeError::Missing("ring key"))?;
        let key = k.key.ok_or(DecodeError::Missing("key"))?.read()?;
        if key.is_clear() || k.ring.len() > NAME_BYTES_MAX {
            return Err(DecodeError::Invalid("ring key"));
        }
        Ok(Self {
            key,
            ring: k.ring,
            is_current: k.is_current,
            since: UnixTime::from_millis(k.since),
            grace_ms: k.grace_ms,
            by: id_from_wire(by, "member that offers a key")?,
        })
    }
}
