//! The properties of a rumor kind. Each kind states them in its own file; other modules ask for them and may not match
//! on the kind instead.

use crate::model::limits::Limit;
use crate::model::rumor::key::Part;

/// What holds for every rumor of one kind.
#[derive(Debug)]
pub(crate) struct Properties {
    /// The word for the kind, in keys on disk, metrics and JSON.
    pub(super) name: &'static str,
    /// What its keys consist of, in their order.
    pub(super) key: &'static [Part],
    /// What a rumor of the kind is, in sentences.
    pub(super) noun: &'static str,
    /// The sentence for people about a new rumor, whose subject is its member, else its group.
    pub(super) news: &'static str,
    /// Whether only the member in its key changes it.
    pub(super) is_owned: bool,
    /// Whether operators replace it as a whole, version by version, of which members keep a history.
    pub(super) is_versioned: bool,
    /// Whether a service finds it among the facts of its groups.
    pub(super) is_fact: bool,
    /// How many there may be.
    pub(super) room: Room,
}

/// How many rumors of one kind there may be. Where members cannot hear each other each takes as many from its
/// operators, so what the ring tells is given twice the room.
#[derive(Debug)]
pub(crate) struct Room {
    /// In the whole ring.
    pub(crate) in_ring: Option<Bound>,
    /// In one group.
    pub(crate) in_group: Option<Bound>,
    /// Whether the kind has room of its own: the bound is the ring's and is not doubled.
    pub(crate) is_own: bool,
}

/// A bound on rumors, and on what one author takes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Of all together.
    pub(crate) max: usize,
    /// On the word of one author.
    pub(crate) by_one: usize,
    /// As long as there are so many only, more come in on the word of keys that are no member's: of members that are
    /// forgotten, or made up.
    pub(crate) strangers: usize,
    /// Its name.
    pub(crate) limit: Limit,
}

impl Room {
    /// What the rumors of all kinds have together.
    pub(super) const SHARED: Self = Self { in_ring: None, in_group: None, is_own: false };

    /// How many times as many the ring may tell as an operator may add here.
    pub(crate) const fn times(&self) -> usize {
        if self.is_own { 1 } else { 2 }
    }
}
