//! Properties that must hold at every instant, one file each, and the list of all. A checker sees only what the world
//! records; it may not look into a node.

mod acknowledged_versions;
mod acting;
mod announced_before_signal;
mod banned_stays_banned;
mod bounds;
mod builds_change_for_a_reason;
mod confirmed_is_in_effect;
mod death_has_a_reason;
mod groups;
mod guard_knows_first;
mod incarnation_monotonic;
mod lead_is_kept;
mod leader_for_a_reason;
mod leader_gives_up_in_time;
mod leader_in_time;
mod leader_stays;
mod led_while_quiet;
mod limits;
mod members_have_run;
mod no_false_death;
mod one_acting_tree;
mod one_claims_identity;
mod one_leader;
mod one_list;
mod one_process;
mod one_winner;
mod precedence_holds;
mod quiet;
mod refuted_suspicion;
mod replayed_changes_nothing;
mod right_is_withdrawn;
mod role_is_rendered;
mod rumor_versions;
mod running_is_wanted;
mod stopped_stays_stopped;
mod stored_before_said;
mod terms_take_time;
mod told_before_signal;
mod told_is_held;
mod waking_accuses_nobody;
mod won_by_votes;
mod words_are_their_authors;

use std::fmt;

use annulus_core::{Instant, Timings};

use crate::action::world::Record;

pub use acknowledged_versions::AcknowledgedVersions;
pub use announced_before_signal::AnnouncedBeforeSignal;
pub use banned_stays_banned::BannedStaysBanned;
pub use bounds::Bounds;
pub use builds_change_for_a_reason::BuildsChangeForAReason;
pub use confirmed_is_in_effect::ConfirmedIsInEffect;
pub use death_has_a_reason::DeathHasAReason;
pub use guard_knows_first::GuardKnowsFirst;
pub use incarnation_monotonic::IncarnationMonotonic;
pub use lead_is_kept::LeadIsKept;
pub use leader_for_a_reason::LeaderForAReason;
pub use leader_gives_up_in_time::LeaderGivesUpInTime;
pub use leader_in_time::LeaderInTime;
pub use leader_stays::LeaderStays;
pub(crate) use leader_stays::back;
pub use led_while_quiet::LedWhileQuiet;
pub use limits::Limits;
pub use members_have_run::MembersHaveRun;
pub use no_false_death::NoFalseDeath;
pub use one_acting_tree::OneActingTree;
pub use one_claims_identity::OneClaimsIdentity;
pub use one_leader::OneLeader;
pub use one_list::OneList;
pub use one_process::OneProcess;
pub use one_winner::OneWinner;
pub use precedence_holds::PrecedenceHolds;
pub use refuted_suspicion::RefutedSuspicion;
pub use replayed_changes_nothing::ReplayedChangesNothing;
pub use right_is_withdrawn::RightIsWithdrawn;
pub use role_is_rendered::RoleIsRendered;
pub use rumor_versions::RumorVersions;
pub use running_is_wanted::RunningIsWanted;
pub use stopped_stays_stopped::StoppedStaysStopped;
pub use stored_before_said::StoredBeforeSaid;
pub use terms_take_time::TermsTakeTime;
pub use told_before_signal::ToldBeforeSignal;
pub use told_is_held::ToldIsHeld;
pub use waking_accuses_nobody::WakingAccusesNobody;
pub use won_by_votes::WonByVotes;
pub use words_are_their_authors::WordsAreTheirAuthors;

/// A property that is checked after every record.
///
/// It keeps what it needs of the past in its own fields, so that a trace is enough to check a run again.
pub trait Checker {
    /// Its name: that of its file.
    fn name(&self) -> &'static str;

    /// Takes note of a record.
    ///
    /// # Errors
    /// The property does not hold; the text names the host or member at fault, with the numbers that show it.
    fn observe(&mut self, record: &Record) -> Result<(), String>;
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property.
    pub checker: &'static str,
    /// The time.
    pub at: Instant,
    /// The evidence, in a sentence.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.checker, self.at, self.message)
    }
}

/// All properties together.
pub struct Checkers(Vec<Box<dyn Checker>>);

