//! Runs hooks: has the service's guard run each no longer than its limit, and passes on its output. Judges no exit code.

mod own;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::{ExitStatus, Hook, HookEnd, HookExit, ServiceName};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::process::{BUSY_RETRY, BUSY_TRIES, LAST_WORDS};
use crate::host::capabilities::Capabilities;
use crate::host::users::Account;
use crate::launcher::Lines;
use crate::launcher::client::Client;
use crate::launcher::message::{HookLaunch, Lease, Owner};

/// The launcher answers within this time after a hook's limit, or stands still.
const SILENCE: Duration = Duration::from_secs(1);

/// Output of a hook beyond this is read and dropped: a hook that floods must not push the service's own lines out of
/// the log.
const LOGGED_BYTES_MAX: usize = 256 * 1024;
/// … and beyond this many lines of each stream.
const LOGGED_LINES_MAX: usize = 2_000;
/// Most lines that a hook can say with both streams.
pub(super) const SAID_LINES_MAX: usize = 2 * (LOGGED_LINES_MAX + 1) + 1;
/// The end of each stream that is kept for the result, in bytes.
const KEPT_BYTES_MAX: usize = 8 * 1024;

/// Takes a line that a hook prints.
pub(super) type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// How to run a hook.
pub(super) struct HookRun {
    pub(super) service: ServiceName,
    pub(super) hook: Hook,
    pub(super) program: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) account: Option<Account>,
    pub(super) capabilities: Capabilities,
    /// Has the service's guard run it.
    pub(super) launcher: Client,
    /// Says when it is to end before its limit.
    pub(super) ended: Ended,
    /// For a hook that may say that the service leads.
    pub(super) lease: Option<Lease>,
}

/// The order to end a hook, which may come at any time.
#[derive(Clone, Debug)]
pub(super) struct Ended(watch::Receiver<bool>);

impl Ended {
    /// The order, and the end by which it is given.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for the order.
    pub(super) async fn ordered(&mut self) {
        if self.0.wait_for(|ended| *ended).await.is_err() {
            // No order can come any more.
            std::future::pending().await
        }
    }

    /// Whether the order has come.
    pub(super) fn is_ordered(&self) -> bool {
        *self.0.borrow()
    }
}

/// The end of a hook that was killed before its limit.
const KILLED: HookExit = HookExit::Ended(ExitStatus::Signal(9));

/// How a hook ended, and the last lines that it printed.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) end: HookEnd,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Heard {
    fn failed(reason: String) -> Self {
        let end = HookEnd { exit: HookExit::Failed(reason), value: None };
        Self { end, stdout: String::new(), stderr: String::new() }
    }
}

/// Runs a hook to its end, to its deadline or until it is ordered to end; nothing that it started is left when this
/// returns.
pub(super) async fn run(run: HookRun, limit: Duration, say: Say) -> Heard {
    if !run.launcher.has_guards() {
        return own::run(run, limit, say).await;
    }
    let (Ok((stdout, output)), Ok((stderr, errors))) = (pipe(), pipe()) else {
        return Heard::failed("the system gives no pipes".to_owned());
    };
    let stdout = tokio::spawn(listen(Some(stdout), Arc::clone(&say)));
    let stderr = tokio::spawn(listen(Some(stderr), Arc::clone(&say)));
    // Its guard keeps to the deadline; a launcher that stands still must not make its health unknown for ever.
    let exit = match timeout(limit + SILENCE, guarded(&run, limit, [output, errors])).await {
        Ok(Ok((_, true))) => HookExit::TimedOut,
        Ok(Ok((status, false))) => HookExit::Ended(status),
        Ok(Err(reason)) => HookExit::Failed(reason),
        Err(_) => HookExit::Failed("the launcher, which has hooks run, does not answer".to_owned()),
    };
    if exit == HookExit::TimedOut {
        say_timed_out(&run, limit, &say);
    }
    heard(exit, stdout, stderr).await
}

fn say_timed_out(run: &HookRun, limit: Duration, say: &Say) {
    let ms = limit.as_millis();
    say(&format!("{} did not end within {ms} ms and is killed with all that it started", run.hook));
}

