//! Random commands, results, deaths and times, against the invariants of the test's world.

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::{collection, sample};

use super::*;
use crate::model::prepared::DrainPlan;
use crate::model::service::{Demoted, Hook, ObstacleKind, ServiceState, SpecChange};

#[derive(Clone, Debug)]
enum Step {
    Load { service: &'static str, variant: u8, force: bool },
    Ask(&'static str, Asked),
    Answer { which: sample::Index, good: bool },
    Mismatch { which: sample::Index },
    Exit { which: sample::Index, code: i32 },
    Advance { ms: u64 },
    NextDeadline,
    Told(bool),
    Role(&'static str, u8),
    Yields(&'static str),
    Alone(bool),
    Facts { group: &'static str, there: bool },
    Changes { config: bool, hook: Hook },
    Restart { kept: bool },
    Leave { drain: bool },
    Hurry,
}

fn asks() -> impl Strategy<Value = Asked> {
    let topology = SpecChange { topology: Some(Topology::Leader), ..SpecChange::default() };
    let interval = SpecChange { health_check_interval_ms: Some(0), ..SpecChange::default() };
    let binds = SpecChange { binds: Some(vec![String::from("d:db.default@acme")]), ..SpecChange::default() };
    prop_oneof![
        2 => Just(Asked::Unload),
        3 => Just(Asked::Start),
        3 => Just(Asked::Stop),
        1 => sample::select(vec![topology, interval, binds]).prop_map(|c| Asked::Update(Box::new(c))),
        2 => sample::select(vec![None, Some(0), Some(5_000)]).prop_map(Asked::Drain),
        1 => Just(Asked::Undrain),
        1 => sample::select(vec![None, Some("disk")]).prop_map(Asked::Maintain),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let service = || sample::select(&["web", "db"][..]);
    prop_oneof![
        4 => (service(), 0_u8..4, any::<bool>())
            .prop_map(|(service, variant, force)| Step::Load { service, variant, force }),
        7 => (service(), asks()).prop_map(|(service, asked)| Step::Ask(service, asked)),
        24 => (any::<sample::Index>(), prop::bool::weighted(0.8))
            .prop_map(|(which, good)| Step::Answer { which, good }),
        1 => any::<sample::Index>().prop_map(|which| Step::Mismatch { which }),
        4 => (any::<sample::Index>(), 0..3).prop_map(|(which, code)| Step::Exit { which, code }),
        3 => (0_u64..70_000).prop_map(|ms| Step::Advance { ms }),
        4 => Just(Step::NextDeadline),
        2 => any::<bool>().prop_map(Step::Told),
        5 => (service(), 0_u8..7).prop_map(|(service, kind)| Step::Role(service, kind)),
        1 => service().prop_map(Step::Yields),
        1 => any::<bool>().prop_map(Step::Alone),
        2 => any::<bool>().prop_map(|there| Step::Facts { group: "db.default@acme", there }),
        1 => (any::<bool>(), sample::select(Hook::ALL))
            .prop_map(|(config, hook)| Step::Changes { config, hook }),
        2 => any::<bool>().prop_map(|kept| Step::Restart { kept }),
        1 => any::<bool>().prop_map(|drain| Step::Leave { drain }),
        1 => Just(Step::Hurry),
    ]
}

fn packages() -> impl Strategy<Value = Prepared> {
    let hooks = collection::btree_set(sample::select(Hook::ALL), 0..6);
    let demoted = sample::select(Demoted::ALL);
    (hooks, any::<bool>(), any::<bool>(), demoted).prop_map(|(hooks, has_health_check, inflight, demoted)| {
        let drain = DrainPlan { timeout_ms: None, inflight };
        Prepared { hooks, has_health_check, drain, demoted, ..package() }
    })
}

fn role(world: &World, kind: u8) -> Role {
    match kind {
        0 => Role::Waiting { why: String::from("no quorum") },
        1 => Role::Follower { term: 1, leader: MemberId::from_bytes([2; 16]) },
        2..=5 => Role::Leader { term: 1, until: world.now + Duration::from_secs(u64::from(kind)) },
        _ => Role::Leader { term: 2, until: world.now + Duration::from_secs(60) },
    }
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Load { service, variant, force } => {
            world.ask(service, Asked::Load(Box::new(spec(service, variant))), force);
        }
        Step::Ask(service, asked) => drop(world.ask(service, asked, false)),
        Step::Answer { which, good } if !world.outstanding.is_empty() => {
            let ids: Vec<EffectId> = world.outstanding.keys().copied().collect();
            world.answer(*which.get(&ids), good);
        }
        Step::Mismatch { which } if !world.outstanding.is_empty() => {
            let ids: Vec<EffectId> = world.outstanding.keys().copied().collect();
            let id = *which.get(&ids);
            let wrong = match world.outstanding[&id] {
                Effect::Persist { .. } => EffectResult::Signalled,
                _ => EffectResult::Persisted,
            };
            assert!(world.deliver(id, &wrong));
        }
        Step::Exit { which, code } if !world.processes.is_empty() => {
            let names: Vec<ServiceName> = world.processes.keys().cloned().collect();
            let name = which.get(&names);
            // A kept process that is not adopted yet ends unseen.
            if world.services.outbox.awaited(world.processes[name].spawn).is_some() {
                world.exit(name, ExitStatus::Code(code));
            }
        }
        Step::Advance { ms } => world.advance(Duration::from_millis(ms)),
        Step::NextDeadline => {
            if let Some(at) = world.due() {
                assert!(at <= world.now + Duration::from_secs(3_600), "a deadline is near");
                world.now = world.now.max(at);
                world.advance(Duration::ZERO);
            }
        }
        Step::Told(told) => world.ring.told = told,
        Step::Role(service, kind) => world.role(service, role(world, kind)),
        Step::Yields(service) => {
            let group = world.services.group_of(&name(service)).cloned();
            if let Some(group) = group {
                world.yields(&group);
            }
        }
        Step::Alone(alone) => world.ring.alone = alone,
        Step::Facts { group, there: true } => world.serve(group, "port = 1"),
        Step::Facts { group, there: false } => {
            world.ring.groups.clear();
            world.facts(group);
        }
        Step::Changes { config, hook } => {
            world.changes = Changed { config, hooks: BTreeSet::from([hook]), files: config };
        }
        Step::Restart { kept } => world.restart(kept),
        Step::Leave { drain } => world.leave(drain),
        Step::Hurry => world.hurry(),
        Step::Answer { .. } | Step::Mismatch { .. } | Step::Exit { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// `World` checks after every step that processes never overlap, that no spec runs or is acknowledged before it is
    /// stored, that no service takes work while it is signalled, that no process is told that it leads before its guard,
    /// which holds a deadline until the process acts no longer, that no lead is given away meanwhile, and that no service
    /// is stuck; here: the stored specs are those that run in the end.
    #[test]
    fn whatever_happens_what_is_stored_is_what_runs(package in packages(), steps in collection::vec(steps(), 0..90)) {
        let mut world = World::with(package);
        world.guards_kill = true;
        for step in steps {
            take(&mut world, step);
        }
        world.ring.told = true;
        world.changes = Changed::default();
        world.serve("db.default@acme", "port = 1");
        world.settle();
        for service in ["web", "db"] {
            let until = world.now + Duration::from_secs(3_600);
            world.role(service, Role::Leader { term: 9, until });
        }
        world.settle();
        prop_assert!(world.asked.keys().all(|request| world.replies.contains_key(request)), "unanswered");
        let leaving = world.services.leaving != Leaving::No;
        prop_assert_eq!(world.all_stopped, leaving);
        let views = world.services.views();
        prop_assert_eq!(views.len(), world.disk.len());
        for view in views {
            let name = view.spec.name();
            if leaving && view.obstacles.iter().any(|obstacle| obstacle.kind == ObstacleKind::Disk) {
                continue;
            }
            prop_assert_eq!(world.stored(&name), Some(view.spec.clone()), "{} is remembered", name.to_string());
            let wanted = view.spec.desired == DesiredState::Up && !leaving;
            let expected = if wanted { ServiceState::Up } else { ServiceState::Down };
            prop_assert_eq!(view.state, expected, "{:?}", view);
        }
    }
}
