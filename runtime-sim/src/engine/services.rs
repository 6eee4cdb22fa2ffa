//! How an operator, or bad luck, changes the services of a host.

use annulus_core::{Command, ExitStatus, ServiceName, ServiceSpec, UpdateStrategy};

use crate::engine::deed::Deed;
use crate::engine::host::HostId;
use crate::engine::lead::Load;
use crate::engine::lifecycle::WorldError;
use crate::engine::package::Package;
use crate::engine::process::spec;
use crate::engine::world::World;

/// The spec of a service that is loaded with these options.
pub(crate) fn loaded(service: &str, how: &Load) -> Result<ServiceSpec, WorldError> {
    let plain = spec(service)?;
    let group = how.group.clone().unwrap_or_else(|| plain.group.clone());
    let update_strategy = if how.at_once.is_some() { UpdateStrategy::AtOnce } else { UpdateStrategy::None };
    let update_condition = how.at_once.unwrap_or_default();
    let (topology, quorum) = (how.topology(), how.quorum);
    Ok(ServiceSpec { topology, quorum, group, update_strategy, update_condition, ..plain })
}

impl<D: Deed> World<D> {
    /// An operator loads a service, bound to the group that its package there names.
    pub(crate) fn load_service(&mut self, host: HostId, service: &str, how: &Load) -> Result<(), WorldError> {
        let mut spec = loaded(service, how)?;
        self.set_suitability(host, service, how.suitability);
        let package = self.hosts[host.0 as usize].rest.packages.get(&spec.name());
        spec.binds.extend(package.and_then(|package| package.bind.clone()));
        self.command(host, Command::LoadService { spec, force: false });
        Ok(())
    }

    /// Sets how a service's package behaves on a host from now on.
    pub(crate) fn set_package(&mut self, host: u32, service: ServiceName, package: Package) {
        self.hosts[host as usize].rest.packages.insert(service, package);
    }

    /// A service's process ends by itself, if it has one.
    pub(crate) fn crash_service(&mut self, host: u32, service: &ServiceName, code: i32) {
        if let Some(pid) = self.hosts[host as usize].rest.guards.get(service).map(|guard| guard.pid) {
            self.first_ends(host, service, pid, ExitStatus::Code(code));
        }
    }
}
