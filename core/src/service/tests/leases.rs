//! Hooks that say that their service leads have leases like processes; a process that outlived its supervisor is stopped
//! as its plan says.

use super::ring::{follower, group, leader, load_leader};
use super::*;
use crate::model::prepared::DrainPlan;
use crate::model::service::Demoted;

/// The hook that is unanswered, with its lease.
fn hook(world: &World, wanted: Hook) -> (EffectId, Option<Lease>) {
    let found = world.outstanding.iter().find_map(|(id, effect)| match effect {
        Effect::RunHook { hook, lease, .. } if *hook == wanted => Some((*id, lease.clone())),
        _ => None,
    });
    found.expect("the hook runs")
}

/// The write of files that is unanswered, with the role that they will speak of.
fn render(world: &World) -> (EffectId, Option<Role>) {
    let found = world.outstanding.iter().find_map(|(id, effect)| match effect {
        Effect::Render { facts, .. } => Some((*id, facts.role.clone())),
        _ => None,
    });
    found.expect("files are being written")
}

/// The member leads and the init hook is the first to be told so.
fn initializing() -> World {
    let mut world = load_leader(with_hooks(&[Hook::Init]));
    world.role("web", leader(&world, 3));
    world.answer_only(true);
    world
}

#[test]
fn an_init_hook_that_says_it_leads_has_a_lease_that_is_renewed() {
    let mut world = initializing();
    let (init, lease) = hook(&world, Hook::Init);
    let until = world.now + Duration::from_secs(3);
    assert_eq!(lease, Some(Lease { kill_at: until, resume: None }), "no process leads on by a hook");
    world.advance(Duration::from_secs(1));
    world.role("web", leader(&world, 3));
    let (id, renewed) =
        world.outstanding.iter().next_back().map(|(id, e)| (*id, e.clone())).expect("it is renewed");
    let Effect::Lease { pid: None, lease: Some(lease), .. } = renewed else { panic!("{renewed:?}") };
    assert_eq!(lease.kill_at, world.now + Duration::from_secs(3));
    // Its guard may not be there yet, or be gone already: the next renewal tries again.
    world.answer(id, false);
    assert_eq!(world.state("web"), Some(ServiceState::Starting));
    world.role("web", leader(&world, 4));
    world.answer(init, true);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert!(world.services.acts(&group()));
}

#[test]
fn an_init_hook_that_was_ended_with_the_lead_is_no_failure() {
    let mut world = initializing();
    world.role("web", Role::Waiting { why: "no quorum".into() });
    assert!(world.services.acts(&group()), "until it has ended");
    world.answer(hook(&world, Hook::Init).0, false);
    assert!(!world.services.acts(&group()));
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Waiting));
    assert_eq!(world.view().restarts, 0);
    world.role("web", follower());
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

/// A leader whose process has just crashed, with a post-stop hook.
fn crashed() -> World {
    let mut world = load_leader(with_hooks(&[Hook::PostStop]));
    world.role("web", leader(&world, 3_600));
    world.settle();
    world.exit(&name("web"), ExitStatus::Code(1));
    world
}

#[test]
fn a_post_stop_hook_that_says_it_leads_holds_the_lead_until_it_has_ended() {
    let mut world = crashed();
    let (post_stop, lease) = hook(&world, Hook::PostStop);
    assert!(lease.is_some_and(|lease| lease.kill_at > world.now));
    world.yields(&group());
    assert!(world.services.acts(&group()));
    world.answer(post_stop, true);
    assert!(!world.services.acts(&group()));
}

#[test]
fn a_post_stop_hook_of_a_former_leader_is_written_anew_first() {
    for written in [true, false] {
        let mut world = load_leader(with_hooks(&[Hook::PostStop]));
        world.role("web", leader(&world, 3_600));
        world.settle();
        world.role("web", follower());
        while world.processes.values().all(|process| process.told.is_none()) {
            let id = *world.outstanding.keys().next().expect("goes on");
            world.answer(id, true);
        }
        world.outstanding.clear();
        world.exit(&name("web"), ExitStatus::Signal(15));
        assert!(!world.services.acts(&group()), "nothing runs");
        let (id, effect) = world.only_effect();
        let Effect::Render { facts, .. } = &effect else { panic!("{effect:?}") };
        assert_eq!(facts.role, Some(follower()));
        world.answer(id, written);
        if written {
            assert_eq!(hook(&world, Hook::PostStop).1, None, "it says nothing of a lead");
        } else {
            let ran = world.outstanding.values().any(|effect| matches!(effect, Effect::RunHook { .. }));
            assert!(!ran && world.view().last_error.is_some_and(|why| why.contains("post-stop")));
        }
        assert!(!world.services.acts(&group()));
        world.settle();
        assert_eq!(world.state("web"), Some(ServiceState::Up));
    }
}

