//! A service's part in a group with a leader, as its election said last. It does not decide who leads.

use alloc::format;
use alloc::string::String;

use crate::model::election::Role;
use crate::model::id::ServiceGroup;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Part {
    /// None before the election has spoken, and in groups without a leader.
    role: Option<Role>,
    /// The election has named this member in this life of its supervisor.
    has_led: bool,
}

impl Part {
    pub(super) const fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }

    /// The term in which it leads, and until when it may act as the leader; none when it may not.
    pub(super) const fn leads(&self) -> Option<(u64, Instant)> {
        match &self.role {
            Some(Role::Leader { term, until }) => Some((*term, *until)),
            Some(Role::Waiting { .. } | Role::Follower { .. }) | None => None,
        }
    }

    /// Whether the election has named a leader. A lead that was given up is known to be over, also while no other member
    /// leads.
    pub(super) fn is_known(&self) -> bool {
        mutated!(GivenUpLeadUnknown, self.has_led, false)
            || matches!(self.role, Some(Role::Leader { .. } | Role::Follower { .. }))
    }

    /// Whether templates that know this role would see a difference.
    pub(super) fn differs_from(&self, role: Option<&Role>) -> bool {
        match (&self.role, role) {
            (Some(role), Some(other)) => !is_same(role, other),
            (own, other) => own.is_some() != other.is_some(),
        }
    }

    pub(super) const fn follows(&self) -> bool {
        matches!(self.role, Some(Role::Follower { .. }))
    }

    /// The election has spoken. Whether templates can see a difference, as against a lease that was only renewed.
    pub(super) fn assign(&mut self, role: Role) -> bool {
        let led = self.leads().is_some();
        let is_visible = self.differs_from(Some(&role));
        self.role = Some(role);
        self.has_led |= self.leads().is_some();
        assert!(is_visible || led == self.leads().is_some(), "templates see that a service leads no longer");
        is_visible
    }

    /// The reason why the service's part does not let it run; none when it does. `only_leads` where followers do not
    /// run.
    pub(super) fn missing(&self, group: &ServiceGroup, only_leads: bool, now: Instant) -> Option<String> {
        match &self.role {
            Some(Role::Leader { until, .. }) if *until <= now => {
                Some(format!("the election of {group}: its lease has run out"))
            }
            None => Some(format!("the election of {group}")),
            Some(Role::Waiting { why }) => Some(format!("the election of {group}: {why}")),
            Some(Role::Follower { leader, .. }) if only_leads => {
                Some(format!("its turn to lead {group}: {leader} leads it and only a leader runs"))
            }
            Some(Role::Leader { .. } | Role::Follower { .. }) => None,
        }
    }
}

/// Whether two roles differ at most in how long they last.
fn is_same(a: &Role, b: &Role) -> bool {
    match (a, b) {
        (Role::Leader { term: a, .. }, Role::Leader { term: b, .. }) => a == b,
        (Role::Waiting { .. } | Role::Leader { .. } | Role::Follower { .. }, _) => a == b,
    }
}
