//! Leading: the guard is told first and freed last, a demotion ends with its hook, and the lead outlasts what is planned.

use super::ring::{follower, group, leader, load_leader};
use super::*;
use crate::model::election::Readiness;
use crate::model::prepared::DrainPlan;
use crate::model::service::Demoted;

/// A follower whose package has these properties.
pub(super) fn following(package: Prepared) -> World {
    let mut world = load_leader(package);
    world.role("web", follower());
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    world
}

/// A leader whose package has these properties.
pub(super) fn leading(package: Prepared) -> World {
    let mut world = load_leader(package);
    world.role("web", leader(&world, 3_600));
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert!(world.services.acts(&group()));
    world
}

pub(super) fn in_place() -> Prepared {
    Prepared { demoted: Demoted::Reconfigure, ..with_hooks(&[Hook::Reconfigure]) }
}

pub(super) fn readiness(world: &World) -> Readiness {
    world.services.fitness(&group()).expect("its group has a leader").readiness
}

/// The lease effect that is unanswered.
pub(super) fn lease(world: &World) -> (EffectId, Option<Lease>) {
    let found = world.outstanding.iter().find_map(|(id, effect)| match effect {
        Effect::Lease { lease, .. } => Some((*id, lease.clone())),
        _ => None,
    });
    found.expect("a lease is unanswered")
}

fn renders(world: &World) -> usize {
    world.outstanding.values().filter(|effect| matches!(effect, Effect::Render { .. })).count()
}

fn guard(world: &World) -> Option<&Lease> {
    world.processes[&name("web")].guard.as_ref()
}

#[test]
fn no_file_says_that_it_leads_before_its_guard_knows() {
    let mut world = following(in_place());
    world.role("web", leader(&world, 3));
    let (id, given) = lease(&world);
    let resume = given.and_then(|lease| lease.resume).expect("with the right to resume");
    assert_eq!((resume.member, resume.group, resume.term), (ME, group(), 1));
    assert_eq!(renders(&world), 0, "the guard has not answered");
    world.answer(id, true);
    assert_eq!(renders(&world), 1);
    world.settle();
    world.role("web", Role::Leader { term: 2, until: world.now + Duration::from_secs(3) });
    assert_eq!(renders(&world), 0, "a later term is entered before it is told, too");
    world.answer(lease(&world).0, true);
    assert_eq!(renders(&world), 1);
}

#[test]
fn a_process_whose_guard_cannot_be_told_is_replaced_and_never_told() {
    let mut world = following(in_place());
    let pid = world.view().pid;
    world.role("web", leader(&world, 3_600));
    world.answer(lease(&world).0, false);
    assert_eq!(renders(&world), 0);
    assert_eq!(world.view().state, ServiceState::Stopping);
    assert_eq!(readiness(&world), Readiness::Restarting { until: None });
    world.settle();
    assert_ne!(world.view().pid, pid);
    assert!(guard(&world).is_some(), "its successor is started with the lease");
}

#[test]
fn a_renewal_that_fails_leaves_the_earlier_deadline() {
    let mut world = leading(in_place());
    let pid = world.view().pid;
    world.role("web", leader(&world, 7_200));
    world.answer(lease(&world).0, false);
    world.settle();
    assert_eq!(world.view().pid, pid);
    world.role("web", leader(&world, 7_300));
    world.answer_only(true);
    assert_eq!(guard(&world).map(|lease| lease.kill_at), Some(world.now + Duration::from_secs(7_300)));
}