#[test]
fn a_post_stop_hook_waits_for_files_that_are_being_written_when_its_leader_ends() {
    for written in [true, false] {
        let hooks = with_hooks(&[Hook::Reconfigure, Hook::PostStop]);
        let mut world = load_leader(Prepared { demoted: Demoted::Reconfigure, ..hooks });
        world.role("web", leader(&world, 3_600));
        world.settle();
        world.role("web", Role::Waiting { why: "no quorum".into() });
        let id = render(&world).0;
        world.exit(&name("web"), ExitStatus::Signal(9));
        let runs = |world: &World| world.outstanding.values().any(|e| matches!(e, Effect::RunHook { .. }));
        assert!(!runs(&world), "what is on disk still says that it leads");
        world.answer(id, written);
        if !written {
            assert!(!runs(&world), "it still does");
            let (again, role) = render(&world);
            assert!(!matches!(role, Some(Role::Leader { .. })));
            world.answer(again, true);
        }
        assert_eq!(hook(&world, Hook::PostStop).1, None, "it says nothing of a lead");
        assert!(!world.services.acts(&group()));
    }
}

#[test]
fn a_hook_beside_a_process_that_has_ended_holds_the_lead_too() {
    let mut world = load_leader(with_hooks(&[Hook::Suitability]));
    world.role("web", leader(&world, 3_600));
    world.settle();
    world.advance(Duration::from_secs(60));
    let (suitability, lease) = hook(&world, Hook::Suitability);
    assert!(lease.is_some(), "a guard that is not there any more is made with it");
    world.exit(&name("web"), ExitStatus::Code(1));
    assert!(world.services.acts(&group()), "its answer is not here");
    world.answer(suitability, false);
    assert!(!world.services.acts(&group()));
}

/// A process that outlived its supervisor, adopted a moment ago.
fn adopted(package: Prepared) -> World {
    let mut world = World::load_up_with("web", package);
    world.ring.alone = false;
    world.restart(true);
    world.advance(Duration::ZERO);
    world.answer_only(true);
    world
}

fn drained() -> Prepared {
    let drain = DrainPlan { timeout_ms: Some(4_000), inflight: true };
    Prepared { drain, shutdown_timeout_ms: 20_000, ..package() }
}

#[test]
fn a_stop_of_an_adopted_process_looks_at_its_package_first() {
    let mut world = adopted(drained());
    let asked = world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    let (look, effect) = world.only_effect();
    let Effect::Look { spec, .. } = &effect else { panic!("{effect:?}") };
    assert!(spec.ident.is_fully_qualified(), "the package of the process, not the newest");
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    world.answer(look, true);
    assert!(world.announced.values().any(|a| a.initialized && !a.accepting), "the ring is told first");
    assert!(world.outstanding.values().any(|effect| matches!(effect, Effect::CountInflight { .. })));
    world.advance(Duration::from_millis(4_000));
    let told = |world: &World| world.processes.get(&name("web")).and_then(|process| process.told);
    assert_eq!(told(&world), Some(StopSignal::Stop), "drained");
    world.advance(Duration::from_millis(19_999));
    assert_eq!(told(&world), Some(StopSignal::Stop));
    world.advance(Duration::from_millis(1));
    assert_eq!(told(&world), Some(StopSignal::Kill), "after the time of its plan");
    world.settle();
    assert_eq!(world.replies.get(&asked), Some(&Reply::Done));
}

#[test]
fn a_package_that_cannot_be_looked_at_delays_no_stop_and_the_launcher_knows_its_time() {
    for answers in [true, false] {
        let mut world = adopted(drained());
        world.ask("web", Asked::Stop, false);
        world.answer_only(true);
        if answers {
            world.answer_only(false);
        } else {
            world.advance(Duration::from_millis(3_000));
        }
        let told = |world: &World| world.processes.get(&name("web")).and_then(|process| process.told);
        assert_eq!(told(&world), Some(StopSignal::Stop));
        world.advance(Duration::from_millis(19_999));
        assert_eq!(told(&world), Some(StopSignal::Stop));
        world.advance(Duration::from_millis(1));
        assert_eq!(told(&world), Some(StopSignal::Kill));
    }
}

#[test]
fn a_stop_that_is_taken_back_leaves_an_adopted_process_alone() {
    let mut world = adopted(drained());
    let pid = world.view().pid;
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    let look = world.only_effect().0;
    world.ask("web", Asked::Start, false);
    world.answer(*world.outstanding.keys().next_back().expect("the spec"), true);
    world.answer(look, true);
    world.settle();
    assert_eq!((world.view().pid, world.state("web")), (pid, Some(ServiceState::Up)));
}

#[test]
fn restarts_are_counted_on() {
    let mut world = World::load_up("web");
    for count in 1..4 {
        world.exit(&name("web"), ExitStatus::Code(1));
        world.settle();
        assert_eq!(world.view().restarts, count);
        world.restart(true);
        world.settle();
        assert_eq!(world.view().restarts, count);
    }
}
