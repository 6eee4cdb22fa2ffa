//! The machine against a model of the outside: a disk, processes, and answers that come late and in any order.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::{collection, sample};

use super::*;
use crate::io::{ExitStatus, StopSignal};
use crate::limits;
use crate::prepared::Prepared;

const WALL: UnixTime = UnixTime::from_millis(1);

#[derive(Debug)]
struct Process {
    spawn: EffectId,
    pid: u32,
    told: Option<StopSignal>,
}

/// What a command asked, to judge its answer by.
#[derive(Clone, Debug)]
enum Asked {
    Load(Box<ServiceSpec>),
    Unload,
    Start,
    Stop,
}

struct World {
    services: Services,
    now: Instant,
    next_id: u64,
    outstanding: BTreeMap<EffectId, Effect>,
    processes: BTreeMap<ServiceName, Process>,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    asked: BTreeMap<RequestId, (ServiceName, Asked)>,
    replies: BTreeMap<RequestId, Reply>,
    states: BTreeMap<ServiceName, ServiceState>,
    seen: BTreeSet<ServiceState>,
    announced: BTreeMap<ServiceGroup, Announcement>,
    all_stopped: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            services: machine(Vec::new(), Instant::ZERO),
            now: Instant::ZERO,
            next_id: 0,
            outstanding: BTreeMap::new(),
            processes: BTreeMap::new(),
            disk: BTreeMap::new(),
            asked: BTreeMap::new(),
            replies: BTreeMap::new(),
            states: BTreeMap::new(),
            seen: BTreeSet::new(),
            announced: BTreeMap::new(),
            all_stopped: false,
        };
        world.drain();
        world
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn drain(&mut self) {
        loop {
            let next_id = &mut self.next_id;
            let mut new_effect_id = || {
                *next_id += 1;
                EffectId(*next_id)
            };
            let Some(event) = self.services.poll_event(&mut new_effect_id) else { break };
            match event {
                ServiceEvent::Effect(id, effect) => self.take_effect(id, effect),
                ServiceEvent::Reply(request, reply) => self.take_reply(request, reply),
                ServiceEvent::Changed { service, from, to, reason } => {
                    assert!(!reason.is_empty());
                    assert_eq!(self.states.get(&service).copied(), from, "{service}: {reason}");
                    assert_ne!(from, to, "{service}: {reason}");
                    self.seen.extend(to);
                    match to {
                        Some(state) => self.states.insert(service, state),
                        None => self.states.remove(&service),
                    };
                }
                ServiceEvent::Announce(a) => {
                    let was = self.announced.insert(a.group.clone(), a.clone());
                    assert_ne!(was, Some(a), "said twice");
                }
                ServiceEvent::Retract { group } => {
                    assert!(self.announced.remove(&group).is_some(), "retracted what nobody said");
                }
                ServiceEvent::AllStopped => {
                    assert!(!self.all_stopped, "told twice");
                    assert!(self.processes.is_empty() && self.announced.is_empty());
                    self.all_stopped = true;
                }
            }
        }
        self.check();
    }

    fn take_effect(&mut self, id: EffectId, effect: Effect) {
        match &effect {
            Effect::Persist { writes, sync } => {
                assert!(*sync && writes.len() == 1 && writes[0].table == crate::Table::Service);
            }
            Effect::Prepare { service, .. } => {
                assert!(!self.processes.contains_key(service), "{service}: prepared under a running process");
                assert!(!self.is_starting(service), "{service}: started twice");
                self.assert_wanted(service);
            }
            Effect::Spawn { service, .. } => {
                assert!(!self.processes.contains_key(service), "{service}: two processes");
                assert!(!self.is_starting(service), "{service}: started twice");
                self.assert_wanted(service);
            }
            Effect::Signal { service, pid, signal } => {
                let process = self.processes.get_mut(service).expect("signals a process that runs");
                assert_eq!(process.pid, *pid);
                assert_ne!(process.told, Some(*signal), "signalled twice");
                process.told = Some(*signal);
            }
            Effect::Exit(_) => panic!("only the node exits"),
            other => panic!("{other:?} is not asked for yet"),
        }
        assert!(self.outstanding.insert(id, effect).is_none());
    }

    fn take_reply(&mut self, request: RequestId, reply: Reply) {
        let (service, asked) = self.asked.get(&request).cloned().expect("answers what was asked");
        let stored = self.stored(&service);
        if reply == Reply::Done {
            match asked {
                Asked::Load(spec) => assert_eq!(stored.as_ref(), Some(&*spec), "acknowledged before stored"),
                Asked::Start => assert_eq!(stored.map(|s| s.desired), Some(DesiredState::Up)),
                Asked::Stop => {
                    let superseded = stored.is_none_or(|s| s.desired == DesiredState::Up);
                    assert!(superseded || !self.processes.contains_key(&service));
                }
                Asked::Unload => assert!(stored.is_none() && !self.processes.contains_key(&service)),
            }
        }
        assert!(self.replies.insert(request, reply).is_none(), "answered twice");
    }

    fn is_starting(&self, name: &ServiceName) -> bool {
        self.outstanding.values().any(
            |e| matches!(e, Effect::Prepare { service, .. } | Effect::Spawn { service, .. } if service == name),
        )
    }

    fn stored(&self, service: &ServiceName) -> Option<ServiceSpec> {
        let key = service.as_str().as_bytes();
        self.disk.get(key).map(|value| record::decode(key, value).expect("readable"))
    }

    fn assert_wanted(&self, service: &ServiceName) {
        assert_eq!(self.stored(service).map(|s| s.desired), Some(DesiredState::Up), "{service} runs unasked");
        assert!(!self.all_stopped);
    }

    /// What must hold whenever the machine has nothing more to say.
    fn check(&self) {
        for view in self.services.views() {
            let name = view.spec.name();
            assert_eq!(self.states.get(&name), Some(&view.state));
            assert_eq!(view.pid, self.processes.get(&name).map(|p| p.pid), "{view:?}");
            assert_eq!(view.next_start.is_some(), view.state == ServiceState::Backoff);
            let up = self.announced.get(&view.group).is_some_and(|a| a.initialized);
            assert_eq!(up, view.state == ServiceState::Up, "the ring is told what is");
            let at_goal = matches!(view.state, ServiceState::Up | ServiceState::Down);
            let effect = self.outstanding.values().any(|e| concerns(e, &name));
            let exit_is_due = self.processes.get(&name).is_some_and(|p| p.told == Some(StopSignal::Kill));
            let deadline = self.services.poll_timeout().is_some();
            assert!(at_goal || effect || exit_is_due || deadline, "stuck: {view:?}");
        }
    }

    fn ask(&mut self, service: &str, asked: Asked, force: bool) -> RequestId {
        let request = RequestId(self.id());
        let name: ServiceName = service.parse().expect("valid");
        self.asked.insert(request, (name.clone(), asked.clone()));
        let (now, s) = (self.now, &mut self.services);
        match asked {
            Asked::Load(spec) => s.handle_load(now, WALL, request, *spec, force),
            Asked::Unload => s.handle_unload(now, WALL, request, name),
            Asked::Start => s.handle_start(now, WALL, request, name),
            Asked::Stop => s.handle_stop(now, WALL, request, name),
        }
        self.drain();
        request
    }

    /// Answers one effect.
    fn answer(&mut self, id: EffectId, good: bool) {
        let effect = self.outstanding.remove(&id).expect("outstanding");
        let result = match effect {
            Effect::Persist { writes, .. } if good => {
                for write in writes {
                    match write.value {
                        Some(value) => self.disk.insert(write.key, value),
                        None => self.disk.remove(&write.key),
                    };
                }
                EffectResult::Persisted
            }
            Effect::Persist { .. } => EffectResult::PersistFailed(String::from("disk full")),
            Effect::Prepare { spec, .. } if good => EffectResult::Prepared(prepared(&spec)),
            Effect::Prepare { .. } => EffectResult::PrepareFailed { reason: String::from("not installed") },
            Effect::Spawn { service, .. } if good => {
                let pid = u32::try_from(self.id()).expect("few");
                self.processes.insert(service, Process { spawn: id, pid, told: None });
                EffectResult::Spawned { pid }
            }
            Effect::Spawn { .. } => EffectResult::SpawnFailed { reason: String::from("no run hook") },
            _ => EffectResult::Signalled,
        };
        assert!(self.services.handle_effect_done(self.now, WALL, id, &result));
        self.drain();
    }

    fn exit(&mut self, service: &ServiceName, status: ExitStatus) {
        let process = self.processes.remove(service).expect("runs");
        let result = EffectResult::Exited(status);
        assert!(self.services.handle_effect_done(self.now, WALL, process.spawn, &result));
        assert!(!self.services.handle_effect_done(self.now, WALL, process.spawn, &result), "ends once");
        self.drain();
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.services.handle_timeout(self.now, WALL);
        self.drain();
    }

    /// The supervisor and its processes die; a new one reads the disk.
    fn restart(&mut self) {
        let rows = self.disk.iter().map(|(key, value)| record::decode(key, value).expect("readable"));
        self.services = machine(rows.collect(), self.now);
        self.outstanding.clear();
        self.processes.clear();
        self.states.clear();
        self.announced.clear();
        self.all_stopped = false;
        let unanswered =
            self.asked.keys().filter(|r| !self.replies.contains_key(r)).copied().collect::<Vec<_>>();
        for request in unanswered {
            self.asked.remove(&request);
        }
        self.drain();
    }

    /// From here on everything works, and what was signalled ends.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let ending = self.processes.iter().find(|(_, p)| p.told.is_some()).map(|(name, _)| name.clone());
            if let Some(id) = self.outstanding.keys().next().copied() {
                self.answer(id, true);
            } else if let Some(name) = ending {
                self.exit(&name, ExitStatus::Signal(15));
            } else if let Some(at) = self.services.poll_timeout() {
                self.now = self.now.max(at);
                self.advance(Duration::ZERO);
            } else {
                return;
            }
        }
        panic!("does not settle");
    }

    fn state(&self, service: &str) -> Option<ServiceState> {
        self.states.get(&service.parse::<ServiceName>().expect("valid")).copied()
    }

    fn only_effect(&self) -> (EffectId, Effect) {
        assert_eq!(self.outstanding.len(), 1, "{:?}", self.outstanding);
        let (id, effect) = self.outstanding.iter().next().expect("one");
        (*id, effect.clone())
    }

    fn answer_only(&mut self, good: bool) -> Effect {
        let (id, effect) = self.only_effect();
        self.answer(id, good);
        effect
    }

    fn load_up(service: &str) -> Self {
        let mut world = Self::new();
        let request = world.ask(service, Asked::Load(Box::new(spec(service, 0))), false);
        world.settle();
        assert_eq!(world.replies.get(&request), Some(&Reply::Done));
        assert_eq!(world.state(service), Some(ServiceState::Up));
        world
    }
}

