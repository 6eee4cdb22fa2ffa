//! Carries out a node's effects on this host, away from the loop. Reports each result, and decides nothing.

mod builds;
mod checkup;
mod hook;
mod preparing;
mod probe;
pub mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annulus_core::{
    Effect, EffectId, EffectResult, Facts, Hook, HookEnd, Instant, KeyDone, KeyWork, Lease, Obstacle,
    ObstacleKind, Prepared, ServiceName, ServiceSpec, Write,
};
use tokio::sync::{mpsc, watch};

use crate::host::clock::{self, Clock};
use crate::host::root::Root;
use crate::launcher::client::Client;
use crate::launcher::message::{self, Launch, Request};
use crate::prepare::plan::{Packages, ServicePlan};
use crate::prepare::untold;
use crate::supervisor::ledger::Ledger;
use crate::supervisor::ring_keys::RingKeeper;
use crate::supervisor::store::Writer;
use builds::Builds;
use hook::{Ended, Heard, HookRun, Say};
use preparing::Preparing;
use process::Processes;

/// Results that may wait for the loop. The core bounds its effects, so this only makes workers wait.
pub const RESULTS_MAX: usize = 256;

/// Carries out what a node wants done. Results go into the channel that the driver reads.
pub trait Effects {
    /// Called before an input is handled; answers with the time that the node is told.
    fn turn(&mut self, clock: &Clock) -> Instant {
        clock.now()
    }

    /// Begins `effect` and returns at once. `Effect::Exit` never comes here.
    fn start(&mut self, id: EffectId, effect: Effect);
}

/// How prepared services are run.
type Plans = Arc<Mutex<BTreeMap<ServiceName, ServicePlan>>>;

/// Effects on this host: its disk and its processes.
///
/// Dropping it writes what is queued. Services go on, because they belong to the launcher.
pub struct HostEffects {
    processes: Processes,
    packages: Arc<dyn Packages>,
    plans: Plans,
    ledger: Ledger,
    done: mpsc::Sender<(EffectId, EffectResult)>,
    writer: Writer,
    /// By these the hooks that run are ended, or those that have ended lately.
    hooks: BTreeMap<ServiceName, Vec<watch::Sender<bool>>>,
    /// Processes that outlived the last supervisor, until another one takes the place.
    adopted: BTreeMap<ServiceName, u32>,
    /// The keys of the ring; none in an open ring.
    keys: Option<RingKeeper>,
    builds: Builds,
    /// The time of the node in this turn of the loop, and the same in milliseconds since boot. A lease counts from here, because this process may
    /// be stopped for any time before the guard hears of the lease.
    turn: (Instant, u64),
}

impl HostEffects {
    /// Effects whose results go to `done`; `writer` must report there too. Other findings of `packages` and checks go
    /// into the ledger.
    #[must_use]
    pub fn new(
        writer: Writer,
        packages: Arc<dyn Packages>,
        ledger: Ledger,
        launcher: Client,
        done: mpsc::Sender<(EffectId, EffectResult)>,
    ) -> Self {
        let processes = Processes::new(launcher, done.clone());
        Self {
            processes,
            builds: Builds::new(Arc::clone(&packages), done.clone()),
            packages,
            plans: Arc::default(),
            ledger,
            done,
            writer,
            hooks: BTreeMap::new(),
            adopted: BTreeMap::new(),
            keys: None,
            turn: (Instant::ZERO, clock::boot_ms()),
        }
    }

    /// The same with these keys of the ring.
    #[must_use]
    pub fn with_keys(self, keys: Option<RingKeeper>) -> Self {
        Self { keys, ..self }
    }

    /// The same with depots, from which packages come to this root.
    #[must_use]
    pub fn with_depots(self, root: &Root) -> Self {
        let builds = self.builds.clone().with_depots(root.clone());
        Self { builds, ..self }
    }

