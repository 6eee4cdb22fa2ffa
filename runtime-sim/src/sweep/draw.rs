//! The meaning of a seed: a ring, its links, and a schedule of faults. Everything is drawn before the run begins; a
//! run never changes a draw.
//!
//! Each class of fault has a stream of chance of its own and draws its whole schedule whether it is used or
//! not, so that leaving one class out does not move the others.

use std::time::Duration;

use annulus_core::{Instant, Rng, ServiceGroup};

use super::class::Class;
use super::ring::{self, Ring};
use crate::action::Given;
use crate::action::{
    Action, ApplyConfig, Burst, Calm, Capacity, ClockJump, ClockRate, CloneDisk, Crash, CrashAtSync,
    CrashLoop, CrashService, Delay, Depart, DiskAfter, Heal, HostId, Kill, KillGuard, KillLauncher, Leave,
    LinkQuality, LoadService, Partition, Pause, PauseLauncher, PutFile, Ratio, Restart, RestartService,
    Resume, ResumeLauncher, SetBurst, SetCapacity, SetDisk, SetLink, Slow, StartService, StopService,
    Suspend, UnloadService,
};
use crate::engine::disk_fault::DiskState;
use crate::engine::lead::Load;
use crate::expect::{OneView, Settled, When, one_view_bound};
use crate::scenario::plan::{Expectation, Plan, PlannedHost, TimedAction};
use crate::scenario::start_joins;

pub(super) const SERVICES: [&str; 3] = ["web", "db", "cache"];
/// When the first fault may come: most rings have formed by then, some have not.
pub(super) const CHAOS_FROM_MS: u64 = 2_000;

/// The stream of chance that the size of datagrams is drawn from, beyond those of the classes of faults.
const DATAGRAMS: u64 = 1 << 32;
/// The same for whether a ring has a key.
const RING_KEY: u64 = DATAGRAMS + 1;

/// A member that stepped aside for a copy is silent for so long after the copy was heard last.
const COPY_KEPT: Duration = Duration::from_secs(60);
/// How long one view has to last.
const STABLE: Duration = Duration::from_secs(10);
/// How long services and their files have to stay as they are wanted.
const RESTS: Duration = Duration::from_secs(2);

