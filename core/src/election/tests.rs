//! A group of electing members on a network that a test commands: it cuts links, delays disks and crashes members.
//! Every step takes a millisecond.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

use super::*;
use crate::model::context::{Context, Outputs, is_due};
use crate::model::election::{ElectionEvent, ElectionStatus, Readiness};
use crate::model::event::EventKind;
use crate::model::id::{Incarnation, InputId};
use crate::model::metrics::Metrics;
use crate::model::rng::Rng;
use crate::model::time::UnixTime;
use crate::store::vote;

mod lead;

const STEP: Duration = Duration::from_millis(1);

fn id(n: u8) -> MemberId {
    MemberId::from_bytes([n; 16])
}

fn election() -> ElectionId {
    ElectionId::leader("redis.prod".parse().expect("a valid group"))
}

fn update() -> ElectionId {
    ElectionId { purpose: ElectionPurpose::Update, ..election() }
}

struct Member {
    elections: Option<Elections>,
    fitness: Option<Fitness>,
    disk: BTreeMap<alloc::vec::Vec<u8>, alloc::vec::Vec<u8>>,
    role: Option<Role>,
    /// Yields are acknowledged at once, unless a test wants to see what happens until then.
    demotes: bool,
    /// Counts its lives.
    incarnation: u64,
    /// The guard of its process: the end of its lease, at which the process is killed, and the right to resume, with
    /// term and end. The right is withdrawn only with an acknowledged yield, which is the least that a service does.
    acts_until: Option<Instant>,
    resume: Option<(u64, Instant)>,
    /// Its disk refuses writes, or takes so many steps for one.
    disk_fails: bool,
    disk_steps: u32,
}

/// A write on its way.
struct Pending {
    at: Instant,
    owner: u8,
    election: ElectionId,
    write: Write,
}

struct Bench {
    now: Instant,
    members: BTreeMap<u8, Member>,
    cut: BTreeSet<(u8, u8)>,
    banned: BTreeSet<u8>,
    wire: VecDeque<(Instant, u8, u8, Message)>,
    /// How long messages take at most; each takes its own time.
    delay_ms_max: u64,
    chance: Rng,
    stores: VecDeque<Pending>,
    told: VecDeque<ElectionRumor>,
    outputs: Outputs,
    metrics: Metrics,
    /// Every term of an election with its winner.
    won: BTreeMap<(ElectionId, u64), MemberId>,
    sent: usize,
    /// Where the group elects a member that carries out updates: the members that are fit for it.
    updaters: BTreeMap<u8, Fitness>,
}

impl Bench {
    fn new(members: u8) -> Self {
        let mut bench = Self {
            now: Instant::from_millis(1_000),
            members: BTreeMap::new(),
            cut: BTreeSet::new(),
            banned: BTreeSet::new(),
            wire: VecDeque::new(),
            delay_ms_max: 1,
            chance: Rng::from_seed([99; 32]),
            stores: VecDeque::new(),
            told: VecDeque::new(),
            outputs: Outputs::default(),
            metrics: Metrics::default(),
            won: BTreeMap::new(),
            sent: 0,
            updaters: BTreeMap::new(),
        };
        for n in 1..=members {
            bench.add(n);
        }
        bench
    }

    fn add(&mut self, n: u8) {
        let fitness = Some(Fitness { suitability: 0, readiness: Readiness::Fit });
        let member = Member {
            elections: None,
            fitness,
            disk: BTreeMap::new(),
            role: None,
            demotes: true,
            incarnation: 0,
            acts_until: None,
            resume: None,
            disk_fails: false,
            disk_steps: 1,
        };
        self.members.insert(n, member);
        self.start(n);
    }

    /// Starts its supervisor, which finds its disk, and the right to resume where a guard kept one.
    fn start(&mut self, n: u8) {
        let config = Config::new(9638);
        let member = self.members.get_mut(&n).expect("a member");
        member.incarnation += 1;
        let rows = member.disk.iter().map(|(key, value)| vote::decode(key, value).expect("its own row"));
        let rng = Rng::from_seed([n; 32]);
        let incarnation = Incarnation(member.incarnation);
        let rows = rows.collect();
        member.elections = Some(Elections::new(&config, id(n), incarnation, rows, rng, self.now));
        let is_alive = member.acts_until.is_some_and(|until| until > self.now);
        if let Some((term, until)) = member.resume.filter(|_| is_alive) {
            self.with(n, |elections, ctx| elections.handle_resume(ctx, &election(), term, until));
        }
        self.refresh();
    }