#[test]
fn the_deadline_stays_until_the_reconfigure_hook_has_succeeded() {
    let mut world = leading(in_place());
    let (pid, deadline) = (world.view().pid, guard(&world).map(|lease| lease.kill_at));
    world.role("web", follower());
    let (id, withdrawn) = lease(&world);
    assert_eq!(
        withdrawn,
        deadline.map(|kill_at| Lease { kill_at, resume: None }),
        "only the right goes at once"
    );
    world.answer(id, true);
    let hook = loop {
        let (id, effect) = world.only_effect();
        if matches!(effect, Effect::RunHook { hook: Hook::Reconfigure, .. }) {
            break id;
        }
        world.answer(id, true);
        assert_eq!(guard(&world).map(|lease| lease.kill_at), deadline);
        assert!(world.services.acts(&group()), "it has not been told to the end");
    };
    world.answer(hook, true);
    assert!(!world.services.acts(&group()));
    assert_eq!(lease(&world).1, None, "freed");
    world.settle();
    assert_eq!((world.view().pid, guard(&world)), (pid, None));
}

#[test]
fn a_demotion_whose_hook_fails_ends_the_process() {
    let mut world = leading(in_place());
    let pid = world.view().pid;
    world.role("web", follower());
    while world.processes.values().all(|process| process.told.is_none()) {
        let (id, effect) = world.outstanding.iter().next().map(|(id, e)| (*id, e.clone())).expect("goes on");
        world.answer(id, !matches!(effect, Effect::RunHook { .. }));
        assert!(guard(&world).is_some(), "it still acts");
    }
    assert!(world.services.acts(&group()), "until its tree is empty");
    world.settle();
    assert!(!world.services.acts(&group()));
    assert_ne!(world.view().pid, pid);
}

#[test]
fn a_demotion_whose_files_cannot_be_written_ends_the_process() {
    let mut world = leading(in_place());
    world.role("web", follower());
    world.answer(lease(&world).0, true);
    world.answer_only(false);
    assert!(world.processes.values().all(|process| process.told.is_some() && process.guard.is_some()));
}

#[test]
fn a_demotion_that_hangs_ends_at_the_deadline() {
    let mut world = load_leader(in_place());
    world.guards_kill = true;
    world.role("web", leader(&world, 2));
    world.answer_only(true);
    world.answer_only(true);
    while !world.outstanding.is_empty() {
        let id = *world.outstanding.keys().next().expect("one");
        world.answer(id, true);
    }
    world.advance(Duration::from_millis(1_700));
    world.role("web", follower());
    world.answer(lease(&world).0, true);
    world.answer_only(true);
    assert!(matches!(world.only_effect().1, Effect::RunHook { hook: Hook::Reconfigure, .. }));
    world.advance(Duration::from_millis(300));
    assert!(world.processes.is_empty() && !world.services.acts(&group()));
}

#[test]
fn a_reconfigure_hook_that_ran_already_is_not_the_demotion_s() {
    let mut world = leading(in_place());
    world.changes = Changed { config: true, ..Changed::default() };
    assert!(world.render("web"));
    world.answer_only(true);
    let early = world.only_effect().0;
    world.role("web", follower());
    world.answer(early, true);
    assert!(world.services.acts(&group()), "that hook knew nothing of it");
    world.settle();
    assert!(!world.services.acts(&group()));
}

#[test]
fn who_leads_again_before_it_was_demoted_is_freed_of_nothing() {
    let mut world = leading(in_place());
    world.role("web", follower());
    world.role("web", Role::Leader { term: 3, until: world.now + Duration::from_secs(3_600) });
    world.settle();
    let resume = guard(&world).and_then(|lease| lease.resume.clone()).expect("it leads");
    assert_eq!(resume.term, 3);
    assert!(world.services.acts(&group()));
}

#[test]
fn an_election_that_yields_gets_the_right_to_resume_back_first() {
    let mut world = leading(in_place());
    world.yields(&group());
    let (id, given) = lease(&world);
    assert!(given.is_some_and(|lease| lease.resume.is_none()));
    world.role("web", follower());
    assert!(world.services.acts(&group()));
    world.answer(id, true);
    world.settle();
    assert!(!world.services.acts(&group()));
}

