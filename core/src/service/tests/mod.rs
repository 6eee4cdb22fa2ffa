//! The machine against a model of the outside: a disk, a ring, processes, and answers that come late and in any order.

mod drain;
mod hooks;
mod lead;
mod leases;
mod life;
mod obstacles;
mod random;
mod readiness;
mod ring;
mod stop;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use super::*;
use crate::model::census::{Census, CensusGroup, CensusMember};
use crate::model::command::StopHow;
use crate::model::context::Outputs;
use crate::model::exit_status::ExitStatus;
use crate::model::facts::{GroupConfig, GroupFile, SealedFacts};
use crate::model::id::InputId;
use crate::model::id::MemberId;
use crate::model::ident::PackageIdent;
use crate::model::io::{Effect, StopSignal};
use crate::model::lease::Lease;
use crate::model::limits;
use crate::model::metrics::Metrics;
use crate::model::prepared::{Changed, HookEnd, HookExit, Prepared, Rendered};
use crate::model::service::{Health, Hook, ObstacleKind, ServiceState, SpecChange, Topology};
use crate::model::time::UnixTime;
use crate::store::service as row;

/// Lends the machine the ring as the test has it.
macro_rules! ctx {
    ($world:ident) => {
        &mut Context {
            now: $world.now,
            wall: WALL,
            input: InputId(0),
            after: $crate::model::context::Follows::Input,
            outputs: &mut $world.outputs,
            metrics: &mut $world.metrics,
        }
    };
}
use ctx;

const WALL: UnixTime = UnixTime::from_millis(1);
const ME: MemberId = MemberId::from_bytes([1; 16]);
const RELEASE: &str = "20260101000000";

#[derive(Debug)]
struct Process {
    spawn: EffectId,
    pid: u32,
    told: Option<StopSignal>,
    /// The lease that its guard holds.
    guard: Option<Lease>,
    /// The restarts of its service when it was started.
    restarts: u32,
    acting: Acting,
    /// The check of it that was asked for last.
    checking: Option<EffectId>,
    /// What its launcher was told of its health.
    health: Option<Health>,
}

/// What a process knows of the lead, as a witness sees it: from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acting {
    /// It was never told that it leads, or has taken the consequences of not leading.
    No,
    /// A file or hook may have told it so.
    Told,
    /// Its files say no longer that it leads; it has not looked.
    Rendered,
    /// Its reconfigure hook was begun after that.
    Telling(EffectId),
}

/// The request of a command, by which the test judges its answer.
#[derive(Clone, Debug)]
enum Asked {
    Load(Box<ServiceSpec>),
    Unload,
    Start,
    Restart,
    Stop,
    Update(Box<SpecChange>),
    Drain(Option<u64>),
    Undrain,
    Maintain(Option<&'static str>),
}

/// The ring as the test has it.
#[derive(Debug)]
struct Ring {
    told: bool,
    alone: bool,
    groups: BTreeMap<ServiceGroup, CensusGroup>,
    config: Option<GroupConfig>,
    sealed: SealedFacts,
    /// What the last supervisor announced.
    announced: Vec<(ServiceGroup, Topology)>,
    /// The build that is to run.
    build: Option<PackageIdent>,
}

impl Around for Ring {
    fn me(&self) -> MemberId {
        ME
    }

    fn census(&self, groups: &[ServiceGroup]) -> Census {
        let wanted = self.groups.iter().filter(|(name, _)| groups.contains(name));
        Census { local: ME, groups: wanted.map(|(name, group)| (name.clone(), group.clone())).collect() }
    }

    fn config(&self, _: &ServiceGroup) -> Option<GroupConfig> {
        self.config.clone()
    }

    fn files(&self, _: &ServiceGroup) -> Vec<GroupFile> {
        Vec::new()
    }

    fn sealed(&self, _: &ServiceGroup) -> SealedFacts {
        self.sealed.clone()
    }

    fn is_alone(&self) -> bool {
        self.alone
    }

    fn announced(&self, service: &ServiceName) -> Vec<(ServiceGroup, Topology)> {
        let of = |told: &&(ServiceGroup, Topology)| told.0.service() == service.as_str();
        self.announced.iter().filter(of).cloned().collect()
    }

    fn build(&self, _: &ServiceName, of: &PackageIdent) -> Option<PackageIdent> {
        self.build.clone().filter(|build| build.satisfies(of))
    }