    /// Its host is gone, and its process with it.
    fn crash(&mut self, n: u8) {
        let member = self.members.get_mut(&n).expect("a member");
        (member.acts_until, member.resume) = (None, None);
        self.kill(n);
    }

    /// Its supervisor is gone; a process of its service goes on, and so does the guard.
    fn kill(&mut self, n: u8) {
        self.members.get_mut(&n).expect("a member").elections = None;
        self.stores.retain(|pending| pending.owner != n);
        self.refresh();
    }

    /// The member's process does not act any more, and its guard holds no right to resume.
    fn demoted(&mut self, n: u8) {
        let member = self.members.get_mut(&n).expect("a member");
        (member.acts_until, member.resume) = (None, None);
        self.with(n, |elections, ctx| elections.handle_demoted(ctx, &election()));
    }

    fn readiness(&mut self, n: u8, readiness: Readiness) {
        self.fitness(n, Some(Fitness { suitability: 0, readiness }));
    }

    fn reaches(&self, a: u8, b: u8) -> bool {
        !self.cut.contains(&(a.min(b), a.max(b)))
    }

    fn split(&mut self, left: &[u8], right: &[u8]) {
        for a in left {
            for b in right {
                self.cut.insert((*a.min(b), *a.max(b)));
            }
        }
        self.refresh();
    }

    fn heal(&mut self) {
        self.cut.clear();
        self.refresh();
    }

    fn fitness(&mut self, n: u8, fitness: Option<Fitness>) {
        self.members.get_mut(&n).expect("a member").fitness = fitness;
        self.refresh();
    }