/// The root of a seed's chance.
pub(super) fn root(seed: u64) -> Rng {
    let mut key = [0x5e; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    Rng::from_seed(key)
}

/// The first part of a seed's meaning: a ring, the actions on it, and that its members share one view afterwards.
#[must_use]
pub(super) fn plan(seed: u64, without: &[Class]) -> Plan {
    let root = root(seed);
    let mut rng = root.fork(0);
    let mut ring = ring::draw(&mut rng);
    ring::draw_datagrams(&mut root.fork(DATAGRAMS), &mut ring.timings);
    ring.ring_key = root.fork(RING_KEY).chance(1, 3).then_some(1);
    let members = ring.hosts.len() as u32;
    let chaos_ms = rng.between(10_000, 60_000);
    let calm_ms = CHAOS_FROM_MS + if members == ring::BIG { chaos_ms / 10 } else { chaos_ms };
    // Seeds lie between every class at once, which hides much, and one class alone.
    let density = [1, 2, 3][rng.index(3)];
    let zones: Vec<String> = ring.hosts.iter().map(|host| host.zone.clone()).collect();
    let mut drawn: Vec<(Class, Instant, Action)> = Vec::new();
    // Drawn also when left out: otherwise leaving elections out would bring back the classes that they exclude.
    let (mut elects, mut untold) = (false, false);
    for class in Class::ALL {
        let mut draw = Draw {
            rng: root.fork(1 + class as u64),
            members,
            zones: &zones,
            until_ms: calm_ms,
            quality: ring.quality,
            steps: Vec::new(),
        };
        // Elections are what most is promised of: half of the seeds hold one.
        let in_use =
            if class == Class::Election { draw.rng.chance(1, 2) } else { draw.rng.chance(density, 5) };
        draw.class(class);
        if ring.ring_key.is_none() && class == Class::Rotation {
            draw.steps.clear();
        }
        elects |= in_use && draw.steps.iter().any(|(_, action)| super::election::is_load(action));
        untold |= in_use && draw.steps.iter().any(|(_, action)| super::election::is_untold(action));
        if in_use {
            drawn.extend(draw.steps.into_iter().map(|(at, action)| (class, at, action)));
        }
    }
    if elects {
        super::election::keep_assumptions(&mut drawn, untold);
    }
    // A member whose clock is an hour behind believes the highest number of today an hour later.
    if drawn.iter().any(|(class, ..)| *class == Class::Clock) {
        drawn.retain(|(class, ..)| *class != Class::Overreach);
    }
    drawn.retain(|(class, ..)| !without.contains(class));
    let replaced = replacements(&ring.hosts, &drawn, calm_ms);
    let mut schedule: Vec<(Instant, Action)> =
        drawn.into_iter().map(|(_, at, action)| (at, action)).collect();
    schedule.extend(replaced);
    schedule.extend(super::package::sound_again(&schedule, Instant::from_millis(calm_ms - 1)));
    // A stable sort: actions of one instant keep the order of their class.
    schedule.sort_by_key(|(at, _)| *at);
    let calm_at = Instant::from_millis(calm_ms);
    schedule.retain(|(at, _)| *at < calm_at);
    assemble(seed, ring, schedule, calm_at)
}

/// A host that is banned for good and to which others turn first is replaced in the end: a member that knows no other
/// address, such as a newcomer, would find no one.
fn replacements(
    hosts: &[PlannedHost],
    drawn: &[(Class, Instant, Action)],
    calm_ms: u64,
) -> Vec<(Instant, Action)> {
    let for_good = |(class, _, action): &(Class, Instant, Action)| match action {
        Action::Depart(Depart { host, .. }) if *class == Class::Depart => Some(*host),
        _ => None,
    };
    let mut banned: Vec<HostId> = drawn.iter().filter_map(for_good).collect();
    banned.sort_unstable();
    banned.dedup();
    banned.retain(|host| hosts.iter().any(|other| other.peers.contains(host)));
    let at = Instant::from_millis(calm_ms - 1);
    banned
        .into_iter()
        .flat_map(|host| {
            [
                (at, Action::Crash(Crash { host })),
                (at, Action::Restart(Restart { host, disk: DiskAfter::Lost })),
            ]
        })
        .collect()
}

/// The whole as a scenario.
fn assemble(seed: u64, ring: Ring, schedule: Vec<(Instant, Action)>, calm_at: Instant) -> Plan {
    let Ring { hosts, timings, quality, links, start, ring_key } = ring;
    let has_copy = schedule.iter().any(|(_, action)| matches!(action, Action::CloneDisk(_)));
    let hang = super::package::longest_hang(schedule.iter().map(|(_, action)| action));
    let mut actions: Vec<TimedAction> = schedule
        .into_iter()
        .chain([(calm_at, Action::Calm(Calm))])
        .map(|(time, action)| TimedAction { time, line: Some(0), action, refused: None })
        .collect();
    let mut all = start_joins(&hosts, &actions, start);
    all.append(&mut actions);
    all.sort_by_key(|timed| timed.time);
    let silence = if has_copy { COPY_KEPT } else { Duration::ZERO };
    let bound = one_view_bound(&timings, hosts.len()) + silence;
    let by = calm_at + bound + STABLE;
    let rests_by = by + hang;
    let settled = settled(calm_at, rests_by);
    let whole = Expectation {
        line: 0,
        text: format!("one_view = \"{} s\"", STABLE.as_secs()),
        when: When::By { after: calm_at, by },
        what: OneView { lasting: STABLE }.into(),
    };
    Plan {
        file: format!("seed {seed}"),
        about: format!(
            "Drawn from seed {seed} of a sweep: {} members, and faults that end after {calm_at}. Within {} s of \
             their end all members have to share one view, and keep it, and their services run as they are wanted. \
             Then a version is given to a group, and hosts are lost, one at a time.",
            hosts.len(),
            bound.as_secs()
        ),
        seed,
        duration: Duration::from_nanos(rests_by.as_nanos()),
        skip_impossible: true,
        ring_key,
        planted: annulus_core::Planted::default(),
        start,
        hosts,
        timings,
        quality,
        links,
        actions: all,
        expectations: vec![whole, settled],
    }
}

/// Services and their files are as they are wanted, and stay so for a moment.
pub(super) fn settled(after: Instant, by: Instant) -> Expectation {
    Expectation {
        line: 0,
        text: format!("settled = \"{} s\"", RESTS.as_secs()),
        when: When::By { after, by },
        what: Settled { lasting: RESTS }.into(),
    }
}

/// A disk in trouble. Every draw is made whether it is used or not.
pub(super) fn disk_state(rng: &mut Rng) -> DiskState {
    let max_ms = rng.between(20, 3_000);
    let (min, max) = (Duration::from_millis(max_ms / 4), Duration::from_millis(max_ms));
    let slow = DiskState::Slow(Delay { min, max });
    let failing = DiskState::Failing(rng.between(1, 6) as u32);
    [slow, failing, DiskState::Stalled, DiskState::Full, DiskState::Broken][rng.index(5)]
}

/// One class's share of a schedule.
struct Draw<'a> {
    rng: Rng,
    members: u32,
    /// The zone of each host.
    zones: &'a [String],
    until_ms: u64,
    quality: LinkQuality,
    steps: Vec<(Instant, Action)>,
}

