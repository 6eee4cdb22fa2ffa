//! Hooks in their order, deadlines, files that change, health.

use super::*;
use crate::model::service::{Health, Hook, ServiceState, SpecChange};

fn run_hooks(world: &World) -> Vec<Hook> {
    world.hooks.clone()
}

#[test]
fn hooks_run_in_the_order_of_a_service_s_life() {
    let mut world = World::load_up_with("web", with_hooks(Hook::ALL));
    assert_eq!(run_hooks(&world), [Hook::Init, Hook::PostRun]);
    world.hooks.clear();
    world.ask("web", Asked::Stop, false);
    world.settle();
    assert_eq!(run_hooks(&world), [Hook::Drain, Hook::PostStop]);
    assert_eq!(world.state("web"), Some(ServiceState::Down));
    assert!(world.announced.is_empty());
}

#[test]
fn an_init_hook_that_fails_or_hangs_backs_off_and_nothing_is_spawned() {
    let mut world = World::with(with_hooks(&[Hook::Init]));
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(true);
    world.answer_only(true);
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert!(matches!(world.answer_only(false), Effect::RunHook { hook: Hook::Init, .. }));
        let view = world.view();
        assert_eq!(view.state, ServiceState::Backoff);
        assert!(view.last_error.is_some_and(|e| e.contains("init hook did not end in time")));
        let at = view.next_start.expect("waits");
        waits.push(at.saturating_since(world.now));
        world.now = at;
        world.advance(Duration::ZERO);
        assert!(matches!(world.answer_only(true), Effect::Prepare { .. }));
    }
    assert!(waits.is_sorted() && waits.iter().all(|wait| !wait.is_zero()), "{waits:?}");
    assert!(world.processes.is_empty());
}

#[test]
fn a_post_run_hook_that_fails_is_run_again_later_and_disturbs_nothing() {
    let mut world = World::with(with_hooks(&[Hook::PostRun]));
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    for _ in 0..3 {
        world.answer_only(true);
    }
    for _ in 0..4 {
        assert!(matches!(world.answer_only(false), Effect::RunHook { hook: Hook::PostRun, .. }));
        assert_eq!(world.state("web"), Some(ServiceState::Up));
        let at = world.due().expect("later");
        assert!(at > world.now);
        world.now = at;
        world.advance(Duration::ZERO);
    }
    world.answer_only(true);
    assert_eq!(world.due(), None);
}

#[test]
fn the_next_start_waits_for_the_post_stop_hook_also_after_a_crash() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::PostStop]));
    world.exit(&name("web"), ExitStatus::Code(1));
    assert_eq!(world.state("web"), Some(ServiceState::Stopping));
    world.advance(Duration::from_secs(30));
    assert!(matches!(world.answer_only(true), Effect::RunHook { hook: Hook::PostStop, .. }));
    assert_eq!(world.state("web"), Some(ServiceState::Backoff));
}

#[test]
fn too_many_failures_are_given_up_until_an_operator_starts_again() {
    let mut world = World::load_up("web");
    for n in 1..200 {
        world.exit(&name("web"), ExitStatus::Signal(11));
        assert_eq!(world.state("web"), Some(ServiceState::Backoff), "{n}");
        world.settle();
    }
    world.exit(&name("web"), ExitStatus::Signal(11));
    let view = world.view();
    assert_eq!((view.state, view.health), (ServiceState::Failed, Health::Critical));
    assert_eq!(view.last_exit, Some(ExitStatus::Signal(11)));
    assert_eq!(world.due(), None);
    let start = world.ask("web", Asked::Start, false);
    assert_eq!(world.replies.get(&start), Some(&Reply::Done));
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert_eq!(world.view().restarts, 0);
    world.exit(&name("web"), ExitStatus::Signal(11));
    assert_eq!(world.state("web"), Some(ServiceState::Backoff), "failures are counted from the beginning");
}