    fn with<T>(&mut self, n: u8, act: impl FnOnce(&mut Elections, &mut Context<'_>) -> T) -> Option<T> {
        let elections = self.members.get_mut(&n)?.elections.as_mut()?;
        let mut ctx = Context {
            after: crate::model::context::Follows::Input,
            now: self.now,
            wall: UnixTime::default(),
            input: InputId(1),
            outputs: &mut self.outputs,
            metrics: &mut self.metrics,
        };
        let result = act(elections, &mut ctx);
        elections.check_invariants();
        while let Some(output) = self.outputs.pop() {
            let crate::model::io::Output::Event(event) = output else { continue };
            if let EventKind::Election { election, term, what: ElectionEvent::Won { .. } } = event.kind {
                let winner = *self.won.entry((election, term)).or_insert(id(n));
                assert_eq!(winner, id(n), "two members won term {term}");
            }
        }
        Some(result)
    }

    /// Rumors and failure detection, at once and without error.
    fn refresh(&mut self) {
        let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
        for n in &numbers {
            let mut roll = Roll { size_min: SIZE_MIN, ..Roll::default() };
            for other in &numbers {
                let member = &self.members[other];
                if member.fitness.is_none() {
                    roll.gone.insert(id(*other));
                } else if self.banned.contains(other) {
                    roll.banned.insert(id(*other));
                } else {
                    let alive = member.elections.is_some() && self.reaches(*n, *other);
                    roll.members.insert(id(*other), alive);
                }
            }
            let fitness = self.members[n].fitness;
            let updater = self.updaters.get(n).copied();
            self.with(*n, |elections, ctx| {
                elections.handle_fitness(ctx, &election(), fitness);
                elections.handle_roll(ctx, &election(), roll.clone());
                elections.handle_fitness(ctx, &update(), updater);
                elections.handle_roll(ctx, &update(), roll);
            });
        }
        self.settle();
    }

    /// Carries out events until none is left for this instant; messages arrive a millisecond later.
    fn settle(&mut self) {
        let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
        for n in numbers {
            while let Some(event) = self.with(n, |elections, _| elections.poll_event()).flatten() {
                match event {
                    ElectionsEvent::Send { to, message } => {
                        self.sent += 1;
                        let ms = self.chance.between(1, self.delay_ms_max.max(1));
                        let at = self.now + Duration::from_millis(ms);
                        self.wire.push_back((at, n, to.as_bytes()[0], message));
                    }
                    ElectionsEvent::Store { election, write } => {
                        let at = self.now + STEP * self.members[&n].disk_steps;
                        self.stores.push_back(Pending { at, owner: n, election, write });
                    }
                    ElectionsEvent::Role { election, role, .. } => {
                        if election.purpose == ElectionPurpose::Leader {
                            self.follow(n, role);
                        }
                    }
                    ElectionsEvent::Yield { election } => {
                        if election.purpose == ElectionPurpose::Update {
                            self.with(n, |elections, ctx| elections.handle_demoted(ctx, &election));
                        } else if self.members[&n].demotes {
                            self.demoted(n);
                        }
                    }
                    ElectionsEvent::Tell { outcome, .. } => self.told.push_back(outcome),
                }
            }
        }
    }

    /// The service does what its role asks of it; its guard knows how long it leads before it does so itself.
    fn follow(&mut self, n: u8, role: Role) {
        let member = self.members.get_mut(&n).expect("a member");
        match role {
            Role::Leader { term, until } => {
                (member.acts_until, member.resume) = (Some(until), Some((term, until)));
            }
            Role::Follower { .. } | Role::Waiting { .. } if member.demotes => member.acts_until = None,
            Role::Follower { .. } | Role::Waiting { .. } => {}
        }
        member.role = Some(role);
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        for pending in core::mem::take(&mut self.stores) {
            if pending.at > self.now {
                self.stores.push_back(pending);
                continue;
            }
            let Pending { owner, election, write, .. } = pending;
            let member = self.members.get_mut(&owner).expect("a member");
            let stored = !member.disk_fails;
            if stored {
                member.disk.insert(write.key, write.value.expect("votes are never deleted"));
            }
            self.with(owner, |elections, ctx| elections.handle_stored(ctx, &election, stored));
        }
        for (at, from, to, message) in core::mem::take(&mut self.wire) {
            if at > self.now {
                self.wire.push_back((at, from, to, message));
            } else if self.reaches(from, to) {
                self.with(to, |elections, ctx| elections.handle_message(ctx, id(from), message));
            }
        }
        for outcome in core::mem::take(&mut self.told) {
            let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
            for n in numbers {
                if self.reaches(n, outcome.leader.as_bytes()[0]) {
                    self.with(n, |elections, ctx| elections.handle_outcome(ctx, &outcome));
                }
            }
        }
        let numbers: vec::Vec<u8> = self.members.keys().copied().collect();
        for n in numbers {
            self.with(n, |elections, ctx| {
                if is_due(elections.poll_timeout(), ctx.now) {
                    elections.handle_timeout(ctx);
                }
            });
        }
        self.settle();
        for purpose in ElectionPurpose::ALL {
            let acting = self.acting_for(purpose);
            assert!(acting.len() <= 1, "{acting:?} act for {purpose:?} at {}", self.now);
        }
        let processes = self.processes();
        assert!(processes.len() <= 1, "the processes of {processes:?} act at {}", self.now);
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    /// Runs until a member leads; returns how long that took, in milliseconds.
    fn elect(&mut self, ms_max: u64) -> (u8, u64) {
        for ms in 0..ms_max {
            if let Some(leader) = self.acting().first() {
                return (*leader, ms);
            }
            self.step();
        }
        panic!("no member leads after {ms_max} ms");
    }

    fn view(&self, n: u8) -> Option<ElectionView> {
        self.view_of(n, ElectionPurpose::Leader)
    }

    fn view_of(&self, n: u8, purpose: ElectionPurpose) -> Option<ElectionView> {
        let views = self.members[&n].elections.as_ref()?.views(self.now);
        views.into_iter().find(|view| view.election.purpose == purpose)
    }

    /// The members a process of which acts as the leader, whatever has become of their supervisors.
    fn processes(&self) -> vec::Vec<u8> {
        let acts = |member: &Member| member.acts_until.is_some_and(|until| until > self.now);
        self.members.iter().filter(|(_, member)| acts(member)).map(|(n, _)| *n).collect()
    }

    fn term(&self, n: u8) -> u64 {
        self.view(n).expect("a view").term
    }

    fn acting(&self) -> vec::Vec<u8> {
        self.acting_for(ElectionPurpose::Leader)
    }

    fn acting_for(&self, purpose: ElectionPurpose) -> vec::Vec<u8> {
        let acts = |n: &u8| {
            let view = self.view_of(*n, purpose);
            view.is_some_and(|view| view.acting_until.is_some_and(|until| until > self.now))
        };
        self.members.keys().copied().filter(acts).collect()
    }
}

#[test]
fn three_members_elect_the_greatest_id_within_half_a_second() {
    let mut bench = Bench::new(3);
    let (leader, ms) = bench.elect(2_000);
    assert_eq!(leader, 3);
    assert!(ms <= 500, "{ms} ms");
    bench.run(300);
    for n in 1..=2 {
        assert_eq!(bench.members[&n].role, Some(Role::Follower { term: 1, leader: id(3) }));
        assert_eq!(bench.view(n).expect("a view").status, ElectionStatus::Finished);
    }
    bench.run(20_000);
    assert_eq!(bench.acting(), [3]);
    assert_eq!(bench.won.len(), 1, "a working leader stays: {:?}", bench.won);
}

#[test]
fn suitability_comes_before_the_id() {
    let mut bench = Bench::new(3);
    bench.fitness(1, Some(Fitness { suitability: 7, readiness: Readiness::Fit }));
    assert_eq!(bench.elect(2_000).0, 1);
    bench.fitness(2, Some(Fitness { suitability: 9, readiness: Readiness::Fit }));
    bench.run(5_000);
    assert_eq!(bench.acting(), [1], "a better member does not replace a leader that works");
}

#[test]
fn two_members_wait_for_a_third_and_say_so() {
    let mut bench = Bench::new(2);
    bench.run(10_000);
    assert_eq!(bench.view(1).expect("a view").status, ElectionStatus::Waiting { missing: 1 });
    let Some(Role::Waiting { why }) = &bench.members[&1].role else { panic!("it waits") };
    assert_eq!(why, "waiting for 1 more member");
    assert_eq!(bench.sent, 0, "a member that waits for others asks no voter");
    bench.add(3);
    bench.elect(1_000);
}

#[test]
fn a_dead_leader_is_replaced_within_the_promise_and_a_moment() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(2_000);
    bench.crash(3);
    let (leader, ms) = bench.elect(5_000);
    assert_eq!(leader, 2);
    assert!(ms <= 3_000, "{ms} ms");
    bench.start(3);
    bench.run(5_000);
    assert_eq!(bench.acting(), [2]);
}

#[test]
fn the_side_with_the_majority_elects_and_the_other_gives_up_first() {
    let mut bench = Bench::new(5);
    bench.elect(1_000);
    bench.run(1_000);
    bench.split(&[5, 4], &[1, 2, 3]);
    bench.run(1_800);
    assert_eq!(bench.acting(), [] as [u8; 0], "the old leader has given up");
    assert_eq!(bench.elect(3_000).0, 3);
    bench.run(10_000);
    let before = bench.sent;
    bench.run(60_000);
    let per_second = (bench.sent - before) / 60;
    assert!(per_second < 50, "{per_second} messages a second");
    bench.heal();
    bench.run(5_000);
    assert_eq!(bench.acting(), [3]);
    assert_eq!(bench.members[&5].role, Some(Role::Follower { term: 2, leader: id(3) }));
}

#[test]
fn equal_halves_elect_nobody_until_they_meet_again() {
    let mut bench = Bench::new(4);
    bench.elect(1_000);
    bench.run(1_000);
    bench.split(&[1, 2], &[3, 4]);
    bench.run(30_000);
    assert_eq!(bench.acting(), [] as [u8; 0]);
    assert_eq!(bench.view(1).expect("a view").status, ElectionStatus::NoQuorum);
    bench.heal();
    let (_, ms) = bench.elect(10_000);
    assert!(ms <= 1_000, "{ms} ms after the heal");
}

#[test]
fn a_leader_that_is_drained_hands_over_in_one_round_trip() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    bench.fitness(3, Some(Fitness { suitability: 0, readiness: Readiness::Unfit }));
    let (leader, ms) = bench.elect(1_000);
    assert_eq!(leader, 2);
    assert!(ms <= 10, "{ms} ms");
    assert!(bench.acting() == [2] && !matches!(bench.members[&3].role, Some(Role::Leader { .. })));
}

