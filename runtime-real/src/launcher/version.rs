//! The versions of the messages that a launcher and its supervisor speak, and their agreement on one. Knows no message
//! but those of the greeting.
//!
//! A launcher outlives its supervisors, so an upgrade has one that is older than the supervisor, and a roll-back one
//! that is newer. The greeting says which versions each of the two speaks; they use the highest that both do. Fields
//! are added without a new version, for unknown ones are skipped; a version is for what a peer must not skip.
//! The messages of the greeting (`Hello`, `Welcome`, `Refused`) keep their fields for ever.
//!
//! | version | what it has |
//! |---|---|
//! | 2 | processes are started, adopted, signalled and given deadlines through the launcher |
//! | 3 | deadlines and the right to resume in the guard's page, which the supervisor writes itself; hooks below the guard |
//! | 4 | leases of hooks that run while no process does |
//!
//! A supervisor of version 2 below a launcher of today: its services have guards, its hooks are its own children, a
//! deadline passes through the launcher, and no right to resume is kept. A supervisor of today below a launcher of
//! version 2 does the same; there is no guard then, and what leaves its process group outlives its service. Below one of
//! version 3 an init or post-stop hook that says that the service leads has its own time limit only: a member whose
//! launcher is that old can act past its lease with such a hook.
//!
//! A launcher of today gives a program exactly the variables that it is told; one from before programs were confined
//! adds its own, and leaves them their capabilities, until it is started anew.
//!
//! Version 1 had no greeting that could be extended and is not spoken any more. It is recognised, so that a supervisor
//! of version 1 is refused in words that it understands.

use std::fmt;

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

/// The first version with guards that a supervisor knows of.
pub(super) const WITH_GUARDS: u32 = 3;
/// The first version whose hooks can have leases.
pub(super) const WITH_HOOK_LEASES: u32 = 4;

impl Versions {
    /// The versions that this program speaks.
    pub const SPOKEN: Self = Self { min: 2, max: 4 };
    /// The version of launchers and supervisors that do not negotiate.
    pub(super) const FIRST: Self = Self { min: 1, max: 1 };

    /// The version that both speak; none when there is none, or `other` is no range.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let (min, max) = (self.min.max(other.min), self.max.min(other.max));
        (other.min <= other.max && min <= max).then_some(max)
    }

    /// Whether this version is among them.
    #[must_use]
    pub fn contains(self, version: u32) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "version {}", self.min)
        } else {
            write!(f, "versions {} to {}", self.min, self.max)
        }
    }
}

/// The greeting of a supervisor that speaks version 1, as the first frame of a connection: the id of its request.
/// A message of a later version cannot begin with a byte of zero, which would be a field without a number.
pub(super) fn hello_of_version_1(frame: &[u8]) -> Option<u64> {
    let (id, rest) = frame.split_first_chunk()?;
    let (kind, version) = rest.split_first_chunk::<1>()?;
    let version: [u8; 8] = version.try_into().ok()?;
    let is_hello = *kind == [0] && u64::from_le_bytes(version) == 1 && frame.first() == Some(&0);
    is_hello.then(|| u64::from_le_bytes(*id))
}

/// The frame that tells a supervisor of version 1 which version this launcher speaks: its `Welcome`, with nothing to
/// take over. The supervisor names both versions and ends.
pub(super) fn welcome_of_version_1(id: u64) -> Vec<u8> {
    let mut body = vec![0];
    body.extend_from_slice(&id.to_le_bytes());
    body.push(0);
    body.extend_from_slice(&u64::from(Versions::SPOKEN.max).to_le_bytes());
    // The boot's id and the list of processes, both of no length.
    body.extend_from_slice(&[0; 8]);
    let length = u32::try_from(body.len()).expect("a few bytes");
    [&length.to_le_bytes()[..], &body].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn versions(min: u32, max: u32) -> Versions {
        Versions { min, max }
    }

    #[test]
    fn the_highest_that_both_speak_is_used() {
        let two_to_four = versions(2, 4);
        assert_eq!(two_to_four.common(versions(1, 9)), Some(4));
        assert_eq!(two_to_four.common(versions(3, 3)), Some(3));
        assert_eq!(two_to_four.common(versions(0, 2)), Some(2));
        assert_eq!(two_to_four.common(versions(5, 9)), None);
        assert_eq!(two_to_four.common(Versions::FIRST), None);
        assert_eq!(two_to_four.common(versions(4, 2)), None, "that is no range");
        assert_eq!(format!("{} {}", versions(2, 2), two_to_four), "version 2 versions 2 to 4");
    }

    proptest! {
        #[test]
        fn both_sides_agree(a in 0..9_u32, b in 0..9_u32, c in 0..9_u32, d in 0..9_u32) {
            let (one, other) = (versions(a.min(b), a.max(b)), versions(c.min(d), c.max(d)));
            let common = one.common(other);
            prop_assert_eq!(common, other.common(one));
            prop_assert!(common.is_none_or(|version| one.contains(version) && other.contains(version)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = hello_of_version_1(&bytes);
        }
    }
}
