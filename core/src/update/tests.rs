//! Updates against a model of the outside: a runtime that answers what the test says, and a disk.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::model::context::Outputs;
use crate::model::event::EventKind;
use crate::model::id::InputId;
use crate::model::io::{Effect, Output};
use crate::model::metrics::Metrics;
use crate::model::service::{Health, ServiceSpec, ServiceState, UpdateCondition, UpdateStrategy};
use crate::model::time::UnixTime;
use crate::model::update::{FetchFault, Found, Head, UpdateStep};
use crate::store::build as row;

struct World {
    updates: Updates,
    spec: ServiceSpec,
    wanted: bool,
    state: ServiceState,
    health: Health,
    fault: Option<&'static str>,
    now: Instant,
    outputs: Outputs,
    metrics: Metrics,
    next: u64,
    asked: Vec<(EffectId, Effect)>,
    steps: Vec<(UpdateStep, Option<String>)>,
    replaced: Vec<Option<String>>,
    replies: Vec<Reply>,
    /// The row as the disk has it.
    disk: Option<Builds>,
}

fn build(version: &str) -> PackageIdent {
    alloc::format!("acme/web/{version}/20260101000000").parse().expect("valid")
}

fn web() -> ServiceName {
    "web".parse().expect("valid")
}

fn at_once() -> ServiceSpec {
    let update_strategy = UpdateStrategy::AtOnce;
    ServiceSpec { update_strategy, ..ServiceSpec::new("acme/web".parse().expect("valid")) }
}

/// Lends the machine the time and the outputs of the test.
macro_rules! ctx {
    ($world:ident) => {
        &mut Context {
            now: $world.now,
            wall: UnixTime::from_millis(1),
            input: InputId(0),
            after: Follows::Input,
            outputs: &mut $world.outputs,
            metrics: &mut $world.metrics,
        }
    };
}

impl World {
    fn new(spec: ServiceSpec) -> Self {
        Self::with(spec, Vec::new())
    }

    fn with(spec: ServiceSpec, restored: Vec<Builds>) -> Self {
        let disk = restored.first().cloned();
        let updates = Updates::new(&Config::new(9638), restored, Rng::from_seed([1; 32]));
        let mut world = Self {
            updates,
            spec,
            wanted: true,
            state: ServiceState::Up,
            health: Health::Ok,
            fault: None,
            now: Instant::ZERO,
            outputs: Outputs::default(),
            metrics: Metrics::default(),
            next: 1 << 32,
            asked: Vec::new(),
            steps: Vec::new(),
            replaced: Vec::new(),
            replies: Vec::new(),
            disk,
        };
        world.tell();
        world
    }

    /// One that runs 1.0 and has looked once.
    fn running(spec: ServiceSpec) -> Self {
        let mut world = Self::new(spec);
        world.updates.handle_build(ctx!(world), &web(), &build("1.0"));
        world.drain();
        world.pass(12_000);
        world
    }

    fn tell(&mut self) {
        let subject = Subject {
            spec: &self.spec,
            is_wanted: self.wanted,
            state: self.state,
            health: self.health,
            health_delay_ms: 0,
            fault: self.fault,
        };
        self.updates.handle_service(ctx!(self), &web(), Some(subject));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.updates.poll_event() {
            match event {
                UpdatesEvent::Fetch { service, build, channel, url } => {
                    let effect = Effect::Fetch { service, ident: build, channel, url, peers: Vec::new() };
                    self.begin(effect);
                }
                UpdatesEvent::Preflight { service, build } => {
                    let spec = Box::new(ServiceSpec { ident: build, ..self.spec.clone() });
                    let facts = Box::new(crate::model::facts::Facts {
                        me: crate::model::id::MemberId::from_bytes([1; 16]),
                        census: crate::model::census::Census {
                            local: crate::model::id::MemberId::from_bytes([1; 16]),
                            groups: BTreeMap::new(),
                        },
                        role: None,
                        config: None,
                        files: Vec::new(),
                        sealed: crate::model::facts::SealedFacts::default(),
                        accepting: true,
                        maintenance: None,
                    });
                    self.begin(Effect::Preflight { service, spec, facts });
                }
                UpdatesEvent::Replace { service, .. } => {
                    let runs = self.updates.view(&service).runs;
                    self.replaced.push(runs.and_then(|runs| runs.version().map(String::from)));
                }
                UpdatesEvent::Note { row } => self.store(&row),
                UpdatesEvent::Forget { .. } => self.disk = None,
                UpdatesEvent::Reply(_, reply) => self.replies.push(reply),
            }
        }
        while let Some(output) = self.outputs.pop() {
            match output {
                Output::Effect(id, effect) => self.asked.push((id, effect)),
                Output::Event(event) => {
                    if let EventKind::UpdateChanged { step, build, .. } = event.kind {
                        self.steps.push((step, build.and_then(|build| build.version().map(String::from))));
                    }
                }
                _ => {}
            }
        }
    }