impl Checkers {
    /// Every checker of this folder, for a ring with these timings.
    #[must_use]
    pub fn of(timings: &Timings) -> Self {
        Self(vec![
            Box::new(IncarnationMonotonic::default()),
            Box::new(RefutedSuspicion::default()),
            Box::new(NoFalseDeath::new(timings)),
            Box::new(RumorVersions::default()),
            Box::new(Limits),
            Box::new(BannedStaysBanned::default()),
            Box::new(PrecedenceHolds::default()),
            Box::new(DeathHasAReason::default()),
            Box::new(StoredBeforeSaid::default()),
            Box::new(WakingAccusesNobody::default()),
            Box::new(AcknowledgedVersions::default()),
            Box::new(ConfirmedIsInEffect::default()),
            Box::new(OneWinner::default()),
            Box::new(OneLeader::default()),
            Box::new(WonByVotes::default()),
            Box::new(OneList::default()),
            Box::new(TermsTakeTime::new(timings)),
            Box::new(LeaderGivesUpInTime::default()),
            Box::new(LeaderInTime::new(timings)),
            Box::new(LeaderStays::new(timings)),
            Box::new(LeaderForAReason::default()),
            Box::new(OneProcess::default()),
            Box::new(StoppedStaysStopped::default()),
            Box::new(AnnouncedBeforeSignal),
            Box::new(ToldBeforeSignal::default()),
            Box::new(OneActingTree::default()),
            Box::new(GuardKnowsFirst::default()),
            Box::new(RightIsWithdrawn::default()),
            Box::new(RunningIsWanted::default()),
            Box::new(RoleIsRendered::default()),
            Box::new(LeadIsKept::default()),
            Box::new(LedWhileQuiet::new(timings)),
            Box::new(ToldIsHeld),
            Box::new(OneClaimsIdentity::default()),
            Box::new(WordsAreTheirAuthors::default()),
            Box::new(ReplayedChangesNothing::default()),
            Box::new(MembersHaveRun::default()),
            Box::new(BuildsChangeForAReason::default()),
        ])
    }

    /// Shows a record to all checkers.
    ///
    /// # Errors
    /// The first property that does not hold any longer.
    pub fn observe(&mut self, record: &Record) -> Result<(), Violation> {
        for checker in &mut self.0 {
            if let Err(message) = checker.observe(record) {
                return Err(Violation { checker: checker.name(), at: record.at, message });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Checkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|checker| checker.name())).finish()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Invented records.

    use annulus_core::{Cause, Event, EventId, EventKind, InputId, Instant, MemberId, Role, RumorKey};

    use crate::action::HostId;
    use crate::action::world::{Record, What};
    use crate::engine::rendering::Rendering;

    pub(crate) fn member(number: u8) -> MemberId {
        MemberId::from_bytes([number; 16])
    }

    pub(crate) fn at(ms: u64, what: What) -> Record {
        Record { at: Instant::from_millis(ms), what }
    }

    /// Files of redis.default that say that the member leads in this term.
    pub(crate) fn rendering(leads: Option<u64>) -> Rendering {
        let role = leads.map(|term| Role::Leader { term, until: Instant::from_millis(1) });
        Rendering {
            group: "redis.default".parse().expect("a group"),
            role,
            leader: None,
            config: 0,
            files: std::collections::BTreeMap::new(),
        }
    }

    /// A rumor is held in this version, on no member's word.
    pub(crate) fn holds(host: HostId, key: RumorKey, version: u64) -> What {
        What::Holds { host, key, version, author: None, says: 0, is_own: false }
    }

    pub(crate) fn record(what: What) -> Record {
        Record { at: Instant::from_millis(1_000), what }
    }

    pub(crate) fn event(host: u32, kind: EventKind) -> Record {
        let cause = Cause { input: InputId(1), event: None };
        let event = Box::new(Event { id: EventId(1), cause, kind });
        record(What::Event { host: HostId(host), event })
    }

    pub(crate) fn caused(host: u32, id: u64, after: Option<u64>, kind: EventKind) -> Record {
        let cause = Cause { input: InputId(1), event: after.map(EventId) };
        let event = Box::new(Event { id: EventId(id), cause, kind });
        record(What::Event { host: HostId(host), event })
    }

    pub(crate) fn started(host: u32, number: u8, restored: bool) -> Record {
        record(What::HostStarted { host: HostId(host), member: member(number), restored })
    }
}
