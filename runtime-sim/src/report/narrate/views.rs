//! What running supervisors hold of each other, counted: whether all agree is known after each change without looking
//! at the other views, which would cost the square of the ring's size.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use annulus_core::{MemberId, State};

use crate::action::HostId;

/// The views of the running supervisors.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// As which member each host runs; a copied disk lets two run as one.
    running: BTreeMap<HostId, MemberId>,
    /// How many hosts run as each member.
    runs: BTreeMap<MemberId, usize>,
    /// The states that each of them holds of each member.
    held: BTreeMap<HostId, BTreeMap<MemberId, State>>,
    /// How many of them hold a member so.
    holders: BTreeMap<(MemberId, State), usize>,
    /// Pairs of a host and a running member of another identity that it does not hold alive.
    lacking: usize,
}

impl Views {
    /// The hosts whose supervisor runs.
    pub(super) fn hosts(&self) -> impl Iterator<Item = HostId> {
        self.running.keys().copied()
    }

    /// Hosts that run.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// A supervisor starts, with nothing in its view.
    pub(super) fn start(&mut self, host: HostId, member: MemberId) {
        self.stop(host);
        self.lacking += self.pairs(host, member);
        self.running.insert(host, member);
        *self.runs.entry(member).or_default() += 1;
        self.held.insert(host, BTreeMap::new());
    }

    /// A supervisor ends; nothing where none ran.
    pub(super) fn stop(&mut self, host: HostId) {
        let Some(member) = self.running.remove(&host) else { return };
        self.lacking -= self.pairs(host, member);
        take_one(&mut self.runs, member);
        for held in self.held.remove(&host).unwrap_or_default() {
            take_one(&mut self.holders, held);
        }
    }

    /// A running host holds a member so from now on; none: it has forgotten the member.
    pub(super) fn hold(&mut self, host: HostId, member: MemberId, state: Option<State>) {
        let Some(view) = self.held.get_mut(&host) else { return };
        let before = match state {
            Some(state) => view.insert(member, state),
            None => view.remove(&member),
        };
        if before == state {
            return;
        }
        let alive = |state: Option<State>| state == Some(State::Alive);
        if alive(before) != alive(state) && self.running.get(&host) != Some(&member) {
            let count = self.runs.get(&member).copied().unwrap_or(0);
            if alive(state) {
                self.lacking -= count;
            } else {
                self.lacking += count;
            }
        }
        if let Some(before) = before {
            take_one(&mut self.holders, (member, before));
        }
        if let Some(state) = state {
            *self.holders.entry((member, state)).or_default() += 1;
        }
    }

    /// Whether every running supervisor holds every other one alive.
    pub(super) fn is_whole(&self) -> bool {
        self.running.len() > 1 && self.lacking == 0
    }

    /// Whether every running supervisor but the one on `own` holds `member` so, and there is one.
    pub(super) fn all_hold(&self, member: MemberId, state: State, own: Option<HostId>) -> bool {
        let own = own.filter(|own| self.running.contains_key(own));
        let own_holds = own.is_some_and(|own| self.holds(own, member, state));
        let holders = self.holders.get(&(member, state)).copied().unwrap_or(0) - usize::from(own_holds);
        let others = self.running.len() - usize::from(own.is_some());
        others > 0 && holders == others
    }

    fn holds(&self, host: HostId, member: MemberId, state: State) -> bool {
        self.held.get(&host).and_then(|view| view.get(&member)) == Some(&state)
    }

    /// The pairs that lack and that `host`, which is not among the running ones, makes with each of them as `member`.
    fn pairs(&self, host: HostId, member: MemberId) -> usize {
        let others = self.running.iter().filter(|(_, other)| **other != member);
        others
            .map(|(there, other)| {
                let is_held = usize::from(!self.holds(*there, member, State::Alive));
                is_held + usize::from(!self.holds(host, *other, State::Alive))
            })
            .sum()
    }
}

/// One less in a count; a count of zero is not kept.
fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::Rng;

    use super::*;
    use crate::checker::testing::member;

    /// The same by looking at every view.
    fn is_whole(views: &Views) -> bool {
        views.running.len() > 1
            && views.running.iter().all(|(host, own)| {
                views.running.values().all(|other| other == own || views.holds(*host, *other, State::Alive))
            })
    }

    #[test]
    fn counts_are_what_a_look_at_all_views_finds() {
        let mut rng = Rng::from_seed([4; 32]);
        let (mut views, mut whole) = (Views::default(), 0);
        for _ in 0..20_000 {
            let (host, subject) = (HostId(rng.below(4) as u32), member(rng.below(5) as u8));
            match rng.below(40) {
                0 => views.stop(host),
                1 => views.start(host, subject),
                2 => views.hold(host, subject, None),
                3 => views.hold(host, subject, Some(State::ALL[rng.index(State::ALL.len())])),
                _ => views.hold(host, subject, Some(State::Alive)),
            }
            assert_eq!(views.is_whole(), is_whole(&views), "{views:?}");
            whole += usize::from(views.is_whole());
            for state in State::ALL {
                let others = views.running.keys().filter(|there| **there != host);
                let holders = others.clone().filter(|there| views.holds(**there, subject, state)).count();
                let all = holders > 0 && holders == others.count();
                assert_eq!(views.all_hold(subject, state, Some(host)), all, "{views:?}");
            }
        }
        assert!(whole > 1_000, "{whole}: the ring is whole now and then");
    }
}