    /// Work with keys waits for the disk.
    fn work_with_key(&self, id: EffectId, work: KeyWork) {
        let (keys, done) = (self.keys.clone(), self.done.clone());
        tokio::spawn(async move {
            let no_key = || KeyDone::Failed("this supervisor has no key of a ring".to_owned());
            let result = match keys {
                Some(keys) => tokio::task::spawn_blocking(move || keys.work(&work)).await,
                None => Ok(no_key()),
            };
            let result =
                result.unwrap_or_else(|panic| KeyDone::Failed(format!("failed inside annulus: {panic}")));
            let _ = done.send((id, EffectResult::RingKey(result))).await;
        });
    }

    /// The processes of services, so that they can be killed at once from outside the loop.
    #[must_use]
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Has a package found or rendered on a thread that may wait.
    fn with_packages<T: Send + 'static>(
        &self,
        id: EffectId,
        service: ServiceName,
        work: impl FnOnce(&dyn Packages, &ServiceName) -> Result<(T, ServicePlan), Obstacle> + Send + 'static,
        report: impl FnOnce(Result<T, Obstacle>) -> EffectResult + Send + 'static,
        claim: Option<Client>,
    ) {
        let (packages, plans) = (Arc::clone(&self.packages), Arc::clone(&self.plans));
        let (ledger, done) = (self.ledger.clone(), self.done.clone());
        tokio::spawn(async move {
            // Before any file is written: the directory may be another supervisor's.
            if let Some(Err(reason)) = claim_for(claim.as_ref(), &service).await {
                let held = Obstacle::new(ObstacleKind::Spec, reason);
                let _ = done.send((id, report(Err(held)))).await;
                return;
            }
            let work = tokio::task::spawn_blocking(move || {
                let (result, plan) = work(&*packages, &service)?;
                ledger.set_plan(&service, &plan);
                plans.lock().unwrap_or_else(PoisonError::into_inner).insert(service, plan);
                Ok(result)
            });
            let result = work.await.unwrap_or_else(|panic| {
                let what = format!("preparing the package failed inside annulus: {panic}");
                Err(Obstacle::new(ObstacleKind::Package, what))
            });
            let _ = done.send((id, report(result))).await;
        });
    }

    /// Has a package found, installed and rendered; its install hooks can be ended.
    fn prepare(&mut self, id: EffectId, service: ServiceName, spec: Box<ServiceSpec>, facts: Box<Facts>) {
        let ended = self.endable(&service);
        let (ledger, began) = (self.ledger.clone(), (self.turn.0, clock::wall()));
        let adopted = self.adopted.get(&service).copied();
        let preparing = Preparing { service: service.clone(), ledger, ended, began, adopted };
        self.with_packages(
            id,
            service,
            move |packages, service| packages.prepare(service, &spec, &facts, &preparing),
            prepared,
            Some(self.processes.launcher().clone()),
        );
    }

    /// The way to run a hook of a prepared service; none when it has no such hook.
    fn hook(
        &mut self,
        service: &ServiceName,
        plan: &ServicePlan,
        hook: Hook,
        lease: Option<&Lease>,
    ) -> Option<(HookRun, Say)> {
        if !plan.hooks.contains(&hook) {
            return None;
        }
        let run = HookRun {
            service: service.clone(),
            hook,
            program: plan.hooks_dir.join(hook.name()),
            dir: plan.run.dir.clone(),
            env: plan.run.env.clone(),
            account: plan.account.clone(),
            capabilities: plan.run.capabilities,
            launcher: self.processes.launcher().clone(),
            ended: self.endable(service),
            lease: lease.map(|lease| self.since_boot(lease)),
        };
        let (processes, service, group) = (self.processes.clone(), service.clone(), plan.group.clone());
        // The channel has room for all lines of a hook, so the hook does not wait for the log.
        let (said, mut lines) = mpsc::channel::<String>(hook::SAID_LINES_MAX);
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                processes.log(&service, &group, hook, &line).await;
            }
        });
        Some((run, Arc::new(move |line: &str| drop(said.try_send(line.to_owned())))))
    }

    /// Services that are unloaded are let go: what still runs of them is the launcher's to wait for, and a start that
    /// comes after all claims its service again.
    fn let_go(&self, writes: &[Write]) {
        for write in writes {
            if let Some(Ok((service, None))) = write.service() {
                self.processes.launcher().tell(&Request::Release { service: service.as_str().to_owned() });
            }
        }
    }

    /// Notes that a hook of this service begins, which an order may end.
    fn endable(&mut self, service: &ServiceName) -> Ended {
        let (order, ended) = Ended::new();
        let orders = self.hooks.entry(service.clone()).or_default();
        orders.retain(|order| !order.is_closed());
        orders.push(order);
        ended
    }

    /// Ends the hooks of a service; each is answered by its own result.
    fn end_hooks(&mut self, service: &ServiceName) {
        for order in self.hooks.remove(service).into_iter().flatten() {
            // One that has ended hears of nothing.
            let _ = order.send(true);
        }
    }

    fn run_hook(
        &mut self,
        id: EffectId,
        (service, hook): (&ServiceName, Hook),
        limit: Duration,
        lease: Option<&Lease>,
    ) {
        let plan = self.plan(service);
        let Some((run, say)) = plan.and_then(|plan| self.hook(service, &plan, hook, lease)) else {
            return self.answer(id, EffectResult::HookEnded(HookEnd::MISSING));
        };
        let (done, svc) = (self.done.clone(), run.dir.clone());
        tokio::spawn(async move {
            let folder = svc.clone();
            // Before the hook reads a file: of what changes later it does not tell.
            let _ = tokio::task::spawn_blocking(move || untold::begins(&folder, hook)).await;
            let Heard { end, .. } = hook::run(run, limit, say).await;
            if end.is_ok() {
                // Nothing waits for this: what is told of twice is no harm.
                tokio::task::spawn_blocking(move || untold::succeeded(&svc, hook));
            }
            let _ = done.send((id, EffectResult::HookEnded(end))).await;
        });
    }

    fn check_health(&mut self, id: EffectId, service: ServiceName, limit: Duration, lease: Option<&Lease>) {
        let plan = self.plan(&service);
        let hook = plan.as_ref().and_then(|plan| self.hook(&service, plan, Hook::HealthCheck, lease));
        let health = plan.and_then(|plan| plan.health);
        let (ledger, done) = (self.ledger.clone(), self.done.clone());
        let (processes, pid) = (self.processes.clone(), self.processes.running(&service));
        tokio::spawn(async move {
            let checkup = checkup::check(hook, health, limit).await;
            ledger.set_health(&service, Some(checkup.report));
            if let Some(pid) = pid {
                processes.checked(service.as_str(), pid, checkup.health);
            }
            let result = EffectResult::HealthChecked { health: checkup.health, note: checkup.note };
            let _ = done.send((id, result)).await;
        });
    }

    fn count_inflight(&self, id: EffectId, service: ServiceName, limit: Duration) {
        let Some(source) = self.plan(&service).and_then(|plan| plan.inflight) else {
            return self.answer(id, EffectResult::Inflight(None));
        };
        let done = self.done.clone();
        tokio::spawn(async move {
            let counted = probe::inflight(&source, limit).await;
            if let Err(reason) = &counted {
                tracing::info!(
                    service = service.as_str(),
                    "what {service} has in flight is not known: {reason}"
                );
            }
            let _ = done.send((id, EffectResult::Inflight(counted.ok()))).await;
        });
    }

    /// Answers from a task of its own, because the loop that asks also reads the answers.
    fn answer(&self, id: EffectId, result: EffectResult) {
        let done = self.done.clone();
        tokio::spawn(async move {
            let _ = done.send((id, result)).await;
        });
    }

    /// A time of the node as milliseconds since boot, never later than that.
    fn since_boot_ms(&self, at: Instant) -> u64 {
        let (now, boot_ms) = self.turn;
        let left_ms = u64::try_from(at.saturating_since(now).as_millis()).unwrap_or(u64::MAX);
        boot_ms.saturating_add(left_ms)
    }

    /// A lease as a guard keeps it.
    fn since_boot(&self, lease: &Lease) -> message::Lease {
        let resume = lease.resume.as_ref().map(|resume| message::Resume {
            member: *resume.member.as_bytes(),
            group: resume.group.as_str().to_owned(),
            term: resume.term,
            until_ms: self.since_boot_ms(resume.until),
        });
        message::Lease { kill_at_ms: self.since_boot_ms(lease.kill_at), resume }
    }

    fn plan(&self, service: &ServiceName) -> Option<ServicePlan> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }
}

