//! Loading, starting and stopping, as an operator sees them.

use super::*;
use crate::model::service::{ObstacleKind, ServiceState};

fn load(world: &mut World, request: RequestId, service: &str) {
    let ask = Ask::Load { spec: Box::new(spec(service, 0)), force: false };
    world.services.handle_ask(ctx!(world), &world.ring, request, name(service), ask);
}

#[test]
fn a_service_runs_only_after_its_spec_is_stored() {
    let mut world = World::new();
    let request = world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    assert_eq!(world.replies.get(&request), None, "nothing is stored yet");
    assert!(matches!(world.answer_only(true), Effect::Persist { .. }));
    assert_eq!(world.replies.get(&request), Some(&Reply::Done));
    assert!(matches!(world.answer_only(true), Effect::Prepare { .. }));
    let Effect::Spawn { group, .. } = world.answer_only(true) else { panic!("not spawned") };
    assert_eq!(group.as_str(), "web.default@acme");
    assert!(world.outstanding.is_empty());
    let said = world.announced.get(&group).expect("announced");
    assert!(said.initialized && said.pkg.is_fully_qualified() && said.cfg == b"port = 1");
}

#[test]
fn every_state_is_reached() {
    let mut world = World::load_up("web");
    world.exit(&"web".parse().expect("valid"), ExitStatus::Code(1));
    assert_eq!(world.state("web"), Some(ServiceState::Backoff));
    world.settle();
    world.ask("web", Asked::Stop, false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Down));
    let elsewhere = [ServiceState::Waiting, ServiceState::Failed];
    assert!(
        ServiceState::ALL.iter().all(|s| elsewhere.contains(s) != world.seen.contains(s)),
        "{:?}",
        world.seen
    );
}

#[test]
fn a_spec_that_cannot_be_stored_changes_nothing() {
    let mut world = World::new();
    let load = world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(false);
    let not_durable = Reply::Failed(CommandError::NotDurable(String::from("disk full")));
    assert_eq!(world.replies.get(&load), Some(&not_durable));
    assert!(world.services.views().is_empty() && world.due().is_none());

    let mut world = World::load_up("web");
    let interval = SpecChange { health_check_interval_ms: Some(5), ..SpecChange::default() };
    let update = world.ask("web", Asked::Update(Box::new(interval)), false);
    let maintain = world.ask("web", Asked::Maintain(Some("disk")), false);
    world.answer_only(false);
    world.answer_only(false);
    assert_eq!(world.replies.get(&update), Some(&not_durable));
    assert_eq!(world.replies.get(&maintain), Some(&not_durable));
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert_eq!(world.services.views()[0].spec, spec("web", 0));
}

#[test]
fn loading_again() {
    let mut world = World::load_up("web");
    let same = world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    assert_eq!(world.replies.get(&same), Some(&Reply::Unchanged));
    let other = world.ask("web", Asked::Load(Box::new(spec("web", 1))), false);
    let conflict = CommandError::Conflict("core/web".parse().expect("valid"));
    assert_eq!(world.replies.get(&other), Some(&Reply::Failed(conflict)));

    let pid = world.services.views()[0].pid;
    world.ask("web", Asked::Load(Box::new(spec("web", 3))), true);
    world.settle();
    assert_eq!(world.services.views()[0].pid, pid, "a stop timeout needs no restart");
    world.ask("web", Asked::Load(Box::new(spec("web", 1))), true);
    world.answer_only(true);
    assert_eq!(world.state("web"), Some(ServiceState::Stopping));
    world.settle();
    assert_eq!(world.announced.len(), 1, "out of the old group");
    let view = &world.services.views()[0];
    assert!(view.pid != pid && view.group.as_str() == "web.prod@acme" && view.restarts == 0, "{view:?}");
}

