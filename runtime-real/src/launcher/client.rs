//! The supervisor's end of the connection to its launcher: sends requests and hands each answer to the task that waits
//! for it. Decides nothing about services, and never makes a lost connection again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus_core::{ExitStatus, RunningService, UnixTime};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::frame::{FrameError, LENGTH_BYTES, next_frame};
use super::message::{Answer, Held, Launch, Message, Request};
use super::version::Versions;
use super::{identity, socket_path};

/// The launcher answers the first request within this.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that wait to be written; a task that asks beyond these waits for room.
const REQUESTS_MAX: usize = 1_024;
/// Bytes that are read at once.
const READ_BYTES: usize = 4 * 1024;

/// Why there is no connection to a launcher.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No launcher listens there, or it closed the connection.
    #[error("the launcher cannot be reached: {0}; start supervisors with `annulus sup run`")]
    Io(#[from] io::Error),
    /// The launcher does not answer.
    #[error("the launcher does not answer")]
    Silent,
    /// There is no version of the messages that both speak.
    #[error(
        "the launcher that runs here speaks {launcher} of its messages and this supervisor {own}: its services go on \
         without a supervisor; put the program back that ran before, or stop everything with `annulus sup term` and \
         start it anew", own = Versions::SPOKEN
    )]
    Versions {
        /// The versions that the launcher speaks.
        launcher: Versions,
    },
}

/// Why a request has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The connection is closed.
    #[error("the launcher is gone")]
    Gone,
    /// The request cannot be sent.
    #[error("{0}, too long for the launcher")]
    Frame(#[from] FrameError),
}

/// The tasks that wait for one answer.
struct Waiting {
    answer: oneshot::Sender<Answer>,
    /// The task that waits for the end of the process which the answer may name.
    end: Option<oneshot::Sender<ExitStatus>>,
}

#[derive(Default)]
struct Shared {
    waiting: BTreeMap<u64, Waiting>,
    ends: BTreeMap<u32, oneshot::Sender<ExitStatus>>,
    closed: bool,
}

/// Asks a launcher. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Mutex<Shared>>,
    frames: mpsc::Sender<Vec<u8>>,
    next: Arc<AtomicU64>,
    closed: watch::Receiver<bool>,
    /// The version of the messages that was agreed upon; 0 before the greeting.
    version: u32,
}

impl Client {
    /// Connects to the launcher at `path`; returns with the processes that it holds, whose identity is checked.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(path: &Path) -> Result<(Self, Vec<RunningService>), ClientError> {
        let (short, _dir) = socket_path(path)?;
        Self::over(UnixStream::connect(short).await?).await
    }

    /// Greets the launcher at the other end of this connection.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn over(stream: UnixStream) -> Result<(Self, Vec<RunningService>), ClientError> {
        let (reader, writer) = stream.into_split();
        let (frames, to_write) = mpsc::channel(REQUESTS_MAX);
        let (ended, closed) = watch::channel(false);
        let shared: Arc<Mutex<Shared>> = Arc::default();
        tokio::spawn(write_all(writer, to_write));
        tokio::spawn(read_all(reader, Arc::clone(&shared), ended));
        let mut client = Self { shared, frames, next: Arc::default(), closed, version: 0 };
        let held = client.greet().await?;
        Ok((client, held))
    }

    /// Agrees on a version of the messages; returns the processes that the launcher holds.
    async fn greet(&mut self) -> Result<Vec<RunningService>, ClientError> {
        let hello = Request::Hello { versions: Versions::SPOKEN };
        match timeout(HELLO_TIMEOUT, self.request(&hello)).await {
            Ok(Ok(Answer::Welcome { version, boot_id, held, .. })) if Versions::SPOKEN.contains(version) => {
                self.version = version;
                Ok(running(&boot_id, held))
            }
            Ok(Ok(Answer::Welcome { versions, .. } | Answer::Refused { versions })) => {
                Err(ClientError::Versions { launcher: versions })
            }
            Ok(Ok(_)) | Err(_) => Err(ClientError::Silent),
            // A launcher of version 1 does not know the greeting and hangs up.
            Ok(Err(RequestError::Gone)) => Err(ClientError::Versions { launcher: Versions::FIRST }),
            Ok(Err(RequestError::Frame(_))) => Err(ClientError::Silent),
        }
    }

    /// The version of the messages that was agreed upon.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(&self, request: &Request) -> Result<Answer, RequestError> {
        self.ask(request, None).await
    }

    async fn ask(
        &self,
        request: &Request,
        end: Option<oneshot::Sender<ExitStatus>>,
    ) -> Result<Answer, RequestError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = request.encode(id)?;
        let (answer, answered) = oneshot::channel();
        {
            let mut shared = self.shared();
            if shared.closed {
                return Err(RequestError::Gone);
            }
            shared.waiting.insert(id, Waiting { answer, end });
        }
        self.frames.send(frame).await.map_err(|_| RequestError::Gone)?;
        answered.await.map_err(|_| RequestError::Gone)
    }

    /// Starts a process; returns its pid and a receiver of its end.
    ///
    /// # Errors
    /// Whether another try is worth it, and what is wrong.
    pub async fn spawn(
        &self,
        launch: Launch,
    ) -> Result<(u32, oneshot::Receiver<ExitStatus>), (bool, String)> {
        self.process(&Request::Spawn(Box::new(launch))).await
    }

    /// Takes over a process; returns its pid and a receiver of its end.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn adopt(
        &self,
        service: String,
        pid: u32,
    ) -> Result<(u32, oneshot::Receiver<ExitStatus>), (bool, String)> {
        self.process(&Request::Adopt { service, pid }).await
    }

    async fn process(
        &self,
        request: &Request,
    ) -> Result<(u32, oneshot::Receiver<ExitStatus>), (bool, String)> {
        let (end, ended) = oneshot::channel();
        match self.ask(request, Some(end)).await {
            Ok(Answer::Started { pid }) => Ok((pid, ended)),
            Ok(Answer::Failed { busy, reason }) => Err((busy, reason)),
            Ok(other) => Err((false, format!("the launcher answered {other:?}"))),
            Err(error) => Err((false, error.to_string())),
        }
    }

    /// Queues a request without waiting and returns the receiver of its answer; none when the queue is full.
    pub fn begin(&self, request: &Request) -> Option<oneshot::Receiver<Answer>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = request.encode(id).ok()?;
        let (answer, answered) = oneshot::channel();
        let mut shared = self.shared();
        if shared.closed {
            return None;
        }
        self.frames.try_send(frame).ok()?;
        shared.waiting.insert(id, Waiting { answer, end: None });
        Some(answered)
    }

    /// Queues a request whose answer is ignored. A full queue loses it, which the result says.
    pub fn tell(&self, request: &Request) -> bool {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        request.encode(id).is_ok_and(|frame| self.frames.try_send(frame).is_ok())
    }

    /// Waits until the connection is closed.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the reader has ended, and the connection with it.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

