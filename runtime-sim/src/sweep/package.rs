//! Packages as people write them, in a drawn ring: hooks that fail and hang, health that turns bad and back, processes
//! that end, drains behind a load balancer, binds. Before the faults end every package is a sound one again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use annulus_core::{Demoted, Health, Hook, Instant, Rng};

use super::draw::{CHAOS_FROM_MS, SERVICES};
use crate::action::{
    Action, ApplyConfig, Balance, Balancer, CrashService, DrainService, HostId, LoadService, MaintainService,
    Package, PutFile, SetPackage, StartService, StopService, UnloadService, UpdateService,
};
use crate::engine::lead::Load;

/// How often a load balancer sends a request: rarely, for every one costs simulated work.
const EVERY: Duration = Duration::from_millis(250);
/// How often it looks at its hosts.
const CHECK: Duration = Duration::from_secs(1);

/// How long a hook that hangs holds its service up: by the deadlines of the core. An init hook ends with an order.
const fn deadline(hook: Hook) -> Duration {
    match hook {
        Hook::PostStop => Duration::from_secs(60),
        Hook::Drain => Duration::from_secs(30),
        _ => Duration::ZERO,
    }
}

/// How much longer services may take to be as they are wanted because hooks of this schedule hang.
pub(super) fn longest_hang<'a>(actions: impl Iterator<Item = &'a Action>) -> Duration {
    let hanging = actions.filter_map(|action| match action {
        Action::SetPackage(SetPackage { package, .. }) => Some(&package.hanging),
        _ => None,
    });
    hanging.flatten().map(|hook| deadline(*hook)).max().unwrap_or_default()
}

/// Draws stories of services.
pub(super) fn draw(rng: &mut Rng, members: u32, until_ms: u64, steps: &mut Vec<(Instant, Action)>) {
    let stories = rng.between(1, 4);
    for _ in 0..stories {
        story(rng, members, until_ms, steps);
    }
}

/// One service on one to three hosts.
fn story(rng: &mut Rng, members: u32, until_ms: u64, steps: &mut Vec<(Instant, Action)>) {
    let service = SERVICES[rng.index(SERVICES.len())].to_owned();
    let count = 1 + rng.index(members.min(3) as usize);
    let hosts: Vec<HostId> =
        rng.sample(members as usize, count).into_iter().map(|n| HostId(n as u32)).collect();
    let from_ms = rng.between(CHAOS_FROM_MS, until_ms);
    let longest_ms = [3_000, 10_000, 40_000][rng.index(3)];
    let lasts_ms = rng.between(500, longest_ms);
    let at = |part: u64| Instant::from_millis(from_ms + lasts_ms * part / 4);
    let first = package(rng, &service);
    let (drained, ends) = (rng.chance(1, 2), rng.index(3));
    let turns_bad = [Health::Critical, Health::Warning, Health::Unknown][rng.index(3)];
    let code = rng.below(3) as i32;
    let (group, moves) = (rng.chance(1, 3).then(|| "blue".to_owned()), rng.chance(1, 4));
    let (kept_up, drain_ms) = (rng.index(3), rng.between(100, 3_000));
    for host in &hosts {
        let (host, service) = (*host, service.clone());
        let set = |package: &Package| SetPackage {
            host,
            service: service.clone(),
            package: Box::new(package.clone()),
        };
        let ill = Package { health: Some(turns_bad), ..first.clone() };
        let well = Package { health: Some(Health::Ok), ..first.clone() };
        steps.push((at(0), set(&first).into()));
        let how = Load { group: group.clone(), ..Load::default() };
        steps.push((at(0), LoadService { host, service: service.clone(), how }.into()));
        steps.push((at(1), set(&ill).into()));
        steps.push((at(2), set(&well).into()));
        let (name, timeout) = (|| service.clone(), Some(Duration::from_millis(drain_ms)));
        match kept_up {
            0 => steps.push((at(2), DrainService { host, service: name(), timeout }.into())),
            1 => {
                let reason = Some("work on the rack".to_owned());
                steps.push((at(1), MaintainService { host, service: name(), reason }.into()));
                steps.push((at(3), MaintainService { host, service: name(), reason: None }.into()));
            }
            _ => {}
        }
        if moves {
            let group = Some("green".to_owned());
            let update =
                UpdateService { host, service: name(), group, topology: None, quorum: None, to: None };
            steps.push((at(3), update.into()));
        }
        steps.push((at(3), CrashService { host, service: service.clone(), code }.into()));
        match ends {
            0 => steps.push((at(4), StopService { host, service: service.clone() }.into())),
            1 => steps.push((at(4), UnloadService { host, service: service.clone() }.into())),
            _ => {}
        }
    }
    if drained {
        let balancer = Balancer { service, hosts, check: CHECK, every: EVERY };
        steps.push((at(0), Balance { balancer: Box::new(balancer) }.into()));
    }
}