    fn is_told(&self, _: &ServiceGroup) -> bool {
        self.told
    }
}

struct World {
    services: Services,
    ring: Ring,
    /// The properties of every package.
    package: Prepared,
    /// The changes that the next rendering makes.
    changes: Changed,
    now: Instant,
    next_id: u64,
    outputs: Outputs,
    metrics: Metrics,
    outstanding: BTreeMap<EffectId, Effect>,
    processes: BTreeMap<ServiceName, Process>,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    asked: BTreeMap<RequestId, (ServiceName, Asked)>,
    replies: BTreeMap<RequestId, Reply>,
    states: BTreeMap<ServiceName, ServiceState>,
    seen: BTreeSet<ServiceState>,
    announced: BTreeMap<ServiceGroup, Announcement>,
    /// The last supervisor's announcements of processes that outlived it.
    inherited: BTreeSet<ServiceGroup>,
    health: BTreeMap<ServiceGroup, Health>,
    /// What stands in the way of each service, as was told last.
    told: BTreeMap<(ServiceName, ObstacleKind, Option<Hook>), Option<String>>,
    /// Hooks that were begun, in order.
    hooks: Vec<Hook>,
    /// The time that each of them was given last.
    hook_times_ms: BTreeMap<Hook, u64>,
    /// The release of every package that is made ready.
    release: &'static str,
    /// Whether each service's files, as they were prepared last, say that it leads.
    prepared_to_lead: BTreeMap<ServiceName, bool>,
    /// Whether guards kill at the deadline of a lease.
    guards_kill: bool,
    all_stopped: bool,
}

impl World {
    fn new() -> Self {
        Self::with(package())
    }

    fn with(package: Prepared) -> Self {
        let ring = Ring {
            told: true,
            alone: true,
            groups: BTreeMap::new(),
            config: None,
            sealed: SealedFacts::default(),
            announced: Vec::new(),
            build: None,
        };
        let mut world = Self {
            services: machine(Vec::new(), Vec::new(), Instant::ZERO, &ring),
            ring,
            package,
            changes: Changed::default(),
            now: Instant::ZERO,
            next_id: 0,
            outputs: Outputs::default(),
            metrics: Metrics::default(),
            outstanding: BTreeMap::new(),
            processes: BTreeMap::new(),
            disk: BTreeMap::new(),
            asked: BTreeMap::new(),
            replies: BTreeMap::new(),
            states: BTreeMap::new(),
            seen: BTreeSet::new(),
            announced: BTreeMap::new(),
            inherited: BTreeSet::new(),
            health: BTreeMap::new(),
            told: BTreeMap::new(),
            hooks: Vec::new(),
            hook_times_ms: BTreeMap::new(),
            release: RELEASE,
            prepared_to_lead: BTreeMap::new(),
            guards_kill: false,
            all_stopped: false,
        };
        world.drain();
        world
    }

