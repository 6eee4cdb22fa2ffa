//! The time in which a process that outlived its supervisor is left alone: what the new supervisor does not know yet is
//! no reason to write its files. It is data; `start` adopts and looks at the package.

use core::time::Duration;

use super::super::deadline;
use crate::model::service::Health;
use crate::model::time::Instant;

/// The facts that an adopted process waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adoption {
    /// The ring's news of the groups that concern the service are here by then.
    facts_at: Instant,
    /// A role that is not known by then may need this member to stand.
    role_by: Instant,
    /// A member that knew of no other has been given the time again.
    is_extended: bool,
    is_due: bool,
    is_role_overdue: bool,
    look: Look,
    /// What was last found of the process.
    health: Option<Health>,
}

/// How far the look at the package of a process has come that is to end, or to be announced, before its files were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It was not asked for.
    No,
    /// The stop waits for it, until then at most.
    Asked { until: Instant },
    /// The stop waits for it no longer.
    Over,
}

impl Adoption {
    pub(super) fn new(now: Instant, health: Option<Health>) -> Self {
        let adoption = Self {
            facts_at: now + Duration::from_millis(deadline::ADOPTION_FACTS_MS),
            role_by: now + Duration::from_millis(deadline::ADOPTION_ROLE_MS),
            is_extended: false,
            is_due: false,
            is_role_overdue: false,
            look: Look::No,
            health,
        };
        assert!(adoption.facts_at <= adoption.role_by, "an election begins with what the ring knows");
        adoption
    }

    /// Notes the time. A member that is `alone` by then may have lost what it knew of the others, who find it with their
    /// next probes.
    pub(super) fn tick(&mut self, now: Instant, alone: bool) {
        if self.facts_at <= now && alone && !self.is_extended {
            self.is_extended = true;
            self.facts_at = now + Duration::from_millis(deadline::ADOPTION_FACTS_MS);
        }
        if matches!(self.look, Look::Asked { until } if until <= now) {
            self.look = Look::Over;
        }
        self.is_due |= self.facts_at <= now;
        self.is_role_overdue |= self.role_by <= now;
        assert!(
            self.poll_timeout().is_none_or(|at| at > now),
            "a time that has come is waited for no longer"
        );
    }

    /// How the last supervisor found the process, which holds until a check of this one has ended.
    pub(super) const fn health(&self) -> Option<Health> {
        self.health
    }

    /// Whether the news of the ring have had their time.
    pub(super) const fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether the election has not spoken for so long that it may wait for this member.
    pub(super) const fn is_role_overdue(&self) -> bool {
        self.is_role_overdue
    }

    /// Its stop waits for a look at its package. True the first time, when the runtime is to be asked for it.
    pub(super) fn ask_to_look(&mut self, now: Instant) -> bool {
        let is_first = self.look == Look::No;
        if is_first {
            self.look = Look::Asked { until: now + Duration::from_millis(deadline::LOOK_MS) };
        }
        is_first
    }

    /// The package was looked at, or cannot be.
    pub(super) const fn looked(&mut self) {
        self.look = Look::Over;
    }

    /// Whether a stop still waits for the look.
    pub(super) const fn is_looking(&self) -> bool {
        matches!(self.look, Look::Asked { .. })
    }

    /// When it is to be looked at again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let facts = (!self.is_due).then_some(self.facts_at);
        let role = (!self.is_role_overdue).then_some(self.role_by);
        let look = if let Look::Asked { until } = self.look { Some(until) } else { None };
        [facts, role, look].into_iter().flatten().min()
    }
}
