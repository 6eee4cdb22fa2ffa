//! The members that accuse a suspect of their own knowledge, as a bounded set. It only holds and joins ids; what the
//! accusers are worth is decided in `membership`.

use crate::model::id::MemberId;
use crate::model::limits::ACCUSERS_MAX;
use crate::model::mutant::mutated;

/// Distinct accusers of a suspect, the smallest ids first and no more of them than matter.
///
/// Keeping the smallest makes the bounded union associative, so that members agree although they hear the accusations
/// in different orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accusers {
    len: u8,
    ids: [Option<MemberId>; ACCUSERS_MAX],
}

impl Accusers {
    /// One accuser.
    #[must_use]
    pub fn one(id: MemberId) -> Self {
        let mut accusers = Self::default();
        accusers.add(id);
        accusers
    }

    /// Adds an accuser; true when the set changed.
    pub fn add(&mut self, id: MemberId) -> bool {
        let held: &[Option<MemberId>] = &self.ids[..usize::from(self.len)];
        if held.contains(&Some(id)) {
            return false;
        }
        let at = held.iter().filter(|other| **other < Some(id)).count();
        let Some(behind) = self.ids.get_mut(at..).filter(|behind| !behind.is_empty()) else { return false };
        // The largest falls off the end when all places are taken.
        behind.rotate_right(1);
        behind[0] = Some(id);
        self.len = (self.len + 1).min(ACCUSERS_MAX as u8);
        assert!(
            self.ids.iter().is_sorted_by_key(|id| id.is_none()),
            "the places are filled from the first on"
        );
        let held = &self.ids[..usize::from(self.len)];
        assert!(held.is_sorted() && held.contains(&Some(id)), "an accuser that changes the set is in it");
        true
    }

    /// Adds all of `other`; true when the set changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        other.iter().fold(false, |changed, id| {
            mutated!(MergeUnreported, self.add(id) | changed, self.add(id) & changed)
        })
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In order of id.
    pub fn iter(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.ids.iter().take(usize::from(self.len)).filter_map(|id| *id)
    }
}
