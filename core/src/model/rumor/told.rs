//! A rumor on its way: what this version reads of it, the word of its author, and the bytes that it was read from.
//!
//! Those bytes are kept wherever they say more than is read, so that a member of an earlier version does not take new
//! fields from what it relays. Two statements that read alike and differ in bytes are joined by the greater bytes; where a
//! join composes something that no member has told, there are no bytes but those of this version's own encoding.

use alloc::borrow::Cow;

use crate::model::identity::Vouch;
use crate::model::rumor::Rumor;

/// A rumor as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    rumor: Rumor,
    vouch: Option<Vouch>,
    bytes: Option<Cow<'a, [u8]>>,
}

impl<'a> Told<'a> {
    /// What was read, who vouches for it, and from which bytes.
    pub(crate) const fn read(rumor: Rumor, vouch: Option<Vouch>, bytes: Cow<'a, [u8]>) -> Self {
        Self { rumor, vouch, bytes: Some(bytes) }
    }

    /// What this member says itself, and its word for it.
    pub(crate) const fn own(rumor: Rumor, vouch: Option<Vouch>) -> Self {
        Self { rumor, vouch, bytes: None }
    }

    /// The word of its author, whether it is good or not.
    pub(crate) const fn vouch(&self) -> Option<&Vouch> {
        self.vouch.as_ref()
    }

    /// What this version reads of it, to note what was found out about its author's word.
    pub(crate) const fn rumor_mut(&mut self) -> &mut Rumor {
        &mut self.rumor
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
        Told {
            rumor: self.rumor,
            vouch: self.vouch,
            bytes: self.bytes.map(|bytes| Cow::Owned(bytes.into_owned())),
        }
    }
}

/// What no member vouches for.
impl From<Rumor> for Told<'static> {
    fn from(rumor: Rumor) -> Self {
        Self { rumor, vouch: None, bytes: None }
    }
}
