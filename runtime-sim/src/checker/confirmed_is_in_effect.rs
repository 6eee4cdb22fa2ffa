//! What an operator that waits was told is so: a configuration that `--wait` confirmed is in the files of each member that
//! it named, and its process runs with it. It was started from these files, or its reconfigure hook has succeeded since,
//! where one of its files shows the configuration at all. So it is with a file of the group: it was written, and the
//! process was started since, or its file-updated hook has succeeded, where it has one.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{FileName, Hook, Instant, RumorKey, ServiceGroup, ServiceName};

use super::Checker;
use super::acting::Place;
use crate::action::world::{Record, What};
use crate::action::{Action, HostId, Package, SetPackage};
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
    /// Whether hooks tell the process that its configuration, and that the group's files have changed.
    tells: [bool; 2],
    /// What its files were last written with.
    written: Option<Rendering>,
    /// Whether a process runs, and with what; none where no hook says any more what it knows.
    runs: bool,
    process: Option<Process>,
    /// Its package is another one than the one that its files were prepared with, so it has other hooks.
    is_other: bool,
    /// The version of the configuration that the process has to be told of.
    owed: u64,
    /// The versions of the group's files that it has to be told of.
    owed_files: BTreeMap<String, u64>,
}

/// The versions with which a process runs: those that it was started with, or was told of since.
#[derive(Debug, Default)]
struct Process {
    config: u64,
    files: BTreeMap<String, u64>,
}

impl Service {
    fn rendered(&mut self, rendering: &Rendering) {
        self.is_other &= self.runs;
        if let Some(before) = self.written.replace(rendering.clone()) {
            if self.configured && before.config != rendering.config {
                self.owed = rendering.config;
            }
            let [_, hears_of_files] = self.tells;
            if hears_of_files && before.files != rendering.files {
                self.owed_files.clone_from(&rendering.files);
            }
        }
    }

    fn packaged(&mut self, package: &Package) {
        let hooks = package.all_hooks();
        let tells = [Hook::Reconfigure, Hook::FileUpdated].map(|hook| hooks.contains(&hook));
        if tells != self.tells {
            self.process = None;
            self.is_other = true;
        }
        (self.configured, self.tells) = (package.configured, tells);
    }

    fn started(&mut self) {
        let with = self.written.as_ref();
        let process = Process {
            config: with.map_or(0, |written| written.config),
            files: with.map(|written| written.files.clone()).unwrap_or_default(),
        };
        self.runs = true;
        self.process = Some(process).filter(|_| !self.is_other);
    }

    fn ended(&mut self) {
        (self.runs, self.process) = (false, None);
    }

    /// A hook has told the process of the files with which it began.
    fn told(&mut self, hook: Hook, of: Option<&Rendering>) {
        let (Some(process), Some(of)) = (&mut self.process, of) else { return };
        match hook {
            Hook::Reconfigure => process.config = process.config.max(of.config),
            Hook::FileUpdated => process.files.clone_from(&of.files),
            _ => {}
        }
    }

