//! Why a supervisor refuses an operator's command, in the words of scenarios.

use annulus_core::CommandError;
use serde::Deserialize;

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// No such service is loaded.
    NotLoaded,
    /// The service is loaded already with other options.
    Conflict,
    /// The ring knows no such member.
    UnknownMember,
    /// The supervisor does not lead the group.
    NotLeading,
    /// The member is not banned.
    NotBanned,
    /// The member was banned as often as can be counted.
    BansUsedUp,
    /// The version is not higher than the current one.
    Version,
    /// Not a number that a version may have.
    VersionRange,
    /// So far above the current one that it is probably a slip.
    VersionLeap,
    /// Higher than any member would believe.
    VersionBeyond,
    /// Larger than what the ring carries.
    TooLarge,
    /// The ring has no key.
    NoRingKey,
    /// The host does not have the key.
    KeyNotHeld,
    /// The key is current already.
    KeyIsCurrent,
    /// A newer key is current.
    KeyIsOlder,
    /// The key is of a clock that is wrong.
    KeyIsAhead,
    /// The supervisor is on its way out.
    Leaving,
    /// The disk did not take it.
    NotDurable,
    /// It is stopped, and the disk did not take that.
    NotStored,
    /// A limit is reached.
    Limit,
    /// The package could not be made ready.
    Package,
}

impl Refused {
    /// The kind of this refusal.
    #[must_use]
    pub const fn of(error: &CommandError) -> Self {
        match error {
            CommandError::NotLoaded(_) => Self::NotLoaded,
            CommandError::Conflict(_) => Self::Conflict,
            CommandError::UnknownMember(_) => Self::UnknownMember,
            CommandError::NotLeading(_) => Self::NotLeading,
            CommandError::NotBanned(_) => Self::NotBanned,
            CommandError::BansUsedUp(_) => Self::BansUsedUp,
            CommandError::VersionBeyond { .. } => Self::VersionBeyond,
            CommandError::Version { .. } => Self::Version,
            CommandError::VersionRange => Self::VersionRange,
            CommandError::VersionLeap { .. } => Self::VersionLeap,
            CommandError::TooLarge { .. } => Self::TooLarge,
            CommandError::NoRingKey => Self::NoRingKey,
            CommandError::KeyNotHeld(_) => Self::KeyNotHeld,
            CommandError::KeyIsCurrent(_) => Self::KeyIsCurrent,
            CommandError::KeyIsOlder { .. } => Self::KeyIsOlder,
            CommandError::KeyIsAhead(_) => Self::KeyIsAhead,
            CommandError::Leaving => Self::Leaving,
            CommandError::NotDurable(_) => Self::NotDurable,
            CommandError::NotStored(_) => Self::NotStored,
            CommandError::Limit(_) => Self::Limit,
            CommandError::Package(_) => Self::Package,
        }
    }

    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotLoaded => "not-loaded",
            Self::Conflict => "conflict",
            Self::UnknownMember => "unknown-member",
            Self::NotLeading => "not-leading",
            Self::NotBanned => "not-banned",
            Self::BansUsedUp => "bans-used-up",
            Self::VersionBeyond => "version-beyond",
            Self::Version => "version",
            Self::VersionRange => "version-range",
            Self::VersionLeap => "version-leap",
            Self::TooLarge => "too-large",
            Self::NoRingKey => "no-ring-key",
            Self::KeyNotHeld => "key-not-held",
            Self::KeyIsCurrent => "key-is-current",
            Self::KeyIsOlder => "key-is-older",
            Self::KeyIsAhead => "key-is-ahead",
            Self::Leaving => "leaving",
            Self::NotDurable => "not-durable",
            Self::NotStored => "not-stored",
            Self::Limit => "limit",
            Self::Package => "package",
        }
    }
}
