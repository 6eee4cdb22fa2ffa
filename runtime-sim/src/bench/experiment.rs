//! The experiments, one function each. An experiment drives a world and reads its records; it changes no protocol
//! setting.

use std::time::Duration;

use annulus_core::{
    EventKind, Incarnation, Instant, KeyedHash, MemberId, MemberRecord, Rng, RumorKind, Sign as _, Snapshot,
    State,
};

use super::{Args, Figure};
use crate::action::Given;
use crate::action::world::{Record, What, World};
use crate::action::{
    Action, ApplyConfig, Crash, Heal, HostId, Join, LinkQuality, LoadService, Partition, Pause, Ratio, Resume,
};
use crate::bench::cpu;
use crate::engine::host::{self, HostSpec};
use crate::engine::lead::Load;
use crate::engine::record::{Counters, Recording};
use crate::engine::view;

/// How long a preloaded ring runs before anything is measured.
const SETTLE: Duration = Duration::from_secs(5);
/// In a ring with a key each member also hears from each other one who it is, and with which keys it can be reached.
const SETTLE_KEYED: Duration = Duration::from_secs(400);
/// How long an experiment waits for the event that it measures.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the halves of a ring do not hear of each other.
const SPLIT: Duration = Duration::from_secs(30);

/// A link in a data centre: 0.5 to 1.5 ms one way.
fn quality(args: &Args) -> LinkQuality {
    LinkQuality {
        latency_min: Duration::from_micros(500),
        latency_max: Duration::from_micros(1_500),
        loss: Ratio { numerator: args.loss, denominator: 100 },
        duplicate: Ratio::ZERO,
        reorder: Ratio::ZERO,
    }
}

fn empty(args: &Args) -> World {
    let mut world = World::new(args.seed, quality(args));
    world.discard_disks();
    world
}

fn spec(args: &Args, number: u32, peers: &[HostId]) -> HostSpec {
    let key_revision = args.keyed.then_some(1);
    HostSpec { peers: peers.to_vec(), key_revision, ..HostSpec::new(format!("m{number}")) }
}

pub(super) fn apply(world: &mut World, action: Action) {
    world.apply(&action).expect("the benchmark does what is possible");
}

/// A ring whose members have known each other for ever, at the moment at which all of them start.
fn preloaded(args: &Args) -> World {
    let mut world = empty(args);
    let mut records: Vec<MemberRecord> = (0..args.members).map(|n| record(args.seed, n)).collect();
    records.sort_unstable_by_key(|r| r.id);
    for number in 0..args.members {
        let key = key(args.seed, number);
        let host = world.add_host(spec(args, number, &[]));
        let members = records.clone();
        let incarnation = Incarnation(0);
        world.preload(host, key, Snapshot { incarnation, members, ..Snapshot::new(key.id()) });
        apply(&mut world, Action::Join(Join { host }));
    }
    world
}

pub(super) fn settled(args: &Args) -> World {
    let mut world = preloaded(args);
    world.run_until(Instant::ZERO + if args.keyed { SETTLE_KEYED } else { SETTLE });
    world
}

fn key(seed: u64, number: u32) -> KeyedHash {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&number.to_le_bytes());
    KeyedHash::new(key)
}

fn record(seed: u64, number: u32) -> MemberRecord {
    let address = host::address(number);
    MemberRecord {
        id: key(seed, number).id(),
        // The incarnation with which a node restored from incarnation 0 starts.
        incarnation: Incarnation(1),
        address: address.ip(),
        swim_port: address.port(),
        gossip_port: address.port(),
        state: State::Alive,
        permanent: false,
    }
}

/// A ring without any events: its running costs.
pub(super) fn idle(args: &Args) -> Vec<Figure> {
    let resident_before = cpu::resident_bytes();
    let mut world = settled(args);
    let resident = cpu::resident_bytes();
    let meter = Meter::start(&world);
    world.run_until(world.now() + Duration::from_secs(args.seconds));
    let mut figures = meter.figures(args, &world);
    let members = f64::from(args.members);
    let memory = resident.zip(resident_before).map(|(after, before)| after.saturating_sub(before) as f64);
    figures.push(Figure::new("bytes_per_member", "bytes of memory per member", memory.map(|m| m / members)));
    figures.push(Figure::new(
        "bytes_per_pair",
        "bytes of memory per member and observer",
        memory.map(|m| m / members / members),
    ));
    figures.push(full_views(args, &world));
    figures
}

/// Counts before a measurement.
struct Meter {
    counters: Counters,
    since: Instant,
    on_cpu_ns: Option<u64>,
}

