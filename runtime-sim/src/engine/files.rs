//! The files of a host's services: what their templates were given when they were last written. Files outlive
//! supervisors and processes, and go with the disk.

use annulus_core::{
    Effect, EffectId, EffectResult, Facts, Hook, ObstacleKind, PackageIdent, Rendered, ServiceName,
    ServiceSpec,
};

use crate::engine::deed::Deed;
use crate::engine::depot;
use crate::engine::host::Arrival;
use crate::engine::ids::HostId;
use crate::engine::process;
use crate::engine::record::{Recording, What};
use crate::engine::rendering::Rendering;
use crate::engine::work::{Work, times};
use crate::engine::world::World;

/// The files of one service.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub ident: PackageIdent,
    /// How long a polite stop may take, as the package says.
    pub shutdown_timeout_ms: u64,
    pub rendering: Rendering,
}

/// Files that a supervisor is about to write.
#[derive(Debug)]
pub(crate) struct Writing {
    id: EffectId,
    service: ServiceName,
    /// The package is looked at as well, as the spec asks.
    spec: Option<Box<ServiceSpec>>,
    facts: Box<Facts>,
}

impl<D: Deed> World<D> {
    /// A supervisor writes a service's files, which are there when that has taken its time.
    pub(crate) fn begin_writing(&mut self, index: u32, id: EffectId, effect: Effect) {
        let (service, spec, facts) = match effect {
            Effect::Prepare { service, spec, facts } => (service, Some(spec), facts),
            Effect::Render { service, facts } => (service, None, facts),
            other => unreachable!("{other:?} writes no files"),
        };
        let time = if spec.is_some() { times::PREPARE } else { times::RENDER };
        if let Some(reason) = self.disk_refuses_files(index) {
            let reason = format!("the files of {service} cannot be written: {reason}");
            let failed = match spec {
                Some(_) => EffectResult::PrepareFailed { kind: ObstacleKind::File, reason },
                None => EffectResult::RenderFailed { kind: ObstacleKind::File, reason },
            };
            return self.after(time, index, Work::Answer(id, failed));
        }
        let takes = self.drawn(None, time) + self.disk_delay(index);
        self.after_exactly(takes, index, Work::Write(Writing { id, service, spec, facts }));
    }

    /// A supervisor looks at a package and writes nothing.
    pub(crate) fn begin_looking(
        &mut self,
        index: u32,
        id: EffectId,
        service: &ServiceName,
        spec: &ServiceSpec,
    ) {
        let found = self.found(index, service, spec, Rendered::default());
        let takes = self.drawn(None, times::PREPARE) + self.disk_delay(index);
        self.after_exactly(takes, index, Work::Found(id, found));
    }

    /// The result of looking at a package, whose files are written as it says.
    fn found(
        &self,
        index: u32,
        service: &ServiceName,
        spec: &ServiceSpec,
        rendered: Rendered,
    ) -> EffectResult {
        let wanted = &spec.ident;
        let ident = match wanted.is_fully_qualified() {
            true => Some(wanted.clone()),
            false => self.newest_installed(index, wanted),
        };
        let ident = ident.unwrap_or_else(|| wanted.clone());
        if !self.is_installed(index, &ident) {
            let reason = format!("{ident} is not installed");
            return EffectResult::PrepareFailed { kind: ObstacleKind::Package, reason };
        }
        let package = self.hosts[index as usize].rest.packages.get(service).cloned().unwrap_or_default();
        let package = depot::of_kind(self.depot.kind(&ident), package);
        let spec = ServiceSpec { ident, ..spec.clone() };
        let mut found = process::prepare(&spec, &package, rendered);
        if let EffectResult::Prepared(prepared) = &mut found {
            let says = self.hosts[index as usize].rest.suitability.contains_key(service.as_str());
            prepared.hooks.extend(says.then_some(Hook::Suitability));
        }
        found
    }

    /// The files are written.
    pub(crate) fn written(&mut self, index: u32, writing: Writing) {
        let Writing { id, service, spec, facts } = writing;
        let package = self.package(index, &service);
        let before = self.hosts[index as usize].rest.files.get(&service);
        let group = match (&spec, before) {
            (Some(spec), _) => spec.service_group(None).ok(),
            (None, before) => before.map(|files| files.rendering.group.clone()),
        };
        let Some(group) = group else {
            let reason = String::from("its package was not made ready before");
            return self.arrive(
                index,
                Arrival::Effect(id, EffectResult::RenderFailed { kind: ObstacleKind::Package, reason }),
            );
        };
        let rendering = Rendering::of(group, &facts);
        let rendered = process::render(&package, before.map(|files| &files.rendering), &rendering);
        let (answer, of) = match spec {
            Some(spec) => match self.found(index, &service, &spec, rendered) {
                EffectResult::Prepared(prepared) => {
                    let of = (prepared.ident.clone(), prepared.shutdown_timeout_ms);
                    (EffectResult::Prepared(prepared), Some(of))
                }
                failed => (failed, None),
            },
            None => {
                let of = before.map(|files| (files.ident.clone(), files.shutdown_timeout_ms));
                (EffectResult::Rendered(rendered), of)
            }
        };
        if let Some((ident, shutdown_timeout_ms)) = of {
            let files = Files { ident, shutdown_timeout_ms, rendering: rendering.clone() };
            self.hosts[index as usize].rest.files.insert(service.clone(), files);
            let host = HostId(index);
            self.note(Recording::Events, || What::Rendered { host, service, rendering: Box::new(rendering) });
        }
        self.arrive(index, Arrival::Effect(id, answer));
    }
}