#[test]
fn a_new_configuration_ends_the_rest_of_what_failed_with_the_last_one() {
    for (is_given_up, failures) in [(false, 5), (true, 200)] {
        let mut world = World::load_up("web");
        for _ in 1..failures {
            world.exit(&name("web"), ExitStatus::Code(7));
            world.settle();
        }
        world.exit(&name("web"), ExitStatus::Code(7));
        let rests = if is_given_up { ServiceState::Failed } else { ServiceState::Backoff };
        assert_eq!(world.state("web"), Some(rests));
        world.facts("web.default@acme");
        assert_eq!(world.state("web"), Some(rests), "no news of its own configuration");
        world.ring.config = Some(GroupConfig { incarnation: 1, toml: Vec::new() });
        world.facts("web.default@acme");
        assert!(matches!(world.answer_only(true), Effect::Prepare { .. }), "it is tried at once");
        world.settle();
        assert_eq!(world.state("web"), Some(ServiceState::Up));
        world.exit(&name("web"), ExitStatus::Code(7));
        assert_eq!(
            world.state("web"),
            Some(ServiceState::Backoff),
            "failures are counted from the beginning"
        );
        assert!(world.render("web"), "user.toml was changed");
        assert!(matches!(world.answer_only(true), Effect::Prepare { .. }), "that, too, is tried at once");
    }
}

/// The machine's reaction to a change of files, with these hooks.
fn after_change(hooks: &[Hook], changes: Changed) -> (bool, Vec<Hook>) {
    let mut world = World::load_up_with("web", with_hooks(hooks));
    let pid = world.view().pid;
    world.hooks.clear();
    world.changes = changes;
    world.ring.config = Some(GroupConfig { incarnation: 1, toml: Vec::new() });
    world.facts("web.default@acme");
    world.settle();
    let view = world.view();
    assert_eq!((view.state, view.restarts), (ServiceState::Up, 0));
    (view.pid != pid, world.hooks.iter().copied().filter(|hook| *hook != Hook::Init).collect())
}

#[test]
fn a_change_of_files_restarts_or_reconfigures() {
    let config = || Changed { config: true, ..Changed::default() };
    let hook = |hook| Changed { hooks: BTreeSet::from([hook]), ..Changed::default() };
    let files = Changed { files: true, ..Changed::default() };
    assert_eq!(after_change(&[], Changed::default()), (false, vec![]));
    assert_eq!(after_change(&[], config()), (true, vec![]));
    assert_eq!(after_change(&[Hook::Reconfigure], config()), (false, vec![Hook::Reconfigure]));
    for restarts in [Hook::Init, Hook::Run, Hook::PostRun] {
        assert_eq!(after_change(&[Hook::Reconfigure], hook(restarts)), (true, vec![]));
    }
    for ignored in [Hook::HealthCheck, Hook::Suitability, Hook::FileUpdated, Hook::PostStop] {
        assert_eq!(after_change(&[Hook::Reconfigure], hook(ignored)), (false, vec![]));
    }
    let reconfigured = after_change(&[Hook::Reconfigure], hook(Hook::Reconfigure));
    assert_eq!(reconfigured, (false, vec![Hook::Reconfigure]));
    assert_eq!(after_change(&[Hook::FileUpdated], files), (false, vec![Hook::FileUpdated]));
}

#[test]
fn files_are_written_again_only_for_news_and_kept_when_that_fails() {
    let mut world = World::load_up("web");
    world.facts("web.default@acme");
    assert!(world.outstanding.is_empty(), "nothing is new");
    world.ring.config = Some(GroupConfig { incarnation: 1, toml: Vec::new() });
    world.facts("other.default");
    assert!(world.outstanding.is_empty(), "another group");
    world.facts("web.default@acme");
    assert!(matches!(world.answer_only(false), Effect::Render { .. }));
    let view = world.view();
    assert_eq!((view.state, view.last_error.as_deref()), (ServiceState::Up, Some("no key")));
    let at = world.due().expect("again");
    assert!(at > world.now);
    world.now = at;
    world.advance(Duration::ZERO);
    assert!(matches!(world.answer_only(true), Effect::Render { .. }));
}

#[test]
fn files_are_written_again_when_an_order_says_that_there_is_news() {
    let mut world = World::load_up("web");
    assert!(world.render("web"));
    assert!(matches!(world.outstanding.values().next(), Some(Effect::Render { .. })));
    // Once more while the first is under way: it may have read the file before it changed.
    assert!(world.render("web"));
    assert!(matches!(world.answer_only(true), Effect::Render { .. }));
    assert!(matches!(world.answer_only(true), Effect::Render { .. }));
    assert!(world.outstanding.is_empty());
    assert!(!world.render("nobody"));
}

