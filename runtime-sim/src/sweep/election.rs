//! Groups that elect leaders in a drawn ring, and the faults drawn for them.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{Demoted, Health, Hook, Instant, Rng, ServiceGroup, Topology};

use super::class::Class;
use super::draw::CHAOS_FROM_MS;
use crate::action::{
    Action, ApplyConfig, ClockRate, CloneDisk, Crash, CrashAtSync, CrashLoop, CrashService, Delay, Depart,
    DiskAfter, DrainService, Given, Heal, HostId, Kill, KillGuard, LoadService, MaintainService, Package,
    Partition, Pause, PauseLauncher, Restart, Resume, ResumeLauncher, SetDisk, SetPackage, SetSuitability,
    StartService, StopService, Suspend, UndrainService, UpdateService,
};
use crate::engine::lead::Load;

/// The service whose group has a leader.
pub(super) const SERVICE: &str = "redis";
/// The service of a second group with a leader, in some rings.
pub(super) const SECOND: &str = "queue";
/// The names of groups that are not the default one, and of the one that a member is moved to.
const NAMES: [&str; 2] = ["blue", "red"];
const ELSEWHERE: &str = "green";
/// When faults may come to a ring whose operators do not say how large a group is. Before, its members have to meet:
/// halves that never met elect a leader each, which nothing can prevent.
const MET_MS: u64 = 12_000;
/// How far clocks may be from true time, in parts of a million: what elections bear.
const CLOCK_PPM_MAX: i32 = 100_000;

/// Whether the action loads a service of a group with a leader.
pub(super) fn is_load(action: &Action) -> bool {
    matches!(action, Action::LoadService(LoadService { how, .. }) if how.leader)
}

/// A group with a leader.
#[derive(Debug)]
struct Group {
    service: &'static str,
    /// Its name; none: default.
    name: Option<&'static str>,
    hosts: Vec<HostId>,
    /// The package of its service, while nothing is wrong with it.
    package: Package,
}

/// The ring in which groups elect.
struct Stage<'a> {
    rng: &'a mut Rng,
    members: u32,
    until_ms: u64,
}

/// Draws a group of three to seven members, at times a second one, and troubles of their own beside those of the ring.
pub(super) fn draw(rng: &mut Rng, members: u32, until_ms: u64, steps: &mut Vec<(Instant, Action)>) {
    let is_told = !rng.chance(1, 4);
    let has_second = rng.chance(1, 3);
    let (named, of_one_service) = (rng.chance(1, 3), rng.chance(1, 2));
    let mut stage = Stage { rng, members, until_ms };
    let all: Vec<HostId> = (0..members).map(HostId).collect();
    let first = stage.group(SERVICE, named.then_some(NAMES[0]), &all);
    stage.load(&first, is_told, steps);
    stage.troubles(&first, steps);
    // A service runs once on a host: two of its groups share none.
    let others: Vec<HostId> = all.iter().copied().filter(|host| !first.hosts.contains(host)).collect();
    let second = if of_one_service && others.len() >= 3 {
        stage.group(SERVICE, Some(NAMES[1]), &others)
    } else {
        stage.group(SECOND, None, &all)
    };
    let mut more = Vec::new();
    stage.load(&second, is_told, &mut more);
    stage.troubles(&second, &mut more);
    if has_second {
        steps.append(&mut more);
    }
}

