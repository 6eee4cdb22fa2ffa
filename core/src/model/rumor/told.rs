//! A rumor on its way: what this version reads of it, and the bytes that it was read from.
//!
//! Those bytes are kept wherever they say more than is read, so that a member of an earlier version does not take new
//! fields from what it relays. Two statements that read alike and differ in bytes are joined by the greater bytes; where a
//! join composes something that no member has told, there are no bytes but those of this version's own encoding.

use alloc::borrow::Cow;

use crate::model::rumor::Rumor;

/// A rumor as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    rumor: Rumor,
    bytes: Option<Cow<'a, [u8]>>,
}

impl<'a> Told<'a> {
    /// What was read, and from which bytes.
    pub(crate) const fn read(rumor: Rumor, bytes: &'a [u8]) -> Self {
        Self { rumor, bytes: Some(Cow::Borrowed(bytes)) }
    }

    /// What this version reads of it.
    #[must_use]
    pub const fn rumor(&self) -> &Rumor {
        &self.rumor
    }

    /// What this version reads of it.
    #[must_use]
    pub fn into_rumor(self) -> Rumor {
        self.rumor
    }

    /// What it was read from; none for what this member says itself.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// The same, independent of where it was read.
    #[must_use]
    pub fn into_owned(self) -> Told<'static> {
        Told { rumor: self.rumor, bytes: self.bytes.map(|bytes| Cow::Owned(bytes.into_owned())) }
    }
}

/// What this member says itself.
impl From<Rumor> for Told<'static> {
    fn from(rumor: Rumor) -> Self {
        Self { rumor, bytes: None }
    }
}