impl Meter {
    fn start(world: &World) -> Self {
        Self { counters: world.counters().clone(), since: world.now(), on_cpu_ns: cpu::on_cpu_ns() }
    }

    fn figures(&self, args: &Args, world: &World) -> Vec<Figure> {
        let cpu_s = cpu::on_cpu_ns().zip(self.on_cpu_ns).map(|(now, then)| (now - then) as f64 / 1e9);
        let cpu_s = cpu_s.filter(|s| *s > 0.0);
        let virtual_s = world.now().saturating_since(self.since).as_secs_f64();
        let member_s = virtual_s * f64::from(args.members);
        let (now, then) = (world.counters(), &self.counters);
        let messages = (now.datagrams + now.streams - then.datagrams - then.streams) as f64;
        let bytes = (now.datagram_bytes + now.stream_bytes - then.datagram_bytes - then.stream_bytes) as f64;
        let inputs = (now.inputs - then.inputs) as f64;
        vec![
            Figure::new(
                "member_seconds_per_cpu_second",
                "member-seconds per CPU-second",
                cpu_s.map(|s| member_s / s),
            ),
            Figure::new("inputs_per_cpu_second", "inputs handled per CPU-second", cpu_s.map(|s| inputs / s)),
            Figure::new("virtual_s", "virtual seconds measured", virtual_s),
            Figure::new("cpu_s", "CPU-seconds used", cpu_s),
            Figure::new("inputs_per_member_s", "inputs per member and second", inputs / member_s),
            Figure::new("messages_per_member_s", "messages per member and second", messages / member_s),
            Figure::new("bytes_per_member_s", "bytes sent per member and second", bytes / member_s),
        ]
    }
}

/// How many members see exactly the running ones alive.
fn full_views(args: &Args, world: &World) -> Figure {
    let members = view::running_members(world);
    // A sample only: looking at every view would take longer than the measurement.
    let step = (args.members as usize / 1_000).max(1);
    let looked: Vec<HostId> = view::running(world).step_by(step).collect();
    let full = looked.iter().filter(|host| view::sees_alive(world, **host, &members)).count();
    let share = full as f64 * 100.0 / looked.len().max(1) as f64;
    Figure::new("full_views_percent", "percent of views that are exact at the end", share)
}

/// One member crashes.
pub(super) fn kill(args: &Args) -> Vec<Figure> {
    let mut world = settled(args);
    let victim = HostId(args.members / 2);
    let member = world.member_id(victim).expect("it ran");
    world.record(Recording::Events);
    let meter = Meter::start(&world);
    let since = world.now();
    apply(&mut world, Action::Crash(Crash { host: victim }));
    let mut confirmed = vec![None; args.members as usize];
    let mut left = args.members - 1;
    while left > 0 && world.now() < since + PATIENCE {
        world.run_until(world.now() + Duration::from_millis(100));
        for record in world.drain_records() {
            if let Some((observer, id, State::Confirmed)) = change(&record)
                && id == member
                && confirmed[observer.0 as usize].replace(record.at).is_none()
            {
                left -= 1;
            }
        }
    }
    let mut times: Vec<f64> =
        confirmed.iter().flatten().map(|at| at.saturating_since(since).as_secs_f64()).collect();
    times.sort_unstable_by(f64::total_cmp);
    let mut figures = vec![
        Figure::new(
            "kill_first_s",
            "seconds until the first member confirms a crash",
            times.first().copied(),
        ),
        Figure::new("kill_median_s", "seconds until half of the members confirm it", middle(&times)),
        Figure::new("kill_last_s", "seconds until the last member confirms it", last_if(&times, left == 0)),
    ];
    figures.extend(traffic(&meter, args, &world));
    figures
}

/// One member loads a service; how fast does its rumor spread?
pub(super) fn rumor(args: &Args) -> Vec<Figure> {
    let mut world = settled(args);
    world.record(Recording::Events);
    let teller = HostId(0);
    apply(
        &mut world,
        Action::LoadService(LoadService { host: teller, service: "web".to_owned(), how: Load::default() }),
    );
    let patience = world.now() + PATIENCE;
    let mut told = None;
    let mut times = Vec::new();
    let mut knows = vec![false; args.members as usize];
    while times.len() + 1 < args.members as usize && world.now() < patience {
        world.run_until(world.now() + Duration::from_millis(10));
        for record in world.drain_records() {
            let What::Event { host, event } = &record.what else { continue };
            let EventKind::RumorAccepted { key, .. } = &event.kind else { continue };
            if key.kind() != RumorKind::Service {
                continue;
            }
            if *host == teller {
                told.get_or_insert(record.at);
            } else if !std::mem::replace(&mut knows[host.0 as usize], true) {
                times.push(record.at.saturating_since(told.unwrap_or(record.at)).as_secs_f64());
            }
        }
    }
    let all = times.len() + 1 == args.members as usize;
    vec![
        Figure::new("rumor_half_s", "seconds until half of the members know a service rumor", middle(&times)),
        Figure::new("rumor_all_s", "seconds until all members know it", last_if(&times, all)),
    ]
}