/// The held processes whose identity is confirmed: a pid alone may name an unrelated process by now.
fn running(boot_id: &str, held: Vec<Held>) -> Vec<RunningService> {
    let same_boot = boot_id == identity::boot_id();
    let checked = held.into_iter().filter_map(|process| {
        let same =
            same_boot && (process.ended || identity::start_ticks(process.pid) == Some(process.start_ticks));
        let service = process.service.parse().ok();
        let ident = process.ident.parse().ok();
        match (service, ident) {
            (Some(service), Some(ident)) if same => Some(RunningService {
                service,
                pid: process.pid,
                ident,
                since: UnixTime::from_millis(process.since_ms),
                resume: None,
            }),
            _ => {
                let Held { service, pid, .. } = process;
                tracing::error!(service, pid, "process {pid} is not the one that was started for {service}");
                None
            }
        }
    });
    checked.collect()
}

async fn write_all(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn read_all(mut reader: OwnedReadHalf, shared: Arc<Mutex<Shared>>, ended: watch::Sender<bool>) {
    let mut input = Vec::new();
    let mut buffer = [0; READ_BYTES];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        input.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Err(error) = take_messages(&mut input, &shared) {
            tracing::error!(%error, "the launcher sent what is no message; the connection is closed");
            break;
        }
    }
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    // Dropping the senders tells every waiting task that no answer comes.
    *shared = Shared { closed: true, ..Shared::default() };
    ended.send_replace(true);
}

fn take_messages(input: &mut Vec<u8>, shared: &Mutex<Shared>) -> Result<(), FrameError> {
    let mut at = 0;
    while let Some(frame) = next_frame(input.get(at..).unwrap_or_default())? {
        at += LENGTH_BYTES + frame.len();
        match Message::decode(frame)? {
            Some(message) => take_message(message, shared),
            // A newer launcher may send a kind of message that this supervisor has no use for.
            None => tracing::debug!("the launcher sent a message of a kind that is not known here"),
        }
    }
    input.drain(..at);
    Ok(())
}

fn take_message(message: Message, shared: &Mutex<Shared>) {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match message {
        Message::Answer { id, answer } => {
            let Some(waiting) = shared.waiting.remove(&id) else { return };
            if let (Answer::Started { pid }, Some(end)) = (&answer, waiting.end) {
                // Registered before the next message is read, which may be this process's end.
                shared.ends.insert(*pid, end);
            }
            let _ = waiting.answer.send(answer);
        }
        Message::Exited { service: _, pid, status } => {
            if let Some(end) = shared.ends.remove(&pid) {
                let _ = end.send(status);
            }
        }
    }
}

/// Takes these bytes as if a launcher had sent them; for tests.
///
/// # Errors
/// The bytes are no messages.
#[cfg(test)]
pub(super) fn take_all(mut bytes: Vec<u8>) -> Result<(), FrameError> {
    take_messages(&mut bytes, &Mutex::default())
}