#[test]
fn a_promotion_that_needs_a_restart_keeps_the_lead() {
    let mut world = following(Prepared { has_health_check: true, ..package() });
    let pid = world.view().pid;
    world.changes = Changed { config: true, ..Changed::default() };
    world.role("web", leader(&world, 3_600));
    world.answer(lease(&world).0, true);
    while world.processes.values().all(|process| process.told.is_none()) {
        let id = *world.outstanding.keys().next().expect("goes on");
        world.answer(id, true);
    }
    assert_eq!(readiness(&world), Readiness::Restarting { until: None });
    assert!(world.services.acts(&group()));
    while !world.outstanding.is_empty() {
        let id = *world.outstanding.keys().next().expect("one");
        world.answer(id, true);
    }
    world.exit(&name("web"), ExitStatus::Signal(15));
    let until = Some(world.now + Duration::from_secs(10));
    assert_eq!(readiness(&world), Readiness::Restarting { until });
    assert!(!world.services.acts(&group()), "nothing acts in between");
    world.answer_only(true);
    world.answer_only(true);
    assert!(world.services.acts(&group()), "started as the leader");
    assert_eq!(readiness(&world), Readiness::Restarting { until }, "its health is not known yet");
    let check = world.outstanding.iter().find(|(_, e)| matches!(e, Effect::CheckHealth { .. }));
    let check = *check.expect("it is checked").0;
    world.answer(check, false);
    assert_eq!(readiness(&world), Readiness::Restarting { until }, "a service that warms up is not ill");
    world.settle();
    assert_eq!(readiness(&world), Readiness::Fit);
    assert_ne!(world.view().pid, pid);
}

#[test]
fn a_restart_that_takes_too_long_or_crashes_gives_the_lead_up() {
    for crashes in [false, true] {
        let mut world = leading(Prepared { has_health_check: true, ..package() });
        world.changes = Changed { config: true, ..Changed::default() };
        world.render("web");
        world.answer_only(true);
        world.exit(&name("web"), ExitStatus::Signal(15));
        world.outstanding.retain(|_, effect| matches!(effect, Effect::Prepare { .. }));
        world.answer_only(true);
        world.answer_only(true);
        if crashes {
            world.exit(&name("web"), ExitStatus::Code(1));
        } else {
            world.advance(Duration::from_secs(10));
        }
        assert_eq!(readiness(&world), Readiness::Unfit);
    }
}

#[test]
fn a_crash_or_an_illness_keeps_nothing() {
    let mut world = leading(package());
    world.exit(&name("web"), ExitStatus::Code(1));
    assert_eq!(readiness(&world), Readiness::Unfit);
    assert!(!world.services.acts(&group()));

    let mut world = leading(Prepared { has_health_check: true, ..package() });
    world.ask(
        "web",
        Asked::Update(Box::new(SpecChange {
            health_check_interval_ms: Some(1_000),
            ..SpecChange::default()
        })),
        false,
    );
    world.answer_only(true);
    world.answer_only(false);
    assert_eq!(readiness(&world), Readiness::Unfit);
    world.ask("web", Asked::Stop, false);
    world.answer(*world.outstanding.keys().last().expect("the spec"), true);
    assert_eq!(readiness(&world), Readiness::Unfit, "an ill leader does not wait for its stop");
}

#[test]
fn a_stop_keeps_the_lead_until_the_tree_is_empty_within_a_bound() {
    let drain = DrainPlan { timeout_ms: Some(4_000), inflight: true };
    let mut world = leading(Prepared { drain, ..package() });
    (world.ring.told, world.ring.alone) = (false, false);
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    // Telling the ring, draining, shutting down, and a second.
    let until = world.now + Duration::from_millis(1_000 + 4_000 + 8_000 + 1_000);
    assert_eq!(readiness(&world), Readiness::Stopping { until });
    world.role("web", leader(&world, 7_200));
    assert!(matches!(world.answer_only(true), Effect::Lease { lease: Some(_), .. }), "it is renewed");
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Down));
    assert!(!world.services.acts(&group()));
    assert_eq!(readiness(&world), Readiness::Unfit);
}