#[test]
fn a_successor_waits_until_the_old_service_has_stopped_acting() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    bench.members.get_mut(&3).expect("a member").demotes = false;
    bench.fitness(3, None);
    bench.run(500);
    assert_eq!(bench.acting(), [] as [u8; 0], "no member acts while the old process may");
    bench.demoted(3);
    bench.settle();
    assert_eq!(bench.elect(50).0, 2);
}

#[test]
fn a_group_that_restarts_as_a_whole_elects_again() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    for n in 1..=3 {
        bench.crash(n);
    }
    for n in 1..=3 {
        bench.start(n);
    }
    bench.run(2_000);
    assert_eq!(bench.acting(), [] as [u8; 0], "restarted voters keep the promises of their last life");
    let (_, ms) = bench.elect(2_000);
    assert!(ms <= 1_000);
    assert_eq!(bench.won.keys().map(|(_, term)| *term).collect::<vec::Vec<_>>(), [1, 2]);
}

#[test]
fn members_replaced_one_after_the_other_keep_the_group_going() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    for n in 4..=9 {
        let old = n - 3;
        bench.run(3_000);
        bench.crash(old);
        bench.run(4_000);
        bench.add(n);
        bench.run(4_000);
        let (leader, _) = bench.elect(4_000);
        let electorate = bench.members[&leader].elections.as_ref().map(|e| e.electorate(&election()).len());
        assert_eq!(electorate, Some(3), "the newcomer has taken the dead one's seat");
    }
}