    fn begin(&mut self, effect: Effect) {
        self.next += 1;
        let id = EffectId(self.next);
        self.updates.handle_begun(&web(), id);
        self.asked.push((id, effect));
    }

    fn store(&mut self, row: &Write) {
        let value = row.value.as_deref().expect("builds are stored here");
        self.disk = Some(row::decode(&row.key, value).expect("readable"));
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some((at, _)) = self.updates.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.updates.handle_timeout(ctx!(self));
            self.drain();
        }
        self.now = end;
    }

    /// Answers what was asked last; answers everything of another kind first in, first out.
    fn answer(&mut self, result: EffectResult) {
        let (id, effect) = self.asked.pop().expect("something was asked");
        if let (Effect::Persist { writes, .. }, EffectResult::Persisted) = (&effect, &result) {
            self.store(&writes[0]);
        }
        assert!(self.updates.handle_effect_done(ctx!(self), id, &result), "{effect:?}");
        self.drain();
    }

    fn look(&mut self, local: &str, channel: Option<&str>) {
        let Some((_, Effect::LookUp { .. })) = self.asked.last() else { panic!("{:?}", self.asked) };
        let head = |version| Head { ident: build(version), number: 1, service_version: None };
        let found = Found { local: Some(build(local)), channel: channel.map(head) };
        self.answer(EffectResult::LookedUp { found, waits: true });
    }

    fn fetched(&mut self, version: &str) {
        let Some((_, Effect::Fetch { ident, .. })) = self.asked.last() else { panic!("{:?}", self.asked) };
        assert_eq!(*ident, build(version));
        self.answer(EffectResult::Fetched { service_version: None });
    }

    fn fits(&mut self, misfits: &[&str]) {
        let Some((_, Effect::Preflight { .. })) = self.asked.last() else { panic!("{:?}", self.asked) };
        let misfits = misfits.iter().map(ToString::to_string).collect();
        self.answer(EffectResult::Preflighted { misfits });
    }

    /// A service goes through a restart.
    fn restarts(&mut self) {
        for state in [ServiceState::Stopping, ServiceState::Starting, ServiceState::Up] {
            self.state = state;
            self.tell();
        }
    }

    fn take(&mut self, version: &str) {
        self.fetched(version);
        self.fits(&[]);
        assert_eq!(self.replaced.last(), None, "nothing is touched before the disk knows");
        self.answer(EffectResult::Persisted);
        assert_eq!(self.replaced.pop(), Some(Some(String::from(version))));
        self.restarts();
    }

    fn runs(&self) -> String {
        self.updates.view(&web()).runs.expect("it runs").version().expect("a build").to_string()
    }
}

#[test]
fn a_promotion_is_fetched_tried_stored_and_proved() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.take("1.1");
    assert_eq!(world.runs(), "1.1");
    assert!(world.updates.view(&web()).on_trial);
    assert!(world.asked.is_empty(), "while a build is on trial no other is looked for");
    world.pass(10_001);
    let view = world.updates.view(&web());
    assert!(!view.on_trial && view.before == Some(build("1.0")));
    let steps: Vec<UpdateStep> = world.steps.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [UpdateStep::Seen, UpdateStep::Fetched, UpdateStep::Begun, UpdateStep::Done]);
    assert!(matches!(world.asked.last(), Some((_, Effect::LookUp { seen: Some(_), .. }))));
}