impl Draw<'_> {
    fn class(&mut self, class: Class) {
        match class {
            Class::Election => {
                return super::election::draw(&mut self.rng, self.members, self.until_ms, &mut self.steps);
            }
            Class::Package => {
                return super::package::draw(&mut self.rng, self.members, self.until_ms, &mut self.steps);
            }
            // It comes after the faults, and is drawn when they are known.
            Class::Trial => return,
            _ => {}
        }
        // Of bans and copied disks a ring sees few.
        let most = match class {
            Class::Depart | Class::Clone | Class::Reset => 2,
            Class::Rotation => 3,
            // They cost nothing and should change nothing.
            Class::Forge | Class::Replay => 20,
            _ => 6,
        };
        let faults = self.rng.between(1, most);
        for _ in 0..faults {
            let from_ms = self.rng.between(CHAOS_FROM_MS, self.until_ms);
            // Mostly about as long as a member takes to notice, sometimes much longer.
            let longest_ms = [2_000, 8_000, 40_000][self.rng.index(3)];
            let to_ms = from_ms + self.rng.between(50, longest_ms);
            let (from, to) = (Instant::from_millis(from_ms), Instant::from_millis(to_ms));
            self.fault(class, from, to);
        }
    }

    fn fault(&mut self, class: Class, from: Instant, to: Instant) {
        let host = self.host();
        match class {
            Class::Crash => self.both(
                from,
                Action::Crash(Crash { host }),
                to,
                Action::Restart(Restart { host, disk: DiskAfter::Kept }),
            ),
            Class::Kill => self.both(
                from,
                Action::Kill(Kill { host }),
                to,
                Action::Restart(Restart { host, disk: DiskAfter::Kept }),
            ),
            Class::Pause => {
                self.both(from, Action::Pause(Pause { host }), to, Action::Resume(Resume { host }))
            }
            Class::Leave => self.both(
                from,
                Action::Leave(Leave { host }),
                to,
                Action::Restart(Restart { host, disk: DiskAfter::Kept }),
            ),
            Class::Disk => {
                let disk = [DiskAfter::Lost, DiskAfter::Old][self.rng.index(2)];
                self.both(from, Action::Crash(Crash { host }), to, Action::Restart(Restart { host, disk }));
            }
            Class::Cut => self.cut(from, to),
            Class::Link => {
                let (one, other) = self.ends();
                let set =
                    |quality| Action::SetLink(SetLink { from: one.clone(), to: other.clone(), quality });
                let (bad, good) = (set(self.bad_quality()), set(self.quality));
                self.both(from, bad, to, good);
            }
            Class::Service => self.service(host, from, to),
            Class::Launcher => self.launcher(host, from, to),
            Class::Burst => {
                let ms = |ms| Duration::from_millis(ms);
                let (good, bad) = (ms(self.rng.between(200, 5_000)), ms(self.rng.between(20, 1_500)));
                let burst = Burst { good, bad, loss: Ratio::percent(self.rng.between(50, 100) as u32) };
                let (one, other) = self.ends();
                let set = |burst| Action::SetBurst(SetBurst { from: one.clone(), to: other.clone(), burst });
                self.both(from, set(Some(burst)), to, set(None));
            }
            Class::Capacity => {
                let capacity = Capacity {
                    bytes_per_s: self.rng.between(500, 20_000) as u32,
                    queue_bytes: self.rng.between(1_000, 20_000) as u32,
                };
                let (one, other) = self.ends();
                let set = |capacity| {
                    Action::SetCapacity(SetCapacity { from: one.clone(), to: other.clone(), capacity })
                };
                self.both(from, set(Some(capacity)), to, set(None));
            }
            _ => self.host_fault(class, host, from, to),
        }
    }

    /// The faults of a single host that do not stop it, or that stop it at a bad moment.
    fn host_fault(&mut self, class: Class, host: HostId, from: Instant, to: Instant) {
        let restart = Action::Restart(Restart { host, disk: DiskAfter::Kept });
        match class {
            Class::Slow => {
                let max = self.rng.between(5, 1_500);
                let min = self.rng.between(1, max);
                let delay = Delay { min: Duration::from_millis(min), max: Duration::from_millis(max) };
                let slow = Action::Slow(Slow { host, delay: Some(delay) });
                self.both(from, slow, to, Action::Slow(Slow { host, delay: None }));
            }
            Class::Clock => {
                let ppm = self.rng.between(0, 600_000) as i32 - 300_000;
                let by_ms = self.rng.between(0, 20_000_000) as i64 - 10_000_000;
                self.both(
                    from,
                    Action::ClockRate(ClockRate { host, ppm }),
                    to,
                    Action::ClockRate(ClockRate { host, ppm: 0 }),
                );
                self.steps.push((from, Action::ClockJump(ClockJump { host, by_ms })));
            }
            Class::Suspend => {
                let lasting = Duration::from_millis(self.rng.between(10, 60_000));
                self.steps.push((from, Action::Suspend(Suspend { host, lasting })));
            }
            Class::Torn => self.both(from, Action::CrashAtSync(CrashAtSync { host }), to, restart),
            Class::Loop => {
                let ms = |ms| Duration::from_millis(ms);
                let (up, down) = (ms(self.rng.between(1, 3_000)), ms(self.rng.between(1, 2_000)));
                let times = self.rng.between(2, 8) as u32;
                self.both(from, Action::CrashLoop(CrashLoop { host, times, up, down }), to, restart);
            }
            Class::Clone => {
                let of =
                    HostId((host.0 + 1 + self.rng.index(self.members as usize - 1) as u32) % self.members);
                let between = from + to.saturating_since(from) / 3;
                self.both(
                    from,
                    Action::Crash(Crash { host }),
                    between,
                    Action::CloneDisk(CloneDisk { host, of }),
                );
                self.both(
                    to,
                    Action::Crash(Crash { host }),
                    to,
                    Action::Restart(Restart { host, disk: DiskAfter::Lost }),
                );
            }
            Class::Group => self.group(host, from),
            Class::Order => self.order(host, from, to),
            Class::Forge
            | Class::Replay
            | Class::Rotation
            | Class::Invent
            | Class::Reset
            | Class::Overreach => {
                self.trust(class, host, from, to);
            }
            Class::Writes => {
                let state = disk_state(&mut self.rng);
                let set = |state| Action::SetDisk(SetDisk { host, state });
                self.both(from, set(state), to, set(DiskState::Sound));
            }
            _ => {
                let by = self.host();
                self.steps.push((from, Action::Depart(Depart { by, host })));
            }
        }
    }

    /// What concerns keys and words.
    fn trust(&mut self, class: Class, host: HostId, from: Instant, to: Instant) {
        if class == Class::Rotation {
            let other = self.host();
            return self.steps.extend(super::rotation::draw(&mut self.rng, host, other, (from, to)));
        }
        if class == Class::Reset {
            let by = [self.host(), self.host()];
            return self.steps.extend(super::reset::draw(&mut self.rng, host, by, (from, to)));
        }
        let (rng, members) = (&mut self.rng, self.members);
        let one = match class {
            Class::Forge => super::forge::draw(rng, members, host),
            Class::Replay => super::replay::draw(rng, members, host),
            Class::Overreach => super::reset::overreach(rng, members, host),
            _ => super::invent::draw(rng, members, host, from),
        };
        self.steps.push((from, one));
    }

    fn cut(&mut self, from: Instant, to: Instant) {
        let (mut one, mut other) = (self.hosts(), self.hosts());
        let zone = self.zones[self.rng.index(self.zones.len())].clone();
        let shape = self.rng.index(3);
        if shape == 0 {
            one = (0..self.members).map(HostId).filter(|h| self.zones[h.0 as usize] == zone).collect();
        }
        if shape < 2 {
            // A partition: every host is on one side or the other.
            other = (0..self.members).map(HostId).filter(|h| !one.contains(h)).collect();
        }
        one.retain(|h| !other.contains(h));
        let both = self.rng.chance(1, 2);
        if !one.is_empty() && !other.is_empty() {
            let cut = Action::Partition(Partition { from: one.clone(), to: other.clone(), both });
            self.both(from, cut, to, Heal::between(one, other).into());
        }
    }

    /// Senders and receivers.
    fn ends(&mut self) -> (Vec<HostId>, Vec<HostId>) {
        let (one, other) = (self.hosts(), self.hosts());
        let all = (0..self.members).map(HostId).collect();
        (one, if self.rng.chance(1, 2) { other } else { all })
    }

    fn service(&mut self, host: HostId, from: Instant, to: Instant) {
        let service = SERVICES[self.rng.index(SERVICES.len())].to_owned();
        let code = self.rng.below(3) as i32;
        let between = from + to.saturating_since(from) / 2;
        let then = self.rng.index(3);
        self.steps.push((
            from,
            Action::LoadService(LoadService { host, service: service.clone(), how: Load::default() }),
        ));
        self.steps
            .push((between, Action::CrashService(CrashService { host, service: service.clone(), code })));
        self.steps.push(match then {
            0 => (to, Action::StopService(StopService { host, service })),
            1 => (to, Action::UnloadService(UnloadService { host, service })),
            _ => (to, Action::StartService(StartService { host, service })),
        });
    }

    fn launcher(&mut self, host: HostId, from: Instant, to: Instant) {
        let services = SERVICES.into_iter().chain([super::election::SERVICE, super::election::SECOND]);
        let guards =
            services.map(|service| Action::KillGuard(KillGuard { host, service: service.to_owned() }));
        match self.rng.index(3) {
            0 => self.both(
                from,
                Action::KillLauncher(KillLauncher { host }),
                to,
                Action::Restart(Restart { host, disk: DiskAfter::Kept }),
            ),
            1 => self.both(
                from,
                Action::PauseLauncher(PauseLauncher { host }),
                to,
                Action::ResumeLauncher(ResumeLauncher { host }),
            ),
            // Whichever of them runs there.
            _ => self.steps.extend(guards.map(|guard| (from, guard))),
        }
    }

    /// An operator restarts whichever services run there, and waits for a file that all of their group are given.
    fn order(&mut self, host: HostId, from: Instant, to: Instant) {
        let services = SERVICES.into_iter().chain([super::election::SERVICE, super::election::SECOND]);
        let services: Vec<&str> = services.collect();
        let service = services[self.rng.index(services.len())];
        let (by, wait_ms) = (self.host(), self.rng.between(1_000, 20_000));
        let file = "motd.txt".parse().expect("a file's name");
        let group: ServiceGroup = format!("{service}.default").parse().expect("a service group");
        // Mostly a version that is higher than those before.
        let version = 1 + from.as_millis() / 500;
        let text = format!("by = {}\n", by.0);
        let given = Box::new(Given { group, file: Some(file), version, text, bytes: 0, sealed: false });
        let wait = Some(Duration::from_millis(wait_ms));
        let (is_given, twice) = (self.rng.chance(1, 2), self.rng.chance(1, 3));
        if is_given {
            self.steps.push((from, PutFile { host: by, given, wait }.into()));
        }
        let restart = |service: &str| RestartService { host, service: service.to_owned() }.into();
        self.steps.extend(services.iter().map(|service| (from, restart(service))));
        self.steps.extend(twice.then(|| (to, restart(service))));
    }

    /// Two operators that do not know of each other.
    fn group(&mut self, host: HostId, from: Instant) {
        let service = SERVICES[self.rng.index(SERVICES.len())];
        let group: ServiceGroup = format!("{service}.default").parse().expect("a service group");
        let file = self.rng.chance(1, 3).then(|| "users.acl".parse().expect("a file's name"));
        // Mostly a text that fits into a datagram, sometimes as long as the limit.
        let bytes = [0, 0, 2_000, 65_536][self.rng.index(4)];
        let version = self.rng.between(1, 6);
        let other = self.host();
        let later = from + Duration::from_millis(self.rng.below(400));
        for (host, at) in [(host, from), (other, later)] {
            let text = format!("by = {}\n", host.0);
            let given =
                Given { group: group.clone(), file: file.clone(), version, text, bytes, sealed: false };
            let is_file = given.file.is_some();
            let given = Box::new(given);
            let action = match is_file {
                true => PutFile { host, given, wait: None }.into(),
                false => ApplyConfig { host, given, wait: None }.into(),
            };
            self.steps.push((at, action));
        }
    }

    fn both(&mut self, from: Instant, begin: Action, to: Instant, end: Action) {
        self.steps.push((from, begin));
        self.steps.push((to, end));
    }

    fn host(&mut self) -> HostId {
        HostId(self.rng.below(u64::from(self.members)) as u32)
    }

    fn hosts(&mut self) -> Vec<HostId> {
        let count = 1 + self.rng.index(self.members as usize - 1);
        let mut hosts: Vec<HostId> =
            self.rng.sample(self.members as usize, count).into_iter().map(|i| HostId(i as u32)).collect();
        hosts.sort_unstable();
        hosts
    }

    fn bad_quality(&mut self) -> LinkQuality {
        LinkQuality {
            latency_min: self.quality.latency_min,
            latency_max: self.quality.latency_max * self.rng.between(1, 100) as u32,
            loss: Ratio::percent(self.rng.below(60) as u32),
            duplicate: Ratio::percent(self.rng.below(20) as u32),
            reorder: Ratio::percent(self.rng.below(20) as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_out_a_class_does_not_move_the_others() {
        let mut moved = 0;
        for seed in 0..40 {
            // What follows the faults depends on them, and is another part.
            let faults = |without: &[Class]| plan(seed, without);
            let all = faults(&[]);
            for class in Class::ALL {
                let some = faults(&[class]);
                let gone = all.actions.len() - some.actions.len();
                moved += gone;
                // The remaining actions were there before, in the same order.
                let mut rest = all.actions.iter();
                assert!(some.actions.iter().all(|a| rest.any(|b| a == b)), "seed {seed} without {class:?}");
                let others: Vec<Class> = Class::ALL.into_iter().filter(|c| *c != class).collect();
                let alone = faults(&others).actions.len();
                let nothing = faults(&Class::ALL).actions.len();
                assert_eq!(alone - nothing, gone, "seed {seed}: {class:?} alone is all that was left out");
                assert_eq!(all.hosts, some.hosts);
            }
        }
        assert!(moved > 1_000);
    }
}
