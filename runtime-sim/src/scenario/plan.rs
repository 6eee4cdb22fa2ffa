//! A scenario that has been understood: what exists, what is done to it, what must come of it.

use std::time::Duration;

use annulus_core::{Instant, Planted, RumorKey, ServiceName, State, Timings};

use super::schema::EventWord;
use crate::action::{Action, HostId, LinkQuality};

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file it came from, as it was named.
    pub file: String,
    /// What it shows.
    pub about: String,
    /// The seed of the run.
    pub seed: u64,
    /// How long it runs, in simulated time.
    pub duration: Duration,
    /// Whether an action that cannot be done at its time is left out; it is a mistake of the file otherwise.
    pub skip_impossible: bool,
    /// A deliberate defect of every node; none in every build but those that check the checkers.
    pub planted: Planted,
    /// Within which time the hosts that no action starts are started, one after the other.
    pub start: Duration,
    /// The hosts; a [`HostId`] is an index into this.
    pub hosts: Vec<PlannedHost>,
    /// The timings of every member.
    pub timings: Timings,
    /// Links that `links` does not mention.
    pub quality: LinkQuality,
    /// Links that differ, in the order in which they apply.
    pub links: Vec<LinkChange>,
    /// What is done, in the order of time.
    pub actions: Vec<TimedAction>,
    /// What must hold.
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
    /// Whom its member contacts first.
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

/// Something to do at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedAction {
    /// When.
    pub time: Instant,
    /// The line of the file that asks for it; none for the joins that happen by themselves.
    pub line: Option<usize>,
    /// What.
    pub action: Action,
}

/// Something that must come true, or stay true.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The line of the file.
    pub line: usize,
    /// In the file's words, for messages.
    pub text: String,
    /// When.
    pub when: When,
    /// What.
    pub what: What,
}

/// When an expectation is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// True at one instant of this span at least.
    By {
        /// Not before.
        after: Instant,
        /// At the latest.
        by: Instant,
    },
    /// True at this instant.
    At(Instant),
    /// True at every instant of this span.
    Always {
        /// From here.
        from: Instant,
        /// To here.
        until: Instant,
    },
}

impl When {
    /// The last instant that matters.
    #[must_use]
    pub const fn end(self) -> Instant {
        match self {
            Self::By { by, .. } => by,
            Self::At(at) => at,
            Self::Always { until, .. } => until,
        }
    }

    /// The first instant that matters.
    #[must_use]
    pub const fn start(self) -> Instant {
        match self {
            Self::By { after, .. } => after,
            Self::At(at) => at,
            Self::Always { from, .. } => from,
        }
    }
}

/// Members that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever runs at that moment.
    Running,
    /// These.
    Hosts(Vec<HostId>),
}

/// What must hold.
#[derive(Clone, Debug)]
pub enum What {
    /// Every running member holds every running member, and nobody else, alive.
    AllAlive,
    /// Each of `seen_by` holds each of `of` in this state.
    InState {
        /// Who is looked at.
        of: Who,
        /// The state; none: not in the list at all.
        state: Option<State>,
        /// Who looks.
        seen_by: Who,
    },
    /// The supervisor runs on each of these hosts, or on none of them.
    Running {
        /// Where.
        on: Vec<HostId>,
        /// Running or not.
        running: bool,
    },
    /// Those who run share one view, unchanged for so long: see [`crate::engine::view::difference`].
    OneView {
        /// How long.
        lasting: Duration,
    },
    /// Inside each group everybody holds everybody alive; nobody holds a member of another group alive.
    Split(Vec<Vec<HostId>>),
    /// Each of `seen_by` holds so many members in this state.
    Count {
        /// At least.
        least: u32,
        /// At most.
        most: u32,
        /// The state; none: whatever state.
        state: Option<State>,
        /// Who looks.
        seen_by: Who,
    },
    /// The service runs, or does not, on these hosts.
    Service {
        /// Which.
        service: ServiceName,
        /// Runs or not.
        up: bool,
        /// Where.
        on: Vec<HostId>,
        /// Who has to know it by rumor; none: only the process is looked at.
        seen_by: Option<Who>,
    },
    /// Who acts as the leader of a service's group.
    Leader {
        /// Which service.
        service: ServiceName,
        /// Who is to.
        wanted: Leads,
    },
    /// Of what load balancers have sent, so many requests were not answered.
    Lost {
        /// At least.
        least: u32,
        /// At most.
        most: u32,
    },
    /// Each of `seen_by` holds this version of a group's configuration or file, and all the same content.
    Version {
        /// Which configuration or file.
        key: RumorKey,
        /// The number; zero: none at all.
        version: u64,
        /// Who looks.
        seen_by: Who,
    },
    /// The member's incarnation is the same as at `since`, or a higher one.
    Incarnation {
        /// Whose.
        of: Vec<HostId>,
        /// Raised or the same.
        raised: bool,
        /// Compared with the one at this time.
        since: Instant,
    },
    /// The host's member id is the same as at `since`, or another.
    Identity {
        /// Whose.
        of: Vec<HostId>,
        /// Another or the same.
        new: bool,
        /// Compared with the one at this time.
        since: Instant,
    },
    /// Such an event occurred, or did not.
    Event {
        /// Which event.
        event: EventWord,
        /// About whom.
        of: Who,
        /// At whom.
        seen_by: Who,
        /// Occurred, or never.
        occurred: bool,
    },
}

/// Who is to act as a group's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// This host.
    Host(HostId),
    /// One host, whichever, and these know it.
    OneSeenBy(Who),
    /// Nobody.
    Nobody,
}
