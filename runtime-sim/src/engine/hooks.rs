//! The hooks of a host's services: processes that take their time, fail or hang, and are killed with their service's
//! tree, or at the end of the lease that their guard holds. A hook outlives an order to stop by nothing, and its
//! supervisor by no more than the launcher that stands still.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{
    EffectId, EffectResult, ExitStatus, Health, Hook, HookEnd, HookExit, Instant, Lease, ServiceName,
};

use crate::engine::deed::Deed;
use crate::engine::host::Arrival;
use crate::engine::ids::HostId;
use crate::engine::launcher::LauncherState;
use crate::engine::package::Package;
use crate::engine::record::{Recording, What};
use crate::engine::rendering::Rendering;
use crate::engine::work::{Work, times};
use crate::engine::world::World;

const SIGKILL: i32 = 9;

/// The hooks of one host.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    under_way: BTreeMap<EffectId, Running>,
    /// Hooks of supervisors that are gone, until the launcher ends them.
    orphans: Vec<Running>,
    /// When a guard kills the hooks of a service that has no process, by the clock of its host.
    kill_at: BTreeMap<ServiceName, Instant>,
    /// How often each hook has failed.
    failures: BTreeMap<(ServiceName, Hook), u32>,
}

/// A hook that runs.
#[derive(Clone, Debug)]
struct Running {
    service: ServiceName,
    hook: Hook,
    /// How it ends if nothing ends it before.
    end: HookEnd,
    /// What a health check says then.
    health: Option<Health>,
    /// What its template was given.
    rendering: Option<Rendering>,
}

impl Running {
    /// What the supervisor is told when the hook ends so.
    fn answer(&self, end: HookEnd) -> EffectResult {
        if self.hook != Hook::HealthCheck {
            return EffectResult::HookEnded(end);
        }
        let health = match end.exit {
            HookExit::Ended(ExitStatus::Code(0)) => self.health.unwrap_or(Health::Ok),
            HookExit::TimedOut | HookExit::Ended(ExitStatus::Code(_)) => Health::Critical,
            HookExit::Ended(_) | HookExit::Missing | HookExit::Failed(_) => Health::Unknown,
        };
        EffectResult::HealthChecked { health, note: health.to_string() }
    }
}

impl Hooks {
    /// Their supervisor is gone.
    pub(crate) fn orphan_all(&mut self) {
        self.orphans.extend(std::mem::take(&mut self.under_way).into_values());
    }

    fn of(&self, service: &ServiceName) -> Vec<EffectId> {
        let of = self.under_way.iter().filter(|(_, running)| running.service == *service);
        of.map(|(id, _)| *id).collect()
    }

    fn has(&self, service: &ServiceName) -> bool {
        self.under_way.values().chain(&self.orphans).any(|running| running.service == *service)
    }

    /// The services whose hooks alone hold a lease.
    pub(crate) fn leased(&self) -> Vec<ServiceName> {
        self.kill_at.keys().cloned().collect()
    }

    /// A process begins beside the hooks, whose guard is its guard from now on; the lease that it holds.
    pub(crate) fn process_begins(&mut self, service: &ServiceName) -> Option<Instant> {
        self.kill_at.remove(service)
    }

    /// How a hook ends by itself.
    fn end_of(&mut self, package: &Package, service: &ServiceName, hook: Hook, says: Option<u64>) -> HookEnd {
        let exit = if package.hanging.contains(&hook) {
            HookExit::TimedOut
        } else if package.failing.contains(&hook) && self.fails_again(package, service, hook) {
            HookExit::Ended(ExitStatus::Code(1))
        } else if package.all_hooks().contains(&hook) || says.is_some() {
            HookExit::Ended(ExitStatus::Code(0))
        } else {
            HookExit::Missing
        };
        let worked = exit == HookExit::Ended(ExitStatus::Code(0));
        HookEnd { exit, value: says.filter(|_| worked) }
    }

    fn fails_again(&mut self, package: &Package, service: &ServiceName, hook: Hook) -> bool {
        let failed = self.failures.entry((service.clone(), hook)).or_default();
        *failed = failed.saturating_add(1);
        package.failures.is_none_or(|most| *failed <= most)
    }
}

