//! Changes of protobuf messages that leave them messages: they are taken apart into fields, a field is changed,
//! dropped, doubled or taken from another message, and all lengths are right again.

use annulus_core::Rng;

use super::{border, bytes};

/// Messages in messages that are taken apart.
const DEPTH_MAX: u32 = 12;
/// A later version's fields count too; beyond this, bytes that look like a message are mostly none.
const TAG_MAX: u64 = 256;
/// One field may be repeated so many times by one change.
const REPEATS_MAX: u64 = 48;

#[derive(Clone, Debug)]
struct Field {
    tag: u64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields of a message; none when it is not one to its last byte.
fn parse(mut bytes: &[u8], depth: u32) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let tag = key >> 3;
        if tag == 0 || tag > TAG_MAX {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => {
                let (fixed, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Fixed64(*fixed)
            }
            5 => {
                let (fixed, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Fixed32(*fixed)
            }
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (content, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                let is_text = content.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
                match parse(content, depth + 1) {
                    Some(inner) if depth < DEPTH_MAX && !is_text && !inner.is_empty() => {
                        Value::Message(inner)
                    }
                    _ => Value::Bytes(content.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { tag, value });
    }
    Some(fields)
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { tag, value } in fields {
        let kind = match value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) | Value::Message(_) => 2,
            Value::Fixed32(_) => 5,
        };
        put_varint(tag << 3 | kind, out);
        match value {
            Value::Varint(number) => put_varint(*number, out),
            Value::Fixed64(bytes) => out.extend_from_slice(bytes),
            Value::Fixed32(bytes) => out.extend_from_slice(bytes),
            Value::Bytes(bytes) => {
                put_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Value::Message(inner) => {
                let mut bytes = Vec::new();
                write(inner, &mut bytes);
                put_varint(bytes.len() as u64, out);
                out.extend_from_slice(&bytes);
            }
        }
    }
}

fn count(fields: &[Field]) -> usize {
    let inner = |field: &Field| if let Value::Message(inner) = &field.value { count(inner) } else { 0 };
    fields.iter().map(|field| 1 + inner(field)).sum()
}

/// The list in which field number `nth` of the whole tree stands, and its place there.
fn find(fields: &mut Vec<Field>, mut nth: usize) -> Option<(&mut Vec<Field>, usize)> {
    let mut place = None;
    for (at, field) in fields.iter().enumerate() {
        if nth == 0 {
            return Some((fields, at));
        }
        let below = if let Value::Message(inner) = &field.value { count(inner) } else { 0 };
        if nth <= below {
            place = Some(at);
            nth -= 1;
            break;
        }
        nth -= 1 + below;
    }
    match &mut fields.get_mut(place?)?.value {
        Value::Message(inner) => find(inner, nth),
        _ => None,
    }
}

/// One change. Bytes that are no message are changed as bytes.
pub fn mutate(rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
    let Some(mut fields) = parse(input, 0).filter(|fields| !fields.is_empty()) else {
        return bytes::mutate(rng, input, other);
    };
    let of_other = parse(other, 0).filter(|fields| !fields.is_empty());
    let nth = rng.index(count(&fields));
    let donor = of_other.and_then(|mut fields| {
        let nth = rng.index(count(&fields));
        let (list, at) = find(&mut fields, nth)?;
        Some(list[at].clone())
    });
    let Some((list, at)) = find(&mut fields, nth) else { return };
    change(rng, list, at, donor, other);
    input.clear();
    write(&fields, input);
}

fn change(rng: &mut Rng, list: &mut Vec<Field>, at: usize, donor: Option<Field>, other: &[u8]) {
    match rng.below(10) {
        0 => {
            list.remove(at);
        }
        1 => {
            let twin = list[at].clone();
            let times = 1 + rng.below(REPEATS_MAX) as usize;
            list.splice(at..at, std::iter::repeat_n(twin, times));
        }
        2 => {
            let with = rng.index(list.len());
            list.swap(at, with);
        }
        3 | 4 => {
            if let Some(donor) = donor {
                match rng.below(3) {
                    0 => list.insert(at, donor),
                    1 => list[at] = donor,
                    // The content of one field under the number of another: a foreign id, another member's port.
                    _ => list[at].value = donor.value,
                }
            }
        }
        5 => {
            let highest = if rng.chance(1, 2) { 16 } else { 110 };
            list[at].tag = 1 + rng.below(highest);
        }
        _ => match &mut list[at].value {
            Value::Varint(number) => {
                *number = match rng.below(4) {
                    0 => number.wrapping_add(1),
                    1 => number.wrapping_sub(1),
                    _ => border(rng),
                }
            }
            Value::Fixed64(fixed) => *fixed = border(rng).to_le_bytes(),
            Value::Fixed32(fixed) => *fixed = (border(rng) as u32).to_le_bytes(),
            Value::Bytes(content) => bytes::mutate(rng, content, other),
            Value::Message(inner) => {
                let mut content = Vec::new();
                write(inner, &mut content);
                bytes::mutate(rng, &mut content, other);
                list[at].value = Value::Bytes(content);
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart_and_put_together_again() {
        // 1: 300, 2: { 1: "\x01\x02", 3: fixed64 }, 4: "text"
        let mut inner = vec![0x0a, 2, 1, 2, 0x19];
        inner.extend(7_u64.to_le_bytes());
        let mut bytes = vec![0x08, 0xac, 0x02, 0x12, inner.len() as u8];
        bytes.extend(&inner);
        bytes.extend([0x22, 4, b't', b'e', b'x', b't']);
        let fields = parse(&bytes, 0).expect("a message");
        assert_eq!((fields.len(), count(&fields)), (3, 5));
        let mut again = Vec::new();
        write(&fields, &mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn what_was_changed_is_still_a_message() {
        let mut rng = Rng::from_seed([4; 32]);
        let message =
            [0x08, 0xac, 0x02, 0x12, 6, 0x08, 1, 0x12, 2, 0xff, 0xff, 0x22, 4, b't', b'e', b'x', b't'];
        let mut different = 0;
        for _ in 0..500 {
            let mut bytes = message.to_vec();
            mutate(&mut rng, &mut bytes, &message);
            assert!(parse(&bytes, 0).is_some(), "{bytes:?}");
            different += usize::from(bytes != message);
        }
        assert!(different > 300, "{different}");
    }
}
