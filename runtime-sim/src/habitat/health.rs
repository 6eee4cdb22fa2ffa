//! Which members a supervisor holds alive: one probe after the other, 3.1 s each; 9.3 s from Suspect to Confirmed.

use std::time::Duration;

use annulus_core::{Instant, Rng};

/// One probe with its indirect one, and so the time between two.
const PROBE_MS: u64 = 3_100;
const SUSPICION_MS: u64 = 9_300;

/// The later variant is the worse health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Alive,
    Suspect,
    Confirmed,
    Departed,
}

struct Held {
    incarnation: u64,
    health: Health,
    since: Instant,
}

/// The states that one supervisor holds of the group's members.
pub(super) struct View {
    me: usize,
    incarnation: u64,
    held: Vec<Held>,
    permanent: Vec<bool>,
    /// Members of the whole ring: each costs a probe of every round.
    ring: usize,
    /// The rest of this round, as indices into the ring; the group's members come first in it.
    round: Vec<usize>,
    next_probe: Instant,
}

impl View {
    pub(super) fn new(me: usize, permanent: Vec<bool>, ring: usize, rng: &mut Rng) -> Self {
        let start = Instant::from_millis(0);
        let held =
            permanent.iter().map(|_| Held { incarnation: 0, health: Health::Alive, since: start }).collect();
        let next_probe = Instant::from_millis(rng.below(PROBE_MS));
        Self { me, incarnation: 0, held, permanent, ring, round: Vec::new(), next_probe }
    }

    pub(super) const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The state that this supervisor holds of `who`.
    pub(super) fn held(&self, who: usize) -> (u64, Health) {
        if who == self.me {
            return (self.incarnation, Health::Alive);
        }
        self.held.get(who).map_or((0, Health::Departed), |held| (held.incarnation, held.health))
    }

    /// The supervisor runs again and keeps its earlier beliefs of the others.
    pub(super) fn restarted(&mut self, now: Instant) {
        self.incarnation += 1;
        self.next_probe = now;
        self.round.clear();
        for held in &mut self.held {
            held.since = now;
        }
        // The operator who starts it names peers to contact, or it would meet no member.
        for held in self.held.iter_mut().filter(|held| held.health != Health::Departed) {
            held.health = Health::Alive;
        }
    }

    /// The supervisor leaves in order; returns the incarnation of its farewell.
    pub(super) fn depart(&mut self) -> u64 {
        self.incarnation += 1;
        self.incarnation
    }

    /// The member to probe now, if any.
    pub(super) fn next_probe(&mut self, now: Instant, rng: &mut Rng) -> Option<usize> {
        if self.next_probe > now {
            return None;
        }
        self.next_probe = now + Duration::from_millis(PROBE_MS);
        if self.round.is_empty() {
            self.round = (0..self.ring).filter(|n| *n != self.me).collect();
            rng.shuffle(&mut self.round);
        }
        // A member that is not probed costs no time.
        while let Some(target) = self.round.pop() {
            if target >= self.held.len() {
                return None;
            }
            if self.is_pingable(target) {
                return Some(target);
            }
        }
        None
    }

    fn is_pingable(&self, who: usize) -> bool {
        who != self.me && (self.permanent[who] || self.held[who].health <= Health::Suspect)
    }

    /// The members that this supervisor still talks to.
    pub(super) fn pingable(&self) -> Vec<usize> {
        (0..self.held.len()).filter(|who| self.is_pingable(*who)).collect()
    }

    /// `who` spoke to this supervisor itself.
    pub(super) fn contact(&mut self, now: Instant, who: usize, incarnation: u64) {
        let held = &mut self.held[who];
        if incarnation > held.incarnation || held.health != Health::Alive {
            *held = Held { incarnation, health: Health::Alive, since: now };
        }
    }

    pub(super) fn suspect(&mut self, now: Instant, who: usize) {
        let incarnation = self.held[who].incarnation;
        self.hear(now, who, incarnation, Health::Suspect);
    }

    /// The higher incarnation wins, of equal ones the worse health.
    pub(super) fn hear(&mut self, now: Instant, who: usize, incarnation: u64, health: Health) {
        if who == self.me {
            if health != Health::Alive && incarnation >= self.incarnation {
                self.incarnation = incarnation + 1;
            }
            return;
        }
        let held = &mut self.held[who];
        if (incarnation, health) > (held.incarnation, held.health) {
            *held = Held { incarnation, health, since: now };
        }
    }

    /// A suspicion that has run out is a death.
    pub(super) fn expire(&mut self, now: Instant) {
        for held in &mut self.held {
            let old = now.saturating_since(held.since) >= Duration::from_millis(SUSPICION_MS);
            if held.health == Health::Suspect && old {
                *held = Held { incarnation: held.incarnation, health: Health::Confirmed, since: now };
            }
        }
    }
}
