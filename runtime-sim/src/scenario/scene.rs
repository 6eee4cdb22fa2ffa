//! The ring that a scenario is performed on: the simulated world, or a ring that runs elsewhere.

use std::collections::BTreeMap;

use annulus_core::{Instant, State};

use super::plan::Plan;
use crate::action::Action;
use crate::action::world::{Record, World};
use crate::engine::host::HostState;
use crate::engine::record::Counters;
use crate::engine::scene::Scene;

/// Why an action could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words.
    pub why: String,
    /// The same action could be done at another time.
    pub untimely: bool,
}

/// A ring to which actions can be done.
pub trait Bed: Scene {
    /// Does an action, now.
    ///
    /// # Errors
    /// Why it is impossible; nothing changed then.
    fn apply(&mut self, action: &Action) -> Result<(), String>;
    /// As [`Self::apply`], and the error says whether the action only came at the wrong time.
    ///
    /// # Errors
    /// Why it is impossible; nothing changed then.
    fn try_apply(&mut self, action: &Action) -> Result<(), Refusal> {
        self.apply(action).map_err(|why| Refusal { why, untimely: true })
    }
    /// Marks the links as sound: calm brings them back to their present state.
    fn call_links_sound(&mut self) {}
    /// The counts so far.
    fn counters(&self) -> Counters {
        Counters::default()
    }
    /// Lets the next event happen that is due at `limit` or before; false when there is none.
    fn step_until(&mut self, limit: Instant) -> bool;
    /// Lets every event happen up to and including `until`, which is then the time.
    fn run_until(&mut self, until: Instant);
    /// The records since the last call.
    fn drain_records(&mut self) -> Vec<Record>;
    /// A fingerprint of the run so far.
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

/// The states that members hold of each other, by the names of hosts.
pub type Holdings = BTreeMap<String, BTreeMap<String, &'static str>>;

/// The states that every running member holds of each host's last member, and of all other members together.
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