type Listening = tokio::task::JoinHandle<String>;

async fn heard(exit: HookExit, stdout: Listening, stderr: Listening) -> Heard {
    let (stdout, stderr) = (finish(stdout).await, finish(stderr).await);
    let value = if exit == HookExit::Ended(ExitStatus::Code(0)) { last_number(&stdout) } else { None };
    Heard { end: HookEnd { exit, value }, stdout, stderr }
}

/// A pipe: what reads from it, and the end that a hook gets.
fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((Receiver::from_owned_fd(reader.into())?, writer.into()))
}

/// Has the service's guard run a hook.
async fn guarded(
    run: &HookRun,
    limit: Duration,
    [output, errors]: [OwnedFd; 2],
) -> Result<(ExitStatus, bool), String> {
    let account = run.account.as_ref();
    let launch = HookLaunch {
        service: run.service.as_str().to_owned(),
        program: run.program.clone(),
        dir: run.dir.clone(),
        env: run.env.clone(),
        owner: account.map(|account| Owner {
            uid: account.uid,
            gid: account.gid,
            groups: account.groups.clone(),
        }),
        capabilities: run.capabilities,
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        lease: run.lease.clone().filter(|_| run.launcher.has_hook_leases()),
    };
    let mut tries = 1;
    loop {
        if run.ended.is_ordered() {
            return Ok((ExitStatus::Signal(9), false));
        }
        let (Ok(output), Ok(errors)) = (output.try_clone(), errors.try_clone()) else {
            return Err("the system gives no descriptors".to_owned());
        };
        let mut ended = run.ended.clone();
        match run.launcher.hook(launch.clone(), [output, errors], ended.ordered()).await {
            // For a moment, another process that is being started may hold the hook open for writing, or a hook of the
            // last supervisor has not ended yet.
            Err((true, _)) if tries < BUSY_TRIES => {
                tries += 1;
                sleep(BUSY_RETRY).await;
            }
            result => return result.map_err(|(_, reason)| reason),
        }
    }
}

/// The end of a stream. A process that left the group and still holds the stream is not waited for.
async fn finish(mut listening: Listening) -> String {
    match timeout(LAST_WORDS, &mut listening).await {
        Ok(said) => said.unwrap_or_default(),
        Err(_) => {
            listening.abort();
            String::new()
        }
    }
}

fn last_number(stdout: &str) -> Option<u64> {
    stdout.lines().rev().map(str::trim).find(|line| !line.is_empty())?.parse().ok()
}

/// Passes on every line of a stream until it ends, and returns the last ones.
async fn listen<R: AsyncRead + Unpin>(stream: Option<R>, say: Say) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut lines = Lines::default();
    let mut kept = Kept::default();
    let (mut bytes, mut count) = (0_usize, 0_usize);
    let mut buffer = [0; 4 * 1024];
    let mut take = |line: &[u8]| {
        let line = &String::from_utf8_lossy(line);
        kept.push(line);
        let had_room = bytes <= LOGGED_BYTES_MAX && count <= LOGGED_LINES_MAX;
        (bytes, count) = (bytes.saturating_add(line.len() + 1), count.saturating_add(1));
        if bytes <= LOGGED_BYTES_MAX && count <= LOGGED_LINES_MAX {
            say(line);
        } else if had_room {
            say("… more than 2000 lines or 256 KiB from one hook: the rest is left out");
        }
    };
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        lines.push(buffer.get(..len).unwrap_or_default(), &mut take);
    }
    lines.finish(&mut take);
    kept.text
}

/// Keeps the last lines of a text of any length.
#[derive(Default)]
struct Kept {
    text: String,
}

impl Kept {
    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() > 2 * KEPT_BYTES_MAX {
            let from = self.text.len() - KEPT_BYTES_MAX;
            // Cuts at a line end, so that whole lines are kept; a line is shorter than the part that is kept.
            let from = self
                .text
                .as_bytes()
                .iter()
                .skip(from)
                .position(|b| *b == b'\n')
                .map_or(from, |at| from + at + 1);
            self.text = self.text.get(from..).unwrap_or_default().to_owned();
        }
    }
}

#[cfg(test)]
mod tests;
