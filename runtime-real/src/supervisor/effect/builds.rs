//! Builds that a service may be updated to: which ones are installed, and whether one could run here. Touches no file of a
//! service.

use std::sync::Arc;

use annulus_core::{
    Effect, EffectId, EffectResult, Facts, FetchFault, Found, Obstacle, ObstacleKind, PackageIdent,
    ServiceName, ServiceSpec,
};
use tokio::sync::mpsc;

use crate::prepare::plan::Packages;

/// Begins a look, a fetch or a preflight on a thread that may wait for a disk.
pub(super) fn begin(
    id: EffectId,
    effect: Effect,
    packages: &Arc<dyn Packages>,
    done: &mpsc::Sender<(EffectId, EffectResult)>,
) {
    let (packages, done) = (Arc::clone(packages), done.clone());
    tokio::spawn(async move {
        let work = tokio::task::spawn_blocking(move || match effect {
            Effect::LookUp { ident, .. } => look_up(&*packages, &ident),
            Effect::Fetch { ident, .. } => fetch(&*packages, &ident),
            Effect::Preflight { service, spec, facts } => preflight(&*packages, &service, &spec, &facts),
            other => unreachable!("{other:?} is about no build"),
        });
        let result = work.await.unwrap_or_else(|panic| EffectResult::PreflightFailed {
            reason: format!("failed inside annulus: {panic}"),
        });
        let _ = done.send((id, result)).await;
    });
}

/// What is installed: there is no depot to ask.
fn look_up(packages: &dyn Packages, wanted: &PackageIdent) -> EffectResult {
    match packages.newest(wanted) {
        Ok(local) => EffectResult::LookedUp { found: Found { local, channel: None }, waits: false },
        Err(Obstacle { what: reason, .. }) => EffectResult::LookUpFailed { reason },
    }
}

/// A build that is installed is here already.
fn fetch(packages: &dyn Packages, build: &PackageIdent) -> EffectResult {
    match packages.newest(build) {
        Ok(Some(_)) => EffectResult::Fetched { service_version: None },
        Ok(None) => EffectResult::FetchFailed {
            fault: FetchFault::Lost,
            reason: format!("{build} is not installed here; install it with `annulus pkg install`"),
        },
        Err(Obstacle { what: reason, .. }) => EffectResult::FetchFailed { fault: FetchFault::Lost, reason },
    }
}

/// Whether a build has what it needs here.
fn preflight(
    packages: &dyn Packages,
    service: &ServiceName,
    spec: &ServiceSpec,
    facts: &Facts,
) -> EffectResult {
    match packages.look(service, spec, facts) {
        Ok(_) => EffectResult::Preflighted { misfits: Vec::new() },
        Err(Obstacle { kind: ObstacleKind::File | ObstacleKind::Disk, what: reason, .. }) => {
            EffectResult::PreflightFailed { reason }
        }
        Err(Obstacle { what, .. }) => EffectResult::Preflighted { misfits: vec![what] },
    }
}
