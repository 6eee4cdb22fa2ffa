//! Moves lists of hosts when some of a plan's hosts are gone.

use crate::engine::host::HostId;

/// New numbers for the hosts that are left.
pub(crate) struct Moved<'a>(pub(crate) &'a dyn Fn(HostId) -> Option<HostId>);

impl Moved<'_> {
    /// One host's new number; none when it is gone.
    pub(crate) fn one(&self, host: HostId) -> Option<HostId> {
        (self.0)(host)
    }

    /// The hosts that are left. An empty list may mean all hosts: one that becomes empty is none, or it would widen.
    pub(crate) fn some(&self, hosts: &[HostId]) -> Option<Vec<HostId>> {
        let left: Vec<HostId> = hosts.iter().filter_map(|host| self.one(*host)).collect();
        (left.is_empty() == hosts.is_empty()).then_some(left)
    }
}
