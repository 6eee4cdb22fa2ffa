//! Reads the disk for clients, away from the thread of the supervisor's loop. Writes nothing but a try
//! whether it takes something.
//!
//! A disk may take long, and a network file system for ever. The loop never waits for one, and all clients together
//! hold only a share of the threads that wait, so that services can be prepared while clients' reads hang.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::supervisor::room::Room;

/// Reads at one time; further ones wait in the order in which they were asked for.
const READS_MAX: usize = 4;

static SLOTS: Semaphore = Semaphore::const_new(READS_MAX);

/// A read ended with a panic inside annulus. The panic has been printed already.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the answer could not be put together: a read of the disk failed inside annulus")]
pub(super) struct ReadFailed;

/// Runs `read` on a thread that may wait. A client that stops waiting does not end the read, which goes on and holds
/// its slot.
///
/// # Errors
/// See [`ReadFailed`].
pub(super) async fn read<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadFailed> {
    let slot = SLOTS.acquire().await.map_err(|_| ReadFailed)?;
    let read = spawn_blocking(move || {
        let _slot = slot;
        read()
    });
    read.await.map_err(|_| ReadFailed)
}

/// The answer of a client waits so long for a disk that may be in trouble.
const TROUBLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the disk takes nothing. One that does not even answer is in the trouble that is known of it.
pub(super) async fn trouble(room: &Room) -> Option<String> {
    let asked = room.clone();
    // Without a slot: clients whose reads hang must not hold up the answer, and one caller at a time asks the disk.
    let asked = timeout(TROUBLE_TIMEOUT, spawn_blocking(move || asked.trouble())).await;
    asked.ok().and_then(Result::ok).unwrap_or_else(|| room.last_trouble())
}
