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

const ENCRYPTED: u32 = 1;
const NONCE: u32 = 2;
const PAYLOAD: u32 = 3;

/// An envelope's parts, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) encrypted: bool,
    pub(crate) nonce: &'a [u8],
    pub(crate) payload: Option<&'a [u8]>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope and leaves the message inside alone. Fields of later versions are passed over.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
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

    /// The message inside, where it can be read: this version knows no ring key.
    pub(crate) fn open(self) -> Result<&'a [u8], DecodeError> {
        if self.encrypted || !self.nonce.is_empty() {
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
    fn fields_of_later_versions_are_passed_over() {
        let bytes = [0x1a, 1, 9, 0xa2, 0x06, 1, 5];
        assert_eq!(Envelope::read(&bytes).and_then(Envelope::open), Ok(&[9][..]));
        assert_eq!(Envelope::read(&[]).and_then(Envelope::open), Err(DecodeError::Missing("payload")));
    }
}