impl<D: Deed> World<D> {
    /// A hook begins. What it is told is in the files as they are now. Its guard holds the lease, unless it holds one of a
    /// process already.
    pub(crate) fn begin_hook(
        &mut self,
        host: u32,
        id: EffectId,
        (service, hook): (ServiceName, Hook),
        timeout_ms: u64,
        lease: Option<Lease>,
    ) {
        if let Some(kill_at) = lease.map(|lease| lease.kill_at)
            && !self.hook_is_leased(host, &service, kill_at)
        {
            let exit = HookExit::Failed(String::from("the time for which it may lead has ended"));
            let end = HookEnd { exit, value: None };
            let running = Running { service, hook, end: end.clone(), health: None, rendering: None };
            return self.after(times::AT_ONCE, host, Work::Answer(id, running.answer(end)));
        }
        let package = self.package(host, &service);
        let rest = &mut self.hosts[host as usize].rest;
        let says = rest.suitability.get(service.as_str()).copied().filter(|_| hook == Hook::Suitability);
        let end = rest.hooks.end_of(&package, &service, hook, says);
        let rendering = rest.files.get(&service).map(|files| files.rendering.clone());
        let (exit, health) = (end.exit.clone(), package.health);
        let running = Running { service, hook, end, health, rendering };
        if exit != HookExit::Missing {
            self.note_hook_began(host, &running);
        }
        self.hosts[host as usize].rest.hooks.under_way.insert(id, running);
        let timeout = Duration::from_millis(timeout_ms);
        if exit == HookExit::Missing {
            return self.after(times::AT_ONCE, host, Work::HookEnds(id));
        }
        if exit == HookExit::TimedOut || self.disk_stands_still(host) {
            self.after_exactly(timeout, host, Work::HookTimesOut(id));
        }
        if exit != HookExit::TimedOut {
            let takes = self.drawn(package.hooks_take, times::HOOK);
            match takes < timeout {
                true => self.after_exactly(takes, host, Work::HookEnds(id)),
                false => self.after_exactly(timeout, host, Work::HookTimesOut(id)),
            }
        }
    }

    /// Has the guard of a hook hold a lease. False when that is over already.
    fn hook_is_leased(&mut self, host: u32, service: &ServiceName, kill_at: Instant) -> bool {
        let there = &mut self.hosts[host as usize];
        if kill_at <= there.local(self.now) {
            return false;
        }
        match there.rest.guards.get(service).map(|guard| guard.pid) {
            Some(pid) => {
                if there.rest.guards.kill_at(service, pid).is_none() {
                    there.rest.guards.lease(service, pid, Some(Lease { kill_at, resume: None }));
                    self.look_in_time(host, service, pid);
                }
            }
            None => {
                there.rest.hooks.kill_at.entry(service.clone()).or_insert(kill_at);
                self.look_at_hooks_in_time(host, service);
            }
        }
        true
    }

    /// A supervisor tells the guard of hooks without a process how long they may say that the service leads.
    pub(crate) fn tell_hooks(
        &mut self,
        host: u32,
        id: EffectId,
        service: &ServiceName,
        lease: Option<Lease>,
    ) {
        let hooks = &mut self.hosts[host as usize].rest.hooks;
        let held = hooks.kill_at.get_mut(service).zip(lease);
        let told = held.map(|(held, lease)| *held = lease.kill_at).is_some();
        self.look_at_hooks_in_time(host, service);
        let reason = format!("no guard runs a hook of {service}");
        let answer = if told { EffectResult::Leased } else { EffectResult::LeaseFailed { reason } };
        self.after(times::AT_ONCE, host, Work::Answer(id, answer));
    }

    /// The guard of hooks looks at its lease when that ends by the host's clock.
    pub(crate) fn look_at_hooks_in_time(&mut self, host: u32, service: &ServiceName) {
        let there = &self.hosts[host as usize];
        let Some(kill_at) = there.rest.hooks.kill_at.get(service) else { return };
        let left = there.world(*kill_at).saturating_since(self.now);
        self.after_exactly(left, host, Work::LookAtHooks { service: service.clone() });
    }

