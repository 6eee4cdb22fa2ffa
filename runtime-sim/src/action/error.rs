//! Why an action cannot be done.

use thiserror::Error;

use crate::engine::lifecycle::WorldError;

/// Why an action cannot be done. Nothing changed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ActionError {
    /// No such host.
    #[error("there is no host number {0}")]
    UnknownHost(u32),
    /// The host is not in a state in which the action is possible.
    #[error("{host} cannot {verb}: it {state}")]
    State {
        /// The host's name.
        host: String,
        /// The action, as a verb.
        verb: &'static str,
        /// The host's state.
        state: &'static str,
    },
    /// The host's launcher is not in a state in which the action is possible.
    #[error("the launcher of {host} cannot {verb}: it {state}")]
    Launcher {
        /// The host's name.
        host: String,
        /// The action, as a verb.
        verb: &'static str,
        /// The launcher's state.
        state: &'static str,
    },
    /// No member ever ran there.
    #[error("{0} cannot be banned: no member has run there yet")]
    NoMember(String),
    /// The world cannot do it.
    #[error(transparent)]
    World(#[from] WorldError),
    /// No such process.
    #[error("{service} on {host} cannot {verb}: it does not run there")]
    ServiceNotRunning {
        /// The host's name.
        host: String,
        /// The service.
        service: String,
        /// The action, as a verb.
        verb: &'static str,
    },
    /// A link's numbers contradict each other.
    #[error("a link cannot be like that: {0}")]
    Link(&'static str),
    /// A clock or a processor cannot go so.
    #[error("a host cannot be like that: {0}")]
    Host(&'static str),
    /// The bed cannot do that.
    #[error("not on this bed: {0}")]
    NotHere(&'static str),
}

impl ActionError {
    /// Whether the same could be done at another time; a disk that cannot be read back is worse than that.
    #[must_use]
    pub const fn is_untimely(&self) -> bool {
        matches!(
            self,
            Self::State { .. } | Self::Launcher { .. } | Self::NoMember(_) | Self::ServiceNotRunning { .. }
        )
    }
}