impl Stage<'_> {
    /// Draws a group's members and their package.
    fn group(&mut self, service: &'static str, name: Option<&'static str>, among: &[HostId]) -> Group {
        let size = self.rng.between(3, among.len().min(7) as u64) as usize;
        let hosts = self.rng.sample(among.len(), size);
        let hosts = hosts.into_iter().filter_map(|n| among.get(n).copied()).collect();
        Group { service, name, hosts, package: self.package() }
    }

    /// A package that does its work, each in its way: what its process does when it leads no longer, and how long that
    /// takes. Every draw is made whether it is used or not.
    fn package(&mut self) -> Package {
        let rng = &mut *self.rng;
        let demoted = Demoted::ALL[rng.index(Demoted::ALL.len())];
        let mut hooks = BTreeSet::new();
        for (hook, often) in
            [(Hook::Reconfigure, 2), (Hook::Init, 5), (Hook::PostStop, 6), (Hook::PostRun, 6)]
        {
            if rng.chance(1, often) || (hook == Hook::Reconfigure && demoted == Demoted::Reconfigure) {
                hooks.insert(hook);
            }
        }
        let mut time = |often, longest_ms| {
            let (is, ms) = (rng.chance(1, often), rng.between(10, longest_ms));
            is.then(|| Delay { min: Duration::from_millis(ms / 4), max: Duration::from_millis(ms) })
        };
        let (hooks_take, starts_in, stops_in, children) =
            (time(4, 1_500), time(4, 2_000), time(4, 3_000), time(6, 4_000));
        let drain = time(5, 3_000).map(|delay| delay.max);
        Package {
            demoted,
            hooks,
            hooks_take,
            starts_in,
            stops_in,
            children,
            drain,
            ignores_stop: rng.chance(1, 8),
            configured: rng.chance(1, 2),
            shows_part: rng.chance(2, 3),
            ..Package::default()
        }
    }

    /// Draws when members are loaded. Their operators say how large the group is, or they do not.
    fn load(&mut self, group: &Group, is_told: bool, steps: &mut Vec<(Instant, Action)>) {
        let (equal, plain) = (self.rng.chance(1, 2), self.rng.chance(1, 4));
        let service = group.service.to_owned();
        for host in group.hosts.iter().copied() {
            let suitability = Some(self.rng.below(4)).filter(|_| !equal);
            // With its size given, the first electorate cannot be founded by a part that never met the rest.
            let quorum = is_told.then_some(group.hosts.len() as u32);
            let name = group.name.map(str::to_owned);
            let how = Load { quorum, suitability, group: name, ..Load::led() };
            let at = Instant::from_millis(self.rng.between(CHAOS_FROM_MS / 2, CHAOS_FROM_MS * 2));
            if !plain {
                steps.push((
                    Instant::from_millis(CHAOS_FROM_MS / 4),
                    group.packaged(host, group.package.clone()),
                ));
            }
            steps.push((at, LoadService { host, service: service.clone(), how }.into()));
        }
    }

    /// Draws what happens to a group.
    fn troubles(&mut self, group: &Group, steps: &mut Vec<(Instant, Action)>) {
        for host in group.hosts.iter().copied() {
            let ppm = self.rng.between(0, 2 * CLOCK_PPM_MAX as u64) as i32 - CLOCK_PPM_MAX;
            if self.rng.chance(1, 2) {
                let extreme = if self.rng.chance(1, 2) { CLOCK_PPM_MAX * ppm.signum() } else { ppm };
                steps.push((Instant::from_millis(500), ClockRate { host, ppm: extreme }.into()));
            }
        }
        let troubles = self.rng.between(2, 10);
        for _ in 0..troubles {
            let from_ms = self.rng.between(CHAOS_FROM_MS * 2, self.until_ms.max(CHAOS_FROM_MS * 2));
            let longest_ms = [1_500, 5_000, 20_000][self.rng.index(3)];
            let to_ms = from_ms + self.rng.between(50, longest_ms);
            let span = (Instant::from_millis(from_ms), Instant::from_millis(to_ms));
            let host = group.hosts[self.rng.index(group.hosts.len())];
            match self.rng.index(5) {
                0 | 1 => self.fault(group, host, span, steps),
                2 => self.outage(group, host, span, steps),
                3 => self.order(group, host, span, steps),
                _ => self.change(group, host, span, steps),
            }
        }
    }

    /// A fault of one member, or of the network between some and all others.
    fn fault(
        &mut self,
        group: &Group,
        host: HostId,
        (from, to): (Instant, Instant),
        steps: &mut Vec<(Instant, Action)>,
    ) {
        let rng = &mut *self.rng;
        let one_side = 1 + rng.index(group.hosts.len() - 1);
        let side = rng.sample(group.hosts.len(), one_side);
        let side: Vec<HostId> = side.into_iter().filter_map(|n| group.hosts.get(n).copied()).collect();
        let rest: Vec<HostId> = (0..self.members).map(HostId).filter(|host| !side.contains(host)).collect();
        let both = rng.chance(2, 3);
        let restart = Restart { host, disk: DiskAfter::Kept };
        let soon = from + Duration::from_millis(rng.between(50, 1_500));
        let (first, then, second): (Action, Instant, Action) = match rng.index(8) {
            0 => (Crash { host }.into(), to, restart.into()),
            1 => (Kill { host }.into(), to, restart.into()),
            // An operator restarts the supervisor.
            2 => (Kill { host }.into(), soon, restart.into()),
            3 => (CrashAtSync { host }.into(), to, restart.into()),
            4 => (Pause { host }.into(), to, Resume { host }.into()),
            _ => (
                Partition { from: side.clone(), to: rest.clone(), both }.into(),
                to,
                Heal::between(side, rest).into(),
            ),
        };
        steps.extend([(from, first), (then, second)]);
    }

    /// Members that lose all that they had, all members at once, disks in trouble.
    fn outage(
        &mut self,
        group: &Group,
        host: HostId,
        (from, to): (Instant, Instant),
        steps: &mut Vec<(Instant, Action)>,
    ) {
        let lost = Restart { host, disk: DiskAfter::Lost };
        let by = HostId(self.rng.below(u64::from(self.members)) as u32);
        let state = super::draw::disk_state(self.rng);
        let back = from + Duration::from_millis(self.rng.between(1, 300));
        match self.rng.index(5) {
            0 => {
                // All at once, for a moment.
                for host in group.hosts.iter().copied() {
                    steps.push((from, Crash { host }.into()));
                    steps.push((back, Restart { host, disk: DiskAfter::Kept }.into()));
                }
            }
            1 => steps.extend([(from, Crash { host }.into()), (to, lost.into())]),
            // A ban of a member that is dead: one of a member that lives on founds a second group.
            2 if by != host => {
                steps.extend([(from, Crash { host }.into()), (to, Depart { by, host }.into())]);
            }
            _ => {
                let sound = SetDisk { host, state: crate::engine::disk_fault::DiskState::Sound };
                steps.extend([(from, SetDisk { host, state }.into()), (to, sound.into())]);
            }
        }
    }

    /// What operators order of a member, and take back.
    fn order(
        &mut self,
        group: &Group,
        host: HostId,
        (from, to): (Instant, Instant),
        steps: &mut Vec<(Instant, Action)>,
    ) {
        let rng = &mut *self.rng;
        let service = || group.service.to_owned();
        let (by, wait_ms) = (HostId(rng.below(u64::from(self.members)) as u32), rng.between(1_000, 20_000));
        let back = group.name.unwrap_or("default").to_owned();
        let update = |group: Option<String>, topology| UpdateService {
            host,
            service: service(),
            group,
            topology,
            quorum: None,
            to: None,
        };
        let (first, second): (Action, Action) = match rng.index(8) {
            0 => (
                StopService { host, service: service() }.into(),
                StartService { host, service: service() }.into(),
            ),
            1 => {
                let reason = Some(String::from("work on the rack"));
                let maintain = |reason| MaintainService { host, service: service(), reason };
                (maintain(reason).into(), maintain(None).into())
            }
            2 => {
                let timeout = Some(Duration::from_millis(wait_ms / 4));
                let drain = DrainService { host, service: service(), timeout };
                (drain.into(), UndrainService { host, service: service() }.into())
            }
            3 => (update(Some(ELSEWHERE.to_owned()), None).into(), update(Some(back), None).into()),
            4 => {
                (update(None, Some(Topology::Standalone)).into(), update(None, Some(Topology::Leader)).into())
            }
            _ => {
                let name = format!("{}.{back}", group.service);
                let given = |at: Instant, host: HostId| {
                    let group: ServiceGroup = name.parse().expect("a service group");
                    let text = format!("by = {}\n", host.0);
                    // Mostly a version that is higher than those before.
                    let version = 1 + at.as_millis() / 500;
                    let given = Given { group, file: None, version, text, bytes: 0, sealed: false };
                    let wait = Some(Duration::from_millis(wait_ms));
                    ApplyConfig { host, given: Box::new(given), wait }
                };
                (given(from, by).into(), given(to, host).into())
            }
        };
        steps.extend([(from, first), (to, second)]);
    }

    /// A service that changes: its process ends, its health and suitability, hooks that fail or hang.
    fn change(
        &mut self,
        group: &Group,
        host: HostId,
        (from, to): (Instant, Instant),
        steps: &mut Vec<(Instant, Action)>,
    ) {
        let rng = &mut *self.rng;
        let service = group.service.to_owned();
        let (code, one, other) = (rng.below(3) as i32, rng.below(10), rng.below(10));
        let failures = Some(rng.between(1, 3) as u32);
        let hook = [Hook::Reconfigure, Hook::PostRun, Hook::Init, Hook::PostStop][rng.index(4)];
        let set = |package| group.packaged(host, package);
        let suits = |says| SetSuitability { host, service: service.clone(), says };
        let (first, second): (Action, Action) = match rng.index(6) {
            0 => {
                let ill = Package { health: Some(Health::Critical), ..group.package.clone() };
                (set(ill), set(Package { health: Some(Health::Ok), ..group.package.clone() }))
            }
            1 => {
                let failing = Package { failing: [hook].into(), failures, ..group.package.clone() };
                (set(failing), set(group.package.clone()))
            }
            2 => {
                let hanging = Package { hanging: [Hook::Reconfigure].into(), ..group.package.clone() };
                (set(hanging), set(group.package.clone()))
            }
            3 => {
                let crash = CrashService { host, service: service.clone(), code };
                (crash.clone().into(), crash.into())
            }
            _ => (suits(one).into(), suits(other).into()),
        };
        steps.extend([(from, first), (to, second)]);
    }
}