/// All members serve one group, and an operator gives it a configuration.
pub(super) fn apply_config(args: &Args) -> Vec<Figure> {
    let mut world = settled(args);
    let service = "web".to_owned();
    for number in 0..args.members {
        apply(
            &mut world,
            Action::LoadService(LoadService {
                host: HostId(number),
                service: service.clone(),
                how: Default::default(),
            }),
        );
    }
    // The measurement begins when all members have heard of every service and no rumor is hot any more.
    world.run_until(world.now() + Duration::from_secs(20));
    world.record(Recording::Events);
    drop(world.drain_records());
    let group = "web.default".parse().expect("a service group");
    let (version, text) = (1, "number = 1\n".to_owned());
    let given = Box::new(Given { group, file: None, version, text, bytes: 0, sealed: false });
    let start = world.now();
    apply(&mut world, ApplyConfig { host: HostId(0), given, wait: None }.into());
    let mut known = Vec::new();
    let mut rendered = vec![None; args.members as usize];
    let all = |rendered: &[Option<f64>]| rendered.iter().all(Option::is_some);
    while !all(&rendered) && world.now() < start + PATIENCE {
        world.run_until(world.now() + Duration::from_millis(10));
        for record in world.drain_records() {
            let What::Event { host, event } = &record.what else { continue };
            let EventKind::RumorAccepted { key, from } = &event.kind else { continue };
            let at = record.at.saturating_since(start).as_secs_f64();
            match key.kind() {
                RumorKind::ServiceConfig => known.push(at),
                // A member spreads its own service's rumor again once the service runs with the new configuration.
                RumorKind::Service if from.is_none() => {
                    rendered[host.0 as usize].get_or_insert(at);
                }
                _ => {}
            }
        }
    }
    let mut times: Vec<f64> = rendered.iter().flatten().copied().collect();
    times.sort_by(f64::total_cmp);
    let is_known = known.len() == args.members as usize;
    vec![
        Figure::new(
            "apply_known_s",
            "seconds until all members know a configuration",
            last_if(&known, is_known),
        ),
        Figure::new("apply_half_s", "seconds until half of the members have rendered it", middle(&times)),
        Figure::new("apply_all_s", "seconds until all have", last_if(&times, all(&rendered))),
    ]
}

/// All members join at once.
pub(super) fn join(args: &Args) -> Vec<Figure> {
    let mut world = empty(args);
    let seed = world.add_host(spec(args, 0, &[]));
    apply(&mut world, Action::Join(Join { host: seed }));
    let mut rng = Rng::from_seed([args.seed.to_le_bytes()[0]; 32]);
    let mut starts: Vec<(u64, HostId)> = Vec::new();
    for number in 1..args.members {
        let host = world.add_host(spec(args, number, &[seed]));
        starts.push((rng.below(1_000_000_000), host));
    }
    starts.sort_unstable();
    let meter = Meter::start(&world);
    for (at, host) in starts {
        world.run_until(Instant::from_nanos(at));
        apply(&mut world, Action::Join(Join { host }));
    }
    let full = until_whole(&mut world, Instant::ZERO + PATIENCE);
    let full_s = full.map(|at| at.saturating_since(Instant::ZERO).as_secs_f64());
    let mut figures = vec![Figure::new(
        "join_full_s",
        "seconds until all members that join within a second know all",
        full_s,
    )];
    figures.extend(traffic(&meter, args, &world));
    figures
}