fn machine(restored: Vec<ServiceSpec>, now: Instant) -> Services {
    Services::new(&Timings::lan(), Some(String::from("acme")), restored, Rng::from_seed([3; 32]), now, WALL)
}

fn concerns(effect: &Effect, name: &ServiceName) -> bool {
    match effect {
        Effect::Persist { writes, .. } => writes.iter().any(|w| w.key == name.as_str().as_bytes()),
        Effect::Prepare { service, .. } | Effect::Spawn { service, .. } | Effect::Signal { service, .. } => {
            service == name
        }
        _ => false,
    }
}

fn prepared(spec: &ServiceSpec) -> Prepared {
    let ident = format!("{}/{}/1.0/20260101000000", spec.ident.origin(), spec.ident.name());
    Prepared { exports: b"port = 1".to_vec(), ..Prepared::new(ident.parse().expect("valid"), 8_000) }
}

/// Variants 1 and 2 need a restart, 3 does not.
fn spec(service: &str, variant: u8) -> ServiceSpec {
    let mut spec = ServiceSpec::new(format!("core/{service}").parse().expect("valid"));
    match variant {
        1 => spec.group = String::from("prod"),
        2 => spec.config_from = Some(String::from("/tmp/x")),
        3 => spec.shutdown_timeout_ms = Some(100),
        _ => {}
    }
    spec
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
    assert!(world.services.views().is_empty() && world.services.poll_timeout().is_none());

    let mut world = World::load_up("web");
    let (stop, unload) = (world.ask("web", Asked::Stop, false), world.ask("web", Asked::Unload, false));
    world.answer_only(false);
    world.answer_only(false);
    assert_eq!(world.replies.get(&stop), Some(&not_durable));
    assert_eq!(world.replies.get(&unload), Some(&not_durable));
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
    assert!(world.announced.is_empty(), "out of the old group");
    world.settle();
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
    world.answer_only(true);
    assert!(world.announced.is_empty());
    assert!(matches!(world.answer_only(true), Effect::Signal { signal: StopSignal::Stop, .. }));
    world.advance(Duration::from_millis(7_999));
    assert!(world.outstanding.is_empty());
    assert_eq!(world.services.poll_timeout(), Some(world.now + Duration::from_millis(1)));
    world.advance(Duration::from_millis(1));
    assert!(matches!(world.answer_only(true), Effect::Signal { signal: StopSignal::Kill, .. }));
    assert_eq!((world.services.poll_timeout(), world.replies.get(&stop)), (None, None));
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
    assert!(last_ms >= 1_600);
    world.advance(Duration::from_secs(60));
    world.exit(&web, ExitStatus::Code(1));
    let view = &world.services.views()[0];
    assert_eq!(view.next_start, Some(world.now + Duration::from_millis(100)));
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
    assert_eq!((world.state("web"), world.services.views()[0].restarts), (Some(ServiceState::Up), 1));
    assert_eq!(world.services.views()[0].last_error, None);
}

