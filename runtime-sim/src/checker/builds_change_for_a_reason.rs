//! Builds, as processes show them (P3, P4, P5): what starts is on the disk and fits there; a service's processes are of
//! one build until a reason for another one is there: an operator's order, a channel or an installation that a service
//! follows at once, or the way back from a build that failed. One that failed is not started again before its channel has
//! left it and come back, or an operator orders it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{EventKind, Instant, PackageIdent, ServiceName, UpdateStep};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{
    Action, CloneDisk, Demote, DiskAfter, HostId, Install, LoadService, Promote, Publish, Restart,
    UnloadService, UpdateService,
};
use crate::engine::process::{build, first_build};
use crate::engine::record::{BuildFact, StopReason};

/// A first start is on the disk with the next batch.
const RECORDED_IN: Duration = Duration::from_secs(10);

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct BuildsChangeForAReason {
    services: BTreeMap<(HostId, String), Seen>,
    /// What each host has installed, and what was tried there: whether it fits.
    installed: BTreeSet<(HostId, PackageIdent)>,
    fits: BTreeMap<(HostId, PackageIdent), bool>,
    /// What the disk of each host had to run at some time.
    recorded: BTreeSet<(HostId, PackageIdent)>,
    published: BTreeSet<PackageIdent>,
    /// What was there to be followed at some time, of each package.
    promoted: BTreeSet<PackageIdent>,
}

/// What is known of one service on one host.
#[derive(Debug, Default)]
struct Seen {
    /// Whether it takes newer builds by itself.
    at_once: bool,
    /// The build of its last process, and when that build started first.
    last: Option<(PackageIdent, Instant)>,
    /// The build before that one.
    before: Option<PackageIdent>,
    /// Orders of operators since it was loaded.
    ordered: BTreeSet<PackageIdent>,
    /// Builds that failed, as its supervisor says, and may not start again.
    refused: BTreeSet<PackageIdent>,
    /// Whether its last process was told to end, or ended, since it started; and what the disk had to run by then.
    ready: Option<BTreeSet<PackageIdent>>,
    /// It is loaded anew, or its disk is: the next process may be of any build.
    is_new: bool,
}

impl BuildsChangeForAReason {
    fn service(&mut self, host: HostId, service: &str) -> &mut Seen {
        self.services
            .entry((host, service.to_owned()))
            .or_insert_with(|| Seen { is_new: true, ..Seen::default() })
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::LoadService(LoadService { host, service, how }) => {
                let at_once = how.at_once.is_some();
                let seen = self.service(*host, service);
                seen.at_once |= at_once;
            }
            Action::UnloadService(UnloadService { host, service }) => {
                let seen = self.service(*host, service);
                (seen.is_new, seen.at_once) = (true, false);
                seen.refused.clear();
                seen.ordered.clear();
            }
            Action::UpdateService(UpdateService { host, service, to: Some(to), .. }) => {
                if let Some(build) = build(service, to) {
                    let seen = self.service(*host, service);
                    seen.refused.remove(&build);
                    seen.ordered.insert(build);
                }
            }
            Action::Publish(Publish { service, version, .. }) => {
                self.published.extend(build(service, version));
            }
            Action::Promote(Promote { service, version, .. }) => {
                self.promoted.extend(build(service, version));
            }
            // Every channel may have left what was refused, and come back to it.
            Action::Demote(Demote { service, .. }) => {
                let of = self.services.iter_mut().filter(|((_, name), _)| name == service);
                of.for_each(|(_, seen)| seen.refused.clear());
            }
            Action::Install(Install { host, service, version }) => {
                if let Some(build) = build(service, version) {
                    self.installed.insert((*host, build));
                }
            }
            Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old }) => self.forget(*host),
            Action::CloneDisk(CloneDisk { host, .. }) => self.forget(*host),
            _ => {}
        }
    }

    /// The disk of a host is another one.
    fn forget(&mut self, host: HostId) {
        for ((at, _), seen) in &mut self.services {
            if *at == host {
                *seen = Seen { at_once: seen.at_once, is_new: true, ..Seen::default() };
            }
        }
    }

    fn started(&mut self, at: Instant, host: HostId, build: &PackageIdent) -> Result<(), String> {
        let name = build.name().to_owned();
        let is_first = first_build(&name).as_ref() == Some(build);
        let is_here =
            is_first || !self.published.contains(build) || self.installed.contains(&(host, build.clone()));
        let fits = self.fits.get(&(host, build.clone())).copied();
        let was_installed_by_hand = fits.is_none();
        let is_followed = self.promoted.contains(build) || self.installed.contains(&(host, build.clone()));
        let seen = self.service(host, &name);
        let text = |why: &str| Err(format!("a process of {build} starts on host {}, {why}", host.0));
        if !is_here {
            return text("where it is not installed");
        }
        if seen.refused.contains(build) {
            return text("where it has failed and nothing has come to it anew");
        }
        let last = seen.last.clone();
        let is_other = last.as_ref().is_some_and(|(last, _)| last != build);
        if !seen.is_new && is_other {
            let goes_back = seen.before.as_ref() == Some(build);
            let is_reason = seen.ordered.contains(build)
                || goes_back
                || (seen.at_once && is_followed)
                || (seen.at_once && is_first);
            if !is_reason {
                return text("and no operator, channel or failure is a reason for it");
            }
            if !goes_back && !is_first && (fits == Some(false) || was_installed_by_hand) {
                return text("although it was not tried there, or does not fit");
            }
        }
        let ready = seen.ready.take();
        if is_other && !seen.is_new {
            let was_recorded = ready.is_none_or(|ready| ready.contains(build));
            if seen.before.as_ref() != Some(build) && !was_recorded {
                return text("and what ran before was ended before the disk had that");
            }
        }
        if is_other || last.is_none() {
            seen.before = last.map(|(build, _)| build);
            seen.last = Some((build.clone(), at));
        }
        seen.is_new = false;
        Ok(())
    }

    /// A process is told to end, or has ended.
    fn ends(&mut self, host: HostId, service: &str) {
        let of = |(at, build): &&(HostId, PackageIdent)| *at == host && build.name() == service;
        let recorded: BTreeSet<PackageIdent> =
            self.recorded.iter().filter(of).map(|(_, build)| build.clone()).collect();
        self.service(host, service).ready.get_or_insert(recorded);
    }

    /// A host loses power: what was started a moment ago may not be on its disk.
    fn lost_power(&mut self, at: Instant, host: HostId) {
        for ((there, _), seen) in &mut self.services {
            let is_fresh = seen.last.as_ref().is_some_and(|(_, since)| *since + RECORDED_IN > at);
            if *there == host && is_fresh {
                seen.is_new = true;
                // The way back is on the disk with the next batch, too.
                seen.refused.clear();
            }
        }
    }

    fn failed(&mut self, host: HostId, service: &ServiceName, bad: &PackageIdent) {
        self.service(host, service.as_str()).refused.insert(bad.clone());
    }
}

