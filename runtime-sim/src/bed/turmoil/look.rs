//! This ring as a scene that scenarios can be performed in and judged by.

use annulus_core::{Incarnation, Instant, MemberId, ServiceName, ServiceState, State};

use super::ring::Seen;
use super::{TICK, TurmoilBed};
use crate::action::room::Ground;
use crate::action::world::Record;
use crate::action::{Action, HostId};
use crate::engine::host::HostState;
use crate::engine::scene::Scene;
use crate::report::trace;
use crate::scenario::scene::{Bed, Refusal};

impl TurmoilBed {
    /// The latest look of a supervisor that has a process.
    fn seen<T>(&self, host: HostId, look: impl FnOnce(&Seen) -> Option<T>) -> Option<T> {
        let ring = self.shared.lock();
        ring.hosts.get(host.0 as usize).and_then(|host| host.seen.as_ref()).and_then(look)
    }
}

impl Scene for TurmoilBed {
    fn now(&self) -> Instant {
        self.now
    }

    fn name(&self, host: HostId) -> &str {
        self.names.get(host.0 as usize).map_or("?", String::as_str)
    }

    fn state(&self, host: HostId) -> HostState {
        self.shared.lock().state(host.0)
    }

    fn member_id(&self, host: HostId) -> Option<MemberId> {
        self.shared.lock().hosts.get(host.0 as usize).and_then(|host| host.member)
    }

    fn host_by_member(&self, member: &MemberId) -> Option<HostId> {
        self.shared.lock().host_by_member(member)
    }

    fn identity(&self, host: HostId) -> Option<(MemberId, Incarnation)> {
        self.seen(host, |seen| Some((seen.id, seen.incarnation)))
    }

    fn held(&self, by: HostId, of: &MemberId) -> Option<State> {
        self.seen(by, |seen| seen.members.iter().find(|(id, _)| id == of).map(|(_, state)| *state))
    }

    fn count(&self, by: HostId, state: Option<State>) -> usize {
        let fits = |held: &State| state.is_none_or(|state| state == *held);
        let count = self.seen(by, |seen| Some(seen.members.iter().filter(|(_, held)| fits(held)).count()));
        count.unwrap_or_default()
    }

    fn service(&self, host: HostId, service: &ServiceName) -> Option<ServiceState> {
        self.seen(host, |seen| {
            seen.services.iter().find(|(name, _)| name == service).map(|(_, state)| *state)
        })
    }

    fn knows_service(&self, by: HostId, member: &MemberId, service: &ServiceName) -> bool {
        let told = |seen: &Seen| seen.told.iter().any(|(at, name)| at == member && name == service.as_str());
        self.seen(by, |seen| Some(told(seen))).unwrap_or_default()
    }
}

impl Ground for TurmoilBed {
    fn host_count(&self) -> usize {
        self.names.len()
    }

    fn has_process(&self, host: HostId, service: &ServiceName) -> bool {
        self.shared.lock().host_mut(host.0).guards.get(service).is_some()
    }
}

impl Bed for TurmoilBed {
    fn apply(&mut self, action: &Action) -> Result<(), String> {
        self.perform(action).map_err(|error| error.to_string())
    }

    fn try_apply(&mut self, action: &Action) -> Result<(), Refusal> {
        self.perform(action)
            .map_err(|error| Refusal { untimely: error.is_untimely(), why: error.to_string() })
    }

    fn step_until(&mut self, limit: Instant) -> bool {
        if Instant::ZERO + self.sim.elapsed() + TICK > limit {
            return false;
        }
        self.tick();
        true
    }

    fn run_until(&mut self, until: Instant) {
        while self.step_until(until) {}
        self.now = self.now.max(until);
    }

    fn drain_records(&mut self) -> Vec<Record> {
        let mut records = std::mem::take(&mut self.shared.lock().records);
        // Within a tick each host runs for itself.
        records.sort_by_key(|record| record.at);
        for record in &records {
            let mut line = Vec::new();
            trace::write_jsonl(&mut line, self, std::slice::from_ref(record)).expect("memory takes it");
            self.hash.bytes(&line);
        }
        records
    }

    fn fingerprint(&self) -> u64 {
        self.hash.value()
    }

    fn steps(&self) -> u64 {
        self.steps
    }
}