#[test]
fn leaving_stops_all_at_once_and_hurrying_kills() {
    let mut world = World::load_up("web");
    world.ask("db", Asked::Load(Box::new(spec("db", 0))), false);
    world.settle();
    world.services.handle_leave(world.now, WALL);
    world.drain();
    assert_eq!(world.outstanding.len(), 2, "both are told");
    let late = world.ask("web", Asked::Start, false);
    assert_eq!(world.replies.get(&late), Some(&Reply::Failed(CommandError::Leaving)));
    world.exit(&"web".parse().expect("valid"), ExitStatus::Code(0));
    assert!(!world.all_stopped);
    world.services.handle_hurry(world.now, WALL);
    world.drain();
    let db: ServiceName = "db".parse().expect("valid");
    assert_eq!(world.processes[&db].told, Some(StopSignal::Kill));
    world.exit(&db, ExitStatus::Signal(9));
    assert!(world.all_stopped);
    assert!(world.services.views().iter().all(|v| v.spec.desired == DesiredState::Up), "a restart runs them");
}

#[test]
fn leaving_without_services_is_over_at_once() {
    let mut world = World::new();
    world.services.handle_leave(world.now, WALL);
    world.drain();
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
        world.services.handle_load(world.now, WALL, RequestId(n as u64), spec(&name, 0), false);
    }
    let one_more = RequestId(u64::MAX);
    world.services.handle_load(world.now, WALL, one_more, spec("more", 0), false);
    let last = world.services.queue.pop_back();
    let refused = |r: &Reply| matches!(r, Reply::Failed(CommandError::Limit(_)));
    assert!(matches!(&last, Some(Queued::Event(ServiceEvent::Reply(_, r))) if refused(r)), "{last:?}");
    for n in 0..=limits::SERVICE_COMMANDS_MAX as u64 {
        world.services.handle_stop(world.now, WALL, RequestId(n), "s0".parse().expect("valid"));
    }
    let last = world.services.queue.pop_back();
    assert!(matches!(&last, Some(Queued::Event(ServiceEvent::Reply(_, r))) if refused(r)), "{last:?}");
}