impl Checker for BuildsChangeForAReason {
    fn name(&self) -> &'static str {
        "builds_change_for_a_reason"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(action) => self.action(action),
            What::Build { host, build, fact } => match fact {
                BuildFact::Installed => drop(self.installed.insert((*host, build.clone()))),
                BuildFact::Fits => drop(self.fits.insert((*host, build.clone()), true)),
                BuildFact::Misfits => drop(self.fits.insert((*host, build.clone()), false)),
                BuildFact::Recorded => drop(self.recorded.insert((*host, build.clone()))),
                BuildFact::Started => return self.started(record.at, *host, build),
            },
            What::ProcessSignalled { host, service, .. } | What::ProcessExited { host, service, .. } => {
                self.ends(*host, service.as_str());
            }
            What::HostStopped { host, why: StopReason::Crashed } => self.lost_power(record.at, *host),
            What::Event { host, event } => {
                if let EventKind::UpdateChanged {
                    service,
                    step: UpdateStep::RolledBack,
                    from: Some(bad),
                    ..
                } = &event.kind
                {
                    self.failed(*host, service, bad);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, event};
    use super::*;
    use crate::action::Load;
    use annulus_core::UpdateCondition;

    const HOST: HostId = HostId(0);

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = BuildsChangeForAReason::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    fn of(version: &str) -> PackageIdent {
        build("web", version).expect("a version")
    }

    fn fact(version: &str, fact: BuildFact) -> Record {
        at(5, What::Build { host: HOST, build: of(version), fact })
    }

    fn act(action: impl Into<Action>) -> Record {
        at(4, What::Action(action.into()))
    }

    fn load(at_once: bool) -> Record {
        let how = Load { at_once: at_once.then_some(UpdateCondition::Latest), ..Load::default() };
        act(LoadService { host: HOST, service: "web".to_owned(), how })
    }

    fn promote(version: &str) -> Record {
        let (service, version, channel) = ("web".to_owned(), version.to_owned(), "stable".to_owned());
        act(Promote { service, version, channel })
    }

    fn publish(version: &str) -> Record {
        let (service, version) = ("web".to_owned(), version.to_owned());
        act(Publish { service, version, kind: crate::action::BuildKind::Good })
    }

    #[test]
    fn a_build_starts_where_it_is_fits_and_has_a_reason() {
        use BuildFact::{Fits, Installed, Misfits, Recorded, Started};
        let first = fact("1.0.0", Started);
        let way = |steps: &[Record]| run(&[&[publish("1.1"), first.clone()][..], steps].concat());
        let ended = at(
            6,
            What::ProcessExited {
                host: HOST,
                service: "web".parse().expect("a name"),
                pid: 7,
                status: annulus_core::ExitStatus::Signal(15),
            },
        );
        let (installed, fits) = (fact("1.1", Installed), fact("1.1", Fits));
        let (recorded, started) = (fact("1.1", Recorded), fact("1.1", Started));
        let good = [load(true), promote("1.1"), installed, fits, recorded, ended, started];
        let mut early = good.clone();
        early.swap(4, 5);
        assert!(way(&early).expect_err("it has to fire").contains("before the disk"));
        assert_eq!(way(&good), Ok(()));
        assert!(way(&good[2..]).is_err(), "it is followed by none");
        let absent = [load(true), promote("1.1"), fact("1.1", Fits), fact("1.1", Started)];
        assert!(way(&absent).expect_err("it has to fire").contains("not installed"));
        let misfit =
            [load(true), promote("1.1"), fact("1.1", Installed), fact("1.1", Misfits), fact("1.1", Started)];
        assert!(way(&misfit).expect_err("it has to fire").contains("does not fit"));
        let back = |event: Record| [&good[..], &[event, first.clone(), fact("1.1", Started)][..]].concat();
        let failed = event(
            0,
            EventKind::UpdateChanged {
                service: "web".parse().expect("a name"),
                step: UpdateStep::RolledBack,
                build: Some(of("1.0.0")),
                from: Some(of("1.1")),
                reason: None,
            },
        );
        assert!(way(&back(failed)).expect_err("it has to fire").contains("failed"));
        let crash = at(6, What::HostStopped { host: HOST, why: StopReason::Killed });
        assert_eq!(way(&back(crash)), Ok(()));
    }
}
