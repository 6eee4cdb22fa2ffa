//! What stands between the wanted and the running state of a service, and when a version counts as in effect.

use super::hooks::{configure, told_versions};
use super::ring::{bound, follower, load_leader, needs_port};
use super::*;
use crate::model::service::{BindingMode, Demoted, Obstacle};

/// Answers the effect that fits, of those that are not answered.
fn answer_that(world: &mut World, fits: impl Fn(&Effect) -> bool, good: bool) {
    let found = world.outstanding.iter().find(|(_, effect)| fits(effect)).map(|(id, _)| *id);
    let id = found.unwrap_or_else(|| panic!("not asked for: {:?}", world.outstanding));
    world.answer(id, good);
}

fn kinds(world: &World) -> Vec<(ObstacleKind, Option<Hook>)> {
    world.view().obstacles.into_iter().map(|obstacle| (obstacle.kind, obstacle.hook)).collect()
}

/// What an event told last of an obstacle; none when none did.
fn told(world: &World, kind: ObstacleKind, hook: Option<Hook>) -> Option<Option<String>> {
    world.told.get(&(name("web"), kind, hook)).cloned()
}

#[test]
fn a_version_is_in_effect_once_a_check_has_found_the_process_well_with_it() {
    let hooks = with_hooks(&[Hook::Reconfigure]);
    let mut world = World::load_up_with("web", Prepared { has_health_check: true, ..hooks });
    world.settle();
    let before = told_versions(&world);
    world.changes = Changed { config: true, ..Changed::default() };
    let second = configure(&mut world, 2);
    answer_that(&mut world, |effect| matches!(effect, Effect::Render { .. }), true);
    // A check that begins before the hook has succeeded says nothing of the new version.
    answer_that(&mut world, |effect| matches!(effect, Effect::CheckHealth { .. }), true);
    assert_eq!(told_versions(&world), before);
    let hook = |effect: &Effect| matches!(effect, Effect::RunHook { hook: Hook::Reconfigure, .. });
    answer_that(&mut world, hook, true);
    assert_eq!(told_versions(&world), before, "the process knows of it, and may not be able to work with it");
    answer_that(&mut world, |effect| matches!(effect, Effect::CheckHealth { .. }), false);
    assert_eq!((told_versions(&world), kinds(&world)), (before, vec![(ObstacleKind::Health, None)]));
    assert!(world.view().obstacles[0].what.contains("critical"), "{:?}", world.view().obstacles);
    world.advance(world.due().expect("it is checked again").saturating_since(world.now));
    answer_that(&mut world, |effect| matches!(effect, Effect::CheckHealth { .. }), true);
    assert_eq!((told_versions(&world), kinds(&world)), (second, vec![]));
}

#[test]
fn a_service_that_waits_its_turn_takes_a_version_in_and_one_that_cannot_run_does_not() {
    let mut world = load_leader(Prepared { demoted: Demoted::Stop, ..package() });
    let before = told_versions(&world);
    let digest = configure(&mut world, 2);
    world.settle();
    assert_eq!(
        (world.state("web"), kinds(&world)),
        (Some(ServiceState::Waiting), vec![(ObstacleKind::Election, None)])
    );
    assert_eq!(told_versions(&world), before, "it may never run");
    world.role("web", follower());
    world.settle();
    assert_eq!((world.state("web"), kinds(&world)), (Some(ServiceState::Waiting), vec![]), "as it should");
    assert_eq!(told_versions(&world), digest, "it starts with it");

    let mut world = World::with(needs_port());
    world.ask("web", Asked::Load(Box::new(bound(BindingMode::Strict))), false);
    world.settle();
    let before = told_versions(&world);
    configure(&mut world, 2);
    world.settle();
    assert_eq!((world.state("web"), told_versions(&world)), (Some(ServiceState::Waiting), before));
    let shown = world.view().obstacles;
    assert!(shown[0].kind == ObstacleKind::Bind && shown[0].what.starts_with("waits for bind"), "{shown:?}");
    assert_eq!(told(&world, ObstacleKind::Bind, None), None, "the change of state has told it");
}

