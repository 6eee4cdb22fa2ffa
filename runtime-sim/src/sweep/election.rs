//! A group that elects leaders in a drawn ring, and the faults drawn for it.

use std::time::Duration;

use annulus_core::{Health, Instant, Rng};

use super::draw::CHAOS_FROM_MS;
use crate::action::{
    Action, ClockRate, Crash, CrashAtSync, DiskAfter, Heal, HostId, Kill, LoadService, Package, Partition,
    Pause, Restart, Resume, SetPackage, StartService, StopService,
};
use crate::engine::lead::Load;

/// The service whose group has a leader.
pub(super) const SERVICE: &str = "redis";
/// The service of a second group with a leader, in some rings.
pub(super) const SECOND: &str = "queue";
/// When faults may come to a ring whose operators do not say how large a group is. Before, its members have to meet:
/// halves that never met elect a leader each, which nothing can prevent.
const MET_MS: u64 = 12_000;
/// How far clocks may be from true time, in parts of a million: what elections bear.
const CLOCK_PPM_MAX: i32 = 100_000;

/// Whether the action loads a service of a group with a leader.
pub(super) fn is_load(action: &Action) -> bool {
    matches!(action, Action::LoadService(LoadService { how, .. }) if how.leader)
}

/// Draws a group of three to seven members, at times a second one, and troubles of their own beside those of the ring.
pub(super) fn draw(rng: &mut Rng, members: u32, until_ms: u64, steps: &mut Vec<(Instant, Action)>) {
    let is_told = !rng.chance(1, 4);
    let has_second = rng.chance(1, 4);
    let hosts = group(rng, SERVICE, is_told, members, steps);
    troubles(rng, SERVICE, &hosts, members, until_ms, steps);
    let mut second = Vec::new();
    let hosts = group(rng, SECOND, is_told, members, &mut second);
    troubles(rng, SECOND, &hosts, members, until_ms, &mut second);
    if has_second {
        steps.append(&mut second);
    }
}

/// Draws a group's members. Their operators say how large it is, or they do not.
fn group(
    rng: &mut Rng,
    service: &str,
    is_told: bool,
    members: u32,
    steps: &mut Vec<(Instant, Action)>,
) -> Vec<HostId> {
    let most = u64::from(members.min(7));
    let size = rng.between(3, most) as usize;
    let hosts: Vec<HostId> =
        rng.sample(members as usize, size).into_iter().map(|n| HostId(n as u32)).collect();
    let equal = rng.chance(1, 2);
    for host in &hosts {
        let suitability = Some(rng.below(4)).filter(|_| !equal);
        // With its size given, the first electorate cannot be founded by a part that never met the rest.
        let quorum = is_told.then_some(size as u32);
        let how = Load { quorum, suitability, ..Load::led() };
        let at = Instant::from_millis(rng.between(CHAOS_FROM_MS / 2, CHAOS_FROM_MS * 2));
        steps.push((at, Action::LoadService(LoadService { host: *host, service: service.to_owned(), how })));
    }
    hosts
}

/// Draws what happens to a group.
fn troubles(
    rng: &mut Rng,
    service: &str,
    hosts: &[HostId],
    members: u32,
    until_ms: u64,
    steps: &mut Vec<(Instant, Action)>,
) {
    for host in hosts {
        let ppm = rng.between(0, 2 * CLOCK_PPM_MAX as u64) as i32 - CLOCK_PPM_MAX;
        if rng.chance(1, 2) {
            let extreme = if rng.chance(1, 2) { CLOCK_PPM_MAX * ppm.signum() } else { ppm };
            steps.push((
                Instant::from_millis(500),
                Action::ClockRate(ClockRate { host: *host, ppm: extreme }),
            ));
        }
    }
    let troubles = rng.between(2, 10);
    for _ in 0..troubles {
        trouble(rng, service, hosts, members, until_ms, steps);
    }
}

fn trouble(
    rng: &mut Rng,
    service: &str,
    hosts: &[HostId],
    members: u32,
    until_ms: u64,
    steps: &mut Vec<(Instant, Action)>,
) {
    let from_ms = rng.between(CHAOS_FROM_MS * 2, until_ms.max(CHAOS_FROM_MS * 2));
    let longest_ms = [1_500, 5_000, 20_000][rng.index(3)];
    let to_ms = from_ms + rng.between(50, longest_ms);
    let (from, to) = (Instant::from_millis(from_ms), Instant::from_millis(to_ms));
    let host = hosts[rng.index(hosts.len())];
    let one_side = 1 + rng.index(hosts.len() - 1);
    let side = rng.sample(hosts.len(), one_side);
    let side: Vec<HostId> = side.into_iter().filter_map(|n| hosts.get(n).copied()).collect();
    let rest: Vec<HostId> = (0..members).map(HostId).filter(|host| !side.contains(host)).collect();
    let both = rng.chance(2, 3);
    let restart = Action::Restart(Restart { host, disk: DiskAfter::Kept });
    let service = service.to_owned();
    let set = |health| {
        let package = Box::new(Package { health: Some(health), ..Package::default() });
        Action::SetPackage(SetPackage { host, service: service.clone(), package })
    };
    let (first, second) = match rng.index(10) {
        0 => (Action::Crash(Crash { host }), restart),
        1 => (Action::Kill(Kill { host }), restart),
        2 => (Action::CrashAtSync(CrashAtSync { host }), restart),
        3 => (Action::Pause(Pause { host }), Action::Resume(Resume { host })),
        4 | 5 => (
            Action::Partition(Partition { from: side.clone(), to: rest.clone(), both }),
            Heal::between(side, rest).into(),
        ),
        6 => {
            // All at once, for a moment.
            let back = from + Duration::from_millis(rng.between(1, 300));
            for host in hosts {
                steps.push((from, Action::Crash(Crash { host: *host })));
                steps.push((back, Action::Restart(Restart { host: *host, disk: DiskAfter::Kept })));
            }
            return;
        }
        7 => (
            Action::StopService(StopService { host, service: service.clone() }),
            Action::StartService(StartService { host, service: service.clone() }),
        ),
        8 => (set(Health::Critical), set(Health::Ok)),
        _ => (Action::Crash(Crash { host }), Action::Restart(Restart { host, disk: DiskAfter::Lost })),
    };
    steps.push((from, first));
    steps.push((to, second));
}

/// Whether the action loads a service of a group with a leader whose operator does not say how large it is.
pub(super) fn is_untold(action: &Action) -> bool {
    matches!(action, Action::LoadService(LoadService { how, .. }) if how.leader && how.quorum.is_none())
}

/// The assumptions of elections: clocks within ten per cent that do not jump ahead, disks that keep synced rows and
/// run once, and bans of dead members only. A lost disk is that of a new member; a member that comes back runs the
/// service too.
pub(super) fn keep_assumptions(schedule: &mut Vec<(Instant, Action)>, untold: bool) {
    schedule.retain(|(_, action)| {
        !matches!(action, Action::Suspend(_) | Action::CloneDisk(_) | Action::Depart(_))
    });
    if untold {
        let may_be_early = |action: &Action| is_load(action) || matches!(action, Action::ClockRate(_));
        schedule.retain(|(at, action)| *at >= Instant::from_millis(MET_MS) || may_be_early(action));
    }
    for (_, action) in schedule {
        match action {
            Action::ClockRate(ClockRate { ppm, .. }) => *ppm = (*ppm).clamp(-CLOCK_PPM_MAX, CLOCK_PPM_MAX),
            Action::Restart(Restart { disk: disk @ DiskAfter::Old, .. }) => *disk = DiskAfter::Lost,
            _ => {}
        }
    }
}