#[test]
fn a_process_that_was_just_started_is_checked_soon_again() {
    let prepared = Prepared { has_health_check: true, health_interval_ms: Some(1_000), ..package() };
    let mut world = World::with(prepared);
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    for _ in 0..3 {
        world.answer_only(true);
    }
    let mut waits = Vec::new();
    for good in [false, false, false, false, false, true, false] {
        assert!(matches!(world.answer_only(good), Effect::CheckHealth { .. }));
        let at = world.due().expect("again");
        waits.push(u64::try_from(at.saturating_since(world.now).as_millis()).expect("short"));
        world.now = at;
        world.advance(Duration::ZERO);
    }
    assert_eq!(waits[..5], [100, 200, 400, 800, 1_000], "the package says how long at most");
    assert!((100..=1_000).contains(&waits[5]), "at a random time");
    assert_eq!(waits[6], 1_000, "it has been well");
}

#[test]
fn a_process_is_left_alone_before_its_first_check_as_the_package_says() {
    let hooks = with_hooks(&[Hook::PostRun, Hook::Reconfigure]);
    let mut world = World::with(Prepared { has_health_check: true, health_delay_ms: 5_000, ..hooks });
    let checks = |world: &World| {
        world.outstanding.values().filter(|effect| matches!(effect, Effect::CheckHealth { .. })).count()
    };
    // Without a moment's passing.
    let answer_all = |world: &mut World| {
        while let Some(id) = world.outstanding.keys().next().copied() {
            world.answer(id, true);
        }
    };
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    answer_all(&mut world);
    assert_eq!((world.state("web"), world.view().health), (Some(ServiceState::Up), Health::Unknown));
    world.changes = Changed { config: true, ..Changed::default() };
    world.render("web");
    answer_all(&mut world);
    world.advance(Duration::from_millis(4_999));
    assert_eq!((checks(&world), world.view().health), (0, Health::Unknown), "also after a change");
    world.advance(Duration::from_millis(1));
    assert_eq!(checks(&world), 1);
    answer_all(&mut world);
    assert_eq!(world.view().health, Health::Ok);
}

#[test]
fn a_supervisor_that_adopts_a_process_leaves_it_alone_for_its_time() {
    let mut world = World::with(Prepared { has_health_check: true, health_delay_ms: 20_000, ..package() });
    // Without a moment's passing.
    let answer_all = |world: &mut World| {
        while let Some(id) = world.outstanding.keys().next().copied() {
            world.answer(id, true);
        }
    };
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    answer_all(&mut world);
    world.restart(true);
    let mut looked_at = false;
    loop {
        world.advance(Duration::from_millis(500));
        looked_at |= world.outstanding.values().any(|effect| matches!(effect, Effect::Prepare { .. }));
        answer_all(&mut world);
        let first = world.view().since + Duration::from_secs(20);
        assert_eq!(world.view().health == Health::Ok, world.now >= first, "{:?}", world.now);
        if world.now >= first {
            break;
        }
    }
    assert!(looked_at, "its package was looked at in that time");
}

#[test]
fn health_is_checked_at_once_then_now_and_then() {
    let mut world = World::with(Prepared { has_health_check: true, ..package() });
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    for _ in 0..3 {
        world.answer_only(true);
    }
    assert_eq!(world.view().health, Health::Unknown);
    for (good, longest_ms) in [(false, 30_000), (true, 30_000), (true, 30_000), (false, 30_000)] {
        assert!(matches!(world.answer_only(good), Effect::CheckHealth { .. }));
        let view = world.view();
        assert_eq!(
            (view.health, view.health_note.as_str()),
            (if good { Health::Ok } else { Health::Critical }, "checked")
        );
        let at = world.due().expect("again");
        assert!(at > world.now && at <= world.now + Duration::from_millis(longest_ms));
        world.now = at;
        world.advance(Duration::ZERO);
    }
    world.exit(&name("web"), ExitStatus::Code(1));
    assert_eq!(world.view().health, Health::Critical);
    world.now = world.view().next_start.expect("waits");
    world.advance(Duration::ZERO);
    while world.state("web") != Some(ServiceState::Up) {
        let id = *world.outstanding.keys().last().expect("the next step");
        world.answer(id, true);
    }
    assert_eq!(world.view().health, Health::Unknown, "nothing is known of the new process");
}

