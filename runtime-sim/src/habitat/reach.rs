//! Which hosts run, and which reach each other.

use std::collections::BTreeSet;

use crate::action::{
    Action, Calm, Crash, CrashAtSync, CrashLoop, Depart, Heal, HostId, Join, Kill, Leave, Partition, Pause,
    Restart, Resume,
};

/// The hosts and the cuts between them.
pub(super) struct Reach {
    runs: Vec<bool>,
    banned: BTreeSet<HostId>,
    /// One-way cuts, from and to.
    cuts: BTreeSet<(HostId, HostId)>,
}

impl Reach {
    pub(super) fn new(hosts: usize) -> Self {
        Self { runs: vec![false; hosts], banned: BTreeSet::new(), cuts: BTreeSet::new() }
    }

    pub(super) fn runs(&self, host: HostId) -> bool {
        self.runs.get(host.0 as usize).copied().unwrap_or(false)
    }

    /// Whether nothing is cut on the way.
    pub(super) fn is_open(&self, from: HostId, to: HostId) -> bool {
        from != to && !self.cuts.contains(&(from, to))
    }

    pub(super) fn passes(&self, from: HostId, to: HostId) -> bool {
        self.runs(from) && self.runs(to) && self.is_open(from, to)
    }

    /// Whether a ping comes back.
    pub(super) fn answers(&self, from: HostId, to: HostId) -> bool {
        self.passes(from, to) && self.passes(to, from)
    }

    /// Whether a ping comes back through a third member.
    pub(super) fn answers_by_relay(&self, from: HostId, to: HostId) -> bool {
        let hosts = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        (0..hosts).map(HostId).any(|relay| self.answers(from, relay) && self.answers(relay, to))
    }

    /// The host whose supervisor starts or ends with this action, after it took effect.
    pub(super) fn act(&mut self, action: &Action) -> Vec<HostId> {
        match action {
            Action::Join(Join { host })
            | Action::Restart(Restart { host, .. })
            | Action::Resume(Resume { host }) => self.set(*host, true),
            Action::Crash(Crash { host })
            | Action::Kill(Kill { host })
            | Action::Leave(Leave { host })
            | Action::CrashAtSync(CrashAtSync { host })
            | Action::CrashLoop(CrashLoop { host, .. })
            | Action::Pause(Pause { host }) => self.set(*host, false),
            Action::Depart(Depart { host, .. }) => {
                self.banned.insert(*host);
                self.set(*host, false)
            }
            Action::Partition(Partition { from, to, both }) => {
                for (a, b) in pairs(from, to) {
                    self.cuts.insert((a, b));
                    if *both {
                        self.cuts.insert((b, a));
                    }
                }
                Vec::new()
            }
            Action::Heal(Heal { between: Some((from, to)) }) => {
                for (a, b) in pairs(from, to) {
                    self.cuts.remove(&(a, b));
                    self.cuts.remove(&(b, a));
                }
                Vec::new()
            }
            Action::Heal(Heal { between: None }) => {
                self.cuts.clear();
                Vec::new()
            }
            Action::Calm(Calm) => {
                self.cuts.clear();
                let hosts = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
                (0..hosts).map(HostId).flat_map(|host| self.set(host, true)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn set(&mut self, host: HostId, runs: bool) -> Vec<HostId> {
        let runs = runs && !self.banned.contains(&host);
        match self.runs.get_mut(host.0 as usize) {
            Some(slot) if *slot != runs => {
                *slot = runs;
                vec![host]
            }
            _ => Vec::new(),
        }
    }
}

fn pairs<'a>(from: &'a [HostId], to: &'a [HostId]) -> impl Iterator<Item = (HostId, HostId)> + 'a {
    from.iter().flat_map(move |a| to.iter().map(move |b| (*a, *b)))
}