/// A package with hooks that do their work, fail or hang. Every draw is made whether it is used or not.
fn package(rng: &mut Rng, service: &str) -> Package {
    let mut package = Package::default();
    for hook in Hook::ALL.iter().copied() {
        let sets: [&mut BTreeSet<Hook>; 3] = [&mut package.hooks, &mut package.failing, &mut package.hanging];
        let how = rng.index(12);
        // The number of a suitability hook comes with the load of a service whose group elects.
        let set = sets.into_iter().nth(how).filter(|_| hook != Hook::Suitability);
        if let Some(set) = set {
            set.insert(hook);
        }
    }
    let (lives, lives_ms) = (rng.chance(1, 5), rng.between(100, 5_000));
    let (drains, drain_ms) = (rng.chance(1, 2), rng.between(100, 4_000));
    let (bound, other) = (rng.chance(1, 5), SERVICES[rng.index(SERVICES.len())]);
    package.lives = lives.then(|| Duration::from_millis(lives_ms));
    package.drain = drains.then(|| Duration::from_millis(drain_ms));
    package.bind = (bound && other != service).then(|| format!("other:{other}.default"));
    package.configured = rng.chance(1, 3);
    package.health = rng.chance(1, 2).then_some(Health::Ok);
    package
}

/// Nothing goes wrong by itself, and all hooks work at once, with each package that this schedule changes, at the end. An
/// operator starts its services again that had been given up, and stops those first whose init hook may hang.
pub(super) fn sound_again(schedule: &[(Instant, Action)], at: Instant) -> Vec<(Instant, Action)> {
    let (mut changed, mut wanted) = (BTreeMap::new(), BTreeMap::new());
    let mut in_order: Vec<&(Instant, Action)> = schedule.iter().filter(|(time, _)| *time <= at).collect();
    in_order.sort_by_key(|(time, _)| *time);
    for (_, action) in in_order {
        match action {
            Action::SetPackage(SetPackage { host, service, package }) => {
                let hangs = |of: &(Package, bool)| of.1;
                let hung = changed.get(&(*host, service.clone())).is_some_and(hangs);
                let hangs = hung || package.hanging.contains(&Hook::Init);
                changed.insert((*host, service.clone()), (mended(package), hangs));
            }
            Action::LoadService(LoadService { host, service, .. })
            | Action::StartService(StartService { host, service }) => {
                wanted.insert((*host, service.clone()), true);
            }
            Action::StopService(StopService { host, service })
            | Action::UnloadService(UnloadService { host, service }) => {
                wanted.insert((*host, service.clone()), false);
            }
            _ => {}
        }
    }
    let mut steps = Vec::new();
    for ((host, service), (package, hangs)) in changed {
        let is_wanted = wanted.get(&(host, service.clone())).copied().unwrap_or_default();
        let name = || service.clone();
        steps.push((at, SetPackage { host, service: name(), package: Box::new(package) }.into()));
        // An order may have been refused, or lost with its supervisor: it is given again.
        steps.extend((!is_wanted || hangs).then(|| (at, StopService { host, service: name() }.into())));
        steps.extend(is_wanted.then(|| (at, StartService { host, service: name() }.into())));
    }
    steps
}

/// The same package with nothing wrong with it, and nothing that takes long.
fn mended(package: &Package) -> Package {
    Package {
        hooks: package.all_hooks(),
        demoted: package.demoted,
        configured: package.configured,
        shows_part: package.shows_part,
        drain: package.drain,
        ..Package::default()
    }
}

/// What a package or a load brings, as the sweep counts it.
pub(super) fn brings(action: &Action) -> Vec<&'static str> {
    let mut brings = Vec::new();
    match action {
        Action::SetPackage(SetPackage { package, .. }) => {
            let bad = package.health.is_some_and(|health| health != Health::Ok);
            for (is, name) in [
                (!package.failing.is_empty(), "hook that fails"),
                (!package.hanging.is_empty(), "hook that hangs"),
                (bad, "health that is bad"),
                (package.lives.is_some(), "process that ends"),
                (package.drain.is_some(), "drain"),
                (package.bind.is_some(), "bind"),
                (package.demoted == Demoted::Reconfigure, "demoted in place"),
                (package.demoted == Demoted::Stop, "demoted to a stop"),
            ] {
                brings.extend(is.then_some(name));
            }
        }
        Action::LoadService(LoadService { service, how, .. }) if how.leader => {
            for (is, name) in [
                (*service == super::election::SECOND, "second group with a leader"),
                (how.quorum.is_none(), "group without a quorum's size"),
                (how.group.is_some(), "leader of a named group"),
            ] {
                brings.extend(is.then_some(name));
            }
        }
        Action::LoadService(LoadService { how, .. }) if how.group.is_some() => {
            brings.push("group that is not the default");
        }
        Action::Balance(_) => brings.push("load balancer"),
        Action::ApplyConfig(ApplyConfig { wait: Some(_), .. }) => brings.push("operator that waits"),
        Action::PutFile(PutFile { wait: Some(_), .. }) => brings.push("file that is waited for"),
        _ => {}
    }
    brings
}
