//! Frames between a launcher and its supervisor: a length in four bytes, little-endian, then so many bytes.
//! A length is bounded before memory is taken for it. Nothing of a frame is believed before all of it was decoded.

use prost::Message;
use thiserror::Error;

/// Longest frame, in bytes, without its length.
pub(super) const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a frame's length.
pub(super) const LENGTH_BYTES: usize = 4;

/// Bytes that are no message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// A frame that says it is longer than any may be.
    #[error("a frame of {0} bytes, longer than the {FRAME_BYTES_MAX} that it may have")]
    TooLong(usize),
    /// The bytes are no protobuf message.
    #[error("a frame that does not decode: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A required field is absent, or has an impossible value.
    #[error("a frame whose {0} is missing or out of range")]
    Field(&'static str),
}

/// The frame of a message, with its length in front.
///
/// # Errors
/// It is longer than a frame may be.
pub(super) fn frame(message: &impl Message) -> Result<Vec<u8>, FrameError> {
    let length = message.encoded_len();
    let prefix = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
    let prefix = prefix.ok_or(FrameError::TooLong(length))?;
    let mut frame = Vec::with_capacity(LENGTH_BYTES + length);
    frame.extend_from_slice(&prefix.to_le_bytes());
    message.encode_raw(&mut frame);
    assert_eq!(frame.len(), LENGTH_BYTES + length, "a message is as long as it says");
    Ok(frame)
}

/// The frame that `buffer` begins with, without its length; none until all of it has come.
///
/// # Errors
/// It says that it is longer than a frame may be.
pub fn next_frame(buffer: &[u8]) -> Result<Option<&[u8]>, FrameError> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_that_no_frame_may_have_are_refused_before_memory_is_taken() {
        assert_eq!(next_frame(&u32::MAX.to_le_bytes()), Err(FrameError::TooLong(0xffff_ffff)));
        assert!(matches!(frame(&vec![0_u8; FRAME_BYTES_MAX]), Err(FrameError::TooLong(_))));
        assert_eq!(next_frame(&[3, 0, 0, 0, 1, 2]), Ok(None));
        assert_eq!(next_frame(&[2, 0, 0, 0, 1, 2, 9]), Ok(Some(&[1, 2][..])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(Some(frame)) = next_frame(&bytes) {
                prop_assert!(frame.len() + LENGTH_BYTES <= bytes.len());
            }
        }
    }
}
