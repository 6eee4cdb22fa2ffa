//! The supervisor's end of the connection to its launcher: sends requests and hands each answer to the task that waits
//! for it. Decides nothing about services, and never makes a lost connection again.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus_core::{ExitStatus, MemberId, Resume, RunningService, UnixTime};
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::frame::{FrameError, LENGTH_BYTES, next_frame};
use super::guard::Holder;
use super::message::{self, Answer, Held, HookLaunch, Launch, Message, Request};
use super::version::{self, Versions};
use super::{identity, rights};
use crate::host::clock::{self, Clock};
use crate::host::socket::socket_path;

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
    /// The service whose hook the answer is about: that it runs is not the last answer.
    hook: Option<String>,
}

#[derive(Default)]
struct Shared {
    waiting: BTreeMap<u64, Waiting>,
    ends: BTreeMap<u32, oneshot::Sender<ExitStatus>>,
    /// The guards of the services that run, by the pid of the first process.
    holders: BTreeMap<u32, Arc<Holder>>,
    /// The guards of hooks with a lease, by the request for the hook.
    hook_holders: BTreeMap<u64, (String, Arc<Holder>)>,
    /// Descriptors that came, in the order of the answers that they belong to.
    fds: VecDeque<OwnedFd>,
    closed: bool,
    /// Everything was killed, and nothing more is asked for.
    ending: bool,
}

/// A request as it goes over the socket.
struct Outgoing {
    frame: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl From<Vec<u8>> for Outgoing {
    fn from(frame: Vec<u8>) -> Self {
        Self { frame, fds: Vec::new() }
    }
}

/// Ends a hook when the task that waits for it is dropped.
struct EndHook<'a> {
    client: &'a Client,
    request: Option<Request>,
}

impl Drop for EndHook<'_> {
    fn drop(&mut self) {
        if let Some(request) = &self.request {
            // Without room in the queue the hook goes on to its deadline.
            self.client.tell(request);
        }
    }
}

