//! Names of ring keys: the core never sees a key itself, only which one a message was sealed with.

use core::fmt;
use core::str::FromStr;

use crate::model::digest;
use crate::model::error::ParseError;
use crate::model::time::UnixTime;

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

    /// Whether a message can name it: the clear, or a key with a revision that is a time.
    #[must_use]
    pub fn can_be_told(&self) -> bool {
        self.is_clear() || (self.revision > 0 && self.revision <= Self::REVISION_MAX)
    }

    /// The highest revision that a member takes which speaks with this key: a year ahead of its clock, or of this key where that
    /// is ahead itself, so that a rotation goes on. A clock that was never set refuses nothing.
    #[must_use]
    pub fn believed_up_to(&self, wall: UnixTime) -> u64 {
        let now = revision_at(wall);
        if now < CLOCK_MIN {
            return Self::REVISION_MAX;
        }
        let believed = now.max(self.revision).saturating_add(YEAR).min(Self::REVISION_MAX);
        assert!(believed > now || believed == Self::REVISION_MAX, "a key that was just made is taken");
        believed
    }

    /// Whether it stands for no key.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        *self == Self::CLEAR
    }
}

/// One year of a revision.
const YEAR: u64 = 10_000_000_000;
/// A clock before the year 2020 was set by no operator.
const CLOCK_MIN: u64 = 20_200_101_000_000;

/// The revision of a key that is made at this time.
fn revision_at(wall: UnixTime) -> u64 {
    let seconds = (wall.as_millis() / 1_000).min(LAST_SECOND);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the day of a leap year is the last one; 719,468 days passed until 1970.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + late;
    let time = second / 3_600 * 10_000 + second / 60 % 60 * 100 + second % 60;
    let revision = (year * 10_000 + month * 100 + date) * 1_000_000 + time;
    assert!(revision <= RingKeyId::REVISION_MAX, "a time has fourteen digits");
    revision
}

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

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

    #[test]
    fn a_revision_is_a_time() {
        for (seconds, revision) in [
            (0, 19_700_101_000_000),
            (951_782_399, 20_000_228_235_959),
            (951_782_400, 20_000_229_000_000),
            (1_709_251_199, 20_240_229_235_959),
            (1_767_225_599, 20_251_231_235_959),
            (1_796_055_207, 20_261_130_161_327),
            (4_107_542_400, 21_000_301_000_000),
            (u64::MAX / 1_000, RingKeyId::REVISION_MAX),
        ] {
            assert_eq!(revision_at(UnixTime::from_millis(seconds * 1_000)), revision, "{seconds}");
        }
    }

    #[test]
    fn what_is_taken_lies_a_year_ahead_at_most_and_a_rotation_goes_on() {
        let now = UnixTime::from_millis(1_796_055_207_000);
        let key = |revision| RingKeyId::simulated(revision, 0);
        assert_eq!(key(20_260_101_000_000).believed_up_to(now), 20_271_130_161_327);
        assert!(
            key(20_311_130_161_327).believed_up_to(now) > 20_311_130_161_328,
            "after a key of a wrong clock"
        );
        assert_eq!(
            key(1).believed_up_to(UnixTime::from_millis(5)),
            RingKeyId::REVISION_MAX,
            "a clock that is not set"
        );
        assert!(!RingKeyId { revision: RingKeyId::REVISION_MAX + 1, fingerprint: [1; 16] }.can_be_told());
        assert!(!RingKeyId { revision: 0, fingerprint: [1; 16] }.can_be_told());
    }

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