    pub(crate) fn look_at_hooks(&mut self, host: u32, service: &ServiceName) {
        let there = &self.hosts[host as usize];
        let Some(kill_at) = there.rest.hooks.kill_at.get(service) else { return };
        if *kill_at <= there.local(self.now) {
            self.kill_hooks(host, service);
        }
    }

    /// A hook has ended, unless it was ended before.
    pub(crate) fn hook_ends(&mut self, host: u32, id: EffectId, ended: Option<HookExit>) {
        let Some(running) = self.hosts[host as usize].rest.hooks.under_way.remove(&id) else { return };
        let end = ended.map_or_else(|| running.end.clone(), |exit| HookEnd { exit, value: None });
        let answer = running.answer(end.clone());
        if let EffectResult::HealthChecked { health, .. } = &answer {
            self.hosts[host as usize].rest.guards.checked(&running.service, *health);
        }
        if end.exit != HookExit::Missing {
            self.note_hook_end(host, running, end.exit == HookExit::Ended(ExitStatus::Code(0)));
        }
        self.arrive(host, Arrival::Effect(id, answer));
    }

    fn note_hook_began(&mut self, host: u32, running: &Running) {
        let Running { service, hook, rendering, .. } = running.clone();
        let (host, rendering) = (HostId(host), rendering.map(Box::new));
        self.note(Recording::Events, || What::HookBegan { host, service, hook, rendering });
    }

    fn note_hook_end(&mut self, host: u32, running: Running, succeeded: bool) {
        let Running { service, hook, rendering, .. } = running;
        let hooks = &mut self.hosts[host as usize].rest.hooks;
        if !hooks.has(&service) {
            hooks.kill_at.remove(&service);
        }
        let (host, rendering) = (HostId(host), rendering.map(Box::new));
        self.note(Recording::Events, || What::HookEnded { host, service, hook, succeeded, rendering });
    }

    /// Every hook of a service under way is killed.
    pub(crate) fn kill_hooks(&mut self, host: u32, service: &ServiceName) {
        let hooks = &mut self.hosts[host as usize].rest.hooks;
        let orphans = hooks.orphans.extract_if(.., |running| running.service == *service).collect();
        self.end_hooks(host, orphans);
        for id in self.hosts[host as usize].rest.hooks.of(service) {
            self.hook_ends(host, id, Some(HookExit::Ended(ExitStatus::Signal(SIGKILL))));
        }
    }

    /// The launcher ends the hooks of supervisors that are gone, unless it stands still.
    pub(crate) fn end_orphaned_hooks(&mut self, host: u32) {
        let acts = self.launcher(HostId(host)) == LauncherState::Running && !self.disk_stands_still(host);
        if acts {
            let orphans = std::mem::take(&mut self.hosts[host as usize].rest.hooks.orphans);
            self.end_hooks(host, orphans);
        }
    }

    /// Every hook of a host ends, and no supervisor is told.
    pub(crate) fn end_all_hooks(&mut self, host: u32) {
        let hooks = &mut self.hosts[host as usize].rest.hooks;
        hooks.orphan_all();
        let orphans = std::mem::take(&mut hooks.orphans);
        self.end_hooks(host, orphans);
        self.hosts[host as usize].rest.hooks.kill_at.clear();
    }

    fn end_hooks(&mut self, host: u32, hooks: Vec<Running>) {
        for running in hooks.into_iter().filter(|running| running.end.exit != HookExit::Missing) {
            self.note_hook_end(host, running, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_fails_as_often_as_its_package_says() {
        let mut hooks = Hooks::default();
        let package = Package { failing: [Hook::Init].into(), failures: Some(2), ..Package::default() };
        let web: ServiceName = "web".parse().expect("a name");
        let mut worked = || hooks.end_of(&package, &web, Hook::Init, None).is_ok();
        assert_eq!([worked(), worked(), worked(), worked()], [false, false, true, true]);
        assert_eq!(hooks.end_of(&package, &web, Hook::Drain, None).exit, HookExit::Missing);
        let says = hooks.end_of(&package, &web, Hook::Suitability, Some(7));
        assert_eq!((says.is_ok(), says.value), (true, Some(7)));
    }
}
