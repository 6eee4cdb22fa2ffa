//! A service's part in a group with a leader, as its election said last. It does not decide who leads.

use alloc::format;
use alloc::string::String;

use crate::model::election::Role;
use crate::model::id::ServiceGroup;
use crate::model::time::Instant;

/// None before the election has spoken, and in groups without a leader.
#[derive(Debug, Default)]
pub(super) struct Part(Option<Role>);

/// The difference that a new role makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    /// The service led and leads no longer.
    pub(super) is_demoted: bool,
    /// Templates can see a difference, as against a lease that was only renewed.
    pub(super) is_visible: bool,
}

impl Part {
    pub(super) const fn role(&self) -> Option<&Role> {
        self.0.as_ref()
    }

    /// Until then it may act as the leader; none when it may not.
    pub(super) const fn leads_until(&self) -> Option<Instant> {
        match &self.0 {
            Some(Role::Leader { until, .. }) => Some(*until),
            Some(Role::Waiting { .. } | Role::Follower { .. }) | None => None,
        }
    }

    pub(super) const fn follows(&self) -> bool {
        matches!(self.0, Some(Role::Follower { .. }))
    }

    /// The election has spoken.
    pub(super) fn assign(&mut self, role: Role) -> Shift {
        let led = self.leads_until().is_some();
        let is_visible = self.0.as_ref().is_none_or(|old| !is_same(old, &role));
        self.0 = Some(role);
        let is_demoted = led && self.leads_until().is_none();
        assert!(is_visible || !is_demoted, "templates see that a service leads no longer");
        Shift { is_demoted, is_visible }
    }

    /// The reason why the service's part does not let it run; none when it does. `only_leads` where followers do not
    /// run.
    pub(super) fn missing(&self, group: &ServiceGroup, only_leads: bool) -> Option<String> {
        match &self.0 {
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