    /// Why a confirmed version of the configuration, or of a file, is not in effect; none when it is.
    fn lacks(&self, group: &ServiceGroup, file: Option<&FileName>, version: u64) -> Option<String> {
        let written = self.written.as_ref().filter(|written| written.group == *group)?;
        let of = |files: &BTreeMap<String, u64>| {
            file.map(|name| files.get(name.as_str()).copied().unwrap_or_default())
        };
        let in_files = of(&written.files).unwrap_or(written.config);
        if in_files < version {
            return Some(format!("its files have version {in_files}"));
        }
        let process = self.process.as_ref()?;
        let owed = of(&self.owed_files).unwrap_or(self.owed);
        let runs = of(&process.files).unwrap_or(process.config);
        let is_owed = owed <= version && runs < owed;
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
        (group, file, version): (&ServiceGroup, Option<&FileName>, u64),
        on: &[HostId],
    ) -> Result<(), String> {
        let Ok(name) = group.service().parse::<ServiceName>() else { return Ok(()) };
        for host in on {
            if self.turned.get(host).is_some_and(|turned| now < *turned + FRESH) {
                continue;
            }
            let service = self.services.get(&(*host, name.clone()));
            if let Some(why) = service.and_then(|service| service.lacks(group, file, version)) {
                let of = file.map_or(String::new(), |file| format!("{} of ", file.as_str()));
                return Err(format!(
                    "host {} says that version {version} of {of}{group} is in effect on host {}, where {why}",
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
                    self.service(*host, &service).packaged(package);
                }
            }
            What::HostStarted { host, .. } | What::HostStopped { host, .. } => {
                self.turned.insert(*host, record.at);
            }
            What::Rendered { host, service, rendering } => self.service(*host, service).rendered(rendering),
            What::ProcessStarted { host, service, .. } => self.service(*host, service).started(),
            What::ProcessExited { host, service, .. } => self.service(*host, service).ended(),
            What::HookEnded { host, service, hook, succeeded: true, rendering } => {
                self.service(*host, service).told(*hook, rendering.as_deref());
            }
            What::Confirmed { host, key: RumorKey::ServiceConfig(group), version, on } => {
                return self.confirmed(record.at, *host, (group, None, *version), on);
            }
            What::Confirmed { host, key: RumorKey::ServiceFile { group, name }, version, on } => {
                return self.confirmed(record.at, *host, (group, Some(name), *version), on);
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

    /// Files that are written with this version of users.acl.
    fn with_file(version: u64) -> Rendering {
        Rendering { files: BTreeMap::from([("users.acl".to_owned(), version)]), ..rendering(None) }
    }

    fn file_written(ms: u64, version: u64) -> Record {
        at(ms, What::Rendered { host: HOST, service: service(), rendering: Box::new(with_file(version)) })
    }

    fn file_told(ms: u64, version: u64, succeeded: bool) -> Record {
        let (hook, rendering) = (Hook::FileUpdated, Some(Box::new(with_file(version))));
        at(ms, What::HookEnded { host: HOST, service: service(), hook, succeeded, rendering })
    }

    fn file_confirmed(version: u64) -> Record {
        let (group, name) = ("redis.default".parse().expect("a group"), "users.acl".parse().expect("a name"));
        let key = RumorKey::ServiceFile { group, name };
        at(9_000, What::Confirmed { host: HostId(0), key, version, on: vec![HOST] })
    }

    fn package_that_hears() -> Record {
        let package = Box::new(Package { hooks: [Hook::FileUpdated].into(), ..Package::default() });
        at(0, What::Action(SetPackage { host: HOST, service: "redis".to_owned(), package }.into()))
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
        let other = Package { configured: true, hooks: [Hook::Reconfigure].into(), ..Package::default() };
        let change = SetPackage { host: HOST, service: "redis".to_owned(), package: Box::new(other) };
        let change = at(4, What::Action(change.into()));
        assert_eq!(with(&[change]), Ok(()), "its package is another one under it");
    }

    #[test]
    fn a_confirmed_file_is_written_and_its_process_knows() {
        let message = run(&[rendered(1, 1), started(2), file_confirmed(4)]).expect_err("it has to fire");
        assert!(
            message.contains("version 4 of users.acl of redis.default is in effect on host 1"),
            "{message}"
        );
        assert_eq!(run(&[rendered(1, 1), started(2), file_written(3, 4), file_confirmed(4)]), Ok(()));
        let before = [package_that_hears(), rendered(1, 1), started(2), file_written(3, 4)];
        let with = |rest: &[Record]| run(&[&before[..], rest, &[file_confirmed(4)]].concat());
        assert!(with(&[]).expect_err("it has to fire").contains("was told of version 0 at last"));
        assert_eq!(with(&[file_told(4, 4, true)]), Ok(()));
        assert!(with(&[file_told(4, 4, false)]).is_err(), "a hook that failed told nothing");
        assert!(with(&[file_told(4, 3, true)]).is_err(), "it was begun with the files before");
        assert_eq!(with(&[started(5)]), Ok(()), "another process began with these files");
    }
}