#[test]
fn a_stop_that_is_demoted_in_place_drains_as_a_follower() {
    let drain = DrainPlan { timeout_ms: Some(4_000), inflight: true };
    let mut world = leading(Prepared { drain, ..in_place() });
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    assert_eq!(readiness(&world), Readiness::Unfit, "it hands over first");
    assert!(world.view().accepting, "and serves on meanwhile");
    world.yields(&group());
    world.role("web", follower());
    while world.services.acts(&group()) {
        let id = *world.outstanding.keys().next().expect("goes on");
        world.answer(id, true);
    }
    assert_eq!(world.view().state, ServiceState::Stopping);
    assert!(world.processes.values().all(|process| process.told.is_none()), "there is time to drain");
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Down));
}

#[test]
fn a_stop_without_a_successor_does_not_wait_for_one() {
    let mut world = leading(in_place());
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    world.advance(Duration::from_millis(2_999));
    assert_eq!(world.view().state, ServiceState::Up);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.view().state, ServiceState::Stopping);
}

#[test]
fn a_drain_of_a_leader_is_demoted_when_it_is_drained() {
    let drain = DrainPlan { timeout_ms: Some(4_000), inflight: true };
    let mut world = leading(Prepared { drain, ..in_place() });
    let asked = world.ask("web", Asked::Drain(None), false);
    assert!(matches!(readiness(&world), Readiness::Stopping { until } if until > world.now));
    world.settle();
    assert_eq!(world.replies.get(&asked), Some(&Reply::Done));
    assert_eq!(readiness(&world), Readiness::Unfit);
    let pid = world.view().pid;
    world.role("web", follower());
    world.settle();
    assert_eq!((world.view().pid, world.view().draining), (pid, true), "a follower, and drained");
}

#[test]
fn a_lead_that_is_lost_during_the_drain_ends_the_drain() {
    let drain = DrainPlan { timeout_ms: Some(4_000), inflight: true };
    let mut world = leading(Prepared { drain, ..package() });
    (world.ring.told, world.ring.alone) = (false, false);
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    world.role("web", Role::Waiting { why: "no quorum".into() });
    assert!(world.processes.values().all(|process| process.told == Some(StopSignal::Stop)));
}

#[test]
fn a_follower_that_is_moved_waits_for_the_new_group_s_leader() {
    for change in [
        SpecChange { group: Some("blue".into()), ..SpecChange::default() },
        SpecChange { topology: Some(Topology::Standalone), ..SpecChange::default() },
    ] {
        let goes_back = change.topology.is_some();
        let mut world = following(package());
        world.ask("web", Asked::Update(Box::new(change)), false);
        world.settle();
        if goes_back {
            assert_eq!(world.state("web"), Some(ServiceState::Up));
            let back = SpecChange { topology: Some(Topology::Leader), ..SpecChange::default() };
            world.ask("web", Asked::Update(Box::new(back)), false);
            world.settle();
        }
        assert_eq!(world.state("web"), Some(ServiceState::Waiting), "what the last election said is void");
        world.role("web", follower());
        world.settle();
        assert_eq!(world.state("web"), Some(ServiceState::Up));
    }
}

#[test]
fn a_leader_that_is_moved_leads_until_its_processes_have_ended() {
    let mut world = leading(package());
    let away = SpecChange { topology: Some(Topology::Standalone), ..SpecChange::default() };
    (world.ring.told, world.ring.alone) = (false, false);
    world.ask("web", Asked::Update(Box::new(away)), false);
    world.answer_only(true);
    assert!(matches!(readiness(&world), Readiness::Stopping { .. }));
    assert!(world.services.stands_in(&group()));
    world.settle();
    assert!(!world.services.stands_in(&group()) && !world.services.acts(&group()));
}

