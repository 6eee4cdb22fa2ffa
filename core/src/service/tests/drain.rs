//! Draining, maintenance, and the order of a stop.

use super::*;
use crate::model::prepared::DrainPlan;
use crate::model::service::SpecChange;

fn counted(timeout_ms: u64) -> Prepared {
    Prepared { drain: DrainPlan { timeout_ms: Some(timeout_ms), inflight: true }, ..package() }
}

fn signal(world: &World) -> Option<StopSignal> {
    world.processes.values().next().and_then(|process| process.told)
}

#[test]
fn a_stop_waits_until_nothing_is_in_flight_and_nobody_new_can_come() {
    let mut world = World::load_up_with("web", counted(8_000));
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    let begun = world.now;
    while signal(&world).is_none() {
        let idle = world.now.saturating_since(begun) >= Duration::from_secs(1);
        if let Some(id) = world.outstanding.keys().next().copied() {
            world.answer(id, idle);
        } else {
            world.now = world.due().expect("counts again");
            world.advance(Duration::ZERO);
        }
    }
    let took = world.now.saturating_since(begun);
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_drain_that_does_not_end_is_cut_at_its_deadline() {
    let mut world = World::load_up_with("web", counted(8_000));
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    world.advance(Duration::from_millis(7_999));
    assert_eq!(signal(&world), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(signal(&world), Some(StopSignal::Stop));
}

#[test]
fn without_draining_the_signal_comes_at_once() {
    let mut world = World::load_up_with("web", counted(8_000));
    (world.ring.told, world.ring.alone) = (false, false);
    let (request, how) = (RequestId(world.id()), StopHow { drain: false, ..StopHow::default() });
    world.asked.insert(request, (name("web"), Asked::Stop));
    world.raw_ask(request, name("web"), Ask::Stop(how));
    world.answer_only(true);
    assert_eq!(signal(&world), Some(StopSignal::Stop));
    assert!(world.announced.values().all(|a| !a.accepting));
}

#[test]
fn the_first_hurry_skips_waiting_and_the_second_kills() {
    let mut world = World::load_up_with("web", counted(8_000));
    (world.ring.told, world.ring.alone) = (false, false);
    world.leave(true);
    assert_eq!(signal(&world), None);
    world.hurry();
    assert_eq!(signal(&world), Some(StopSignal::Stop));
    world.hurry();
    assert_eq!(signal(&world), Some(StopSignal::Kill));
    world.exit(&name("web"), ExitStatus::Signal(9));
    assert!(world.all_stopped);
}

#[test]
fn an_operator_s_drain_lasts_and_is_answered_when_nothing_is_in_flight() {
    let mut world = World::load_up_with("web", counted(4_000));
    let drain = world.ask("web", Asked::Drain(None), false);
    assert!(world.view().draining && !world.view().accepting);
    assert_eq!(world.replies.get(&drain), None);
    world.settle();
    assert_eq!(world.replies.get(&drain), Some(&Reply::Done));
    assert!(world.view().draining && world.announced.values().all(|a| a.initialized && !a.accepting));
    let undrain = world.ask("web", Asked::Undrain, false);
    assert_eq!(world.replies.get(&undrain), Some(&Reply::Done));
    assert!(world.view().accepting);
    let again = world.ask("web", Asked::Undrain, false);
    assert_eq!(world.replies.get(&again), Some(&Reply::Unchanged));
}

#[test]
fn what_is_drained_already_is_stopped_without_another_wait() {
    let mut world = World::load_up_with("web", counted(4_000));
    world.ask("web", Asked::Drain(None), false);
    world.settle();
    world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    assert_eq!(signal(&world), Some(StopSignal::Stop));
    assert!(!world.view().draining, "its time for that is over");
    world.settle();
    world.ask("web", Asked::Start, false);
    world.settle();
    assert!(world.view().accepting, "a start ends the drain");
}

#[test]
fn a_drained_service_that_crashes_stays_drained() {
    let mut world = World::load_up("web");
    world.ask("web", Asked::Drain(None), false);
    world.exit(&name("web"), ExitStatus::Code(1));
    world.settle();
    assert!(world.view().draining && !world.view().accepting);
}

#[test]
fn maintenance_is_sticky() {
    let mut world = World::load_up("web");
    let pid = world.view().pid;
    let on = world.ask("web", Asked::Maintain(Some("new disk")), false);
    assert_eq!(world.replies.get(&on), None, "not before it is on disk");
    world.settle();
    assert_eq!(world.replies.get(&on), Some(&Reply::Done));
    assert_eq!((world.view().pid, world.view().accepting), (pid, false));
    world.restart(false);
    world.settle();
    assert_eq!(world.view().maintenance.as_deref(), Some("new disk"));
    assert!(world.announced.values().all(|a| !a.accepting && a.maintenance.is_some()));
    world.ask("web", Asked::Load(Box::new(spec("web", 1))), true);
    world.settle();
    assert_eq!(world.view().maintenance.as_deref(), Some("new disk"), "loading again does not end it");
    world.ask("web", Asked::Maintain(None), false);
    world.settle();
    assert!(world.view().accepting);
}

#[test]
fn an_update_changes_what_is_given_and_restarts_only_where_it_has_to() {
    let mut world = World::load_up("web");
    let pid = world.view().pid;
    let mut update = |change: SpecChange| {
        let request = world.ask("web", Asked::Update(Box::new(change)), false);
        world.settle();
        (world.replies.get(&request).cloned(), world.view())
    };
    let (reply, view) = update(SpecChange { channel: Some("dev".into()), ..SpecChange::default() });
    assert_eq!((reply, view.pid, view.spec.channel.as_str()), (Some(Reply::Done), pid, "dev"));
    let (reply, _) = update(SpecChange { channel: Some("dev".into()), ..SpecChange::default() });
    assert_eq!(reply, Some(Reply::Unchanged));
    let (reply, view) = update(SpecChange { shutdown_timeout_ms: Some(Some(5)), ..SpecChange::default() });
    assert_eq!((reply, view.pid), (Some(Reply::Done), pid));
    let (_, view) = update(SpecChange { group: Some("blue".into()), ..SpecChange::default() });
    assert!(view.pid != pid && view.spec.channel == "dev" && view.group.as_str() == "web.blue@acme");
    let other = Some("core/db".parse().expect("valid"));
    let (reply, _) = update(SpecChange { ident: other, ..SpecChange::default() });
    assert!(matches!(reply, Some(Reply::Failed(CommandError::Package(_)))), "{reply:?}");
}
