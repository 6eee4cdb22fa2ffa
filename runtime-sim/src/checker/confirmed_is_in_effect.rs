//! What an operator that waits was told is so: a configuration that `--wait` confirmed is in the files of each member that
//! it named, and its process runs with it. It was started from these files, or its reconfigure hook has succeeded since,
//! where one of its files shows the configuration at all.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Hook, Instant, RumorKey, ServiceGroup, ServiceName};

use super::Checker;
use super::acting::Place;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, SetPackage};
use crate::engine::rendering::Rendering;

/// A host that has just started may be named for what its last life told.
const FRESH: Duration = Duration::from_secs(5);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct ConfirmedIsInEffect {
    services: BTreeMap<Place, Service>,
    /// When each supervisor started, or ended.
    turned: BTreeMap<HostId, Instant>,
}

/// A service on a host.
#[derive(Debug, Default)]
struct Service {
    /// Whether one of its files shows the configuration.
    configured: bool,
    /// The group and the version of its configuration in the files.
    files: Option<(ServiceGroup, u64)>,
    /// The version with which a process runs.
    process: Option<u64>,
    /// The version that the process has to be told of.
    owed: u64,
}

impl Service {
    fn rendered(&mut self, rendering: &Rendering) {
        let before = self.files.replace((rendering.group.clone(), rendering.config));
        let is_shown = self.configured && before.is_some_and(|(_, config)| config != rendering.config);
        if is_shown {
            self.owed = rendering.config;
        }
    }

    /// Why a confirmed version is not in effect; none when it is.
    fn lacks(&self, group: &ServiceGroup, version: u64) -> Option<String> {
        let (_, files) = self.files.as_ref().filter(|(of, _)| of == group)?;
        if *files < version {
            return Some(format!("its files have version {files}"));
        }
        let runs = self.process?;
        let is_owed = self.owed <= version && runs < self.owed;
        is_owed.then(|| format!("its process was told of version {runs} at last"))
    }
}

impl ConfirmedIsInEffect {
    fn service(&mut self, host: HostId, service: &ServiceName) -> &mut Service {
        self.services.entry((host, service.clone())).or_default()
    }

    fn confirmed(
        &self,
        now: Instant,
        by: HostId,
        (group, version): (&ServiceGroup, u64),
        on: &[HostId],
    ) -> Result<(), String> {
        let Ok(name) = group.service().parse::<ServiceName>() else { return Ok(()) };
        for host in on {
            if self.turned.get(host).is_some_and(|turned| now < *turned + FRESH) {
                continue;
            }
            let service = self.services.get(&(*host, name.clone()));
            if let Some(why) = service.and_then(|service| service.lacks(group, version)) {
                return Err(format!(
                    "host {} says that version {version} of {group} is in effect on host {}, where {why}",
                    by.0, host.0
                ));
            }
        }
        Ok(())
    }
}

impl Checker for ConfirmedIsInEffect {
    fn name(&self) -> &'static str {
        "confirmed_is_in_effect"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(Action::SetPackage(SetPackage { host, service, package })) => {
                if let Ok(service) = service.parse() {
                    self.service(*host, &service).configured = package.configured;
                }
            }
            What::HostStarted { host, .. } | What::HostStopped { host, .. } => {
                self.turned.insert(*host, record.at);
            }
            What::Rendered { host, service, rendering } => self.service(*host, service).rendered(rendering),
            What::ProcessStarted { host, service, .. } => {
                let service = self.service(*host, service);
                service.process = Some(service.files.as_ref().map_or(0, |(_, config)| *config));
            }
            What::ProcessExited { host, service, .. } => self.service(*host, service).process = None,
            What::HookEnded { host, service, hook: Hook::Reconfigure, succeeded: true, rendering } => {
                let told = rendering.as_ref().map_or(0, |rendering| rendering.config);
                let service = self.service(*host, service);
                service.process = service.process.map(|runs| runs.max(told));
            }
            What::Confirmed { host, key: RumorKey::ServiceConfig(group), version, on } => {
                return self.confirmed(record.at, *host, (group, *version), on);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, rendering};
    use super::*;
    use crate::action::Package;

    const HOST: HostId = HostId(1);

    fn service() -> ServiceName {
        "redis".parse().expect("a name")
    }

    fn rendered(ms: u64, config: u64) -> Record {
        let rendering = Box::new(Rendering { config, ..rendering(None) });
        at(ms, What::Rendered { host: HOST, service: service(), rendering })
    }

    fn started(ms: u64) -> Record {
        at(ms, What::ProcessStarted { host: HOST, service: service(), pid: 7 })
    }

    fn hook(ms: u64, config: u64, succeeded: bool) -> Record {
        let rendering = Some(Box::new(Rendering { config, ..rendering(None) }));
        let hook = Hook::Reconfigure;
        at(ms, What::HookEnded { host: HOST, service: service(), hook, succeeded, rendering })
    }

    fn confirmed(version: u64) -> Record {
        let key = RumorKey::ServiceConfig("redis.default".parse().expect("a group"));
        at(9_000, What::Confirmed { host: HostId(0), key, version, on: vec![HOST] })
    }

    fn package(configured: bool) -> Record {
        let package = Box::new(Package { configured, ..Package::default() });
        at(0, What::Action(SetPackage { host: HOST, service: "redis".to_owned(), package }.into()))
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = ConfirmedIsInEffect::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_confirmed_version_is_in_the_files() {
        assert_eq!(run(&[package(false), rendered(1, 1), started(2), rendered(3, 2), confirmed(2)]), Ok(()));
        let old = run(&[package(false), rendered(1, 1), started(2), confirmed(2)]);
        assert!(old.expect_err("it has to fire").contains("on host 1, where its files have version 1"));
        assert_eq!(run(&[package(false), rendered(1, 3), confirmed(2)]), Ok(()), "a later one has come");
    }

    #[test]
    fn the_process_runs_with_a_confirmed_version() {
        let before = [package(true), rendered(1, 1), started(2), rendered(3, 2)];
        let with = |rest: &[Record]| run(&[&before[..], rest, &[confirmed(2)]].concat());
        assert!(with(&[]).expect_err("it has to fire").contains("was told of version 1 at last"));
        assert_eq!(with(&[hook(4, 2, true)]), Ok(()));
        assert!(with(&[hook(4, 2, false)]).is_err(), "a hook that failed told nothing");
        assert!(with(&[hook(4, 1, true)]).is_err(), "it was begun with the files before");
        assert_eq!(with(&[started(5)]), Ok(()), "another process began with these files");
    }
}
