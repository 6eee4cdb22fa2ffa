//! The hooks of a host's services: processes that take their time, fail or hang, and are killed with their service's
//! tree. A hook outlives neither its supervisor nor an order to stop.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{EffectId, EffectResult, ExitStatus, Hook, HookEnd, HookExit, ServiceName};

use crate::engine::deed::Deed;
use crate::engine::host::Arrival;
use crate::engine::ids::HostId;
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
    /// What its template was given.
    rendering: Option<Rendering>,
}

impl Hooks {
    /// Their supervisor is gone, and they are with it.
    pub(crate) fn end_all(&mut self) {
        self.under_way.clear();
    }

    fn of(&self, service: &ServiceName) -> Vec<EffectId> {
        let of = self.under_way.iter().filter(|(_, running)| running.service == *service);
        of.map(|(id, _)| *id).collect()
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
    /// A hook begins. What it is told is in the files as they are now.
    pub(crate) fn begin_hook(
        &mut self,
        host: u32,
        id: EffectId,
        service: ServiceName,
        hook: Hook,
        timeout_ms: u64,
    ) {
        let package = self.package(host, &service);
        let rest = &mut self.hosts[host as usize].rest;
        let says = rest.suitability.get(service.as_str()).copied().filter(|_| hook == Hook::Suitability);
        let end = rest.hooks.end_of(&package, &service, hook, says);
        let rendering = rest.files.get(&service).map(|files| files.rendering.clone());
        rest.hooks.under_way.insert(id, Running { service, hook, end: end.clone(), rendering });
        let timeout = Duration::from_millis(timeout_ms);
        if end.exit == HookExit::Missing {
            return self.after(times::AT_ONCE, host, Work::HookEnds(id));
        }
        if end.exit == HookExit::TimedOut || self.disk_stands_still(host) {
            self.after_exactly(timeout, host, Work::HookTimesOut(id));
        }
        if end.exit != HookExit::TimedOut {
            let takes = self.drawn(package.hooks_take, times::HOOK);
            match takes < timeout {
                true => self.after_exactly(takes, host, Work::HookEnds(id)),
                false => self.after_exactly(timeout, host, Work::HookTimesOut(id)),
            }
        }
    }

    /// A hook has ended, unless it was ended before.
    pub(crate) fn hook_ends(&mut self, host: u32, id: EffectId, ended: Option<HookExit>) {
        let Some(running) = self.hosts[host as usize].rest.hooks.under_way.remove(&id) else { return };
        let Running { service, hook, end, rendering } = running;
        let end = ended.map_or(end, |exit| HookEnd { exit, value: None });
        let succeeded = end.exit == HookExit::Ended(ExitStatus::Code(0));
        if end.exit != HookExit::Missing {
            let host = HostId(host);
            self.note(Recording::Events, || What::HookEnded {
                host,
                service,
                hook,
                succeeded,
                rendering: rendering.map(Box::new),
            });
        }
        self.arrive(host, Arrival::Effect(id, EffectResult::HookEnded(end)));
    }

    /// Every hook of a service under way is killed.
    pub(crate) fn kill_hooks(&mut self, host: u32, service: &ServiceName) {
        for id in self.hosts[host as usize].rest.hooks.of(service) {
            self.hook_ends(host, id, Some(HookExit::Ended(ExitStatus::Signal(SIGKILL))));
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
