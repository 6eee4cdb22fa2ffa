//! Services and the ring: binds, leaders, processes that outlived a supervisor.

use super::*;
use crate::model::election::Readiness;
use crate::model::prepared::Bind;
use crate::model::service::{BindingMode, Demoted, Hook, ObstacleKind, ServiceState};

const DB: &str = "db.default";

pub(super) fn bound(mode: BindingMode) -> ServiceSpec {
    ServiceSpec { binds: vec![format!("database:{DB}")], binding_mode: mode, ..spec("web", 0) }
}

pub(super) fn needs_port() -> Prepared {
    let bind = Bind { name: "database".into(), optional: false, exports: vec!["port".into()] };
    Prepared { binds: vec![bind], ..package() }
}

fn waits_for(world: &World) -> String {
    let view = world.view();
    assert_eq!(view.state, ServiceState::Waiting);
    view.waiting_for.expect("a service that waits says for which group or member")
}

#[test]
fn a_strict_bind_is_waited_for_and_says_what_is_missing() {
    let mut world = World::with(needs_port());
    world.ask("web", Asked::Load(Box::new(bound(BindingMode::Strict))), false);
    world.settle();
    assert_eq!(waits_for(&world), "bind database: group db.default has no alive member");
    assert_eq!(world.due(), None, "it is not asked again and again");
    world.serve(DB, "host = 1\n");
    assert_eq!(waits_for(&world), "bind database: group db.default does not export port");
    world.serve(DB, "host = 1\nport = 2\n");
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    let pid = world.view().pid;
    world.ring.groups.clear();
    world.facts(DB);
    world.settle();
    assert_eq!(
        (world.state("web"), world.view().pid),
        (Some(ServiceState::Up), pid),
        "a running one runs on"
    );
}

#[test]
fn a_strict_bind_whose_last_member_went_is_told_once_and_shown_until_it_is_back() {
    let mut world = World::with(needs_port());
    world.ask("web", Asked::Load(Box::new(bound(BindingMode::Strict))), false);
    world.serve(DB, "port = 2\n");
    world.settle();
    assert_eq!((world.state("web"), world.view().obstacles), (Some(ServiceState::Up), vec![]));
    world.ring.groups.clear();
    world.facts(DB);
    let what = "lacks bind database: group db.default has no alive member; it runs on, and ";
    let shown = |world: &World| {
        let bind = world.view().obstacles.into_iter().find(|obstacle| obstacle.kind == ObstacleKind::Bind);
        bind.map(|obstacle| obstacle.what)
    };
    let told = |world: &World| world.told.get(&(name("web"), ObstacleKind::Bind, None)).cloned();
    let first = shown(&world).expect("it is shown");
    assert!(first.starts_with(what) && first.contains("may be stale"), "{first}");
    assert_eq!(told(&world), Some(Some(first.clone())));
    assert!(matches!(world.answer_only(false), Effect::Render { .. }));
    let second = shown(&world).expect("it is shown");
    assert!(second.starts_with(what) && second.contains("are stale"), "the old files stay: {second}");
    assert_eq!(told(&world), Some(Some(first)), "once");
    world.facts(DB);
    world.serve(DB, "port = 2\n");
    world.settle();
    assert_eq!((shown(&world), told(&world)), (None, Some(None)));
    assert_eq!(world.view().obstacles, []);
}

#[test]
fn a_suspected_member_still_serves_a_bind() {
    let mut world = World::with(needs_port());
    world.serve(DB, "port = 2\n");
    let members = world.ring.groups.values_mut().flat_map(|group| group.population.values_mut());
    members.for_each(|member| member.state = Some(crate::model::member::State::Suspect));
    world.ask("web", Asked::Load(Box::new(bound(BindingMode::Strict))), false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up), "a suspicion is no death");
}

#[test]
fn a_process_does_not_run_on_with_other_binds_than_are_wanted() {
    let mut world = World::load_up("web");
    let pid = world.view().pid;
    world.serve(DB, "port = 2\n");
    let binds = SpecChange { binds: Some(vec![format!("database:{DB}")]), ..SpecChange::default() };
    world.ask("web", Asked::Update(Box::new(binds)), false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert!(world.view().pid.is_some_and(|new| Some(new) != pid));
}

#[test]
fn a_relaxed_bind_is_not_waited_for() {
    let mut world = World::with(needs_port());
    world.ask("web", Asked::Load(Box::new(bound(BindingMode::Relaxed))), false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));

    let stop = world.ask("web", Asked::Stop, false);
    world.settle();
    assert_eq!(world.replies.get(&stop), Some(&Reply::Done));
    assert_eq!(world.state("web"), Some(ServiceState::Down));
}

