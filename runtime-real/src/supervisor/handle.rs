//! The handle of a running driver: gives commands, reads the node, listens to events, and learns of the end. Never
//! changes the node except by commands.

use std::fmt;
use std::sync::Arc;

use annulus_core::{Command, CommandError, Event, ExitReason, Node, Reply};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Requests that may wait for the loop.
const REQUESTS_MAX: usize = 256;
/// Events that are kept for a slow listener; a listener that falls further behind is told so.
const EVENTS_MAX: usize = 1_024;

/// The driver has ended: the supervisor is gone or about to be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this supervisor has ended")]
pub struct Gone;

/// How a driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The node finished.
    Exit(ExitReason),
    /// The driver was dropped while its node still ran.
    Dropped,
}

/// The requests of handles to the loop.
pub(crate) enum Request {
    Command(Box<Command>, oneshot::Sender<Reply>),
    Read(Box<dyn FnOnce(&Node) + Send>),
}

/// Asks a running driver. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct DriverHandle {
    requests: mpsc::Sender<Request>,
    events: broadcast::Sender<Arc<Event>>,
    ended: watch::Receiver<Option<Ended>>,
}

/// The driver's ends of its handles' channels.
pub(crate) struct Served {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) events: broadcast::Sender<Arc<Event>>,
    pub(crate) ended: watch::Sender<Option<Ended>>,
}

impl DriverHandle {
    pub(crate) fn new() -> (Self, Served) {
        let (requests, served_requests) = mpsc::channel(REQUESTS_MAX);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (served_ended, ended) = watch::channel(None);
        let served = Served { requests: served_requests, events: events.clone(), ended: served_ended };
        (Self { requests, events, ended }, served)
    }

    /// Gives a command and waits for the reply, which comes once the change is durable. A supervisor that has ended
    /// replies like a supervisor that is leaving.
    pub async fn command(&self, command: Command) -> Reply {
        let (answer, reply) = oneshot::channel();
        // An error means that the loop has ended and will not carry out the command.
        let _ = self.requests.send(Request::Command(Box::new(command), answer)).await;
        reply.await.unwrap_or(Reply::Failed(CommandError::Leaving))
    }

    /// Reads the node between two inputs, so that the answer is the present state.
    ///
    /// `look` runs inside the loop, so it should only copy what it needs; the caller formats elsewhere.
    ///
    /// # Errors
    /// The driver has ended.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, reply) = oneshot::channel();
        // The task that asked may have stopped waiting, which is no concern of the loop.
        let read = Box::new(move |node: &Node| drop(answer.send(look(node))));
        self.requests.send(Request::Read(read)).await.map_err(|_| Gone)?;
        reply.await.map_err(|_| Gone)
    }

    /// Every event from now on. A receiver that falls more than 1,024 events behind gets
    /// `RecvError::Lagged` with the number it missed, then goes on with the oldest kept one.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Waits until the driver has ended and says how.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(value) => value.unwrap_or(Ended::Dropped),
            Err(_) => Ended::Dropped,
        }
    }
}

impl fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHandle").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}
