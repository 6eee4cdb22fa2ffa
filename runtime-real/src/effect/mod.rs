//! What a node wants done outside itself, away from the loop.

mod leftover;
mod output;
pub mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use annulus_core::{Effect, EffectId, EffectResult, Health, HookEnd, Prepared, ServiceName, ServiceSpec};
use tokio::sync::mpsc;

use crate::store::Writer;
use process::{Processes, RunPlan};

/// Results that wait for the loop. The core bounds what it has under way; this only makes workers wait.
pub const RESULTS_MAX: usize = 256;

/// Does what a node wants done. Results go into the channel that the driver reads.
pub trait Effects {
    /// Begins `effect` and returns at once. `Effect::Exit` never comes here.
    fn start(&mut self, id: EffectId, effect: Effect);
}

/// Finds and renders the package of a service; runs on a thread where it may take its time.
pub type Prepare = dyn Fn(&ServiceName, &ServiceSpec) -> Result<(Prepared, RunPlan), String> + Send + Sync;

/// Effects on this host: its disk and its processes.
///
/// Dropping it kills what still runs and writes what is queued.
pub struct HostEffects {
    // Fields are dropped in this order: no service outlives the supervisor that holds its state.
    processes: Processes,
    prepare: Arc<Prepare>,
    plans: Arc<Mutex<BTreeMap<ServiceName, RunPlan>>>,
    done: mpsc::Sender<(EffectId, EffectResult)>,
    writer: Writer,
}

impl HostEffects {
    /// Effects whose results go to `done`; `writer` must report there too.
    #[must_use]
    pub fn new(writer: Writer, prepare: Arc<Prepare>, done: mpsc::Sender<(EffectId, EffectResult)>) -> Self {
        let processes = Processes::new(done.clone());
        Self { processes, prepare, plans: Arc::default(), done, writer }
    }

    /// What can kill the services at once, from outside the loop.
    #[must_use]
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    fn prepare(&self, id: EffectId, service: ServiceName, spec: Box<ServiceSpec>) {
        let (prepare, plans, done) = (Arc::clone(&self.prepare), Arc::clone(&self.plans), self.done.clone());
        tokio::spawn(async move {
            let work = tokio::task::spawn_blocking(move || {
                let (prepared, plan) = prepare(&service, &spec)?;
                plans.lock().unwrap_or_else(PoisonError::into_inner).insert(service, plan);
                Ok(prepared)
            });
            let failed = |reason: String| EffectResult::PrepareFailed { reason };
            let result = match work.await {
                Ok(Ok(prepared)) => EffectResult::Prepared(prepared),
                Ok(Err(reason)) => failed(reason),
                Err(panic) => failed(format!("preparing the package failed inside annulus: {panic}")),
            };
            let _ = done.send((id, result)).await;
        });
    }

    /// Answers from a task of its own: the loop that asks is the one that reads the answers.
    fn answer(&self, id: EffectId, result: EffectResult) {
        let done = self.done.clone();
        tokio::spawn(async move {
            let _ = done.send((id, result)).await;
        });
    }

    fn plan(&self, service: &ServiceName) -> Option<RunPlan> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }
}

fn not_here(service: &ServiceName, what: &str) -> String {
    format!("{service} cannot be {what} by this supervisor")
}

impl Effects for HostEffects {
    fn start(&mut self, id: EffectId, effect: Effect) {
        match effect {
            Effect::Persist { writes, sync: _ } => self.writer.persist(id, writes),
            Effect::Prepare { service, spec, facts: _ } => self.prepare(id, service, spec),
            Effect::Spawn { service, group } => self.processes.spawn(id, self.plan(&service), service, group),
            Effect::Signal { service, pid, signal } => self.processes.signal(id, &service, pid, signal),
            // What `Prepared` does not promise is not asked for.
            Effect::Render { service, .. } => {
                self.answer(id, EffectResult::RenderFailed { reason: not_here(&service, "written anew") });
            }
            Effect::Adopt { service, .. } => {
                self.answer(id, EffectResult::SpawnFailed { reason: not_here(&service, "adopted") });
            }
            Effect::RunHook { .. } => self.answer(id, EffectResult::HookEnded(HookEnd::MISSING)),
            Effect::CheckHealth { service, .. } => {
                let note = not_here(&service, "checked");
                self.answer(id, EffectResult::HealthChecked { health: Health::Unknown, note });
            }
            Effect::CountInflight { .. } => self.answer(id, EffectResult::Inflight(None)),
            Effect::Lease { .. } => self.answer(id, EffectResult::Leased),
            Effect::Exit(_) => {}
        }
    }
}

impl Drop for HostEffects {
    fn drop(&mut self) {
        self.processes.kill_all();
    }
}