#[test]
fn an_organization_that_makes_a_group_too_long_is_an_error_of_the_start() {
    let long = ServiceSpec { group: "g".repeat(249), ..spec("web", 0) };
    let mut services = machine(vec![long], Instant::ZERO);
    services.handle_timeout(Instant::ZERO, WALL);
    let view = &services.views()[0];
    assert_eq!(view.state, ServiceState::Backoff);
    assert!(view.last_error.as_ref().is_some_and(|e| e.contains("acme")), "{view:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Load { service: &'static str, variant: u8, force: bool },
    Unload(&'static str),
    Start(&'static str),
    Stop(&'static str),
    Answer { which: sample::Index, good: bool },
    Mismatch { which: sample::Index },
    Exit { which: sample::Index, code: i32 },
    Advance { ms: u64 },
    NextDeadline,
    Restart,
    Leave,
    Hurry,
}

fn steps() -> impl Strategy<Value = Step> {
    let service = || sample::select(&["web", "db"][..]);
    prop_oneof![
        4 => (service(), 0_u8..4, any::<bool>())
            .prop_map(|(service, variant, force)| Step::Load { service, variant, force }),
        2 => service().prop_map(Step::Unload),
        2 => service().prop_map(Step::Start),
        2 => service().prop_map(Step::Stop),
        20 => (any::<sample::Index>(), prop::bool::weighted(0.8))
            .prop_map(|(which, good)| Step::Answer { which, good }),
        1 => any::<sample::Index>().prop_map(|which| Step::Mismatch { which }),
        4 => (any::<sample::Index>(), 0..3).prop_map(|(which, code)| Step::Exit { which, code }),
        3 => (0_u64..70_000).prop_map(|ms| Step::Advance { ms }),
        4 => Just(Step::NextDeadline),
        1 => Just(Step::Restart),
        1 => Just(Step::Leave),
        1 => Just(Step::Hurry),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Load { service, variant, force } => {
            world.ask(service, Asked::Load(Box::new(spec(service, variant))), force);
        }
        Step::Unload(service) => drop(world.ask(service, Asked::Unload, false)),
        Step::Start(service) => drop(world.ask(service, Asked::Start, false)),
        Step::Stop(service) => drop(world.ask(service, Asked::Stop, false)),
        Step::Answer { which, good } if !world.outstanding.is_empty() => {
            let ids: Vec<EffectId> = world.outstanding.keys().copied().collect();
            world.answer(*which.get(&ids), good);
        }
        Step::Mismatch { which } if !world.outstanding.is_empty() => {
            let ids: Vec<EffectId> = world.outstanding.keys().copied().collect();
            let id = *which.get(&ids);
            let wrong = match world.outstanding[&id] {
                Effect::Persist { .. } => EffectResult::Signalled,
                _ => EffectResult::Persisted,
            };
            assert!(world.services.handle_effect_done(world.now, WALL, id, &wrong));
            world.drain();
        }
        Step::Exit { which, code } if !world.processes.is_empty() => {
            let names: Vec<ServiceName> = world.processes.keys().cloned().collect();
            world.exit(which.get(&names), ExitStatus::Code(code));
        }
        Step::Advance { ms } => world.advance(Duration::from_millis(ms)),
        Step::NextDeadline => {
            if let Some(at) = world.services.poll_timeout() {
                world.now = world.now.max(at);
                world.advance(Duration::ZERO);
            }
        }
        Step::Restart => world.restart(),
        Step::Leave => {
            world.services.handle_leave(world.now, WALL);
            world.drain();
        }
        Step::Hurry => {
            world.services.handle_hurry(world.now, WALL);
            world.drain();
        }
        Step::Answer { .. } | Step::Mismatch { .. } | Step::Exit { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// `World` checks after every step that processes never overlap, that nothing runs or is acknowledged before
    /// it is stored, and that no service is stuck; here: what was stored is what runs in the end.
    #[test]
    fn whatever_happens_what_is_stored_is_what_runs(steps in collection::vec(steps(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            take(&mut world, step);
        }
        world.settle();
        prop_assert!(world.asked.keys().all(|request| world.replies.contains_key(request)), "unanswered");
        let leaving = world.services.leaving != Leaving::No;
        prop_assert_eq!(world.all_stopped, leaving);
        let views = world.services.views();
        prop_assert_eq!(views.len(), world.disk.len());
        for view in views {
            let name = view.spec.name();
            prop_assert_eq!(world.stored(&name), Some(view.spec.clone()), "{} is remembered", name.to_string());
            let wanted = view.spec.desired == DesiredState::Up && !leaving;
            let expected = if wanted { ServiceState::Up } else { ServiceState::Down };
            prop_assert_eq!(view.state, expected);
        }
    }
}
