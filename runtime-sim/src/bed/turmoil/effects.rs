//! A simulated disk and simulated services behind the driver's seam for effects, without threads.

use std::time::Duration;

use annulus::supervisor::effect::Effects;
use annulus_core::{Effect, EffectId, EffectResult, ExitStatus, StopSignal};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::ring::{Shared, now};
use crate::action::HostId;
use crate::action::world::What;
use crate::engine::package::Package;
use crate::engine::process;

/// How long each kind of work takes.
const SYNC: Duration = Duration::from_millis(1);
const PREPARE: Duration = Duration::from_millis(4);
const SPAWN: Duration = Duration::from_millis(3);
const STOP: Duration = Duration::from_millis(20);
const KILL: Duration = Duration::from_millis(1);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Effects of one supervisor.
pub(super) struct SimEffects {
    pub(super) shared: Shared,
    pub(super) me: u32,
    pub(super) done: mpsc::Sender<(EffectId, EffectResult)>,
}

impl SimEffects {
    /// Does `work` after a while and reports its result.
    fn after(
        &self,
        delay: Duration,
        work: impl FnOnce(&Shared) -> Option<(EffectId, EffectResult)> + Send + 'static,
    ) {
        let (shared, done) = (self.shared.clone(), self.done.clone());
        tokio::spawn(async move {
            if !delay.is_zero() {
                sleep(delay).await;
            }
            if let Some(result) = work(&shared) {
                // The driver may have ended.
                let _ = done.send(result).await;
            }
        });
    }
}

impl Effects for SimEffects {
    fn start(&mut self, id: EffectId, effect: Effect) {
        let me = self.me;
        match effect {
            Effect::Persist { writes, sync: false } => {
                self.shared.lock().host_mut(me).disk.write_unsynced(writes);
                self.after(Duration::ZERO, move |_| Some((id, EffectResult::Persisted)));
            }
            Effect::Persist { writes, sync: true } => {
                self.shared.lock().host_mut(me).disk.write_synced(id, writes);
                self.after(SYNC, move |shared| {
                    shared.lock().host_mut(me).disk.sync_done(id);
                    Some((id, EffectResult::Persisted))
                });
            }
            Effect::Prepare { service: _, spec, facts } | Effect::Look { service: _, spec, facts } => {
                self.after(PREPARE, move |_| {
                    Some((id, process::prepare(&spec, &Package::default(), process::bare(&facts))))
                });
            }
            Effect::Spawn { service, group: _, .. } => self.after(SPAWN, move |shared| {
                let mut ring = shared.lock();
                let Some(start) = process::bare_start(&service) else {
                    let reason = String::from("no package has this name");
                    return Some((id, EffectResult::SpawnFailed { reason }));
                };
                let pid = ring.host_mut(me).guards.start(service.clone(), id, start);
                ring.note(now(), What::ProcessStarted { host: HostId(me), service, pid });
                Some((id, EffectResult::Spawned { pid }))
            }),
            Effect::Signal { service, pid, signal } => {
                let (delay, number) = match signal {
                    StopSignal::Stop => (STOP, SIGTERM),
                    StopSignal::Kill => (KILL, SIGKILL),
                };
                self.after(Duration::ZERO, move |_| Some((id, EffectResult::Signalled)));
                self.after(delay, move |shared| {
                    let status = ExitStatus::Signal(number);
                    let spawn = shared.lock().end_process(me, now(), &service, pid, status)?;
                    Some((spawn, EffectResult::Exited(status)))
                });
            }
            Effect::Exit(_) => {}
            other => {
                let answer = process::answer(&other).expect("every other kind of work has an answer");
                self.after(SPAWN, move |_| Some((id, answer)));
            }
        }
    }
}
