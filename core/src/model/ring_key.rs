//! Names of ring keys: the core never sees a key itself, only which one a message was sealed with.

use core::fmt;
use core::str::FromStr;

use crate::model::digest;
use crate::model::error::ParseError;

/// Which key of a ring: when it was made, and the first half of its hash. Of two keys the greater one is newer, and every
/// member orders them the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingKeyId {
    /// When it was made, as fourteen digits: `20261130120000`.
    pub revision: u64,
    /// The first half of the hash of the key.
    pub fingerprint: [u8; 16],
}

impl RingKeyId {
    /// No key: in the clear. Older than every key.
    pub const CLEAR: Self = Self { revision: 0, fingerprint: [0; 16] };

    /// The highest revision: the last second of the year 9999.
    pub const REVISION_MAX: u64 = 99_991_231_235_959;

    /// A key that has no bytes, for rings that are simulated: two of one revision and seed are one.
    #[must_use]
    pub fn simulated(revision: u64, seed: u64) -> Self {
        assert!(revision > 0 && revision <= Self::REVISION_MAX, "a key has a revision");
        let half = digest::hash_bytes(&[revision.to_le_bytes(), seed.to_le_bytes()].concat());
        let mut fingerprint = [0; 16];
        fingerprint[..8].copy_from_slice(&half.to_be_bytes());
        Self { revision, fingerprint }
    }

    /// Whether it stands for no key.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        *self == Self::CLEAR
    }
}

/// As in `20261130120000-0a1b2c3d0a1b2c3d0a1b2c3d0a1b2c3d`, and `clear` for no key.
impl fmt::Display for RingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clear() {
            return f.write_str("clear");
        }
        write!(f, "{:014}-", self.revision)?;
        self.fingerprint.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for RingKeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "clear" {
            return Ok(Self::CLEAR);
        }
        let (revision, hex) = text.split_once('-').ok_or(ParseError::RingKey)?;
        let mut fingerprint = [0; 16];
        if revision.len() != 14 || hex.len() != 32 {
            return Err(ParseError::RingKey);
        }
        for (byte, digits) in fingerprint.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = core::str::from_utf8(digits).map_err(|_| ParseError::RingKey)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseError::RingKey)?;
        }
        let revision: u64 = revision.parse().map_err(|_| ParseError::RingKey)?;
        if revision == 0 || revision > Self::REVISION_MAX {
            return Err(ParseError::RingKey);
        }
        Ok(Self { revision, fingerprint })
    }
}

const _: () = assert!(RingKeyId::REVISION_MAX / 10_000_000_000_000 == 9, "a revision has fourteen digits");
const _: () = assert!(size_of::<RingKeyId>() == 24, "each message of a node holds one");

/// A step in the life of a ring key, as this member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyStep {
    /// This host can open it from now on.
    Held,
    /// It is to become the ring's key once every member can open it.
    Offered,
    /// Members speak with it.
    Current,
    /// The ring speaks with a key that this host cannot open.
    Missing,
    /// Another key is current; this one still opens what members say that have not got that one.
    Retired,
    /// Its time is over: it opens nothing any more.
    Dropped,
}

impl KeyStep {
    /// Every step.
    pub const ALL: [Self; 6] =
        [Self::Held, Self::Offered, Self::Current, Self::Missing, Self::Retired, Self::Dropped];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Offered => "offered",
            Self::Current => "current",
            Self::Missing => "missing",
            Self::Retired => "retired",
            Self::Dropped => "dropped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_read_back(revision in 1..=RingKeyId::REVISION_MAX, fingerprint in any::<[u8; 16]>()) {
            let id = RingKeyId { revision, fingerprint };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert!(id > RingKeyId::CLEAR);
        }

        #[test]
        fn noise_is_refused(text in ".{0,60}") {
            if let Ok(id) = text.parse::<RingKeyId>() {
                prop_assert_eq!(id.to_string(), text.to_lowercase());
            }
        }
    }
}