/// A service with a health check, whose first check has found this.
fn checked(good: bool) -> World {
    let mut world = World::with(Prepared { has_health_check: true, ..package() });
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    for _ in 0..3 {
        world.answer_only(true);
    }
    assert!(matches!(world.answer_only(good), Effect::CheckHealth { .. }));
    world
}

/// The next effect succeeds, or the time of the next step comes.
fn step(world: &mut World) {
    if let Some(id) = world.outstanding.keys().next().copied() {
        world.answer(id, true);
    } else {
        world.now = world.due().expect("there is a next step");
        world.advance(Duration::ZERO);
    }
}

#[test]
fn a_process_that_serves_on_is_as_well_as_the_last_supervisor_found_it() {
    for (good, found) in [(true, Health::Ok), (false, Health::Critical)] {
        let mut world = checked(good);
        world.restart(true);
        while !matches!(world.outstanding.values().next(), Some(Effect::CheckHealth { .. })) {
            step(&mut world);
            let (view, told) = (world.view(), world.health.values().next().copied());
            assert!(view.state != ServiceState::Up || view.health == found, "{view:?}");
            assert!(told.is_none_or(|told| told == found), "the ring is told of no restart: {told:?}");
        }
        assert!(matches!(world.answer_only(!good), Effect::CheckHealth { .. }));
        assert_ne!(world.view().health, found, "until a check says otherwise");
    }
}

#[test]
fn a_process_that_was_not_checked_is_not_well_because_the_one_before_was() {
    let mut world = checked(true);
    world.exit(&name("web"), ExitStatus::Code(1));
    world.now = world.view().next_start.expect("waits");
    world.advance(Duration::ZERO);
    while world.state("web") != Some(ServiceState::Up) {
        let id = *world.outstanding.keys().last().expect("the next step");
        world.answer(id, true);
    }
    world.restart(true);
    while world.state("web") != Some(ServiceState::Up) {
        step(&mut world);
    }
    assert_eq!(world.view().health, Health::Unknown);
}

#[test]
fn every_hook_has_its_time() {
    let mut world = World::load_up_with("web", with_hooks(Hook::ALL));
    let leader = SpecChange { topology: Some(Topology::Leader), ..SpecChange::default() };
    world.ask("web", Asked::Update(Box::new(leader)), false);
    world.settle();
    world.role("web", Role::Leader { term: 1, until: world.now + Duration::from_secs(3_600) });
    world.changes = Changed { config: true, files: true, ..Changed::default() };
    world.settle();
    world.render("web");
    world.changes = Changed { config: true, files: true, ..Changed::default() };
    world.settle();
    world.ask("web", Asked::Stop, false);
    world.settle();
    let given: Vec<(Hook, u64)> = world.hook_times_ms.iter().map(|(hook, ms)| (*hook, *ms)).collect();
    for (hook, ms) in [
        (Hook::Init, 300_000),
        (Hook::PostRun, 60_000),
        (Hook::Reconfigure, 60_000),
        (Hook::FileUpdated, 60_000),
        (Hook::Suitability, 10_000),
        (Hook::PostStop, 60_000),
    ] {
        assert!(given.contains(&(hook, ms)), "{hook}: {given:?}");
    }
}

#[test]
fn without_a_check_the_process_stands_for_the_health() {
    let mut world = World::load_up("web");
    assert_eq!(world.health.values().copied().collect::<Vec<_>>(), [Health::Ok]);
    world.exit(&name("web"), ExitStatus::Code(1));
    assert_eq!(world.health.values().copied().collect::<Vec<_>>(), [Health::Critical]);
}

/// A service whose init hook is under way.
fn initializing() -> World {
    let mut world = World::with(with_hooks(&[Hook::Init]));
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(true);
    world.answer_only(true);
    world.advance(Duration::from_secs(12));
    let view = world.view();
    let hook = view.hooks.first().expect("it is shown");
    assert_eq!((hook.hook, hook.limit_ms), (Hook::Init, 300_000));
    assert_eq!(world.now.saturating_since(hook.since), Duration::from_secs(12));
    world
}