/// Asks a launcher. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Mutex<Shared>>,
    frames: mpsc::Sender<Outgoing>,
    next: Arc<AtomicU64>,
    closed: watch::Receiver<bool>,
    /// The version of the messages that was agreed upon; 0 before the greeting.
    version: u32,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the launcher at `path`; returns with the processes that it holds, whose identity is checked. Times are
    /// those of `clock`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(path: &Path, clock: &Clock) -> Result<(Self, Vec<RunningService>), ClientError> {
        let (short, _dir) = socket_path(path)?;
        Self::over(UnixStream::connect(short).await?, clock).await
    }

    /// Greets the launcher at the other end of this connection.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn over(stream: UnixStream, clock: &Clock) -> Result<(Self, Vec<RunningService>), ClientError> {
        let stream = Arc::new(stream);
        let (frames, to_write) = mpsc::channel(REQUESTS_MAX);
        let (ended, closed) = watch::channel(false);
        let shared: Arc<Mutex<Shared>> = Arc::default();
        tokio::spawn(write_all(Arc::clone(&stream), to_write, closed.clone()));
        tokio::spawn(read_all(stream, Arc::clone(&shared), ended));
        let mut client = Self { shared, frames, next: Arc::default(), closed, version: 0 };
        let held = client.greet(clock).await?;
        Ok((client, held))
    }

    /// Agrees on a version of the messages; returns the processes that the launcher holds.
    async fn greet(&mut self, clock: &Clock) -> Result<Vec<RunningService>, ClientError> {
        let hello = Request::Hello { versions: Versions::SPOKEN };
        match timeout(HELLO_TIMEOUT, self.request(&hello)).await {
            Ok(Ok(Answer::Welcome { version, boot_id, held, .. })) if Versions::SPOKEN.contains(version) => {
                self.version = version;
                Ok(running(&boot_id, held, clock))
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

    /// The same connection, as if an earlier version had been agreed upon.
    #[cfg(test)]
    pub(crate) fn of_version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// Whether this launcher has guards, which hold leases and run hooks.
    #[must_use]
    pub const fn has_guards(&self) -> bool {
        self.version >= version::WITH_GUARDS
    }

    /// The guard of the service with this process; none where the launcher has no guards, and once the service has ended.
    pub(crate) fn holder(&self, pid: u32) -> Option<Arc<Holder>> {
        self.shared().holders.get(&pid).cloned()
    }

    /// Whether this launcher gives hooks leases.
    #[must_use]
    pub const fn has_hook_leases(&self) -> bool {
        self.version >= version::WITH_HOOK_LEASES
    }

    /// The guard of a service that runs a hook with a lease; none when it runs none.
    pub(crate) fn hook_holder(&self, service: &str) -> Option<Arc<Holder>> {
        let shared = self.shared();
        let held = shared.hook_holders.values().find(|(of, _)| of == service);
        held.map(|(_, holder)| Arc::clone(holder))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(&self, request: &Request) -> Result<Answer, RequestError> {
        self.ask(self.next_id(), request, Vec::new(), |answer| Waiting { answer, end: None, hook: None })
            .await
    }

    fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    async fn ask(
        &self,
        id: u64,
        request: &Request,
        fds: Vec<OwnedFd>,
        waiting: impl FnOnce(oneshot::Sender<Answer>) -> Waiting,
    ) -> Result<Answer, RequestError> {
        let frame = request.encode(id)?;
        let (answer, answered) = oneshot::channel();
        {
            let mut shared = self.shared();
            if shared.closed || shared.ending {
                return Err(RequestError::Gone);
            }
            shared.waiting.insert(id, waiting(answer));
        }
        self.frames.send(Outgoing { frame, fds }).await.map_err(|_| RequestError::Gone)?;
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
        let waiting = |answer| Waiting { answer, end: Some(end), hook: None };
        match self.ask(self.next_id(), request, Vec::new(), waiting).await {
            Ok(Answer::Started { pid, .. }) => Ok((pid, ended)),
            Ok(Answer::Failed { busy, reason }) => Err((busy, reason)),
            Ok(other) => Err((false, format!("the launcher answered {other:?}"))),
            Err(error) => Err((false, error.to_string())),
        }
    }

    /// Runs a hook that prints to `said`, its output and its errors; returns when nothing of it is left: how it ended, and
    /// whether at its deadline. A hook whose caller goes away is ended, and so is one whose end is `ordered`.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn hook(
        &self,
        launch: HookLaunch,
        said: [OwnedFd; 2],
        ordered: impl Future<Output = ()>,
    ) -> Result<(ExitStatus, bool), (bool, String)> {
        let id = self.next_id();
        let end = Request::EndHook { service: launch.service.clone(), hook: id };
        let mut guard = EndHook { client: self, request: Some(end.clone()) };
        let service = Some(launch.service.clone());
        let waiting = |answer| Waiting { answer, end: None, hook: service };
        let hook = Request::Hook(Box::new(launch));
        let mut answered = std::pin::pin!(self.ask(id, &hook, said.into(), waiting));
        let answer = tokio::select! {
            biased;
            answer = &mut answered => answer,
            () = ordered => {
                let _ = self.request(&end).await;
                answered.await
            }
        };
        guard.request = None;
        match answer {
            Ok(Answer::HookEnded { status, timed_out }) => Ok((status, timed_out)),
            Ok(Answer::Failed { busy, reason }) => Err((busy, reason)),
            Ok(other) => Err((false, format!("the launcher answered {other:?}"))),
            Err(error) => Err((false, error.to_string())),
        }
    }

    /// Makes a service's directory this supervisor's.
    ///
    /// # Errors
    /// Another supervisor has it, or the launcher is gone; in words.
    pub async fn claim(&self, service: &str) -> Result<(), String> {
        match self.request(&Request::Claim { service: service.to_owned() }).await {
            Ok(Answer::Failed { reason, .. }) => Err(reason),
            // A launcher of an earlier version keeps no supervisors apart.
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Queues a request without waiting and returns the receiver of its answer; none when the queue is full.
    pub fn begin(&self, request: &Request) -> Option<oneshot::Receiver<Answer>> {
        let id = self.next_id();
        let frame = request.encode(id).ok()?;
        let (answer, answered) = oneshot::channel();
        let mut shared = self.shared();
        if shared.closed || shared.ending {
            return None;
        }
        self.frames.try_send(frame.into()).ok()?;
        shared.waiting.insert(id, Waiting { answer, end: None, hook: None });
        Some(answered)
    }

    /// Queues a request whose answer is ignored. A full queue loses it, which the result says.
    pub fn tell(&self, request: &Request) -> bool {
        request.encode(self.next_id()).is_ok_and(|frame| self.frames.try_send(frame.into()).is_ok())
    }

    /// Has everything killed. It is the last request: a start that was under way must not come after it.
    pub fn kill_all(&self) {
        self.shared().ending = true;
        self.tell(&Request::KillAll);
    }

    /// Waits until the connection is closed.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the reader has ended, and the connection with it.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

/// The held processes whose identity is confirmed: a pid alone may name an unrelated process by now.
fn running(boot_id: &str, held: Vec<Held>, clock: &Clock) -> Vec<RunningService> {
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
                restarts: process.restarts,
                shutdown_timeout_ms: Some(process.stop_timeout_ms).filter(|ms| *ms > 0),
                health: process.health.filter(|_| !process.ended),
                resume: process.resume.filter(|_| !process.ended).and_then(|resume| in_time(resume, clock)),
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

/// A right to resume in the time of the node; none when it has run out.
fn in_time(resume: message::Resume, clock: &Clock) -> Option<Resume> {
    // The node's time is read first: should this process stand still in between, the right only gets shorter.
    let now = clock.now();
    let left_ms = resume.until_ms.checked_sub(clock::boot_ms()).filter(|left_ms| *left_ms > 0)?;
    Some(Resume {
        member: MemberId::from_bytes(resume.member),
        group: resume.group.parse().ok()?,
        term: resume.term,
        until: now + Duration::from_millis(left_ms),
    })
}

async fn write_all(
    stream: Arc<UnixStream>,
    mut frames: mpsc::Receiver<Outgoing>,
    mut closed: watch::Receiver<bool>,
) {
    loop {
        let outgoing = tokio::select! {
            outgoing = frames.recv() => outgoing,
            // The reader has ended, and the connection with it: every later request finds it closed.
            _ = closed.wait_for(|closed| *closed) => return,
        };
        let Some(Outgoing { frame, mut fds }) = outgoing else { return };
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let sent = stream.async_io(Interest::WRITABLE, || Ok(rights::send(&*stream, rest, &fds)?)).await;
            let Ok(count) = sent else { return };
            rest = rest.get(count..).unwrap_or_default();
            fds.clear();
        }
    }
}

async fn read_all(stream: Arc<UnixStream>, shared: Arc<Mutex<Shared>>, ended: watch::Sender<bool>) {
    let mut input = Vec::new();
    let mut buffer = [0; READ_BYTES];
    loop {
        let mut fds = VecDeque::new();
        let read = || Ok(rights::receive(&*stream, &mut buffer, &mut fds)?);
        let Ok(count @ 1..) = stream.async_io(Interest::READABLE, read).await else { break };
        shared.lock().unwrap_or_else(PoisonError::into_inner).fds.extend(fds);
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
            // Its descriptors are taken also when no task waits any more: the next ones belong to the next answer.
            let holder = if let Answer::Started { pid, guarded: true } = &answer
                && let (Some(page), Some(wake)) = (shared.fds.pop_front(), shared.fds.pop_front())
            {
                let holder = Holder::new(&page, wake);
                holder
                    .inspect_err(|error| tracing::error!(pid, %error, "the page of a guard cannot be mapped"))
                    .ok()
            } else {
                None
            };
            let is_started = matches!(answer, Answer::Started { .. });
            if let Some(service) = shared.waiting.get(&id).and_then(|waiting| waiting.hook.clone())
                && is_started
            {
                // The hook runs; its end is still to come.
                shared.hook_holders.extend(holder.map(|holder| (id, (service, Arc::new(holder)))));
                return;
            }
            shared.hook_holders.remove(&id);
            if let (Answer::Started { pid, .. }, Some(holder)) = (&answer, holder) {
                shared.holders.insert(*pid, Arc::new(holder));
            }
            let Some(waiting) = shared.waiting.remove(&id) else { return };
            if let (Answer::Started { pid, .. }, Some(end)) = (&answer, waiting.end) {
                // Registered before the next message is read, which may be this process's end.
                shared.ends.insert(*pid, end);
            }
            let _ = waiting.answer.send(answer);
        }
        Message::Exited { service: _, pid, status } => {
            shared.holders.remove(&pid);
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
