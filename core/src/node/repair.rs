//! Compares what this member has told the ring, by its components' own books, with what its store holds of it. What
//! differs is stated anew, or withdrawn, and reported: where everything is in order nothing is ever repaired.
//!
//! Components tell only changes, so that a statement that went astray once (it was withdrawn after it was made, or the
//! store had no room) would stay away until the next change, which may never come. It may concern statements that this
//! member owns, and no others: those of other members come back through digests.
//!
//! | the books of | say | the store holds |
//! |---|---|---|
//! | services | what is announced, and its health | the rumors that this member owns |
//! | elections | in which term this member leads | the outcome of that term or of a later one |
//! | membership | who is banned | the ban |
//!
//! The first two are compared every second while there is something to compare; bans, and statements in the store that
//! no book knows, are looked for with each digest exchange.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::wire_up::Learned;
use super::{Node, ctx};
use crate::membership::Heard;
use crate::model::context::{Context, Follows, earliest};
use crate::model::event::EventKind;
use crate::model::id::{Incarnation, ServiceGroup};
use crate::model::io::WakeReason;
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::rumor::{Authority, ElectionRumor, Rumor, RumorKey, RumorKind, ServiceHealth};
use crate::model::time::Instant;
use crate::rumor::Priority;

/// Time between comparisons, in milliseconds.
const REPAIR_PERIOD_MS: u64 = 1_000;
/// The same after a repair for which the store had no room.
const REFUSED_PERIOD_MS: u64 = 30_000;

const _: () = assert!(0 < REPAIR_PERIOD_MS && REPAIR_PERIOD_MS < REFUSED_PERIOD_MS);

/// The time of the next comparison. One is planned while this member has told something.
#[derive(Debug)]
pub(super) struct Repair {
    at: Instant,
}

impl Default for Repair {
    fn default() -> Self {
        Self { at: Instant::FAR_FUTURE }
    }
}

impl Repair {
    /// When the next comparison is due.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Housekeeping)])
    }

    /// This member has told something: it is compared from now on.
    pub(super) fn plan(&mut self, now: Instant) {
        if self.at == Instant::FAR_FUTURE {
            self.at = now + Duration::from_millis(REPAIR_PERIOD_MS);
        }
        assert!(self.at > now || self.at < Instant::FAR_FUTURE, "what was told is compared");
    }
}

impl Node {
    /// The comparison of each second.
    pub(super) fn run_repair(&mut self) {
        self.repair.at = Instant::FAR_FUTURE;
        let told = self.statements();
        let is_telling = !told.is_empty();
        let mut period_ms = REPAIR_PERIOD_MS;
        for statement in told {
            if self.is_held(&statement) || self.config.planted.has(Bug::ToldNeverRepaired) {
                continue;
            }
            if self.repair(statement) != Heard::New {
                period_ms = REFUSED_PERIOD_MS;
            }
        }
        if mutated!(RepairedOnce, is_telling, false) {
            self.repair.at = self.clock.now() + Duration::from_millis(period_ms);
        }
        assert!(self.repair.at > self.clock.now(), "one comparison is followed by a pause");
    }

    /// Withdraws what the store holds of this member and no book of it knows.
    pub(super) fn repair_strays(&mut self) {
        if self.config.planted.has(Bug::ToldNeverRepaired) {
            return;
        }
        for group in self.strays() {
            for key in self.retract(&group) {
                self.repaired(key, Follows::Input);
            }
        }
        let bans = self.membership.bans().map(Rumor::Departure);
        let lost: Vec<Rumor> = bans.filter(|ban| !self.is_held(ban)).collect();
        for ban in lost {
            self.repair(ban);
        }
    }

    /// Groups of which the store holds that this member serves them, and its services do not.
    pub(super) fn strays(&self) -> BTreeSet<ServiceGroup> {
        let known: BTreeSet<&ServiceGroup> = self.services.told().map(|told| told.group).collect();
        let own = self.rumors.iter().filter(|held| held.owner() == Some(self.me) && !held.is_tombstone());
        // What a later version of this supervisor told is not for this one to judge.
        let own = own.filter(|held| held.key().kind() != RumorKind::Opaque);
        let groups = own.filter_map(|held| held.key().group().cloned());
        let strays: BTreeSet<ServiceGroup> = groups.filter(|group| !known.contains(group)).collect();
        assert!(strays.iter().all(|group| !known.contains(group)), "what is announced is no stray");
        strays
    }

    /// States anew what the store has lost.
    fn repair(&mut self, statement: Rumor) -> Heard {
        let key = statement.key();
        let Learned { heard, after } = match statement.authority() {
            Authority::Owner(_) => self.tell_own(statement, Incarnation(0)),
            Authority::Members(_)
            | Authority::Operator(_)
            | Authority::Itself(_)
            | Authority::Ban(_)
            | Authority::Voters(_)
            | Authority::Key(_)
            | Authority::Unknown(_) => {
                let told = self.signed(statement);
                self.learn(&told, Priority::Urgent, None, Follows::Input)
            }
        };
        if heard == Heard::New {
            self.repaired(key, after);
        }
        heard
    }

    fn repaired(&mut self, key: RumorKey, after: Follows) {
        let ctx = ctx!(self);
        ctx.event(after, EventKind::RumorRepaired { key });
    }

    /// Everything that this member has told by the books of its components.
    fn statements(&self) -> Vec<Rumor> {
        let mut statements = Vec::new();
        for told in self.services.told() {
            // Of a process that outlived the last supervisor the ring still knows what that one said.
            let Some((announcement, health)) = told.announced else { continue };
            statements.push(Rumor::Service(self.service_rumor(announcement)));
            statements.extend(health.map(|health| {
                Rumor::ServiceHealth(ServiceHealth {
                    member_id: self.me,
                    group: told.group.clone(),
                    incarnation: Incarnation(0),
                    health,
                    tombstone: false,
                })
            }));
        }
        statements.extend(self.elections.leads().map(|(election, term, _)| {
            let (election, leader) = (election.clone(), self.me);
            Rumor::Election(ElectionRumor { election, term, leader, ended: false })
        }));
        let is_own = |rumor: &Rumor| rumor.owner().is_none_or(|owner| owner == self.me);
        assert!(statements.iter().all(is_own), "a member answers for its own statements");
        statements
    }

    /// Whether the store holds what this statement says, or what prevails over it.
    fn is_held(&self, statement: &Rumor) -> bool {
        let Some(held) = self.rumors.get(&statement.key()) else { return false };
        match statement.authority() {
            Authority::Owner(_) => {
                let mut held = held.clone();
                held.restate(Incarnation(statement.number()));
                held == *statement
            }
            Authority::Members(_)
            | Authority::Operator(_)
            | Authority::Itself(_)
            | Authority::Ban(_)
            | Authority::Voters(_)
            | Authority::Key(_)
            | Authority::Unknown(_) => !held.clone().merge(statement),
        }
    }
}
