//! How long rumors of each kind take to every member, over many seeds: the share that was not everywhere within the
//! bound, the median and the worst. The digest exchange of every half minute is a safety net; a rumor that needs it shows
//! in the share.

use std::fmt::Write as _;

use annulus_core::{EventKind, FileName, Health, Instant, RumorKey, RumorKind};
use std::time::Duration;

use super::Args;
use super::experiment::{apply, settled};
use super::figures::number;
use crate::action::world::{What, World};
use crate::action::{
    ApplyConfig, CrashService, Depart, Given, HostId, LoadService, Package, PutFile, SetPackage,
};
use crate::engine::lead::Load;
use annulus_core::Rng;

/// Sizes of rings that are measured, each with the time within which a rumor has to be everywhere.
const SIZES: [(u32, Duration); 13] = [
    (3, Duration::from_secs(1)),
    (4, Duration::from_secs(1)),
    (5, Duration::from_secs(1)),
    (7, Duration::from_secs(1)),
    (8, Duration::from_secs(1)),
    (9, Duration::from_secs(1)),
    (10, Duration::from_secs(1)),
    (12, Duration::from_secs(1)),
    (20, Duration::from_secs(1)),
    (33, Duration::from_secs(1)),
    (60, Duration::from_secs(1)),
    (100, Duration::from_secs(1)),
    (1_000, Duration::from_secs(2)),
];
/// How long a rumor is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The rumors that are told, one after the other, in one ring.
const TOLD: [Told; 8] = [
    Told::Service,
    Told::Restart,
    Told::Health,
    Told::Config,
    Told::Again,
    Told::File,
    Told::Outcome,
    Told::Ban,
];
/// Members of the group that elects a leader.
const VOTERS_MAX: u32 = 5;

#[derive(Clone, Copy, Debug)]
enum Told {
    Service,
    /// The service's process ends and is started anew.
    Restart,
    /// Its health check says something else.
    Health,
    Config,
    /// A second version of the configuration.
    Again,
    File,
    /// A group has elected its leader.
    Outcome,
    Ban,
}

impl Told {
    const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Restart => "service again",
            Self::Health => "health",
            Self::Config => "config",
            Self::Again => "config again",
            Self::File => "file",
            Self::Outcome => "outcome of an election",
            Self::Ban => "ban",
        }
    }

    const fn kind(self) -> RumorKind {
        match self {
            Self::Service | Self::Restart => RumorKind::Service,
            Self::Health => RumorKind::ServiceHealth,
            Self::Config | Self::Again => RumorKind::ServiceConfig,
            Self::File => RumorKind::ServiceFile,
            Self::Outcome => RumorKind::Election,
            Self::Ban => RumorKind::Departure,
        }
    }

    /// Lets a member tell it; returns the member that is gone then.
    fn begin(self, world: &mut World, teller: HostId, other: HostId) -> Option<HostId> {
        let service = || "web".to_owned();
        let given = |version: u64, file: Option<FileName>| {
            let group = "web.default".parse().expect("a service group");
            Box::new(Given {
                group,
                file,
                version,
                text: format!("number = {version}\n"),
                bytes: 0,
                sealed: false,
            })
        };
        let healthy = |world: &mut World, health| {
            let package = Box::new(Package { health: Some(health), ..Package::default() });
            apply(world, SetPackage { host: teller, service: service(), package }.into());
        };
        match self {
            Self::Service => {
                healthy(world, Health::Ok);
                let how = Load::default();
                apply(world, LoadService { host: teller, service: service(), how }.into());
            }
            Self::Restart => {
                apply(world, CrashService { host: teller, service: service(), code: 1 }.into());
            }
            Self::Health => healthy(world, Health::Critical),
            Self::Config | Self::Again => {
                let version = if matches!(self, Self::Config) { 1 } else { 2 };
                let given = given(version, None);
                apply(world, ApplyConfig { host: teller, given, wait: None }.into());
            }
            Self::File => {
                let given = given(1, Some("users.acl".parse().expect("a file's name")));
                apply(world, PutFile { host: teller, given, wait: None }.into());
            }
            Self::Outcome => {
                let members = world.hosts().len() as u32;
                for n in 0..members.min(VOTERS_MAX) {
                    let host = HostId((teller.0 + n) % members);
                    let (service, how) = ("redis".to_owned(), Load::led());
                    apply(world, LoadService { host, service, how }.into());
                }
            }
            Self::Ban => apply(world, Depart { by: teller, host: other }.into()),
        }
        matches!(self, Self::Ban).then_some(other)
    }
}

