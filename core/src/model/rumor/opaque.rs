//! What this version does not understand: a rumor of a later kind.
//!
//! It is kept, told on, compared in digests and stored like any other, as the bytes that came. It may not be
//! interpreted, and it takes no room from what is understood: its number and bytes have limits of their own.
//!
//! # How two of them join without being understood
//!
//! A join needs to know what a rumor is about and which of two is the later one. A kind may say so or not:
//!
//! 1. *A kind of a later version* says both in `About` (field 110 of every rumor): subject, version, whether it was
//!    withdrawn, and whose departure ends it. That is the price of a new kind: without it, members of earlier versions
//!    could carry it only as in 2.
//! 2. *Neither*: nothing tells a later statement from an earlier one. What an author tells is spread over a few places by
//!    its content, and of two in one place the greater stays.
//!
//! The key is the kind's number and a hash of the subject. Of two rumors with one key the higher version stays, of equal
//! versions, which only a copied identity can make, the greater bytes: the maximum of a total order, so the join is
//! commutative, associative and idempotent whatever the bytes mean. A later version that understands the kind joins by the
//! same rule and hashes key and bytes the same way; members of both versions have equal digests and exchange nothing.
//!
//! When the limits are reached, the greatest keys are dropped, by newcomers or as newcomers. What stays is then the same
//! at every member in whatever order they heard; dropping the oldest would have them refetch each other's at every sync.

use alloc::vec::Vec;

use crate::model::digest;
use crate::model::id::MemberId;
use crate::model::limits::OPAQUE_PLACES_MAX;
use crate::model::rumor::key::Part;
use crate::model::rumor::properties::{Properties, Room};

/// A rumor that this version keeps and tells without understanding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    number: u32,
    subject: u64,
    version: u64,
    is_withdrawn: bool,
    owner: Option<MemberId>,
    bytes: Vec<u8>,
}

impl Opaque {
    pub(super) const PROPERTIES: Properties = Properties {
        name: "opaque",
        key: &[Part::Unknown],
        noun: "rumor of the unknown kind",
        news: "the ring tells what only another version understands",
        is_owned: false,
        is_versioned: false,
        is_fact: false,
        room: Room::SHARED,
    };

    /// A rumor of this kind about this subject.
    pub(crate) fn new(number: u32, subject: &[u8], version: u64, bytes: Vec<u8>) -> Self {
        assert!(!bytes.is_empty(), "a rumor has at least its kind");
        Self {
            number,
            subject: subject_hash(number, subject),
            version,
            is_withdrawn: false,
            owner: None,
            bytes,
        }
    }

    /// A rumor that says neither what it is about nor which statement of its author it is.
    pub(crate) fn unnamed(number: u32, author: &[u8], bytes: Vec<u8>) -> Self {
        let place = digest::hash_bytes(&bytes) % OPAQUE_PLACES_MAX as u64;
        assert!(place < u64::from(u8::MAX), "a place has one byte");
        let subject = [author, &[0, place as u8]].concat();
        Self::new(number, &subject, 0, bytes)
    }

    /// The same, worthless once this member is gone.
    pub(crate) fn owned_by(self, owner: Option<MemberId>) -> Self {
        Self { owner, ..self }
    }

    /// The same, saying that its subject is no more.
    pub(crate) fn withdrawn(self, is_withdrawn: bool) -> Self {
        Self { is_withdrawn, ..self }
    }

    /// The number of its kind.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// A hash of what it is about.
    #[must_use]
    pub const fn subject(&self) -> u64 {
        self.subject
    }

    /// Which statement about its subject it is.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether its subject is no more.
    #[must_use]
    pub const fn is_withdrawn(&self) -> bool {
        self.is_withdrawn
    }

    /// The member whose departure makes it worthless.
    #[must_use]
    pub const fn owner(&self) -> Option<MemberId> {
        self.owner
    }

    /// It, as it came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Joins two statements: the higher version; of equal ones the greater bytes. True when this one changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        assert!(
            (self.number, self.subject) == (other.number, other.subject),
            "different rumors cannot be joined"
        );
        let newer = (other.version, &other.bytes) > (self.version, &self.bytes);
        if newer {
            self.clone_from(other);
        }
        newer
    }
}

/// The hash of a key that is compared in digests: the same for those who understand the kind and those who do not.
pub(crate) fn subject_hash(number: u32, subject: &[u8]) -> u64 {
    digest::hash_bytes(&[&number.to_le_bytes()[..], subject].concat())
}
