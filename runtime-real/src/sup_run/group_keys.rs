//! Follows the key cache for what was sealed for the groups of services on this host: has files written again when a key
//! comes or goes, and while something cannot be opened, from one second on with growing pauses. Reads no key.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use annulus_core::{Command, Node, ObstacleKind, ServiceName, ServiceState};

use crate::host::watch::DirWatch;
use crate::supervisor::handle::DriverHandle;

/// First pause between two tries; each further one is twice as long.
const TRY_AGAIN: Duration = Duration::from_secs(1);
const TRY_AGAIN_MAX: Duration = Duration::from_secs(60);
/// A key that is copied comes in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// The services of groups that can have a key, and what each of them lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    services: Vec<(ServiceName, Lack)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Nothing,
    /// Something came that cannot be opened; it runs on.
    Key,
    /// It does not start without.
    Start,
}

fn look(node: &Node) -> Found {
    let views = node.services();
    let services = views.iter().filter(|view| view.group.org().is_some()).map(|view| {
        let lacks = view.obstacles.iter().any(|obstacle| obstacle.kind == ObstacleKind::Key);
        let waits = matches!(view.state, ServiceState::Backoff | ServiceState::Failed);
        let lack = match (lacks, waits) {
            (false, _) => Lack::Nothing,
            (true, false) => Lack::Key,
            (true, true) => Lack::Start,
        };
        (view.spec.name(), lack)
    });
    Found { services: services.collect() }
}

/// Follows the cache in `dir` until the supervisor ends.
pub(super) async fn follow(dir: PathBuf, handle: DriverHandle) {
    let mut pause = TRY_AGAIN;
    let mut watch = None;
    loop {
        if watch.is_none() {
            // The first key may come later, and a folder that is not there cannot be watched.
            let _ = fs::create_dir_all(&dir);
            watch = DirWatch::new(&dir);
        }
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        let has_changed = tokio::select! {
            () = changed => true,
            () = tokio::time::sleep(pause) => false,
            _ = handle.ended() => return,
        };
        if has_changed {
            tokio::time::sleep(SETTLE).await;
        }
        let Ok(found) = handle.read(look).await else { return };
        let lacks = found.services.iter().any(|(_, lack)| *lack != Lack::Nothing);
        pause = if has_changed || !lacks { TRY_AGAIN } else { (pause * 2).min(TRY_AGAIN_MAX) };
        for (service, lack) in found.services {
            // What was opened with a key that was replaced has to be looked at as well.
            let command = match lack {
                Lack::Nothing if !has_changed => continue,
                Lack::Start if has_changed => Command::StartService { service },
                _ => Command::RenderService { service },
            };
            // A service that was unloaded meanwhile has no files.
            let _ = handle.command(command).await;
        }
    }
}