impl Group {
    fn packaged(&self, host: HostId, package: Package) -> Action {
        SetPackage { host, service: self.service.to_owned(), package: Box::new(package) }.into()
    }
}

/// Whether the action loads a service of a group with a leader whose operator does not say how large it is.
pub(super) fn is_untold(action: &Action) -> bool {
    matches!(action, Action::LoadService(LoadService { how, .. }) if how.leader && how.quorum.is_none())
}

/// Keeps out what the design does not promise of groups that elect, and nothing else:
///
/// - *Disks that go back in time, and copies of disks*, of the groups' members: they vote twice. Such a disk is lost
///   instead, which makes its host a new member.
/// - *Bans of members that live on*: beyond a partition they found a second group. A member that is banned is dead by
///   then, and its host comes back as another member.
/// - *A host that stands still as a whole*, while its clock goes on: its promises end before their time, and its
///   service wakes late. The term is the fencing token there.
/// - *A guard that is killed while its launcher stands still*: neither is there to end the service.
/// - *Clocks of members* that are more than ten per cent from true time.
/// - *Halves that never met*: where no operator says how large the group is, its members meet before anything happens.
///
/// To hosts that are in no such group all of it happens.
pub(super) fn keep_assumptions(schedule: &mut Vec<(Class, Instant, Action)>, untold: bool) {
    let voters: BTreeSet<HostId> = schedule
        .iter()
        .filter_map(|(.., action)| match action {
            Action::LoadService(LoadService { host, how, .. }) if how.leader => Some(*host),
            _ => None,
        })
        .collect();
    let stopped = stopped_launchers(schedule);
    let banned: Vec<(Class, Instant, HostId)> = schedule
        .iter()
        .filter_map(|(class, at, action)| match action {
            Action::Depart(Depart { host, .. }) if voters.contains(host) => Some((*class, *at, *host)),
            _ => None,
        })
        .collect();
    schedule.retain(|(_, at, action)| match action {
        Action::Suspend(Suspend { host, .. }) => !voters.contains(host),
        Action::CloneDisk(CloneDisk { host, of }) => !voters.contains(host) && !voters.contains(of),
        Action::KillGuard(KillGuard { host, .. }) => {
            !voters.contains(host)
                || !stopped.iter().any(|(of, from, to)| of == host && from <= at && at <= to)
        }
        Action::CrashLoop(CrashLoop { host, .. }) => banned.iter().all(|(.., banned)| banned != host),
        _ => true,
    });
    // It dies before the ban of that instant, and comes back as another member after it.
    let dies = banned.iter().map(|(class, at, host)| (*class, *at, Crash { host: *host }.into()));
    schedule.splice(0..0, dies.collect::<Vec<(Class, Instant, Action)>>());
    let back = |(class, at, host): &(Class, Instant, HostId)| {
        (*class, *at, Restart { host: *host, disk: DiskAfter::Lost }.into())
    };
    schedule.extend(banned.iter().map(back));
    if untold {
        let may_be_early = |action: &Action| {
            is_load(action) || matches!(action, Action::ClockRate(_) | Action::SetPackage(_))
        };
        schedule.retain(|(_, at, action)| *at >= Instant::from_millis(MET_MS) || may_be_early(action));
    }
    for (_, at, action) in schedule {
        match action {
            Action::ClockRate(ClockRate { host, ppm }) if voters.contains(host) => {
                *ppm = (*ppm).clamp(-CLOCK_PPM_MAX, CLOCK_PPM_MAX);
            }
            Action::Restart(Restart { host, disk }) if voters.contains(host) => {
                let is_banned = banned.iter().any(|(_, since, of)| of == host && since <= at);
                if *disk == DiskAfter::Old || is_banned {
                    *disk = DiskAfter::Lost;
                }
            }
            _ => {}
        }
    }
}

/// When launchers stand still, and shortly before: a guard may die, and the launcher with it a moment later.
fn stopped_launchers(schedule: &[(Class, Instant, Action)]) -> Vec<(HostId, Instant, Instant)> {
    const BEFORE: Duration = Duration::from_millis(100);
    let mut in_order: Vec<&(Class, Instant, Action)> = schedule.iter().collect();
    in_order.sort_by_key(|(_, at, _)| *at);
    let mut stopped: Vec<(HostId, Instant, Instant)> = Vec::new();
    for (_, at, action) in in_order {
        match action {
            Action::PauseLauncher(PauseLauncher { host }) => {
                let from = Instant::ZERO + at.saturating_since(Instant::ZERO + BEFORE);
                stopped.push((*host, from, Instant::FAR_FUTURE));
            }
            Action::ResumeLauncher(ResumeLauncher { host }) => {
                let open = stopped.iter_mut().filter(|(of, _, to)| of == host && *to == Instant::FAR_FUTURE);
                open.for_each(|(_, _, to)| *to = *at);
            }
            _ => {}
        }
    }
    stopped
}
