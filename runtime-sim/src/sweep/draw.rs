//! What a seed means: a ring, its links, and a schedule of faults.
//!
//! Each class of fault has a stream of chance of its own and draws its whole schedule whether it is used or
//! not, so that leaving one class out does not move the others.

use std::time::Duration;

use annulus_core::{Instant, Rng, Timings};

use crate::action::{Action, DiskAfter, HostId, LinkQuality, Ratio};
use crate::scenario::plan::{Expectation, Plan, PlannedHost, TimedAction, What, When};
use crate::scenario::start_joins;

/// A class of faults, or of what operators do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Class {
    /// Hosts lose power and come back with their disk.
    Crash,
    /// Hosts come back with an empty or an old disk.
    Disk,
    /// Supervisors are killed and started again.
    Kill,
    /// Supervisors stand still for a while.
    Pause,
    /// Links are cut, one way or both, between parts of the ring.
    Cut,
    /// Links lose, delay, duplicate and reorder packets.
    Link,
    /// Supervisors leave in order and come back.
    Leave,
    /// Services are loaded, crash, are stopped and started.
    Service,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 8] =
        [Self::Crash, Self::Disk, Self::Kill, Self::Pause, Self::Cut, Self::Link, Self::Leave, Self::Service];
}

const SERVICES: [&str; 3] = ["web", "db", "cache"];
/// When the first fault may come: most rings have formed by then, some have not.
const CHAOS_FROM_MS: u64 = 2_000;

/// How long one view has to last.
const STABLE: Duration = Duration::from_secs(10);

