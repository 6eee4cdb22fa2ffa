//! Habitat's envelope (`Wire`), in which every datagram and every frame of the gossip port is wrapped. It may not look
//! into the message inside.
//!
//! The envelope is read apart from the message, so that ciphertext is never parsed: a sealed message is refused here,
//! before a decoder sees its payload. The payload is borrowed when it is opened and written once when it is sealed.

use alloc::vec::Vec;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::fields::{Fields, Value};
use crate::model::error::DecodeError;
use crate::model::limits::SEAL_BYTES_MAX;

const ENCRYPTED: u32 = 1;
const NONCE: u32 = 2;
const PAYLOAD: u32 = 3;

/// An envelope's parts, borrowed. A runtime takes messages out of it and puts them back where the ring has a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Whether the sender says that the payload is sealed. Habitat goes by the nonce instead.
    pub encrypted: bool,
    /// What the seal was made with; empty for a message in the clear.
    pub nonce: &'a [u8],
    /// The message, in the clear or sealed.
    pub payload: Option<&'a [u8]>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope and leaves the message inside alone. Fields of later versions are passed over.
    ///
    /// # Errors
    /// The bytes are no envelope.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut envelope = Self::default();
        for field in Fields::of(bytes) {
            let field = field?;
            match (field.tag, field.value) {
                (ENCRYPTED, Value::Varint(flag)) => envelope.encrypted = flag != 0,
                (NONCE, Value::Bytes(nonce)) => envelope.nonce = nonce,
                (PAYLOAD, Value::Bytes(payload)) => envelope.payload = Some(payload),
                (ENCRYPTED | NONCE | PAYLOAD, _) => return Err(DecodeError::Protobuf),
                _ => {}
            }
        }
        Ok(envelope)
    }

    /// Whether the payload is, or may be, sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.encrypted || !self.nonce.is_empty()
    }

    /// An envelope in the clear around this payload.
    #[must_use]
    pub fn plain(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(sealed_len(payload.len()));
        encode_key(PAYLOAD, WireType::LengthDelimited, &mut bytes);
        encode_varint(payload.len() as u64, &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// An envelope around a payload that was sealed with this nonce.
    #[must_use]
    pub fn sealed(nonce: &[u8], payload: &[u8]) -> Vec<u8> {
        assert!(!nonce.is_empty(), "receivers tell a seal by its nonce");
        let mut bytes = Vec::with_capacity(SEAL_BYTES_MAX + sealed_len(payload.len()));
        prost::encoding::bool::encode(ENCRYPTED, &true, &mut bytes);
        for (tag, part) in [(NONCE, nonce), (PAYLOAD, payload)] {
            encode_key(tag, WireType::LengthDelimited, &mut bytes);
            encode_varint(part.len() as u64, &mut bytes);
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// The message inside, where it can be read: the core knows no ring key.
    pub(crate) fn open(self) -> Result<&'a [u8], DecodeError> {
        if self.is_sealed() {
            return Err(DecodeError::Encrypted);
        }
        self.payload.ok_or(DecodeError::Missing("payload"))
    }
}

/// How long a message is with its envelope around it.
pub(crate) fn sealed_len(message_len: usize) -> usize {
    key_len(PAYLOAD) + encoded_len_varint(message_len as u64) + message_len
}

/// A message in its envelope, encoded into one buffer.
pub(crate) fn wrap(message: &impl Message) -> Vec<u8> {
    let message_len = message.encoded_len();
    let mut bytes = Vec::with_capacity(sealed_len(message_len));
    encode_key(PAYLOAD, WireType::LengthDelimited, &mut bytes);
    encode_varint(message_len as u64, &mut bytes);
    message.encode_raw(&mut bytes);
    assert!(bytes.len() == sealed_len(message_len), "a message is as long as it says");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_message_is_refused_whatever_is_inside() {
        // A payload that would be a valid message, and one that no decoder could read.
        for payload in [&[0x08, 1][..], &[0xff; 40]] {
            let mut bytes = alloc::vec![0x1a, payload.len() as u8];
            bytes.extend_from_slice(payload);
            let open = Envelope::read(&bytes).expect("an envelope");
            assert_eq!(open.open(), Ok(payload));
            // The flag may come last, or be left out where there is a nonce (Habitat goes by the nonce).
            for seal in [&[0x08, 1][..], &[0x12, 2, 7, 7], &[0x08, 1, 0x12, 2, 7, 7]] {
                let sealed = [&bytes[..], seal].concat();
                let read = Envelope::read(&sealed).expect("an envelope");
                assert_eq!(read.open(), Err(DecodeError::Encrypted));
                assert_eq!(read.payload, Some(payload), "a member with the key finds the payload");
            }
        }
    }

    #[test]
    fn an_envelope_that_is_written_is_read() {
        for len in [0, 1, 127, 128, 1_024, 70_000] {
            let payload = alloc::vec![7; len];
            let plain = Envelope::plain(&payload);
            assert_eq!(Envelope::read(&plain).and_then(Envelope::open), Ok(&payload[..]));
            assert_eq!(plain.len(), sealed_len(len));
            let sealed = Envelope::sealed(&[9; 24], &payload);
            let read = Envelope::read(&sealed).expect("an envelope");
            assert_eq!((read.encrypted, read.nonce, read.payload), (true, &[9; 24][..], Some(&payload[..])));
        }
    }

    #[test]
    fn fields_of_later_versions_are_passed_over() {
        let bytes = [0x1a, 1, 9, 0xa2, 0x06, 1, 5];
        assert_eq!(Envelope::read(&bytes).and_then(Envelope::open), Ok(&[9][..]));
        assert_eq!(Envelope::read(&[]).and_then(Envelope::open), Err(DecodeError::Missing("payload")));
    }
}