#[test]
fn a_ban_of_the_dead_majority_frees_the_rest_together_with_newcomers() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.crash(2);
    bench.crash(3);
    bench.add(4);
    bench.add(5);
    bench.run(20_000);
    assert_eq!(bench.acting(), [] as [u8; 0], "one of three seats is no quorum");
    bench.banned.extend([2, 3]);
    bench.refresh();
    bench.elect(6_000);
    bench.run(2_000);
    let leader = bench.acting()[0];
    let elections = bench.members[&leader].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()), [id(1), id(4), id(5)]);
}

#[test]
fn growth_behind_a_partition_cannot_outvote_the_old_electorate() {
    let mut bench = Bench::new(3);
    bench.elect(1_000);
    bench.run(1_000);
    // 1 is cut off from 2 and 3, of which 3 leads; four newcomers meet only 1.
    bench.split(&[1, 4, 5, 6, 7], &[2, 3]);
    for n in 4..=7 {
        bench.add(n);
    }
    bench.run(20_000);
    assert_eq!(bench.acting(), [3]);
    bench.heal();
    bench.run(5_000);
    let elections = bench.members[&3].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()).len(), 7);
}

#[test]
fn a_group_larger_than_an_electorate_elects_all_the_same() {
    let mut bench = Bench::new(40);
    bench.elect(2_000);
    bench.run(3_000);
    let leader = bench.acting()[0];
    let elections = bench.members[&leader].elections.as_ref().expect("it runs");
    assert_eq!(elections.electorate(&election()).len(), crate::model::limits::ELECTORATE_MAX);
}

