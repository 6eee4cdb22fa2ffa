//! `Member` and `Membership`, written by hand to spare an allocation for each field. Their bytes must be those of a
//! derived message.
//!
//! Nearly every message holds one of these two, and a busy member encodes and decodes thousands a second.

use core::fmt;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{
    DecodeContext, WireType, bool, check_wire_type, decode_varint, encode_key, encode_varint,
    encoded_len_varint, int32, key_len, message, skip_field, uint64,
};
use prost::{DecodeError, Message};

use crate::model::limits::ACCUSERS_MAX;

/// A byte string of at most `N` bytes, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { len: 0, bytes: [0; N] }
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// Writes text into it, as far as it fits.
impl<const N: usize> fmt::Write for Short<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let end = start + text.len();
        self.bytes.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end as u8;
        assert!(usize::from(self.len) <= N, "text stays within its place");
        Ok(())
    }
}

impl<const N: usize> Short<N> {
    /// These bytes.
    ///
    /// # Panics
    /// When there are more than `N`.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        assert!(bytes.len() <= N && N <= u8::MAX as usize, "bytes fit into their place");
        let mut short = Self { len: bytes.len() as u8, ..Self::default() };
        short.bytes[..bytes.len()].copy_from_slice(bytes);
        short
    }

    /// Adds a byte where there is room.
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(free) = self.bytes.get_mut(usize::from(self.len)) {
            *free = byte;
            self.len += 1;
        }
    }

    /// Adds a number in decimal. (Formatting does the same and takes ten times as long.)
    pub(crate) fn push_decimal(&mut self, number: u8) {
        for (unit, always) in [(100, false), (10, false), (1, true)] {
            if always || number >= unit {
                self.push(b'0' + number / unit % 10);
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn encode(&self, tag: u32, buf: &mut impl BufMut) {
        encode_key(tag, WireType::LengthDelimited, buf);
        encode_varint(u64::from(self.len), buf);
        buf.put_slice(self.as_slice());
    }

    fn encode_if_any(&self, tag: u32, buf: &mut impl BufMut) {
        if self.len > 0 {
            self.encode(tag, buf);
        }
    }

    fn merge(&mut self, wire_type: WireType, buf: &mut impl Buf) -> Result<(), DecodeError> {
        check_wire_type(WireType::LengthDelimited, wire_type)?;
        let len = decode_varint(buf)?;
        if len > N as u64 || len > buf.remaining() as u64 {
            return Err(malformed());
        }
        assert!(len <= N as u64, "a length that was checked is within its place");
        *self = Self { len: len as u8, ..Self::default() };
        buf.copy_to_slice(&mut self.bytes[..len as usize]);
        Ok(())
    }

    fn encoded_len(&self, tag: u32) -> usize {
        key_len(tag) + encoded_len_varint(u64::from(self.len)) + usize::from(self.len)
    }

    fn encoded_len_if_any(&self, tag: u32) -> usize {
        if self.len > 0 { self.encoded_len(tag) } else { 0 }
    }
}

/// The error of a number that ends too early, the only one that prost lets other crates make.
#[cold]
fn malformed() -> DecodeError {
    match decode_varint(&mut [].as_slice()) {
        Err(error) => error,
        Ok(_) => unreachable!("a number needs a byte"),
    }
}

/// An id as hex digits. One that is longer than 32 of them is refused where it is read.
pub(crate) type IdText = Short<32>;
/// An address as text; IPv6 with an IPv4 tail is the longest.
pub(crate) type AddressText = Short<45>;

/// `Member`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: IdText,
    pub(crate) incarnation: u64,
    pub(crate) address: AddressText,
    pub(crate) swim_port: Option<i32>,
    pub(crate) gossip_port: Option<i32>,
    pub(crate) persistent: bool,
    pub(crate) departed: bool,
}

impl Message for Member {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.id.encode_if_any(1, buf);
        if self.incarnation != 0 {
            uint64::encode(2, &self.incarnation, buf);
        }
        self.address.encode_if_any(3, buf);
        if let Some(port) = &self.swim_port {
            int32::encode(4, port, buf);
        }
        if let Some(port) = &self.gossip_port {
            int32::encode(5, port, buf);
        }
        if self.persistent {
            bool::encode(6, &true, buf);
        }
        if self.departed {
            bool::encode(7, &true, buf);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => self.id.merge(wire_type, buf),
            2 => uint64::merge(wire_type, &mut self.incarnation, buf, ctx),
            3 => self.address.merge(wire_type, buf),
            4 => int32::merge(wire_type, self.swim_port.get_or_insert_default(), buf, ctx),
            5 => int32::merge(wire_type, self.gossip_port.get_or_insert_default(), buf, ctx),
            6 => bool::merge(wire_type, &mut self.persistent, buf, ctx),
            7 => bool::merge(wire_type, &mut self.departed, buf, ctx),
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let port = |tag, port: &Option<i32>| port.as_ref().map_or(0, |port| int32::encoded_len(tag, port));
        let number = if self.incarnation == 0 { 0 } else { uint64::encoded_len(2, &self.incarnation) };
        let flags = usize::from(self.persistent) + usize::from(self.departed);
        self.id.encoded_len_if_any(1)
            + number
            + self.address.encoded_len_if_any(3)
            + port(4, &self.swim_port)
            + port(5, &self.gossip_port)
            + flags * bool::encoded_len(6, &true)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// `Membership`, with the accusers of a suspect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Membership {
    pub(crate) member: Option<Member>,
    pub(crate) health: i32,
    accusers: [[u8; 16]; ACCUSERS_MAX],
    accusers_count: usize,
}

impl Membership {
    /// The rumor about a member.
    pub(crate) fn new(member: Member, health: i32) -> Self {
        Self { member: Some(member), health, ..Self::default() }
    }

    /// Adds an accuser. More than are kept anywhere shorten nothing, and a later version may send more.
    pub(crate) fn accuse(&mut self, id: [u8; 16]) {
        if let Some(free) = self.accusers.get_mut(self.accusers_count) {
            *free = id;
            self.accusers_count += 1;
            assert!(self.accusers_count <= ACCUSERS_MAX, "so many accusers matter");
        }
    }

    /// Its accusers; the first of them where there are more than the limit.
    pub(crate) fn accusers(&self) -> &[[u8; 16]] {
        &self.accusers[..self.accusers_count]
    }
}

const ACCUSERS: u32 = 100;

impl Message for Membership {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if let Some(member) = &self.member {
            message::encode(1, member, buf);
        }
        if self.health != 0 {
            int32::encode(2, &self.health, buf);
        }
        for id in self.accusers() {
            encode_key(ACCUSERS, WireType::LengthDelimited, buf);
            encode_varint(id.len() as u64, buf);
            buf.put_slice(id);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => message::merge(wire_type, self.member.get_or_insert_default(), buf, ctx),
            2 => int32::merge(wire_type, &mut self.health, buf, ctx),
            ACCUSERS => {
                check_wire_type(WireType::LengthDelimited, wire_type)?;
                let length = decode_varint(buf)?;
                if length > buf.remaining() as u64 {
                    return Err(malformed());
                }
                // An accuser that is no id is left out, and the statement stands.
                let mut id = [0; 16];
                if length == id.len() as u64 {
                    buf.copy_to_slice(&mut id);
                    self.accuse(id);
                } else {
                    buf.advance(length as usize);
                }
                Ok(())
            }
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let member = self.member.as_ref().map_or(0, |member| message::encoded_len(1, member));
        let health = if self.health == 0 { 0 } else { int32::encoded_len(2, &self.health) };
        let accusers = self.accusers_count * (key_len(ACCUSERS) + encoded_len_varint(16) + 16);
        member + health + accusers
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// The same as a derived message.
    #[derive(Clone, PartialEq, Message)]
    struct PlainMember {
        #[prost(bytes = "vec", tag = "1")]
        id: Vec<u8>,
        #[prost(uint64, tag = "2")]
        incarnation: u64,
        #[prost(bytes = "vec", tag = "3")]
        address: Vec<u8>,
        #[prost(int32, optional, tag = "4")]
        swim_port: Option<i32>,
        #[prost(int32, optional, tag = "5")]
        gossip_port: Option<i32>,
        #[prost(bool, tag = "6")]
        persistent: bool,
        #[prost(bool, tag = "7")]
        departed: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    struct PlainMembership {
        #[prost(message, optional, tag = "1")]
        member: Option<PlainMember>,
        #[prost(int32, tag = "2")]
        health: i32,
        #[prost(bytes = "vec", repeated, tag = "100")]
        accusers: Vec<Vec<u8>>,
    }

    fn plain_member() -> impl Strategy<Value = PlainMember> {
        let bytes = |max| proptest::collection::vec(any::<u8>(), 0..=max);
        let port = || proptest::option::of(any::<i32>());
        (bytes(32), any::<u64>(), bytes(45), port(), port(), any::<bool>(), any::<bool>()).prop_map(
            |(id, incarnation, address, swim_port, gossip_port, persistent, departed)| PlainMember {
                id,
                incarnation,
                address,
                swim_port,
                gossip_port,
                persistent,
                departed,
            },
        )
    }

    fn plain() -> impl Strategy<Value = PlainMembership> {
        let accuser = proptest::collection::vec(any::<u8>(), 16);
        let accusers = proptest::collection::vec(accuser, 0..=ACCUSERS_MAX);
        (proptest::option::of(plain_member()), any::<i32>(), accusers)
            .prop_map(|(member, health, accusers)| PlainMembership { member, health, accusers })
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_a_derived_message(plain in plain()) {
            let bytes = plain.encode_to_vec();
            let ours = Membership::decode(bytes.as_slice()).expect("the same message");
            prop_assert_eq!(ours.encoded_len(), bytes.len());
            prop_assert_eq!(ours.encode_to_vec(), bytes);
        }

        #[test]
        fn damaged_messages_are_refused_or_understood_alike(
            plain in plain(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = plain.encode_to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(cut.index(bytes.len()) + 1);
            }
            if let Ok(ours) = Membership::decode(bytes.as_slice()) {
                let mut theirs = PlainMembership::decode(bytes.as_slice()).expect("we accept no more than they do");
                theirs.accusers.retain(|id| id.len() == 16);
                theirs.accusers.truncate(ACCUSERS_MAX);
                prop_assert_eq!(ours.encode_to_vec(), theirs.encode_to_vec());
            }
        }
    }

    #[test]
    fn numbers_in_decimal() {
        for number in 0..=u8::MAX {
            let mut text = Short::<3>::default();
            text.push_decimal(number);
            assert_eq!(text.as_slice(), alloc::format!("{number}").as_bytes());
        }
    }

    #[test]
    fn an_id_that_is_too_long_is_not_taken_for_another() {
        let long = PlainMember { id: alloc::vec![b'a'; 33], ..PlainMember::default() };
        assert!(Member::decode(long.encode_to_vec().as_slice()).is_err());
    }

    #[test]
    fn accusers_beyond_those_that_matter_and_such_that_are_none_cost_nothing_else() {
        let mut accusers: Vec<Vec<u8>> = (1..=ACCUSERS_MAX as u8 + 2).map(|n| alloc::vec![n; 16]).collect();
        accusers.insert(1, alloc::vec![9; 20]);
        let many = PlainMembership { health: 2, accusers, ..Default::default() };
        let read = Membership::decode(many.encode_to_vec().as_slice()).expect("well-formed");
        assert_eq!(read.health, 2);
        let kept: Vec<u8> = read.accusers().iter().map(|id| id[0]).collect();
        assert_eq!(kept, (1..=ACCUSERS_MAX as u8).collect::<Vec<u8>>());
    }
}