/// Answers what is outstanding and is no hook, then ends the hook as a kill does.
fn end_hook(world: &mut World) {
    let is_hook = |effect: &Effect| matches!(effect, Effect::RunHook { .. });
    while let Some(id) = world.outstanding.iter().find(|(_, e)| !is_hook(e)).map(|(id, _)| *id) {
        world.answer(id, true);
    }
    world.answer_only(false);
}

fn is_ended(world: &World) -> bool {
    world.outstanding.values().any(|effect| matches!(effect, Effect::EndHooks { .. }))
}

#[test]
fn an_order_to_stop_ends_a_running_init_and_is_answered_when_nothing_of_it_is_left() {
    for asked in [Asked::Stop, Asked::Unload] {
        let mut world = initializing();
        let request = world.ask("web", asked, false);
        let stored = world.outstanding.iter().find(|(_, e)| matches!(e, Effect::Persist { .. }));
        let id = *stored.expect("the wish is stored first").0;
        assert!(!is_ended(&world));
        world.answer(id, true);
        assert!(is_ended(&world));
        end_hook(&mut world);
        assert_eq!(world.replies.get(&request), Some(&Reply::Done));
        assert!(world.state("web").is_none_or(|state| state == ServiceState::Down));
        assert!(world.outstanding.is_empty() && world.processes.is_empty());
    }
}

#[test]
fn a_supervisor_that_leaves_ends_a_running_init() {
    let mut world = initializing();
    world.leave(true);
    assert!(is_ended(&world) && !world.all_stopped);
    end_hook(&mut world);
    assert!(world.all_stopped);
}

#[test]
fn options_that_replace_a_start_end_its_init() {
    let mut world = initializing();
    let elsewhere = SpecChange { group: Some("prod".into()), ..SpecChange::default() };
    world.ask("web", Asked::Update(Box::new(elsewhere)), false);
    let persist = world.outstanding.keys().copied().max().expect("outstanding");
    world.answer(persist, true);
    assert!(is_ended(&world));
    end_hook(&mut world);
    assert!(matches!(world.only_effect().1, Effect::Prepare { .. }));
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

#[test]
fn an_init_that_was_ended_and_is_wanted_again_is_no_failure() {
    let mut world = initializing();
    world.ask("web", Asked::Stop, false);
    let persist = world.outstanding.keys().copied().max().expect("outstanding");
    world.answer(persist, true);
    world.ask("web", Asked::Start, false);
    end_hook(&mut world);
    assert!(matches!(world.only_effect().1, Effect::Prepare { .. }), "it begins anew, at once");
    assert_eq!(world.view().last_error, None);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

#[test]
fn a_second_order_to_leave_ends_what_follows_a_stop_and_begins_none() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::PostStop]));
    world.leave(false);
    world.answer_only(true);
    world.exit(&name("web"), ExitStatus::Signal(15));
    assert!(matches!(world.only_effect().1, Effect::RunHook { hook: Hook::PostStop, .. }));
    world.advance(Duration::from_secs(5));
    assert!(!is_ended(&world), "the first order waits for it");
    world.hurry();
    assert!(is_ended(&world));
    end_hook(&mut world);
    assert!(world.all_stopped);
    assert_eq!(world.view().last_error, None, "what was ended has not failed");

    let mut world = World::load_up_with("web", with_hooks(&[Hook::PostStop]));
    world.leave(false);
    world.hurry();
    world.answer_only(true);
    world.exit(&name("web"), ExitStatus::Signal(15));
    assert!(world.all_stopped && world.outstanding.is_empty());
}

#[test]
fn the_hooks_of_many_services_end_with_one_order() {
    let mut world = World::with(with_hooks(&[Hook::Init, Hook::PostStop]));
    let names: Vec<String> = (0..20).map(|n| format!("web{n}")).collect();
    for name in &names {
        world.ask(name, Asked::Load(Box::new(spec(name, 0))), false);
    }
    for _ in 0..2 {
        for id in world.outstanding.keys().copied().collect::<Vec<_>>() {
            world.answer(id, true);
        }
    }
    assert_eq!(world.hooks, [Hook::Init; 20]);
    world.leave(true);
    let ended = world.outstanding.values().filter(|effect| matches!(effect, Effect::EndHooks { .. }));
    assert_eq!(ended.count(), 20);
    for id in world.outstanding.keys().copied().collect::<Vec<_>>() {
        world.answer(id, false);
    }
    assert!(world.all_stopped && world.outstanding.is_empty());
}