/// What a seed means: a ring, what is done to it, and that its members share one view afterwards.
#[must_use]
pub fn plan(seed: u64, without: &[Class]) -> Plan {
    let mut key = [0x5e; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let root = Rng::from_seed(key);
    let mut rng = root.fork(0);
    let members = 3 + rng.below(18) as u32;
    let permanent = rng.below(3) as u32;
    let timings = [Timings::lan(), Timings::lan(), Timings::local(), Timings::wan()][rng.index(4)].clone();
    // Latencies that suit every profile: a probe is answered in time where nothing is wrong.
    let latency_max_us = rng.between(200, 5_000);
    let quality = LinkQuality {
        latency_min: Duration::from_micros(rng.between(50, latency_max_us)),
        latency_max: Duration::from_micros(latency_max_us),
        loss: Ratio::ZERO,
        duplicate: Ratio::ZERO,
        reorder: Ratio::ZERO,
    };
    let calm_ms = CHAOS_FROM_MS + rng.between(10_000, 60_000);
    let mut schedule: Vec<(Instant, Action)> = Vec::new();
    for class in Class::ALL {
        let mut draw =
            Draw { rng: root.fork(1 + class as u64), members, until_ms: calm_ms, quality, steps: Vec::new() };
        let in_use = Ratio { numerator: 1, denominator: 2 }.draw(&mut draw.rng);
        draw.class(class);
        if in_use && !without.contains(&class) {
            schedule.extend(draw.steps);
        }
    }
    // Stable: what is due at one instant keeps the order of its class.
    schedule.sort_by_key(|(at, _)| *at);
    let hosts = (0..members)
        .map(|n| PlannedHost {
            name: format!("m{}", n + 1),
            zone: String::new(),
            permanent: n < permanent,
            peers: (0..permanent.clamp(1, members)).filter(|p| *p != n).map(HostId).collect(),
        })
        .collect();
    assemble(seed, hosts, timings, quality, schedule, Instant::from_millis(calm_ms))
}

/// The whole as a scenario.
fn assemble(
    seed: u64,
    hosts: Vec<PlannedHost>,
    timings: Timings,
    quality: LinkQuality,
    schedule: Vec<(Instant, Action)>,
    calm_at: Instant,
) -> Plan {
    let mut actions: Vec<TimedAction> = schedule
        .into_iter()
        .filter(|(at, _)| *at < calm_at)
        .chain([(calm_at, Action::Calm)])
        .map(|(time, action)| TimedAction { time, line: Some(0), action })
        .collect();
    let start = Duration::ZERO;
    let mut all = start_joins(&hosts, &actions, start);
    all.append(&mut actions);
    let bound = bound(&timings, hosts.len());
    let by = calm_at + bound + STABLE;
    Plan {
        file: format!("seed {seed}"),
        about: format!(
            "Drawn from seed {seed} of a sweep: {} members, and faults that end after {calm_at}. Within {} s of \
             their end everybody has to share one view, and keep it.",
            hosts.len(),
            bound.as_secs()
        ),
        seed,
        duration: Duration::from_nanos(by.as_nanos()),
        skip_impossible: true,
        planted: annulus_core::Planted::default(),
        start,
        hosts,
        timings,
        quality,
        links: Vec::new(),
        actions: all,
        expectations: vec![Expectation {
            line: 0,
            text: format!("one_view = \"{} s\"", STABLE.as_secs()),
            when: When::By { after: calm_at, by },
            what: What::OneView { lasting: STABLE },
        }],
    }
}

/// Within how long after the last fault all running members must share one view.
///
/// A supervisor that was leaving starts again first. Everybody is probed within two rounds of the ring; a
/// suspicion runs its full length; lost members are tried again, twice in case the first try meets one that is
/// itself just coming back; two digest exchanges carry what gossip no longer tells.
fn bound(timings: &Timings, members: usize) -> Duration {
    // A member of the worst local health makes one step back in each round, and rounds get shorter as it does.
    let health_periods = u64::from((timings.local_health_max + 1) * (timings.local_health_max + 2) / 2);
    let rounds_ms = (2 * members as u64 + health_periods) * timings.probe_period_ms;
    // Half as much again for each tenfold above ten members: not more than twice for a thousand.
    let suspicion_ms = 2 * timings.suspicion_timeout_ms_min * u64::from(timings.suspicion_max_factor);
    let repair_ms = 2 * timings.reconnect_period_ms + 2 * timings.sync_period_ms;
    Duration::from_millis(timings.leave_delay_ms + rounds_ms + suspicion_ms + repair_ms)
}

/// One class's share of a schedule.
struct Draw {
    rng: Rng,
    members: u32,
    until_ms: u64,
    quality: LinkQuality,
    steps: Vec<(Instant, Action)>,
}

impl Draw {
    fn class(&mut self, class: Class) {
        let faults = self.rng.between(1, 6);
        for _ in 0..faults {
            let from_ms = self.rng.between(CHAOS_FROM_MS, self.until_ms);
            // Mostly about as long as it takes to notice, sometimes much longer.
            let longest_ms = [2_000, 8_000, 40_000][self.rng.index(3)];
            let to_ms = from_ms + self.rng.between(50, longest_ms);
            let (from, to) = (Instant::from_millis(from_ms), Instant::from_millis(to_ms));
            self.fault(class, from, to);
        }
    }

    fn fault(&mut self, class: Class, from: Instant, to: Instant) {
        let host = self.host();
        match class {
            Class::Crash => self.both(from, Action::Crash(host), to, Action::Restart(host, DiskAfter::Kept)),
            Class::Kill => self.both(from, Action::Kill(host), to, Action::Restart(host, DiskAfter::Kept)),
            Class::Pause => self.both(from, Action::Pause(host), to, Action::Resume(host)),
            Class::Leave => self.both(from, Action::Leave(host), to, Action::Restart(host, DiskAfter::Kept)),
            Class::Disk => {
                let disk = [DiskAfter::Lost, DiskAfter::Old][self.rng.index(2)];
                self.both(from, Action::Crash(host), to, Action::Restart(host, disk));
            }
            Class::Cut => {
                let (mut one, mut other) = (self.hosts(), self.hosts());
                if self.rng.chance(1, 2) {
                    // A partition: every host is on one side or the other.
                    other = (0..self.members).map(HostId).filter(|h| !one.contains(h)).collect();
                }
                one.retain(|h| !other.contains(h));
                let both = self.rng.chance(1, 2);
                let cut = Action::Cut { from: one.clone(), to: other.clone(), both };
                self.both(from, cut, to, Action::Mend { from: one, to: other });
            }
            Class::Link => {
                let (one, other) =
                    (self.hosts(), if self.rng.chance(1, 2) { self.hosts() } else { Vec::new() });
                let set = |quality| Action::SetLink { from: one.clone(), to: other.clone(), quality };
                let (bad, good) = (set(self.bad_quality()), set(self.quality));
                self.both(from, bad, to, good);
            }
            Class::Service => self.service(host, from, to),
        }
    }

    fn service(&mut self, host: HostId, from: Instant, to: Instant) {
        let service = SERVICES[self.rng.index(SERVICES.len())].to_owned();
        let code = self.rng.below(3) as i32;
        let between = from + to.saturating_since(from) / 2;
        let then = self.rng.index(3);
        self.steps.push((from, Action::LoadService { host, service: service.clone() }));
        self.steps.push((between, Action::CrashService { host, service: service.clone(), code }));
        self.steps.push(match then {
            0 => (to, Action::StopService { host, service }),
            1 => (to, Action::UnloadService { host, service }),
            _ => (to, Action::StartService { host, service }),
        });
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
        let is_pause = |a: &Action| matches!(a, Action::Pause(_) | Action::Resume(_));
        let mut pauses = 0;
        for seed in 0..50 {
            let mut all = plan(seed, &[]).actions;
            let some = plan(seed, &[Class::Pause]).actions;
            pauses += all.iter().filter(|timed| is_pause(&timed.action)).count();
            all.retain(|timed| !is_pause(&timed.action));
            assert_eq!(all, some);
        }
        assert!(pauses > 0);
    }
}
