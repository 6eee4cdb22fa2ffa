//! A scenario that has been understood: the hosts, the actions and the expectations. A plan is data and performs
//! nothing.

use std::time::Duration;

use annulus_core::{Instant, Planted, Timings};

use crate::action::{Action, HostId, LinkQuality, Refused};
use crate::expect::{Statement, When};

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file it came from, as it was named.
    pub file: String,
    /// The lesson of the scenario.
    pub about: String,
    /// The seed of the run.
    pub seed: u64,
    /// How long it runs, in simulated time.
    pub duration: Duration,
    /// Whether an action that cannot be done at its time is left out; otherwise it is a mistake of the file.
    pub skip_impossible: bool,
    /// A deliberate defect of every node; none in every build but those that check the checkers.
    pub planted: Planted,
    /// Within which time the hosts that no action starts are started, one after the other.
    pub start: Duration,
    /// The hosts; a [`HostId`] is an index into this.
    pub hosts: Vec<PlannedHost>,
    /// The revision of the key that all begin with; none in an open ring. Messages are sealed with it, with a number each.
    pub ring_key: Option<u64>,
    /// The timings of every member.
    pub timings: Timings,
    /// Links that `links` does not mention.
    pub quality: LinkQuality,
    /// Links that differ, in the order in which they apply.
    pub links: Vec<LinkChange>,
    /// The actions, in the order of time.
    pub actions: Vec<TimedAction>,
    /// The expectations.
    pub expectations: Vec<Expectation>,
}

impl Plan {
    /// A host's name.
    #[must_use]
    pub fn name(&self, host: HostId) -> &str {
        self.hosts.get(host.0 as usize).map_or("?", |h| h.name.as_str())
    }

    /// Every host.
    pub fn host_ids(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId)
    }
}

/// A host to add to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHost {
    /// Its name, unique.
    pub name: String,
    /// Its zone; empty when it is in none.
    pub zone: String,
    /// Whether its member is a permanent peer.
    pub permanent: bool,
    /// The peers that its member contacts first.
    pub peers: Vec<HostId>,
}

/// A set of links of one quality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// Senders.
    pub from: Vec<HostId>,
    /// Receivers.
    pub to: Vec<HostId>,
    /// Their quality.
    pub quality: LinkQuality,
}

/// An action and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedAction {
    /// The time.
    pub time: Instant,
    /// The line of the file that asks for it; none for the joins that happen by themselves.
    pub line: Option<usize>,
    /// The action.
    pub action: Action,
    /// Why its command is refused, where the file says that it is.
    pub refused: Option<Refused>,
}

/// A statement and its time.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The line of the file.
    pub line: usize,
    /// In the file's words, for messages.
    pub text: String,
    /// The time.
    pub when: When,
    /// The statement.
    pub what: Statement,
}