    /// When the machine wants to be called.
    fn due(&self) -> Option<Instant> {
        let (at, reason) = self.services.poll_timeout()?;
        assert_eq!(reason, WakeReason::Service);
        Some(at)
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn drain(&mut self) {
        while let Some(event) = self.services.poll_event() {
            match event {
                ServiceEvent::Effect { errand, effect } => {
                    let id = EffectId(self.id());
                    self.services.handle_effect_begun(id, errand);
                    self.take_effect(id, effect);
                }
                ServiceEvent::Reply(request, reply) => self.take_reply(request, reply),
                ServiceEvent::Changed { service, from, to, reason, .. } => {
                    assert!(!reason.is_empty());
                    assert_eq!(self.states.get(&service).copied(), from, "{service}: {reason}");
                    assert_ne!(from, to, "{service}: {reason}");
                    self.seen.extend(to);
                    match to {
                        Some(state) => self.states.insert(service, state),
                        None => self.states.remove(&service),
                    };
                }
                ServiceEvent::Obstacle { service, kind, hook, what, .. } => {
                    let before = self.told.insert((service, kind, hook), what.clone());
                    assert_ne!(before.unwrap_or_default(), what, "said twice");
                }
                ServiceEvent::Announce(a) => {
                    assert!(!a.accepting || a.initialized && a.maintenance.is_none());
                    let was = self.announced.insert(a.group.clone(), a.clone());
                    assert_ne!(was, Some(a), "said twice");
                }
                ServiceEvent::Health { group, health } => {
                    assert!(
                        self.announced.contains_key(&group),
                        "health of a service that was not announced"
                    );
                    assert_ne!(self.health.insert(group, health), Some(health), "said twice");
                }
                ServiceEvent::Retract { group } => {
                    self.health.remove(&group);
                    let inherited = self.inherited.remove(&group);
                    let said = self.announced.remove(&group).is_some();
                    assert!(said || inherited, "retracted a service that was not announced");
                }
                ServiceEvent::Fitness { .. } => {}
                ServiceEvent::ActsNoLonger { group } => self.assert_at_rest(&group),
                ServiceEvent::Build { .. } | ServiceEvent::Wish { .. } => {}
                ServiceEvent::AllStopped => {
                    assert!(!self.all_stopped, "told twice");
                    assert!(self.processes.is_empty() && self.announced.values().all(|a| !a.initialized));
                    self.all_stopped = true;
                }
            }
        }
        self.check();
        if self.ring.told && self.services.is_announcing() {
            // A round of gossip has told all.
            self.advance(Duration::ZERO);
        }
    }

    fn take_effect(&mut self, id: EffectId, effect: Effect) {
        match &effect {
            Effect::Persist { writes, sync } => {
                // What is unloaded takes the record of its builds along.
                let tables: Vec<crate::Table> = writes.iter().map(|write| write.table).collect();
                let is_unload = tables == [crate::Table::Service, crate::Table::Build];
                assert!(*sync && (tables == [crate::Table::Service] || is_unload), "{tables:?}");
            }
            Effect::Prepare { service, facts, .. } if self.processes.contains_key(service) => {
                assert!(!self.is_starting(service), "{service}: prepared twice at a time");
                self.see_writing(&service.clone(), facts.role.clone());
            }
            Effect::Prepare { service, facts, .. } => {
                assert!(!self.is_starting(service), "{service}: started twice");
                assert!(!self.is_writing(service), "{service}: written twice at a time");
                self.assert_wanted(service);
                let leads = matches!(facts.role, Some(Role::Leader { .. }));
                self.prepared_to_lead.insert(service.clone(), leads);
            }
            Effect::Spawn { service, lease, .. } => {
                assert_eq!(self.prepared_to_lead[service], lease.is_some(), "{service}: {lease:?}");
                assert!(lease.as_ref().is_none_or(|lease| lease.kill_at > self.now));
                assert!(!self.processes.contains_key(service), "{service}: two processes");
                assert!(!self.is_starting(service), "{service}: started twice");
                self.assert_wanted(service);
            }
            Effect::Adopt { service, pid, .. } => {
                assert!(self.processes.get(service).is_none_or(|p| p.pid == *pid));
                assert!(!self.is_starting(service), "{service}: started twice");
            }
            Effect::Signal { service, pid, signal } => {
                let group = self.group_of(service);
                assert!(
                    self.announced.get(&group).is_none_or(|a| !a.accepting),
                    "signalled while it takes work"
                );
                let process = self.processes.get_mut(service).expect("signals a process that runs");
                assert_eq!(process.pid, *pid);
                assert_ne!(process.told, Some(*signal), "signalled twice");
                process.told = Some(*signal);
            }
            Effect::Look { service, .. } => {
                assert!(self.processes.contains_key(service), "{effect:?}");
            }
            Effect::RunHook { service, hook, timeout_ms, lease } => {
                self.take_hook(id, (service, *hook), *timeout_ms, lease.as_ref());
            }
            Effect::Render { service, facts } if !self.processes.contains_key(service) => {
                let leads = matches!(facts.role, Some(Role::Leader { .. }));
                assert!(!leads && self.package.hooks.contains(&Hook::PostStop), "{effect:?}");
            }
            Effect::Render { service, facts } => {
                self.see_writing(&service.clone(), facts.role.clone());
            }
            Effect::CheckHealth { service, .. } => {
                self.processes.get_mut(service).expect("what runs is checked").checking = Some(id);
            }
            Effect::CountInflight { service, .. } => {
                assert!(self.processes.contains_key(service), "{effect:?}");
            }
            Effect::Lease { service, pid, lease } => self.see_lease(service, *pid, lease.as_ref()),
            Effect::EndHooks { service } => self.assert_pointless(service),
            Effect::Exit(_)
            | Effect::RingKey(_)
            | Effect::LookUp { .. }
            | Effect::Fetch { .. }
            | Effect::Preflight { .. } => panic!("only the node exits, and updates ask for builds"),
        }
        assert!(self.outstanding.insert(id, effect).is_none());
    }

    fn take_hook(
        &mut self,
        id: EffectId,
        (service, hook): (&ServiceName, Hook),
        timeout_ms: u64,
        lease: Option<&Lease>,
    ) {
        // A file that says it leads is no hook's before a guard has the lease.
        let told = self.prepared_to_lead.get(service) == Some(&true);
        let is_first = hook == Hook::Init;
        assert!(!is_first || told == lease.is_some(), "{service}: {hook} runs with {lease:?}");
        assert!(timeout_ms > 0 && self.package.hooks.contains(&hook));
        let before = matches!(hook, Hook::Init | Hook::PostStop);
        assert!(!before || !self.processes.contains_key(service), "{hook} beside a process");
        self.hooks.push(hook);
        self.hook_times_ms.insert(hook, timeout_ms);
        if let Some(process) = self.processes.get_mut(service)
            && hook == Hook::Reconfigure
            && process.acting == Acting::Rendered
        {
            process.acting = Acting::Telling(id);
        }
    }

    /// A guard is about to be given a lease: that of a process, or of a hook where no process is.
    fn see_lease(&self, service: &ServiceName, pid: Option<u32>, lease: Option<&Lease>) {
        assert!(lease.is_none_or(|lease| lease.kill_at > self.now));
        let process = self.processes.get(service);
        assert_eq!(process.map(|process| process.pid), pid);
        match process {
            None => {
                assert!(lease.is_some_and(|lease| lease.resume.is_none()), "no process leads on by a hook")
            }
            Some(process) => {
                assert!(lease.is_some() || process.acting == Acting::No, "{service}: freed while it acts");
            }
        }
    }

    /// Hooks are ended that run without a process, a service's own or those of its package.
    fn assert_pointless(&self, service: &ServiceName) {
        assert!(!self.processes.contains_key(service), "the signal to a process ends its hooks");
        let runs = |effect: &Effect| matches!(effect, Effect::RunHook { service: of, .. } | Effect::Prepare { service: of, .. } if of == service);
        assert!(self.outstanding.values().any(runs), "{service}: only what runs is ended");
    }

    /// A process's files are about to be written with this role.
    fn see_writing(&mut self, service: &ServiceName, role: Option<Role>) {
        assert!(!self.is_writing(service), "{service}: written twice at a time");
        let Some(Role::Leader { term, .. }) = role else { return };
        let process = self.processes.get_mut(service).expect("it runs");
        let held = process.guard.as_ref().and_then(|lease| lease.resume.as_ref());
        assert_eq!(held.map(|resume| resume.term), Some(term), "{service}: told before its guard");
        process.acting = Acting::Told;
    }

    fn is_writing(&self, name: &ServiceName) -> bool {
        let writes = |effect: &Effect| match effect {
            Effect::Prepare { service, .. } | Effect::Render { service, .. } => service == name,
            _ => false,
        };
        self.outstanding.values().any(writes)
    }

    /// No process acts as the group's leader, and no guard lets one be resumed.
    fn assert_at_rest(&self, group: &ServiceGroup) {
        assert!(!self.services.acts(group));
        let told_hook = self.outstanding.values().find(|effect| match effect {
            Effect::RunHook { service, lease, .. } | Effect::CheckHealth { service, lease, .. } => {
                service.as_str() == group.service() && lease.is_some()
            }
            _ => false,
        });
        assert!(told_hook.is_none(), "{group} is given away: {told_hook:?}");
        let process = self.processes.iter().find(|(name, _)| name.as_str() == group.service());
        let Some((name, process)) = process else { return };
        if self.group_of(name) == *group {
            let resume = process.guard.as_ref().and_then(|lease| lease.resume.as_ref());
            assert!(process.acting == Acting::No && resume.is_none(), "{group} is given away: {process:?}");
        }
    }

    fn group_of(&self, service: &ServiceName) -> ServiceGroup {
        let views = self.services.views();
        views.iter().find(|view| view.spec.name() == *service).expect("loaded").group.clone()
    }

    fn take_reply(&mut self, request: RequestId, reply: Reply) {
        let (service, asked) = self.asked.get(&request).cloned().expect("a reply answers a request");
        let stored = self.stored(&service);
        if reply == Reply::Done {
            match asked {
                Asked::Load(spec) => {
                    let stored = stored.map(|s| ServiceSpec { maintenance: None, ..s });
                    assert_eq!(stored.as_ref(), Some(&*spec), "acknowledged before stored");
                }
                Asked::Start => assert_eq!(stored.map(|s| s.desired), Some(DesiredState::Up)),
                Asked::Stop => {
                    let superseded = stored.is_none_or(|s| s.desired == DesiredState::Up);
                    assert!(superseded || !self.processes.contains_key(&service));
                }
                Asked::Unload => assert!(stored.is_none() && !self.processes.contains_key(&service)),
                Asked::Update(change) => {
                    let stored = stored.expect("loaded");
                    assert_eq!(change.apply(&stored), stored, "acknowledged before stored");
                }
                Asked::Maintain(reason) => {
                    assert_eq!(stored.expect("loaded").maintenance.as_deref(), reason);
                }
                Asked::Drain(_) | Asked::Undrain | Asked::Restart => {}
            }
        }
        assert!(self.replies.insert(request, reply).is_none(), "answered twice");
    }

    fn is_starting(&self, name: &ServiceName) -> bool {
        let starts = |effect: &Effect| match effect {
            Effect::Prepare { service, .. }
            | Effect::Spawn { service, .. }
            | Effect::Adopt { service, .. } => service == name,
            Effect::RunHook { service, hook: Hook::Init | Hook::PostStop, .. } => service == name,
            _ => false,
        };
        self.outstanding.values().any(starts)
    }

    fn stored(&self, service: &ServiceName) -> Option<ServiceSpec> {
        let key = service.as_str().as_bytes();
        self.disk.get(key).map(|value| row::decode(key, value).expect("readable"))
    }

    fn assert_wanted(&self, service: &ServiceName) {
        assert_eq!(self.stored(service).map(|s| s.desired), Some(DesiredState::Up), "{service} runs unasked");
        assert!(!self.all_stopped);
    }

    /// The invariants at every moment at which the machine has no event left.
    fn check(&self) {
        for view in self.services.views() {
            let name = view.spec.name();
            assert_eq!(self.states.get(&name), Some(&view.state));
            let process = self.processes.get(&name);
            if let Some(process) = process.filter(|process| process.acting != Acting::No) {
                assert!(self.services.acts(&view.group), "it acts: {view:?}");
                assert!(process.guard.is_some(), "it acts without a deadline: {view:?}");
            }
            if let Some(pid) = view.pid {
                assert_eq!(Some(pid), process.map(|p| p.pid), "{view:?}");
            }
            assert_eq!(view.next_start.is_some(), view.state == ServiceState::Backoff);
            assert_eq!(view.waiting_for.is_some(), view.state == ServiceState::Waiting);
            let told = self.announced.get(&view.group);
            assert!(
                told.is_none_or(|a| a.accepting == view.accepting),
                "the ring is told the state of the service: {view:?}"
            );
            assert!(told.is_none_or(|_| self.health.get(&view.group) == Some(&view.health)), "{view:?}");
            let at_goal = matches!(
                view.state,
                ServiceState::Up | ServiceState::Down | ServiceState::Waiting | ServiceState::Failed
            );
            let effect = self.outstanding.values().any(|e| concerns(e, &name));
            let exit_is_due = process.is_some_and(|p| p.told == Some(StopSignal::Kill));
            let deadline = self.due().is_some();
            assert!(at_goal || effect || exit_is_due || deadline, "stuck: {view:?}");
        }
    }

    fn ask(&mut self, service: &str, asked: Asked, force: bool) -> RequestId {
        let request = RequestId(self.id());
        let name: ServiceName = service.parse().expect("valid");
        self.asked.insert(request, (name.clone(), asked.clone()));
        let ask = match asked {
            Asked::Load(spec) => Ask::Load { spec, force },
            Asked::Unload => Ask::Unload(StopHow::default()),
            Asked::Start => Ask::Start,
            Asked::Restart => Ask::Restart,
            Asked::Stop => Ask::Stop(StopHow::default()),
            Asked::Update(change) => Ask::Update(change),
            Asked::Drain(timeout_ms) => Ask::Drain { timeout_ms },
            Asked::Undrain => Ask::Undrain,
            Asked::Maintain(reason) => Ask::Maintain { reason: reason.map(String::from) },
        };
        self.raw_ask(request, name, ask);
        request
    }

    fn raw_ask(&mut self, request: RequestId, name: ServiceName, ask: Ask) {
        self.services.handle_ask(ctx!(self), &self.ring, request, name, ask);
        self.drain();
    }

    /// The results of an effect that succeeds or fails.
    fn result_of(&mut self, id: EffectId, effect: Effect, good: bool) -> EffectResult {
        match effect {
            Effect::Persist { writes, .. } if good => {
                for write in writes.into_iter().filter(|write| write.table == crate::Table::Service) {
                    match write.value {
                        Some(value) => self.disk.insert(write.key, value),
                        None => self.disk.remove(&write.key),
                    };
                }
                EffectResult::Persisted
            }
            Effect::Persist { .. } => EffectResult::PersistFailed(String::from("disk full")),
            Effect::Prepare { spec, facts, .. } if good => {
                self.see_written(&spec.name(), facts.role.as_ref());
                EffectResult::Prepared(self.prepared(&spec))
            }
            Effect::Look { spec, .. } if good => EffectResult::Prepared(self.prepared(&spec)),
            Effect::Prepare { .. } | Effect::Look { .. } => {
                let (kind, reason) = (ObstacleKind::Package, String::from("not installed"));
                EffectResult::PrepareFailed { kind, reason }
            }
            Effect::Render { service, facts } if good => {
                self.see_written(&service, facts.role.as_ref());
                let (exports, changed) = (b"port = 1".to_vec(), core::mem::take(&mut self.changes));
                EffectResult::Rendered(Rendered { exports, changed, ..Rendered::default() })
            }
            Effect::Render { .. } => {
                EffectResult::RenderFailed { kind: ObstacleKind::Template, reason: String::from("no key") }
            }
            Effect::Spawn { service, lease: guard, restarts, .. } if good => {
                self.spawned(id, service, guard, restarts)
            }
            Effect::Adopt { service, pid, .. } if good && self.processes.contains_key(&service) => {
                self.processes.get_mut(&service).expect("kept").spawn = id;
                EffectResult::Spawned { pid }
            }
            Effect::Spawn { service, .. } | Effect::Adopt { service, .. } => {
                self.processes.remove(&service);
                EffectResult::SpawnFailed { reason: String::from("no run hook") }
            }
            Effect::RunHook { .. } => {
                let told = self.processes.values_mut().find(|p| p.acting == Acting::Telling(id));
                if let Some(process) = told {
                    process.acting = if good { Acting::No } else { Acting::Rendered };
                }
                let exit = if good { HookExit::Ended(ExitStatus::Code(0)) } else { HookExit::TimedOut };
                EffectResult::HookEnded(HookEnd { exit, value: Some(7) })
            }
            Effect::CheckHealth { .. } => self.checked(id, good),
            Effect::CountInflight { .. } => EffectResult::Inflight(Some(if good { 0 } else { 3 })),
            Effect::Lease { pid: None, .. } if good => EffectResult::Leased,
            Effect::Lease { service, pid: Some(pid), lease } if good => {
                let process = self.processes.get_mut(&service).filter(|process| process.pid == pid);
                process.map_or_else(
                    || EffectResult::LeaseFailed { reason: String::from("no such process") },
                    |process| {
                        process.guard = lease;
                        EffectResult::Leased
                    },
                )
            }
            Effect::Lease { .. } => EffectResult::LeaseFailed { reason: String::from("no answer") },
            _ => EffectResult::Signalled,
        }
    }

    fn spawned(
        &mut self,
        id: EffectId,
        service: ServiceName,
        guard: Option<Lease>,
        restarts: u32,
    ) -> EffectResult {
        let pid = u32::try_from(self.id()).expect("few");
        let acting = if guard.is_some() { Acting::Told } else { Acting::No };
        let health = (!self.package.has_health_check).then_some(Health::Ok);
        let process = Process { spawn: id, pid, told: None, guard, restarts, acting, checking: None, health };
        self.processes.insert(service, process);
        EffectResult::Spawned { pid }
    }

    fn checked(&mut self, id: EffectId, good: bool) -> EffectResult {
        let health = if good { Health::Ok } else { Health::Critical };
        if let Some(process) = self.processes.values_mut().find(|p| p.checking == Some(id)) {
            process.health = Some(health);
        }
        EffectResult::HealthChecked { health, note: String::from("checked") }
    }

    /// A service's files are written with this role.
    fn see_written(&mut self, service: &ServiceName, role: Option<&Role>) {
        let leads = matches!(role, Some(Role::Leader { .. }));
        if let Some(process) = self.processes.get_mut(service)
            && process.acting == Acting::Told
            && !leads
        {
            process.acting = Acting::Rendered;
        }
    }

    /// Guards kill what acts past its lease.
    fn keep_guard(&mut self) {
        let is_over =
            |process: &Process| process.guard.as_ref().is_some_and(|lease| lease.kill_at <= self.now);
        let over = self.processes.iter().filter(|(_, process)| is_over(process));
        let over: Vec<ServiceName> = over.map(|(name, _)| name.clone()).collect();
        for name in over {
            if self.services.outbox.awaited(self.processes[&name].spawn).is_some() {
                self.kill_hooks(&name);
                self.exit(&name, ExitStatus::Signal(9));
            } else {
                self.processes.remove(&name);
            }
        }
    }

    /// The hooks of a service end with its tree.
    fn kill_hooks(&mut self, name: &ServiceName) {
        let is_hook = |effect: &Effect| matches!(effect, Effect::RunHook { service, .. } if service == name);
        let hooks: Vec<EffectId> =
            self.outstanding.iter().filter(|(_, effect)| is_hook(effect)).map(|(id, _)| *id).collect();
        hooks.into_iter().for_each(|id| self.answer(id, false));
    }

    /// Answers one effect.
    fn answer(&mut self, id: EffectId, good: bool) {
        let effect = self.outstanding.remove(&id).expect("outstanding");
        let result = self.result_of(id, effect, good);
        assert!(self.deliver(id, &result));
    }

    fn deliver(&mut self, id: EffectId, result: &EffectResult) -> bool {
        let own = self.services.handle_effect_done(ctx!(self), &self.ring, id, result);
        self.drain();
        own
    }

    fn exit(&mut self, service: &ServiceName, status: ExitStatus) {
        let process = self.processes.remove(service).expect("runs");
        let result = EffectResult::Exited(status);
        assert!(self.deliver(process.spawn, &result));
        assert!(!self.deliver(process.spawn, &result), "ends once");
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        if self.guards_kill {
            self.keep_guard();
        }
        self.services.handle_timeout(ctx!(self), &self.ring);
        self.drain();
    }

    fn leave(&mut self, drain: bool) {
        self.services.handle_leave(ctx!(self), &self.ring, drain);
        self.drain();
    }

    fn hurry(&mut self) {
        self.services.handle_hurry(ctx!(self), &self.ring);
        self.drain();
    }

    fn role(&mut self, service: &str, role: Role) {
        self.services.handle_role(ctx!(self), &self.ring, &service.parse().expect("valid"), role);
        self.drain();
    }

    fn yields(&mut self, group: &ServiceGroup) {
        self.services.handle_yield(ctx!(self), &self.ring, group);
        self.drain();
    }

    fn facts(&mut self, group: &str) {
        let group = group.parse().expect("valid");
        let news = BTreeMap::from([(group, crate::model::context::Follows::Input)]);
        self.services.handle_facts(ctx!(self), &self.ring, &news);
        self.drain();
    }

    /// A source of the files that the ring does not know has changed.
    fn render(&mut self, service: &str) -> bool {
        let known = self.services.handle_render(ctx!(self), &self.ring, &service.parse().expect("valid"));
        self.drain();
        known
    }

    /// Another member serves this group, with these exports.
    fn serve(&mut self, group: &str, cfg: &str) {
        let service_group: ServiceGroup = group.parse().expect("valid");
        let member = CensusMember {
            member_id: MemberId::from_bytes([2; 16]),
            pkg: "core/db/1.0/20260101000000".parse().expect("valid"),
            pkg_incarnation: 0,
            initialized: true,
            sys: crate::model::config::SysInfo::default(),
            cfg: String::from(cfg),
            health: Health::Ok,
            accepting: true,
            maintenance: None,
            config_incarnation: 0,
            versions_digest: 0,
            held_back: BTreeSet::new(),
            slow_hook: None,
            state: Some(crate::model::member::State::Alive),
            permanent: false,
        };
        let population = BTreeMap::from([(member.member_id, member)]);
        let found = CensusGroup { population, ..CensusGroup::new(&service_group) };
        self.ring.groups.insert(service_group, found);
        self.facts(group);
    }

    /// The supervisor dies; a new one reads the disk, and finds the processes if they were kept.
    fn restart(&mut self, kept: bool) {
        let rows = self.disk.iter().map(|(key, value)| row::decode(key, value).expect("readable"));
        let rows: Vec<ServiceSpec> = rows.collect();
        if !kept {
            self.processes.clear();
        }
        self.ring.announced = self
            .announced
            .keys()
            .map(|group| {
                let led = self.services.stands_in(group);
                (group.clone(), if led { Topology::Leader } else { Topology::Standalone })
            })
            .collect();
        let running = self.processes.iter_mut().map(|(name, process)| {
            process.told = None;
            RunningService {
                service: name.clone(),
                pid: process.pid,
                ident: format!("core/{name}/1.0/{RELEASE}").parse().expect("valid"),
                since: WALL,
                restarts: process.restarts,
                shutdown_timeout_ms: Some(self.package.shutdown_timeout_ms),
                resume: process.guard.as_ref().and_then(|lease| lease.resume.clone()),
                health: process.health,
            }
        });
        let running: Vec<RunningService> = running.collect();
        self.services = machine(rows, running, self.now, &self.ring);
        let kept = self.services.told().filter(|told| told.announced.is_none());
        self.inherited = kept.map(|told| told.group.clone()).collect();
        self.outstanding.clear();
        self.states.clear();
        self.told.clear();
        self.health.clear();
        self.all_stopped = false;
        let unanswered =
            self.asked.keys().filter(|r| !self.replies.contains_key(r)).copied().collect::<Vec<_>>();
        for request in unanswered {
            self.asked.remove(&request);
        }
        self.announced.clear();
        self.drain();
    }

    /// From here on every effect succeeds, and signalled processes end.
    fn settle(&mut self) {
        let mut quiet_until = self.now + Duration::from_secs(60);
        for _ in 0..10_000 {
            let ending = self.processes.iter().find(|(_, p)| p.told.is_some()).map(|(name, _)| name.clone());
            if let Some(id) = self.outstanding.keys().next().copied() {
                let is_work = !matches!(
                    self.outstanding[&id],
                    Effect::CheckHealth { .. } | Effect::RunHook { hook: Hook::Suitability, .. }
                );
                if is_work {
                    quiet_until = self.now + Duration::from_secs(60);
                }
                self.answer(id, true);
            } else if let Some(name) = ending {
                self.exit(&name, ExitStatus::Signal(15));
            } else if let Some(at) = self.due().filter(|at| *at < quiet_until) {
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

    fn view(&self) -> ServiceView {
        self.services.views().into_iter().next().expect("loaded")
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
        Self::load_up_with(service, package())
    }

    fn load_up_with(service: &str, package: Prepared) -> Self {
        let mut world = Self::with(package);
        let request = world.ask(service, Asked::Load(Box::new(spec(service, 0))), false);
        world.settle();
        assert_eq!(world.replies.get(&request), Some(&Reply::Done));
        assert_eq!(world.state(service), Some(ServiceState::Up));
        world
    }

    fn prepared(&self, spec: &ServiceSpec) -> Prepared {
        let ident = format!("{}/{}/1.0/{}", spec.ident.origin(), spec.ident.name(), self.release);
        Prepared { ident: ident.parse().expect("valid"), ..self.package.clone() }
    }
}

fn machine(
    specs: Vec<ServiceSpec>,
    running: Vec<RunningService>,
    now: Instant,
    around: &dyn Around,
) -> Services {
    let timings = Timings::lan();
    let org = Some(String::from("acme"));
    let begin = Beginning { timings: &timings, org, planted: Planted::default(), specs, running };
    let (outputs, metrics) = (&mut Outputs::default(), &mut Metrics::default());
    let after = crate::model::context::Follows::Input;
    let ctx = &mut Context { now, wall: WALL, input: InputId(0), after, outputs, metrics };
    Services::new(ctx, around, begin, Rng::from_seed([3; 32]))
}

fn concerns(effect: &Effect, name: &ServiceName) -> bool {
    match effect {
        Effect::Persist { writes, .. } => writes.iter().any(|w| w.key == name.as_str().as_bytes()),
        Effect::Prepare { service, .. }
        | Effect::Look { service, .. }
        | Effect::Render { service, .. }
        | Effect::Spawn { service, .. }
        | Effect::Adopt { service, .. }
        | Effect::Signal { service, .. }
        | Effect::RunHook { service, .. }
        | Effect::EndHooks { service }
        | Effect::CheckHealth { service, .. }
        | Effect::CountInflight { service, .. }
        | Effect::Lease { service, .. } => service == name,
        Effect::Exit(_)
        | Effect::RingKey(_)
        | Effect::LookUp { .. }
        | Effect::Fetch { .. }
        | Effect::Preflight { .. } => false,
    }
}

/// A package without hooks.
fn package() -> Prepared {
    let ident = "core/any/1.0/20260101000000".parse().expect("valid");
    Prepared { exports: b"port = 1".to_vec(), ..Prepared::new(ident, 8_000) }
}

/// A package with these hooks.
fn with_hooks(hooks: &[Hook]) -> Prepared {
    Prepared { hooks: hooks.iter().copied().collect(), ..package() }
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

fn name(service: &str) -> ServiceName {
    service.parse().expect("valid")
}