#[test]
fn a_bind_that_is_not_given_is_no_wait_for_the_ring() {
    let mut world = World::with(needs_port());
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.answer_only(true);
    world.answer_only(true);
    let why = "bind database: not given; use --bind database:SERVICE.GROUP";
    let view = world.view();
    assert_eq!((view.state, view.last_error.as_deref()), (ServiceState::Backoff, Some(why)));
    world.ring.groups.clear();
    // Another release needs it no longer. No news of the ring tells of that.
    world.package = package();
    world.settle();
    assert_eq!((world.state("web"), world.view().last_error), (Some(ServiceState::Up), None));
}

#[test]
fn an_operators_start_of_a_service_that_waits_looks_at_its_package_again() {
    let mut world = World::with(needs_port());
    world.ask("web", Asked::Load(Box::new(bound(BindingMode::Strict))), false);
    world.settle();
    assert_eq!(waits_for(&world), format!("bind database: group {DB} has no alive member"));
    let start = world.ask("web", Asked::Start, false);
    world.settle();
    assert_eq!(world.replies.get(&start), Some(&Reply::Done));
    assert_eq!(waits_for(&world), format!("bind database: group {DB} has no alive member"));
    // The package can do without the bind by now.
    for bind in &mut world.package.binds {
        bind.optional = true;
    }
    world.ask("web", Asked::Start, false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
}

pub(super) fn load_leader(package: Prepared) -> World {
    let mut world = World::with(package);
    let leader = ServiceSpec { topology: Topology::Leader, ..spec("web", 0) };
    world.ask("web", Asked::Load(Box::new(leader)), false);
    world.settle();
    world
}

pub(super) fn group() -> ServiceGroup {
    "web.default@acme".parse().expect("valid")
}

pub(super) fn leader(world: &World, secs: u64) -> Role {
    Role::Leader { term: 1, until: world.now + Duration::from_secs(secs) }
}

pub(super) fn follower() -> Role {
    Role::Follower { term: 1, leader: MemberId::from_bytes([2; 16]) }
}

#[test]
fn a_group_with_a_leader_waits_for_one_and_says_how_well_it_would_lead() {
    let mut world = World::new();
    world.ask("web", Asked::Load(Box::new(spec("web", 0))), false);
    world.settle();
    assert_eq!(world.services.fitness(&group()), None, "this group has no leader");

    let mut world = load_leader(with_hooks(&[Hook::Suitability]));
    assert_eq!(waits_for(&world), "the election of web.default@acme");
    assert_eq!(world.services.fitness(&group()), Some(Fitness { suitability: 7, readiness: Readiness::Fit }));
    assert!(world.announced.values().all(|a| !a.initialized), "the group counts it before it runs");
    world.role("web", Role::Waiting { why: "1 member is missing".into() });
    assert_eq!(waits_for(&world), "the election of web.default@acme: 1 member is missing");
    world.settle();
    world.role("web", leader(&world, 3));
    let Effect::Prepare { facts, .. } = world.answer_only(true) else { panic!("not prepared") };
    assert!(matches!(facts.role, Some(Role::Leader { .. })), "rendered with its role");
    let Effect::Spawn { lease: Some(lease), .. } = world.answer_only(true) else { panic!("no lease") };
    assert_eq!(lease.kill_at, world.now + Duration::from_secs(3));
    world.settle();
    world.ask("web", Asked::Drain(None), false);
    assert!(!world.services.fitness(&group()).expect("a leader's group").is_fit());
}

#[test]
fn each_renewal_of_the_lead_is_a_lease_and_nothing_else() {
    let mut world = load_leader(package());
    world.role("web", leader(&world, 3));
    world.settle();
    let pid = world.view().pid;
    for _ in 0..3 {
        world.advance(Duration::from_millis(500));
        world.role("web", leader(&world, 9));
        let until = world.now + Duration::from_secs(9);
        let Effect::Lease { lease, .. } = world.answer_only(true) else { panic!("no lease") };
        assert_eq!(lease.map(|lease| lease.kill_at), Some(until));
    }
    world.facts("web.default@acme");
    assert!(world.outstanding.is_empty(), "a later end of the lease is no news: {:?}", world.outstanding);
    assert_eq!(world.view().pid, pid);
}

#[test]
fn who_leads_no_longer_does_what_its_package_says() {
    for demoted in Demoted::ALL.iter().copied() {
        let mut world = load_leader(Prepared { demoted, ..with_hooks(&[Hook::Reconfigure]) });
        world.role("web", leader(&world, 3));
        world.settle();
        let pid = world.view().pid;
        world.hooks.clear();
        (world.ring.told, world.ring.alone) = (false, false);
        world.role("web", follower());
        let signalled = world.processes.values().any(|process| process.told.is_some());
        assert_eq!(signalled, demoted != Demoted::Reconfigure, "{demoted}: without a wait");
        world.settle();
        match demoted {
            Demoted::Restart => assert!(world.view().pid.is_some_and(|new| Some(new) != pid)),
            Demoted::Reconfigure => {
                assert_eq!((world.view().pid, &world.hooks[..]), (pid, &[Hook::Reconfigure][..]));
            }
            Demoted::Stop => {
                assert!(waits_for(&world).contains("only a leader runs"));
                world.role("web", leader(&world, 3));
                world.settle();
                assert_eq!(world.state("web"), Some(ServiceState::Up));
            }
        }
    }
}

#[test]
fn a_service_that_moves_listens_to_its_new_group() {
    let mut world = World::load_up("web");
    let group = |name: &str| -> ServiceGroup { format!("web.{name}@acme").parse().expect("valid") };
    assert!(world.services.watches(&group("default")));
    let change = SpecChange { group: Some("blue".into()), ..SpecChange::default() };
    world.ask("web", Asked::Update(Box::new(change)), false);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert!(world.services.watches(&group("blue")), "its configuration and members concern it");
    assert!(!world.services.watches(&group("default")), "what it has left does not");
}

#[test]
fn a_process_that_outlived_its_supervisor_is_adopted_as_it_is() {
    let mut world = World::load_up_with("web", with_hooks(&[Hook::Init, Hook::PostRun]));
    let pid = world.view().pid;
    world.hooks.clear();
    world.restart(true);
    world.settle();
    assert_eq!((world.state("web"), world.view().pid), (Some(ServiceState::Up), pid));
    assert!(world.hooks.is_empty(), "{:?}", world.hooks);
    assert!(world.announced.values().all(|a| a.accepting));
    world.exit(&name("web"), ExitStatus::Code(3));
    assert_eq!(world.state("web"), Some(ServiceState::Backoff), "its end is seen");
}

#[test]
fn a_process_whose_service_is_not_to_run_is_adopted_and_stopped() {
    let mut world = World::load_up("web");
    let key = b"web".to_vec();
    let stopped = ServiceSpec { desired: DesiredState::Down, ..spec("web", 0) };
    world.disk.insert(key.clone(), row::encode(&stopped));
    world.restart(true);
    world.settle();
    assert!(world.processes.is_empty());
    assert_eq!(world.state("web"), Some(ServiceState::Down));

    let mut world = World::load_up("web");
    world.disk.remove(&key);
    world.restart(true);
    world.settle();
    assert!(world.processes.is_empty() && world.services.views().is_empty());
}

#[test]
fn a_process_of_another_package_is_replaced() {
    let mut world = World::load_up("web");
    let pid = world.view().pid;
    let other = ServiceSpec { ident: "core/web/2.0".parse().expect("valid"), ..spec("web", 0) };
    world.disk.insert(b"web".to_vec(), row::encode(&other));
    world.restart(true);
    world.settle();
    assert_eq!(world.state("web"), Some(ServiceState::Up));
    assert_ne!(world.view().pid, pid);
}

#[test]
fn a_process_that_ended_unseen_is_started_again_without_a_wait() {
    let mut world = World::load_up("web");
    world.restart(true);
    world.processes.clear();
    world.advance(Duration::ZERO);
    assert!(matches!(world.answer_only(false), Effect::Adopt { .. }));
    assert!(matches!(world.answer_only(true), Effect::Prepare { .. }));
    world.settle();
    assert_eq!((world.state("web"), world.view().restarts), (Some(ServiceState::Up), 0));
}
