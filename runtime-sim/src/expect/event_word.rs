//! The events of nodes, in the words of scenarios.

use annulus_core::{EventKind, KeyStep, MemberId, ServiceState, State};
use serde::Deserialize;

use crate::engine::host::HostId;

/// An event that a node reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventWord {
    /// A member came to be held alive again.
    Alive,
    /// A member came to be suspected.
    Suspect,
    /// A member was confirmed dead.
    Confirmed,
    /// A member was held departed.
    Departed,
    /// A probe got no answer by any path.
    ProbeFailed,
    /// A node contradicted an accusation of itself.
    Refuted,
    /// A node found that it had not been running.
    Stalled,
    /// A member was banned.
    Banned,
    /// The supervisor learned that a ban is lifted.
    BanLifted,
    /// A service's process came up.
    ServiceUp,
    /// A service ended and waits for its restart.
    ServiceBackoff,
    /// A service stopped as wanted.
    ServiceDown,
    /// A service waits for a group that it is bound to, or for a leader.
    ServiceWaiting,
    /// A service is not tried any more.
    ServiceFailed,
    /// A version that this member acknowledged lost against another one of the same number.
    VersionLost,
    /// A statement in a member's name was not believed.
    Refused,
    /// A member lacks the key that the ring speaks with.
    KeyMissing,
    /// A retired key opens nothing any more.
    KeyDropped,
    /// A supervisor found another one with a copy of its identity.
    CopyFound,
}

impl EventWord {
    /// The word for a member that came to be held so.
    pub(crate) const fn of_state(state: State) -> Self {
        match state {
            State::Alive => Self::Alive,
            State::Suspect => Self::Suspect,
            State::Confirmed => Self::Confirmed,
            State::Departed => Self::Departed,
        }
    }

    /// The word for a service that came into this state; none: scenarios have no word for it.
    pub(crate) const fn of_service(state: ServiceState) -> Option<Self> {
        match state {
            ServiceState::Up => Some(Self::ServiceUp),
            ServiceState::Backoff => Some(Self::ServiceBackoff),
            ServiceState::Down => Some(Self::ServiceDown),
            ServiceState::Waiting => Some(Self::ServiceWaiting),
            ServiceState::Failed => Some(Self::ServiceFailed),
            ServiceState::Loaded | ServiceState::Starting | ServiceState::Stopping => None,
        }
    }

    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Confirmed => "confirmed",
            Self::Departed => "departed",
            Self::ProbeFailed => "probe-failed",
            Self::Refuted => "refuted",
            Self::Stalled => "stalled",
            Self::Banned => "banned",
            Self::BanLifted => "ban-lifted",
            Self::ServiceUp => "service-up",
            Self::ServiceBackoff => "service-backoff",
            Self::ServiceDown => "service-down",
            Self::ServiceWaiting => "service-waiting",
            Self::ServiceFailed => "service-failed",
            Self::VersionLost => "version-lost",
            Self::Refused => "refused",
            Self::KeyMissing => "key-missing",
            Self::KeyDropped => "key-dropped",
            Self::CopyFound => "copy-found",
        }
    }
}

/// The words that `occurred` and `never` take.
pub const EVENTS: &[(&str, &str)] = &[
    ("alive", "a member that was held otherwise is held alive, or a new one is met"),
    ("suspect", "a member comes to be suspected"),
    ("confirmed", "a member comes to be held dead"),
    ("departed", "a member comes to be held departed"),
    ("probe-failed", "a probe of a member got no answer by any path"),
    ("refuted", "a member contradicts an accusation of itself; `of` and `seen_by` are that member"),
    ("stalled", "a supervisor finds that it was not running"),
    ("banned", "a supervisor learns of a ban"),
    ("ban-lifted", "a supervisor learns that a ban is lifted"),
    ("service-up", "a service's process runs; `of` and `seen_by` are the member that runs it"),
    ("service-backoff", "a service ended by itself and waits for its restart"),
    ("service-down", "a service is down as wanted"),
    ("service-waiting", "a service waits for a group that it is bound to, or for a leader"),
    ("service-failed", "a service failed so often that it is not tried any more"),
    ("version-lost", "a version that a member acknowledged lost against another one of the same number"),
    (
        "refused",
        "a statement in a member's name is not believed, for it is not that member's; `of` is that member",
    ),
    ("key-missing", "a member finds that the ring speaks with a key that its host does not have"),
    ("key-dropped", "a retired key of the ring opens nothing any more at a member"),
    (
        "copy-found",
        "a supervisor finds another one that runs with a copy of its identity; `seen_by` is that host",
    ),
];