#[test]
fn a_part_that_changed_during_the_init_hook_is_prepared_for_again() {
    let mut world = load_leader(with_hooks(&[Hook::Init]));
    world.role("web", leader(&world, 3_600));
    world.answer_only(true);
    let init = world.only_effect().0;
    assert!(world.services.acts(&group()), "the hook knows that it leads");
    world.role("web", follower());
    world.answer(init, true);
    assert!(matches!(world.only_effect().1, Effect::Prepare { .. }));
    assert!(!world.services.acts(&group()));
    world.settle();
    assert_eq!((world.state("web"), guard(&world)), (Some(ServiceState::Up), None));
}

#[test]
fn an_adopted_follower_is_left_alone_until_its_part_is_known() {
    let mut world = following(package());
    let pid = world.view().pid;
    world.ring.alone = false;
    world.restart(true);
    world.changes = Changed { config: true, ..Changed::default() };
    world.advance(Duration::ZERO);
    assert!(matches!(world.answer_only(true), Effect::Adopt { .. }));
    assert_eq!(readiness(&world), Readiness::Unknown);
    world.role("web", Role::Waiting { why: "an election is running".into() });
    world.advance(Duration::from_millis(4_000));
    assert!(world.outstanding.is_empty(), "{:?}", world.outstanding);
    world.advance(Duration::from_millis(1_000));
    assert_eq!(readiness(&world), Readiness::Fit, "the election may wait for it");
    // The ring may know of it no longer, and its vote would not count.
    let (look, effect) = world.only_effect();
    assert!(matches!(effect, Effect::Look { .. }), "{effect:?}");
    world.announced.clear();
    world.answer(look, true);
    assert!(world.announced.values().any(|announced| announced.initialized));
    assert!(world.outstanding.is_empty(), "its files still wait for its part");
    world.changes = Changed::default();
    world.role("web", follower());
    world.settle();
    assert_eq!((world.view().pid, world.state("web")), (pid, Some(ServiceState::Up)));
}

#[test]
fn an_adopted_process_gives_the_ring_s_news_time_to_arrive() {
    let mut world = World::load_up("web");
    world.ring.alone = false;
    world.restart(true);
    world.advance(Duration::ZERO);
    world.answer_only(true);
    world.facts("web.default@acme");
    assert!(world.outstanding.is_empty());
    world.advance(Duration::from_millis(999));
    assert!(world.outstanding.is_empty());
    world.advance(Duration::from_millis(1));
    assert!(matches!(world.only_effect().1, Effect::Prepare { .. }));

    let mut world = World::load_up("web");
    world.restart(true);
    world.advance(Duration::ZERO);
    world.answer_only(true);
    world.advance(Duration::from_millis(1_000));
    assert!(world.outstanding.is_empty(), "members that it has forgotten find it with their next probes");
    world.advance(Duration::from_millis(1_000));
    assert!(matches!(world.only_effect().1, Effect::Prepare { .. }));
}

#[test]
fn an_adopted_leader_goes_on_where_it_was() {
    let mut world = leading(package());
    let pid = world.view().pid;
    world.restart(true);
    assert!(world.services.acts(&group()), "its guard holds the right to resume");
    world.advance(Duration::ZERO);
    world.role("web", leader(&world, 3_700));
    world.settle();
    assert_eq!((world.view().pid, readiness(&world)), (pid, Readiness::Fit));
    let kill_at = guard(&world).map(|lease| lease.kill_at);
    assert!(kill_at > Some(world.now), "renewed");
}