#[test]
fn an_order_to_stop_ends_what_makes_the_package_ready() {
    for (asked, then_start) in [(Asked::Stop, false), (Asked::Unload, false), (Asked::Stop, true)] {
        let mut world = World::with(package());
        world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
        world.answer_only(true);
        assert!(matches!(world.only_effect().1, Effect::Prepare { .. }));
        let request = world.ask("web", asked, false);
        let persist = world.outstanding.keys().copied().max().expect("the wish is stored first");
        assert!(!is_ended(&world));
        world.answer(persist, true);
        assert!(is_ended(&world));
        if then_start {
            world.ask("web", Asked::Start, false);
            let persist = world.outstanding.keys().copied().max().expect("stored too");
            world.answer(persist, true);
        }
        let of_prepare = |(_, effect): &(&EffectId, &Effect)| matches!(effect, Effect::Prepare { .. });
        let prepare = *world.outstanding.iter().find(of_prepare).expect("it is being made ready").0;
        world.answer(prepare, false);
        world.settle();
        assert_eq!(world.replies.get(&request), Some(&Reply::Done));
        if then_start {
            assert_eq!((world.state("web"), world.view().obstacles), (Some(ServiceState::Up), vec![]));
        } else {
            assert!(world.state("web").is_none_or(|state| state == ServiceState::Down));
            assert!(world.outstanding.is_empty() && world.processes.is_empty());
        }
    }
}

#[test]
fn a_service_that_waits_is_down_when_its_suitability_hook_has_ended_too() {
    let mut world = super::ring::load_leader(with_hooks(&[Hook::Suitability]));
    world.advance(Duration::from_secs(31));
    assert!(matches!(world.only_effect().1, Effect::RunHook { hook: Hook::Suitability, .. }));
    let stop = world.ask("web", Asked::Stop, false);
    let persist = world.outstanding.keys().copied().max().expect("outstanding");
    world.answer(persist, true);
    assert!(is_ended(&world) && !world.replies.contains_key(&stop));
    end_hook(&mut world);
    assert_eq!(world.replies.get(&stop), Some(&Reply::Done));
    assert_eq!(world.view().hooks, []);
}

/// The versions that the ring believes the service to run with.
pub(super) fn told_versions(world: &World) -> u64 {
    world.announced.values().next().expect("it is announced").applied_versions
}

pub(super) fn configure(world: &mut World, incarnation: u64) -> u64 {
    let config = GroupConfig { incarnation, toml: b"port = 2".to_vec() };
    let digest = crate::model::facts::versions_digest(
        Some(&config),
        &[],
        &crate::model::facts::SealedFacts::default(),
    );
    world.ring.config = Some(config);
    world.facts("web.default@acme");
    digest
}

#[test]
fn the_ring_hears_of_a_version_once_the_process_was_told_of_it() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::Reconfigure]));
    let before = told_versions(&world);
    world.changes = Changed { config: true, ..Changed::default() };
    let second = configure(&mut world, 2);
    world.answer_only(true);
    assert_eq!(told_versions(&world), before, "its files are written, and its hook runs");
    world.answer_only(false);
    assert_eq!(told_versions(&world), before, "the hook failed");
    // A third version comes while the hook of the second is tried again: its end says nothing of the third.
    world.advance(world.due().expect("it is tried again").saturating_since(world.now));
    let hook = world.only_effect().0;
    world.changes = Changed { config: true, ..Changed::default() };
    let third = configure(&mut world, 3);
    let render = *world.outstanding.keys().find(|id| **id != hook).expect("it is rendered");
    world.answer(render, true);
    world.answer(hook, true);
    assert!(![second, third].contains(&told_versions(&world)), "the hook is to run once more");
    world.answer_only(true);
    assert_eq!(told_versions(&world), third);
    // What changes no file is nothing to be told of.
    let fourth = configure(&mut world, 4);
    world.answer_only(true);
    assert_eq!(told_versions(&world), fourth);
}