#[test]
fn a_build_that_crashes_is_taken_back_and_refused_until_the_channel_comes_to_it_anew() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.take("1.1");
    (world.state, world.fault) = (ServiceState::Backoff, Some("its process ended: code 1"));
    world.tell();
    assert_eq!((world.runs().as_str(), world.replaced.pop()), ("1.0", Some(Some(String::from("1.0")))));
    assert_eq!(world.disk.as_ref().and_then(|disk| disk.runs.clone()), Some(build("1.0")));
    world.fault = None;
    world.restarts();
    world.pass(2_000);
    world.look("1.1", Some("1.1"));
    assert_eq!(world.runs(), "1.0");
    let waits = world.updates.view(&web()).waits.expect("it says why");
    assert!(waits.contains("1.1") && waits.contains("code 1"), "{waits}");
    // The channel goes back, and comes to it again.
    world.pass(2_000);
    world.look("1.1", Some("1.0"));
    assert_eq!(world.runs(), "1.0", "what is installed is the one that is refused");
    world.pass(2_000);
    world.look("1.1", Some("1.1"));
    world.take("1.1");
}

#[test]
fn a_build_that_is_never_well_is_taken_back() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.health = Health::Critical;
    world.take("1.1");
    world.pass(119_000);
    assert_eq!(world.runs(), "1.1");
    world.pass(2_000);
    assert_eq!(world.runs(), "1.0");
    assert_eq!(world.steps.last(), Some(&(UpdateStep::RolledBack, Some(String::from("1.0")))));
}

#[test]
fn where_nothing_was_well_there_is_nothing_to_go_back_to_and_the_next_build_is_taken() {
    let mut world = World::running(at_once());
    world.health = Health::Critical;
    world.tell();
    world.look("1.0", Some("1.1"));
    world.take("1.1");
    (world.state, world.fault) = (ServiceState::Backoff, Some("its process ended: code 1"));
    world.tell();
    world.pass(300_000);
    assert_eq!(world.runs(), "1.1");
    world.look("1.1", Some("1.2"));
    world.take("1.2");
}

#[test]
fn what_cannot_be_had_is_lost_and_asked_for_afresh() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.answer(EffectResult::FetchFailed { fault: FetchFault::Lost, reason: "no route".into() });
    assert!(world.asked.is_empty(), "not in a busy loop");
    world.pass(60_000);
    assert!(matches!(world.asked.last(), Some((_, Effect::LookUp { seen: None, .. }))), "{:?}", world.asked);
    world.look("1.0", Some("1.0"));
    assert!(world.updates.view(&web()).refused.is_none());
    world.pass(2_000);
    world.look("1.0", Some("1.1"));
    world.answer(EffectResult::FetchFailed { fault: FetchFault::Refused, reason: "bad signature".into() });
    assert_eq!(world.updates.view(&web()).refused.map(|refused| refused.ident), Some(build("1.1")));
    assert_eq!(world.runs(), "1.0");
    world.pass(2_000);
    world.look("1.0", Some("1.1"));
    let again = world.asked.iter().any(|(_, effect)| matches!(effect, Effect::Fetch { .. }));
    assert!(!again, "not again");
}

#[test]
fn a_depot_that_is_away_is_asked_ever_less_often() {
    let mut world = World::running(at_once());
    let mut asked = 0;
    for _ in 0..200 {
        if world.asked.last().is_some() {
            asked += 1;
            world.answer(EffectResult::LookUpFailed { reason: "no route".into() });
        }
        world.pass(60_000);
    }
    assert!((6..20).contains(&asked), "{asked}");
    assert_eq!(world.steps.iter().filter(|(step, _)| *step == UpdateStep::Failed).count(), 1);
}

#[test]
fn what_does_not_fit_waits_for_the_facts() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.fetched("1.1");
    world.fits(&["needs key port"]);
    assert_eq!((world.runs().as_str(), world.replaced.len()), ("1.0", 0));
    assert_eq!(world.steps.last(), Some(&(UpdateStep::HeldBack, Some(String::from("1.1")))));
    world.updates.handle_facts(ctx!(world), &web());
    world.drain();
    world.take("1.1");
}

#[test]
fn a_disk_that_does_not_take_the_record_leaves_what_runs() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.fetched("1.1");
    world.fits(&[]);
    world.answer(EffectResult::PersistFailed("full".into()));
    assert_eq!((world.runs().as_str(), world.replaced.len()), ("1.0", 0));
    world.pass(60_000);
    world.take("1.1");
}