#[test]
fn an_adopted_leader_that_gives_up_keeps_no_right_to_resume() {
    let mut world = leading(package());
    world.ring.alone = false;
    let resumes = |world: &World| guard(world).is_some_and(|lease| lease.resume.is_some());
    let resumed = leader(&world, 3_600);
    world.restart(true);
    world.advance(Duration::ZERO);
    world.role("web", resumed);
    world.answer_only(true);
    assert!(resumes(&world), "the guard's word counts until the election's is another");
    let kill_at = guard(&world).map(|lease| lease.kill_at);
    world.role("web", Role::Waiting { why: "too few voters answer".into() });
    let (id, withdrawn) = lease(&world);
    world.answer(id, true);
    assert_eq!(withdrawn.map(|lease| (Some(lease.kill_at), lease.resume)), Some((kill_at, None)));
    world.settle();
    assert!(!world.services.acts(&group()), "a lead that is over is demoted like any other");
}

#[test]
fn an_adopted_leader_that_may_not_resume_is_demoted() {
    for demoted in [Demoted::Restart, Demoted::Reconfigure] {
        let mut world = leading(Prepared { demoted, ..in_place() });
        let pid = world.view().pid;
        world.restart(true);
        world.advance(Duration::ZERO);
        world.role("web", follower());
        assert!(world.services.acts(&group()));
        world.settle();
        assert!(!world.services.acts(&group()));
        assert_eq!(world.view().pid == pid, demoted == Demoted::Reconfigure);
        assert_eq!(guard(&world), None);
    }
}

#[test]
fn a_process_that_was_found_in_the_group_that_its_spec_has_left_is_replaced() {
    for (moved, waits) in [
        (ServiceSpec { group: String::from("blue"), ..spec("web", 0) }, false),
        (ServiceSpec { topology: Topology::Leader, ..spec("web", 0) }, true),
    ] {
        let mut world = World::load_up("web");
        let pid = world.view().pid;
        world.disk.insert(b"web".to_vec(), row::encode(&moved));
        world.restart(true);
        world.settle();
        if waits {
            assert_eq!(world.state("web"), Some(ServiceState::Waiting), "like one that is loaded");
        } else {
            assert!(world.view().pid.is_some_and(|new| Some(new) != pid));
        }
    }
}

#[test]
fn a_late_write_of_an_unloaded_service_comes_before_those_of_the_next() {
    let mut world = World::load_up("web");
    world.render("web");
    let write = world.only_effect().0;
    world.ask("web", Asked::Unload, false);
    let persist = *world.outstanding.keys().last().expect("the spec");
    world.answer(persist, true);
    world.advance(Duration::from_secs(1));
    while let Some(id) = world.outstanding.keys().copied().find(|id| *id != write) {
        world.answer(id, true);
    }
    world.exit(&name("web"), ExitStatus::Signal(15));
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    while let Some(id) = world.outstanding.keys().copied().find(|id| *id != write) {
        world.answer(id, true);
    }
    assert_eq!(world.outstanding.keys().collect::<Vec<_>>(), [&write], "it waits for the last write");
    world.answer(write, true);
    assert!(matches!(world.only_effect().1, Effect::Prepare { .. }));
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

#[test]
fn a_leader_that_ends_while_it_is_demoted_leaves_no_deadline_behind() {
    let mut world = leading(in_place());
    let moved = SpecChange { group: Some("green".into()), ..SpecChange::default() };
    world.ask("web", Asked::Update(Box::new(moved)), false);
    world.answer_only(true);
    assert_eq!(
        (world.state("web"), readiness(&world)),
        (Some(ServiceState::Up), Readiness::Unfit),
        "demoted first"
    );
    // The lease ran out meanwhile.
    world.exit(&name("web"), ExitStatus::Signal(9));
    for _ in 0..40 {
        world.advance(Duration::from_millis(100));
        assert!(world.due().is_none_or(|at| at > world.now), "a time that has come moves it on");
    }
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Waiting));
    let fitness = world.services.fitness(&"web.green@acme".parse().expect("valid")).expect("it has a leader");
    assert_eq!(fitness.readiness, Readiness::Fit, "it may lead its new group");
}
