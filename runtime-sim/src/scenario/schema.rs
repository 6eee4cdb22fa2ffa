//! The form of a scenario file: one struct for each table, and nothing that is not written here is accepted.
//!
//! Meaning is given to it by `build.rs`; `scenarios/README.md` explains it to people.

use std::collections::BTreeMap;
use std::ops::Range;

use annulus_core::{ServiceState, State, Timings};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::form::SpannedNames;
use crate::form::value::{Count, Direction, Latency, Percent, Time, TimeRange};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) about: Spanned<String>,
    pub(crate) seed: Option<Spanned<u64>>,
    pub(crate) duration: Spanned<Time>,
    pub(crate) impossible: Option<Impossible>,
    pub(crate) members: Spanned<Members>,
    #[serde(default)]
    pub(crate) zones: BTreeMap<Spanned<String>, SpannedNames>,
    #[serde(default)]
    pub(crate) peers: BTreeMap<Spanned<String>, SpannedNames>,
    pub(crate) timings: Option<Spanned<TimingsTable>>,
    #[serde(default)]
    pub(crate) links: Links,
    #[serde(default)]
    pub(crate) link: Vec<Spanned<Link>>,
    /// Read entry by entry, each as the table of its action.
    #[serde(default, rename = "at")]
    _at: IgnoredAny,
    #[serde(default)]
    pub(crate) expect: Vec<Spanned<Expect>>,
}

/// `[members]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    #[serde(default)]
    pub(crate) names: Vec<Spanned<String>>,
    pub(crate) count: Option<Spanned<u32>>,
    pub(crate) permanent: Option<SpannedNames>,
    pub(crate) peers: Option<SpannedNames>,
    pub(crate) start: Option<Spanned<Time>>,
}

/// `[links]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    pub(crate) latency: Option<Latency>,
    pub(crate) loss: Option<Percent>,
    pub(crate) duplicate: Option<Percent>,
    pub(crate) reorder: Option<Percent>,
}

/// `[[link]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    pub(crate) from: SpannedNames,
    pub(crate) to: SpannedNames,
    pub(crate) direction: Option<Direction>,
    pub(crate) latency: Option<Latency>,
    pub(crate) loss: Option<Percent>,
    pub(crate) duplicate: Option<Percent>,
    pub(crate) reorder: Option<Percent>,
}

/// What an action that cannot be done at its time means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Impossible {
    /// The file is wrong.
    #[default]
    Error,
    /// It is left out.
    Skip,
}

/// `[[expect]]`: when, one statement, and what the statement needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) by: Option<Spanned<Time>>,
    pub(crate) at: Option<Spanned<Time>>,
    pub(crate) always: Option<Spanned<TimeRange>>,
    pub(crate) after: Option<Spanned<Time>>,
    pub(crate) all_alive: Option<Spanned<bool>>,
    pub(crate) one_view: Option<Spanned<Time>>,
    pub(crate) alive: Option<SpannedNames>,
    pub(crate) suspect: Option<SpannedNames>,
    pub(crate) confirmed: Option<SpannedNames>,
    pub(crate) departed: Option<SpannedNames>,
    pub(crate) unknown: Option<SpannedNames>,
    pub(crate) running: Option<SpannedNames>,
    pub(crate) stopped: Option<SpannedNames>,
    pub(crate) split: Option<Spanned<Vec<SpannedNames>>>,
    pub(crate) count: Option<Spanned<Count>>,
    pub(crate) service_up: Option<Spanned<String>>,
    pub(crate) service_down: Option<Spanned<String>>,
    pub(crate) leader: Option<Spanned<String>>,
    pub(crate) one_leader: Option<Spanned<String>>,
    pub(crate) no_leader: Option<Spanned<String>>,
    pub(crate) requests_lost: Option<Spanned<Count>>,
    pub(crate) version_held: Option<Spanned<u64>>,
    pub(crate) incarnation: Option<Spanned<IncarnationWord>>,
    pub(crate) identity: Option<Spanned<IdentityWord>>,
    pub(crate) occurred: Option<Spanned<EventWord>>,
    pub(crate) never: Option<Spanned<EventWord>>,
    pub(crate) seen_by: Option<SpannedNames>,
    pub(crate) of: Option<SpannedNames>,
    pub(crate) state: Option<Spanned<StateWord>>,
    pub(crate) on: Option<SpannedNames>,
    pub(crate) since: Option<Spanned<Time>>,
    pub(crate) group: Option<Spanned<String>>,
    pub(crate) file: Option<Spanned<String>>,
    pub(crate) of_service: Option<Spanned<String>>,
}

/// A member's incarnation compared with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IncarnationWord {
    Kept,
    Raised,
}

/// A host's member id compared with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IdentityWord {
    Kept,
    New,
}

/// A member's state in somebody's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StateWord {
    Alive,
    Suspect,
    Confirmed,
    Departed,
    /// In whatever state.
    Any,
}

/// Something that a node reports.
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
    /// A node contradicted what it was called.
    Refuted,
    /// A node found that it had not been running.
    Stalled,
    /// A member was banned.
    Banned,
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
            _ => None,
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
            Self::ServiceUp => "service-up",
            Self::ServiceBackoff => "service-backoff",
            Self::ServiceDown => "service-down",
            Self::ServiceWaiting => "service-waiting",
            Self::ServiceFailed => "service-failed",
            Self::VersionLost => "version-lost",
        }
    }
}

/// A shipped set of timings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    #[default]
    Lan,
    Wan,
    Local,
}

macro_rules! timings {
    ($($name:ident: $type:ty),+ $(,)?) => {
        /// `[timings]`: a profile and what differs from it, under the names of the core's options.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct TimingsTable {
            pub(crate) profile: Option<Profile>,
            $($name: Option<Spanned<$type>>,)+
        }

        impl TimingsTable {
            /// The profile with the table's single values.
            pub(crate) fn timings(&self) -> Timings {
                let base = match self.profile.unwrap_or_default() {
                    Profile::Lan => Timings::lan(),
                    Profile::Wan => Timings::wan(),
                    Profile::Local => Timings::local(),
                };
                // Taken apart by name, so that an option that is new in the core is not forgotten here.
                let Timings { $($name),+ } = base;
                Timings { $($name: self.$name.as_ref().map_or($name, |value| *value.get_ref())),+ }
            }

            /// Where the option is given.
            pub(crate) fn span_of(&self, option: &str) -> Option<Range<usize>> {
                match option {
                    $(stringify!($name) => self.$name.as_ref().map(Spanned::span),)+
                    _ => None,
                }
            }
        }
    };
}

timings! {
    probe_period_ms: u64,
    probe_timeout_ms: u64,
    probe_verdict_ms: u64,
    indirect_probes: u32,
    suspicion_timeout_ms_min: u64,
    suspicion_max_factor: u32,
    suspicion_confirmations: u32,
    corroborators: u32,
    local_health_max: u32,
    gossip_period_ms: u64,
    gossip_fanout: u32,
    retransmit_factor: u32,
    sync_period_ms: u64,
    sync_period_ms_min: u64,
    reconnect_period_ms: u64,
    departed_after_ms: u64,
    forget_after_ms: u64,
    leave_delay_ms: u64,
    persist_period_ms: u64,
    stall_ms: u64,
    restart_backoff_ms_min: u64,
    restart_backoff_ms_max: u64,
    restart_cooldown_ms: u64,
    restart_failures_max: u32,
    lease_ms: u64,
    lease_renew_ms: u64,
    lease_margin_ms: u64,
    election_window_ms: u64,
    election_answer_ms: u64,
    election_backoff_ms_max: u64,
}
