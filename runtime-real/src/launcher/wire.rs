//! The bytes between a launcher and its supervisor: frames of a bounded length, made of numbers and texts.
//!
//! A frame is its length in four bytes, little-endian as all numbers, then so many bytes. A text is its length in
//! four bytes, then so many bytes. Nothing of a frame is believed before all of it has been decoded.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Longest frame, in bytes, without its length.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Most entries of a list.
const ITEMS_MAX: u32 = 16_384;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// A frame that says it is longer than any may be.
    #[error("a frame of {0} bytes, longer than the {FRAME_BYTES_MAX} that it may have")]
    TooLong(usize),
    /// The frame ends in the middle of something.
    #[error("a frame that ends too early")]
    Short,
    /// Something stands behind the message.
    #[error("a frame with {0} bytes behind its message")]
    Trailing(usize),
    /// A word that nobody defined.
    #[error("a frame with the unknown {what} {value}")]
    Unknown {
        /// What it should have been.
        what: &'static str,
        /// The number that stands there.
        value: u64,
    },
    /// A text that should be UTF-8.
    #[error("a frame with a text that is not UTF-8")]
    Text,
}

/// Writes one frame.
#[derive(Debug)]
pub(super) struct FrameWriter(Vec<u8>);

impl FrameWriter {
    pub(super) fn new() -> Self {
        Self(vec![0; 4])
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn optional(&mut self, value: Option<u64>) {
        self.byte(u8::from(value.is_some()));
        self.number(value.unwrap_or_default());
    }

    /// The length of a list that follows.
    pub(super) fn length(&mut self, length: usize) {
        // What is too long for its length is too long for a frame, which `finish` says.
        self.0.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn os(&mut self, text: &OsStr) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn path(&mut self, path: &Path) {
        self.os(path.as_os_str());
    }

    /// The frame with its length in front.
    ///
    /// # Errors
    /// It is longer than a frame may be.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, WireError> {
        let length = self.0.len() - 4;
        match u32::try_from(length) {
            Ok(prefix) if length <= FRAME_BYTES_MAX => {
                self.0[..4].copy_from_slice(&prefix.to_le_bytes());
                Ok(self.0)
            }
            _ => Err(WireError::TooLong(length)),
        }
    }
}

/// Reads one frame.
#[derive(Debug)]
pub(super) struct FrameReader<'a>(&'a [u8]);

impl<'a> FrameReader<'a> {
    /// Over a frame without its length.
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self(frame)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Result<bool, WireError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Unknown { what: "flag", value: value.into() }),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, WireError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn small(&mut self) -> Result<u32, WireError> {
        let value = self.number()?;
        u32::try_from(value).map_err(|_| WireError::Unknown { what: "number", value })
    }

    pub(super) fn optional(&mut self) -> Result<Option<u64>, WireError> {
        let (some, value) = (self.flag()?, self.number()?);
        Ok(some.then_some(value))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.take().map(u32::from_le_bytes)?;
        let length = usize::try_from(length).map_err(|_| WireError::Short)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, WireError> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Text)?;
        Ok(text.to_owned())
    }

    pub(super) fn os(&mut self) -> Result<OsString, WireError> {
        Ok(OsString::from_vec(self.bytes()?.to_vec()))
    }

    pub(super) fn path(&mut self) -> Result<PathBuf, WireError> {
        self.os().map(PathBuf::from)
    }

    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.take().map(u32::from_le_bytes)?;
        if length > ITEMS_MAX {
            return Err(WireError::Unknown { what: "length of a list", value: length.into() });
        }
        // Grown as items come: the length alone must not take memory.
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Everything has been read.
    pub(super) fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.0.len())) }
    }
}

/// The length of the frame that `buffer` begins with, when all of it has come: the length's four bytes not counted.
///
/// # Errors
/// It says that it is longer than a frame may be.
pub fn complete_frame(buffer: &[u8]) -> Result<Option<usize>, WireError> {
    let Some((prefix, rest)) = buffer.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(WireError::TooLong(length));
    }
    Ok((rest.len() >= length).then_some(length))
}
