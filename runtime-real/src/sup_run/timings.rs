//! One option and one configuration key for each timing of the ring. Holds no timing itself: profiles are the core's.

use annulus_core::Timings;
use clap::{Args, ValueEnum};
use serde::Deserialize;

/// A set of timings that fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Hosts in one data centre: round trips of a few milliseconds.
    #[default]
    Lan,
    /// Hosts far apart: round trips of up to half a second.
    Wan,
    /// One machine.
    Local,
}

impl Profile {
    /// Its timings.
    #[must_use]
    pub fn timings(self) -> Timings {
        match self {
            Self::Lan => Timings::lan(),
            Self::Wan => Timings::wan(),
            Self::Local => Timings::local(),
        }
    }
}

macro_rules! timing_options {
    ($($field:ident: $type:ty, $help:literal;)+) => {
        /// Timings that differ from the profile's.
        #[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
        #[serde(deny_unknown_fields, default)]
        pub struct TimingOptions {
            $(
                #[doc = $help]
                #[arg(long, value_name = "N", hide_short_help = true, help_heading = "Timings")]
                pub $field: Option<$type>,
            )+
        }

        impl TimingOptions {
            /// These options, completed by those of `other`.
            #[must_use]
            pub fn or(&self, other: &Self) -> Self {
                Self { $($field: self.$field.or(other.$field)),+ }
            }

            /// Replaces the timings that are given here in `timings`.
            pub fn apply(&self, timings: &mut Timings) {
                $(
                    if let Some(value) = self.$field {
                        timings.$field = value;
                    }
                )+
            }
        }

        #[cfg(test)]
        const FIELDS: &[&str] = &[$(stringify!($field)),+];
    };
}

timing_options! {
    probe_period_ms: u64, "One member is probed in each such period";
    probe_timeout_ms: u64, "A direct probe that is not answered within this goes to the indirect ones";
    probe_verdict_ms: u64, "From the first ping to the verdict";
    indirect_probes: u32, "Members asked to probe for this one";
    suspicion_timeout_ms_min: u64, "How long a suspicion lasts that enough members confirm; half as much again for each tenfold of the ring above 10";
    suspicion_max_factor: u32, "A suspicion that no other member confirms lasts this many times longer";
    suspicion_confirmations: u32, "Accusers beside the first that shorten a suspicion to its minimum";
    corroborators: u32, "Members that check a suspect for themselves, on average";
    local_health_max: u32, "Highest local health score; probe times are multiplied by the score plus one";
    gossip_period_ms: u64, "Time between rounds of telling hot rumors";
    gossip_fanout: u32, "Members told per round";
    retransmit_factor: u32, "How often a member tells one rumor, times log10 of the ring's size";
    datagram_bytes_max: u32, "Largest datagram that is sent, in bytes (970 to 8192); larger ones need a network that carries them in one piece";
    sync_period_ms: u64, "Longest time between digest exchanges";
    sync_period_ms_min: u64, "Shortest time between digest exchanges";
    reconnect_period_ms: u64, "Time between tries of the peers while alone, or of a lost member";
    departed_after_ms: u64, "A confirmed member counts as departed after this";
    forget_after_ms: u64, "Departed members and tombstones are forgotten after this";
    leave_delay_ms: u64, "How long a leaving member goes on answering";
    persist_period_ms: u64, "Time between batches of records that may be lost in a crash";
    stall_ms: u64, "A wake-up this late means that the process was not running";
    restart_backoff_ms_min: u64, "First wait before a service that ended is started again";
    restart_backoff_ms_max: u64, "Longest wait before a service that ended is started again";
    restart_cooldown_ms: u64, "A service that ran this long starts again with the shortest wait";
    restart_failures_max: u32, "A service that fails this often in a row is not tried any more until it is started again; 0 tries for ever";
    lease_ms: u64, "How long a leader's lease lasts";
    lease_renew_ms: u64, "A leader renews its lease this often";
    lease_margin_ms: u64, "A leader that cannot renew its lease gives up this long before its end";
    election_window_ms: u64, "How long a voter waits for better candidates";
    election_answer_ms: u64, "How long a candidate waits for answers";
    election_backoff_ms_max: u64, "Longest wait between rounds of an election that finds no quorum";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timing_has_an_option_that_changes_it() {
        let lan = format!("{:?}", Timings::lan());
        // The debug form names each field of the core's struct once.
        let fields = lan.matches(": ").count();
        assert_eq!(fields, FIELDS.len());
        for field in FIELDS {
            let options: TimingOptions = toml::from_str(&format!("{field} = 123456")).expect("a key");
            let mut timings = Timings::lan();
            options.apply(&mut timings);
            assert!(format!("{timings:?}").contains(&format!("{field}: 123456")), "{field}");
        }
    }
}
