//! What a scenario is performed on: the simulated world, or a ring that runs elsewhere.

use std::collections::BTreeMap;

use annulus_core::{Instant, State};

use super::plan::Plan;
use crate::action::Action;
use crate::action::world::{Record, World};
use crate::engine::host::HostState;
use crate::engine::record::Counters;
use crate::engine::scene::Scene;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words.
    pub why: String,
    /// The same could be done at another time.
    pub untimely: bool,
}

/// A ring to which things can be done.
pub trait Bed: Scene {
    /// Does something, now.
    ///
    /// # Errors
    /// Why it is impossible; nothing changed then.
    fn apply(&mut self, action: &Action) -> Result<(), String>;
    /// As [`Self::apply`], and says whether it only came at the wrong time.
    ///
    /// # Errors
    /// Why it is impossible; nothing changed then.
    fn try_apply(&mut self, action: &Action) -> Result<(), Refusal> {
        self.apply(action).map_err(|why| Refusal { why, untimely: true })
    }
    /// The links are sound as they are now: this is what they come back to when every fault ends.
    fn call_links_sound(&mut self) {}
    /// What was counted.
    fn counters(&self) -> Counters {
        Counters::default()
    }
    /// Lets the next thing happen that is due at `limit` or before; false when there is none.
    fn step_until(&mut self, limit: Instant) -> bool;
    /// Lets everything happen up to and including `until`, which is then the time.
    fn run_until(&mut self, until: Instant);
    /// What was recorded since the last call.
    fn drain_records(&mut self) -> Vec<Record>;
    /// A fingerprint of everything that happened.
    fn fingerprint(&self) -> u64;
    /// Steps taken.
    fn steps(&self) -> u64;
}

impl Bed for World {
    fn apply(&mut self, action: &Action) -> Result<(), String> {
        self.apply(action).map_err(|error| error.to_string())
    }

    fn try_apply(&mut self, action: &Action) -> Result<(), Refusal> {
        self.apply(action).map_err(|error| Refusal { untimely: error.is_untimely(), why: error.to_string() })
    }

    fn call_links_sound(&mut self) {
        self.call_links_sound();
    }

    fn counters(&self) -> Counters {
        self.counters().clone()
    }

    fn step_until(&mut self, limit: Instant) -> bool {
        self.step_until(limit)
    }

    fn run_until(&mut self, until: Instant) {
        self.run_until(until);
    }

    fn drain_records(&mut self) -> Vec<Record> {
        self.drain_records()
    }

    fn fingerprint(&self) -> u64 {
        self.hash().value()
    }

    fn steps(&self) -> u64 {
        self.counters().steps
    }
}

/// Who holds whom to be what, by the names of hosts.
pub type Holdings = BTreeMap<String, BTreeMap<String, &'static str>>;

/// What everybody who runs holds of everybody's last member, and of all other members together.
pub fn holdings(scene: &dyn Scene, plan: &Plan) -> Holdings {
    let mut all = Holdings::new();
    for by in plan.host_ids().filter(|by| scene.state(*by) == HostState::Running) {
        let mut held = BTreeMap::new();
        let mut named = 0;
        for of in plan.host_ids() {
            let state = scene.member_id(of).and_then(|member| scene.held(by, &member));
            named += usize::from(state.is_some());
            held.insert(plan.name(of).to_owned(), state.map_or("unknown", State::name));
        }
        if scene.count(by, None) > named {
            held.insert("members of no host".to_owned(), "known");
        }
        all.insert(plan.name(by).to_owned(), held);
    }
    all
}
