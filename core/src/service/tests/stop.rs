//! Stops and their times: whose word counts, what a drain waits for, and what the ring hears first.

use super::*;
use crate::model::prepared::DrainPlan;

fn counted(timeout_ms: u64, hooks: &[Hook]) -> Prepared {
    Prepared { drain: DrainPlan { timeout_ms: Some(timeout_ms), inflight: true }, ..with_hooks(hooks) }
}

fn signal(world: &World) -> Option<StopSignal> {
    world.processes.values().next().and_then(|process| process.told)
}

/// An operator's stop with times of its own, on disk.
fn stop(world: &mut World, how: StopHow) {
    let request = RequestId(world.id());
    world.asked.insert(request, (name("web"), Asked::Stop));
    world.raw_ask(request, name("web"), Ask::Stop(how));
    let persist = *world.outstanding.keys().last().expect("the spec");
    world.answer(persist, true);
}

/// Runs until the process is signalled; its requests in flight have ended by then.
fn signalled_after(world: &mut World, idle_after: Duration) -> Duration {
    let begun = world.now;
    while signal(world).is_none() {
        let idle = world.now.saturating_since(begun) >= idle_after;
        if let Some((id, effect)) = world.outstanding.iter().next().map(|(id, effect)| (*id, effect.clone()))
        {
            world.answer(id, idle || !matches!(effect, Effect::CountInflight { .. }));
        } else {
            world.now = world.due().expect("goes on");
            world.advance(Duration::ZERO);
        }
    }
    world.now.saturating_since(begun)
}

#[test]
fn a_drain_waits_for_the_last_request_whatever_its_hook_says() {
    for hooks in [&[][..], &[Hook::Drain]] {
        let mut world = World::load_up_with("web", counted(60_000, hooks));
        stop(&mut world, StopHow::default());
        let took = signalled_after(&mut world, Duration::from_secs(20));
        assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(21), "{hooks:?}: {took:?}");
    }
}

#[test]
fn a_stop_bounds_the_drain_that_an_operator_began() {
    let mut world = World::load_up_with("web", counted(60_000, &[]));
    world.ask("web", Asked::Drain(None), false);
    stop(&mut world, StopHow { drain_timeout_ms: Some(1_000), ..StopHow::default() });
    world.advance(Duration::from_millis(999));
    assert_eq!(signal(&world), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(signal(&world), Some(StopSignal::Stop));
}

#[test]
fn a_process_that_is_replaced_is_drained_like_one_that_is_stopped() {
    let mut world = World::load_up_with("web", counted(60_000, &[]));
    let elsewhere = SpecChange { group: Some("blue".into()), ..SpecChange::default() };
    world.ask("web", Asked::Update(Box::new(elsewhere)), false);
    world.answer_only(true);
    assert_eq!((world.state("web"), signal(&world)), (Some(ServiceState::Stopping), None));
    assert!(signalled_after(&mut world, Duration::from_secs(20)) >= Duration::from_secs(20));
}

#[test]
fn the_command_says_how_long_a_process_has_then_the_spec_then_the_package() {
    for (command, spec, lasts_ms) in
        [(Some(100), Some(5_000), 100), (None, Some(5_000), 5_000), (None, None, 8_000)]
    {
        let mut world = World::load_up("web");
        let change = SpecChange { shutdown_timeout_ms: Some(spec), ..SpecChange::default() };
        world.ask("web", Asked::Update(Box::new(change)), false);
        world.settle();
        stop(&mut world, StopHow { shutdown_timeout_ms: command, ..StopHow::default() });
        assert_eq!(signal(&world), Some(StopSignal::Stop));
        world.advance(Duration::from_millis(lasts_ms - 1));
        assert_eq!(signal(&world), Some(StopSignal::Stop));
        world.advance(Duration::from_millis(1));
        assert_eq!(signal(&world), Some(StopSignal::Kill), "{command:?} {spec:?}");
    }
}

#[test]
fn a_second_stop_that_leaves_less_time_is_obeyed_and_answered_when_it_is_down() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::Drain]));
    let first = world.ask("web", Asked::Stop, false);
    world.answer_only(true);
    world.advance(Duration::from_secs(1));
    assert_eq!(signal(&world), None, "it drains");
    let again = |world: &mut World, how: StopHow| {
        let request = RequestId(world.id());
        world.asked.insert(request, (name("web"), Asked::Stop));
        world.raw_ask(request, name("web"), Ask::Stop(how));
        request
    };
    let same = again(&mut world, StopHow::default());
    assert_eq!(
        (signal(&world), world.replies.get(&same)),
        (None, None),
        "the same order waits with the first"
    );
    let without = again(&mut world, StopHow { drain: false, ..StopHow::default() });
    assert_eq!(signal(&world), Some(StopSignal::Stop));
    let short = StopHow { shutdown_timeout_ms: Some(10), ..StopHow::default() };
    let sooner = again(&mut world, short);
    world.advance(Duration::from_millis(10));
    assert_eq!(signal(&world), Some(StopSignal::Kill));
    world.exit(&name("web"), ExitStatus::Signal(9));
    world.settle();
    for request in [first, same, without, sooner] {
        assert_eq!(world.replies.get(&request), Some(&Reply::Done));
    }
    let late = again(&mut world, StopHow::default());
    assert_eq!(world.replies.get(&late), Some(&Reply::Unchanged), "nothing of it runs");
}

#[test]
fn what_the_last_supervisor_announced_is_withdrawn_before_its_process_is_signalled() {
    let mut world = World::load_up("web");
    world.restart(true);
    world.advance(Duration::ZERO);
    world.answer_only(true);
    assert_eq!(world.inherited.len(), 1, "its package was not looked at yet");
    // One that is to be drained is looked at first: its own word takes the place of the last supervisor's.
    stop(&mut world, StopHow { drain: false, ..StopHow::default() });
    assert_eq!(signal(&world), Some(StopSignal::Stop));
    assert!(world.inherited.is_empty(), "the ring takes it for a server no longer");
}

#[test]
fn what_the_last_supervisor_announced_is_withdrawn_in_time_for_the_ring_to_know() {
    let mut world = World::load_up("web");
    world.restart(true);
    world.advance(Duration::ZERO);
    world.answer_only(true);
    (world.ring.told, world.ring.alone) = (false, false);
    stop(&mut world, StopHow::default());
    // Its package cannot be looked at.
    world.advance(Duration::from_millis(deadline::LOOK_MS));
    assert_eq!((world.inherited.len(), signal(&world)), (0, None), "withdrawn, and not signalled yet");
    world.advance(Duration::from_millis(deadline::ANNOUNCE_MS - 1));
    assert_eq!(signal(&world), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(signal(&world), Some(StopSignal::Stop), "the ring is waited for no longer than that");
}

#[test]
fn commands_that_wait_are_answered_when_the_supervisor_leaves() {
    let mut world = World::load_up("web");
    world.ask("web", Asked::Stop, false);
    let waits = world.ask("web", Asked::Start, false);
    assert_eq!(world.replies.get(&waits), None);
    world.leave(true);
    assert_eq!(world.replies.get(&waits), Some(&Reply::Failed(CommandError::Leaving)));
}
