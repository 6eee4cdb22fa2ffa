//! Follows changes by hand in the directory of spec files.
//! Gives them to the core as commands, and changes no file itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::{Command, CommandError, Reply, ServiceName, StopHow};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Change, Specs};
use crate::host::watch::DirWatch;
use crate::supervisor::handle::DriverHandle;

/// Longest time between two looks at the directory: on a network file system another host may change it unnoticed. The
/// thread that looks may end in between.
const LOOK_PERIOD: Duration = Duration::from_secs(30);
/// … and where the system does not report changes to it.
const LOOK_PERIOD_UNTOLD: Duration = Duration::from_secs(1);
/// A change is looked at after the directory was quiet for so long, because editors write in several steps …
const QUIET: Duration = Duration::from_millis(150);
/// … but not later than this.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// A missing file is looked for once more after this.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// Gives changes by hand to the core, until the supervisor ends.
pub async fn follow(specs: Arc<Specs>, handle: DriverHandle) {
    let mut watch = DirWatch::new(specs.dir());
    if watch.is_none() {
        tracing::warn!(
            dir = %specs.dir().display(),
            "the system does not tell of changed spec files; they are looked at every second"
        );
    }
    let mut under_way: BTreeSet<ServiceName> = BTreeSet::new();
    let mut orders = JoinSet::new();
    loop {
        let unsettled = look(&specs, &handle, &mut under_way, &mut orders).await;
        let period = match &watch {
            _ if unsettled => SECOND_LOOK,
            Some(_) => LOOK_PERIOD,
            None => LOOK_PERIOD_UNTOLD,
        };
        tokio::select! {
            Some(done) = orders.join_next() => {
                if let Ok(service) = done {
                    under_way.remove(&service);
                }
            }
            () = settled(&mut watch) => {}
            () = sleep(period) => {}
            _ = handle.ended() => return,
        }
    }
}

/// Waits for a change, and then until the changes pause.
async fn settled(watch: &mut Option<DirWatch>) {
    let Some(watch) = watch else { return std::future::pending().await };
    watch.changed().await;
    let quiet = async { while timeout(QUIET, watch.changed()).await.is_ok() {} };
    // A directory that never becomes quiet is looked at all the same.
    let _ = timeout(QUIET_MAX, quiet).await;
}

/// Looks once; says whether another look is due soon.
async fn look(
    specs: &Arc<Specs>,
    handle: &DriverHandle,
    under_way: &mut BTreeSet<ServiceName>,
    orders: &mut JoinSet<ServiceName>,
) -> bool {
    let (scanned, busy) = (Arc::clone(specs), under_way.clone());
    let scan = tokio::task::spawn_blocking(move || scanned.scan(|service| busy.contains(service)));
    let seen = match scan.await {
        Ok(Ok(seen)) => seen,
        // The look has told why.
        Ok(Err(_)) | Err(_) => return false,
    };
    for change in seen.changes {
        let service = change.service();
        under_way.insert(service.clone());
        orders.spawn(order(Arc::clone(specs), handle.clone(), change));
    }
    seen.unsettled
}

/// Does work on another thread, because the loop must not wait for a disk.
async fn off_the_loop(work: impl FnOnce() + Send + 'static) {
    // A panic in there has been printed already.
    let _ = tokio::task::spawn_blocking(work).await;
}

/// Gives one change to the core, and notes the reply.
async fn order(specs: Arc<Specs>, handle: DriverHandle, change: Change) -> ServiceName {
    let service = change.service();
    let (command, what) = match &change {
        Change::Load(spec) => {
            (Command::LoadService { spec: (**spec).clone(), force: true }, "was written by hand; loading it")
        }
        Change::Unload(service) => (
            Command::UnloadService { service: service.clone(), how: StopHow::default() },
            "was removed by hand; unloading its service",
        ),
    };
    tracing::info!(service = service.as_str(), "spec file {} {what}", specs.path(&service).display());
    let reply = handle.command(command).await;
    match (reply, change) {
        (Reply::Failed(CommandError::Leaving), _)
        | (Reply::Done, _)
        | (Reply::Unchanged, Change::Unload(_)) => {}
        // Another command has unloaded it in the meantime.
        (Reply::Failed(CommandError::NotLoaded(_)), Change::Unload(service)) => {
            off_the_loop(move || drop(specs.persist(&service, None))).await;
        }
        (Reply::Unchanged, Change::Load(spec)) => off_the_loop(move || specs.agree(&spec)).await,
        // The disk failed, or another change was in the way: the next look tries again.
        (Reply::Failed(error @ CommandError::NotDurable(_)), _) => {
            tracing::warn!(
                service = service.as_str(),
                "spec file {}: {error}",
                specs.path(&service).display()
            );
            sleep(SECOND_LOOK).await;
        }
        (Reply::Failed(error), Change::Load(spec)) => {
            off_the_loop(move || specs.refuse(&spec, error.to_string())).await;
        }
        (Reply::Failed(error), Change::Unload(_)) => {
            tracing::warn!(service = service.as_str(), "unloading {service}: {error}");
        }
    }
    service
}
