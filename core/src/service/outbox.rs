//! The events that wait for the node, and the effects whose results are awaited. Every result finds its purpose here,
//! and a result that no effect awaits is dropped.

use alloc::collections::{BTreeMap, VecDeque};

use super::event::ServiceEvent;
use super::purpose::{Errand, Purpose};
use crate::model::id::{EffectId, ServiceGroup, ServiceName};

/// The events that `poll_event` gives out, and the effects whose results are awaited.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    events: VecDeque<ServiceEvent>,
    /// Effects that are not answered for good.
    effects: BTreeMap<EffectId, Errand>,
    numbers: u64,
}

impl Outbox {
    /// A number for a process or a lease of any service. A service can be unloaded while work beside its process is
    /// unanswered; if the next one of that name counted anew, the late answer would be taken for an answer to that one.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The process beside which this service's files are being written; none while no such write is unanswered.
    pub(super) fn writing_for(&self, service: &ServiceName) -> Option<u64> {
        let of_service = |errand: &&Errand| errand.service == *service;
        self.effects.values().filter(of_service).find_map(|errand| {
            let Purpose::Work(work, process) = errand.purpose else { return None };
            work.writes().then_some(process)
        })
    }

    /// Whether the node has not heard yet what the ring is to be told of this group's service.
    pub(super) fn is_telling(&self, group: &ServiceGroup) -> bool {
        let is_about = |event: &ServiceEvent| {
            matches!(event, ServiceEvent::Announce(announced) if announced.group == *group)
                || matches!(event, ServiceEvent::Retract { group: retracted } if retracted == group)
        };
        self.events.iter().any(is_about)
    }

    pub(super) fn tell(&mut self, event: ServiceEvent) {
        self.events.push_back(event);
    }

    pub(super) fn take(&mut self) -> Option<ServiceEvent> {
        self.events.pop_front()
    }

    /// The effect has its number: its result finds its way back by that.
    pub(super) fn begun(&mut self, effect: EffectId, errand: Errand) {
        let taken = self.effects.insert(effect, errand);
        assert!(taken.is_none(), "an effect id is used once");
    }

    /// The purpose of an effect; none when it is none of this component's, or was answered.
    pub(super) fn awaited(&self, effect: EffectId) -> Option<(ServiceName, Purpose)> {
        self.effects.get(&effect).map(|errand| (errand.service.clone(), errand.purpose))
    }

    /// The last result of an effect has come.
    pub(super) fn answered(&mut self, effect: EffectId) {
        let known = self.effects.remove(&effect);
        assert!(known.is_some(), "only an awaited command is answered");
    }
}
