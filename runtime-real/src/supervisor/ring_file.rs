//! Looks whether the key file of the ring is still there while the supervisor runs. The key stays in memory: a file that goes
//! away stops no supervisor, and is told of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::keys::{KeyCache, KeyError, KeyKind, RingKey};

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

    /// Looks at the file of the key until the supervisor ends.
    pub async fn follow(self, ring: RingKey, keys: KeyCache) {
        let Some(path) = ring.path().map(ToOwned::to_owned) else { return };
        loop {
            sleep(LOOK_PERIOD).await;
            let (keys, id, own) = (keys.clone(), ring.id().clone(), ring.key().clone());
            let look = tokio::task::spawn_blocking(move || match keys.load(&id, KeyKind::Shared) {
                Ok(file) if file.bytes() == own.as_bytes() => None,
                Ok(_) => Some("holds another key now".to_owned()),
                Err(KeyError::Missing { .. }) => Some("is gone".to_owned()),
                Err(error) => Some(format!("cannot be used any more ({error})")),
            });
            let Ok(found) = look.await else { return };
            let problem = found.map(|what| {
                format!(
                    "the key file of the ring, {}, {what}: this supervisor goes on with the key in its memory, and the next one \
                     could not start with it; put the file back",
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
