//! Who could lead, and what counts as acting: guards that cannot be told, rights that are on their way back, services
//! that are not known to be well.

use super::lead::{following, in_place, leading, lease, readiness};
use super::ring::{follower, group, leader, load_leader};
use super::*;
use crate::model::election::Readiness;
use crate::model::service::Demoted;

#[test]
fn a_guard_that_cannot_take_the_right_back_ends_its_process() {
    let mut world = leading(in_place());
    world.role("web", follower());
    world.answer(lease(&world).0, false);
    assert!(world.processes.values().all(|process| process.told == Some(StopSignal::Stop)));
    assert!(world.services.acts(&group()), "the guard may hold the right still");
    world.settle();
    assert!(!world.services.acts(&group()));
}

#[test]
fn a_right_that_was_given_counts_before_any_file_speaks_of_it_and_until_it_is_withdrawn() {
    let mut world = following(in_place());
    world.role("web", leader(&world, 3_600));
    assert!(world.services.acts(&group()), "the guard may have it already");

    let mut world = following(in_place());
    // A write that is under way keeps the files from saying that it leads.
    assert!(world.render("web"));
    world.role("web", leader(&world, 3_600));
    world.answer(lease(&world).0, true);
    world.yields(&group());
    let (id, given) = lease(&world);
    assert!(given.is_some_and(|lease| lease.resume.is_none()));
    assert!(world.services.acts(&group()), "the guard has not answered");
    world.answer(id, true);
    assert!(!world.services.acts(&group()), "no process was told");
}

#[test]
fn a_member_in_maintenance_leads_nothing() {
    let mut world = leading(package());
    world.ask("web", Asked::Maintain(Some("new disk")), false);
    world.answer_only(true);
    assert_eq!(readiness(&world), Readiness::Unfit);
    world.ask("web", Asked::Maintain(None), false);
    let persist = *world.outstanding.keys().last().expect("the spec");
    world.answer(persist, true);
    assert_eq!(readiness(&world), Readiness::Fit);
}

#[test]
fn a_member_stands_when_its_suitability_is_known() {
    let mut world = World::with(with_hooks(&[Hook::Suitability]));
    let spec = ServiceSpec { topology: Topology::Leader, ..spec("web", 0) };
    world.ask("web", Asked::Load(Box::new(spec)), false);
    world.answer_only(true);
    world.answer_only(true);
    assert_eq!((world.state("web"), readiness(&world)), (Some(ServiceState::Waiting), Readiness::Unknown));
    assert!(matches!(world.answer_only(true), Effect::RunHook { hook: Hook::Suitability, .. }));
    assert_eq!(world.services.fitness(&group()), Some(Fitness { suitability: 7, readiness: Readiness::Fit }));
}

#[test]
fn a_process_that_is_found_following_is_stopped_where_only_a_leader_runs() {
    let mut world = load_leader(Prepared { demoted: Demoted::Stop, ..package() });
    world.role("web", leader(&world, 3_600));
    world.settle();
    // Its lease has ended and its supervisor was not there to see what became of it.
    let process = world.processes.values_mut().next().expect("it runs");
    (process.guard, process.acting) = (None, Acting::No);
    world.restart(true);
    world.advance(Duration::ZERO);
    world.answer_only(true);
    world.role("web", Role::Waiting { why: "an election is running".into() });
    world.advance(Duration::from_secs(10));
    assert_eq!(world.state("web"), Some(ServiceState::Up), "until the election has spoken");
    world.role("web", follower());
    world.settle();
    assert_eq!((world.state("web"), world.processes.len()), (Some(ServiceState::Waiting), 0));
}

#[test]
fn an_adopted_process_of_an_older_build_is_replaced() {
    let mut world = World::load_up("web");
    let pid = world.view().pid;
    world.release = "20260202000000";
    world.restart(true);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert_ne!(world.view().pid, pid, "the package that is made ready is another build");
}
