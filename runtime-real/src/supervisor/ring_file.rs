//! Looks whether the file of the ring's current key is still there while the supervisor runs. The key stays in memory: a file that goes
//! away stops no supervisor, and is told of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::keys::{KeyError, KeyKind, RingKey};
use crate::supervisor::handle::DriverHandle;
use crate::supervisor::ring_keys::RingKeeper;

/// How often it is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// What the supervisor knows of its key file while it runs. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct RingFile(Arc<Mutex<Option<String>>>);

impl RingFile {
    /// What is wrong with the file of the key, for the status.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the file of the current key until the supervisor ends, which was `given` this one.
    pub async fn follow(self, given: RingKey, keeper: RingKeeper, handle: DriverHandle) {
        loop {
            sleep(LOOK_PERIOD).await;
            let Ok(current) = handle.read(|node| node.speaks_with()).await else { return };
            let Some((own, path)) = keeper.filed(&current, &given) else { continue };
            let keys = keeper.cache().clone();
            let look = tokio::task::spawn_blocking(move || match keys.load(&own.id, KeyKind::Shared) {
                Ok(file) if file.bytes() == own.key.as_bytes() => None,
                Ok(_) => Some("holds another key now".to_owned()),
                Err(KeyError::Missing { .. }) => Some("is gone".to_owned()),
                Err(error) => Some(format!("cannot be used any more ({error})")),
            });
            let Ok(found) = look.await else { return };
            let problem = found.map(|what| {
                format!(
                    "the key file of the ring, {}, {what}: this supervisor goes on with the key in its memory, and the next one \
                     with its own copy; put the file back, from which commands read the key",
                    path.display()
                )
            });
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match (&*held, &problem) {
                (None, Some(text)) => tracing::warn!("{text}"),
                (Some(_), None) => tracing::info!("the key file of the ring, {}, is back", path.display()),
                _ => {}
            }
            *held = problem;
        }
    }
}