/// The ring is cut in halves.
pub(super) fn heal(args: &Args) -> Vec<Figure> {
    let mut world = settled(args);
    let (from, to): (Vec<HostId>, Vec<HostId>) = world.hosts().partition(|host| host.0 % 2 == 0);
    apply(&mut world, Action::Partition(Partition { from, to, both: true }));
    world.run_until(world.now() + SPLIT);
    let split = view::running(&world)
        .next()
        .and_then(|host| world.node(host))
        .map(|node| node.members().iter().filter(|m| m.state == State::Alive).count() as f64);
    apply(&mut world, Action::Heal(Heal::EVERYWHERE));
    let since = world.now();
    let meter = Meter::start(&world);
    let whole = until_whole(&mut world, since + PATIENCE);
    let mut figures = vec![
        Figure::new("heal_alive_before", "members that one member holds alive when the cut is mended", split),
        Figure::new(
            "heal_s",
            "seconds until a ring cut in halves for 30 seconds is whole",
            whole.map(|at| at.saturating_since(since).as_secs_f64()),
        ),
    ];
    figures.extend(traffic(&meter, args, &world));
    figures
}

/// One member stands still again and again.
pub(super) fn pauses(args: &Args) -> Vec<Figure> {
    let mut world = settled(args);
    let sleeper = HostId(args.members / 2);
    let member = world.member_id(sleeper).expect("it ran");
    world.record(Recording::Events);
    let end = world.now() + Duration::from_secs(args.seconds);
    let mut tally = Tally::default();
    while world.now() < end {
        for (action, then) in
            [(Action::Pause(Pause { host: sleeper }), 5), (Action::Resume(Resume { host: sleeper }), 15)]
        {
            apply(&mut world, action);
            for _ in 0..then {
                world.run_until(world.now() + Duration::from_secs(1));
                tally.add(&world.drain_records(), Some(member));
            }
        }
    }
    let mut figures = tally.figures();
    figures.push(full_views(args, &world));
    figures
}

/// Verdicts on members that were healthy.
#[derive(Default)]
struct Tally {
    suspected: u64,
    confirmed: u64,
    refuted: u64,
}

impl Tally {
    fn add(&mut self, records: &[Record], except: Option<MemberId>) {
        for record in records {
            match change(record) {
                Some((_, id, _)) if Some(id) == except => {}
                Some((_, _, State::Suspect)) => self.suspected += 1,
                Some((_, _, State::Confirmed)) => self.confirmed += 1,
                _ => {}
            }
            if let What::Event { event, .. } = &record.what
                && matches!(event.kind, EventKind::Refuted { .. })
            {
                self.refuted += 1;
            }
        }
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::new(
                "false_confirmed",
                "times a healthy member was confirmed dead by one",
                self.confirmed as f64,
            ),
            Figure::new(
                "false_suspect",
                "times a healthy member was suspected by one",
                self.suspected as f64,
            ),
            Figure::new("refuted", "times a member refuted", self.refuted as f64),
        ]
    }
}

/// An idle ring on lossy links: false verdicts.
pub(super) fn accusations(args: &Args) -> Vec<Figure> {
    let mut world = settled(args);
    world.record(Recording::Events);
    let meter = Meter::start(&world);
    let mut tally = Tally::default();
    for _ in 0..args.seconds {
        world.run_until(world.now() + Duration::from_secs(1));
        tally.add(&world.drain_records(), None);
    }
    let mut figures = tally.figures();
    figures.extend(traffic(&meter, args, &world));
    figures.push(full_views(args, &world));
    figures
}

fn traffic(meter: &Meter, args: &Args, world: &World) -> Vec<Figure> {
    let wanted = ["messages_per_member_s", "bytes_per_member_s", "cpu_s"];
    meter.figures(args, world).into_iter().filter(|f| wanted.contains(&f.key)).collect()
}

/// Runs until every running member sees exactly the running members alive.
fn until_whole(world: &mut World, patience: Instant) -> Option<Instant> {
    let members = view::running_members(world);
    let hosts: Vec<HostId> = view::running(world).collect();
    // Views only have to be looked at again behind the first one that is not full.
    let mut next = 0;
    while world.now() < patience {
        world.run_until(world.now() + Duration::from_millis(50));
        while next < hosts.len() && view::sees_alive(world, hosts[next], &members) {
            next += 1;
        }
        if next == hosts.len() {
            let all = hosts.iter().all(|host| view::sees_alive(world, *host, &members));
            if all {
                return Some(world.now());
            }
            next = 0;
        }
    }
    None
}

/// The verdicts: which member came to hold which to be what.
fn change(record: &Record) -> Option<(HostId, MemberId, State)> {
    let What::Event { host, event } = &record.what else { return None };
    let EventKind::MemberChanged { member, to, .. } = event.kind else { return None };
    Some((*host, member, to))
}

fn middle(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

fn last_if(sorted: &[f64], all: bool) -> Option<f64> {
    sorted.last().copied().filter(|_| all)
}
