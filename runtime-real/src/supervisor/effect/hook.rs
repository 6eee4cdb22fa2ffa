//! Runs hooks: waits for each no longer than its limit, and passes on its output. Judges no exit code.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::{ExitStatus, Hook, HookEnd, HookExit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::process::{BUSY_RETRY, BUSY_TRIES, LAST_WORDS, die_with_parent, exit_status};
use crate::host::secret_env::{CTL_SECRET_ENV, GATEWAY_TOKEN_ENV};
use crate::host::users::{self, Account};
use crate::launcher::{LAUNCHER_ENV, Lines, STARTS_ENV};

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
    pub(super) hook: Hook,
    pub(super) program: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) account: Option<Account>,
}

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

/// Kills a process group when it goes out of scope, also when the task that waits for the hook is dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // No other group gets this number while one of its processes is alive.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Runs a hook to its end or to its deadline, and then kills the processes that are left in its process group.
pub(super) async fn run(run: HookRun, limit: Duration, say: Say) -> Heard {
    let mut deadline = std::pin::pin!(sleep(limit));
    let mut child = match start(&run).await {
        Ok(child) => child,
        Err(error) => return Heard::failed(explain(&run, &error)),
    };
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) else {
        return Heard::failed("the system did not name its process".to_owned());
    };
    let group = Group(pid);
    let stdout = tokio::spawn(listen(child.stdout.take(), Arc::clone(&say)));
    let stderr = tokio::spawn(listen(child.stderr.take(), Arc::clone(&say)));
    let exit = tokio::select! {
        biased;
        status = child.wait() => HookExit::Ended(status.map_or(ExitStatus::Unknown, exit_status)),
        () = &mut deadline => {
            let ms = limit.as_millis();
            say(&format!("{} did not end within {ms} ms and is killed with all that it started", run.hook));
            HookExit::TimedOut
        }
    };
    drop(group);
    if exit == HookExit::TimedOut {
        let _ = child.wait().await;
    }
    let (stdout, stderr) = (finish(stdout).await, finish(stderr).await);
    let value = if exit == HookExit::Ended(ExitStatus::Code(0)) { last_number(&stdout) } else { None };
    Heard { end: HookEnd { exit, value }, stdout, stderr }
}

/// The end of a stream. A process that left the group and still holds the stream is not waited for.
async fn finish(mut listening: tokio::task::JoinHandle<String>) -> String {
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

async fn start(run: &HookRun) -> io::Result<Child> {
    let mut command = Command::new(&run.program);
    command
        .current_dir(&run.dir)
        .env_remove(CTL_SECRET_ENV)
        .env_remove(GATEWAY_TOKEN_ENV)
        .env_remove(LAUNCHER_ENV)
        .env_remove(STARTS_ENV)
        .envs(run.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = &run.account {
        command.envs(account.env());
        users::switch(command.as_std_mut(), account);
    }
    die_with_parent(&mut command, Signal::SIGKILL);
    let mut tries = 1;
    loop {
        match command.spawn() {
            // For a moment, another process that is being started may hold the hook open for writing.
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                sleep(BUSY_RETRY).await;
            }
            result => return result,
        }
    }
}

fn explain(run: &HookRun, error: &io::Error) -> String {
    let program = run.program.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{program} cannot be started: it or the interpreter in its first line does not exist")
        }
        _ => format!("{program} cannot be started: {error}"),
    }
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
