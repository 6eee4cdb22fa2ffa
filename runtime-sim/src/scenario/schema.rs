//! The form of a scenario file: one struct for each table. A key that no struct has is refused.
//!
//! `build.rs` gives it meaning; `scenarios/README.md` explains it to people.

use std::collections::BTreeMap;
use std::ops::Range;

use annulus_core::Timings;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::form::SpannedNames;
use crate::form::value::{Direction, Latency, Percent, Time};

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
    /// As `at`, each as the table of its statement.
    #[serde(default, rename = "expect")]
    _expect: IgnoredAny,
}

/// `[members]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    #[serde(default)]
    pub(crate) names: Vec<Spanned<String>>,
    pub(crate) count: Option<Spanned<u32>>,
    pub(crate) permanent: Option<SpannedNames>,
    pub(crate) ring_key: Option<u64>,
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

/// The meaning of an action that cannot be done at its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Impossible {
    /// The file is wrong.
    #[default]
    Error,
    /// It is left out.
    Skip,
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
        /// `[timings]`: a profile and single values beside it, under the names of the core's options.
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
                // Taken apart by name, so that the compiler asks for an option that is new in the core.
                let Timings { $($name),+ } = base;
                Timings { $($name: self.$name.as_ref().map_or($name, |value| *value.get_ref())),+ }
            }

            /// The place of the option.
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
    datagram_bytes_max: u32,
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