/// The faults of a group.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Crash(u8),
    Start(u8),
    Split(u8),
    Heal,
    Unfit(u8),
    Fit(u8),
    Join,
    /// The supervisor dies and its process goes on.
    Kill(u8),
    /// It dies and is started again within a moment.
    Restart(u8),
    /// Its service is not known, is replaced, or is stopped in order.
    Ready(u8, u8),
    /// Its disk refuses writes, is slow, or well again.
    Disk(u8, u8),
    /// Messages take up to so long.
    Delay(u64),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (1_u8..6).prop_map(Trouble::Crash),
        (1_u8..6).prop_map(Trouble::Start),
        (1_u8..32).prop_map(Trouble::Split),
        Just(Trouble::Heal),
        (1_u8..6).prop_map(Trouble::Unfit),
        (1_u8..6).prop_map(Trouble::Fit),
        Just(Trouble::Join),
        (1_u8..6).prop_map(Trouble::Kill),
        (1_u8..6).prop_map(Trouble::Restart),
        (1_u8..6, 0_u8..4).prop_map(|(n, which)| Trouble::Ready(n, which)),
        (1_u8..6, 0_u8..3).prop_map(|(n, which)| Trouble::Disk(n, which)),
        prop_oneof![Just(1), Just(40), Just(300), Just(900)].prop_map(Trouble::Delay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// One winner for each term, one acting leader at each instant (checked after every step), and a leader in the end.
    #[test]
    fn whatever_happens_one_leads(
        members in 3_u8..6, troubles in proptest::collection::vec((trouble(), 1_u64..3_000), 1..10),
    ) {
        let mut bench = Bench::new(members);
        // All members have met before the first fault.
        bench.elect(1_000);
        bench.run(100);
        for (trouble, ms) in troubles {
            let exists = |n: u8| (1..=members).contains(&n);
            match trouble {
                Trouble::Crash(n) if exists(n) => bench.crash(n),
                Trouble::Start(n) if exists(n) && bench.members[&n].elections.is_none() => bench.start(n),
                Trouble::Split(mask) => {
                    let (left, right): (vec::Vec<u8>, vec::Vec<u8>) =
                        bench.members.keys().partition(|n| mask >> (**n % 8) & 1 == 1);
                    bench.split(&left, &right);
                }
                Trouble::Heal => bench.heal(),
                Trouble::Unfit(n) if exists(n) => {
                    bench.fitness(n, Some(Fitness { suitability: 0, readiness: Readiness::Unfit }));
                }
                Trouble::Fit(n) if exists(n) => bench.fitness(n, Some(Fitness { suitability: 3, readiness: Readiness::Fit })),
                Trouble::Join if bench.members.len() < 8 => {
                    let n = bench.members.len() as u8 + 1;
                    bench.add(n);
                }
                Trouble::Kill(n) if exists(n) => bench.kill(n),
                Trouble::Restart(n) if exists(n) => {
                    bench.kill(n);
                    bench.run(ms % 700);
                    bench.start(n);
                }
                Trouble::Ready(n, which) if exists(n) => {
                    let until = bench.now + Duration::from_millis(ms);
                    bench.readiness(n, match which {
                        0 => Readiness::Unknown,
                        1 => Readiness::Restarting { until: Some(until) },
                        2 => Readiness::Restarting { until: None },
                        _ => Readiness::Stopping { until },
                    });
                }
                Trouble::Disk(n, which) if exists(n) => {
                    let member = bench.members.get_mut(&n).expect("a member");
                    (member.disk_fails, member.disk_steps) = (which == 0, if which == 1 { 300 } else { 1 });
                }
                Trouble::Delay(ms) => bench.delay_ms_max = ms,
                _ => {}
            }
            bench.run(ms);
        }
        bench.heal();
        bench.delay_ms_max = 1;
        for member in bench.members.values_mut() {
            (member.disk_fails, member.disk_steps) = (false, 1);
        }
        for n in 1..=bench.members.len() as u8 {
            if bench.members[&n].elections.is_none() {
                bench.start(n);
            }
            bench.fitness(n, Some(Fitness { suitability: 0, readiness: Readiness::Fit }));
        }
        bench.run(8_000);
        bench.elect(10_000);
    }
}

#[test]
fn two_elections_of_one_group_go_their_own_ways() {
    let mut bench = Bench::new(5);
    // The other way round than ids prefer: each purpose finds the member that is best for it.
    bench.updaters =
        (1..=5).map(|n| (n, Fitness { suitability: u64::from(9 - n), readiness: Readiness::Fit })).collect();
    bench.refresh();
    assert_eq!(bench.elect(2_000).0, 5);
    bench.run(1_000);
    assert_eq!((bench.acting(), bench.acting_for(ElectionPurpose::Update)), (vec![5], vec![1]));
    let of = |bench: &Bench, id: &ElectionId| bench.won.keys().filter(|(won, _)| won == id).count();
    assert_eq!((of(&bench, &election()), of(&bench, &update())), (1, 1), "{:?}", bench.won);

    // The member that carries out updates dies: its election goes on, the other one does not notice.
    bench.crash(1);
    bench.run(6_000);
    assert_eq!((bench.acting(), bench.acting_for(ElectionPurpose::Update)), (vec![5], vec![2]));
    assert_eq!((of(&bench, &election()), of(&bench, &update())), (1, 2), "{:?}", bench.won);

    // Without a quorum neither goes on, and after the heal both do, with the rows of their disks.
    bench.split(&[5, 2], &[3, 4]);
    bench.run(6_000);
    assert_eq!((bench.acting().len(), bench.acting_for(ElectionPurpose::Update).len()), (0, 0));
    for n in [2, 3, 4, 5] {
        let member = &bench.members[&n];
        assert_eq!(member.disk.len(), 2, "one row for each election: {:?}", member.disk.keys());
        bench.crash(n);
        bench.start(n);
    }
    bench.heal();
    bench.run(10_000);
    assert_eq!((bench.acting().len(), bench.acting_for(ElectionPurpose::Update)), (1, vec![2]));

    // A member that stands in one of them no longer still votes in both.
    bench.updaters.remove(&2);
    bench.refresh();
    bench.run(6_000);
    assert_eq!(bench.acting_for(ElectionPurpose::Update), [3]);
    assert_eq!(bench.view_of(2, ElectionPurpose::Update), None, "it takes no part in it");
}