async fn claim_for(launcher: Option<&Client>, service: &ServiceName) -> Option<Result<(), String>> {
    Some(launcher?.claim(service.as_str()).await)
}

fn prepared(result: Result<Prepared, Obstacle>) -> EffectResult {
    match result {
        Ok(prepared) => EffectResult::Prepared(prepared),
        Err(Obstacle { kind, what: reason, .. }) => EffectResult::PrepareFailed { kind, reason },
    }
}

impl Effects for HostEffects {
    fn turn(&mut self, clock: &Clock) -> Instant {
        // Read first: this process may stand still between the two, and a lease must not get longer by that.
        let boot_ms = clock::boot_ms();
        let now = clock.now();
        self.turn = (now, boot_ms);
        now
    }

    fn start(&mut self, id: EffectId, effect: Effect) {
        match effect {
            Effect::Persist { writes, sync: _ } => {
                self.let_go(&writes);
                self.writer.persist(id, writes);
            }
            Effect::Prepare { service, spec, facts } => self.prepare(id, service, spec, facts),
            Effect::Look { service, spec, facts } => self.with_packages(
                id,
                service,
                move |packages, service| packages.look(service, &spec, &facts),
                prepared,
                None,
            ),
            Effect::Render { service, facts } => self.with_packages(
                id,
                service,
                move |packages, service| packages.render(service, &facts),
                |result| match result {
                    Ok(rendered) => EffectResult::Rendered(rendered),
                    Err(Obstacle { kind, what: reason, .. }) => EffectResult::RenderFailed { kind, reason },
                },
                None,
            ),
            Effect::RunHook { service, hook, timeout_ms, lease } => {
                let limit = Duration::from_millis(timeout_ms);
                self.run_hook(id, (&service, hook), limit, lease.as_ref());
            }
            Effect::EndHooks { service } => {
                self.end_hooks(&service);
                self.answer(id, EffectResult::Signalled);
            }
            Effect::CheckHealth { service, timeout_ms, lease } => {
                self.check_health(id, service, Duration::from_millis(timeout_ms), lease.as_ref());
            }
            Effect::CountInflight { service, timeout_ms } => {
                self.count_inflight(id, service, Duration::from_millis(timeout_ms));
            }
            Effect::Spawn { service, group, lease, restarts } => {
                self.ledger.set_health(&service, None);
                self.adopted.remove(&service);
                let plan = self.plan(&service);
                let unchecked = plan.as_ref().is_some_and(ServicePlan::is_unchecked);
                let plan = plan.map(|plan| plan.run);
                let lease = lease.map(|lease| self.since_boot(&lease));
                let launch = plan.map(|plan| Launch { restarts, ..plan.launch(&service, &group, lease) });
                self.processes.spawn(id, launch, unchecked);
            }
            Effect::Signal { service, pid, signal } => self.processes.signal(id, &service, pid, signal),
            Effect::Adopt { service, group: _, pid } => {
                self.adopted.insert(service.clone(), pid);
                self.processes.adopt(id, service, pid);
            }
            Effect::RingKey(work) => self.work_with_key(id, work),
            effect @ (Effect::LookUp { .. } | Effect::Fetch { .. } | Effect::Preflight { .. }) => {
                self.builds.begin(id, effect);
            }
            Effect::Lease { service, pid, lease } => {
                let lease = lease.map(|lease| self.since_boot(&lease));
                self.processes.lease(id, &service, pid, lease.as_ref());
            }
            Effect::Exit(_) => {}
        }
    }
}