#[test]
fn loading_a_stopped_service_starts_it() {
    let mut world = World::load_up("web");
    world.ask("web", Asked::Stop, false);
    world.settle();
    let again = world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.settle();
    assert_eq!(world.replies.get(&again), Some(&Reply::Done));
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

#[test]
fn unknown_services_are_named() {
    let mut world = World::new();
    for asked in [Asked::Unload, Asked::Start, Asked::Stop] {
        let request = world.ask("db", asked, false);
        let expected = CommandError::NotLoaded("db".parse().expect("valid"));
        assert_eq!(world.replies.get(&request), Some(&Reply::Failed(expected)));
    }
    assert!(world.services.slots.is_empty(), "asking leaves nothing behind");
}

#[test]
fn the_ring_hears_of_a_stop_before_the_process_and_kill_comes_at_the_deadline() {
    let mut world = World::load_up("web");
    let stop = world.ask("web", Asked::Stop, false);
    (world.ring.told, world.ring.alone) = (false, false);
    world.answer_only(true);
    assert!(world.announced.values().all(|a| a.initialized && !a.accepting));
    assert!(world.outstanding.is_empty(), "not before others have heard of it");
    world.ring.told = true;
    world.advance(Duration::ZERO);
    assert!(matches!(world.answer_only(true), Effect::Signal { signal: StopSignal::Stop, .. }));
    world.advance(Duration::from_millis(7_999));
    assert!(world.outstanding.is_empty());
    assert_eq!(world.due(), Some(world.now + Duration::from_millis(1)));
    world.advance(Duration::from_millis(1));
    assert!(matches!(world.answer_only(true), Effect::Signal { signal: StopSignal::Kill, .. }));
    assert_eq!((world.due(), world.replies.get(&stop)), (None, None));
    world.exit(&"web".parse().expect("valid"), ExitStatus::Signal(9));
    assert_eq!(world.replies.get(&stop), Some(&Reply::Done));
}

#[test]
fn a_stop_while_starting_waits_for_the_process_and_then_ends_it() {
    let mut world = World::new();
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(true);
    world.answer_only(true);
    let stop = world.ask("web", Asked::Stop, false);
    let mut effects: Vec<EffectId> = world.outstanding.keys().copied().collect();
    assert_eq!(effects.len(), 2, "a spawn and a write");
    world.answer(effects.pop().expect("the write"), true);
    assert_eq!(world.replies.get(&stop), None);
    world.answer(effects.pop().expect("the spawn"), true);
    assert_eq!(world.state("web"), Some(ServiceState::Stopping));
    let start = world.ask("web", Asked::Start, false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert_eq!(
        (world.replies.get(&stop), world.replies.get(&start)),
        (Some(&Reply::Done), Some(&Reply::Done))
    );
}

#[test]
fn a_load_while_unloading_comes_after_it() {
    let mut world = World::load_up("web");
    let unload = world.ask("web", Asked::Unload, false);
    let load = world.ask("web", Asked::Load(Box::new(spec("web", 1))), false);
    let stop = world.ask("db", Asked::Stop, false);
    assert!(world.replies.contains_key(&stop), "other services do not wait");
    world.answer_only(true);
    assert!(world.stored(&"web".parse().expect("valid")).is_none());
    assert_eq!((world.replies.get(&unload), world.replies.get(&load)), (None, None));
    world.settle();
    assert_eq!(
        (world.replies.get(&unload), world.replies.get(&load)),
        (Some(&Reply::Done), Some(&Reply::Done))
    );
    assert_eq!(world.services.views()[0].spec, spec("web", 1));
}

#[test]
fn failures_wait_longer_until_the_service_has_run_for_a_while() {
    let mut world = World::load_up("web");
    let web: ServiceName = "web".parse().expect("valid");
    let mut last_ms = 0;
    for n in 1..=6 {
        world.exit(&web, ExitStatus::Code(1));
        let due = world.services.views()[0].next_start.expect("waits");
        let wait_ms = u64::try_from(due.saturating_since(world.now).as_millis()).expect("short");
        assert!(wait_ms >= last_ms, "{n}: {wait_ms} after {last_ms}");
        last_ms = wait_ms;
        world.settle();
        assert_eq!(world.services.views()[0].restarts, n);
    }
    assert!(last_ms >= 800);
    world.advance(Duration::from_secs(60));
    world.exit(&web, ExitStatus::Code(1));
    let view = &world.services.views()[0];
    assert_eq!(view.next_start, Some(world.now + Duration::from_millis(50)));
    assert_eq!(view.last_exit, Some(ExitStatus::Code(1)));
    let start = world.ask("web", Asked::Start, false);
    assert_eq!(world.replies.get(&start), Some(&Reply::Done));
    assert_eq!(world.state("web"), Some(ServiceState::Starting), "an operator's start does not wait");
}

#[test]
fn a_package_that_is_not_there_is_tried_again() {
    let mut world = World::new();
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(true);
    world.answer_only(false);
    let view = &world.services.views()[0];
    assert_eq!((view.state, view.last_error.as_deref()), (ServiceState::Backoff, Some("not installed")));
    assert!(world.announced.is_empty());
    world.settle();
    assert_eq!((world.state("web"), world.services.views()[0].restarts), (Some(ServiceState::Up), 0));
    assert_eq!(world.services.views()[0].last_error, None);
}

#[test]
fn leaving_stops_all_at_once_and_hurrying_kills() {
    let mut world = World::load_up("web");
    world.ask("db", Asked::Load(Box::new(spec("db", 0))), false);
    world.settle();
    world.leave(true);
    assert_eq!(world.outstanding.len(), 2, "both are told");
    let late = world.ask("web", Asked::Start, false);
    assert_eq!(world.replies.get(&late), Some(&Reply::Failed(CommandError::Leaving)));
    world.exit(&"web".parse().expect("valid"), ExitStatus::Code(0));
    assert!(!world.all_stopped);
    world.hurry();
    world.hurry();
    let db: ServiceName = "db".parse().expect("valid");
    assert_eq!(world.processes[&db].told, Some(StopSignal::Kill));
    world.exit(&db, ExitStatus::Signal(9));
    assert!(world.all_stopped);
    assert!(world.services.views().iter().all(|v| v.spec.desired == DesiredState::Up), "a restart runs them");
}

#[test]
fn leaving_without_services_is_over_at_once() {
    let mut world = World::new();
    world.leave(true);
    assert!(world.all_stopped);
}

#[test]
fn limits_are_answered() {
    let mut world = World::new();
    let bad = ServiceSpec { group: String::from("a.b"), ..spec("web", 0) };
    let request = world.ask("web", Asked::Load(Box::new(bad)), false);
    let Some(Reply::Failed(CommandError::Package(words))) = world.replies.get(&request) else {
        panic!("taken")
    };
    assert!(words.contains("\"a.b\""), "{words}");
    for n in 0..limits::SERVICES_MAX {
        let name = format!("s{n}");
        load(&mut world, RequestId(n as u64), &name);
    }
    let one_more = RequestId(u64::MAX);
    load(&mut world, one_more, "more");
    let last = core::iter::from_fn(|| world.services.poll_event()).last();
    let refused = |r: &Reply| matches!(r, Reply::Failed(CommandError::Limit(_)));
    assert!(matches!(&last, Some(ServiceEvent::Reply(_, r)) if refused(r)), "{last:?}");
    for n in 0..=limits::SERVICE_COMMANDS_MAX as u64 {
        world.services.handle_ask(
            ctx!(world),
            &world.ring,
            RequestId(n),
            name("s0"),
            Ask::Stop(StopHow::default()),
        );
    }
    let last = core::iter::from_fn(|| world.services.poll_event()).last();
    assert!(matches!(&last, Some(ServiceEvent::Reply(_, r)) if refused(r)), "{last:?}");
}

#[test]
fn an_organization_that_makes_a_group_too_long_is_an_error_of_the_start() {
    let long = ServiceSpec { group: "g".repeat(249), ..spec("web", 0) };
    let mut world = World::new();
    world.services = machine(vec![long], Vec::new(), Instant::ZERO, &world.ring);
    world.services.handle_timeout(ctx!(world), &world.ring);
    let view = &world.services.views()[0];
    assert_eq!(view.state, ServiceState::Backoff);
    assert!(view.last_error.as_ref().is_some_and(|e| e.contains("acme")), "{view:?}");
}

#[test]
fn a_stop_that_the_disk_does_not_take_is_carried_out_and_stored_later() {
    for asked in [Asked::Stop, Asked::Unload] {
        let mut world = World::load_up("web");
        let request = world.ask("web", asked, false);
        world.answer_only(false);
        assert_eq!(world.state("web"), Some(ServiceState::Stopping), "what fills the disk is stopped");
        let shown = world.view().obstacles;
        assert!(shown[0].kind == ObstacleKind::Disk && shown[0].what.ends_with("disk full"), "{shown:?}");
        world.answer_only(true);
        assert!(!world.replies.contains_key(&request), "answered when nothing is left");
        world.exit(&name("web"), ExitStatus::Signal(15));
        let said = Reply::Failed(CommandError::NotStored("disk full".into()));
        assert_eq!(world.replies.get(&request), Some(&said));
        assert_eq!(world.state("web"), Some(ServiceState::Down));
        for stored in [false, true] {
            let at = world.due().expect("tried again");
            assert!(at > world.now && at <= world.now + Duration::from_secs(5));
            world.now = at;
            world.advance(Duration::ZERO);
            assert!(matches!(world.answer_only(stored), Effect::Persist { .. }));
        }
        assert_eq!((world.view().obstacles, world.due()), (vec![], None));
        assert_eq!(world.stored(&name("web")).map(|spec| spec.desired), Some(DesiredState::Down));
    }
}

#[test]
fn a_stop_is_asked_for_again_while_the_disk_has_not_taken_it() {
    let mut world = World::load_up("web");
    world.ask("web", Asked::Stop, false);
    world.answer_only(false);
    world.answer_only(true);
    world.exit(&name("web"), ExitStatus::Signal(15));
    let again = world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    assert_eq!(world.replies.get(&again), Some(&Reply::Done));
    assert_eq!(world.view().obstacles, []);
    // A service that the disk still wants up can be started again without it.
    let mut world = World::load_up("web");
    world.ask("web", Asked::Stop, false);
    world.answer_only(false);
    world.settle();
    let start = world.ask("web", Asked::Start, false);
    world.settle();
    assert_eq!(world.replies.get(&start), Some(&Reply::Done));
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

#[test]
fn an_operators_restart_replaces_the_process_in_order_and_keeps_the_spec() {
    let mut world = World::load_up("web");
    let (pid, stored) = (world.view().pid, world.view().spec);
    let request = world.ask("web", Asked::Restart, false);
    assert_eq!(world.replies.get(&request), Some(&Reply::Done), "it is answered at once");
    assert_eq!(world.state("web"), Some(ServiceState::Stopping), "in order");
    world.settle();
    let view = world.view();
    assert!(view.state == ServiceState::Up && view.pid.is_some() && view.pid != pid, "{view:?}");
    assert_eq!((view.spec, view.restarts), (stored, 0), "it is no failure");

    // In a back-off, or after the supervisor gave up, it is tried now.
    world.exit(&name("web"), ExitStatus::Code(1));
    assert_eq!(world.state("web"), Some(ServiceState::Backoff));
    world.ask("web", Asked::Restart, false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));

    // What is wanted down stays down.
    world.ask("web", Asked::Stop, false);
    world.settle();
    let request = world.ask("web", Asked::Restart, false);
    world.settle();
    assert_eq!(world.replies.get(&request), Some(&Reply::Unchanged));
    assert_eq!(world.state("web"), Some(ServiceState::Down));
}
