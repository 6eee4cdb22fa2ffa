//! The keys that a member can open as a message.

use alloc::vec::Vec;
use prost::Message;

use super::ring_key::KeyMessage;
use crate::model::error::DecodeError;
use crate::model::limits::OPEN_KEYS_MAX;
use crate::model::rumor::{MemberKeys, OpenKey};
use crate::model::time::UnixTime;
use crate::wire::convert::{id_from_wire, id_to_wire, incarnation_from_wire};

/// What a member can open.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MemberKeysMessage {
    #[prost(bytes = "vec", tag = "1")]
    member_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    incarnation: u64,
    #[prost(message, repeated, tag = "3")]
    opens: Vec<KeyMessage>,
    #[prost(message, optional, tag = "4")]
    speaks: Option<KeyMessage>,
    #[prost(bytes = "vec", tag = "5")]
    box_key: Vec<u8>,
}

impl MemberKeys {
    pub(super) fn to_wire(&self) -> MemberKeysMessage {
        assert!(self.opens.len() <= OPEN_KEYS_MAX, "a member opens a few keys");
        assert!(self.opens.is_sorted_by(|a, b| a.key < b.key), "a member lists each key once");
        let open = |open: &OpenKey| {
            let mut key = KeyMessage::of(open.key);
            key.until = open.until.map_or(0, |until| until.as_millis());
            key
        };
        MemberKeysMessage {
            member_id: id_to_wire(&self.member_id),
            incarnation: self.incarnation.0,
            opens: self.opens.iter().map(open).collect(),
            speaks: Some(KeyMessage::of(self.speaks)),
            box_key: self.box_key.to_vec(),
        }
    }

    pub(super) fn from_wire(k: Option<MemberKeysMessage>) -> Result<Self, DecodeError> {
        let k = k.ok_or(DecodeError::Missing("member keys"))?;
        if k.opens.len() > OPEN_KEYS_MAX {
            return Err(DecodeError::Invalid("keys that a member opens"));
        }
        let open = |k: &KeyMessage| {
            let until = (k.until > 0).then(|| UnixTime::from_millis(k.until));
            k.read().map(|key| OpenKey { key, until })
        };
        let opens = k.opens.iter().map(open).collect::<Result<Vec<OpenKey>, DecodeError>>()?;
        if !opens.is_sorted_by(|a, b| a.key < b.key) {
            return Err(DecodeError::Invalid("keys that a member opens"));
        }
        Ok(Self {
            member_id: id_from_wire(&k.member_id, "member of the keys")?,
            incarnation: incarnation_from_wire(k.incarnation)?,
            opens,
            speaks: k.speaks.ok_or(DecodeError::Missing("key that a member speaks with"))?.read()?,
            box_key: k.box_key.try_into().map_err(|_| DecodeError::Invalid("key for boxes"))?,
        })
    }
}