#[test]
fn an_order_stands_against_the_rule_until_something_else_is_there() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.take("1.1");
    world.pass(10_001);
    world.look("1.1", Some("1.1"));
    world.updates.handle_order(ctx!(world), RequestId(1), &web(), build("1.0"));
    world.drain();
    assert!(world.replies.is_empty(), "answered once it is on disk");
    world.answer(EffectResult::Persisted);
    assert_eq!(world.replies.pop(), Some(Reply::Done));
    world.take("1.0");
    world.pass(12_000);
    world.look("1.1", Some("1.1"));
    assert_eq!(world.runs(), "1.0");
    world.pass(2_000);
    world.look("1.1", Some("1.2"));
    world.take("1.2");
}

#[test]
fn an_order_needs_no_strategy_and_is_refused_where_the_spec_does_not_allow_it() {
    let none = ServiceSpec { update_strategy: UpdateStrategy::None, ..at_once() };
    let mut world = World::running(none);
    world.pass(600_000);
    assert!(world.asked.is_empty(), "nothing is looked for");
    for (to, n) in [("acme/web/1.1", 1), ("acme/db/1.0/20260101000000", 2)] {
        world.updates.handle_order(ctx!(world), RequestId(n), &web(), to.parse().expect("valid"));
        world.drain();
        assert!(matches!(world.replies.pop(), Some(Reply::Failed(CommandError::Package(_)))), "{to}");
    }
    world.updates.handle_order(ctx!(world), RequestId(3), &web(), build("0.9"));
    world.drain();
    world.answer(EffectResult::Persisted);
    world.take("0.9");
    assert_eq!(world.runs(), "0.9");
    world.updates.handle_order(ctx!(world), RequestId(4), &web(), build("0.9"));
    world.drain();
    assert_eq!(world.replies.pop(), Some(Reply::Unchanged));
}

#[test]
fn the_record_outlives_the_supervisor_and_ends_with_the_options() {
    let mut world = World::running(at_once());
    world.look("1.0", Some("1.1"));
    world.take("1.1");
    let mut next = World::with(at_once(), world.disk.clone().into_iter().collect());
    let of: PackageIdent = "acme/web".parse().expect("valid");
    assert_eq!(next.updates.build(&web(), &of), Some(&build("1.1")));
    assert!(next.updates.view(&web()).on_trial, "a restart ends no trial");
    (next.state, next.fault) = (ServiceState::Backoff, Some("its process ended: code 1"));
    next.tell();
    assert_eq!(next.runs(), "1.0");
    let other: PackageIdent = "acme/web/1.1".parse().expect("valid");
    assert_eq!(next.updates.build(&web(), &other), None, "other options let the newest be chosen again");
    next.spec.ident = other.clone();
    next.tell();
    assert_eq!(next.updates.build(&web(), &of), None);
    next.updates.handle_service(ctx!(next), &web(), None);
    assert_eq!(next.updates.build(&web(), &other), None);
}

#[test]
fn a_channel_is_tracked_back() {
    let spec = ServiceSpec { update_condition: UpdateCondition::TrackChannel, ..at_once() };
    let mut world = World::running(spec);
    world.look("1.0", Some("1.1"));
    world.take("1.1");
    world.pass(10_001);
    world.look("1.1", Some("1.0"));
    world.take("1.0");
    assert_eq!(world.runs(), "1.0");
}

#[test]
fn a_service_that_is_wanted_down_is_left_alone_but_for_orders() {
    let mut world = World::running(at_once());
    (world.wanted, world.state) = (false, ServiceState::Down);
    world.tell();
    world.look("1.0", Some("1.1"));
    assert!(world.asked.is_empty());
    world.updates.handle_order(ctx!(world), RequestId(1), &web(), build("1.1"));
    world.drain();
    world.answer(EffectResult::Persisted);
    world.fetched("1.1");
    world.fits(&[]);
    world.answer(EffectResult::Persisted);
    assert_eq!(world.runs(), "1.1");
    assert_eq!(world.updates.view(&web()).before, Some(build("1.0")));
}
