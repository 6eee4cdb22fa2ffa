//! What a supervisor asks its host for, and how each wish begins. No real disk or process is touched.

use std::time::Duration;

use annulus_core::{
    Effect, EffectId, EffectResult, ExitReason, Health, Hook, Lease, Node, Rumor, RumorKey, ServiceName,
    State, Write,
};

use crate::engine::deed::Deed;
use crate::engine::depot::{self, Ask, BuildWork};
use crate::engine::ids::HostId;
use crate::engine::package::Package;
use crate::engine::record::{Recording, What};
use crate::engine::work::{Work, times};
use crate::engine::world::World;

impl<D: Deed> World<D> {
    pub(crate) fn begin_effect(&mut self, index: u32, id: EffectId, effect: Effect) {
        match effect {
            Effect::Persist { writes, sync } => self.persist(index, id, writes, sync),
            Effect::Prepare { .. } | Effect::Render { .. } => self.begin_writing(index, id, effect),
            Effect::Look { service, spec, .. } => self.begin_looking(index, id, &service, &spec),
            Effect::Spawn { service, group: _, lease, restarts } => {
                self.ask_for_process(index, id, service, lease, restarts);
            }
            Effect::Signal { service, pid, signal } => {
                self.after(times::AT_ONCE, index, Work::Signal { id, service, pid, signal });
            }
            Effect::LookUp { service, ident, channel, url: _, seen } => {
                let ask = Ask::new(service, ident, channel, seen);
                self.begin_build_work(index, id, BuildWork::Ask(ask));
            }
            Effect::Fetch { ident, .. } => self.begin_build_work(index, id, BuildWork::Fetch(ident)),
            Effect::Preflight { service, spec, facts } => {
                self.begin_build_work(index, id, BuildWork::Preflight(service, spec, facts));
            }
            Effect::RingKey(work) => self.work_with_key(index, id, work),
            Effect::Exit(reason) => self.ask_to_stop(index, reason),
            Effect::Adopt { service, group: _, pid } => {
                self.after(times::SPAWN, index, Work::Adopt(id, service, pid));
            }
            Effect::RunHook { service, hook, timeout_ms, lease } => {
                self.begin_hook(index, id, (service, hook), timeout_ms, lease);
            }
            Effect::CheckHealth { service, timeout_ms, lease } => {
                self.check_health(index, id, service, timeout_ms, lease);
            }
            Effect::EndHooks { service } => {
                self.after(times::AT_ONCE, index, Work::EndHooks { id, service });
            }
            Effect::CountInflight { service, timeout_ms: _ } => {
                let counted = EffectResult::Inflight(Some(self.inflight(index, &service)));
                self.after(times::HOOK, index, Work::Answer(id, counted));
            }
            Effect::Lease { service, pid: Some(pid), lease } => {
                self.tell_guard(index, id, service, pid, lease)
            }
            Effect::Lease { service, pid: None, lease } => self.tell_hooks(index, id, &service, lease),
        }
    }

    fn persist(&mut self, index: u32, id: EffectId, writes: Vec<Write>, sync: bool) {
        if let Some(reason) = self.disk_refuses(index) {
            let failed = EffectResult::PersistFailed(reason.to_owned());
            return self.after(times::SYNC, index, Work::Answer(id, failed));
        }
        let runs = writes.iter().filter_map(|write| write.builds()?.ok()?.runs().cloned());
        let recording: Vec<_> = runs.map(|build| (id, build)).collect();
        self.hosts[index as usize].rest.recording.extend(recording);
        let keep = self.keep_disks;
        let disk = &mut self.hosts[index as usize].rest.disk;
        match (keep, sync) {
            (true, true) => disk.write_synced(id, writes),
            (true, false) => disk.write_unsynced(writes),
            (false, _) => {}
        }
        if sync {
            D::syncing(self, HostId(index));
            self.begin_sync(index, id);
        } else {
            self.after(times::AT_ONCE, index, Work::Answer(id, EffectResult::Persisted));
        }
    }

    /// A service without an answer in time is critical. Its hook is asked where the package has one, and else the
    /// supervisor looks itself.
    fn check_health(
        &mut self,
        index: u32,
        id: EffectId,
        service: ServiceName,
        timeout_ms: u64,
        lease: Option<Lease>,
    ) {
        let package = self.package(index, &service);
        if package.all_hooks().contains(&Hook::HealthCheck) {
            return self.begin_hook(index, id, (service, Hook::HealthCheck), timeout_ms, lease);
        }
        let timeout = Duration::from_millis(timeout_ms);
        let takes = self.drawn(package.hooks_take, times::HOOK);
        let late = takes >= timeout;
        let health = if late { Health::Critical } else { package.health.unwrap_or_default() };
        self.hosts[index as usize].rest.guards.checked(&service, health);
        let answer = EffectResult::HealthChecked { health, note: health.to_string() };
        self.after_exactly(if late { timeout } else { takes }, index, Work::Answer(id, answer));
    }

    /// Records a signal, and which supervisors, the own one among them, hold at that moment that the service takes work.
    pub(crate) fn note_signal(&mut self, index: u32, node: &Node, effect: &Effect) {
        let Effect::Signal { service, pid, signal } = effect else { return };
        if self.recording < Recording::Events {
            return;
        }
        let host = HostId(index);
        // What it told of a group that it has left is another matter.
        let of_it = |rumor: &&Rumor| match rumor {
            Rumor::Service(told) => {
                told.member_id == node.id() && told.group.service() == service.as_str() && !told.tombstone
            }
            _ => false,
        };
        let told: Vec<RumorKey> = node.rumors().filter(of_it).map(Rumor::key).collect();
        let accepting = takes_work(node, &told);
        let others = crate::engine::view::running(self).filter(|other| *other != host);
        let unaware = others.filter(|other| {
            let Some(peer) = self.node(*other) else { return false };
            let is_known = node.member(&peer.id()).is_some_and(|held| held.state == State::Alive);
            is_known && takes_work(peer, &told)
        });
        let (unaware, service) = (unaware.collect(), service.clone());
        let (pid, signal) = (*pid, *signal);
        self.note(Recording::Events, || What::ProcessSignalled {
            host,
            service,
            pid,
            signal,
            accepting,
            unaware,
        });
    }

    pub(crate) fn package(&self, host: u32, service: &ServiceName) -> Package {
        let rest = &self.hosts[host as usize].rest;
        let package = rest.packages.get(service).cloned().unwrap_or_default();
        match rest.files.get(service) {
            Some(files) => depot::of_kind(self.depot.kind(&files.ident), package),
            None => package,
        }
    }

    fn ask_to_stop(&mut self, host: u32, reason: ExitReason) {
        self.hosts[host as usize].exit = Some(reason);
    }
}

/// Whether a node was told by one of these that a service takes work.
fn takes_work(node: &Node, told: &[RumorKey]) -> bool {
    told.iter().any(|key| match node.rumor(key) {
        Some(Rumor::Service(told)) => told.accepting && !told.tombstone,
        _ => false,
    })
}