/// A node's report in the words of scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The node.
    pub(crate) host: HostId,
    /// The event.
    pub(crate) word: EventWord,
    /// The member that it is about; none: a member of no host.
    pub(crate) subject: Option<HostId>,
}

impl Report {
    /// A node's event in the words of scenarios; none when they have no word for it.
    pub(crate) fn of(
        host: HostId,
        kind: &EventKind,
        host_of: impl Fn(&MemberId) -> Option<HostId>,
    ) -> Option<Self> {
        let (word, subject) = word_of(host, kind, host_of)?;
        Some(Self { host, word, subject })
    }
}

/// The word for an event, and the member that it is about; none when it has no word.
fn word_of(
    at: HostId,
    kind: &EventKind,
    host_of: impl Fn(&MemberId) -> Option<HostId>,
) -> Option<(EventWord, Option<HostId>)> {
    let word = match kind {
        EventKind::MemberChanged { member, from, to, .. } if from != &Some(*to) => {
            return Some((EventWord::of_state(*to), host_of(member)));
        }
        EventKind::ProbeFailed { member, .. } => return Some((EventWord::ProbeFailed, host_of(member))),
        EventKind::Banned { member, .. } => return Some((EventWord::Banned, host_of(member))),
        EventKind::BanLifted { member, .. } => return Some((EventWord::BanLifted, host_of(member))),
        EventKind::StatementRefused { author, .. } => {
            return Some((EventWord::Refused, author.as_ref().and_then(host_of)));
        }
        EventKind::Refuted { .. } => EventWord::Refuted,
        EventKind::Stalled { .. } => EventWord::Stalled,
        EventKind::VersionLost { .. } => EventWord::VersionLost,
        EventKind::IdentityConflict { .. } => EventWord::CopyFound,
        EventKind::ServiceChanged { to, .. } => EventWord::of_service((*to)?)?,
        EventKind::RingKeyChanged { step: KeyStep::Missing, .. } => EventWord::KeyMissing,
        EventKind::RingKeyChanged { step: KeyStep::Dropped, .. } => EventWord::KeyDropped,
        EventKind::Started { .. }
        | EventKind::MemberChanged { .. }
        | EventKind::MemberForgotten { .. }
        | EventKind::SuspicionConfirmed { .. }
        | EventKind::LocalHealth { .. }
        | EventKind::RumorAccepted { .. }
        | EventKind::RumorRepaired { .. }
        | EventKind::Synced { .. }
        | EventKind::ObstacleChanged { .. }
        | EventKind::UpdateChanged { .. }
        | EventKind::MessageDropped { .. }
        | EventKind::IdentityRunsTwice { .. }
        | EventKind::DecodeFailed { .. }
        | EventKind::LimitReached { .. }
        | EventKind::PersistFailed { .. }
        | EventKind::IdentityTakenOver { .. }
        | EventKind::RingKeyChanged { .. }
        | EventKind::RingKeyFailed { .. }
        | EventKind::Leaving
        | EventKind::Election { .. } => return None,
    };
    Some((word, Some(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_explained() {
        let explained: Vec<&str> = EVENTS.iter().map(|(word, _)| *word).collect();
        assert_eq!(explained, crate::form::keys::of::<EventWord>());
    }
}