/// Measures rings of each size with so many seeds, or one size where one is given.
pub(super) fn run(args: &Args, seeds: u64, size: Option<u32>) -> String {
    let mut out = String::from(
        "Time until a rumor is at every member, nothing is lost\n\n| members | rumor | seeds | not everywhere within | median | \
         worst |\n|---|---|---|---|---|---|\n",
    );
    let sizes = SIZES.iter().filter(|(members, _)| size.is_none_or(|size| size == *members));
    for (members, bound) in sizes {
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); TOLD.len()];
        for seed in args.seed..args.seed + seeds {
            let args = Args { members: *members, seed, ..args.clone() };
            for (times, time) in times.iter_mut().zip(measure(&args)) {
                times.push(time.map_or(f64::INFINITY, |time| time.as_secs_f64()));
            }
        }
        for (told, mut times) in TOLD.iter().zip(times) {
            times.sort_unstable_by(f64::total_cmp);
            let late = times.iter().filter(|time| **time > bound.as_secs_f64()).count();
            let (median, worst) = (times.get(times.len() / 2), times.last());
            let text = |time: Option<&f64>| time.map_or_else(String::new, |time| number(*time));
            let _ = writeln!(
                out,
                "| {members} | {} | {} | {} s: {} ({:.2} %) | {} s | {} s |",
                told.word(),
                times.len(),
                bound.as_secs(),
                late,
                late as f64 * 100.0 / times.len().max(1) as f64,
                text(median),
                text(worst),
            );
        }
    }
    out
}

/// For each rumor, the time from its acceptance by the first member to that by the last one; none when it was never
/// everywhere.
fn measure(args: &Args) -> Vec<Option<Duration>> {
    let mut world = settled(args);
    let mut key = [0x5a; 32];
    key[..8].copy_from_slice(&args.seed.to_le_bytes());
    let mut rng = Rng::from_seed(key);
    let mut times = Vec::new();
    let draw = |rng: &mut Rng| HostId(rng.below(u64::from(args.members)) as u32);
    let teller = draw(&mut rng);
    let mut other = draw(&mut rng);
    while other == teller {
        other = draw(&mut rng);
    }
    for told in TOLD {
        // Where a member is in its periods must not be the same in each run.
        world.run_until(world.now() + Duration::from_millis(5_000 + rng.below(1_000)));
        world.record(crate::engine::record::Recording::Events);
        drop(world.drain_records());
        let gone = told.begin(&mut world, teller, other);
        times.push(until_everywhere(&mut world, args, told.kind(), gone));
    }
    times
}

fn until_everywhere(
    world: &mut World,
    args: &Args,
    kind: RumorKind,
    gone: Option<HostId>,
) -> Option<Duration> {
    let patience = world.now() + PATIENCE;
    let mut key: Option<(RumorKey, Instant)> = None;
    let mut knows = vec![false; args.members as usize];
    let mut left = args.members - u32::from(gone.is_some());
    while world.now() < patience {
        world.run_until(world.now() + Duration::from_millis(10));
        for record in world.drain_records() {
            let What::Event { host, event } = &record.what else { continue };
            let EventKind::RumorAccepted { key: accepted, .. } = &event.kind else { continue };
            if accepted.kind() != kind || Some(*host) == gone {
                continue;
            }
            let (first, since) = key.get_or_insert_with(|| (accepted.clone(), record.at)).clone();
            if first == *accepted && !std::mem::replace(&mut knows[host.0 as usize], true) {
                left -= 1;
                if left == 0 {
                    return Some(record.at.saturating_since(since));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rumor_is_at_every_member_of_a_small_ring_within_a_second() {
        for members in [3, 7, 9] {
            for seed in 1..=5 {
                let args = Args { members, seed, ..Args::default() };
                for (told, time) in TOLD.iter().zip(measure(&args)) {
                    let in_time = time.is_some_and(|time| time < Duration::from_secs(1));
                    assert!(in_time, "{members} members, seed {seed}, {}: {time:?}", told.word());
                }
            }
        }
    }
}
