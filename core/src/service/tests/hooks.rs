//! Hooks in their order, deadlines, files that change, health.

use super::*;
use crate::model::service::{Health, Hook, ServiceState};

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
}

#[test]
fn without_a_check_the_process_stands_for_the_health() {
    let mut world = World::load_up("web");
    assert_eq!(world.health.values().copied().collect::<Vec<_>>(), [Health::Ok]);
    world.exit(&name("web"), ExitStatus::Code(1));
    assert_eq!(world.health.values().copied().collect::<Vec<_>>(), [Health::Critical]);
}