#[test]
fn each_obstacle_is_told_once_when_it_appears_and_once_when_it_goes() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::Reconfigure]));
    let is_render = |effect: &Effect| matches!(effect, Effect::Render { .. });
    let hook = (ObstacleKind::Hook, Some(Hook::Reconfigure));
    world.facts("web.default@acme");
    world.render("web");
    for _ in 0..3 {
        answer_that(&mut world, is_render, false);
        world.advance(world.due().expect("it is tried again").saturating_since(world.now));
    }
    assert_eq!(kinds(&world), [(ObstacleKind::Template, None)]);
    let what = String::from("its files stay as they are: no key");
    assert_eq!(told(&world, ObstacleKind::Template, None), Some(Some(what)));
    world.changes = Changed { config: true, ..Changed::default() };
    answer_that(&mut world, is_render, true);
    assert_eq!((kinds(&world), told(&world, ObstacleKind::Template, None)), (vec![], Some(None)));
    for good in [false, false, true] {
        answer_that(&mut world, |effect| matches!(effect, Effect::RunHook { .. }), good);
        assert_eq!(kinds(&world), if good { vec![] } else { vec![hook] });
        world.advance(world.due().map_or(Duration::ZERO, |due| due.saturating_since(world.now)));
    }
    assert_eq!(told(&world, hook.0, hook.1), Some(None));
}

#[test]
fn what_files_are_written_in_spite_of_is_shown_until_they_are_written_without_it() {
    let layer = Obstacle::new(ObstacleKind::Layer, "user.toml is a link that leads nowhere".into());
    let mut world = World::with(Prepared { obstacles: vec![layer.clone()], ..package() });
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(true);
    world.answer_only(true);
    assert_eq!(
        (world.state("web"), world.view().obstacles),
        (Some(ServiceState::Starting), vec![layer.clone()])
    );
    assert_eq!(told(&world, ObstacleKind::Layer, None), Some(Some(layer.what)));
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up), "the layer as it was before counts");
    let held_back =
        |world: &World| world.announced.values().next().expect("it is announced").held_back.clone();
    assert_eq!(held_back(&world), [ObstacleKind::Layer].into(), "the ring hears of the kind");
    world.render("web");
    world.settle();
    assert_eq!(world.view().obstacles, [], "its files were written again");
    assert_eq!(told(&world, ObstacleKind::Layer, None), Some(None));
    assert_eq!(held_back(&world), [].into());
}

#[test]
fn the_ring_hears_of_a_hook_that_takes_its_time_and_of_its_end() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::Reconfigure]));
    world.settle();
    let slow = |world: &World| world.announced.values().next().expect("it is announced").slow_hook;
    world.changes = Changed { config: true, ..Changed::default() };
    configure(&mut world, 2);
    answer_that(&mut world, |effect| matches!(effect, Effect::Render { .. }), true);
    let due = world.due().expect("its hook is watched");
    assert!(
        due <= world.now + Duration::from_millis(500),
        "within the second that a command waits in silence"
    );
    assert_eq!(slow(&world), None);
    world.now = due;
    world.advance(Duration::ZERO);
    let told = slow(&world).expect("it takes its time");
    assert_eq!((told.hook, told.limit_ms), (Hook::Reconfigure, 60_000));
    answer_that(&mut world, |effect| matches!(effect, Effect::RunHook { .. }), true);
    assert_eq!(slow(&world), None);
}

#[test]
fn a_process_that_ended_and_a_start_that_failed_are_shown_until_it_is_up() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::Init]));
    world.exit(&name("web"), ExitStatus::Code(3));
    assert_eq!(
        (world.state("web"), kinds(&world)),
        (Some(ServiceState::Backoff), vec![(ObstacleKind::Process, None)])
    );
    assert_eq!(world.view().obstacles[0].what, "its process ended: exit code 3");
    world.advance(world.due().expect("the next try").saturating_since(world.now));
    world.answer_only(false);
    assert_eq!(kinds(&world), [(ObstacleKind::Package, None), (ObstacleKind::Process, None)]);
    world.advance(world.due().expect("the next try").saturating_since(world.now));
    world.answer_only(true);
    world.answer_only(false);
    assert_eq!(kinds(&world), [(ObstacleKind::Hook, Some(Hook::Init)), (ObstacleKind::Process, None)]);
    world.settle();
    assert_eq!((world.state("web"), kinds(&world)), (Some(ServiceState::Up), vec![]));
    assert!(world.told.is_empty(), "the changes of state have told it all: {:?}", world.told);
    // One that is not wanted to run lacks nothing.
    world.exit(&name("web"), ExitStatus::Code(3));
    world.ask("web", Asked::Stop, true);
    world.settle();
    assert_eq!((world.state("web"), kinds(&world)), (Some(ServiceState::Down), vec![]));
}
