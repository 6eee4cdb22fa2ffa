//! Reads a message field by field, borrowed from its bytes, also one that a later version wrote and this one cannot
//! understand. It may not copy bytes or believe a length.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::model::error::DecodeError;
use crate::model::mutant::mutated;

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// A number of eight bytes.
    Fixed64(u64),
    /// Any other type.
    Other,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) tag: u32,
    pub(crate) value: Value<'a>,
    /// The whole field, its key included.
    pub(crate) raw: &'a [u8],
}

/// The fields of a message, in the order in which they were written. After the first error there are no more.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<Field<'a>, prost::DecodeError> {
        let before = self.rest;
        let (tag, wire_type) = decode_key(&mut self.rest)?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(decode_varint(&mut self.rest)?),
            WireType::LengthDelimited => {
                let mut after_length = self.rest;
                let length = decode_varint(&mut after_length)?;
                // Skipping checks the length against the bytes that are left.
                skip_field(wire_type, tag, &mut self.rest, DecodeContext::default())?;
                Value::Bytes(usize::try_from(length).ok().and_then(|n| after_length.get(..n)).unwrap_or(&[]))
            }
            WireType::SixtyFourBit if self.rest.len() >= 8 => Value::Fixed64(self.rest.get_u64_le()),
            WireType::SixtyFourBit | WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire_type, tag, &mut self.rest, DecodeContext::default())?;
                Value::Other
            }
        };
        let length = before.len() - self.rest.len();
        assert!(length > 0, "a field has at least its key");
        Ok(Field { tag, value, raw: before.get(..length).unwrap_or(before) })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read().map_err(|_| DecodeError::Protobuf);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The numbers of a repeated `fixed64`, packed into one field or one in each; bytes that make no whole number are left
/// out.
pub(crate) fn extend_fixed64(numbers: &mut alloc::vec::Vec<u64>, value: Value<'_>, count_max: usize) {
    match value {
        Value::Fixed64(number) if numbers.len() < count_max => numbers.push(number),
        Value::Bytes(packed) => {
            let (words, _) = packed.as_chunks::<8>();
            let room = mutated!(WantedTwiceTheLimit, count_max.saturating_sub(numbers.len()), count_max);
            numbers.extend(words.iter().take(room).map(|word| u64::from_le_bytes(*word)));
        }
        Value::Fixed64(_) | Value::Varint(_) | Value::Other => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_field_is_passed_over_or_read() {
        // 1: varint 300; 2: "ab"; 3: fixed64; 4: fixed32; 5: a group with a varint; 6: varint 1
        let bytes = [
            &[0x08, 0xac, 0x02][..],
            &[0x12, 2, b'a', b'b'],
            &[0x19, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0x25, 1, 2, 3, 4],
            &[0x2b, 0x08, 1, 0x2c],
            &[0x30, 1],
        ]
        .concat();
        let fields: Vec<Field<'_>> = Fields::of(&bytes).map(|f| f.expect("well-formed")).collect();
        let values: Vec<Value<'_>> = fields.iter().map(|f| f.value).collect();
        let expected = [
            Value::Varint(300),
            Value::Bytes(b"ab"),
            Value::Fixed64(1),
            Value::Other,
            Value::Other,
            Value::Varint(1),
        ];
        assert_eq!(values, expected);
        let raw: Vec<u8> = fields.iter().flat_map(|f| f.raw.iter().copied()).collect();
        assert_eq!(raw, bytes, "the fields are the message");
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read: Vec<_> = Fields::of(&bytes).collect();
            let errors = read.iter().filter(|f| f.is_err()).count();
            prop_assert!(errors <= 1, "nothing is read after an error");
            let whole: usize = read.iter().flatten().map(|f| f.raw.len()).sum();
            prop_assert!(whole <= bytes.len());
            prop_assert_eq!(errors == 0, whole == bytes.len());
        }
    }

    #[test]
    fn a_repeated_number_has_its_limit_over_all_its_fields() {
        let mut numbers = Vec::new();
        let packed: Vec<u8> = (0..3_u64).flat_map(u64::to_le_bytes).collect();
        for value in [Value::Bytes(&packed), Value::Fixed64(3), Value::Bytes(&packed), Value::Fixed64(9)] {
            extend_fixed64(&mut numbers, value, 5);
        }
        assert_eq!(numbers, [0, 1, 2, 3, 0]);
    }
}
